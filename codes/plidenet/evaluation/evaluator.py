"""Restore images and measure them."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from plidenet import distributed
from plidenet.cli import explain
from plidenet.degradation import as_kernel
from plidenet.errors import UserError
from plidenet.memory import OutOfMemory, out_of_memory_explained
from plidenet.metrics import Score, score
from plidenet.pixels import to_float, to_uint8

log = logging.getLogger(__name__)
T = TypeVar("T")


class NotFinite(UserError):
    """The network's output is not finite."""


@dataclass(frozen=True)
class Restored:
    """A restored image.

    Attributes:
        key: the LR image's name.
        image: uint8 (3,H,W) RGB, on the network's device.
        kernel: estimated kernel, float32 (k,k) on the CPU, or None where the network estimated none.
        seconds: time of the network alone; None where another program restored the image.
    """

    key: str
    image: Tensor
    kernel: Tensor | None
    seconds: float | None


@torch.inference_mode()
def restore(net: nn.Module, lr: Tensor, device: torch.device, key: str, true_kernel: Tensor | None = None) -> Restored:
    """Restore one image.

    Args:
        net: network in eval mode: (B,3,h,w) in [0,1] -> sr, kernel or anything else (see `as_kernel`).
        lr: uint8 (3,h,w) RGB.
        device: where the network is.
        key: the image's name, for messages.
        true_kernel: (k,k) to restore with, for networks that take a `kernel`; None (default) is to estimate it.

    Raises:
        UserError: the image is too small, or the kernel of another size than the network's.
        NotFinite: the output is not finite, as with diverged weights.
        OutOfMemory: the image is too large.
    """
    height, width = lr.shape[-2:]
    try:
        with out_of_memory_explained(f"{key}: out of memory on {device} for {height}x{width} LR pixels"):
            image = to_float(lr[None], device)
            known = {} if true_kernel is None else {"kernel": true_kernel[None, None].to(device)}
            start = _now(device)
            sr, estimate = net(image, **known)
            seconds = _now(device) - start
            finite = bool(sr.isfinite().all())
            restored = to_uint8(sr[0])
    except ValueError as error:
        raise UserError(f"{key}: {error}") from error
    if not finite:
        raise NotFinite(f"{key}: the network's output is not finite; its weights have diverged")
    kernel = None if known else as_kernel(estimate)
    return Restored(key, restored, None if kernel is None else kernel[0, 0].float().cpu(), seconds)


def evaluate(
    net: nn.Module,
    samples: Iterable[Mapping],
    device: torch.device,
    measure: Callable[[Restored, Mapping], T],
    true_kernels: bool = False,
) -> list[T]:
    """Restore the images of a set and measure each.

    Args:
        net: the network; evaluated in eval mode and given back in the mode it came in.
        samples: mappings with `lq` (uint8 CHW), `key` and maybe `gt` and `kernel`, as LQ and LQGT datasets yield them:
            of several processes, each its share.
        device: where the network is.
        measure: called with every restored image and its sample, which it may also save; returns what it measured.
        true_kernels: restore with the samples' kernels instead of estimates (default False).

    Returns:
        as `measure_all`.

    Raises:
        UserError: an image is too small for the network, or too large for the memory, or the output is not finite, or
            as `measure_all`.
    """

    def restored(sample: Mapping) -> Restored:
        return restore(net, sample["lq"], device, sample["key"], sample["kernel"] if true_kernels else None)

    was_training = net.training
    net.eval()
    try:
        return measure_all(restored, samples, measure)
    finally:
        net.train(was_training)


def measure_all(
    restored: Callable[[Mapping], Restored], samples: Iterable[Mapping], measure: Callable[[Restored, Mapping], T]
) -> list[T]:
    """Get the restored images of a set and measure each.

    Args:
        restored: from a sample to its restored image.
        samples: of several processes, each its share.
        measure: see `evaluate`.

    Returns:
        what was measured, in the images' order; of several processes, each gets that of all.

    Raises:
        UserError: as `restored` or `measure`; of several processes, what one of them meets is raised in all.
    """
    results = []
    failure = None
    try:
        for sample in samples:
            results.append(measure(restored(sample), sample))
    except UserError as error:
        failure = error
        # The others may be at work for longer than this process may wait for them.
        if distributed.world_size() > 1 and not isinstance(error, NotFinite):
            log.error("process %d: %s", distributed.rank(), explain(error))
    distributed.raise_in_all(failure)
    return distributed.gather_interleaved(results)


def score_restored(restored: Restored, hr: Tensor, crop_border: int) -> Score:
    """PSNR and SSIM of a restored image against `hr`, uint8 (3,H,W), with `crop_border` pixels cut from each side.

    Raises:
        UserError: too little is left, the HR image is of another size, or too large for the memory.
    """
    sizes = "x".join(map(str, hr.shape[-2:]))
    try:
        with out_of_memory_explained(f"out of memory on {hr.device} for the scores of {sizes} pixels; try device=cpu"):
            return score(restored.image, hr, crop_border)
    except (ValueError, OutOfMemory) as error:
        raise UserError(f"{restored.key}: {error}") from error


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
