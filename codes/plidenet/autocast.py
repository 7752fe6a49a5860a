"""Parts that are computed in the precision of their arguments, whatever autocast is on around them."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast_off(device: torch.device) -> AbstractContextManager:
    """A context without autocast; does nothing on the meta device (shapes without numbers), which has no autocast."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
