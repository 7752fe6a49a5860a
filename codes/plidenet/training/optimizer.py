"""The optimizer of a training run."""

import torch
from torch import nn

from plidenet.config import Options
from plidenet.errors import UserError


def build_optimizer(net: nn.Module, options: Options, device: torch.device) -> torch.optim.Adam:
    """Adam over all parameters; UserError for a network that has none."""
    parameters = list(net.parameters())
    if not parameters:
        raise UserError(f"{options.network_G.which_model_G} has no parameters to train")
    train = options.train
    return torch.optim.Adam(
        parameters,
        lr=train.lr_G,
        betas=(train.beta1, train.beta2),
        weight_decay=train.weight_decay_G,
        fused=device.type == "cuda",
    )
