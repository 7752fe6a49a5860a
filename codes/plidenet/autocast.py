"""Mixed precision: autocast for a network, and none for those parts of it that need full precision."""

import logging
import time
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn import functional as F

log = logging.getLogger(__name__)

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_to(precision: str, device: torch.device) -> AbstractContextManager:
    """A context with autocast to "bf16" or "fp16"; with "fp32", one that changes nothing."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


def warn_of_emulation(precision: str, device: torch.device) -> None:
    """Warn where half precision is slower than float32, not faster: on a CPU without instructions for it."""
    if precision == "fp32" or device.type != "cpu":
        return
    times = seconds_of_convolution(PRECISIONS[precision]) / seconds_of_convolution(torch.float32)
    if times > 1.5:
        text = "a convolution in %s takes %.1f times as long as in float32 on this CPU; train.precision: fp32 is faster"
        log.warning(text, precision, times)


def seconds_of_convolution(dtype: torch.dtype) -> float:
    """The time of a 3x3 convolution from 64 channels to 64, of 32x32 pixels, on the CPU: the fastest of three."""
    image, weight = torch.ones(1, 64, 32, 32, dtype=dtype), torch.ones(64, 64, 3, 3, dtype=dtype)
    F.conv2d(image, weight)  # warms up
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        F.conv2d(image, weight)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def autocast_off(device: torch.device) -> AbstractContextManager:
    """A context without autocast; does nothing on the meta device (shapes without numbers), which has no autocast."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
