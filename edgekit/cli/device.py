"""``edgekit device``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.errors import UnknownNameError

if TYPE_CHECKING:
    from edgekit.device.driver import Driver, Phone

device = typer.Typer(name="device", help="Run artifacts on phones, through adb or devicectl.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
Platform = Annotated[str, typer.Option(help="android or ios.")]
Serial = Annotated[str | None, typer.Option("--device", help="The phone's serial, where several are connected.", metavar="SERIAL")]
Kept = Annotated[Path, typer.Option("--output-dir", "-o", help="Where runs are kept, a folder each.")]
_PLATFORMS = ("android", "ios")
_RUNS = Path("device_runs")


@device.callback()
def _device() -> None:
    """Run artifacts on phones: a plan goes there, a report comes back and is checked."""


@device.command("list")
def list_(
    *, platform: Annotated[str | None, typer.Option(help="android or ios; by default whatever there is a tool for.")] = None, as_json: AsJson = False
) -> None:
    """List connected phones, usable or not.

    \b
    edgekit device list
    edgekit device list --platform android --json
    """
    from edgekit.errors import DeviceToolError

    found: list[Phone] = []
    missing: list[DeviceToolError] = []
    for name in _PLATFORMS if platform is None else (platform,):
        try:
            found += _driver(name).phones()
        except DeviceToolError as error:
            missing.append(error)
    if missing and (platform is not None or len(missing) == len(_PLATFORMS)):
        raise missing[0]
    if as_json:
        rows = [{"platform": p.platform, "device": p.serial, "model": p.model, "os": p.os, "ready": p.ready is None, "why": p.ready} for p in found]
        console.print_json({"schema_version": 1, "command": "device list", "devices": rows})
        return
    console.print_table(("device", "platform", "model", "state"), [(p.serial, p.platform, p.model, p.ready or "ready") for p in found])
    if not found:
        console.note("no phone is connected")


@device.command()
def run(
    *,
    platform: Platform,
    artifact: Annotated[list[Path], typer.Option(help="An artifact with its manifest; several run in turn, A B B A.")],
    serial: Serial = None,
    compute: Annotated[list[str] | None, typer.Option(help="cpu, gpu, npu or all; by default cpu, and for Core ML each of them.")] = None,
    threads: Annotated[int, typer.Option(help="Threads each runtime may use.")] = 1,
    samples: Annotated[int, typer.Option(help="Samples of each artifact in each process.")] = 40,
    processes: Annotated[int, typer.Option(help="How often the harness is started anew.")] = 2,
    policy: Annotated[Path | None, typer.Option(help="An early-exit policy for artifacts with exits; by default the one in the manifest.")] = None,
    preprocess: Annotated[bool, typer.Option("--preprocess/--no-preprocess", help="Also time resizing, cropping and normalising a picture.")] = True,
    max_thermal: Annotated[str, typer.Option(help="The hottest state to measure in: nominal, fair, serious, critical.")] = "nominal",
    wait: Annotated[int, typer.Option(help="Seconds to wait for the phone to cool down.")] = 120,
    output_dir: Kept = _RUNS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; talk to no phone.")] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run artifacts on a phone that has the harness, and keep what it reports.

    \b
    edgekit device run --platform android --artifact net.pte --artifact net.tflite
    edgekit device run --platform ios --artifact net.mlpackage --compute all --compute cpu
    edgekit device run --platform android --artifact chase-tiny_32_fp32.pte --policy policy.json

    Nothing that is reported is believed before it was checked: the artifact's sha256, every count, every summary from the raw samples. A phone that
    got warmer than --max-thermal makes the run invalid; what was measured is kept all the same.
    """
    from edgekit.device.build import Settings, build_plan
    from edgekit.device.conversation import Conversation, choose
    from edgekit.device.store import Store
    from edgekit.policy.policy import read_policy

    settings = Settings(
        compute=tuple(dict.fromkeys(compute or ())),
        threads=threads,
        samples=samples,
        processes=processes,
        preprocess=preprocess,
        max_start=max_thermal,
        wait_ms=wait * 1000,
        policy=None if policy is None else read_policy(policy),
    )
    plan = build_plan(artifact, _platform(platform), settings)
    if dry_run:
        console.print_json(plan.to_json())
        return
    driver = _driver(platform)
    phone = choose(driver, serial)
    driver.require_app(phone)
    conversation = Conversation(
        driver=driver,
        phone=phone,
        plan=plan,
        artifacts={path.name: path for path in artifact},
        store=Store.of(output_dir, plan.run_id),
        say=(lambda _: None) if quiet else console.note,
    )
    done = conversation.run()
    _show(done.document, done.results, as_json=as_json)


