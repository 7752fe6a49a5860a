"""PSNR and SSIM of 8-bit images, in float64, on the images' device; distances of blur kernels."""

from plidenet.metrics.kernel import kernel_l1
from plidenet.metrics.psnr_ssim import Score, psnr, rgb_to_y, score, ssim

__all__ = ["Score", "kernel_l1", "psnr", "rgb_to_y", "score", "ssim"]
