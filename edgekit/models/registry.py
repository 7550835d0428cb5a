"""The models edgekit knows by name, as rows that can be listed without importing torch."""

from attrs import frozen

from edgekit.errors import UnknownNameError, UsageError


@frozen(kw_only=True)
class ModelEntry:
    """A registered model. ``parameters`` and ``macs`` (multiply-adds, matmuls included) are at the default resolution."""

    name: str
    about: str
    parameters: int
    macs: int
    resolution: int
    resolution_multiple: int
    methods: tuple[str, ...] = ("forward",)

    def check_resolution(self, resolution: int) -> None:
        """Refuse a resolution the network cannot halve often enough.

        :raises UsageError: not a positive multiple of ``resolution_multiple``.
        """
        if resolution < self.resolution_multiple or resolution % self.resolution_multiple:
            below = max(1, resolution // self.resolution_multiple) * self.resolution_multiple
            raise UsageError(
                f"{self.name} cannot run at resolution {resolution}",
                why=f"it halves the image five times, so the resolution has to be a multiple of {self.resolution_multiple}",
                hint=f"--resolution {below} or {below + self.resolution_multiple}",
            )


_EMOV2 = "EMOv2, meta mobile blocks with spanning-window attention (arXiv 2412.06674)"

MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(name="emov2-1m", about=_EMOV2, parameters=1_460_844, macs=279_936_484, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-2m", about=_EMOV2, parameters=2_384_312, macs=480_811_600, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-5m", about=_EMOV2, parameters=5_126_440, macs=1_025_113_984, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-20m", about=_EMOV2, parameters=20_195_208, macs=3_997_004_032, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-50m", about=_EMOV2, parameters=49_815_560, macs=8_767_262_720, resolution=224, resolution_multiple=32),
)


def model_entry(name: str) -> ModelEntry:
    """Return a registered model's row.

    :raises UnknownNameError: no such model.
    """
    for entry in MODELS:
        if entry.name == name:
            return entry
    raise UnknownNameError("model", name, [entry.name for entry in MODELS])
