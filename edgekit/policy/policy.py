"""An early-exit policy as a value and as a file.

    {"schema_version": 1, "kind": "max_softmax", "model": "chase-imagenet", "exits": 7, "classes": 1000, "fingerprint": "9f2c...",
     "thresholds": [0.91, null, ...], "thresholds_micro": [910000, null, ...], "temperatures": null, "patience": null, "exit": null,
     "costs": {...}, "fitted": {...}, "expected": {...}}

``kind`` says which members count: ``thresholds_micro`` (``max_softmax``, ``entropy``, ``margin``; K-1 of them, null: nobody leaves there,
0: everybody who has a confidence), ``patience``, or ``exit`` (``anytime``, from 1); the others are null. The integers decide, see
:mod:`edgekit.policy.confidences`; ``thresholds`` are the same as float32 for people and for graphs. ``temperatures`` (K-1) divide the
logits first.

``fingerprint`` is over model, exits and classes. A policy whose ``model`` is null was fitted without a name and fits any network of
that many exits and classes.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, field, frozen

from edgekit.artifact import staging
from edgekit.errors import BadInputError, OutputError, PolicyError
from edgekit.policy.confidences import MICRO, as_float32
from edgekit.policy.costs import METRICS, Costs
from edgekit.policy.families import KINDS
from edgekit.policy.logits import MAX_CLASSES, MAX_EXITS
from edgekit.policy.replay import Exits, Outcome, leave_at, leave_by_patience, leave_by_thresholds
from edgekit.policy.scores import Scores
from edgekit.policy.strict_json import Fields, read_json

SCHEMA = 1
OBJECTIVES = ("budget_macs", "budget_ms", "target_accuracy")


@frozen(kw_only=True)
class Fitted:
    """How a policy was chosen.

    :param objective: one of ``OBJECTIVES``.
    :param limit: the budget a sample, or the accuracy.
    :param cost: ``macs`` or ``ms``: what was kept within the budget, or made small.
    :param q: of the budgeted-batch rule; ``None`` for kinds without thresholds.
    :param sha256: of the validation logits and labels.
    """

    objective: str
    limit: float
    cost: str
    q: float | None
    samples: int
    labelled: bool
    calibrated: bool
    sha256: str


@frozen(kw_only=True)
class Policy:
    """Where samples leave a network of K exits.

    :param kind: one of :data:`edgekit.policy.families.KINDS`.
    :param model: name of the network; ``None``: any.
    :param thresholds: K-1 micro-units, ``None``: nobody leaves there; ``None`` altogether for other kinds.
    :param temperatures: of every exit but the last; ``None``: 1.
    :param patience: how many exits in a row have to agree.
    :param exit: where everybody leaves, from 1.
    :param costs: of reaching each exit.
    :param fitted: how it was chosen; ``None``: written by hand.
    :param expected: what it did on the validation samples.
    :raises PolicyError: members that contradict each other.
    """

    kind: str
    model: str | None = None
    exits: int
    classes: int
    thresholds: tuple[int | None, ...] | None = None
    temperatures: tuple[float, ...] | None = None
    patience: int | None = None
    exit: int | None = None
    costs: Costs = field(factory=Costs)
    fitted: Fitted | None = None
    expected: Outcome | None = None

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PolicyError(f"unknown kind of policy {self.kind!r}", what=f"kinds: {', '.join(KINDS)}")
        if not 2 <= self.exits <= MAX_EXITS or not 2 <= self.classes <= MAX_CLASSES:
            raise PolicyError(
                f"a policy for {self.exits} exits and {self.classes} classes", why=f"exits are 2 to {MAX_EXITS}, classes 2 to {MAX_CLASSES}"
            )
        needs = {"patience": "patience", "anytime": "exit"}.get(self.kind, "thresholds")
        for name in ("thresholds", "patience", "exit"):
            if (getattr(self, name) is None) == (name == needs):
                raise PolicyError(f"a policy of kind {self.kind} {'lacks' if name == needs else 'has'} {name}", hint=f"its only rule is {needs}")
        self._check_values()
        try:
            self.costs.check(self.exits)
        except BadInputError as error:
            raise PolicyError(error.summary, what=error.what, hint=error.hint) from error

    def _check_values(self) -> None:
        before_last = self.exits - 1
        for name, values in (("thresholds", self.thresholds), ("temperatures", self.temperatures)):
            if values is not None and len(values) != before_last:
                raise PolicyError(f"{len(values)} {name} for {self.exits} exits", why=f"{before_last}: one for every exit but the last")
        for k, threshold in enumerate(self.thresholds or (), start=1):
            if threshold is not None and not 0 <= threshold <= MICRO:
                raise PolicyError(f"the threshold of exit {k} is {threshold} micro-units", why=f"confidences are 0 to {MICRO}", hint="null: nobody")
        if self.temperatures is not None and self.thresholds is None:
            raise PolicyError(f"a policy of kind {self.kind} has temperatures", why="they change confidences, and it asks for none")
        for k, temperature in enumerate(self.temperatures or (), start=1):
            if not 1e-6 <= temperature <= 1e6:
                raise PolicyError(f"the temperature of exit {k} is {temperature}", why="logits are divided by it", hint="1.0 changes nothing")
        if self.patience is not None and not 2 <= self.patience <= MAX_EXITS:
            raise PolicyError(f"a patience of {self.patience} exits", why="it takes two exits to agree", hint="2 or more")
        if self.exit is not None and not 1 <= self.exit <= self.exits:
            raise PolicyError(f"there is no exit {self.exit}", what=f"the network has {self.exits}, counted from 1")

    @property
    def fingerprint(self) -> str:
        """Sha256 of what the policy belongs to: model, exits, classes."""
        return hashlib.sha256(json.dumps([self.model, self.exits, self.classes]).encode()).hexdigest()

    @property
    def float_thresholds(self) -> tuple[float | None, ...] | None:
        """The thresholds as float32: a float32 confidence reaches one exactly if its micro-units reach the integer."""
        return None if self.thresholds is None else tuple(None if value is None else as_float32(value) for value in self.thresholds)

    def check(self, *, exits: int, classes: int, model: str | None = None) -> None:
        """Refuse a network that the policy was not made for.

        :param model: its name; ``None``: not known, which is not compared.
        :raises PolicyError: another number of exits or classes, or another name.
        """
        if (exits, classes) != (self.exits, self.classes):
            raise PolicyError(
                "the policy is for another network",
                what=f"it is for {self.exits} exits and {self.classes} classes" + (f" ({self.model})" if self.model else ""),
                why=f"this one has {exits} exits and {classes} classes",
                hint="fit a policy on this network's logits",
            )
        if None not in (model, self.model) and model != self.model:
            raise PolicyError("the policy is for another network", what=f"it is for {self.model}, not {model}", hint="fit one for this network")

    def exits_of(self, scores: Scores) -> Exits:
        """Return where each sample leaves, ``(N,)`` from 0; ``scores`` have to be of this kind and these temperatures.

        :raises PolicyError: of another number of exits or classes.
        """
        self.check(exits=scores.exits, classes=scores.classes)
        if self.thresholds is not None:
            return leave_by_thresholds(scores.micro, self.thresholds)
        if self.patience is not None:
            return leave_by_patience(scores.named, self.patience)
        return leave_at(scores.samples, self.exit or self.exits)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema_version": SCHEMA,
            "kind": self.kind,
            "model": self.model,
            "exits": self.exits,
            "classes": self.classes,
            "fingerprint": self.fingerprint,
            "thresholds": _listed(self.float_thresholds),
            "thresholds_micro": _listed(self.thresholds),
            "temperatures": _listed(self.temperatures),
            "patience": self.patience,
            "exit": self.exit,
            "costs": costs_json(self.costs),
            "fitted": None if self.fitted is None else attrs.asdict(self.fitted),
            "expected": None if self.expected is None else outcome_json(self.expected),
        }


def costs_json(costs: Costs) -> dict[str, Any]:
    """Return costs as plain JSON values."""
    return {metric: _listed(costs.of(metric)) for metric in METRICS}


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain JSON values, shares included."""
    return {
        "accuracy": outcome.accuracy,
        "macs": outcome.macs,
        "ms": outcome.ms,
        "bytes": outcome.bytes,
        "counts": list(outcome.counts),
        "shares": list(outcome.shares),
        "exit_accuracy": _listed(outcome.exit_accuracy),
        "leaver_accuracy": _listed(outcome.leaver_accuracy),
    }


