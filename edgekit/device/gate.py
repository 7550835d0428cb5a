"""Whether a phone is cool enough to begin."""

from edgekit.device.plan import THERMAL


def gate(thermal: str | None, limit: str, waited_ms: int, wait_ms: int) -> str:
    """Return ``start``, ``wait`` or ``refuse``; a phone that does not tell its state is let through.

    :param thermal: one of ``THERMAL``. :param limit: the hottest to begin in.
    :param wait_ms: how long to wait at most, of which ``waited_ms`` are over.
    """
    if thermal is None or THERMAL.index(thermal) <= THERMAL.index(limit):
        return "start"
    return "wait" if waited_ms < wait_ms else "refuse"