@device.command()
def pull(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id: its folder's name.")],
    *,
    platform: Platform,
    serial: Serial = None,
    output_dir: Kept = _RUNS,
    as_json: AsJson = False,
) -> None:
    """Fetch what a run that was interrupted left on the phone, and check it against the plan that was sent.

    \b
    edgekit device pull 0123456789abcdef0123456789abcdef --platform android
    """
    from edgekit.device.conversation import Conversation, choose
    from edgekit.device.store import Store

    store = Store.of(output_dir, run_id)
    plan = store.plan()
    driver = _driver(_platform(platform))
    done = Conversation(driver=driver, phone=choose(driver, serial), plan=plan, artifacts={}, store=store).pull()
    _show(done.document, done.results, as_json=as_json)


@device.command()
def validate(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report of the harness.")],
    *,
    plan: Annotated[Path, typer.Option(help="The plan it answers.")],
    as_json: AsJson = False,
) -> None:
    """Check a report against its plan, as a run does; 3 if it cannot be believed.

    \b
    edgekit device validate report-0.json --plan plan.json
    """
    from edgekit.device.integer_json import parse
    from edgekit.device.report import report_from_json
    from edgekit.device.store import read_plan
    from edgekit.device.validate import check_report
    from edgekit.errors import BadInputError

    wanted = read_plan(plan)
    try:
        content = report.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read {report.name}", where=str(report), why=error.strerror or str(error)) from error
    found = report_from_json(parse(content, report.name))
    check_report(found, wanted)
    if as_json:
        told = {"schema_version": 1, "command": "device validate", "run_id": found.run_id, "process": found.process, "verdict": "valid"}
        console.print_json(told | {"results": [{"variant": result.variant, "status": result.status} for result in found.results]})
        return
    console.line(f"{report.name}: process {found.process} of run {found.run_id}, {len(found.results)} results, valid")


def _platform(name: str) -> str:
    if name not in _PLATFORMS:
        raise UnknownNameError("platform", name, _PLATFORMS)
    return name


def _driver(name: str) -> "Driver":
    if _platform(name) == "android":
        from edgekit.device.adb import Adb

        return Adb()
    from edgekit.device.devicectl import Devicectl

    return Devicectl()


def _show(document: dict[str, Any], kept: Path, *, as_json: bool) -> None:
    if as_json:
        console.print_json(document)
        return
    header = ("variant", "process", "status", "unit", "load ms", "first ms", "min ms", "p50 ms", "p90 ms", "picture ms")
    keys = ("load_ms", "first_ms", "min_ms", "p50_ms", "p90_ms", "preprocess_p50_ms")
    rows = [
        (
            row["variant"],
            str(row["process"]),
            row["status"],
            row["compute"]["actual"] or f"{row['compute']['requested']}?",
            *("-" if row[key] is None else f"{row[key]:.2f}" for key in keys),
        )
        for row in document["results"]
    ]
    console.print_table(header, rows)
    for row in document["results"]:
        if row["exits"] is not None:
            shares = ", ".join(f"{exit_['share']:.0%} at {exit_['exit']}" for exit_ in row["exits"]["by_exit"] if exit_["count"])
            console.line(f"{row['variant']}: {shares}; {row['exits']['expected_ms']:.2f} ms in expectation")
    console.note(f"\n{kept}")
