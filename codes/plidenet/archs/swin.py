"""Swin transformer blocks: attention within windows, shifted by half a window in every second block.

Source: Liu et al., "Swin Transformer", ICCV 2021; used as in Liang et al., "SwinIR", ICCVW 2021. Feature maps are laid
out (B,H,W,C).
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth


class SwinBlock(nn.Module):
    """Window attention, then an MLP, each behind a LayerNorm and beside a shortcut.

    Args:
        dim: channels.
        num_heads: attention heads; divides `dim`.
        window_size: side of the windows.
        shift: how far the windows are shifted (0, or half a window).
        mlp_ratio: width of the MLP, in multiples of `dim`.
        drop_path: probability of skipping a branch for an image, in training only (stochastic depth).

    Shapes:
        (B,H,W,dim) -> (B,H,W,dim); H and W multiples of `window_size`.
    """

    def __init__(
        self, *, dim: int, num_heads: int, window_size: int, shift: int, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim=dim, num_heads=num_heads, window_size=window_size, shift=shift)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class WindowAttention(nn.Module):
    """Multi-head self-attention within (shifted) windows, with a learned bias per relative position."""

    position_index: Tensor

    def __init__(self, *, dim: int, num_heads: int, window_size: int, shift: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided into {num_heads} attention heads")
        self.num_heads, self.window_size, self.shift = num_heads, window_size, shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.position_bias = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        self.register_buffer("position_index", relative_position_index(window_size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        windows = partition(x, self.window_size)  # (B*windows, pixels, dim)
        qkv = self.qkv(windows).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B*windows, heads, pixels, dim/heads)
        mask = self._mask(batch, height, width).to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = merge(self.project(mixed.transpose(1, 2).flatten(2)), self.window_size, batch, height, width)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x

    def _mask(self, batch: int, height: int, width: int) -> Tensor:
        """Additive mask: the position bias (1,heads,p,p) or, with shift, bias and region mask (B*windows,heads,p,p)."""
        bias = self.position_bias[self.position_index].permute(2, 0, 1)[None]
        if not self.shift:
            return bias
        regions = region_mask(height, width, self.window_size, self.shift, bias.device)
        masks = bias + regions[:, None]
        return masks.expand(batch, *masks.shape).flatten(0, 1)  # no copy for a single image


def partition(x: Tensor, window: int) -> Tensor:
    """(B,H,W,C) -> (B*windows, window*window, C)."""
    batch, height, width, dim = x.shape
    x = x.view(batch, height // window, window, width // window, window, dim)
    return x.transpose(2, 3).reshape(-1, window * window, dim)


def merge(windows: Tensor, window: int, batch: int, height: int, width: int) -> Tensor:
    """The inverse of `partition`."""
    x = windows.view(batch, height // window, width // window, window, window, -1)
    return x.transpose(2, 3).reshape(batch, height, width, -1)


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for every pair of pixels of a window, (window^2, window^2)."""
    row, column = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    row, column = row.flatten(), column.flatten()
    rows = row[:, None] - row[None] + window - 1
    columns = column[:, None] - column[None] + window - 1
    return rows * (2 * window - 1) + columns


@lru_cache(maxsize=8)
def region_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """-100 between pixels that only the cyclic shift has made neighbors, else 0: (windows, window^2, window^2)."""

    def region(length: int) -> Tensor:
        position = torch.arange(length, device=device)
        return (position >= length - window).long() + (position >= length - shift).long()

    regions = 3 * region(height)[:, None] + region(width)[None]
    regions = partition(regions[None, :, :, None], window)[..., 0]
    return torch.where(regions[:, :, None] == regions[:, None, :], 0.0, -100.0)
