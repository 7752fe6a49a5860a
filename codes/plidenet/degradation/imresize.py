"""MATLAB's `imresize`: bicubic resampling, antialiased when shrinking, as two matrix products."""

import math
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from plidenet.autocast import autocast_off

Image = TypeVar("Image", np.ndarray, Tensor)


def imresize(image: Image, factor: float | None = None, size: tuple[int, int] | None = None) -> Image:
    """Resize an image as MATLAB's imresize(image, factor) or imresize(image, size) does by default.

    The bicubic of Keys (1981) with a = -0.5, stretched by 1/factor when shrinking; the border is mirrored with the
    edge pixel repeated. Differentiable for tensors.

    Args:
        image: numpy (H,W) or (H,W,C), uint8 or float; or a floating tensor (B,C,H,W).
        factor: new size / old size > 0; the new sizes are ceil(factor * H) and ceil(factor * W).
        size: (height, width), instead of a factor.

    Returns:
        Same kind and layout as the image. uint8 gives uint8, rounded half away from zero and clamped (once, after both
        directions). Floats keep their dtype and are not clamped, but tensors of half precision give float32.

    Raises:
        ValueError: both or neither of factor and size, one that is not positive or not finite, or an image of another
            kind.
    """
    if (factor is None) == (size is None):
        raise ValueError("imresize needs either a factor or a size")
    if isinstance(image, Tensor):
        if image.dim() != 4 or not image.is_floating_point():
            raise ValueError(f"imresize takes floating tensors (B,C,H,W), not {image.dtype} {tuple(image.shape)}")
        return _resize_tensor(image, *_plans(image.shape[-2:], factor, size))
    if (
        image.ndim not in (2, 3)
        or image.dtype.kind not in "fu"
        or (image.dtype.kind == "u" and image.dtype != np.uint8)
    ):
        raise ValueError(f"imresize takes uint8 or float arrays (H,W[,C]), not {image.dtype} {image.shape}")
    return _resize_array(image, *_plans(image.shape[:2], factor, size))


Plan = tuple[int, int, float]  # old length, new length, factor


def _plans(old: tuple[int, ...], factor: float | None, size: tuple[int, int] | None) -> tuple[Plan, Plan]:
    if size is None:
        assert factor is not None
        if not 0 < factor < math.inf:
            raise ValueError(f"imresize needs a positive, finite factor, not {factor}")
        rows, columns = ((length, math.ceil(factor * length), float(factor)) for length in old)
    else:
        if min(size) < 1:
            raise ValueError(f"imresize needs a positive size, not {tuple(size)}")
        rows, columns = ((length, new, new / length) for length, new in zip(old, size, strict=True))
    return rows, columns


def _resize_tensor(image: Tensor, rows: Plan, columns: Plan) -> Tensor:
    dtype = torch.promote_types(image.dtype, torch.float32)
    # What torch.compile, torch.export or a fake-tensor mode traces with is no real tensor, and is not to be cached.
    traced = torch.compiler.is_compiling() or type(image) not in (Tensor, nn.Parameter)
    matrix = _matrix if traced else _cached_matrix
    with autocast_off(image.device):
        left = matrix(*rows, dtype, image.device)
        right = matrix(*columns, dtype, image.device)
        return left @ image.to(dtype) @ right.mT


def _resize_array(image: np.ndarray, rows: Plan, columns: Plan) -> np.ndarray:
    planes = np.moveaxis(np.atleast_3d(image), 2, 0).astype(np.float64)
    left, right = (_matrix(*plan, torch.float64, torch.device("cpu")).numpy() for plan in (rows, columns))
    resized = left @ planes @ right.T
    if image.dtype == np.uint8:
        resized = np.floor(resized.clip(0, 255) + 0.5)
    resized = np.ascontiguousarray(np.moveaxis(resized, 0, 2), dtype=image.dtype)
    return resized.reshape(resized.shape[: image.ndim])


def _matrix(old: int, new: int, factor: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The resampling of one direction: (new,old), each row summing to 1, computed in float64 on the CPU."""
    shrink = min(factor, 1.0)
    centers = (torch.arange(new, dtype=torch.float64, device="cpu") + 0.5) / factor - 0.5
    first = (centers - 2 / shrink).floor().long()
    taps = first[:, None] + torch.arange(math.ceil(4 / shrink) + 2, device="cpu")
    weights = _cubic(shrink * (centers[:, None] - taps))
    weights = weights / weights.sum(dim=1, keepdim=True)
    mirrored = torch.minimum(taps % (2 * old), (-1 - taps) % (2 * old))
    return weights.new_zeros(new, old).scatter_add(1, mirrored, weights).to(dtype).to(device)


@lru_cache(maxsize=16)
def _cached_matrix(old: int, new: int, factor: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A tensor born in inference mode could not take part in a gradient later on, when it comes from the cache.
    with torch.inference_mode(False):
        return _matrix(old, new, factor, dtype, device)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel, a = -0.5."""
    x = x.abs()
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, inner, torch.where(x <= 2, outer, 0))
