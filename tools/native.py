"""Builds the native runner on ExecuTorch's C++ SDK and runs real artifacts with it: the outputs have to be Python's, the reports valid."""

import shutil
import subprocess
import tempfile
from importlib import util
from pathlib import Path

from toolchains import MissingToolError, program

ROOT = Path(__file__).parent.parent
_MODEL = "chase-tiny"
_TOLERANCE = 1e-5
"""On the same machine both run the same kernels; threads may add up in another order."""


def build(folder: Path) -> Path:
    """Return the runner, built into ``folder``.

    :raises MissingToolError: no CMake, compiler or SDK. :raises ValueError: it does not compile.
    """
    for name in ("cmake", "c++"):
        program(name, "apt-get install cmake g++")
    spec = util.find_spec("executorch")
    sdk = Path(spec.submodule_search_locations[0]) / "share" / "cmake" if spec is not None and spec.submodule_search_locations else None
    if sdk is None or not (sdk / "executorch-config.cmake").is_file():
        raise MissingToolError("no C++ SDK in the ExecuTorch wheel: pip install 'edgekit[executorch]'")
    source = ROOT / "benchmarks" / "native_runner"
    _run("cmake", "-S", str(source), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", f"-Dexecutorch_DIR={sdk}")
    _run("cmake", "--build", str(folder), "-j1")
    return folder / "native_runner"


def artifact(folder: Path) -> Path:
    """Return a network with exits as an ExecuTorch file, exported into ``folder`` if it is not there."""
    import edgekit

    found = sorted(folder.glob("*.pte"))
    return found[0] if found else Path(edgekit.export(_MODEL, targets=["executorch"], output_dir=folder).artifacts[0].path)


def check(runner: Path, path: Path) -> str:
    """Run plans of an artifact with exits with the runner, and compare exit and logits with Python's.

    :raises ValueError: they differ. :raises edgekit.errors.ReportError: a report cannot be believed.
    """
    import numpy as np

    import edgekit
    from edgekit.device.build import Settings, build_plan
    from edgekit.device.integer_json import canonical, parse
    from edgekit.device.noise import tensor
    from edgekit.device.report import report_from_json
    from edgekit.device.validate import check_report
    from edgekit.policy.policy import Policy

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opened = edgekit.load_artifact(path)
        exits, classes = len(opened.methods), opened.methods[0].outputs[0].shape[-1]
        taken = []
        for last in (1, exits):  # the first exit takes everybody, or nobody leaves early
            policy = Policy(kind="max_softmax", exits=exits, classes=classes, thresholds=(0 if last == 1 else None,) * (exits - 1))
            plan = build_plan([path], "android", Settings(samples=4, processes=1, preprocess=False, policy=policy))
            work = folder / f"run-{last}"
            work.mkdir()
            shutil.copy(path, work / path.name)
            (work / "plan.json").write_text(canonical(plan.to_json()))
            _run(str(runner), str(work), "0")
            report = report_from_json(parse((work / "report-0.json").read_bytes(), "the report"))
            check_report(report, plan)
            (result,) = report.results
            if result.status != "ok":
                raise ValueError(f"{result.status}: {result.error}")
            image = opened.methods[0].inputs[0]
            answer = opened.run_early_exit(tensor(image.name, plan.seed, image.shape, image.dtype), policy)
            theirs = np.array(result.output_bits, np.uint32).view(np.float32)
            error = float(np.abs(theirs - answer.logits.reshape(-1)[: len(theirs)]).max())
            if set(result.exits or ()) != {int(answer.exit[0])} or not error <= _TOLERANCE:
                raise ValueError(f"exit {result.exits} and {answer.exit}, logits differ by {error:g}")
            taken.append(int(answer.exit[0]))
        return f"{_MODEL}: exits {taken[0]} and {taken[1]} of {exits}, logits as Python's"


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
