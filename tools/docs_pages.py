"""The pages of the documentation that are made from the code and from stored results; MkDocs calls it, see ``mkdocs.yml``.

    rewrites/index.md, rewrites/<name>.md   every rewrite's docstring, and which target gets it, by which measurement
    support.md                              precisions, limits, and what was executed: benchmarks/results/zoo*.json
    troubleshooting.md                      every text of torch.export and of the converters that edgekit puts into words

Nothing is written here that is not in one of these: a page that is wrong is mended there.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.capabilities import TARGETS
from edgekit.capture_texts import CAPTURE_TEXTS, VALUE_READS
from edgekit.explanations import Explanation
from edgekit.rewrites.described import Description, described
from edgekit.targets.texts import CONVERTER_TEXTS, OPERATOR_HINTS

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
_NAMES = {"coreml": "Core ML", "tflite": "LiteRT", "executorch": "ExecuTorch", "onnx": "ONNX", "coreai": "Core AI"}


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages; MkDocs calls this hook once it knows the written ones."""
    from mkdocs.structure.files import File

    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def pages(results: Path = RESULTS) -> dict[str, str]:
    """Return every generated page by its place in the site."""
    said = described()
    found = {f"rewrites/{name}.md": "\n".join(_rewrite(description)) + "\n" for name, description in said.items()}
    found["rewrites/index.md"] = "\n".join(_rewrites(said)) + "\n"
    found["support.md"] = "\n".join(_support(results)) + "\n"
    found["troubleshooting.md"] = "\n".join(_troubleshooting()) + "\n"
    return found


def _rewrite(said: Description) -> Iterator[str]:
    yield f"# {said.name}\n"
    yield f"{_inline(said.title)}\n"
    yield f"```text\n{said.picture}\n```\n"
    yield "\n\n".join(part if part.startswith("|") else _inline(part) for part in said.text.split("\n\n")) + "\n"
    where = "modules, before the model is captured" if said.on_modules else "the captured program"
    yield f"It works on {where}. Each place is compared before and after.\n"
    rows = [(facts.name, form.measured) for facts in TARGETS for form in facts.forms if form.rewrite == said.name]
    if rows:
        yield "## Which targets get it\n"
        yield from _table(("target", "by this measurement"), [(_NAMES[target], measured) for target, measured in rows])
    else:
        yield "No target gets it: another form was faster or smaller on each. `edgekit inspect MODEL` counts what it would cost."


def _rewrites(said: Mapping[str, Description]) -> Iterator[str]:
    yield "# Rewrites\n"
    yield (
        "In the order in which they are applied. Which of them a target gets is a row with the measurement that chose it, never a branch on a "
        "name; `edgekit inspect MODEL` shows what becomes of each place of a model, by operator and line.\n"
    )
    wanted = {name: [_NAMES[facts.name] for facts in TARGETS if facts.wants(name)] for name in said}
    rows = [(f"[{name}]({name}.md)", description.title, ", ".join(wanted[name]) or "none") for name, description in said.items()]
    yield from _table(("rewrite", "what becomes of what", "targets"), rows)


def _support(results: Path) -> Iterator[str]:
    yield "# Support matrix\n"
    yield "Made from the rows that the program itself reads, and from stored results: what was executed, with the versions named there.\n"
    yield "## Precisions\n"
    yield "A reason in a cell is why the target is not written in it.\n"
    precisions = list(dict.fromkeys(row.name for facts in TARGETS for row in facts.precision_rows))
    rows = []
    for name in precisions:
        cells = [next((row for row in facts.precision_rows if row.name == name), None) for facts in TARGETS]
        rows.append((f"`{name}`", *("-" if cell is None else cell.refused or "yes" for cell in cells)))
    yield from _table(("", *_NAMES.values()), rows)
    yield "\n## Limits of the targets\n"
    limits = [(_NAMES[facts.name], limit.rule, str(limit.value), limit.breaks, limit.verified) for facts in TARGETS for limit in facts.limits]
    yield from _table(("target", "rule", "value", "what happens beyond it", "seen with"), limits)
    yield "\n## Small modules of patterns that converters refuse\n"
    yield from _outcomes(results / "zoo_modules.json", "modules")
    yield "\n## Public networks\n"
    yield from _outcomes(results / "zoo.json", "networks")


