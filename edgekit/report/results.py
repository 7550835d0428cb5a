"""All that was found, read once, for the sections to show."""

from attrs import frozen

from edgekit.report.evidence import Evidence
from edgekit.report.manifests import ArtifactRow, artifact_rows
from edgekit.report.regions import RegionMaps
from edgekit.report.timings import Measurement, measurements


@frozen(kw_only=True)
class Results:
    """What a page is made from. ``region_maps``: computed for this page, where they were asked for."""

    evidence: Evidence
    artifacts: tuple[ArtifactRow, ...]
    measurements: tuple[Measurement, ...]
    region_maps: tuple[RegionMaps, ...] = ()

    def artifact(self, sha256: str | None) -> ArtifactRow | None:
        """Return the artifact with a digest."""
        return next((row for row in self.artifacts if sha256 and row.sha256 == sha256), None)


def read_results(evidence: Evidence, region_maps: tuple[RegionMaps, ...] = ()) -> Results:
    """Read all documents; :raises EvidenceError: a member of one is of the wrong type."""
    return Results(evidence=evidence, artifacts=artifact_rows(evidence), measurements=measurements(evidence), region_maps=region_maps)
