"""Implicit blur-kernel estimator of PL-IDENet: a small U-Net on the LR image, whose softmax gives the kernel."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plidenet.archs.layers import at_least_float32, init_truncated_normal
from plidenet.autocast import autocast_off
from plidenet.degradation import isotropic_gaussian


class KernelEstimator(nn.Module):
    """Estimate the blur kernel of an LR image (TIP 2024).

    No true kernel is ever shown to it: it learns from the LR-consistency loss alone, hence "implicit".

    Args:
        kernel_size: side of the kernel, odd (default 21).
        num_feat: base number of channels (default 64).
        init_sigma: initialize the estimate to an isotropic Gaussian of this width (in HR pixels) instead of the
            paper's nearly uniform kernel, which is slow to change at first (default None: the paper's).

    Shapes:
        lr (B,3,h,w) in [0,1], any h, w >= 4 -> kernel (B,1,k,k), at least float32, non-negative, summing to 1.

    Raises:
        ValueError: a kernel size that is not odd, fewer than 2 features, an init_sigma that is no width.
    """

    def __init__(self, *, kernel_size: int = 21, num_feat: int = 64, init_sigma: float | None = None) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be positive and odd, not {kernel_size}")
        if num_feat < 2:
            raise ValueError(f"num_feat must be at least 2, not {num_feat}")
        if init_sigma is not None and init_sigma <= 0:
            raise ValueError(f"init_sigma must be positive, not {init_sigma}")
        self.kernel_size = kernel_size
        c, half = num_feat, num_feat // 2
        self.encode_1 = double_conv(3, c, half)
        self.encode_2 = double_conv(half, c, half)
        self.bottom = nn.Conv2d(half, c, 3, padding=1)
        self.up_2 = nn.ConvTranspose2d(c, c, 2, stride=2)
        self.decode_2 = double_conv(c, c, half)
        self.up_1 = nn.ConvTranspose2d(2 * half, c, 2, stride=2)
        self.decode_1 = double_conv(c, c, half)
        self.features = nn.Conv2d(2 * half, 2 * c, 3)
        self.to_kernel = nn.Linear(2 * c, kernel_size**2)
        self.apply(init_truncated_normal)
        if init_sigma is not None:
            gaussian = isotropic_gaussian(kernel_size, init_sigma)
            self.to_kernel.bias.data.copy_(gaussian.clamp(min=1e-8).log().flatten())

    def forward(self, lr: Tensor) -> Tensor:
        full = self.encode_1(lr)
        half = self.encode_2(F.max_pool2d(full, 2))
        x = F.relu(self.bottom(F.max_pool2d(half, 2)))
        x = self.decode_2(self.up_2(x))
        x = torch.cat((resize_like(x, half), half), dim=1)
        x = self.decode_1(self.up_1(x))
        x = torch.cat((resize_like(x, full), full), dim=1)
        features = self.features(x)
        with autocast_off(lr.device):  # the deconvolution would amplify rounding errors of half precision
            logits = self.to_kernel(features.to(self.to_kernel.weight.dtype).mean(dim=(2, 3)))
        return at_least_float32(logits).softmax(dim=1).view(-1, 1, self.kernel_size, self.kernel_size)


def double_conv(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with one ReLU between them and none after."""
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 3, padding=1))


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Resize x bilinearly to the height and width of `like`; sizes that are multiples of 4 agree already."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
