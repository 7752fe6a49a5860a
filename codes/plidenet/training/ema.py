"""Exponential moving average (EMA) of the weights, which restores better than those of any one step."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """The exponential moving average of a network's weights, with a warm-up (TensorFlow's ExponentialMovingAverage).

    Args:
        net: the network, whose weights it begins with.
        decay: share of the old averages in each update; after t updates, (1+t)/(10+t) where that is less: the initial
            weights would otherwise show for some thousand steps.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__(net)
        self.decay = decay
        weights = dict(net.named_parameters())
        self.statistics = [name for name in net.state_dict() if name not in weights]  # of a BatchNorm, say

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights of a step into account.

        AveragedModel's own would wait for the GPU, and copy all buffers, of which most never change.
        """
        updates = int(self.n_averaged)
        kept = min(self.decay, (1 + updates) / (10 + updates)) if updates else 0
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - kept)
        for name in self.statistics:
            self.module.get_buffer(name).copy_(model.get_buffer(name))
        self.n_averaged += 1
