"""Upsampler of PL-IDENet: from the LR image to three channels at HR size, before the deconvolution."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F


class Upsampler(nn.Module):
    """Convolution and pixel shuffle (Shi et al., CVPR 2016) to HR size.

    Args:
        scale: 2, 3 or 4 (default 4, in two stages of 2).
        num_feat: channels of the features (default 64).

    Shapes:
        lr (B,3,h,w) -> (B,3,scale*h,scale*w).

    Raises:
        ValueError: another scale.
    """

    STAGES: ClassVar[dict[int, tuple[int, ...]]] = {2: (2,), 3: (3,), 4: (2, 2)}
    CONTEXT = 4  # LR pixels on each side that an HR pixel depends on: 2.75 at most

    def __init__(self, *, scale: int = 4, num_feat: int = 64) -> None:
        super().__init__()
        if scale not in self.STAGES:
            raise ValueError(f"scale must be one of {', '.join(map(str, self.STAGES))}, not {scale}")
        self.conv_first = nn.Conv2d(3, num_feat, 3, padding=1)
        self.stages = nn.Sequential()
        for factor in self.STAGES[scale]:
            self.stages.append(nn.Conv2d(num_feat, num_feat * factor**2, 3, padding=1))
            self.stages.append(nn.PixelShuffle(factor))
        self.conv_last = nn.Conv2d(num_feat, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        return self.conv_last(self.features(lr))

    def features(self, lr: Tensor) -> Tensor:
        """What the last convolution sees: (B,num_feat,scale*h,scale*w)."""
        return self.stages(F.leaky_relu(self.conv_first(lr), 0.01))