def write_policy(policy: Policy, path: Path) -> None:
    """Write a policy in one step: killed at any moment, the old file is there or the new one. Equal policies are equal bytes.

    :raises OutputError: the folder cannot be written.
    """
    place_file(path, (json.dumps(policy.to_json(), indent=2, allow_nan=False) + "\n").encode())


def place_file(path: Path, content: bytes) -> None:
    """Put a file in place in one step.

    :raises OutputError: the folder cannot be written, or a folder lies in the file's place.
    """
    with staging(path.parent) as folder:
        staged = folder / path.name
        try:
            with staged.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(path)
        except OSError as error:
            raise OutputError(f"cannot write {path.name}", where=str(path.parent), why=error.strerror or str(error)) from error


def read_policy(path: Path) -> Policy:
    """Read a policy back.

    :raises PolicyError: missing, no policy, of another schema version, or members that are unknown, missing, of the wrong type or
        length, not finite, or that contradict each other.
    """
    return policy_from_json(read_json(path, PolicyError, "a policy"), path.name)


def policy_from_json(document: Any, where: str) -> Policy:
    """Make a policy of its JSON values.

    :param where: what errors call it.
    :raises PolicyError: as :func:`read_policy`.
    """
    if isinstance(document, dict) and document.get("schema_version", SCHEMA) != SCHEMA:
        raise PolicyError(
            f"{where} has schema version {document['schema_version']!r:.40}", what=f"this edgekit reads version {SCHEMA}", hint="fit it again"
        )
    fields = Fields(document, tuple(_EMPTY.to_json()), where, PolicyError)
    if fields.is_null("schema_version") or fields.integer("schema_version") != SCHEMA:
        raise PolicyError(f"{where} has no schema version")
    exits = fields.integer("exits")
    before_last = max(exits - 1, 0)
    thresholds: tuple[int | None, ...] | None = None
    if not fields.is_null("thresholds_micro"):
        row = fields.row("thresholds_micro", before_last)
        if not all(value is None or (isinstance(value, int) and not isinstance(value, bool)) for value in row):
            raise PolicyError(f"{where}: thresholds_micro has to be integers and nulls", what=f"{row!r:.80}")
        thresholds = tuple(row)
    policy = Policy(
        kind=fields.text("kind"),
        model=None if fields.is_null("model") else fields.text("model"),
        exits=exits,
        classes=fields.integer("classes"),
        thresholds=thresholds,
        temperatures=None if fields.is_null("temperatures") else fields.numbers("temperatures", before_last),
        patience=None if fields.is_null("patience") else fields.integer("patience"),
        exit=None if fields.is_null("exit") else fields.integer("exit"),
        costs=costs_from_json(fields.raw("costs"), exits, where),
    )
    if fields.text("fingerprint") != policy.fingerprint:
        raise PolicyError(
            f"the fingerprint of {where} is not that of its model, exits and classes", why="one of them was edited", hint="fit it again"
        )
    if fields.raw("thresholds") != _listed(policy.float_thresholds):
        raise PolicyError(
            f"thresholds and thresholds_micro of {where} differ", why="one of them was edited", hint="thresholds_micro decide; fit it again"
        )
    return evolve(policy, fitted=_fitted(fields.raw("fitted"), where), expected=_expected(fields.raw("expected"), exits, where))


