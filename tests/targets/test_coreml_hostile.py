"""Files that are no Core ML package, or one made to do harm: exit code 3 and a sentence, quickly, in little memory."""

import shutil
import struct
import subprocess
import sys
import time
import zipfile

import pytest

import edgekit
from edgekit.errors import ArtifactError
from edgekit.quiet import quiet
from edgekit.targets.coreml.package import read_package

HUGE = 1 << 40


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    return edgekit.export(f"{net}:build", targets=["coreml"], resolution=32, output_dir=tmp_path_factory.mktemp("exported")).artifacts[0].path


@pytest.fixture
def package(exported, tmp_path):
    """A sound package without its manifest, to do anything with."""
    return shutil.copytree(exported, tmp_path / "m.mlpackage")


@pytest.fixture
def says(refused, net):
    """What every way into a package says about it: the command line twice, with exit code 3, and Python."""

    def run(path, *parts):
        said = refused(3, "inspect", path), refused(3, "verify", path, "--model", f"{net}:build")
        with pytest.raises(ArtifactError) as caught:
            edgekit.load_artifact(path)
        for part in parts:
            assert all(part in text for text in (*said, str(caught.value))), (part, said)

    return run


def spec_file(path):
    return read_package(path).spec_path


def main_block(spec):
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return block


def constants(spec):
    return [operation for operation in main_block(spec).operations if operation.type == "const"]


@pytest.fixture
def edited(package):
    """Change the spec of the package."""

    def run(change):
        found = read_package(package)
        change(found.spec)
        found.spec_path.write_bytes(found.spec.SerializeToString())
        return package

    return run


def test_a_folder_without_a_manifest(says, tmp_path):
    (tmp_path / "m.mlpackage").mkdir()
    says(tmp_path / "m.mlpackage", "m.mlpackage is no Core ML package", "Manifest.json")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "' + "n" * 5000 + '"}}}'])
def test_a_manifest_that_is_too_deep_or_names_what_can_be_no_file(says, package, text):
    (package / "Manifest.json").write_text(text)
    says(package, f"{package.name} is no Core ML package", "Manifest.json cannot be read")


def test_a_file(says, tmp_path):
    (tmp_path / "m.mlpackage").write_bytes(b"text")
    says(tmp_path / "m.mlpackage", "m.mlpackage is no Core ML package", "a package is a folder")


def test_a_zip_file_is_not_unpacked(says, tmp_path):
    path = tmp_path / "m.mlpackage"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Manifest.json", bytes(1 << 20))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 0xFFFFFFFF)  # four gigabytes, it says
    path.write_bytes(content)
    says(path, "a ZIP archive", "unpack it first")


def test_an_old_model_file(says, tmp_path):
    with quiet():
        from coremltools.proto import Model_pb2
    spec = Model_pb2.Model(specificationVersion=4)
    spec.neuralNetwork.layers.add(name="relu", input=["x"], output=["y"]).activation.ReLU.SetInParent()
    (tmp_path / "old.mlmodel").write_bytes(spec.SerializeToString())
    says(tmp_path / "old.mlmodel", "older neural network format", "convert_to='mlprogram'")


def test_a_package_with_an_old_model(says, edited):
    says(edited(lambda spec: spec.neuralNetwork.layers.add(name="old")), "holds no ML program", "neuralNetwork", "convert_to='mlprogram'")


def test_missing_weights(says, package):
    (spec_file(package).parent / "weights" / "weight.bin").unlink()
    says(package, "m.mlpackage is incomplete", "weight.bin is missing")


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_truncated_weights(says, package, share):
    file = spec_file(package).parent / "weights" / "weight.bin"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    says(package, "the weights of m.mlpackage are truncated or damaged")


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_truncated_program(says, package, share):
    file = spec_file(package)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    says(package, "the program of m.mlpackage cannot be read", "truncated or damaged")


@pytest.mark.parametrize("offset", [1 << 20, 1 << 62, (1 << 64) - 1])
def test_weights_beyond_the_end_of_their_file(says, edited, offset):
    def change(spec):
        stored = next(o for o in constants(spec) if o.attributes["val"].WhichOneof("value") == "blobFileValue")
        stored.attributes["val"].blobFileValue.offset = offset

    says(edited(change), "truncated or damaged", "weight.bin")


def test_an_entry_that_tells_of_more_than_the_file(says, package):
    file = spec_file(package).parent / "weights" / "weight.bin"
    content = bytearray(file.read_bytes())
    struct.pack_into("<Q", content, 64 + 8, 1 << 63)
    file.write_bytes(content)
    says(package, "truncated or damaged")


