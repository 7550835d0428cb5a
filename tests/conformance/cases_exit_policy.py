"""Where one sample leaves a network with early exits: kind ``exit_policy``. ``input``:

| member | |
| --- | --- |
| ``policy`` | ``kind``, ``exits``, ``thresholds_micro``, ``patience``, ``exit``, as in a policy file |
| ``confidences_micro`` | of exit 1, 2, ..; null: not a number |
| ``confidences_bits`` | instead of that: float32 confidences as their 32 bits, unsigned, to be turned into micro-units first |
| ``classes`` | what each exit named, for ``patience``; null: a logit was not a number |

The lists end where a run would have ended or later. ``expect`` is ``{"exit": n}``, from 1; ``error`` is one of the codes in
``edgekit/policy/integers.py``, which also says in which order they are looked for.
"""

import struct
from collections.abc import Iterator
from typing import Any

from edgekit.policy.integers import IntegerPolicy, IntegerPolicyError, micro_of_bits

Case = dict[str, Any]


def run_exit_policy(given: Case) -> Case:
    """Return ``{"expect": ...}`` or ``{"error": ...}`` of one input."""
    rule = given["policy"]
    micro = given.get("confidences_micro", [])
    if "confidences_bits" in given:
        micro = [micro_of_bits(bits) for bits in given["confidences_bits"]]
    try:
        thresholds = rule["thresholds_micro"]
        policy = IntegerPolicy(
            kind=rule["kind"],
            exits=rule["exits"],
            thresholds_micro=None if thresholds is None else tuple(thresholds),
            patience=rule["patience"],
            exit=rule["exit"],
        )
        return {"expect": {"exit": policy.walk(micro, given.get("classes", []))}}
    except IntegerPolicyError as error:
        return {"error": error.code}


def _rule(kind: str, exits: int, *, thresholds: list[int | None] | None = None, patience: int | None = None, exit: int | None = None) -> Case:
    return {"kind": kind, "exits": exits, "thresholds_micro": thresholds, "patience": patience, "exit": exit}


