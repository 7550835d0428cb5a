"""Recipe files: one request, or a model for several targets and precisions."""

import pytest

from edgekit.errors import RecipeError, UsageError
from edgekit.recipes import load_recipes


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


MATRIX = (
    'model = "emov2-1m"\nresolution = 256\ninput = "tensor"\nbackend = "portable"\n[precisions]\ncoreml = ["fp16", "fp32"]\nexecutorch = ["fp32"]\n'
)


def test_one_request(written):
    (recipe,) = load_recipes(written('model = "emov2-1m"\ntarget = "coreml"\n'))
    assert (recipe.model, recipe.target, recipe.precision) == ("emov2-1m", "coreml", "fp16")


def test_a_table_is_a_recipe_a_row_and_options_go_to_their_owners(written):
    recipes = load_recipes(written(MATRIX))
    assert [(r.target, r.precision, r.input, r.backend) for r in recipes] == [
        ("coreml", "fp16", "tensor", None),
        ("coreml", "fp32", "tensor", None),
        ("executorch", "fp32", "tensor", "portable"),
    ]
    assert {r.resolution for r in recipes} == {256}


def test_rows_are_chosen(written):
    path = written(MATRIX)
    assert [r.precision for r in load_recipes(path, targets=["coreml"])] == ["fp16", "fp32"]
    assert [r.target for r in load_recipes(path, precision="fp32")] == ["coreml", "executorch"]
    assert len(load_recipes(path, targets=["coreml"], precision="fp32")) == 1


CHOICES = [
    ({"targets": ["onnx"]}, "the recipe has no target onnx"),
    ({"targets": ["onyx"]}, "unknown target"),
    ({"precision": "w8a8"}, "the recipe has no precision w8a8"),
    ({"targets": ["executorch"], "precision": "fp16"}, "it has fp32"),
]


@pytest.mark.parametrize(("choice", "words"), CHOICES)
def test_rows_that_are_not_there(written, choice, words):
    with pytest.raises(UsageError) as caught:
        load_recipes(written(MATRIX), **choice)
    assert words in str(caught.value)


def test_of_one_request_nothing_can_be_chosen(written):
    with pytest.raises(UsageError, match="holds the whole request"):
        load_recipes(written('model = "emov2-1m"\ntarget = "coreml"\n'), precision="fp32")


BAD = [
    ("precisions = 3", "is not a table of targets"),
    ("[precisions]", "is not a table of targets"),
    ('[precisions]\nlitert = ["fp32"]', "target litert is called tflite here"),
    ('[precisions]\nonyx = ["fp32"]', "unknown target 'onyx'"),
    ('[precisions]\nonnx = "fp32"', "onnx is not a list of precisions"),
    ("[precisions]\nonnx = [3]", "onnx is not a list of precisions"),
    ("[precisions]\nonnx = []", "onnx is not a list of precisions"),
    ('[precisions]\nonnx = ["fp32", "fp32"]', "a precision twice"),
    ('[precisions]\nonnx = ["fp31"]', "unknown precision 'fp31'"),
    ('target = "onnx"\n[precisions]\nonnx = ["fp32"]', "'target' beside [precisions]"),
    ('modle = "x"\n[precisions]\nonnx = ["fp32"]', "did you mean 'model'?"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_no_recipe(written, text, words):
    with pytest.raises(RecipeError) as caught:
        load_recipes(written(f'model = "emov2-1m"\n{text}\n'))
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff", b"a = ", b"a = [" * 50_000, b"#" * (1 << 21)])
def test_what_is_no_toml(tmp_path, content):
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(RecipeError, match="recipe"):
        load_recipes(tmp_path / "recipe.toml")


def test_files_of_this_machine_may_be_given_beside_it(written, tmp_path):
    recipes = load_recipes(written(MATRIX), files={"weights": tmp_path / "net.safetensors", "labels": None, "data": "cifar10"})
    assert {r.weights for r in recipes} == {tmp_path / "net.safetensors"}
    assert {(r.labels, r.data) for r in recipes} == {(None, None)}  # nothing here quantizes
    path = written('model = "emov2-1m"\ntarget = "tflite"\nprecision = "w8a8"\ndata = "groceries"\nweights = "net.safetensors"\n')
    assert load_recipes(path, files={"data": "cifar10"})[0].data == "cifar10"
    with pytest.raises(UsageError, match="the recipe names its weights"):
        load_recipes(path, files={"weights": "other.safetensors"})
