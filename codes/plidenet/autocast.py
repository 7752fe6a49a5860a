"""The precision of computations: autocast for a network, and none for those parts of it that need all the bits."""

import logging
from contextlib import AbstractContextManager, nullcontext

import torch

log = logging.getLogger(__name__)

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_to(precision: str, device: torch.device) -> AbstractContextManager:
    """A context in which a network computes in a precision: "bf16", "fp16", or as it is in "fp32"."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


def warn_of_emulation(precision: str, device: torch.device) -> None:
    """Warn where half the bits take more time, not less: on an x86 processor that stops at AVX2, several times more."""
    if precision != "fp32" and device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        log.warning("this processor emulates %s, several times slower than train.precision: fp32", precision)


def autocast_off(device: torch.device) -> AbstractContextManager:
    """A context without autocast; does nothing on the meta device (shapes without numbers), which has no autocast."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
