"""Train the small networks on CIFAR-10 that carry the accuracy tests, and store them with a card that says how.

    python benchmarks/training/train.py emov2-nano [--device cuda] [--epochs 30]

Takes up where it was stopped, if it was: after every epoch all that matters is written to the cache. What is stored in the end are the
averaged weights in half precision, and their accuracy on the test set as they are stored, beside the recipe, in ``weights/``.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from objectives import batched_imcnet, objective_for
from pictures import batches, cifar10, normalised
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training_recipes import TRAINED_ON, TrainingRecipe, recipe_for

from edgekit.cache import cache_folder
from edgekit.models import chase, emov2, imcnet
from edgekit.models.build import build_model
from edgekit.models.registry import model_entry
from edgekit.models.source import preprocessing_of
from edgekit.ops.early_exit import all_logits

WEIGHTS = Path(__file__).parent / "weights"


def main() -> int:
    """Train one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--state", type=Path, help="where an interrupted training is kept; in the cache unless given")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    recipe = recipe_for(options.model)
    if options.epochs:
        recipe = attrs.evolve(recipe, epochs=options.epochs)
    state = options.state or cache_folder() / "training" / f"{options.model}.pt"
    run = Training(recipe, options.device, state)
    pixels, labels = cifar10("fit")
    run.train(normalised(pixels, preprocessing_of(recipe.model, 32)), torch.from_numpy(labels))
    store(run, options.output)
    return 0


class Training:
    """A network on its way: weights, their running average, optimiser, schedule, epochs done, seconds spent."""

    def __init__(self, recipe: TrainingRecipe, device: str, state: Path) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self.state = state
        torch.manual_seed(recipe.seed)
        self.model = fresh(recipe.model).to(self.device, memory_format=torch.channels_last)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging), use_buffers=True)
        self.optimizer = _optimizer(recipe, self.model)
        self.steps = recipe.epochs * (TRAINED_ON // recipe.batch)
        self.schedule = _schedule(self.optimizer, self.steps, recipe.warmup)
        self.epochs = 0
        self.seconds = 0.0
        if state.exists():
            self._load()

    def train(self, images: Tensor, labels: Tensor) -> None:
        """Run the epochs that are left; images ``(N, 3, 32, 32)`` normalised, labels ``(N,)``."""
        objective = objective_for(self.model)
        while self.epochs < self.recipe.epochs:
            started, losses = time.perf_counter(), []
            self.model.train()
            seed = self.recipe.seed * 10_000 + self.epochs
            for given, wanted in batches(images, labels, size=self.recipe.batch, erased=self.recipe.erased, seed=seed):
                image = given.to(self.device, memory_format=torch.channels_last)
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.recipe.bfloat16):
                    loss = objective(self.model, image, wanted.to(self.device), self.recipe.smoothing)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
                self.optimizer.step()
                self.schedule.step()
                self.average.update_parameters(self.model)
                losses.append(loss.item())
            self.epochs += 1
            self.seconds += time.perf_counter() - started
            mean = sum(losses) / len(losses)
            print(f"{self.recipe.model} epoch {self.epochs}/{self.recipe.epochs} loss {mean:.4f} {self.seconds:.0f} s", flush=True)
            self._save()

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "average": self.average, "optimizer": self.optimizer, "schedule": self.schedule}

    def _save(self) -> None:
        self.state.parent.mkdir(parents=True, exist_ok=True)
        part = self.state.with_suffix(f".{os.getpid()}.part")
        done = {"recipe": attrs.asdict(self.recipe), "epochs": self.epochs, "seconds": self.seconds}
        torch.save({**done, **{name: owner.state_dict() for name, owner in self._parts().items()}}, part)
        part.replace(self.state)

    def _load(self) -> None:
        kept = torch.load(self.state, weights_only=True)
        if kept["recipe"] != attrs.asdict(self.recipe):
            sys.exit(f"{self.state} belongs to another recipe; remove it, or name another --state")
        for name, owner in self._parts().items():
            owner.load_state_dict(kept[name])
        self.epochs, self.seconds = kept["epochs"], kept["seconds"]


def fresh(name: str) -> nn.Module:
    """Build a network as its layers begin, not filled for comparing."""
    family, _, size = name.partition("-")
    entry = model_entry(name)
    if family == "imcnet":
        return imcnet.IMCNet(imcnet.CONFIGS[size], resolution=entry.resolution, num_classes=entry.num_classes)
    if family == "chase":
        return chase.CHASE(chase.CONFIGS[size])
    return emov2.EMOv2(emov2.CONFIGS[size], num_classes=entry.num_classes)


def _optimizer(recipe: TrainingRecipe, model: nn.Module) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]  # norms, biases, scales
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _schedule(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> LRScheduler:
    rising = max(1, int(steps * warmup))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = min(1.0, (step - rising) / max(1, steps - rising))
        return 0.5 * (1 + float(torch.cos(torch.tensor(done * torch.pi))))

    return LambdaLR(optimizer, share)


def store(run: Training, folder: Path) -> None:
    """Write the averaged weights in half precision, and the card: what they reach on the test set after that rounding."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.recipe.model}.safetensors"
    values = {name: value.half() if value.is_floating_point() else value for name, value in run.average.module.state_dict().items()}
    save_file({name: value.contiguous().cpu() for name, value in values.items()}, path)
    card = {
        "model": run.recipe.model,
        "data": {"name": "cifar10", "trained_on": f"the first {TRAINED_ON} training pictures", "tested_on": "all 10,000 test pictures"},
        "recipe": attrs.asdict(run.recipe),
        "top1_percent": accuracies(run.recipe.model, path),
        "weights": "float16, running average",
        "seconds": round(run.seconds),
        "device": str(run.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    (folder / f"{run.recipe.model}.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card["top1_percent"]))


def accuracies(name: str, weights: Path) -> list[float]:
    """Return top-1 on the test set in percent, an exit each; of a network without exits, one figure."""
    model = build_model(name, weights=weights)
    pixels, labels = cifar10("test")
    images, wanted = normalised(pixels, preprocessing_of(name, 32)), torch.from_numpy(labels)
    right: list[int] = []
    with torch.inference_mode():
        for given, classes in zip(images.split(500), wanted.split(500), strict=True):
            found = [int((logits.argmax(1) == classes).sum()) for logits in _logits(model, given)]
            right = [a + b for a, b in zip(right or [0] * len(found), found, strict=True)]
    return [round(100 * count / len(labels), 2) for count in right]


def _logits(model: nn.Module, images: Tensor) -> Iterator[Tensor]:
    if isinstance(model, chase.CHASE):
        yield from all_logits(model.exit_stages(), images)
    elif isinstance(model, imcnet.IMCNet):
        yield batched_imcnet(model, images)[0]
    else:
        yield model(images)


if __name__ == "__main__":
    sys.exit(main())
