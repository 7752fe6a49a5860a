"""How much arithmetic a network does: multiply-adds, counted from the shapes of the operations that it executes.

Counted are convolutions, matrix products, attention and Fourier transforms, wherever they are called: in a module or
in the middle of a `forward`. A product of an (m,k) and a (k,n) matrix is m*k*n multiply-adds, a convolution its
output's positions times its weights, padding included; scaled_dot_product_attention is its two products. A real Fourier
transform of N points in all its dimensions is taken as 5/2 N log2 N operations and a complex one as 5 N log2 N (the
convention of FFTW's benchmarks), two operations to a multiply-add. What works element by element is not counted, as is
customary: activations, normalization, softmax, interpolation, sums.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

FORWARD = "(forward)"


@dataclass(frozen=True)
class Complexity:
    """The size of a network and the arithmetic of one image.

    Attributes:
        parameters: number of parameters.
        multiply_adds: of the whole network.
        by_module: multiply-adds of each direct child, by name, and, under "(forward)", those of the network's own
            forward, if any. They add up to `multiply_adds`.
    """

    parameters: int
    multiply_adds: int
    by_module: Mapping[str, int]


def count(net: nn.Module, lr_size: tuple[int, int] = (64, 64)) -> Complexity:
    """Count a network's parameters, and its multiply-adds for one LR image in eval mode.

    The network is copied to the meta device and run there on shapes alone, which takes no time to speak of; one that
    cannot do so, as its forward looks at numbers, is run on zeros on the CPU.

    Args:
        net: any network that takes an image (1,3,h,w); left as it is.
        lr_size: height and width of the LR image (default 64x64).

    Raises:
        ValueError: an image too small for the network.
    """
    try:
        counter = _run_counted(net, lr_size, "meta")
    except RuntimeError:
        counter = _run_counted(net, lr_size, "cpu")
    counts = {name: sum(operations.values()) // 2 for name, operations in counter.get_flop_counts().items()}
    total, root = counts.get("Global", 0), type(net).__name__
    by_module = {name: counts.get(f"{root}.{name}", 0) for name, _ in net.named_children()}
    if rest := total - sum(by_module.values()):
        by_module[FORWARD] = rest
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Complexity(parameters, total, MappingProxyType(by_module))


def fourier_multiply_adds(lengths: Sequence[int], points: int, real: bool) -> int:
    """Multiply-adds of a batch of fast Fourier transforms.

    Args:
        lengths: of one transform, in each of its dimensions.
        points: of all transforms of the batch together.
        real: whether their values before the transform (or after the inverse one) are real.
    """
    return round((1.25 if real else 2.5) * points * math.log2(math.prod(lengths)))


def _run_counted(net: nn.Module, lr_size: tuple[int, int], device: str) -> FlopCounterMode:
    copied, counter = copy.deepcopy(net).to(device).eval(), FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with torch.no_grad(), counter:
        copied(torch.zeros(1, 3, *lr_size, device=device))
    return counter


# The counter's formulas get shapes in place of tensors and return operations, two to a multiply-add.


def _r2c(x: Sequence[int], dim: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * fourier_multiply_adds([x[d] for d in dim], math.prod(x), real=True)


def _c2r(_x: Sequence[int], dim: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * fourier_multiply_adds([out_shape[d] for d in dim], math.prod(out_shape), real=True)


def _c2c(x: Sequence[int], dim: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * fourier_multiply_adds([x[d] for d in dim], math.prod(x), real=False)


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    scores = math.prod(query[:-1]) * key[-2]
    return 2 * scores * (query[-1] + value[-1])


aten = torch.ops.aten
FORMULAS: dict[Any, Callable[..., int]] = {aten._fft_r2c: _r2c, aten._fft_c2r: _c2r, aten._fft_c2c: _c2c}
# Torch counts the attention of GPUs itself; on the meta device it is usually plain matrix products already.
for _name in ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable"):
    if hasattr(aten, _name):  # the second is newer than the oldest torch that will do
        FORMULAS[getattr(aten, _name)] = _attention
