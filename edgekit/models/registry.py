"""The models edgekit knows by name, as rows that can be listed without importing torch."""

from attrs import frozen

from edgekit.errors import UnknownNameError, UsageError


@frozen(kw_only=True)
class ModelEntry:
    """A registered model.

    ``parameters`` and ``macs`` (multiply-adds, matmuls included) are at the default resolution and number of classes. CHASE's
    macs are those of its last exit, IMC-Net's those of the regions that are selected. ``exit_macs``: to reach each exit and answer
    there, the classifiers on the way included; empty for networks without exits. ``crop_ratio``: of a photograph's shorter side, how much the
    network is shown.
    """

    name: str
    about: str
    parameters: int
    macs: int
    resolution: int
    resolution_multiple: int
    num_classes: int = 1000
    methods: tuple[str, ...] = ("forward",)
    exit_macs: tuple[int, ...] = ()
    crop_ratio: float = 0.875

    def check_resolution(self, resolution: int) -> None:
        """Refuse a resolution that the network cannot cut into whole pieces: EMOv2 and CHASE halve it, IMC-Net cuts patches.

        :raises UsageError: not a positive multiple of ``resolution_multiple``.
        """
        if resolution < self.resolution_multiple or resolution % self.resolution_multiple:
            below = max(1, resolution // self.resolution_multiple) * self.resolution_multiple
            raise UsageError(
                f"{self.name} cannot run at resolution {resolution}",
                why=f"it divides the image, and the resolution has to be a multiple of {self.resolution_multiple}",
                hint=f"--resolution {below} or {below + self.resolution_multiple}",
            )


_EMOV2 = "EMOv2, meta mobile blocks with spanning-window attention (arXiv 2412.06674)"
_IMCNET = "IMC-Net, one transformer block applied again to the regions that need it (arXiv 2507.21761)"
_CHASE = "CHASE, a multi-scale dense network with channel attention and early exits"


def _exits(count: int) -> tuple[str, ...]:
    return tuple(f"exit_{number}" for number in range(1, count + 1))


MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(name="emov2-1m", about=_EMOV2, parameters=1_460_844, macs=279_936_484, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-2m", about=_EMOV2, parameters=2_384_312, macs=480_811_600, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-5m", about=_EMOV2, parameters=5_126_440, macs=1_025_113_984, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-20m", about=_EMOV2, parameters=20_195_208, macs=3_997_004_032, resolution=224, resolution_multiple=32),
    ModelEntry(name="emov2-50m", about=_EMOV2, parameters=49_815_560, macs=8_767_262_720, resolution=224, resolution_multiple=32),
    ModelEntry(
        name="emov2-nano",
        about=_EMOV2,
        parameters=725_690,
        macs=14_954_688,
        resolution=32,
        resolution_multiple=16,
        num_classes=10,
        crop_ratio=1.0,
    ),
    ModelEntry(name="imcnet-b16", about=_IMCNET, parameters=27_501_544, macs=7_390_047_744, resolution=224, resolution_multiple=16),
    ModelEntry(name="imcnet-s16", about=_IMCNET, parameters=7_263_208, macs=1_934_694_144, resolution=224, resolution_multiple=16),
    ModelEntry(name="imcnet-ti16", about=_IMCNET, parameters=2_010_088, macs=527_264_640, resolution=224, resolution_multiple=16),
    ModelEntry(name="imcnet-cifar10", about=_IMCNET, parameters=1_655_434, macs=152_678_016, resolution=32, resolution_multiple=4, num_classes=10),
    ModelEntry(
        name="imcnet-nano",
        about=_IMCNET,
        parameters=545_802,
        macs=50_142_976,
        resolution=32,
        resolution_multiple=4,
        num_classes=10,
        crop_ratio=1.0,
    ),
    ModelEntry(
        name="chase-imagenet",
        about=_CHASE,
        parameters=84_578_870,
        macs=2_633_650_564,
        resolution=224,
        resolution_multiple=32,
        methods=_exits(7),
        exit_macs=(291_002_624, 682_522_240, 1_061_875_968, 1_502_168_896, 1_933_965_696, 2_150_991_216, 2_633_650_564),
    ),
    ModelEntry(
        name="chase-cifar10",
        about=_CHASE,
        parameters=7_497_244,
        macs=83_571_456,
        resolution=32,
        resolution_multiple=8,
        num_classes=10,
        methods=_exits(6),
        exit_macs=(8_351_488, 18_501_120, 26_855_168, 38_002_688, 45_899_520, 83_571_456),
    ),
    ModelEntry(
        name="chase-cifar100",
        about=_CHASE,
        parameters=7_566_904,
        macs=83_640_576,
        resolution=32,
        resolution_multiple=8,
        num_classes=100,
        methods=_exits(6),
        exit_macs=(8_363_008, 18_524_160, 26_889_728, 38_048_768, 45_957_120, 83_640_576),
    ),
    ModelEntry(
        name="chase-tiny",
        about=_CHASE,
        parameters=77_232,
        macs=3_318_848,
        resolution=32,
        resolution_multiple=8,
        num_classes=10,
        methods=_exits(4),
        exit_macs=(864_832, 1_255_296, 1_563_232, 3_318_848),
    ),
    ModelEntry(
        name="chase-nano",
        about=_CHASE,
        parameters=2_129_084,
        macs=24_734_976,
        resolution=32,
        resolution_multiple=8,
        num_classes=10,
        methods=_exits(6),
        exit_macs=(4_019_712, 7_031_808, 9_266_304, 12_242_176, 14_320_000, 24_734_976),
        crop_ratio=1.0,
    ),
)


def model_entry(name: str) -> ModelEntry:
    """Return a registered model's row.

    :raises UnknownNameError: no such model.
    """
    for entry in MODELS:
        if entry.name == name:
            return entry
    raise UnknownNameError("model", name, [entry.name for entry in MODELS])
