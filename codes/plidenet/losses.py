"""The training loss (TIP 2024): a weighted sum of terms, built from the YAML. L1 is the mean absolute difference."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional as F

from plidenet.crop import Crop
from plidenet.degradation import as_kernel, degrade
from plidenet.errors import UserError
from plidenet.registry import Registry

LOSSES = Registry("loss")


@dataclass(frozen=True)
class Restoration:
    """What a loss may look at, for a batch of B images.

    Attributes:
        sr: restored image (B,3,H,W), or a crop of it, not clamped.
        kernel: estimated kernel (B,1,k,k), or whatever else the network returns beside sr.
        lr: LR image (B,3,h,w) in [0,1].
        hr: true image (B,3,H,W) in [0,1].
        true_kernel: kernel (B,1,k,k) that lr was blurred with; None where it is not known, as of pairs (mode LQGT).
        crop: the part that sr shows (default None: all).

    Raises:
        UserError: sr is not of the true image's shape.
    """

    sr: Tensor
    kernel: Any
    lr: Tensor
    hr: Tensor
    true_kernel: Tensor | None = None
    crop: Crop | None = None

    def __post_init__(self) -> None:
        if self.sr.shape != self.target.shape:  # losses might spread the one over the other
            made, wanted = tuple(self.sr.shape), tuple(self.target.shape)
            raise UserError(f"the network restores {made} instead of {wanted}: it must return (sr, kernel or None)")

    @property
    def scale(self) -> int:
        return self.hr.shape[-1] // self.lr.shape[-1]

    @property
    def target(self) -> Tensor:
        """The part of the true image that sr shows."""
        return self.hr if self.crop is None else self.crop.of(self.hr)


@LOSSES.register("l1")
def l1(restoration: Restoration) -> Tensor:
    """L1 between restored and true image."""
    return F.l1_loss(restoration.sr.float(), restoration.target)


@LOSSES.register("lr_consistency")
def lr_consistency(restoration: Restoration) -> Tensor:
    """L1 between the LR image and the true image degraded by the ESTIMATED kernel: all that the estimator learns from.

    The degraded image is not rounded, so that the gradient reaches the kernel.
    """
    kernel = as_kernel(restoration.kernel)
    if kernel is None:
        raise UserError("the loss lr_consistency needs a network that estimates a kernel; remove it from train.losses")
    predicted = degrade(restoration.hr, kernel, restoration.scale)
    return F.l1_loss(predicted, restoration.lr)


@LOSSES.register("gradient_difference")
def gradient_difference(restoration: Restoration) -> Tensor:
    """Absolute errors of horizontal and vertical finite differences, summed and divided by the number of values."""
    error = restoration.sr.float() - restoration.target
    rows, columns = error.diff(dim=-2).abs().sum(), error.diff(dim=-1).abs().sum()
    return (rows + columns) / error.numel()


class Term(NamedTuple):
    """One weighted term of the loss."""

    name: str
    function: Callable[[Restoration], Tensor]
    weight: float


def build_losses(weights: Iterable[tuple[str, float]]) -> list[Term]:
    """Look up losses by name.

    Args:
        weights: (registered name, weight) pairs, as in `train.losses` of the YAML.

    Raises:
        UserError: an unknown name.
    """
    return [Term(name, LOSSES.get(name), weight) for name, weight in weights]


def total_loss(terms: Sequence[Term], restoration: Restoration) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The weighted sum of the terms, and each term by name (unweighted), all scalars.

    Raises:
        UserError: a term needs a kernel that the network does not estimate, or SR images where train.refine_crop is 0,
            or returns anything but one number.
    """
    values = {term.name: term.function(restoration) for term in terms}
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.dim() > 0:
            found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"the loss {name} must return a tensor of one number (shape ()), not {found}")
    if restoration.sr.numel() == 0 and (lost := [name for name, value in values.items() if not value.isfinite()]):
        raise UserError(f"the loss {lost[0]} needs restored images: where train.refine_crop is 0, there are none")
    total = sum((term.weight * values[term.name] for term in terms), start=restoration.hr.new_zeros(()))
    return total, values
