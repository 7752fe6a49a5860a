"""The optimizer of a training run."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from plidenet.config import Options
from plidenet.errors import UserError


class Adam(torch.optim.Adam):
    """Adam that takes over the moments of a saved state, but not its rates and betas: options set those."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({**state_dict, "param_groups": self.state_dict()["param_groups"]})
        for parameter, moments in self.state.items():
            for name, value in moments.items():
                if value.shape == parameter.shape and value.stride() != parameter.stride():  # another memory format
                    moments[name] = torch.empty_like(parameter).copy_(value)


def build_optimizer(net: nn.Module, options: Options, device: torch.device) -> Adam:
    """Adam over all parameters; UserError for a network that has none."""
    parameters = list(net.parameters())
    if not parameters:
        raise UserError(f"{options.network_G.which_model_G} has no parameters to train")
    train = options.train
    return Adam(
        parameters,
        lr=train.lr_G,
        betas=(train.beta1, train.beta2),
        weight_decay=train.weight_decay_G,
        fused=device.type == "cuda",
    )
