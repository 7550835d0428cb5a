"""Writes a recipe for each registered model, with every target and precision it can be written in.

python recipes/generate.py           writes them beside this file
python recipes/generate.py --check   ends with 1 where one is missing, not as it would be written, or of no model
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from edgekit.capabilities import TARGETS
from edgekit.models.registry import MODELS, ModelEntry
from edgekit.quantization.scheme import SCHEMES

FOLDER = Path(__file__).parent
NOT_RECIPES = ("budgets.toml",)


def recipe_text(model: ModelEntry) -> str:
    """Return the recipe of one model."""
    rows = [f"{facts.name} = [{', '.join(f'{chr(34)}{name}{chr(34)}' for name in facts.precisions)}]" for facts in TARGETS]
    lines = [
        f"# {model.about}.",
        f"# {model.parameters:,} parameters, {model.resolution} x {model.resolution} pixels. Made by generate.py from the registry.",
        "#",
        f"#     edgekit export --recipe recipes/{model.name}.toml -o build             all of it",
        f"#     edgekit export --recipe recipes/{model.name}.toml -t coreml --weights FILE",
        "",
        f'model = "{model.name}"',
        *_data_line(model),
        "",
        "[precisions]",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _data_line(model: ModelEntry) -> Iterator[str]:
    """Yield what integers are calibrated on: small pictures for networks of small pictures, photographs for the others."""
    if any(SCHEMES[name].calibrated for facts in TARGETS for name in facts.precisions):
        yield f'data = "{"cifar10" if model.resolution == 32 else "groceries"}"  # for the precisions that quantize: edgekit data pull fetches it'


def stale() -> list[str]:
    """Return the names of files that are not as they would be written, and of recipes of no model."""
    expected = {f"{model.name}.toml": recipe_text(model) for model in MODELS}
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.toml") if file.name not in NOT_RECIPES}
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))


def main() -> int:
    """Write the recipes, or check them."""
    if "--check" in sys.argv[1:]:
        names = stale()
        sys.stdout.write("".join(f"{name} is not what generate.py writes\n" for name in names))
        return bool(names)
    for model in MODELS:
        (FOLDER / f"{model.name}.toml").write_text(recipe_text(model), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
