import hashlib
import json
import os
import subprocess
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import RecipeError, UnknownNameError, UsageError
from edgekit.recipe import Recipe, portable_name


@pytest.fixture
def load(tmp_path):
    def run(text):
        (tmp_path / "r.toml").write_text(text)
        return Recipe.load(tmp_path / "r.toml")

    return run


HEAD = 'model = "emov2-1m"\ntarget = "onnx"\n'


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("coreml", ("coreml", "fp16", "image", None, None)),
        ("tflite", ("tflite", "fp32", "tensor", None, None)),
        ("litert", ("tflite", "fp32", "tensor", None, None)),
        ("executorch", ("executorch", "fp32", "tensor", "xnnpack", None)),
        ("onnx", ("onnx", "fp32", "tensor", None, None)),
    ],
)
def test_defaults_of_each_target(target, expected):
    recipe = Recipe(model="emov2-1m", target=target)
    assert (recipe.target, recipe.precision, recipe.input, recipe.backend, recipe.deployment_target) == expected


def test_a_precision_may_need_a_later_system():
    recipe = Recipe(model="emov2-1m", target="coreml", precision="w4a32")
    assert recipe.for_methods(1).deployment_target == "iOS18"
    assert attrs.evolve(recipe, precision="w8a8").for_methods(1).deployment_target == "iOS17"
    with pytest.raises(UsageError, match="iOS17 has no Core ML packages of w4a32") as caught:
        attrs.evolve(recipe, deployment_target="iOS17")
    assert caught.value.hint == "--deployment-target iOS18, or leave it out"


def test_the_oldest_system_that_can_hold_the_methods():
    recipe = Recipe(model="emov2-1m", target="coreml")
    assert [recipe.for_methods(count).deployment_target for count in (1, 2)] == ["iOS17", "iOS18"]
    asked = Recipe(model="emov2-1m", target="coreml", deployment_target="iOS16")
    assert asked.for_methods(2) == asked  # refused when it is lowered, not repaired
    other = Recipe(model="emov2-1m", target="onnx")
    assert other.for_methods(2) == other


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"target": "tflite"}, "methods"),
        ({"target": "coreml"}, "methods"),
        ({"target": "coreml", "deployment_target": "iOS18"}, "methods"),
        ({"target": "coreml", "deployment_target": "iOS17"}, "all"),
        ({"target": "coreml", "deployment_target": "iOS16"}, "all"),
        ({"target": "coreml", "deployment_target": "iOS16", "early_exit": "last"}, "last"),
    ],
)
def test_the_form_of_a_network_with_exits_where_none_was_asked_for(options, form):
    assert Recipe(model="chase-tiny", **options).for_exits().early_exit == form


@pytest.mark.parametrize("system", ["iOS16", "iOS17"])
def test_a_function_an_exit_is_refused_where_packages_hold_one(system):
    with pytest.raises(UsageError, match=f"{system} has no Core ML packages with a function an exit") as caught:
        Recipe(model="chase-tiny", target="coreml", early_exit="methods", deployment_target=system)
    assert "leave out --early-exit" in caught.value.hint


@pytest.mark.parametrize("form", ["methods", "all", "last", "exit=1", "exit=12"])
def test_early_exit_forms(form):
    assert Recipe(model="chase-tiny", target="onnx", early_exit=form).early_exit == form


@pytest.mark.parametrize("form", ["", "exit", "exit=", "exit=0", "exit=-1", "exit=1.5", "exit=1x", "branches"])
def test_forms_that_do_not_exist(form):
    with pytest.raises(UsageError, match="unknown early-exit form"):
        Recipe(model="chase-tiny", target="onnx", early_exit=form)


def test_it_is_frozen_and_closed():
    recipe = Recipe(model="emov2-1m", target="onnx")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        recipe.model = "emov2-2m"
    with pytest.raises(TypeError):
        Recipe(model="emov2-1m", target="onnx", optimise=True)


@pytest.mark.parametrize("field", ["precision", "input", "backend", "deployment_target"])
def test_an_empty_text_is_no_default(field):
    with pytest.raises(UnknownNameError, match=f"unknown {field.replace('_', ' ')} ''"):
        Recipe(**{"model": "emov2-1m", "target": "coreml", field: ""})


def test_toml_and_keywords_give_the_same(load, tmp_path):
    (tmp_path / "sub").mkdir()
    text = HEAD + 'precision = "fp32"\nresolution = 64\nnum_classes = 10\nweights = "sub/w.pth"\natol = 1\n'
    given_by_hand = Recipe(
        model="emov2-1m", target="onnx", precision="fp32", resolution=64, num_classes=10, weights=(tmp_path / "sub" / "w.pth").resolve(), atol=1
    )
    assert load(text) == given_by_hand


