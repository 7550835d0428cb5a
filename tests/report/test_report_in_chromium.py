"""The page in a browser: at 360 pixels nothing scrolls sideways but tables, and every text can be read in light and in dark."""

import datetime as dt
import html
import json
import os
import shutil
import subprocess

import pytest

from edgekit.report.build import make_page
from edgekit.report.evidence import gather
from edgekit.report.html import to_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (360, 1280)
PROBE = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="%(scheme)s"><title>probe</title>
%(frames)s<pre id="answer"></pre><script>
function channels(text) { return text.match(/[\\d.]+/g).map(Number); }
function light(text) {
  const [r, g, b] = channels(text).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const colour = view.getComputedStyle(e).backgroundColor;
    if ((channels(colour)[3] ?? 1) === 1) return colour;
  }
  return "none";
}
onload = () => {
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, view = frame.contentWindow, width = frame.clientWidth;
    for (const details of page.querySelectorAll("details")) details.open = true;
    let least = [99, ""], small = [99, ""], wide = [];
    for (const e of page.querySelectorAll("body *")) {
      const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
      if (!own || e.closest("defs") || e.className === "skip") continue;
      const style = view.getComputedStyle(e);
      const [a, b] = [light(e instanceof view.SVGElement ? style.fill : style.color), light(behind(e, view))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < least[0]) least = [contrast, e.outerHTML.slice(0, 120)];
      const scale = e.ownerSVGElement ? e.ownerSVGElement.getBoundingClientRect().width / 360 : 1;
      if (parseFloat(style.fontSize) * scale < small[0]) small = [parseFloat(style.fontSize) * scale, e.outerHTML.slice(0, 120)];
      if (!e.closest(".scroll") && e.getBoundingClientRect().right > width + 0.5) wide.push(e.outerHTML.slice(0, 120));
    }
    const root = page.documentElement;
    const unreachable = [...page.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth && e.tabIndex !== 0).length;
    found.push({width, scroll: root.scrollWidth, client: root.clientWidth, least, small, wide, unreachable,
                tables: page.querySelectorAll(".scroll").length, background: view.getComputedStyle(page.body).backgroundColor});
  }
  document.getElementById("answer").textContent = JSON.stringify(found);
};
</script>"""


@pytest.fixture
def seen(folder, tmp_path):
    """Return a function that shows a page in both widths and tells what was measured there."""
    if CHROMIUM is None:
        pytest.skip("NO BROWSER: chromium is not installed, so nobody looked at the page's layout and contrast")
    folder.all().manifest("a_rather_long_name_" * 6 + ".tflite", recipe__target="tflite", artifact__sha256="e" * 64)
    text = to_html(make_page(gather([folder.path]), title="edgekit report", today=dt.date(2026, 11, 21))[0])

    def show(scheme):
        frames = "".join(f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{html.escape(text)}"></iframe>' for width in WIDTHS)
        probe = tmp_path / "probe.html"
        probe.write_text(PROBE % {"scheme": scheme, "frames": frames}, encoding="utf-8")
        flags = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--window-size=1800,1000"]
        flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        done = subprocess.run([CHROMIUM, *flags, "--dump-dom", probe.as_uri()], capture_output=True, timeout=120, check=True)
        answer = done.stdout.decode().partition('<pre id="answer">')[2].partition("</pre>")[0]
        return json.loads(html.unescape(answer))

    return show


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_on_a_phone_and_on_a_desk(seen, scheme):
    found = seen(scheme)
    assert [row["width"] for row in found] == list(WIDTHS)
    for row in found:
        assert row["scroll"] == row["client"]
        assert row["wide"] == []
        assert row["tables"] > 5
        assert row["unreachable"] == 0
        assert row["least"][0] >= 4.5, row["least"]
        assert row["small"][0] >= 9.5, row["small"]
        assert row["background"] == ("rgb(20, 23, 26)" if scheme == "dark" else "rgb(255, 255, 255)")
