"""Says what a file is by its first bytes, for errors about a file that is not what its name promises."""

import string

_PRINTABLE = frozenset(string.printable.encode())
_STARTS = (
    (b"PK", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF"),
)


def describe(content: bytes) -> str:
    """Return a few words about what a file's content looks like, with its size in bytes."""
    size = f"{len(content)} bytes"
    if not content:
        return "an empty file"
    for start, kind in _STARTS:
        if content.startswith(start):
            return f"{kind}, {size}"
    if content[4:8] == b"TFL3":
        return f"a TFLite flatbuffer, {size}"
    if content[4:6] == b"ET":
        return f"an ExecuTorch program, {size}"
    head = content[:64]
    if all(byte in _PRINTABLE for byte in head):
        return f"text, {size}"
    return f"{size} that start with {head[:8].hex(' ')}"
