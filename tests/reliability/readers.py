"""Every reader of what comes from outside, with a sound file of its kind to start from."""

import io
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from guarded import Reader
from safetensors.torch import save

from edgekit.artifact import SBOM_SUFFIX, STATEMENT_SUFFIX, companion, manifest_path, read_manifest
from edgekit.data.folder import read_folder
from edgekit.device.integer_json import parse
from edgekit.device.plan import plan_from_json
from edgekit.device.report import report_from_json
from edgekit.gates.base import read_base
from edgekit.gates.budgets import read_budgets
from edgekit.gates.measure import measure
from edgekit.manifest import methods_from_json, preprocessing_from_json
from edgekit.models.checkpoints import load_checkpoint
from edgekit.policy.policy import Policy, read_policy
from edgekit.policy.section import section_of
from edgekit.provenance.check import check_provenance, provenance_of
from edgekit.provenance.lock import locked_from, read_lock, update_lock
from edgekit.rebuild import _recipe
from edgekit.recipes import load_recipes
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.registry import get_target

ROOT = Path(__file__).parents[2]
_BUDGET = 'metric = "size.total", max = 5_886_424, owner = "exports", date = 2026-11-21, reason = "what apps ship"'


class Code:
    """What a checkpoint of ill will holds: a call that unpickling makes."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def net() -> torch.nn.Module:
    """The model that checkpoints are read into."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))


def text_readers(artifact: Path, folder: Path) -> tuple[Reader, ...]:
    """Return the readers of text.

    :param artifact: an ONNX file with its manifest. :param folder: to make seeds in.
    """
    document = read_manifest(artifact).document
    update_lock(folder / "lock", [document])
    policies = (
        Policy(kind="max_softmax", model="chase-tiny", exits=4, classes=10, thresholds=(900_000, None, 0), temperatures=(1.5, 1.0, 0.25)),
        Policy(kind="patience", exits=3, classes=2, patience=2),
    )
    phone = json.loads((ROOT / "tests" / "conformance" / "vectors" / "validate.json").read_text())["base"]
    stated = provenance_of(artifact, document)
    recipe = b'model = "emov2-1m"\ntarget = "coreml"\nprecision = "fp16"\nresolution = 224\nweights = "a.pth"\natol = 0.1\n'
    budgets = f'schema_version = 1\n[[artifact]]\nname = "a.tflite"\ntools = {{ torch = "2.13.0" }}\nbudgets = [\n  {{ {_BUDGET} }},\n]\n'
    return (
        Reader(name="recipe", seeds=[recipe, (ROOT / "recipes" / "chase-tiny.toml").read_bytes()], read=load_recipes, place="recipe.toml"),
        Reader(name="budgets", seeds=[budgets.encode()], read=read_budgets, place="budgets.toml"),
        Reader(name="gate report", seeds=[json.dumps(_gate(locked_from(document).sha256)).encode()], read=read_base, place="base.json"),
        Reader(name="lock", seeds=[(folder / "lock").read_bytes()], read=read_lock, place="edgekit.lock"),
        Reader(name="policy", seeds=[json.dumps(policy.to_json()).encode() for policy in policies], read=read_policy, place="policy.json"),
        Reader(name="phone plan", seeds=[_dumped(phone["plan"])], read=lambda path: plan_from_json(_parsed(path)), place="plan.json"),
        Reader(name="phone report", seeds=[_dumped(phone["report"])], read=lambda path: report_from_json(_parsed(path)), place="report.json"),
        Reader(name="labels", seeds=[b"filename,label\na.png,0\nb.png,1\n"], read=read_folder, place="labels.csv", around=_pictures),
        Reader(
            name="manifest",
            seeds=[manifest_path(artifact).read_bytes()],
            read=_read_manifest,
            place=manifest_path(artifact).name,
            around=_beside(artifact),
        ),
        *(
            Reader(
                name=name,
                seeds=[stated[suffix].encode()],
                read=lambda path, suffix=suffix: check_provenance(path.with_name(path.name.removesuffix(suffix))),
                place=companion(artifact, suffix).name,
                around=_beside(artifact, stated),
            )
            for name, suffix in (("statement", STATEMENT_SUFFIX), ("bill of materials", SBOM_SUFFIX))
        ),
    )


def checkpoint_readers(canary: Path) -> tuple[Reader, ...]:
    """Return the readers of weights; some of the seeds run code where they are unpickled: ``canary`` is there afterwards."""

    def saved(value, **options) -> bytes:
        stream = io.BytesIO()
        torch.save(value, stream, **options)
        return stream.getvalue()

    sound = net().state_dict()
    hostile = [
        saved(Code(canary)),
        saved({"0.weight": Code(canary)}),
        pickle.dumps(Code(canary)),
        saved(Code(canary), _use_new_zipfile_serialization=False),
    ]
    return (
        Reader(
            name="pth",
            seeds=[saved(sound), saved({"net": sound}), saved(sound, _use_new_zipfile_serialization=False), *hostile],
            read=lambda path: load_checkpoint(net(), path),
            place="net.pth",
            text=False,
        ),
        Reader(name="safetensors", seeds=[save(sound)], read=lambda path: load_checkpoint(net(), path), place="net.safetensors", text=False),
    )


def artifact_readers(artifacts: Mapping[str, Path]) -> tuple[Reader, ...]:
    """Return the readers of artifacts, by target; a Core ML package has three files."""
    found = []
    for target, path in artifacts.items():
        if path.is_file():
            place = f"m{path.suffix}"
            found.append(Reader(name=target, seeds=[path.read_bytes()], read=lambda p, t=target: get_target(t).inspect(p), place=place, text=False))
            continue
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            inner = Path("m" + path.suffix) / file.relative_to(path)
            up = len(inner.parts) - 2
            found.append(
                Reader(
                    name=f"{target} {file.name}",
                    seeds=[file.read_bytes()],
                    read=lambda p, t=target, up=up: get_target(t).inspect(p.parents[up]),
                    place=str(inner),
                    text=file.suffix == ".json",
                    around=lambda folder, path=path: shutil.copytree(path, folder / f"m{path.suffix}", dirs_exist_ok=True),
                )
            )
    return tuple(found)


def _read_manifest(path: Path) -> None:
    artifact = path.with_name(path.name.removesuffix(".manifest.json"))
    manifest = read_manifest(artifact)
    methods_from_json(manifest.document.get("methods"))
    preprocessing_from_json(manifest.document.get("preprocessing"))
    section_of(manifest)
    facts_of_file(artifact)
    _recipe(manifest)
    measure(artifact)


def _parsed(path: Path):
    return parse(path.read_bytes(), path.name)


def _dumped(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _beside(artifact: Path, more: Mapping[str, str] | None = None):
    def around(folder: Path) -> None:
        shutil.copy(artifact, folder / artifact.name)
        shutil.copy(manifest_path(artifact), folder / manifest_path(artifact).name)
        for suffix, text in (more or {}).items():
            (folder / (artifact.name + suffix)).write_text(text)

    return around


def _pictures(folder: Path) -> None:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"\x89PNG")


def _gate(sha256: str) -> dict:
    contents = {"operators": {"Conv": 2}, "nodes": {"stem.conv": 1}, "constants": [["stem.weight", 864, sha256[:16]]]}
    row = {"name": "a.onnx", "metrics": {"size.total": {"unit": "bytes", "value": 1.0}}, "tools": {"torch": "2.13.0"}, "contents": contents}
    return {"schema_version": 1, "command": "gate", "artifacts": [row]}
