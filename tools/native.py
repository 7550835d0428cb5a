"""Builds the native runner on ExecuTorch's C++ SDK, and holds whatever runs real artifacts to Python's answers: the runner, Kotlin, Swift."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from toolchains import ARM_COMPILER, MissingToolError, java_headers, program

if TYPE_CHECKING:
    from edgekit.device.report import Report
    from edgekit.policy.policy import Policy
    from edgekit.runtime.loaded import LoadedArtifact

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "benchmarks" / "native_runner"
EXITS, PLAIN = "chase-tiny", "emov2-1m"
TOLERANCE = 1e-5
"""On the same machine all run the same kernels, on another processor ones that add up in another order."""


def sdk() -> Path:
    """Return the folder of the SDK's CMake package, in ExecuTorch's wheel.

    :raises MissingToolError: there is none.
    """
    spec = util.find_spec("executorch")
    found = Path(spec.submodule_search_locations[0]) / "share" / "cmake" if spec is not None and spec.submodule_search_locations else None
    if found is None or not (found / "executorch-config.cmake").is_file():
        raise MissingToolError("no C++ SDK in the ExecuTorch wheel: pip install 'edgekit[executorch]'")
    return found


def libraries() -> Path:
    """Return the folder of ExecuTorch's shared libraries."""
    return sdk().parent.parent / "lib"


def build(folder: Path, *, arm: Path | None = None) -> Path:
    """Return the runner, built into ``folder``.

    :param arm: build it for arm64, with the SDK of the wheel that is unpacked there.

    :raises MissingToolError: no CMake, compiler or SDK. :raises ValueError: it does not compile.
    """
    if arm is None:
        _configure(folder)
    else:
        cross = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={ARM_COMPILER}")
        program(ARM_COMPILER, "tools/toolchains.py fetch aarch64")
        _configure(folder, f"-Dexecutorch_DIR={arm / 'executorch' / 'share' / 'cmake'}", *cross)
    _make(folder, "native_runner")
    return folder / "native_runner"


def library(folder: Path, *, java: bool = False) -> Path:
    """Return the runner's engine as a library for other languages, built into ``folder``.

    :param java: with the functions that Java calls. :raises MissingToolError: as :func:`build`, or no JDK. :raises ValueError: it does not compile.
    """
    _configure(folder, *((f"-DJNI_HEADERS={java_headers()}",) if java else ()))
    _make(folder, "latency_engine")
    return folder / "liblatency_engine.so"


def _make(folder: Path, target: str) -> None:
    try:
        run("cmake", "--build", str(folder), "-j1", "--target", target)
    except NoTimeError:
        shutil.rmtree(folder)  # half of an object file would be taken for a whole one
        raise