def _outcomes(file: Path, kind: str) -> Iterator[str]:
    if not file.exists():
        yield f"No results of the {kind} are stored yet; `make test-zoo` makes them."
        return
    document = json.loads(file.read_text(encoding="utf-8"))
    found = {(row["name"], row["target"]): row for row in document["results"]}
    names = list(dict.fromkeys(name for name, _ in found))
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    yield f"Exported in {document['precision']} and run on {document['day']}, {document['machine']}: {versions}. Weights are not trained.\n"
    counted = [sum(found.get((name, target), {}).get("passed", False) for name in names) for target in _NAMES]
    rows = [(f"**of {len(names)}**", *(f"**{count}**" for count in counted))]
    rows += [(f"`{name}`", *(_outcome(found.get((name, target))) for target in _NAMES)) for name in names]
    yield from _table(("", *_NAMES.values()), rows)
    refused = [row for row in document["results"] if not row["passed"]]
    if refused:
        yield "\nWhat is refused, and why:\n"
        yield from _table(("", "target", "what it said"), [(f"`{row['name']}`", _NAMES[row["target"]], row["said"]) for row in refused])


def _outcome(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not run"
    return "equal" if row["passed"] else "refused"


def _troubleshooting() -> Iterator[str]:
    yield "# Troubleshooting by error text\n"
    yield (
        "edgekit puts these texts into words where they come up, with the operator, your file and line; `--verbose` shows the original. "
        "What stands in angle brackets differs.\n"
    )
    yield "## A line of the model that reads a tensor's value\n"
    yield "torch.export stops there: a graph has to be known before any picture is.\n"
    yield from _explained("in the line", VALUE_READS)
    yield "\n## Texts of torch.export\n"
    yield from _explained("text", CAPTURE_TEXTS)
    yield "\n## Texts of converters and runtimes\n"
    yield from _explained("text", CONVERTER_TEXTS)
    yield "\n## Operators\n"
    yield "Where one of these is in the way, whatever the text says:\n"
    yield from _explained("operator", OPERATOR_HINTS)


def _explained(what: str, rows: Sequence[Explanation]) -> Iterator[str]:
    cells = [(_code(readable(row.pattern) or "anything else"), _angled(row.why), _angled(row.hint or "")) for row in rows]
    yield from _table((what, "what it means", "what to write instead"), cells, raw=True)


_GAPS = (
    (r"\\w\+", "<name>"),
    (r"\\S\+", "<name>"),
    (r"-\?\\d\+|\\d\+?", "<number>"),
    (r"\.\*\??", " ... "),
    (r"\\[bs][*+]?", ""),
    (r"\(\w+\)\?|'\?", ""),
    (r"s\? ", "s "),
    (r"\(minimum \)\?\\\[\?", ""),
)
"""Parts of a regular expression, and what stands for them in a text."""


def readable(pattern: str) -> str:
    """Return a regular expression as a text with gaps: named groups in angle brackets, what may be anything as dots."""
    whole = re.fullmatch(r"\(\?P<\w+>([^()|]*)\)", pattern)
    text = whole[1] if whole else re.sub(r"\(\?P<(\w+)>(?:\[[^\]]*\]|[^()\[\]]|\([^()]*\))*\)", r"<\1>", pattern)
    for expression, words in _GAPS:
        text = re.sub(expression, words, text)
    text = re.sub(r"\\(.)", r"\1", text.strip("^$")).replace("(<number>)", "<number>").replace("?:", "")
    return " ".join(text.replace("|", " | ").split())


def _angled(text: str) -> str:
    """Return a sentence with its gaps in angle brackets."""
    return html.escape(re.sub(r"\{(\w+)\}", r"<\1>", text), quote=False).replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def _code(text: str) -> str:
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"


def _inline(text: str) -> str:
    """Turn a docstring's double backticks into Markdown's single ones, and keep signs that Markdown would take for its own."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if number % 2 else _plain(part) for number, part in enumerate(parts))


def _plain(text: str) -> str:
    for sign, spelled in (("*", "\\*"), ("_", "\\_"), ("<", "&lt;")):
        text = text.replace(sign, spelled)
    return text


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, raw: bool = False) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "| --- " * len(header) + "|"
    for row in rows:
        yield "| " + " | ".join(cell if raw else _cell(cell) for cell in row) + " |"


def _cell(text: str) -> str:
    """Return a text that stays in its cell; links, code and bold are kept as they are."""
    if re.fullmatch(r"`[^`]+`|\[[\w.]+\]\([\w./]+\)|\*\*[^*]+\*\*", text):
        return text
    return _inline(html.escape(text, quote=False).replace("&lt;", "<")).replace("|", "\\|").replace("\n", "<br>")
