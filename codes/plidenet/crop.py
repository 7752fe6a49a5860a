"""The crop of its images that a training step refines."""

from typing import NamedTuple

import torch
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


def random_crop(side: int, height: int, width: int) -> Crop:
    """A crop at the beginning, in the middle or at the end of each axis of images of height x width.

    So the refinement meets the borders of images, where the deconvolution is at its worst, as well as what lies
    between: with the middle alone, it came out 2 dB worse in a frame of six pixels than with whole images.
    """
    top, left = (
        step * (length - side) // 2
        for step, length in zip(torch.randint(3, (2,)).tolist(), (height, width), strict=True)
    )
    return Crop(top, left, side)
