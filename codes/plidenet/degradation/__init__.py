"""Blur kernels, MATLAB's bicubic resampling, and the degradation made of both: pure functions, any device."""

from plidenet.degradation.imresize import imresize
from plidenet.degradation.kernels import (
    KERNEL_SIZE,
    SETTING2_WIDTHS,
    anisotropic_gaussian,
    as_kernel,
    disturb_taps,
    draw_anisotropic,
    gaussian8_sigmas,
    isotropic_gaussian,
    principal_widths,
    random_kernels,
)
from plidenet.degradation.pipeline import Downsampling, blur, degrade, direct_center, quantize

__all__ = [
    "KERNEL_SIZE",
    "SETTING2_WIDTHS",
    "Downsampling",
    "anisotropic_gaussian",
    "as_kernel",
    "blur",
    "degrade",
    "direct_center",
    "disturb_taps",
    "draw_anisotropic",
    "gaussian8_sigmas",
    "imresize",
    "isotropic_gaussian",
    "principal_widths",
    "quantize",
    "random_kernels",
]
