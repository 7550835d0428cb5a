"""The documentation: no rewrite without a page, no command line that edgekit would refuse, no link to nowhere, nothing fetched from elsewhere."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from edgekit.capture_texts import CAPTURE_TEXTS, VALUE_READS
from edgekit.cli.main import app
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES
from edgekit.targets.texts import CONVERTER_TEXTS, OPERATOR_HINTS

ROOT = Path(__file__).parents[2]
WRITTEN = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
WRITTEN["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "tools" / "docs_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(tool):
    return tool.pages()


def command_lines():
    """Every line of a block of code that calls edgekit, with where it stands."""
    for name, text in WRITTEN.items():
        for block in re.findall(r"```sh\n([^`]*)```|((?:^    [^\n]*\n)+)", text, re.MULTILINE):
            for line in "".join(block).splitlines():
                told = line.strip().removeprefix("$ ").split("   ")[0].split(" # ")[0].split(" > ")[0]
                if told.startswith("edgekit ") and "..." not in told:
                    yield pytest.param(told, id=f"{name}: {told}")


def parsed(line):
    """Parse a command line as far as its options, without running anything."""
    command, words, parent = typer.main.get_command(app), shlex.split(line)[1:], None
    while True:
        context = command.make_context("edgekit", list(words), parent=parent)
        if not hasattr(command, "resolve_command"):
            return context
        rest = [*context._protected_args, *context.args]
        _, command, words = command.resolve_command(context, rest)
        parent = context


@pytest.mark.parametrize("line", command_lines())
def test_each_command_line_is_one_that_edgekit_takes(line):
    assert parsed(line).params


def test_a_line_with_an_option_that_is_none_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        parsed("edgekit export emov2-1m --targets coreml")


def test_there_are_lines_of_every_page_that_has_commands():
    told = [line.id.partition(": ")[0] for line in command_lines()]
    assert {"README.md", "docs/own-model.md", "docs/sweeps.md", "docs/tutorials/chase.md"} <= set(told)
    assert len(told) >= 60


def test_every_rewrite_has_a_page_and_a_row(pages):
    names = [rewrite.name for rewrite in (*MODULE_REWRITES, *GRAPH_REWRITES)]
    for name in names:
        text = pages[f"rewrites/{name}.md"]
        assert text.startswith(f"# {name}\n")
        assert "before" in text
        assert "## Which targets get it" in text or "No target gets it" in text
        assert f"[{name}]({name}.md)" in pages["rewrites/index.md"]
    assert len(pages) == len(names) + 3


def test_a_page_says_which_target_gets_the_rewrite_and_by_which_measurement(pages):
    assert "| ONNX | imcnet-b16: 123 ms; one-hot 124, dense mask 169, ViT-B/16 344 |" in pages["rewrites/fixed_count_gather.md"]


def test_every_text_that_is_known_has_a_row(pages):
    rows = [line for line in pages["troubleshooting.md"].splitlines() if line.startswith("| <code>")]
    assert len(rows) == len(VALUE_READS) + len(CAPTURE_TEXTS) + len(CONVERTER_TEXTS) + len(OPERATOR_HINTS)
    assert not [row for row in rows if re.search(r"\(\?|\\[wdSbs.]|\[\^", row.split("</code>")[0])]


def test_what_was_executed_is_what_is_stored(tool, tmp_path):
    assert "No results of the modules are stored yet" in tool.pages(tmp_path)["support.md"]
    rows = [{"name": "Net", "target": "onnx", "passed": True}, {"name": "Net", "target": "tflite", "passed": False, "said": "no | kernel"}]
    document = {"what": "modules", "precision": "fp32", "day": "2026-01-02", "machine": "x86_64", "versions": {"torch": "1"}, "results": rows}
    (tmp_path / "zoo_modules.json").write_text(json.dumps(document))
    text = tool.pages(tmp_path)["support.md"]
    assert "| `Net` | not run | refused | not run | equal | not run |" in text
    assert "| `Net` | LiteRT | no \\| kernel |" in text


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: pip install 'edgekit[docs]'")
def test_the_site_is_built_without_warnings_and_fetches_nothing(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    site = tmp_path / "site"
    for page in site.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"(https?:|//)[^\"]*\"", page.read_text(encoding="utf-8"))
        assert not fetched, page
    assert (site / "rewrites" / "fold_batch_norm.html").is_file()
