"""What several tests share: networks small enough for a test, and a way to run the command-line programs."""

import logging
import os
import runpy
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from plidenet import build_network
from plidenet.checkpoint import save_checkpoint

torch.set_num_threads(1)  # networks this small gain nothing from threads
os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent

TINY = {
    "num_feat": 8,
    "kernel_embed_dim": 8,
    "embed_dim": 8,
    "depths": (2, 1),
    "num_heads": (2, 4),
    "mlp_ratio": 2.0,
    "prompt_dims": (4, 8),
    "prompt_heads": (1, 2),
}


class Harm:
    """Unpickled without care, makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def scrambled():
    """Move every parameter off its start: zero biases and unit norms would make swapped tensors look alike."""

    def scramble(module, amount=0.1):
        generator = torch.Generator().manual_seed(1)
        for parameter in module.parameters():
            parameter.data += amount * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        return module

    return scramble


@pytest.fixture
def tiny_network(scrambled):
    """build_network with few channels and blocks; keyword arguments change the setting."""

    def build(name="PL_IDENet", **changes):
        torch.manual_seed(0)
        setting = {} if name == "Bicubic" else TINY
        return scrambled(build_network(name, **setting | changes))

    return build


@pytest.fixture
def learned(tiny_network):
    """A small PL_IDENet x2, as testing_setup.LEARNED makes it, in eval mode."""
    return tiny_network(scale=2).eval()


@pytest.fixture
def weights(tmp_path, learned):
    """The file of its weights."""
    save_checkpoint(tmp_path / "tiny.pth", params=learned.state_dict())
    return tmp_path / "tiny.pth"


class Finished(NamedTuple):
    """How a command-line program ended: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Run a program of the repository in this process: run_script("scripts/create_lmdb.py", "--source", folder)."""

    def run(script, *arguments):
        logger = logging.getLogger("plidenet")
        handlers = list(logger.handlers)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            for handler in set(logger.handlers) - set(handlers):
                logger.removeHandler(handler)
                handler.close()
        return Finished(status, *capsys.readouterr())

    return run


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def refused(run_script):
    """Run a program that must refuse its input and leave the current folder alone; returns its one sentence."""

    def run(program, *arguments):
        before = tree(Path.cwd())
        done = run_script(program, *arguments)
        assert done.status == 2
        assert [line[:7] for line in done.err.splitlines()] == ["error: "]
        assert tree(Path.cwd()) == before, "files were left behind, or changed"
        return done.err.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """A small test set, two photographs with two blurs each, for all tests of a module."""
    from testing_setup import make_benchmark  # which takes TINY from here

    return make_benchmark(tmp_path_factory.mktemp("benchmark"), [0.8, 1.6])


@pytest.fixture
def bench(tmp_path, benchmark):
    """Option files that test on it."""
    from testing_setup import Bench

    return Bench(tmp_path, benchmark)


@pytest.fixture
def run(tmp_path):
    """A training run small enough for a test."""
    from training_setup import Run  # which takes ROOT and TINY from here

    return Run(tmp_path)


@pytest.fixture
def fresh_process(monkeypatch):
    """A process to measure memory in: in this one, other tests leave holes."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # glibc gives tensors back at once: peaks repeat within 1 %
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process