def _sure(*thresholds: int | None, kind: str = "max_softmax", exits: int | None = None) -> Case:
    return _rule(kind, len(thresholds) + 1 if exits is None else exits, thresholds=list(thresholds))


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def _exit_policy_inputs() -> Iterator[tuple[str, Case]]:
    two, open_end = _sure(900_000, 600_000), _sure(None, None, None)
    micro: list[tuple[str, Case, list[int | None]]] = [
        ("sure at the first exit", two, [950_000]),
        ("sure at the second exit", two, [800_000, 700_000]),
        ("sure nowhere: the last stage must exit", two, [800_000, 500_000]),
        ("the last exit asks for no confidence", two, [0, 0, None]),
        ("what stands behind the exit is not read", two, [950_000, -7, 2_000_000]),
        ("a tie with the threshold leaves", two, [900_000]),
        ("one micro-unit below stays", two, [899_999, 600_000]),
        ("a tie at one leaves", _sure(1_000_000, 1_000_000), [1_000_000]),
        ("just below one stays where one is asked for", _sure(1_000_000, 1_000_000), [999_999, 999_999]),
        ("not a number never leaves early", two, [None, None]),
        ("not a number, then sure", two, [None, 600_000]),
        ("a threshold of zero takes a confidence of zero", _sure(0, 0), [0]),
        ("a threshold of zero does not take what is not a number", _sure(0, 500_000), [None, 500_000]),
        ("null takes nobody, however sure", _sure(None, 500_000), [1_000_000, 500_000]),
        ("null everywhere", open_end, [1_000_000, 1_000_000, 1_000_000]),
        ("thresholds need not fall", _sure(200_000, 900_000), [100_000, 899_999]),
        ("two exits", _sure(500_000), [499_999]),
        ("entropy decides the same way", _sure(300_000, 200_000, kind="entropy"), [299_999, 200_000]),
        ("margin decides the same way", _sure(300_000, 200_000, kind="margin"), [300_000]),
        ("error: the sample went on and its values end", two, [800_000]),
        ("error: no values", two, []),
        ("error: a confidence above one", two, [1_000_001]),
        ("error: a confidence below zero", two, [100_000, -1]),
        ("error: too few thresholds", _sure(900_000, exits=3), [950_000]),
        ("error: too many thresholds", _sure(900_000, 1, 1, exits=3), [950_000]),
        ("error: a threshold above one", _sure(1_000_001, 5), [950_000]),
        ("error: a threshold below zero", _sure(5, -1), [950_000]),
        ("error: thresholds are missing", _rule("max_softmax", 3), [950_000]),
        ("error: two rules at once", _rule("max_softmax", 3, thresholds=[1, 1], patience=2), [950_000]),
        ("error: one exit is no early exit", _sure(), []),
        ("error: an unknown kind", _rule("mood", 3, thresholds=[1, 1]), [950_000]),
    ]
    yield from ((name, {"policy": policy, "confidences_micro": values}) for name, policy, values in micro)
    classes: list[tuple[str, Case, list[int | None]]] = [
        ("two in a row agree", _rule("patience", 4, patience=2), [7, 7]),
        ("agreement that begins later", _rule("patience", 4, patience=2), [7, 3, 3]),
        ("no agreement before the last", _rule("patience", 4, patience=2), [1, 2, 1]),
        ("three in a row are asked for", _rule("patience", 5, patience=3), [4, 4, 9, 9]),
        ("agreement has to be unbroken", _rule("patience", 4, patience=3), [4, 5, 4]),
        ("what names no class breaks the row", _rule("patience", 4, patience=2), [4, None, 4]),
        ("twice no class is no agreement", _rule("patience", 4, patience=2), [None, None, 3]),
        ("more patience than exits: the last stage must exit", _rule("patience", 3, patience=9), [1, 1]),
        ("error: patience and values that end", _rule("patience", 4, patience=3), [4, 4]),
        ("error: a patience of one", _rule("patience", 4, patience=1), [4, 4]),
        ("error: a class below zero", _rule("patience", 4, patience=2), [-1, 4]),
    ]
    yield from ((name, {"policy": policy, "classes": values}) for name, policy, values in classes)
    for name, exits, exit in (
        ("anytime: the second exit for everybody", 3, 2),
        ("anytime: the last", 3, 3),
        ("error: exit zero", 3, 0),
        ("error: an exit the network has not", 3, 4),
    ):
        yield name, {"policy": _rule("anytime", exits, exit=exit), "confidences_micro": []}
    # 0.9 as float32 is 0.89999998, which is 899999 micro-units; the next float32 is above 0.9.
    floats: list[tuple[str, Case, list[int]]] = [
        ("float32 0.9 is below 900000 micro-units", two, [_bits(0.9), _bits(0.0)]),
        ("the float32 after 0.9 is not", two, [_bits(0.9) + 1]),
        ("float32 0.9 reaches 899999", _sure(899_999, None), [_bits(0.9)]),
        ("float32 1.0", _sure(1_000_000, None), [_bits(1.0)]),
        ("the float32 before 1.0", _sure(1_000_000, 999_999), [_bits(1.0) - 1, _bits(1.0) - 1]),
        ("entropy rounded below zero counts as zero", _sure(0, None, kind="entropy"), [_bits(-5.9604645e-08)]),
        ("entropy rounded above one counts as one", _sure(1_000_000, None, kind="entropy"), [_bits(1.0) + 1]),
        ("minus zero is zero", _sure(0, None), [_bits(-0.0)]),
        ("a subnormal float32 is zero", _sure(1, 0), [1, 1]),
        ("a NaN with any bits never leaves early", _sure(0, 0), [0x7FC00000, 0xFFC00001]),
    ]
    yield from ((name, {"policy": policy, "confidences_bits": values}) for name, policy, values in floats)


ABOUT = {"exit_policy": "Where one sample leaves a network with early exits. Confidences are integer micro-units: floor(confidence * 1000000)."}
RUNNERS = {"exit_policy": run_exit_policy}
INPUTS = {"exit_policy": _exit_policy_inputs}
