"""Swin transformer blocks: attention within windows, shifted by half a window in every second block.

Source: Liu et al., "Swin Transformer", ICCV 2021; used as in Liang et al., "SwinIR", ICCVW 2021. Feature maps are laid
out (B,H,W,C).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plidenet.archs.bands import in_bands
from plidenet.archs.layers import LayerNorm


class SwinBlock(nn.Module):
    """Window attention, then an MLP, each with a LayerNorm before it and a residual connection around it.

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
        self.shift, self.window_size = shift, window_size
        self.norm1 = LayerNorm(dim)
        self.attention = WindowAttention(dim=dim, num_heads=num_heads, window_size=window_size, shift=shift)
        self.norm2 = LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.drop_rate = drop_path

    def forward(self, x: Tensor) -> Tensor:
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        # Stochastic depth draws once for a whole image: no bands in training.
        x = self._block(x) if self.training else in_bands(self._block, x, self.window_size)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x

    def _block(self, x: Tensor, is_last: bool = True) -> Tensor:
        """The block without its shift, on a band of an image (the last one or not): it mixes pixels in windows only."""
        x = x + self._drop_path(self.attention(self.norm1(x), is_last))
        return x + self._drop_path(self.mlp(self.norm2(x)))

    def _drop_path(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al., ECCV 2016): some images skip a branch, others have it scaled up."""
        if not self.training:
            return branch
        return branch * F.dropout(branch.new_ones(len(branch), 1, 1, 1), self.drop_rate)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows of a shifted image, with a learned bias per relative position.

    Args:
        dim, num_heads, window_size, shift: see `SwinBlock`.

    Shapes:
        (B,H,W,dim) -> (B,H,W,dim); H and W multiples of `window_size`.

    Raises:
        ValueError: heads that do not divide the channels.
    """

    position_index: Tensor
    seams: Tensor

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
        self.register_buffer("seams", seam_masks(window_size, shift), persistent=False)

    def forward(self, x: Tensor, is_last: bool = True) -> Tensor:
        """`is_last` says whether the image ends below x, which may be a band of it."""
        batch, height, width, _ = x.shape
        windows = partition(x, self.window_size)  # (B*windows, pixels, dim)
        qkv = self.qkv(windows).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B*windows, heads, pixels, dim/heads)
        mask = self._mask(batch, height // self.window_size, width // self.window_size, is_last).to(query.dtype)
        mixed = attend(query, key, value, mask)
        return merge(self.project(mixed.transpose(1, 2).flatten(2)), self.window_size, batch, height, width)

    def _mask(self, batch: int, rows: int, columns: int, is_last: bool) -> Tensor:
        """Additive mask: the position bias (1,heads,p,p) or, with shift, bias and seams (B*windows,heads,p,p)."""
        bias = self.position_bias.T[:, self.position_index][None]  # contiguous, as fused attention on a GPU wants it
        if not self.shift:
            return bias
        is_bottom = (torch.arange(rows, device=bias.device) == rows - 1) & is_last
        is_right = torch.arange(columns, device=bias.device) == columns - 1
        masks = bias + self.seams[(2 * is_bottom[:, None] + is_right).flatten()]
        return masks.expand(batch, *masks.shape).flatten(0, 1)  # no copy for a single image


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """F.scaled_dot_product_attention, written out where it has no fused kernel: on a CPU, for a mask with gradient."""
    if mask.requires_grad and mask.device.type == "cpu":
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + mask
        return scores.softmax(dim=-1).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


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


def seam_masks(window: int, shift: int) -> Tensor:
    """-100 between pixels that only the cyclic shift has made neighbors, else 0: (4, 1, window^2, window^2).

    For windows inside the shifted image (nothing to mask), at its right, at its bottom, and in that corner.
    """
    wrapped = torch.arange(window) >= window - shift
    below, beyond = (side.flatten() for side in torch.meshgrid(wrapped, wrapped, indexing="ij"))
    rows, columns = (side[:, None] != side[None] for side in (below, beyond))
    return -100.0 * torch.stack((torch.zeros_like(rows), columns, rows, rows | columns))[:, None]