def test_a_huge_program_is_not_read(says, package):
    with spec_file(package).open("r+b") as stream:
        stream.truncate(1 << 34)  # no block of it is on the disk
    says(package, "a program too large to be read")


def load_refused(path, *parts):
    """A package that can be inspected, but not run."""
    with pytest.raises(ArtifactError) as caught:
        edgekit.load_artifact(path)
    for part in parts:
        assert part in str(caught.value)


def set_shape(type_, *sizes):
    del type_.tensorType.dimensions[:]
    type_.tensorType.rank = len(sizes)
    for size in sizes:
        type_.tensorType.dimensions.add().constant.size = size


@pytest.mark.parametrize("sizes", [(HUGE,), (1 << 20, 1 << 20), (1 << 63, 2), ((1 << 64) - 1, 1)])
def test_a_value_declared_too_large(refused, net, edited, sizes):
    path = edited(lambda spec: set_shape(next(o for o in main_block(spec).operations if o.type == "relu").outputs[0].type, *sizes))
    load_refused(path, "declares a value too large to be computed")
    assert "too large to be computed" in refused(3, "verify", path, "--model", f"{net}:build")


def test_one_number_that_stands_for_a_huge_constant(edited):
    def change(spec):
        constant = next(o for o in constants(spec) if o.attributes["val"].immediateValue.tensor.WhichOneof("value") == "ints")
        del constant.attributes["val"].immediateValue.tensor.ints.values[1:]
        set_shape(constant.attributes["val"].type, HUGE)

    load_refused(edited(change), "too large to be computed")


def deep(levels):
    """Return the bytes of a ``Model`` whose program has blocks within blocks."""

    def field(number, content):
        size, length = b"", len(content)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return _varint(number << 3 | 2) + size + bytes([length]) + content

    block = b""
    for _ in range(levels):
        block = field(3, field(1, b"cond") + field(4, block))  # Block.operations, Operation.blocks
    entry = field(1, b"CoreML7") + field(2, block)
    function = field(2, b"CoreML7") + field(3, entry)
    program = field(2, field(1, b"main") + field(2, function))
    return b"\x08\x08" + field(502, program)


def _varint(value):
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def test_blocks_within_blocks(says, package):
    file = spec_file(package)
    file.write_bytes(deep(20))
    assert read_package(package).functions  # what is built here is a program
    file.write_bytes(deep(20_000))
    says(package, "the program of m.mlpackage cannot be read")


def test_millions_of_operators(says, package):
    found = read_package(package)
    block = main_block(found.spec)
    one = next(o for o in block.operations if o.type == "relu")
    block.operations.extend([one] * 200_001)
    found.spec_path.write_bytes(found.spec.SerializeToString())
    says(package, "more than 200000 operators")


def loop_package(path):
    with quiet():
        import coremltools as ct
        from coremltools.converters.mil.mil import Builder

        def small(y):
            return Builder.less(x=Builder.reduce_sum(x=Builder.mul(x=y, y=0.0)), y=1.0)

        @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3, 8, 8))], opset_version=ct.target.iOS17)
        def forever(x):
            return Builder.while_loop(_cond=small, _body=lambda y: Builder.add(x=y, y=1.0), loop_vars=(x,))

        model = ct.convert(forever, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17, skip_model_load=True)
        model.save(str(path))
    return path


def test_a_loop_that_never_ends_stops_in_time(cli, net, monkeypatch, tmp_path):
    monkeypatch.setattr("edgekit.mil.interpreter._LONGEST_LOOP", 0.2)
    path = loop_package(tmp_path / "m.mlpackage")
    start = time.monotonic()
    ran = cli("verify", path, "--model", f"{net}:build", "--json")
    assert ran.code == 5
    assert "has not ended after 0 seconds" in ran.document()["parity"]["reason"]
    assert time.monotonic() - start < 30


def test_refusing_takes_little_memory(edited):
    """In a process that may not have more than two gigabytes beyond what Python and torch take."""
    path = edited(lambda spec: set_shape(next(o for o in main_block(spec).operations if o.type == "relu").outputs[0].type, HUGE))
    code = (
        "import resource, sys, edgekit.runtime.loaded as loaded, edgekit.targets.coreml.open\n"
        "before = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (before + (2 << 30), before + (2 << 30)))\n"
        "try:\n    loaded.load_artifact(sys.argv[1])\nexcept loaded.ArtifactError as error:\n    print(error.summary)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("the program declares a value too large to be computed\n", "")
