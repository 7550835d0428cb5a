"""Changes files at random, as damage and ill will do; seeded, so that what fails can be had again."""

import random

WORDS = tuple(
    word.encode()
    for word in (
        *("NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "1e-400", "18446744073709551616", "99999999999999999999999", "0.1", "true", "null"),
        *('""', "[]", "{}", "{", "}", "[", "]", '"', ",", ":", "=", "\\", "\\u0000", "\\ud800", "\n", "\r", "\x00", "\ufeff", "\u202e", "#"),
        *("../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "$(touch x)", "`id`", "; rm x", "| cat", "%s%n", "{0}", "\x1b[2J\x1b]0;x\x07"),
        *(
            "a" * 5000,
            "[" * 2000,
            '{"a":' * 2000,
            "9" * 5000,
            "9" * 400,
            "name.py:f",
            "os:system",
            "__import__",
            "-" * 40,
            "2026-11-21",
            "inf",
            "nan",
        ),
    )
)
IN_TEXT = ("word", "word", "word", "swap", "bit", "drop", "cut", "copy", "splice")
IN_BYTES = ("bit", "bit", "number", "number", "number", "drop", "cut", "copy", "splice")
NUMBERS = tuple(
    value.to_bytes(size, "little") for size in (1, 2, 4, 8) for value in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
)


def mutated(seeds: list[bytes], rng: random.Random, *, text: bool) -> bytes:
    """Return one of the seeds with one to six changes; ``text``: words of formats are put in, too."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _change(content, seeds, rng, text=text)
    return bytes(content)


def _change(content: bytearray, seeds: list[bytes], rng: random.Random, *, text: bool) -> None:
    place = rng.randrange(len(content) + 1)
    length = rng.choice((1, 1, 2, 4, 8, 32, 256))
    match rng.choice(IN_TEXT if text else IN_BYTES):
        case "word":
            content[place : place + rng.choice((0, 0, length))] = rng.choice(WORDS)
        case "swap":  # a value by a word, between two signs of the format
            signs = [index for index, sign in enumerate(content) if sign in b'{}[]:,="\n']
            if len(signs) > 1:
                first = rng.randrange(len(signs) - 1)
                content[signs[first] + 1 : signs[first + 1]] = rng.choice(WORDS)
        case "bit" if place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        case "number":
            number = rng.choice(NUMBERS)
            place -= place % len(number)
            content[place : place + len(number)] = number
        case "drop":
            del content[place : place + length]
        case "cut":
            del content[place:]
        case "copy":
            content[place:place] = content[place : place + length] * rng.choice((1, 2, 50))
        case "splice":
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            content[place:] = other[begin : begin + 4096]
