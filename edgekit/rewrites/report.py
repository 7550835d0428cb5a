"""What a rewrite says of itself. Apart from what it is (:mod:`edgekit.rewrites.base`), so that reading a report back needs no torch."""

from attrs import frozen


@frozen(kw_only=True)
class Skip:
    """A place that matched and was left alone; ``reason`` is a sentence for people."""

    site: str
    reason: str


@frozen(kw_only=True)
class RewriteReport:
    """What one rewrite did to one program.

    ``max_error`` is the largest difference before/after over its sites, each relative to the largest value
    at that site; ``None`` where later rewrites swallowed every one of them, so that they prove them.
    """

    name: str
    sites: tuple[str, ...] = ()
    skips: tuple[Skip, ...] = ()
    max_error: float | None = None
