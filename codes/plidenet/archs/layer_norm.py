"""Layer normalization that keeps its accuracy under autocast."""

import torch
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """Layer normalization in at least float32, also under autocast, which sees to that on a GPU alone.

    On a CPU the gradients of weight and bias would otherwise be summed over all pixels in bfloat16, and be far off.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(torch.promote_types(x.dtype, torch.float32)))
