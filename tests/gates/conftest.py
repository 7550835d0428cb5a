"""Files of budgets for the tests' ONNX artifact."""

import pytest

from edgekit.artifact import read_manifest

AGREED = 'owner = "tests", date = 2026-11-21, reason = "because"'


@pytest.fixture
def write_budgets(tmp_path):
    """Write a file of budgets for one artifact: a line of TOML for each, without what every budget needs."""

    def write(*lines, name="net-build_32_fp32.onnx", tools='torch = "2.13.0", onnx = "1.23.2"', head="schema_version = 1\n"):
        rows = "\n".join(f"    {{ {line}, {AGREED} }},  # kept" for line in lines)
        path = tmp_path / "budgets.toml"
        path.write_text(f'{head}\n[[artifact]]  # the only one\nname = "{name}"\ntools = {{ {tools} }}\nbudgets = [\n{rows}\n]\n')
        return path

    return write


@pytest.fixture
def versions(onnx_artifact):
    """The tools that the artifact was made with."""
    return read_manifest(onnx_artifact).document["tools"]
