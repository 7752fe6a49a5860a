"""What several parts of the networks share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LayerNorm(nn.LayerNorm):
    """Layer normalization in at least float32, also under autocast, which sees to that on a GPU alone.

    On a CPU the gradients of weight and bias would otherwise be summed over all pixels in bfloat16, and be far off.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(at_least_float32(x))


def conv_BHWC(conv: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a convolution to a feature map laid out (B,H,W,C)."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def use_channels_last(net: nn.Module) -> None:
    """Store the filters of convolutions as channels-last images are.

    Of filters with one input channel both formats are the same, but not the strides, which fused Adam in torch 2.4
    wants to be those of the gradients.
    """
    for weight in net.parameters():
        if weight.dim() == 4 and weight.shape[1] > 1:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def init_truncated_normal(module: nn.Module) -> None:
    """Weights of Linear and Conv2d from a normal of std 0.02 cut at -2 and 2, biases zero (use with Module.apply)."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
