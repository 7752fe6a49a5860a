"""Adam, as training states need it."""

from collections.abc import Mapping
from typing import Any

import torch


class Adam(torch.optim.Adam):
    """Adam that loads the moments of a saved state, but not its hyperparameters: options set those."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a state dict; ValueError for that of another optimizer or network."""
        own = self.state_dict()["param_groups"]
        if [group["params"] for group in state_dict["param_groups"]] != [group["params"] for group in own]:
            raise ValueError("it was saved with other weights to train, or with another train.optimizer")
        super().load_state_dict({**state_dict, "param_groups": own})
        for parameter, moments in self.state.items():
            for name, value in moments.items():
                if value.shape == parameter.shape and value.stride() != parameter.stride():  # another memory format
                    moments[name] = torch.empty_like(parameter).copy_(value)
