"""The command line answers at once: it imports what a command needs, when it needs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EDGEKIT = Path(sys.executable).with_name("edgekit")
HEAVY = {
    "torch",
    "numpy",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "coremltools",
    "litert_torch",
    "ai_edge_litert",
    "executorch",
    "jax",
    "tensorflow",
    "PIL",
    "pyarrow",
}


@pytest.mark.alone
def test_help_answers_in_under_300_ms(processor_seconds):
    assert min(processor_seconds([EDGEKIT, "--help"]) for _ in range(5)) < 0.3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["export", "--help"],
        ["policy", "fit", "--help"],
        ["models"],
        ["targets", "--json"],
        ["data", "list"],
        ["doctor"],
        ["export", "emov2-1m", "-t", "nope"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments):
    program = (
        "import sys, json, contextlib, io\n"
        "from edgekit.cli.main import main\n"
        f"sys.argv = ['edgekit', *{arguments!r}]\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = json.loads(ran.stdout)
    assert "edgekit.cli.main" in loaded
    assert {name for name in loaded if name.partition(".")[0] in HEAVY} == set()


def test_importing_edgekit_is_light():
    program = "import sys, edgekit; print(edgekit.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split()[1:] == ["False", "False"]
