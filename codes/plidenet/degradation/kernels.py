"""Gaussian blur kernels: square, of odd size, non-negative, summing to 1.

The kernels of TIP 2024, widths in HR pixels, at scale s:

    setting 1   isotropic; widths uniform in [0.2, s] in training, eight fixed ones in the benchmark
    setting 2   anisotropic, both widths uniform in [0.6, 5], the angle in [-pi, pi]; then noise on the taps

Coordinates are pixels from the central tap: x to the right, y downwards; widths are standard deviations in pixels.
Random numbers come from the generator given and are drawn on its device: a CPU generator yields the same kernels
wherever they are used.
"""

import math

import numpy as np
import torch
from torch import Tensor

KERNEL_SIZE = 21  # of both settings
SETTING2_WIDTHS = (0.6, 5.0)
# Smallest and largest of the eight widths of setting 1's benchmark, "Gaussian8", by scale.
GAUSSIAN8_RANGES = {2: (0.80, 1.60), 3: (1.35, 2.40), 4: (1.80, 3.20)}


def gaussian8_sigmas(scale: int) -> list[float]:
    """The eight kernel widths of the Gaussian8 benchmark (Gu et al., "Blind super-resolution with IKC", CVPR 2019).

    Args:
        scale: 2, 3 or 4.

    Raises:
        ValueError: any other scale.
    """
    if scale not in GAUSSIAN8_RANGES:
        raise ValueError(f"Gaussian8 is defined for scales 2, 3 and 4, not {scale}")
    return [round(float(sigma), 10) for sigma in np.linspace(*GAUSSIAN8_RANGES[scale], 8)]


def isotropic_gaussian(size: int, sigma: float | Tensor) -> Tensor:
    """Isotropic Gaussian kernels.

    Args:
        size: side of the kernel, odd.
        sigma: width > 0, a number or a tensor (B,), whose device and dtype the kernels take.

    Returns:
        (size,size) for a number, (B,size,size) for a tensor.

    Raises:
        ValueError: an even size, or a number that is no width.
    """
    return anisotropic_gaussian(size, sigma, sigma, 0.0)


def anisotropic_gaussian(
    size: int, width_1: float | Tensor, width_2: float | Tensor, angle: float | Tensor, center: float = 0.0
) -> Tensor:
    """Gaussian kernels with covariance R diag(width_1^2, width_2^2) R^T, R the rotation by `angle`.

    Args:
        size: side of the kernel, odd.
        width_1: width > 0 along the axis at `angle`; a number or a tensor (B,), which sets the device and dtype.
        width_2: width > 0 perpendicular to it; a number or (B,).
        angle: in radians, from the x axis towards the y axis; a number or (B,).
        center: of the Gaussian, in pixels to the right of and below the central tap (default 0: on it).

    Returns:
        (size,size) for numbers, (B,size,size) for tensors.

    Raises:
        ValueError: an even size, or a number that is no width.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel's size must be odd, not {size}")
    for width in (width_1, width_2):
        if not isinstance(width, Tensor) and not width > 0:
            raise ValueError(f"a kernel's width must be positive, not {width}")
    w1 = width_1 if isinstance(width_1, Tensor) else torch.tensor(float(width_1))
    w1 = (w1 if w1.is_floating_point() else w1.float())[..., None, None]  # integer widths would truncate the angle
    w2 = torch.as_tensor(width_2).to(w1)[..., None, None]
    phi = torch.as_tensor(angle).to(w1)[..., None, None]
    x = _axis(size, w1) - center
    y = x[:, None]
    along = x * phi.cos() + y * phi.sin()
    across = y * phi.cos() - x * phi.sin()
    return _normalized(torch.exp(-0.5 * ((along / w1) ** 2 + (across / w2) ** 2)))


def disturb_taps(kernel: Tensor, generator: torch.Generator) -> Tensor:
    """Multiplicative noise: each tap times a factor of its own, uniform in [1, 1.25], then normalized to sum 1.

    Args:
        kernel: (...,k,k), on the generator's device.
        generator: source of the random numbers.
    """
    noise = torch.rand(kernel.shape, generator=generator, device=generator.device, dtype=kernel.dtype)
    return _normalized(kernel * (1 + 0.25 * noise))


def draw_anisotropic(
    batch: int, sig_min: float, sig_max: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw both widths uniformly from [sig_min, sig_max] and the angle from [-pi, pi]: three tensors (batch,)."""
    width_1 = _uniform(batch, sig_min, sig_max, generator)
    width_2 = _uniform(batch, sig_min, sig_max, generator)
    return width_1, width_2, _uniform(batch, -math.pi, math.pi, generator)


def random_kernels(
    batch: int,
    size: int,
    sig_min: float,
    sig_max: float,
    rate_iso: float,
    disturb: bool,
    generator: torch.Generator,
) -> Tensor:
    """Kernels for training, each isotropic with probability `rate_iso`, and otherwise anisotropic as in KernelGAN.

    Source of the anisotropic ones: Bell-Kligler et al., "Blind super-resolution kernel estimation using an
    Internal-GAN", NeurIPS 2019.

    Args:
        batch: number of kernels.
        size: side of the kernels, odd.
        sig_min: smallest width, in pixels.
        sig_max: largest width; all are uniform in between.
        rate_iso: probability of an isotropic kernel, 0 to 1.
        disturb: apply multiplicative noise to the anisotropic kernels, see `disturb_taps`.
        generator: source of the random numbers.

    Returns:
        (batch,size,size) on the generator's device.
    """
    isotropic = isotropic_gaussian(size, _uniform(batch, sig_min, sig_max, generator))
    anisotropic = anisotropic_gaussian(size, *draw_anisotropic(batch, sig_min, sig_max, generator))
    if disturb:
        anisotropic = disturb_taps(anisotropic, generator)
    is_isotropic = _uniform(batch, 0, 1, generator) < rate_iso
    return torch.where(is_isotropic[:, None, None], isotropic, anisotropic)


def principal_widths(kernel: Tensor) -> Tensor:
    """Standard deviations of kernels along their principal axes, about their own centers of mass.

    Args:
        kernel: (...,k,k), non-negative, with a positive sum.

    Returns:
        (...,2), the smaller width first.
    """
    kernel = _normalized(kernel)
    x = _axis(kernel.shape[-1], kernel)
    points = torch.stack(torch.meshgrid(x, x, indexing="xy")).flatten(1)
    mass = kernel.flatten(-2)[..., None, :]
    centered = points - (mass * points).sum(-1, keepdim=True)
    covariance = (mass * centered) @ centered.mT
    return torch.linalg.eigvalsh(covariance).clamp(min=0).sqrt()


def as_kernel(estimate: object) -> Tensor | None:
    """What a network returns beside the image, where its shape is that of kernels, (B,1,k,k), k odd; else None."""
    if not isinstance(estimate, Tensor) or estimate.dim() != 4:
        return None
    _, channels, height, width = estimate.shape
    return estimate if channels == 1 and height == width and height % 2 == 1 else None


def _axis(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device, dtype=like.dtype) - size // 2


def _normalized(kernel: Tensor) -> Tensor:
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _uniform(batch: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(batch, generator=generator, device=generator.device)
