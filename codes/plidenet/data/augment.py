"""Random crops, flips and transpositions, drawn apart from the images that they are applied to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Placement:
    """A crop's place, in pixels of the coarsest grid, and orientation: both flips first, then the transposition."""

    top: int
    left: int
    flip_rows: bool
    flip_columns: bool
    transpose: bool


class Augment:
    """The same random crop, flips and transposition for images of one scene at several resolutions.

    Args:
        size: side of the crop on the coarsest image's grid, or None for no crop.
        use_flip: flip at random, in both directions independently.
        use_rot: transpose at random; with both, all eight orientations are equally likely.
    """

    def __init__(self, size: int | None, use_flip: bool, use_rot: bool) -> None:
        self.size, self.use_flip, self.use_rot = size, use_flip, use_rot

    def draw(self, height: int, width: int, seed: Sequence[int] | None) -> Placement:
        """Draw a place in height x width pixels of the coarsest grid; `seed` decides everything, None draws afresh."""
        rng = np.random.default_rng(seed)
        top, left = (0, 0) if self.size is None else (int(rng.integers(n - self.size + 1)) for n in (height, width))
        flip_rows, flip_columns = (self.use_flip & (rng.random(2) < 0.5)).tolist()
        return Placement(top, left, flip_rows, flip_columns, self.use_rot and bool(rng.random() < 0.5))

    def __call__(
        self, images: Sequence[np.ndarray], steps: Sequence[int], seed: Sequence[int] | None
    ) -> list[np.ndarray]:
        """Crop, flip and transpose.

        Args:
            images: (H,W,3) each.
            steps: for each image, how many of its pixels span one pixel of the coarsest grid.
            seed: see `draw`.
        """
        height, width = (n // steps[0] for n in images[0].shape[:2])
        place = self.draw(height, width, seed)
        if self.size is not None:
            bottom, right = place.top + self.size, place.left + self.size
            images = [
                image[step * place.top : step * bottom, step * place.left : step * right]
                for image, step in zip(images, steps, strict=True)
            ]
        if place.flip_rows:
            images = [image[::-1] for image in images]
        if place.flip_columns:
            images = [image[:, ::-1] for image in images]
        if place.transpose:
            images = [image.transpose(1, 0, 2) for image in images]
        return list(images)
