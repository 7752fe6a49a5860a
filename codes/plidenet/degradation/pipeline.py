"""From HR to LR: blur, downsample, round. Training, the LR-consistency loss and the benchmark scripts all use this."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from plidenet.degradation.imresize import imresize

Downsampling = Literal["bicubic", "direct"]
DOWNSAMPLINGS = get_args(Downsampling)


def degrade(image: Tensor, kernel: Tensor, scale: int, downsample: Downsampling = "bicubic") -> Tensor:
    """Blur and downsample, without rounding.

    "bicubic" is MATLAB's, antialiased: the degradation of TIP 2024. Its LR pixel i is centered at scale*i +
    (scale - 1)/2 in HR pixels, in the middle of its block. "direct" keeps every scale-th pixel of the blurred image,
    scale*i + (scale - 1)//2. At even scales, that is half a pixel to the left of the middle and above it: a kernel
    centered at `direct_center(scale)` keeps the LR image where bicubic puts it, and one centered on its central tap
    shifts it by half an HR pixel.

    Args:
        image: (B,C,H,W).
        kernel: (k,k), (B,k,k) or (B,1,k,k), k odd, k//2 < H, W.
        scale: HR size / LR size.
        downsample: "bicubic" (default) or "direct".

    Returns:
        (B,C,H/scale,W/scale), not clamped: bicubic overshoots. Differentiable in both tensors; at least float32.

    Raises:
        ValueError: sizes that do not divide by the scale or do not fit the kernel, or another downsampling.
    """
    if downsample not in DOWNSAMPLINGS:
        raise ValueError(f"downsample must be 'bicubic' or 'direct', not '{downsample}'")
    if image.shape[-2] % scale or image.shape[-1] % scale:
        raise ValueError(f"an image of {image.shape[-2]}x{image.shape[-1]} does not divide by the scale {scale}")
    blurred = blur(image, kernel)
    if downsample == "bicubic":
        return imresize(blurred, 1 / scale)
    first = (scale - 1) // 2
    return blurred[..., first::scale, first::scale]


def direct_center(scale: int) -> float:
    """Where the middle of an LR pixel lies, to the right of and below the HR pixel that "direct" keeps: 1/2 or 0."""
    return (scale - 1) / 2 - (scale - 1) // 2


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Correlate each image with its own kernel, the border mirrored without repeating the edge pixel.

    Computed by FFT: at 16 x 3 x 128 x 128 and 21 x 21 that is ten times as fast as a grouped convolution on a CPU,
    forwards and backwards, and as exact.

    Args:
        image: (B,C,H,W).
        kernel: (k,k), (B,k,k) or (B,1,k,k), k odd, k//2 < H, W.

    Returns:
        (B,C,H,W), differentiable in both tensors; at least float32.

    Raises:
        ValueError: kernels and image that do not fit each other.
    """
    size, radius = kernel.shape[-1], kernel.shape[-1] // 2
    height, width = image.shape[-2:]
    if kernel.shape[-2] != size or size % 2 == 0 or radius >= min(height, width):
        raise ValueError(f"a kernel of {tuple(kernel.shape)} does not fit an image of {height}x{width}")
    if kernel.dim() > 2 and len(kernel) not in (1, len(image)):
        raise ValueError(f"{len(kernel)} kernels for {len(image)} images")
    dtype = torch.promote_types(torch.promote_types(image.dtype, kernel.dtype), torch.float32)
    padded = F.pad(image.to(dtype), (radius,) * 4, mode="reflect")
    shape = padded.shape[-2:]
    if kernel.dim() == 3:
        kernel = kernel[:, None]
    # The product with the conjugate is a circular correlation; the first H x W values are the ones that do not wrap.
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel.to(dtype), s=shape).conj()
    return torch.fft.irfft2(spectrum, s=shape)[..., :height, :width]


def quantize(image: Tensor) -> Tensor:
    """Round to the 256 levels of a file: round(255 * clamp(image, 0, 1)) / 255. Its gradient is zero."""
    return (255 * image.clamp(0, 1)).round() / 255
