"""Failures of the machine in training, each told in one sentence with what helps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from plidenet.data.loaders import loader_deaths_told
from plidenet.memory import out_of_memory_told


@contextmanager
def failures_told(device: torch.device) -> Iterator[None]:
    """Raise a UserError where a loader process was killed, and OutOfMemory where memory ran out.

    Args:
        device: what this process computes on.
    """
    saving = "train.accumulate, train.precision: bf16, network_G.setting.checkpoint and smaller batches save some"
    dead = "resume from the last save with path.resume_state: auto"
    with loader_deaths_told(dead), out_of_memory_told(f"out of memory on {device}; {saving}"):
        yield
