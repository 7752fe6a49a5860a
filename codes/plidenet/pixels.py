"""Images as files hold them, uint8 (H,W,3), and as networks take them, floats (B,3,H,W) in [0,1]."""

import numpy as np
import torch
from torch import Tensor


def to_tensor(image: np.ndarray | Tensor) -> Tensor:
    """An image (H,W,3), an array or a tensor, to a contiguous tensor (3,H,W) of the same type."""
    if isinstance(image, Tensor):
        return image.permute(2, 0, 1).contiguous()
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def to_array(image: Tensor) -> np.ndarray:
    """A tensor (3,H,W) of any device to a contiguous array (H,W,3) of the same type."""
    return image.permute(1, 2, 0).contiguous().cpu().numpy()


def to_float(image: Tensor, device: torch.device | str) -> Tensor:
    """uint8 of any shape to float32 in [0,1] on the device."""
    return image.to(device, non_blocking=True).float() / 255


def to_uint8(image: Tensor) -> Tensor:
    """Floats of any shape to uint8, clamped to [0,1] and rounded: what a file would hold."""
    exact = image.to(torch.promote_types(image.dtype, torch.float32))
    return (exact.clamp(0, 1) * 255).round().to(torch.uint8)
