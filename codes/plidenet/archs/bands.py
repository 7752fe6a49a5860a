"""Work on an image band by band: what is computed in between then takes little memory, and fits into a CPU's cache."""

from collections.abc import Callable

import torch
from torch import Tensor

BAND_PIXELS = 8192  # times 384 channels in float32: 12 MiB

Part = Callable[[Tensor, bool], Tensor]


def in_bands(part: Part, x: Tensor, window: int = 1) -> Tensor:
    """Apply a part that mixes pixels in windows only: on a CPU without gradients to one band of rows after the other.

    With gradients everything in between is kept anyway, and a GPU does better with the whole image.

    Args:
        part: takes a band and whether it is the last one, and keeps its shape.
        x: image (B,H,W,C), H a multiple of `window`.
        window: side of the windows (default 1: the part mixes no pixels at all).
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return part(x, True)
    return _one_by_one(part, x, window * max(BAND_PIXELS // (len(x) * x.shape[2] * window), 1))


@torch.compiler.disable(recursive=False)  # one compiled part for all bands, instead of a program with all of them
def _one_by_one(part: Part, x: Tensor, rows: int) -> Tensor:
    result = torch.empty_like(x)
    for top in range(0, x.shape[1], rows):
        band = (slice(None), slice(top, top + rows))
        result[band] = part(x[band], top + rows >= x.shape[1])
    return result
