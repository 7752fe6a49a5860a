"""PSNR and SSIM as benchmarks of super-resolution report them."""

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PEAK = 255.0
WINDOW, WINDOW_SIGMA = 11, 1.5
Image = TypeVar("Image", np.ndarray, Tensor)


@dataclass(frozen=True)
class Score:
    """How close an image comes to its reference: PSNR in dB and SSIM, on luma and on the three colors."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


def score(image: np.ndarray | Tensor, reference: np.ndarray | Tensor, crop_border: int) -> Score:
    """All four measures at once; arguments and errors as for `psnr`."""
    x, y = _planes(image, reference, crop_border, "rgb")
    x_luma, y_luma = rgb_to_y(x)[None], rgb_to_y(y)[None]
    return Score(_psnr(x_luma, y_luma), _ssim(x_luma, y_luma), _psnr(x, y), _ssim(x, y))


def psnr(image: np.ndarray | Tensor, reference: np.ndarray | Tensor, crop_border: int = 0, color: str = "y") -> float:
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE), the MSE taken over all pixels and channels.

    Args:
        image: RGB (not OpenCV's BGR), values in 0..255, not rounded here: numpy (H,W,3) or (H,W), tensor (3,H,W) or
            (H,W), any dtype. Without channels it counts as three equal ones.
        reference: the same, on the same device.
        crop_border: pixels cut from each side first.
        color: "y" (luma, see `rgb_to_y`) or "rgb".

    Returns:
        decibels; inf for identical images.

    Raises:
        ValueError: shapes that differ or are none of these, less than 11x11 pixels after the crop, an unknown color, or
            a floating image of 0..1 instead of 0..255.
    """
    return _psnr(*_planes(image, reference, crop_border, color))


def ssim(image: np.ndarray | Tensor, reference: np.ndarray | Tensor, crop_border: int = 0, color: str = "y") -> float:
    """Structural similarity (Wang et al., TIP 2004): 11x11 Gaussian window of width 1.5, where it fits in the image.

    Arguments and errors as for `psnr`. With "rgb", the mean over the channels.

    Returns:
        at most 1, for identical images.
    """
    return _ssim(*_planes(image, reference, crop_border, color))


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


def _planes(
    image: np.ndarray | Tensor, reference: np.ndarray | Tensor, crop_border: int, color: str
) -> tuple[Tensor, Tensor]:
    """Check, convert to float64 (C,H,W) and crop."""
    if image.shape != reference.shape:
        raise ValueError(f"images of different shapes: {tuple(image.shape)} and {tuple(reference.shape)}")
    if color not in ("y", "rgb"):
        raise ValueError(f"color must be 'y' or 'rgb', not '{color}'")
    x, y = (_cropped(_to_tensor(picture), crop_border) for picture in (image, reference))
    for name, picture in (("image", image), ("reference", reference)):
        if "float" in str(picture.dtype) and 0 < picture.max() <= 1:
            raise ValueError(f"the {name} has no value above 1: psnr, ssim and score take images of 0..255")
    return (x, y) if color == "rgb" else (rgb_to_y(x)[None], rgb_to_y(y)[None])


def _to_tensor(image: np.ndarray | Tensor) -> Tensor:
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1) if image.ndim == 3 else image))
    if image.dim() == 2:
        image = image.expand(3, -1, -1)
    if image.dim() != 3 or len(image) != 3:
        raise ValueError(f"an image must have three channels or no channel axis, not the shape {tuple(image.shape)}")
    return image.to(torch.float64)


def _cropped(image: Tensor, border: int) -> Tensor:
    height, width = image.shape[-2:]
    if border < 0 or min(height, width) - 2 * border < WINDOW:
        raise ValueError(f"cropping {border} pixels from {height}x{width} leaves less than {WINDOW}x{WINDOW}")
    return image[:, border : height - border, border : width - border]


def _psnr(x: Tensor, y: Tensor) -> float:
    error = F.mse_loss(x, y).item()
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def _ssim(x: Tensor, y: Tensor) -> float:
    """The mean over the channels, one after the other: large images take much memory."""
    return fmean(_ssim_of_plane(*planes) for planes in zip(x.split(1), y.split(1), strict=True))


def _ssim_of_plane(x: Tensor, y: Tensor) -> float:
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_x, mean_y, xx, yy, xy = _local_means(torch.stack((x, y, x * x, y * y, x * y)))
    variance_x, variance_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean().item()


def _local_means(maps: Tensor) -> Tensor:
    """Gaussian-weighted means over the windows that fit: (N,C,H,W) to (N,C,H-10,W-10)."""
    taps = torch.arange(WINDOW, dtype=maps.dtype, device=maps.device) - WINDOW // 2
    window = torch.exp(-0.5 * (taps / WINDOW_SIGMA) ** 2)
    window = window / window.sum()
    planes = maps.flatten(0, 1)[:, None]
    planes = F.conv2d(F.conv2d(planes, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return planes.unflatten(0, maps.shape[:2])[:, :, 0]
