"""RGB to luma."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Image = TypeVar("Image", np.ndarray, Tensor)


def rgb_to_y(image: Image) -> Image:
    """Luma of ITU-R BT.601 in studio range, as MATLAB's rgb2ycbcr computes it, but not rounded.

    Args:
        image: RGB values in 0..255, numpy (H,W,3) or a tensor (...,3,H,W).

    Returns:
        float64 (H,W) or (...,H,W), values in 16..235.
    """
    if isinstance(image, Tensor):
        red, green, blue = image.to(torch.float64).unbind(-3)
    else:
        red, green, blue = np.moveaxis(image.astype(np.float64), 2, 0)
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
