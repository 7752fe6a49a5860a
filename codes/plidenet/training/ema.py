"""Exponential moving average (EMA) of the weights, which restores better than those of any one step."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]
Update = Callable[[Tensors, Tensors, Tensor | int], None]


def build_ema(net: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a network's weights; its `update_parameters(net)` follows every step."""
    return AveragedModel(net, multi_avg_fn=moving_average(decay))


def moving_average(decay: float) -> Update:
    """An in-place update of averages by new values, with a warm-up (TensorFlow's ExponentialMovingAverage).

    Args:
        decay: share of the old averages in each update; after t updates, (1+t)/(10+t) where that is less: the initial
            weights would otherwise show for some thousand steps.
    """

    @torch.no_grad()
    def update(averages: Tensors, values: Tensors, updates: Tensor | int) -> None:
        count = int(updates)
        kept = min(decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(averages, values, 1 - kept)

    return update
