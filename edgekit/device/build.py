"""A plan from artifacts and their manifests: names, shapes, exits and the policy come from there, nothing is guessed."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from edgekit import artifact as artifacts
from edgekit.artifact import Manifest, read_manifest
from edgekit.capabilities import TARGETS
from edgekit.device.plan import ExitPolicy, Measure, PicturePlan, Plan, Stage, Tensor, Thermal, Variant, Warmup, is_file_name, plan_from_json
from edgekit.errors import ArtifactError, PlanError, PolicyError, UsageError
from edgekit.interface import THRESHOLDS, MethodSpec, TensorSpec
from edgekit.policy.confidences import MICRO
from edgekit.policy.policy import Policy
from edgekit.policy.section import ExitSection, reads, section_of

ENGINE_OF = {"executorch": "executorch", "tflite": "litert", "coreml": "coreml", "coreai": "coreai"}
PLATFORMS = {"android": ("executorch", "litert"), "ios": ("coreml", "executorch", "litert", "coreai")}
_PICTURE = (1024, 768)


@frozen(kw_only=True)
class Settings:
    """What the command line says of a run.

    :param compute: units to run each artifact on; empty: ``cpu``, and for Core ML all four.
    :param preprocess: also time resizing, cropping and normalising.
    """

    compute: tuple[str, ...] = ()
    threads: int = 1
    samples: int = 40
    processes: int = 2
    preprocess: bool = True
    max_start: str = "nominal"
    wait_ms: int = 120_000
    policy: Policy | None = None


def build_plan(paths: Sequence[Path], platform: str, settings: Settings) -> Plan:
    """Return a plan that runs each artifact on each compute unit.

    :raises UsageError: nothing to run, or what this platform does not run. :raises ArtifactError: no artifact, or one without a manifest.
    :raises PlanError: out of range. :raises PolicyError: there is none for an artifact with exits, or for another network.
    """
    if not paths:
        raise UsageError("no artifact to run", hint="--artifact FILE")
    if settings.samples < 1:
        raise UsageError(f"{settings.samples} samples say nothing")
    variants = [variant for path in paths for variant in _variants(path, platform, settings)]
    if len({path.name for path in paths}) < len({path.resolve() for path in paths}):
        raise UsageError("two artifacts have the same name", why="they lie in one folder on the phone", hint="rename one of them")
    plan = Plan(
        run_id=secrets.token_hex(16),
        processes=settings.processes,
        variants=tuple(variants),
        warmup=Warmup(),
        measure=Measure(min=min(30, settings.samples), max=settings.samples),
        thermal=Thermal(max_start=settings.max_start, wait_ms=settings.wait_ms),
    )
    return plan_from_json(plan.to_json())


def _variants(path: Path, platform: str, settings: Settings) -> list[Variant]:
    target = next((facts.name for facts in TARGETS if path.suffix == facts.suffix), None)
    if target is None or not path.exists():
        raise ArtifactError(f"no artifact {path.name}", what=str(path), hint="edgekit export MODEL --target T writes one")
    engine = ENGINE_OF.get(target)
    if engine not in PLATFORMS[platform]:
        raise UsageError(f"{path.name} does not run on {platform}", what=f"engines there: {', '.join(PLATFORMS[platform])}")
    if not is_file_name(path.name):
        raise UsageError(f"{path.name} cannot be a file's name on a phone", hint="letters, digits, dots, dashes and underscores; no dot first")
    manifest = read_manifest(path)
    if manifest is None:
        raise ArtifactError(f"{path.name} has no manifest", why="it tells methods, shapes and exits", hint="export it with edgekit")
    stages, policy = _stages(manifest, path, settings.policy)
    variant = Variant(
        id=path.name,
        engine=engine,
        model=path.name,
        model_sha256=artifacts.digest(path),
        compute="cpu",
        threads=settings.threads,
        stages=stages,
        exit_policy=policy,
        picture=_picture(manifest) if settings.preprocess else None,
    )
    units = settings.compute or (("all", "cpu", "gpu", "npu") if engine == "coreml" else ("cpu",))
    # Named apart only where there is something to tell apart.
    return [evolve(variant, compute=unit, id=variant.id if len(units) == 1 else f"{variant.id}.{unit}") for unit in units]


def _stages(manifest: Manifest, path: Path, given: Policy | None) -> tuple[tuple[Stage, ...], ExitPolicy | None]:
    from edgekit.manifest import methods_from_json

    methods = methods_from_json(manifest.document.get("methods"))
    exits = [method for method in methods if method.name.startswith("exit_")]
    if len(exits) < 2:
        if len(methods) != 1:
            raise ArtifactError(f"{path.name} has several methods that are no exits", what=", ".join(method.name for method in methods))
        return (_stage(methods[0], ()),), None
    section = section_of(manifest)
    policy = given or (None if section is None else section.policy)
    if policy is None:
        raise PolicyError(f"{path.name} holds no policy", hint=f"--policy FILE, or edgekit policy attach {path.name} --policy FILE")
    stages: list[Stage] = []
    for method in exits:
        stages.append(_stage(method, tuple(tensor.name for tensor in stages[-1].outputs) if stages else ()))
    return tuple(stages), _exit_policy(policy, section, len(exits))


def _stage(method: MethodSpec, before: tuple[str, ...]) -> Stage:
    def fill(tensor: TensorSpec) -> str:
        return "never" if tensor.name == THRESHOLDS else "handed_on" if tensor.name in before else "noise"

    inputs = tuple(Tensor(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, fill=fill(tensor)) for tensor in method.inputs)
    return Stage(entry=method.name, inputs=inputs, outputs=tuple(Tensor(name=t.name, dtype=t.dtype, shape=t.shape) for t in method.outputs))


def _exit_policy(policy: Policy, section: ExitSection | None, exits: int) -> ExitPolicy:
    if policy.exits != exits:
        raise PolicyError("the policy is for another network", what=f"{policy.exits} exits", why=f"the artifact has {exits}")
    temperatures = None if policy.temperatures is None else tuple(round(value * MICRO) for value in policy.temperatures)
    if temperatures is not None and any(micro / MICRO != value for micro, value in zip(temperatures, policy.temperatures or (), strict=True)):
        raise PlanError("policy", "a temperature has more than six decimals", hint="round it in the policy file")
    return ExitPolicy(
        kind=policy.kind,
        exits=policy.exits,
        thresholds_micro=policy.thresholds,
        patience=policy.patience,
        exit=policy.exit,
        temperatures_micro=temperatures,
        reads=reads(policy, None if section is None else section.confidence),
    )


def _picture(manifest: Manifest) -> PicturePlan | None:
    row: Any = manifest.document.get("preprocessing")
    try:
        width, height = _PICTURE
        return PicturePlan(
            width=width,
            height=height,
            resolution=int(row["resolution"]),
            crop_micro=round(row["crop_ratio"] * MICRO),
            interpolation=str(row["interpolation"]),
            mean_micro=tuple(round(value * MICRO) for value in row["mean"]),
            std_micro=tuple(round(value * MICRO) for value in row["std"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{manifest.path.name} tells no preprocessing", why=f"{type(error).__name__}: {error}") from error
