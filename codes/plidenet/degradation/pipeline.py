"""From HR to LR: blur, downsample, round. Training, the LR-consistency loss and the benchmark scripts all use this."""

import torch
from torch import Tensor
from torch.nn import functional as F

from plidenet.degradation.imresize import imresize


def degrade(image: Tensor, kernel: Tensor, scale: int) -> Tensor:
    """Blur and downsample by MATLAB's antialiased bicubic: the degradation of TIP 2024, without rounding.

    Args:
        image: (B,C,H,W).
        kernel: (k,k), (B,k,k) or (B,1,k,k), k odd, k//2 < H, W.
        scale: HR size / LR size.

    Returns:
        (B,C,H/scale,W/scale), not clamped: bicubic overshoots. Differentiable in both tensors; at least float32.

    Raises:
        ValueError: sizes that do not divide by the scale or do not fit the kernel.
    """
    if image.shape[-2] % scale or image.shape[-1] % scale:
        raise ValueError(f"an image of {image.shape[-2]}x{image.shape[-1]} does not divide by the scale {scale}")
    return imresize(blur(image, kernel), 1 / scale)


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
