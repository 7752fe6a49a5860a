"""Bicubic interpolation with a network's interface: the baseline of every table."""

from torch import Tensor, nn

from plidenet.archs.registry import NETWORKS
from plidenet.degradation import imresize


@NETWORKS.register("Bicubic")
class Bicubic(nn.Module):
    """MATLAB's bicubic upsampling. It has no parameters and estimates no kernel.

    Args:
        scale: a positive whole number (default 4).

    Shapes:
        lr (B,3,h,w) -> sr (B,3,scale*h,scale*w), None.
    """

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> tuple[Tensor, None]:
        return imresize(lr, self.scale), None