def costs_from_json(value: Any, exits: int | None, where: str) -> Costs:
    """Make costs of their JSON values.

    :param exits: how many; ``None``: any number. :param where: what errors call it.
    :raises PolicyError: members that are unknown, missing, or no costs.
    """
    row = Fields(value, METRICS, f"costs of {where}", PolicyError)
    try:
        return Costs(
            macs=None if row.is_null("macs") else row.integers("macs", exits),
            ms=None if row.is_null("ms") else row.numbers("ms", exits),
            bytes=None if row.is_null("bytes") else row.integers("bytes", exits),
        )
    except PolicyError:
        raise
    except BadInputError as error:
        raise PolicyError(error.summary, what=error.what, where=where, why=error.why) from error


def _fitted(value: Any, where: str) -> Fitted | None:
    if value is None:
        return None
    row = Fields(value, tuple(attribute.name for attribute in attrs.fields(Fitted)), f"fitted of {where}", PolicyError)
    if row.text("objective") not in OBJECTIVES or row.text("cost") not in METRICS:
        raise PolicyError(f"{where} was fitted to an unknown objective", what=f"{row.text('objective')}, {row.text('cost')}")
    return Fitted(
        objective=row.text("objective"),
        limit=row.number("limit"),
        cost=row.text("cost"),
        q=None if row.is_null("q") else row.number("q"),
        samples=row.integer("samples"),
        labelled=row.flag("labelled"),
        calibrated=row.flag("calibrated"),
        sha256=row.text("sha256"),
    )


def _expected(value: Any, exits: int, where: str) -> Outcome | None:
    if value is None:
        return None
    keys = ("accuracy", "macs", "ms", "bytes", "counts", "shares", "exit_accuracy", "leaver_accuracy")
    row = Fields(value, keys, f"expected of {where}", PolicyError)
    numbers = {key: None if row.is_null(key) else row.number(key) for key in keys[:4]}
    leavers: tuple[float | None, ...] | None = None
    if not row.is_null("leaver_accuracy"):
        found = row.row("leaver_accuracy", exits)
        if not all(part is None or (isinstance(part, int | float) and not isinstance(part, bool)) for part in found):
            raise PolicyError(f"expected of {where}: leaver_accuracy has to be numbers and nulls")
        leavers = tuple(found)
    counts = row.integers("counts", exits)
    if min(counts) < 0 or sum(counts) < 1:
        raise PolicyError(f"expected of {where}: counts are not those of samples", what=f"{counts}")
    outcome = Outcome(
        counts=counts,
        exit_accuracy=None if row.is_null("exit_accuracy") else row.numbers("exit_accuracy", exits),
        leaver_accuracy=leavers,
        **numbers,
    )
    if row.numbers("shares", exits) != outcome.shares:
        raise PolicyError(f"expected of {where}: shares are not those of counts", why="one of them was edited")
    return outcome


def _listed(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


_EMPTY = Policy(kind="anytime", exits=2, classes=2, exit=2)
