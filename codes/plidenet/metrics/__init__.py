"""PSNR and SSIM of 8-bit images, in float64, on the images' device."""

from plidenet.metrics.color import rgb_to_y
from plidenet.metrics.psnr_ssim import Score, psnr, score, ssim

__all__ = ["Score", "psnr", "rgb_to_y", "score", "ssim"]
