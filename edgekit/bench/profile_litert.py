"""LiteRT's Python packages offer no profile of operators; said rather than guessed."""

from collections.abc import Mapping

from edgekit.bench.inputs import Array
from edgekit.bench.profiling import Told
from edgekit.runtime.loaded import LoadedArtifact


def profile_methods(artifact: LoadedArtifact, given: Mapping[str, Mapping[str, Array]], threads: int, runs: int) -> Mapping[str, Told]:
    """Say for each method that there is none."""
    del artifact, threads, runs
    return {method: Told(note="ai-edge-litert offers no profile of operators from Python") for method in given}
