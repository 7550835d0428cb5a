"""What was answered on each picture, in integers; parts of it, in whatever number and order, make the same whole.

    {"answers": ["exit_1", "exit_2"], "count": 2500, "sha256": ...}\n       then, deflated, rows of int32 in little endian:
    position  label  (top1  rank  confidence) of the first answer, of the second, ...

A position is the picture's place in the seeded order of its set, so a whole is all positions, each once. ``label`` and ``top1`` are classes,
-1 for a picture that cannot be read; ``rank`` is how many classes come before the label (0: it is right; of equal logits the lower class
comes first); ``confidence`` is in millionths, -1 where the network gives none. All figures are counts of these divided by their number, so nothing
is rounded before the last step.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from edgekit.errors import EvidenceError

Array = np.ndarray
_MOST_PICTURES, _MOST_ANSWERS = 10_000_000, 100
_FIRST, _EACH = 2, 3
_MOST_UNREADABLE = 0.01
_TOP = 5


@frozen(kw_only=True)
class Predictions:
    """``rows``: int32 ``(N, 2 + 3 * answers)``, sorted by position; ``answers``: their names, the network's own answer last."""

    answers: tuple[str, ...]
    rows: Array = field(repr=False, eq=False)

    @property
    def positions(self) -> Array:
        """Places in the order of the set, int32 ``(N,)``."""
        return self.rows[:, 0]

    @property
    def readable(self) -> Array:
        """Which pictures could be read, bool ``(N,)``."""
        return self.rows[:, 1] >= 0

    def top1(self, number: int) -> Array:
        """Return the classes that an answer gave, int32 ``(N,)``; ``number``: its place among the answers, -1 for the last."""
        return self.rows[:, self._column(number)]

    def right(self, number: int, first: int = 1) -> Array:
        """Return where the label is among an answer's ``first`` classes, bool ``(N,)``."""
        rank = self.rows[:, self._column(number) + 1]
        return (rank >= 0) & (rank < first)

    def _column(self, number: int) -> int:
        return _FIRST + _EACH * (number % len(self.answers))


def rows_of(logits: Array, label: int, confidence: float | None) -> tuple[int, int, int]:
    """Return class, rank of the label and confidence in millionths of one answer.

    :param logits: ``(classes,)``. :param label: below the number of classes.
    """
    values = np.where(np.isnan(logits), -np.inf, logits)
    before = (values > values[label]) | ((values == values[label]) & (np.arange(len(values)) < label))
    sure = -1 if confidence is None or not np.isfinite(confidence) else int(np.floor(np.float32(1e6) * np.float32(confidence)))
    return int(values.argmax()), int(before.sum()), sure


def packed(found: Predictions) -> bytes:
    """Return predictions as bytes."""
    body = np.ascontiguousarray(found.rows, "<i4").tobytes()
    head = {"answers": list(found.answers), "count": len(found.rows), "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(head, sort_keys=True).encode() + b"\n" + zlib.compress(body, 6)


def unpacked(content: bytes) -> Predictions:
    """Read predictions.

    :raises EvidenceError: these are none, or they were changed.
    """
    head, _, body = content.partition(b"\n")
    try:
        told: dict[str, Any] = json.loads(head)
        answers, count, sha256 = tuple(map(str, told["answers"])), int(told["count"]), told["sha256"]
        width = _FIRST + _EACH * len(answers)
        fits = 0 <= count <= _MOST_PICTURES and 1 <= len(answers) <= _MOST_ANSWERS
        data = zlib.decompressobj().decompress(body, 4 * width * count + 1) if fits else b""
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise EvidenceError("stored predictions cannot be read", why=f"{type(error).__name__}: {error}") from error
    if not fits or len(data) != 4 * width * count or hashlib.sha256(data).hexdigest() != sha256:
        raise EvidenceError("stored predictions are not what they say", what=f"{len(data)} bytes for {count} pictures, {len(answers)} answers")
    return Predictions(answers=answers, rows=np.frombuffer(data, "<i4").reshape(count, width))


def merged(parts: Sequence[Predictions], pictures: int) -> Predictions:
    """Put parts together, in whatever order: every position from 0 to ``pictures`` once.

    :raises EvidenceError: a position is missing or there twice, the parts have other answers, or more than one picture in a hundred cannot be read.
    """
    if not parts or len({part.answers for part in parts}) > 1:
        raise EvidenceError("parts of an evaluation do not belong together", what=f"{len(parts)} parts")
    rows = np.concatenate([part.rows for part in parts])
    rows = rows[rows[:, 0].argsort(kind="stable")]
    if len(rows) != pictures or not np.array_equal(rows[:, 0], np.arange(len(rows))):
        raise EvidenceError("parts of an evaluation do not make a whole", what=f"{len(rows)} rows for {pictures} pictures")
    whole = Predictions(answers=parts[0].answers, rows=rows)
    unreadable = int((~whole.readable).sum())
    if unreadable > _MOST_UNREADABLE * pictures:
        raise EvidenceError(f"{unreadable} of {pictures} pictures cannot be read", why="what remains might not stand for the whole")
    return whole


def figures(found: Predictions, eager: Predictions, answer: int = -1) -> dict[str, Any]:
    """Return what an artifact's last answer is worth beside eager's ``answer`` on the same pictures: shares from 0 to 1, and counts.

    :raises EvidenceError: eager was asked for fewer pictures.
    """
    if len(eager.rows) < len(found.rows):
        raise EvidenceError("eager was asked for fewer pictures than the artifact", what=f"{len(eager.rows)} and {len(found.rows)}")
    count = len(found.rows)
    used = found.readable & eager.readable[:count]
    pictures = int(used.sum())
    if not pictures:
        raise EvidenceError("no picture can be read")
    ours, theirs = found.right(-1)[used], eager.right(answer)[:count][used]
    return {
        "pictures": pictures,
        "unreadable": count - pictures,
        "accuracy": int(ours.sum()) / pictures,
        "accuracy_top5": int(found.right(-1, _TOP)[used].sum()) / pictures,
        "eager_accuracy": int(theirs.sum()) / pictures,
        "agreement": int((found.top1(-1)[used] == eager.top1(answer)[:count][used]).sum()) / pictures,
        "wins": int((ours & ~theirs).sum()),
        "losses": int((theirs & ~ours).sum()),
        "exits": {name: int(found.right(number)[used].sum()) / pictures for number, name in enumerate(found.answers)},
    }
