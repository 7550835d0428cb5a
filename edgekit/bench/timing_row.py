"""One timed method."""

from pathlib import Path

from attrs import frozen

from edgekit.bench.statistics import percentile


@frozen(kw_only=True)
class MethodTiming:
    """One method of one artifact. Milliseconds; ``peak_memory_bytes`` is the artifact's, ``None`` where it could not be told."""

    artifact: Path
    target: str
    sha256: str
    method: str
    threads: int
    load_ms: float
    first_ms: float
    samples_ms: tuple[float, ...]
    peak_memory_bytes: int | None

    @property
    def p50_ms(self) -> float:
        """The median."""
        return percentile(self.samples_ms, 50)

    @property
    def p90_ms(self) -> float:
        """What one in ten takes longer than."""
        return percentile(self.samples_ms, 90)

    @property
    def min_ms(self) -> float:
        """The fastest: what the work takes when nothing else happens."""
        return min(self.samples_ms)
