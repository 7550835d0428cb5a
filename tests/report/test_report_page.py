"""The page itself: that it is whole, says what is stored, and nothing that a file says becomes markup."""

import datetime as dt
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import attrs
import pytest

from edgekit.report import chart
from edgekit.report.build import build_report, make_page
from edgekit.report.evidence import gather
from edgekit.report.html import to_html
from edgekit.report.markdown import escaped, to_markdown
from edgekit.report.sections.pareto import Candidate, front

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
SVG = {"svg", "path", "rect", "circle", "line", "polyline", "text", "g", "use", "defs", "image"}


class Parsed(HTMLParser):
    """The elements of a page, and that each is closed where it should be."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in SVG | VOID, f"<{tag}/> is not closed in HTML"
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def made(folder):
    return make_page(gather([folder.path]), title="edgekit report", today=dt.date(2026, 11, 21))[0]


def parsed(folder):
    return Parsed(to_html(made(folder)))


def test_the_page_is_whole_and_refers_to_what_is_there(folder):
    page = parsed(folder.all())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name) is None or attributes[name] in ids
    links = [attributes["href"] for attributes in page.of("a")]
    assert len(links) > 5
    assert {link[1:] for link in links} <= set(ids)
    assert page.of("html")[0]["lang"] == "en"
    assert [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)][:2] == ["h1", "h2"]
    assert all(attributes.get("scope") in {"row", "col"} for attributes in page.of("th"))
    assert all({"tabindex", "role", "aria-labelledby"} <= a.keys() for a in page.of("div") if a.get("class") == "scroll")
    pictures = [attributes for attributes in page.of("div") if attributes.get("role") == "img"]
    assert len(pictures) == len(page.of("figure")) == len(page.of("figcaption")) >= 5
    assert all(attributes["aria-label"] for attributes in pictures)


def test_the_page_fetches_nothing_and_runs_nothing(folder):
    text = to_html(made(folder.all()))
    page = Parsed(text)
    assert not page.of("script") + page.of("link") + page.of("iframe") + page.of("object") + page.of("base")
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert "url(" not in text
    assert "@import" not in text
    policy = next(attributes["content"] for attributes in page.of("meta") if attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)> | [x](javascript:alert(3)) `a` *b* https://example.org {{ 7*7 }}'


def test_what_a_file_says_is_text_and_never_markup(folder):
    folder.manifest(
        model__name=HOSTILE,
        artifact__name=HOSTILE,
        tools={HOSTILE: HOSTILE},
        operators={HOSTILE: 3},
        notes=[HOSTILE],
        rewrites=[{"name": HOSTILE, "sites": [], "skips": [{"site": "a", "reason": HOSTILE}]}],
        parity__reason=HOSTILE,
    )
    folder.put("x.json", {"benchmark": HOSTILE, "model": HOSTILE, "rows": [{"variant": HOSTILE, "min_ms": 1}], "context": {"cpu": HOSTILE}})
    page = made(folder)
    text = to_html(page)
    parts = Parsed(text)
    assert not parts.of("script") + parts.of("img")
    assert "".join(data for _, data in parts.texts).count("<script>alert(1)</script>") >= 8
    assert "49" not in "".join(data for _, data in parts.texts if "example.org" in data)
    markdown = to_markdown(page)
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert re.search(r"(?<!\\)\]\(", markdown) is None
    assert "https://" not in markdown
    assert_tables_are_even(markdown)


def test_markdown_tables_have_as_many_cells_as_their_headers(folder):
    assert_tables_are_even(to_markdown(made(folder.all())))


def assert_tables_are_even(markdown):
    lines = markdown.splitlines()
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    begin = [number for number, line in enumerate(lines) if re.match(r"\| -{3}", line)]
    assert len(begin) > 5
    for number in begin:
        end = next(k for k in range(number, len(lines) + 1) if k == len(lines) or not lines[k].startswith("|"))
        assert set(widths[number - 1 : end]) == {widths[number]}
        assert end > number + 1


def test_words_keep_their_underscores_and_lose_their_line_ends():
    assert escaped("net_32_fp32\n_x_ a<b") == r"net_32_fp32 \_x\_ a&lt;b"


def cells(page, caption):
    tables = [block for section in page.sections for block in section.blocks if getattr(block, "caption", None) == caption]
    (found,) = tables
    return {row[0].text: dict(zip(found.header, row, strict=True)) for row in found.rows}


def test_not_executed_is_never_a_pass_and_untrained_is_said(folder):
    page = made(folder.all())
    row = cells(page, "Support by stored evidence")["net, 32 (untrained)"]
    assert (row["onnx"].text, row["onnx"].tone) == ("✓ executed fp32", "good")
    assert (row["executorch"].text, row["executorch"].tone) == ("not executed fp32", "open")
    assert row["tflite"].text == "–"
    each = cells(page, "Each artifact")
    assert each["net_32_fp32.pte"]["reason"].text == "nothing on this host runs Vulkan delegates"
    assert each["net_32_fp16.mlpackage"]["status"].text == "✓ interpreted"
    assert each["net_32_fp32.onnx"]["weights"].text == "untrained"
    assert each["net_32_fp32.onnx"]["sha256"].text == "a" * 16
    assert page.made.endswith("3 artifacts: 1 executed, 1 interpreted, 1 not executed; 3 with untrained weights.")


def test_the_worst_of_two_files_in_one_place_counts(folder):
    folder.manifest("a.onnx")
    folder.manifest("b.onnx", artifact__sha256="e" * 64, parity__verdict="fail")
    assert cells(made(folder), "Support by stored evidence")["net, 32 (untrained)"]["onnx"].text == "✗ failed fp32"


def test_numbers_stand_with_their_machine_and_missing_ones_are_called_missing(folder):
    page = made(folder.all())
    latency = next(section for section in page.sections if section.key == "latency")
    bench = next(block for block in latency.blocks if getattr(block, "caption", "") == "bench (bench.json)")
    assert "AMD EPYC; 1 core; 1 thread" in bench.note
    rows = [[cell.text for cell in row] for row in bench.rows]
    assert rows[0][:9] == ["net_32_fp32.onnx (untrained)", "onnx", "forward", "6.25", "6.75", "7.15", "12.50", "9.25", "31 MB"]
    assert rows[1][-2:] == ["0.88 (0.86 to 0.90)", "net_32_fp32.onnx"]
    folder.manifest("old.onnx", artifact__size_bytes=None, artifact__sha256="f" * 64, macs={"forward": None}, parameters=None)
    page = made(folder)
    assert "old.onnx" not in cells(page, "Bytes by section")
    assert cells(page, "Distance from eager")["net_32_fp32.pte"]["SQNR dB"].text == "missing"


def test_a_run_that_was_too_noisy_says_so(folder):
    import copy

    from stored_results import BENCH

    folder.put("bench.json", copy.deepcopy(BENCH) | {"comparisons": [], "refusal": "the machine was too noisy to compare"})
    text = to_markdown(made(folder))
    assert "Not compared: the machine was too noisy to compare." in text
    assert "## Size, time and accuracy" not in text


def test_exits_show_shares_costs_and_where_the_policy_lies(folder):
    row = cells(made(folder.all()), "Exits: policy.json")
    assert [row[name]["share"].text for name in ("exit 1", "exit 2", "exit 3")] == ["25.0%", "0.0%", "75.0%"]
    assert row["the policy"]["accuracy, all leaving here"].text == "81.0%"
    assert row["the policy"]["cost, million multiply-adds"].text == "4.75"


def test_profiles_say_where_time_goes_or_why_nobody_knows(folder):
    import copy

    from stored_results import BENCH

    rows = [
        {"name": "Conv", "ms": 3.0, "module": "stem", "line": "net.py:3, in forward", "calls": 1},
        {"name": "Gemm", "ms": 1.0, "module": None, "line": None, "calls": 2},
    ]
    told = {"artifact": "x/net_32_fp32.onnx", "method": "forward", "runs": 10}
    silent = {"artifact": "net_32_fp32.tflite", "method": "forward", "runs": 10, "rows": [], "note": "LiteRT tells nothing"}
    peak = {
        "artifact": "x/net_32_fp32.onnx",
        "method": "forward",
        "macs": 273_000_000,
        "bytes_moved": None,
        "min_ms": 6.25,
        "gmacs": 43.7,
        "share": 0.62,
    }
    ours = {"target": "onnx", "model": "net", "form": "edgekit", "operators": {"Reshape": 10, "Conv": 5}}
    graphs = [ours, ours | {"form": "naive", "operators": {"Reshape": 40, "Conv": 5}}]
    more = {
        "profiles": [told | {"rows": rows, "whole_ms": 4.5, "note": "optimised"}, silent],
        "roofline": {"peak_gmacs": 70.5, "threads": 1, "rows": [peak]},
        "graphs": graphs,
    }
    folder.put("bench.json", copy.deepcopy(BENCH) | more)
    page = made(folder)
    share = cells(page, "Share of the machine's peak (bench.json)")["net_32_fp32.onnx"]
    assert (share["of the peak"].text, share["bytes moved"].text) == ("62.0%", "missing")
    changed = cells(page, "Operators before and after: net on onnx (bench.json)")
    assert [changed[name]["change"].text for name in ("all operators", "Reshape", "Conv")] == ["-30", "-30", "0"]
    text = to_markdown(page)
    assert "Conv takes 75% of 4.00 ms." in text
    assert "| Conv | stem | net.py:3, in forward | 1 | 3.000 | 75.0% |" in text
    assert "No profile of net\\_32" not in text
    assert "No profile of net_32_fp32.tflite, forward (bench.json): LiteRT tells nothing." in text


def test_quantized_artifacts_are_judged_by_their_answers(folder):
    def draw(agreement, accuracy):
        answer = {"name": "logits", "agreement": agreement, "sqnr_db": 21.5, "accuracy": accuracy, "eager_accuracy": 0.8, "wins": 3, "losses": 9}
        return {"samples": 400, "answers": [answer]}

    quantized = {"scheme": {}, "data": {"name": "cifar10"}, "judged": [draw(0.97, 0.785), draw(0.96, 0.78), draw(0.975, None)]}
    folder.manifest("net_32_w8a8.tflite", recipe__precision="w8a8", recipe__target="tflite", quantization=quantized)
    folder.manifest("net_32_w4a32.tflite", recipe__precision="w4a32", artifact__sha256="c" * 64, quantization={"judged": []}, parity=None)
    found = cells(made(folder), "Quantized artifacts beside eager")
    row = found["net_32_w8a8.tflite"]
    shown = [row[name].text for name in ("pictures", "agreement", "over draws", "accuracy", "eager", "won", "lost")]
    assert shown == ["400", "97.0%", "96.0% to 97.5% (3)", "78.5%", "80.0%", "3", "9"]
    assert (found["net_32_w4a32.tflite"]["status"].text, found["net_32_w4a32.tflite"]["agreement"].text) == ("not stored", "missing")


def test_the_front_holds_models_apart_unless_their_accuracy_is_known():
    def one(model, ms, size, accuracy=None):
        return Candidate(name="x", model=model, target="onnx", ms=ms, size_bytes=size, accuracy=accuracy, trained=None, run="r")

    assert front([one("a", 5, 10), one("a", 6, 9), one("a", 6, 11), one("b", 50, 100)]) == (True, True, False, True)
    assert front([one("a", 5, 10, 0.8), one("b", 6, 11, 0.7), one("c", 6, 11, 0.9)]) == (True, False, True)
    assert front([one("a", 5, 10), one("a", 5, 10)]) == (True, True)
    elsewhere = attrs.evolve(one("b", 6, 11, 0.7), accuracy_on="other pictures")
    assert front([one("a", 5, 10, 0.8), elsewhere]) == (True, True)


def test_a_real_export_is_read_as_it_was_written(onnx_artifact, tmp_path, cli):
    ran = cli("report", onnx_artifact.parent, "-o", tmp_path / "out", "--json")
    document = ran.document()
    (row,) = document["artifacts"]
    assert (row["status"], row["executed_by"], row["name"]) == ("executed", "onnxruntime", onnx_artifact.name)
    assert row["size_bytes"] == onnx_artifact.stat().st_size
    text = (tmp_path / "out" / "edgekit-report.html").read_text()
    Parsed(text)
    assert "SQNR by sample" in text
    assert "/" + tmp_path.name not in text


def test_the_same_evidence_gives_the_same_bytes(folder, tmp_path):
    folder.all()
    first = build_report([folder.path], output_dir=tmp_path / "a", today=dt.date(2026, 11, 21))
    again = build_report([folder.path], output_dir=tmp_path / "b", today=dt.date(2026, 11, 21))
    assert first.html.read_bytes() == again.html.read_bytes()
    assert first.markdown.read_bytes() == again.markdown.read_bytes()


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [5e-5, 3e5], [-3.0, -1.0], [100, 101, 102], [0.1 + 0.2, 0.3]])
def test_axes_hold_their_values_between_round_marks(values):
    axis = chart.linear("x", values)
    assert all(0 <= axis.place(value) <= 1 for value in values)
    assert 2 <= len(axis.ticks) <= 7
    assert axis.low <= axis.ticks[0][0]
    if min(values) > 0:
        axis = chart.logarithmic("x", values)
        assert all(0 <= axis.place(value) <= 1 for value in values)
        assert all(axis.low <= value <= axis.high for value, _ in axis.ticks)


def test_pictures_are_well_formed_and_histograms_count_everything():
    values = [90.0, 90.0, 100.0, 122.5, 130.0]
    picture = ET.fromstring(str(chart.histogram(values, "SQNR <dB>", limit=80)))
    bars = [float(bar.get("height")) for bar in picture.iter("rect")]
    unit = min(bars)
    assert sum(round(bar / unit) for bar in bars) == len(values)
    assert any(text.text == "SQNR <dB>" for text in picture.iter("text"))
    marks = [chart.Point(x=1, y=1, label=letter) for letter in "AB"]
    axis = chart.linear("x", [0, 2])
    tags = [text for text in ET.fromstring(str(chart.points(marks, axis, axis))).iter("text") if text.get("class") == "tag"]
    assert len({(text.get("x"), text.get("y")) for text in tags}) == 2
