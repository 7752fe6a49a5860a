"""The optimizer of a training run."""

from typing import Any

import torch
from torch import nn

from plidenet.config import Options
from plidenet.errors import UserError
from plidenet.training.adam import Adam
from plidenet.training.muon import Muon


def build_optimizer(net: nn.Module, options: Options, device: torch.device) -> Adam:
    """Adam over all parameters, or Muon, as `train.optimizer` says; UserError for a network that has none."""
    parameters = list(net.parameters())
    if not parameters:
        raise UserError(f"{options.network_G.which_model_G} has no parameters to train")
    train = options.train
    setting: dict[str, Any] = {
        "lr": train.lr_G,
        "betas": (train.beta1, train.beta2),
        "weight_decay": train.weight_decay_G,
        "fused": device.type == "cuda",
    }
    return Muon(net, **setting) if train.optimizer == "Muon" else Adam(parameters, **setting)
