"""The crop of its images that a training step refines."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Crop(NamedTuple):
    """A square part of images, in HR pixels.

    Attributes:
        top, left: where it begins.
        side: its height and width; 0 for nothing.
    """

    top: int
    left: int
    side: int

    def of(self, images: Tensor) -> Tensor:
        """Cut it out of (...,H,W)."""
        return images.narrow(-2, self.top, self.side).narrow(-1, self.left, self.side)


def random_crop(side: int | None, size: Sequence[int], seed: Sequence[int]) -> Crop | None:
    """A random crop at the start, middle or end of each axis of images; None if `side` is None.

    So the refinement meets image borders, where the deconvolution is at its worst, as well as the interior: trained
    on the middle alone, it was 2 dB worse in the outermost six pixels than trained on whole images.

    Args:
        side: of the crop; 0 for an empty one.
        size: height and width of the images.
        seed: decides everything, so that all processes crop alike.
    """
    if side is None:
        return None
    steps = np.random.default_rng(seed).integers(3, size=2).tolist()
    top, left = (step * (length - side) // 2 for step, length in zip(steps, size, strict=True))
    return Crop(top, left, side)
