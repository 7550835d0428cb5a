"""Lets atheris look for files that reach new lines of a reader's Python, in a process of its own; it sees no line of what is compiled.

python guided.py READER ARTIFACTS SECONDS        as :func:`search` calls it: ends as libFuzzer ends a process
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LONGEST_S, MOST_MB, MOST_CASE_BYTES = 10, 2048, 65_536
_FIGURES = {"cases": r"stat::number_of_executed_units:\s+(\d+)", "peak_mb": r"stat::peak_rss_mb:\s+(\d+)", "covered": r"DONE\s+cov: (\d+)"}


def search(name: str, artifacts: Path, seconds: int) -> dict:
    """Search so many seconds; return how many files were read, how many places of the code that reached, and what went wrong, if anything did."""
    command = [sys.executable, __file__, name, str(artifacts.resolve()), str(seconds)]
    with tempfile.TemporaryDirectory(prefix="guided-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, cwd=folder, timeout=seconds + 600)
        found = [file for file in Path(folder).iterdir() if file.name.startswith(("crash-", "timeout-", "oom-"))]
        case = found[0].read_bytes().hex()[:4096] if found else None
    figures = {key: int(match[1]) if (match := re.search(pattern, done.stderr)) else None for key, pattern in _FIGURES.items()}
    return {
        "reader": name,
        **figures,
        "ended": done.returncode,
        "case": case,
        "said": None if done.returncode == 0 else _cause(done.stdout + done.stderr),
    }


def _cause(text: str) -> str:
    """Return what an error says, out of all that libFuzzer prints."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for beginning in (r"[\w.]*(Error|Exception|Exit|Interrupt)\b", r"==\d+== ?ERROR", r""):
        if found := [line for line in lines if re.match(beginning, line)]:
            return found[0][:300]
    return "nothing"


def _fuzz(name: str, artifacts: Path, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["edgekit", "tomllib", "json"]):
        import every_reader

        from edgekit.errors import EdgekitError

    folder = Path.cwd()
    every = every_reader.every_reader(every_reader.artifacts_in(artifacts), folder, folder / "canary")
    reader = next(each for each in every if each.name == name)
    corpus, place = folder / "corpus", folder / "case" / reader.place
    corpus.mkdir()
    place.parent.mkdir(parents=True)
    reader.around(folder / "case")
    for number, seed in enumerate(reader.seeds):
        (corpus / str(number)).write_bytes(seed)

    def one(content: bytes) -> None:
        place.unlink(missing_ok=True)
        place.write_bytes(content)
        with contextlib.suppress(EdgekitError):
            reader.read(place)

    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
    limits = [f"-max_total_time={seconds}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={resident + MOST_MB}", f"-max_len={MOST_CASE_BYTES}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, "-print_final_stats=1"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