def _configure(folder: Path, *options: str) -> None:
    for name in ("cmake", "c++"):
        program(name, "apt-get install cmake g++")
    run("cmake", "-S", str(SOURCE), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", f"-Dexecutorch_DIR={sdk()}", *options)  # the last one counts


def artifact(folder: Path, model: str = EXITS, target: str = "executorch") -> Path:
    """Return a network as a file of a target, exported into ``folder`` by the code as it is now; the cache of exports knows whether it changed."""
    run(sys.executable, "-m", "edgekit", "export", model, "--target", target, "--output-dir", str(folder), "--overwrite", "--quiet")
    return min(folder.glob(f"{model}_*.{'pte' if target == 'executorch' else target}"))


def check(command: Callable[[Path], Sequence[str]], paths: Sequence[Path], *, preprocess: bool = False, once: bool = False) -> str:
    """Carry plans of artifacts out, and compare exits and outputs with Python's; says what was seen.

    :param command: what carries out process 0 of the plan in a folder. :param paths: one of them of a network with exits.
    :param preprocess: also time the preparation of a picture, which the native runner does not. :param once: one warm-up call and one sample.
    :raises ValueError: they differ. :raises edgekit.errors.ReportError: a report cannot be believed.
    """
    import numpy as np
    from attrs import evolve

    import edgekit
    from edgekit.device.build import Settings, build_plan
    from edgekit.device.integer_json import canonical, parse
    from edgekit.device.plan import Measure, Warmup
    from edgekit.device.report import report_from_json
    from edgekit.device.validate import check_report
    from edgekit.policy.policy import Policy

    opened = {path.name: edgekit.load_artifact(path) for path in paths}
    (network,) = (loaded for loaded in opened.values() if len(loaded.methods) > 1)
    exits, classes = len(network.methods), network.methods[0].outputs[0].shape[-1]
    errors: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        for last in (1, exits):  # the first exit takes everybody, or nobody leaves early
            policy = Policy(kind="max_softmax", exits=exits, classes=classes, thresholds=(0 if last == 1 else None,) * (exits - 1))
            plan = build_plan(paths, "android", Settings(samples=4, processes=1, preprocess=preprocess, policy=policy))
            if once:
                plan = evolve(plan, warmup=Warmup(min=1, max=1, window=1), measure=Measure(min=1, max=1))
            folder = Path(name) / f"run-{last}"
            folder.mkdir()
            for path in paths:
                shutil.copy(path, folder / path.name)
            (folder / "plan.json").write_text(canonical(plan.to_json()))
            run(*command(folder))
            report = report_from_json(parse((folder / "report-0.json").read_bytes(), "the report"))
            check_report(report, plan)
            errors += _errors(report, opened, policy, last, plan.seed)
    worst = float(np.max(errors))  # NaN if one is
    if not worst <= TOLERANCE:
        raise ValueError(f"outputs differ by {worst:g}, allowed {TOLERANCE:g}")
    return f"{', '.join(opened)}: exits 1 and {exits} of {exits}, outputs within {worst:.0e} of Python's"


def check_cut(runner: Path, path: Path) -> str:
    """End the runner in the middle of a run: what it had measured is kept and can be believed; says how much that was.

    :raises ValueError: nothing was kept. :raises edgekit.errors.ReportError: it cannot be believed.
    """
    from attrs import evolve

    from edgekit.device.build import Settings, build_plan
    from edgekit.device.integer_json import canonical, parse
    from edgekit.device.plan import Measure
    from edgekit.device.report import report_from_json
    from edgekit.device.validate import CUT, check_report

    plan = build_plan([path], "android", Settings(processes=1, preprocess=False))
    plan = evolve(plan, measure=Measure(min=10_000, max=10_000, max_ms=600_000))
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(path, name)
        Path(name, "plan.json").write_text(canonical(plan.to_json()))
        running = subprocess.Popen([str(runner), name, "0"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        partial, end = Path(name, "partial-0.json"), time.monotonic() + 120
        while not partial.exists() and running.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        before = partial.read_bytes() if partial.exists() else b""
        running.terminate()
        if running.wait(timeout=60) != 1 or not before or Path(name, "report-0.json").exists():
            raise ValueError("a run that was cut short kept nothing on the way, or is called whole")
        counts = []
        for content in (before, partial.read_bytes()):
            report = report_from_json(parse(content, "the report"))
            check_report(report, plan, partial=True)
            (result,) = report.results
            counts.append(len(result.samples_ns))
            if result.stop_reason != CUT:
                raise ValueError(f"a run that was cut short says it stopped by {result.stop_reason}")
    if counts[1] < counts[0]:
        raise ValueError(f"of {counts[0]} samples {counts[1]} were kept")
    return f"cut short after {counts[1]} samples, kept"


def check_methods(command: Callable[[Path], Sequence[str]], path: Path) -> str:
    """Run every method of an artifact elsewhere, each on what the one before handed on, and compare every output with this machine's.

    :param command: what reads ``INPUT.npy`` in a folder and writes ``METHOD.OUTPUT.npy`` there. :raises ValueError: they differ.
    """
    import numpy as np

    import edgekit
    from edgekit.device.noise import tensor

    loaded = edgekit.load_artifact(path)
    image = loaded.methods[0].inputs[0]
    known = {image.name: tensor(image.name, 0, image.shape, image.dtype)}
    worst, count = 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        np.save(Path(name) / f"{image.name}.npy", known[image.name])
        run(*command(Path(name)))
        for method in sorted(loaded.methods, key=lambda method: method.name):
            outputs = loaded.run(method.name, {spec.name: known[spec.name] for spec in method.inputs})
            for output, array in outputs.items():
                theirs = np.load(Path(name) / f"{method.name}.{output}.npy")
                if theirs.shape != array.shape or not float(np.abs(theirs - array).max()) <= TOLERANCE:
                    raise ValueError(f"{method.name}: {output} differs by {np.abs(theirs - array).max():g}, allowed {TOLERANCE:g}")
                worst, count = max(worst, float(np.abs(theirs - array).max())), count + 1
            known |= outputs
    return f"{path.name}: {len(loaded.methods)} methods, {count} outputs within {worst:.0e} of this machine's"


def _errors(report: "Report", opened: "dict[str, LoadedArtifact]", policy: "Policy", last: int, seed: int) -> list[float]:
    import numpy as np

    from edgekit.device.noise import tensor

    errors = []
    for result in report.results:
        if result.status != "ok":
            raise ValueError(f"{result.variant}: {result.status}: {result.error}")
        loaded = opened[result.variant]
        image = loaded.methods[0].inputs[0]
        given = tensor(image.name, seed, image.shape, image.dtype)
        if len(loaded.methods) > 1:
            answer = loaded.run_early_exit(given, policy)
            if set(result.exits or ()) != {last} or int(answer.exit[0]) != last:
                raise ValueError(f"{result.variant}: exit {result.exits} and {answer.exit}, not {last}")
            logits = answer.logits
        else:
            logits = loaded.run(loaded.methods[0].name, {image.name: given})["logits"]
        theirs = np.array(result.output_bits, np.uint32).view(np.float32)
        errors.append(float(np.abs(theirs - logits.reshape(-1)[: len(theirs)]).max()))
    return errors


class NoTimeError(Exception):
    """The time that was given is over."""


_end: list[float] = []


def end_at(moment: float) -> None:
    """Let what runs after ``moment`` of the monotonic clock end with :class:`NoTimeError`."""
    _end[:] = [moment]


def seconds_left() -> float | None:
    """Return how long there is; ``None``: as long as it takes.

    :raises NoTimeError: none is left.
    """
    if not _end:
        return None
    left = _end[0] - time.monotonic()
    if left <= 0:
        raise NoTimeError("no time is left")
    return left


def limited(command: Sequence[str], environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command within the time that is left.

    :raises NoTimeError: it takes longer; it is ended.
    """
    settings, left, pipe = os.environ | (environment or {}), seconds_left(), subprocess.PIPE
    with subprocess.Popen(command, env=settings, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as running:
        try:
            out, said = running.communicate(timeout=left)
        except subprocess.TimeoutExpired as error:
            os.killpg(running.pid, signal.SIGKILL)  # a compiler is often the child of a script
            raise NoTimeError(f"no time is left for {Path(command[0]).name}") from error
    return subprocess.CompletedProcess(command, running.returncode, out, said)


def run(*command: str, environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it prints.

    :raises ValueError: it ends with another code than 0. :raises NoTimeError: it takes longer than there is.
    """
    done = limited(command, environment)
    if done.returncode != 0:
        raise ValueError(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
