"""Degradation-conditioned prompts of PL-IDENet's residual groups.

Prompts: Potlapalli et al., "PromptIR", NeurIPS 2023. Channel attention and gated feed-forward: Zamir et al.,
"Restormer", CVPR 2022. Feature maps are laid out (B,H,W,C), so that LayerNorm and Linear need no permutation; seen by
a convolution as (B,C,H,W) they are in torch's channels-last memory format, at no cost.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plidenet.archs.bands import in_bands, sum_of_bands
from plidenet.archs.layers import at_least_float32, conv_BHWC
from plidenet.autocast import autocast_off


class PromptGeneration(nn.Module):
    """A prompt from the features and the kernel embedding (TIP 2024).

    The features choose a distribution over the components of the embedding; the expected component, one number per
    image, is spread over all pixels and P channels and goes through a 3x3 convolution without bias. So the prompt
    is that number times a map that depends on the weights only, which is how it is computed here.

    Args:
        dim: channels of the features.
        prompt_dim: channels P of the prompt.
        kernel_embed_dim: components of the kernel embedding.

    Shapes:
        x (B,H,W,dim), embedding (B,kernel_embed_dim) -> (B,H,W,P).
    """

    def __init__(self, *, dim: int, prompt_dim: int, kernel_embed_dim: int) -> None:
        super().__init__()
        self.choose = nn.Linear(dim, kernel_embed_dim)
        self.conv = nn.Conv2d(prompt_dim, prompt_dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        weights = self.choose(x.mean(dim=(1, 2))).softmax(dim=1)
        component = (weights * embedding).sum(dim=1)
        ones = x.new_ones(1, 1, *x.shape[1:3])
        response = F.conv2d(ones, self.conv.weight.sum(dim=1, keepdim=True), padding=1)
        return component[:, None, None, None] * response.permute(0, 2, 3, 1)


class PromptInteraction(nn.Module):
    """Pre-norm transformer block over features and prompt: channel attention, then a gated feed-forward.

    Args:
        dim: channels of features and prompt together.
        num_heads: heads of the channel attention; divides `dim`.

    Shapes:
        features (B,H,W,dim-P), prompt (B,H,W,P) -> (B,H,W,dim).
    """

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = DoubleLayerNorm(dim)
        self.attention = ChannelAttention(dim, num_heads)
        self.norm2 = DoubleLayerNorm(dim)
        self.feed_forward = GatedFeedForward(dim)

    def forward(self, features: Tensor, prompt: Tensor) -> Tensor:
        x = torch.cat((features, prompt), dim=-1)
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class DoubleLayerNorm(nn.Module):
    """Layer normalization over channels, then again with the SAME statistics, those of its input.

    The released checkpoints need this. It multiplies by 1/std twice, which overflows float16: at least in float32.
    (B,H,W,dim) -> the same.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return in_bands(self._normalize, x)

    def _normalize(self, x: Tensor, *_: bool) -> Tensor:
        wide = at_least_float32(x)
        mean = wide.mean(dim=-1, keepdim=True)
        centered = wide - mean
        scale = torch.rsqrt(centered.square().mean(dim=-1, keepdim=True) + 1e-5)
        once = torch.addcmul(self.bias, centered * scale, self.weight)
        return torch.addcmul(self.bias, (once - mean) * scale, self.weight).to(x.dtype)


class ChannelAttention(nn.Module):
    """Attention across channels (Restormer's "transposed"), c = dim/heads of them in each head:

        q, k, v = depthwise(qkv(x))                                (B,heads,H*W,c) each
        attention = softmax(temperature * cosine of q_i and k_j)   (B,heads,c,c), channels i and j over all pixels
        output = project(v attention^T)                            (B,H,W,dim)

    Without gradients, it goes through the image twice, in bands of rows: for the products of q and k, then for v.

    Args:
        dim: channels.
        num_heads: heads; divides `dim`.

    Shapes:
        (B,H,W,dim) -> (B,H,W,dim).

    Raises:
        ValueError: heads that do not divide the channels.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels (embed_dim + prompt_dim) cannot be divided into {num_heads} prompt heads")
        self.num_heads = num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads))
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=False)
        self.project = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        attention = self._attention(*sum_of_bands(self._products, x, halo=1)).to(x.dtype)
        return in_bands(partial(self._mix, attention), x, halo=1)

    def _products(self, x: Tensor, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Query-key products (B,heads,c,c), squared norms of queries and of keys (B,heads,c), over `rows`."""
        query, key = (pointwise_depthwise(self.qkv, self.depthwise, x, part, 3)[:, rows] for part in (0, 1))
        with autocast_off(x.device):
            query, key = (self._heads(at_least_float32(part)) for part in (query, key))
            return query.transpose(-2, -1) @ key, query.square().sum(dim=-2), key.square().sum(dim=-2)

    def _attention(self, products: Tensor, query_squares: Tensor, key_squares: Tensor) -> Tensor:
        """Softmax of the cosine similarities of channels, (B,heads,c,c)."""
        with autocast_off(products.device):
            query_norm, key_norm = (squares.clamp(min=1e-24).sqrt() for squares in (query_squares, key_squares))
            similarity = products / query_norm[..., :, None] / key_norm[..., None, :]
            return (similarity * self.temperature[:, None, None]).softmax(dim=-1)

    def _mix(self, attention: Tensor, x: Tensor, *_: bool) -> Tensor:
        value = self._heads(pointwise_depthwise(self.qkv, self.depthwise, x, 2, 3))
        return self.project((value @ attention.transpose(-2, -1)).transpose(1, 2).reshape(x.shape))

    def _heads(self, x: Tensor) -> Tensor:
        """(B,H,W,dim) -> (B,heads,H*W,c)."""
        return x.flatten(1, 2).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class GatedFeedForward(nn.Module):
    """Gated feed-forward with depthwise convolutions (Restormer), expansion factor 1: (B,H,W,dim) -> the same."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, 2 * dim, bias=False)
        self.depthwise = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=2 * dim, bias=False)
        self.project = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return in_bands(self._gate, x, halo=1)

    def _gate(self, x: Tensor, *_: bool) -> Tensor:
        gate, value = (pointwise_depthwise(self.expand, self.depthwise, x, chunk, 2) for chunk in (0, 1))
        return self.project(F.gelu(gate) * value)


def pointwise_depthwise(pointwise: nn.Linear, depthwise: nn.Conv2d, x: Tensor, chunk: int, chunks: int) -> Tensor:
    """A 1x1, then a depthwise 3x3 convolution of x (B,H,W,C), without bias: part `chunk` of `chunks` of the channels.

    It reads the weights and does not call the modules: their hooks are not run, parametrizations are.
    """
    mix, filters = (conv.weight.chunk(chunks)[chunk] for conv in (pointwise, depthwise))
    return conv_BHWC(partial(F.conv2d, weight=filters, padding=1, groups=len(filters)), F.linear(x, mix))