@pytest.mark.parametrize(
    ("line", "sentence", "hint"),
    [
        ("precison = 'fp32'", "unknown key 'precison'", "did you mean 'precision'?"),
        ("zzz = 1", "unknown key 'zzz'", "keys: model, target"),
        ("resolution = '224'", "resolution = '224' is not of the right type", None),
        ("resolution = 224.0", "resolution = 224.0 is not of the right type", None),
        ("resolution = true", "resolution = True is not of the right type", None),
        ("precision = 32", "precision = 32 is not of the right type", None),
        ("atol = 'small'", "atol = 'small' is not of the right type", None),
        ("weights = ['a']", "weights = ['a'] is not of the right type", None),
        ("precision = 'int3'", "unknown precision 'int3'", None),
        ("backend = 'xnnpack'", "onnx has no backend", "leave out --backend"),
        ("resolution = 0", "resolution is 0", None),
        ("atol = inf", "atol is inf", None),
        ("atol = nan", "atol is nan", None),
        ("weights = '../w.pth'", "weights = '../w.pth' leaves the recipe's folder", "pass it with --weights instead"),
        ("labels = '/etc/passwd'", "labels = '/etc/passwd' leaves the recipe's folder", "pass it with --labels instead"),
        ('weights = "a\\u0000b"', "is not the name of a file", None),
    ],
)
def test_what_a_recipe_file_may_not_say(load, tmp_path, line, sentence, hint):
    with pytest.raises(RecipeError) as caught:
        load(HEAD + line)
    assert sentence in caught.value.summary
    assert caught.value.where == str(tmp_path / "r.toml")
    assert caught.value.exit_code == 3
    if hint:
        assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("key", ["model", "target"])
def test_a_missing_key(load, key):
    text = "".join(line + "\n" for line in HEAD.splitlines() if not line.startswith(key))
    with pytest.raises(RecipeError, match=f"no '{key}' in the recipe"):
        load(text)


@pytest.mark.parametrize("text", ["model = ", "[" * 5000, '\ufeff= "x"', 'model = "a"\nmodel = "b"'])
def test_what_is_no_toml(load, text):
    with pytest.raises(RecipeError, match=r"cannot read recipe .*r\.toml") as caught:
        load(text)
    assert caught.value.why


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'model = "\xe9"')
    for name in ("no.toml", "latin.toml", "."):
        with pytest.raises(RecipeError, match="cannot read recipe"):
            Recipe.load(tmp_path / name)


def test_a_link_out_of_the_folder_is_seen_through(load, tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(RecipeError, match="leaves the recipe's folder"):
        load(HEAD + "labels = 'link/passwd'")


def test_a_models_file_is_relative_to_the_recipe(load, tmp_path):
    recipe = load('model = "nets/net.py:build"\ntarget = "onnx"\n')
    assert recipe.model == f"{(tmp_path / 'nets' / 'net.py').resolve()}:build"
    with pytest.raises(RecipeError, match="leaves the recipe's folder"):
        load('model = "../net.py:build"\ntarget = "onnx"\n')
    assert load('model = "package.nets:build"\ntarget = "onnx"\n').model == "package.nets:build"


def test_negative_limits_and_classes():
    for options in ({"atol": -1e-9}, {"num_classes": 0}, {"num_classes": -1}, {"resolution": -32}):
        with pytest.raises(UsageError):
            Recipe(model="emov2-1m", target="onnx", **options)


def test_json_holds_names_of_files_only():
    recipe = Recipe(model="/home/me/net.py:build", target="onnx", weights="/data/w.pth", labels="labels.txt")
    row = recipe.to_json()
    assert (row["model"], row["weights"], row["labels"]) == ("net.py:build", "w.pth", "labels.txt")
    assert recipe.digest() == Recipe(model="net.py:build", target="onnx", weights="w.pth", labels="/other/labels.txt").digest()


def test_portable_names():
    assert [portable_name(n) for n in ("emov2-1m", "a.b:c", "/x/y.py:c", "y.py:c")] == ["emov2-1m", "a.b:c", "y.py:c", "y.py:c"]


def test_the_digest_is_of_the_canonical_json_and_the_same_in_every_process():
    recipe = Recipe(model="emov2-1m", target="coreml", resolution=64)
    text = json.dumps(recipe.to_json(), sort_keys=True)
    assert recipe.digest() == hashlib.sha256(text.encode()).hexdigest()
    program = "from edgekit.recipe import Recipe; print(Recipe(target='coreml', resolution=64, model='emov2-1m').digest())"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, env=os.environ | {"PYTHONHASHSEED": "7"}
    )
    assert ran.stdout.strip() == recipe.digest()


requests = st.fixed_dictionaries(
    {"model": st.sampled_from(["emov2-1m", "emov2-2m"]), "target": st.sampled_from(["onnx", "tflite"])},
    optional={"resolution": st.integers(1, 4), "num_classes": st.integers(1, 3), "atol": st.sampled_from([0.0, 0.5])},
)


@given(requests, requests)
def test_digests_are_equal_exactly_where_recipes_are(first, second):
    a, b = Recipe(**first), Recipe(**second)
    assert (a.digest() == b.digest()) is (a == b)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": "onnx", "precision": "w8a8", "io": "int8"}, "onnx has no inputs and outputs in integers"),
        ({"target": "tflite", "io": "int8"}, "--io says nothing to precision fp32"),
        ({"target": "tflite", "precision": "w8a32", "io": "float"}, "--io says nothing to precision w8a32"),
        ({"target": "tflite", "precision": "w8a8", "io": "int8", "early_exit": "methods"}, "--io int8 goes with one method"),
        ({"target": "tflite", "costs": "a.json"}, "--costs says nothing to precision fp32"),
        ({"target": "tflite", "precision": "w8a8", "costs": "a.json", "plan": "b.json"}, "a plan decides already"),
    ],
)
def test_what_integers_at_the_edges_and_costs_of_ones_own_go_with(options, says):
    with pytest.raises(UsageError, match=says):
        Recipe(model="emov2-1m", **options)


def test_what_is_not_asked_for_is_not_in_the_request():
    plain = Recipe(model="emov2-1m", target="tflite", precision="w8a8", data="groceries")
    assert not {"io", "costs"} & plain.to_json().keys()
    assert Recipe(model="emov2-1m", target="tflite", precision="w8a8", data="groceries", io="int8").digest() != plain.digest()
