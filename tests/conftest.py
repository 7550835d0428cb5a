"""Settings for every test, and what several test files start from."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attrs import frozen

import edgekit
from edgekit.cli.main import main

# The tests' tensors are tiny: on a busy machine, waiting for a second thread takes a hundred times as long as the sum itself.
torch.set_num_threads(1)
# What a test exports is built, in its children, too: tests of the cache name one of their own.
os.environ["EDGEKIT_CACHE_GB"] = "0"


@pytest.fixture
def processor_seconds():
    """A function that runs a program and returns what it took of the processor, in seconds: what a quiet machine takes, however busy this one is."""

    def run(command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return run


NET = '''\
"""A user's own model, and factories that go wrong in every way."""

import os
import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(int(os.environ.get("NET_SEED", "0")))
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 16, 3, 2, 1)
        self.head = nn.Linear(16, 5)
        for parameter in self.parameters():
            parameter.data.normal_(0.1, 0.3, generator=generator)

    def forward(self, image):
        x = torch.relu(self.norm(self.stem(image)))
        return self.head(torch.relu(self.body(x)).mean((2, 3)))


class Branch(Net):
    def forward(self, image):
        # Python computes with the number, so that no graph can decide.
        if image.mean().item() * 2 > 0:
            return super().forward(image)
        return -super().forward(image)


class FixedSize(Net):
    def forward(self, image):
        return super().forward(image + torch.zeros(1, 3, 48, 48))


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image):
        return self.value(image * self.scale)


class InPlace(Net):
    def forward(self, image):
        return super().forward(image.add_(1.0))


def build():
    return Net()


def branch():
    return Branch()


def fixed_size():
    return FixedSize()


def in_place():
    return InPlace()


def raises():
    raise ValueError("boom")


def exits():
    sys.exit("usage: train.py")


def nothing():
    return None


def talks():
    print("building the model")
    os.system("echo said by a child")
    return Net()


def empty():
    return Returns(lambda image: {})


def scalar():
    return Returns(lambda image: image.mean())


def bfloat16():
    return Returns(lambda image: image.mean((2, 3)).to(torch.bfloat16))


def several():
    return Returns(lambda image: {"logits": image.mean((2, 3)), "features": image * 2})


not_callable = 3
'''


@pytest.fixture(scope="session")
def net(tmp_path_factory):
    """The file of a user's model."""
    file = tmp_path_factory.mktemp("user") / "net.py"
    file.write_text(NET)
    return file


@pytest.fixture(scope="session")
def exported_once(net, tmp_path_factory):
    """The export of ``net.py:build`` to ONNX; not to be changed."""
    return edgekit.export(f"{net}:build", targets=["onnx"], resolution=32, output_dir=tmp_path_factory.mktemp("exported"))


@pytest.fixture
def onnx_artifact(exported_once, tmp_path):
    """A copy of an ONNX artifact and its manifest, to do anything with."""
    written = exported_once.artifacts[0]
    shutil.copy(written.manifest, tmp_path / written.manifest.name)
    return Path(shutil.copy(written.path, tmp_path / written.path.name))


@frozen
class Ran:
    """What a run of the command line gave."""

    code: int
    out: str
    err: str

    def document(self):
        return json.loads(self.out)


@pytest.fixture
def cli(monkeypatch, capfd):
    """Run the command line in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["edgekit", *map(str, arguments)])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capfd.readouterr()
        return Ran(stopped.value.code, out, err)

    return run


@pytest.fixture
def refused(cli):
    """Run the command line and expect an error: the exit code, a sentence, nothing on stdout; return stderr."""

    def run(code, *arguments):
        ran = cli(*arguments)
        assert ran.code == code, ran.err
        assert ran.out == ""
        assert ran.err.strip()
        assert "Traceback" not in ran.err
        assert "internal error" not in ran.err
        return ran.err

    return run
