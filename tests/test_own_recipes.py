"""The project's own recipes: every model, target and precision that is supported, and nothing else."""

import runpy
from pathlib import Path

import pytest
import yaml

from edgekit.capabilities import TARGETS
from edgekit.models.naming import artifact_path
from edgekit.models.registry import MODELS
from edgekit.recipes import load_recipes


@pytest.fixture(scope="module")
def folder(request):
    return request.config.rootpath / "recipes"


def test_they_are_what_the_script_writes(folder):
    assert runpy.run_path(str(folder / "generate.py"))["stale"]() == [], "run: python recipes/generate.py"


@pytest.mark.parametrize("model", [model.name for model in MODELS])
def test_each_can_be_read_and_is_complete(folder, model, tmp_path):
    recipes = load_recipes(folder / f"{model}.toml")
    assert {(recipe.target, recipe.precision) for recipe in recipes} == {(facts.name, name) for facts in TARGETS for name in facts.precisions}
    assert {recipe.model for recipe in recipes} == {model}
    paths = [artifact_path(recipe, tmp_path) for recipe in recipes]
    assert len(set(paths)) == len(paths)


def test_the_budgets_are_for_artifacts_of_recipes(folder, tmp_path):
    from edgekit.gates.budgets import read_budgets

    names = {artifact_path(recipe, tmp_path).name for model in MODELS for recipe in load_recipes(folder / f"{model.name}.toml")}
    assert {group.name for group in read_budgets(folder / "budgets.toml")} <= names


def test_the_workflow_exports_what_has_budgets(cli, request, folder, tmp_path):
    from edgekit.gates.budgets import read_budgets

    steps = yaml.safe_load((request.config.rootpath / ".github" / "workflows" / "gate.yml").read_text())["jobs"]["gate"]["steps"]
    (lines,) = (step["with"]["exports"].splitlines() for step in steps if "exports" in step.get("with", {}))
    exported = []
    for line in lines:
        ran = cli("export", *line.split(), "-o", tmp_path, "--dry-run", "--json")
        assert ran.code == 0, ran.err
        exported += [Path(row["path"]).name for row in ran.document()["artifacts"]]
    assert sorted(exported) == sorted(group.name for group in read_budgets(folder / "budgets.toml"))


def test_a_recipe_of_the_project_from_the_command_line(cli, folder, tmp_path):
    ran = cli("export", "--recipe", folder / "chase-tiny.toml", "-t", "onnx", "--precision", "fp32", "-o", tmp_path, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert [row["path"] for row in ran.document()["artifacts"]] == [str(tmp_path / "chase-tiny_32_fp32.onnx")]
    assert cli("export", "--recipe", folder / "chase-tiny.toml", "--resolution", "64", "-o", tmp_path).code == 2
