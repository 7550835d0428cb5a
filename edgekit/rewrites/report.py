"""What a rewrite says of itself. Apart from what it is (:mod:`edgekit.rewrites.base`), so that reading a report back needs no torch."""

from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class Place:
    """What stands at a site: an operator (``aten.sort.default``) or a module's class, and the model's line, ``None`` where there is none."""

    operator: str
    line: str | None = None


@frozen(kw_only=True)
class Skip:
    """A place that matched and was left alone; ``reason`` is a sentence for people."""

    site: str
    reason: str
    place: Place | None = None


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
    places: tuple[Place, ...] = ()
    """What stands at each of the sites, in their order; empty in a report that was read back."""

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps. Lines of code are not kept: its table of origins has them, without the code."""
        skips = [{"site": skip.site, "reason": skip.reason} for skip in self.skips]
        return {"name": self.name, "sites": list(self.sites), "skips": skips, "max_error": self.max_error}
