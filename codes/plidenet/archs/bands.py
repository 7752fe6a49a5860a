"""Work on an image band by band: what is computed in between then takes little memory, and fits into a CPU's cache."""

from collections.abc import Callable

import torch
from torch import Tensor

BAND_PIXELS = 4096  # times 384 channels in float32: 6 MiB


def in_bands(part: Callable[[Tensor, bool], Tensor], x: Tensor, window: int) -> Tensor:
    """Apply a part that mixes pixels in windows only: on a CPU without gradients to one band of rows after the other.

    With gradients everything in between is kept anyway; GPUs and compiled code do better with the whole image.

    Args:
        part: takes a band and whether it is the last one, and keeps its shape.
        x: image (B,H,W,C), H a multiple of `window`.
        window: side of the windows.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type != "cpu":
        return part(x, True)
    rows = window * max(BAND_PIXELS // (len(x) * x.shape[2] * window), 1)
    result = torch.empty_like(x)
    for top in range(0, x.shape[1], rows):
        band = (slice(None), slice(top, top + rows))
        result[band] = part(x[band], top + rows >= x.shape[1])
    return result
