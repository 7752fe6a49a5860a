"""Which device to work on, and images on their way to and from it."""

import torch
from torch import Tensor

from plidenet.config import Options
from plidenet.errors import UserError


def choose_device(options: Options) -> torch.device:
    """The device of a single process: `auto` takes the first of gpu_ids (or cuda:0) where there is CUDA, else the CPU.

    Raises:
        UserError: a device that does not exist here.
    """
    if options.device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", options.gpu_ids[0] if options.gpu_ids else 0)
    try:
        device = torch.device(options.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{options.device}' cannot be used: {str(error).splitlines()[0]}") from error
    return device


def to_float(image: Tensor, device: torch.device) -> Tensor:
    """uint8 (...,3,H,W) to float32 in [0,1] on the device."""
    return image.to(device, non_blocking=True).float() / 255


def to_uint8(image: Tensor) -> Tensor:
    """Float image to uint8, clamped to [0,1] and rounded: what a file would hold."""
    return (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
