"""Failures of the machine in training, each explained in one sentence, with what helps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from plidenet.data.loaders import loader_deaths_explained
from plidenet.memory import out_of_memory_explained


@contextmanager
def failures_explained(device: torch.device) -> Iterator[None]:
    """Raise a UserError where a loader process was killed, and OutOfMemory where memory ran out.

    Args:
        device: what this process computes on.
    """
    saving = "train.accumulate, train.precision: bf16, network_G.setting.checkpoint and smaller batches save some"
    dead = "resume from the last save with path.resume_state: auto"
    with loader_deaths_explained(dead), out_of_memory_explained(f"out of memory on {device}; {saving}"):
        yield
