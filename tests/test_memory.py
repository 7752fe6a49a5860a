"""Memory: what work takes, with and without tiles, what there is, and how its end is told from other errors."""

from unittest.mock import Mock

import pytest
import torch
from conftest import TINY
from plidenet import build_network, memory
from plidenet.errors import UserError
from plidenet.evaluation import evaluator
from plidenet.evaluation.evaluator import Restored, restore, score_restored
from plidenet.evaluation.tiling import Tiled
from plidenet.memory import OutOfMemory, is_out_of_memory
from torch import nn

CPU = torch.device("cpu")


def test_the_limit_of_a_container_bounds_the_free_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    whole = memory.free_memory(CPU)
    assert whole > 2**20
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 50\nactive_file 60\n")
    assert memory.free_memory(CPU) == 650, "what is kept of files is given up"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert memory.free_memory(CPU) == 325, "another process takes as much"


@pytest.mark.parametrize(
    ("own", "folder", "files"),
    [
        ("0::/job/step", "job", ("memory.max", "memory.current", "inactive_file")),
        (
            "3:cpuset:/\n2:memory:/job/step",
            "memory/job",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_the_limit_of_a_job_that_holds_the_process_bounds_the_free_memory(tmp_path, monkeypatch, own, folder, files):
    limit, taken, cache = files
    (tmp_path / folder / "step").mkdir(parents=True)
    for group, bytes_ in (((tmp_path / folder), 1000), (tmp_path / folder / "step", 2**62)):
        (group / limit).write_text(f"{bytes_}\n")
        (group / taken).write_text("400\n")
        (group / "memory.stat").write_text(f"{cache} 50\n")
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    assert memory.free_memory(CPU) == 650


def memory_taken(name, scale):
    """Bytes in tiles at sides 96 and 192, and at 192 without tiles."""
    net = build_network(name, **TINY | {"scale": scale, "num_feat": 32, "embed_dim": 32}).eval()

    def taken(restoring, side):
        peak = memory.PeakMemory(CPU)
        peak.begin()
        with torch.inference_mode():
            restoring(torch.rand(1, 3, side, side))
        peak.end()
        return peak.bytes

    tiled = Tiled(net, 48, 16)
    taken(tiled, 96)  # loads what the first call loads
    return taken(tiled, 96), taken(tiled, 192), taken(net, 192)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), [("PL_IDENet", 2), ("PL_IDENet_E", 4)])
def test_tiles_take_a_fraction_of_the_memory_and_more_pixels_take_less_than_in_proportion(name, scale, fresh_process):
    small, large, untiled = fresh_process.submit(memory_taken, name, scale).result()
    assert large < 0.6 * untiled
    assert large < 4 * small, "of four times the pixels"


def memory_of_a_block():
    """What is measured of a tensor of 256 MiB."""
    peak = memory.PeakMemory(CPU)
    peak.begin()
    block = torch.ones(64, 2**20)
    del block
    peak.end()
    return peak.bytes


def test_what_a_network_takes_is_measured(fresh_process):
    assert 250 * 2**20 < fresh_process.submit(memory_of_a_block).result() < 300 * 2**20


class Greedy(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, lr):
        if self.error is None:
            torch.empty(2**60, dtype=torch.uint8)
        raise self.error


FULL = ("cuFFT error: CUFFT_ALLOC_FAILED", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


@pytest.mark.parametrize("error", [None, MemoryError(), torch.cuda.OutOfMemoryError("full"), *map(RuntimeError, FULL)])
def test_running_out_of_memory_is_told_from_other_errors(error):
    with pytest.raises(OutOfMemory, match="bird: out of memory on cpu for 20x30 LR pixels"):
        restore(Greedy(error), torch.zeros(3, 20, 30, dtype=torch.uint8), CPU, "bird")


def test_scores_that_memory_does_not_suffice_for_are_told_with_what_helps(monkeypatch):
    monkeypatch.setattr(evaluator, "score", Mock(side_effect=torch.cuda.OutOfMemoryError("full")))
    image = torch.zeros(3, 20, 30, dtype=torch.uint8)
    with pytest.raises(
        UserError, match="bird: out of memory on cpu for the scores of 20x30 pixels; try device=cpu"
    ) as told:
        score_restored(Restored("bird", image, None, None), image, 0)
    assert not isinstance(told.value, OutOfMemory), "tiles, which are advised then, would not help"


def test_other_errors_of_the_network_are_not_hidden():
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        restore(Greedy(RuntimeError("shapes do not match")), torch.zeros(3, 20, 30, dtype=torch.uint8), CPU, "bird")
