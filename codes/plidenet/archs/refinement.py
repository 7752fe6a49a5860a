"""Refinement of PL-IDENet: a SwinIR-like body whose residual groups are conditioned on the degradation by prompts."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as recomputed

from plidenet.archs.layers import LayerNorm, conv_BHWC, init_truncated_normal
from plidenet.archs.prompt import PromptGeneration, PromptInteraction
from plidenet.archs.swin import SwinBlock

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K


class Refinement(nn.Module):
    """Remove the noise and ringing that the deconvolution leaves, restore texture (TIP 2024).

    Args:
        embed_dim: channels of the body (default 96).
        depths: Swin blocks of each group (default 4, 4, 4, 4).
        num_heads: attention heads of each group (default 4, 4, 4, 4).
        window_size: side of the attention windows (default 8).
        mlp_ratio: width of the Swin MLPs, in multiples of embed_dim (default 4).
        prompt_dims: prompt channels of each group (default 32, 64, 64, 64).
        prompt_heads: heads of each group's channel attention (default 1, 2, 4, 8).
        kernel_embed_dim: components of the kernel embedding (default 128).
        drop_path: drop-path probability of the last Swin block, rising linearly from 0 at the first (default 0.1).
        unshuffle: work on the grid of a pixel-unshuffled image, 1/unshuffle of the size (default 1: the paper; the
            scale gives PL_IDENet_E).
        checkpoint: activation checkpointing: the backward pass recomputes the blocks' activations instead of keeping
            them, which takes less memory and more time (default False).

    Shapes:
        image (B,3,H,W) any size, embedding (B,kernel_embed_dim) -> (B,3,H,W).

    Raises:
        ValueError: numbers of groups that differ, sizes that are not positive, heads that do not divide their channels,
            a drop_path outside [0,1).
    """

    mean: Tensor

    def __init__(
        self,
        *,
        embed_dim: int = 96,
        depths: Sequence[int] = (4, 4, 4, 4),
        num_heads: Sequence[int] = (4, 4, 4, 4),
        window_size: int = 8,
        mlp_ratio: float = 4.0,
        prompt_dims: Sequence[int] = (32, 64, 64, 64),
        prompt_heads: Sequence[int] = (1, 2, 4, 8),
        kernel_embed_dim: int = 128,
        drop_path: float = 0.1,
        unshuffle: int = 1,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if not len(depths) == len(num_heads) == len(prompt_dims) == len(prompt_heads):
            raise ValueError("depths, num_heads, prompt_dims and prompt_heads must have one entry per group")
        if min(embed_dim, window_size, mlp_ratio, *num_heads, *prompt_dims, *prompt_heads) <= 0:
            raise ValueError("embed_dim, window_size, mlp_ratio, num_heads, prompt_dims, prompt_heads must be positive")
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path must be at least 0 and less than 1, not {drop_path}")
        self.unshuffle = unshuffle
        self.pad_multiple = window_size * unshuffle
        channels = 3 * unshuffle**2
        drop_rates = torch.linspace(0, drop_path, sum(depths), device="cpu").split(list(depths))

        self.conv_first = nn.Conv2d(channels, embed_dim, 3, padding=1)
        self.norm_first = LayerNorm(embed_dim)
        self.groups = nn.ModuleList(
            PromptGroup(
                dim=embed_dim,
                num_heads=num_heads[i],
                window_size=window_size,
                mlp_ratio=mlp_ratio,
                prompt_dim=prompt_dims[i],
                prompt_heads=prompt_heads[i],
                kernel_embed_dim=kernel_embed_dim,
                drop_rates=drop_rates[i].tolist(),
                checkpoint=checkpoint,
            )
            for i in range(len(depths))
        )
        self.norm_last = LayerNorm(embed_dim)
        self.conv_after_body = nn.Conv2d(embed_dim, embed_dim, 3, padding=1)
        self.conv_last = nn.Conv2d(embed_dim, channels, 3, padding=1)
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.apply(init_truncated_normal)

    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        right, bottom = -width % self.pad_multiple, -height % self.pad_multiple
        mode = "reflect" if right < width and bottom < height else "replicate"  # a small image in a large window
        image = F.pad(image, (0, right, 0, bottom), mode=mode)
        centered = image - self.mean
        residual = self._residual(F.pixel_unshuffle(centered, self.unshuffle), embedding)
        refined = image + F.pixel_shuffle(residual, self.unshuffle)
        return refined[..., :height, :width]

    def _residual(self, x: Tensor, embedding: Tensor) -> Tensor:
        features = conv_BHWC(self.conv_first, x.permute(0, 2, 3, 1).contiguous())  # (B,H,W,C) from here
        x = self.norm_first(features)
        for group in self.groups:
            x = group(x, embedding)
        x = conv_BHWC(self.conv_after_body, self.norm_last(x)) + features
        return self.conv_last(x.permute(0, 3, 1, 2))


class PromptGroup(nn.Module):
    """One residual group: Swin blocks and, in parallel, the prompt interaction, fused by a 3x3 convolution.

    Args:
        dim, num_heads, window_size, mlp_ratio: of the Swin blocks.
        prompt_dim, prompt_heads, kernel_embed_dim: of the prompt.
        drop_rates: drop-path probability of each Swin block; one block per entry.
        checkpoint: see `Refinement`.

    Shapes:
        x (B,H,W,dim), embedding (B,kernel_embed_dim) -> (B,H,W,dim).
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        window_size: int,
        mlp_ratio: float,
        prompt_dim: int,
        prompt_heads: int,
        kernel_embed_dim: int,
        drop_rates: Sequence[float],
        checkpoint: bool,
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.prompt = PromptGeneration(dim=dim, prompt_dim=prompt_dim, kernel_embed_dim=kernel_embed_dim)
        self.interaction = PromptInteraction(dim=dim + prompt_dim, num_heads=prompt_heads)
        self.blocks = nn.Sequential(
            *(
                SwinBlock(
                    dim=dim,
                    num_heads=num_heads,
                    window_size=window_size,
                    shift=window_size // 2 if i % 2 else 0,
                    mlp_ratio=mlp_ratio,
                    drop_path=rate,
                )
                for i, rate in enumerate(drop_rates)
            )
        )
        self.conv = nn.Conv2d(2 * dim + prompt_dim, dim, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        prompted = self._run(self.interaction, x, self.prompt(x, embedding))
        refined = x
        for block in self.blocks:
            refined = self._run(block, refined)
        return conv_BHWC(self.conv, torch.cat((prompted, refined), dim=-1)) + x

    def _run(self, part: nn.Module, *inputs: Tensor) -> Tensor:
        if self.checkpoint and torch.is_grad_enabled():
            return recomputed(part, *inputs, use_reentrant=False)
        return part(*inputs)
