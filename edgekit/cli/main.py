"""The ``edgekit`` command: its subcommands, and how errors become sentences and exit codes."""

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from typer._click.exceptions import ClickException  # typer carries click inside and passes on its errors

from edgekit import __version__
from edgekit.cli import console
from edgekit.cli.bench import bench
from edgekit.cli.cache import cache
from edgekit.cli.data import data
from edgekit.cli.device import device
from edgekit.cli.doctor import doctor
from edgekit.cli.export import export
from edgekit.cli.gate import gate
from edgekit.cli.inspect import inspect
from edgekit.cli.lint import lint
from edgekit.cli.listing import models, targets
from edgekit.cli.policy import policy
from edgekit.cli.report import report
from edgekit.cli.sweep import sweep
from edgekit.cli.verify import verify
from edgekit.cli.view import view
from edgekit.cli.weights import weights
from edgekit.errors import EdgekitError, UsageError

_INTERNAL_ERROR = 1
_INTERRUPTED = 130
_VERBOSE = "--verbose"
_STOPS = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(
    name="edgekit",
    help="Export dynamic PyTorch vision models to phones: rewritten, lowered, run and proved.",
    epilog="Start with:  edgekit export emov2-5m --target coreml --target tflite",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (export, verify, inspect, view, lint, bench, gate, report, sweep, models, targets, doctor):
    app.command()(command)
app.add_typer(policy, name="policy")
app.add_typer(cache, name="cache")
app.add_typer(data, name="data")
app.add_typer(device, name="device")
app.add_typer(weights, name="weights")


def _version(wanted: bool) -> None:  # noqa: FBT001  typer calls it with the flag's value
    if wanted:
        sys.stdout.write(f"edgekit {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option(_VERBOSE, help="Show the original text of an error, too; it may stand anywhere.")] = False,
) -> None:
    """Export dynamic PyTorch vision models to phones: rewritten, lowered, run and proved."""


class _Interrupted(BaseException):
    """Somebody asked the process to stop; leaves through every ``finally``, so that staging folders are removed."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    for handled in _STOPS:
        signal.signal(handled, signal.SIG_IGN)  # once: a second one must not stop the cleaning up
    raise _Interrupted


def main() -> None:
    """Run the command line and exit with the code of its error: 2 usage, 3 bad input, 4 cannot export, 5 parity, ..."""
    for number in _STOPS:
        signal.signal(number, _interrupt)
    verbose = _VERBOSE in sys.argv[1:]
    arguments = [word for word in sys.argv[1:] if word != _VERBOSE]  # wherever it stands
    try:
        code = app(arguments, prog_name="edgekit", standalone_mode=False)
    except EdgekitError as error:
        console.print_error(error, verbose=verbose)
        code = _fail(arguments, error)
    except ClickException as error:
        error.show()
        code = _fail(arguments, UsageError(error.format_message()))
    except _Interrupted:
        console.note("interrupted; nothing half-written is left")
        code = _INTERRUPTED
    except BrokenPipeError:  # the reader of our output left; nothing to say, and nowhere to say it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _INTERNAL_ERROR
    except ImportError as error:  # a package that is missing or broken is not a defect of edgekit
        from edgekit.doctor import explained

        told = explained(error)
        if told is None:
            console.print_internal_error(error)
            told = EdgekitError(f"internal error: {type(error).__name__}: {error}")
        else:
            console.print_error(told)
        code = _fail(arguments, told)
    except Exception as error:  # noqa: BLE001  the last line of defence: a sentence, and the trace in a file
        console.print_internal_error(error)
        code = _fail(arguments, EdgekitError(f"internal error: {type(error).__name__}: {error}"))
    sys.exit(code or 0)


def _fail(arguments: list[str], error: EdgekitError) -> int:
    """Print the one document that ``--json`` promises, for an error; return the exit code."""
    if "--json" in arguments:
        command = next((word for word in arguments if not word.startswith("-")), None)
        console.print_json(console.failure(command, error))
    return error.exit_code
