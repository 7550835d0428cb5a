"""In which order variants run: A B B A in every process, and processes begin in turn with the first and the last."""

from edgekit.errors import PlanError


def turns(variants: int, rounds: int, process: int) -> list[int]:
    """Return the variants' numbers in the order they run, each once a round; every other round is backwards.

    :param process: number of the process, from 0: odd ones begin backwards, so that none is always the first to warm the phone.
    :raises PlanError: ``variants``, ``rounds``, ``process``: out of range.
    """
    for code, value, least, most in (("variants", variants, 1, 64), ("rounds", rounds, 1, 100_000), ("process", process, 0, 15)):
        if not least <= value <= most:
            raise PlanError(code, f"{value} {code}", what=f"{least} to {most}")
    forwards = list(range(variants))
    return [number for turn in range(rounds) for number in (forwards if (turn + process) % 2 == 0 else forwards[::-1])]
