"""Random crops, flips and transpositions, the same for images of one scene."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from plidenet.pixels import to_tensor


class Augment:
    """The same random crop, flips and transposition for images of one scene at several resolutions.

    Args:
        size: side of the crop on the coarsest image's grid, or None for no crop.
        use_flip: flip at random, in both directions independently.
        use_rot: transpose at random; with both, all eight orientations are equally likely.
    """

    def __init__(self, size: int | None, use_flip: bool, use_rot: bool) -> None:
        self.size, self.use_flip, self.use_rot = size, use_flip, use_rot

    def __call__(
        self, images: Sequence[np.ndarray | Tensor], steps: Sequence[int], seed: Sequence[int] | None
    ) -> list[Tensor]:
        """Crop, then flip, then transpose.

        Args:
            images: uint8 (H,W,3) each, arrays or tensors of any device.
            steps: for each image, how many of its pixels span one pixel of the coarsest grid.
            seed: decides everything; None draws one from torch's generator, which a DataLoader seeds in its workers.

        Returns:
            uint8 (3,h,w) each, on the device of the image.
        """
        rng = np.random.default_rng(int(torch.randint(2**63 - 1, (), device="cpu")) if seed is None else seed)
        height, width = (n // steps[0] for n in images[0].shape[:2])
        if self.size is not None:
            top, left = (int(rng.integers(n - self.size + 1)) for n in (height, width))
            bottom, right = top + self.size, left + self.size
            images = [
                image[step * top : step * bottom, step * left : step * right]
                for image, step in zip(images, steps, strict=True)
            ]
        flips = [dim for dim, heads in zip((-2, -1), rng.random(2) < 0.5, strict=True) if self.use_flip and heads]
        transpose = self.use_rot and rng.random() < 0.5
        turned = [tensor.flip(flips) if flips else tensor for tensor in map(to_tensor, images)]
        return [tensor.mT.contiguous() for tensor in turned] if transpose else turned
