"""How close estimated blur kernels come to the true ones, where those are known."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from torch import Tensor

from plidenet.degradation import degrade
from plidenet.evaluation.conditions import Conditions
from plidenet.evaluation.drawing import draw_kernels
from plidenet.evaluation.evaluator import Restored
from plidenet.metrics import kernel_l1, psnr
from plidenet.metrics.kernel import center_of_mass, in_one_size
from plidenet.pixels import to_float, to_uint8

SHOWN = 16  # pairs of kernels on a sheet
KERNEL_NOTE = (
    "Estimated against true kernels, mean over the images. kernel_psnr in dB with peak 1, of kernels that sum to 1; "
    "kernel_l1 the sum of absolute differences, 0 to 2, by which a round guess may be nearer than a long kernel a "
    "little off; kernel_shift the distance of the centers of mass in HR pixels; "
    "lr_psnr in dB on Y, without crop, of the LR image made again from the HR image, where that is known, and the "
    "estimated kernel (blur, bicubic downsampling, 8 bits); capped at the value of one pixel that is off by one level. "
    "With another downsampling, the true kernel stands for bicubic's own blur, too, and may be centered elsewhere, so "
    "that only lr_psnr tells how good the estimate is."
)


@dataclass(frozen=True)
class KernelScore:
    """How close an estimated kernel comes to the true one, in the numbers of KERNEL_NOTE; NaN without an HR image."""

    kernel_psnr: float
    kernel_l1: float
    kernel_shift: float
    lr_psnr: float

    def cells(self) -> list[str]:
        lr_psnr = "" if math.isnan(self.lr_psnr) else f"{self.lr_psnr:.3f}"
        return [f"{self.kernel_psnr:.3f}", f"{self.kernel_l1:.4f}", f"{self.kernel_shift:.4f}", lr_psnr]


KERNEL_METRICS = tuple(field.name for field in dataclasses.fields(KernelScore))


@dataclass(frozen=True)
class KernelPair:
    """The estimated and the true kernel of an image, float32 (k,k) each, and how close they are."""

    key: str
    estimated: np.ndarray
    true: np.ndarray
    score: KernelScore


def pair_kernels(restored: Restored, sample: Mapping, hr: Tensor | None, conditions: Conditions) -> KernelPair | None:
    """An image's estimated and true kernel, compared; None where one is unknown, or nothing was blurred."""
    if not conditions.blurred or restored.kernel is None or "kernel" not in sample:
        return None
    score = score_kernel(restored.kernel, sample["kernel"], hr, sample["lq"])
    return KernelPair(restored.key, restored.kernel.numpy(), sample["kernel"].numpy(), score)


def score_kernel(estimated: Tensor, true: Tensor, hr: Tensor | None, lr: Tensor) -> KernelScore:
    """Compare two kernels; of different sizes, the smaller is taken to be zero outside.

    Args:
        estimated: (k,k), k odd, summing to 1.
        true: (l,l), l odd, summing to 1.
        hr: uint8 (3,H,W), on the device to compute on, or None where it is unknown.
        lr: uint8 (3,h,w), made of `hr` by the true kernel; H a multiple of h, and W the same of w.

    Returns:
        the four numbers; `lr_psnr`, the loss `lr_consistency` in dB, is NaN without `hr`.
    """
    one, other = in_one_size(estimated, true)
    error = (one - other).square().mean().item()
    shift = (center_of_mass(one) - center_of_mass(other)).norm().item()
    lr_psnr = math.nan
    if hr is not None:
        kernel, scale = estimated.to(hr.device), hr.shape[-1] // lr.shape[-1]
        rebuilt = degrade(to_float(hr[None], hr.device), kernel, scale)[0]
        most = 10 * math.log10(255**2 * lr[0].numel())
        lr_psnr = min(psnr(to_uint8(rebuilt), lr.to(hr.device)), most)
    return KernelScore(
        kernel_psnr=-10 * math.log10(error) if error else math.inf,
        kernel_l1=kernel_l1(estimated, true),
        kernel_shift=shift,
        lr_psnr=lr_psnr,
    )


def mean_kernel_score(pairs: Sequence[KernelPair]) -> KernelScore:
    """The mean over images (at least one)."""
    return KernelScore(*(fmean(getattr(pair.score, name) for pair in pairs) for name in KERNEL_METRICS))


def draw_pairs(pairs: Sequence[KernelPair]) -> np.ndarray:
    """Estimated kernels with the true ones beneath, of some images spread over the set: uint8 (H,W,3)."""
    step = math.ceil(len(pairs) / SHOWN)
    shown = pairs[::step]
    estimated = [(f"{pair.key}, est.", pair.estimated) for pair in shown]
    true = [("true", pair.true) for pair in shown]
    columns = min(len(shown), 8)
    rows = [row for i in range(0, len(shown), columns) for row in (estimated[i : i + columns], true[i : i + columns])]
    return np.concatenate([draw_kernels(row, columns) for row in rows])
