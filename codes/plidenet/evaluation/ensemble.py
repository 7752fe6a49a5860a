"""x8 self-ensemble: restore all eight orientations of an image and average (Timofte et al., CVPR 2016)."""

from itertools import product
from typing import NamedTuple

from torch import Tensor, nn

from plidenet.degradation import as_kernel


class Orientation(NamedTuple):
    """An orientation of an image (...,H,W): flipped, then transposed."""

    flip_rows: bool
    flip_columns: bool
    transpose: bool

    def turn(self, image: Tensor) -> Tensor:
        image = self._flip(image)
        return image.mT if self.transpose else image

    def turn_back(self, image: Tensor) -> Tensor:
        return self._flip(image.mT if self.transpose else image)

    def _flip(self, image: Tensor) -> Tensor:
        return image.flip([dim for dim, flipped in ((-2, self.flip_rows), (-1, self.flip_columns)) if flipped])


ORIENTATIONS = tuple(Orientation(*flags) for flags in product((False, True), repeat=3))


class SelfEnsemble(nn.Module):
    """The average of a network's outputs for the eight orientations, computed one by one to save memory.

    Kernels are transformed back like images: correlation with a mirrored border and MATLAB's downsampling commute with
    flips and transposition, so a transformed LR image is the transformed HR image degraded by the transformed kernel.

    Args:
        net: (B,3,h,w) -> sr, and kernel (B,1,k,k) or anything else, which is left out.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor | None]:
        sr, estimate = self.net(lr)
        kernel = as_kernel(estimate)
        for orientation in ORIENTATIONS[1:]:  # the first is the image as it is
            turned_sr, turned_kernel = self.net(orientation.turn(lr).contiguous())
            sr = sr + orientation.turn_back(turned_sr)
            if kernel is not None:
                kernel = kernel + orientation.turn_back(turned_kernel)
        count = len(ORIENTATIONS)
        return sr / count, None if kernel is None else kernel / count
