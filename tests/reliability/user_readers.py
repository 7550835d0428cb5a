"""Readers of what users lay beside a request: pictures, classes, logits, sweeps, plans, stored results; and of the cache's entries."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import attrs
import numpy as np
from guarded import Reader
from PIL import Image

from edgekit.artifact import manifest_path, read_manifest
from edgekit.declared import read_labels
from edgekit.export_cache import store
from edgekit.interface import TensorSpec
from edgekit.planner.plan import Decision, Plan, read_plan
from edgekit.policy.logits import read_logits
from edgekit.preprocess import load_image
from edgekit.report.build import make_page
from edgekit.report.evidence import gather
from edgekit.report.html import to_html
from edgekit.report.markdown import to_markdown
from edgekit.sweep.request import SweepRequest

_ROOT = Path(__file__).parents[2]
_FOR = {"model": "net", "target": "tflite", "precision": "w8a8"}
_KEY = "a" * 64


def user_text_readers(artifact: Path, folder: Path) -> tuple[Reader, ...]:
    """Return the readers of text.

    :param artifact: an ONNX file with its manifest. :param folder: to make seeds in.
    """
    results = _ROOT / "benchmarks" / "results"
    stored = [(results / name).read_bytes() for name in ("chase-imagenet_exports.json", "imcnet-b16_onnx.json")]
    bench = {"schema_version": 1, "command": "bench", "context": {"machine": {"cpu": "some"}}, "results": [{"artifact": "a.onnx", "p50_ms": 1.5}]}
    return (
        Reader(name="class names", seeds=[b"cat\ndog\n", "Käse\nTür\n".encode()], read=_class_names, place="labels.txt"),
        Reader(name="sweep", seeds=[(_ROOT / "benchmarks" / "sweeps" / "cifar10.toml").read_bytes()], read=_sweep, place="sweep.toml"),
        Reader(name="quantization plan", seeds=_plans(), read=lambda path: read_plan(path, **_FOR), place="plan.json"),
        Reader(name="stored result", seeds=[*stored, json.dumps(bench).encode()], read=_reported, place="result.json"),
        Reader(
            name="stored manifest",
            seeds=[manifest_path(artifact).read_bytes()],
            read=_reported,
            place=manifest_path(artifact).name,
            around=lambda folder: shutil.copy(artifact, folder / artifact.name),
        ),
        _cache_entry(artifact, folder / "cache"),
    )


def user_binary_readers() -> tuple[Reader, ...]:
    """Return the readers of pictures and of logits."""
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    kinds = ("png", "jpeg", "webp", "tiff")
    pictures = [Reader(name=f"picture {kind}", seeds=[_encoded(pixels, kind)], read=load_image, place=f"a.{kind}", text=False) for kind in kinds]
    stream = io.BytesIO()
    np.savez(stream, logits=np.zeros((2, 3, 4), np.float32), labels=np.zeros(3, np.int64), costs_macs=np.array([1.0, 2.0]))
    return (*pictures, Reader(name="logits", seeds=[stream.getvalue()], read=_logits, place="logits.npz", text=False))


def _class_names(path: Path) -> object:
    return read_labels(path, TensorSpec(name="logits", shape=(1, 2), dtype="float32", layout="NC"))


def _sweep(path: Path) -> object:
    return SweepRequest.load(path, _ROOT / "benchmarks")


def _plans() -> list[bytes]:
    row = Decision(method="forward", path="norm", kind="norm", nodes=2, quantized=False, why="no such operator", cost_ms=0.5)
    rows = (attrs.evolve(row, path="stem", quantized=True, why=None, sqnr_db=41.5), row)
    plan = Plan(**_FOR, limit={"kind": "sqnr_db", "value": 20.0}, expected_sqnr_db=22.0, groups=rows).to_json()
    return [json.dumps(plan).encode(), json.dumps({"artifact": {}, "quantization": {"plan": plan, "scheme": {}}}).encode()]


def _reported(path: Path) -> None:
    page, _ = make_page(gather([path]), title="some")
    to_html(page)
    to_markdown(page)


def _logits(path: Path) -> None:
    for _ in read_logits(path).each_exit(hashlib.sha256()):
        pass


def _cache_entry(artifact: Path, cache: Path) -> Reader:
    document = read_manifest(artifact).document
    store.keep(cache, _KEY, artifact, store.Taken(document=document, proved="2026-01-02T03:04:05Z", processor="x86_64"), 10**9)

    def read(path: Path) -> None:
        store.entries(path.parents[1])
        store.take(path.parents[1], _KEY, path.parents[1] / artifact.name)

    place = f"{_KEY}/entry.json"
    seed = (cache / place).read_bytes()
    return Reader(name="cache entry", seeds=[seed], read=read, place=place, around=lambda folder: shutil.copytree(cache, folder, dirs_exist_ok=True))


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()
