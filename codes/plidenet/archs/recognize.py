"""Tell from the shapes of weights which network of the family they belong to."""

import math
import re
from collections.abc import Mapping

from torch import Tensor


def recognize(state: Mapping[str, Tensor]) -> str | None:
    """Name and scale, such as "PL_IDENet_E x4", of a state dict; None where it does not look like one of ours."""
    first = state.get("refinement.conv_first.weight")
    stages = [value for name, value in state.items() if re.fullmatch(r"upsampler\.stages\.\d+\.weight", name)]
    if first is None or not stages or any(value.dim() != 4 or not value.numel() for value in (first, *stages)):
        return None
    scale = math.prod(math.isqrt(len(stage) // stage.shape[1]) for stage in stages)  # a pixel shuffle follows each
    names = {3: "PL_IDENet", 3 * scale**2: "PL_IDENet_E"}
    return f"{names[channels]} x{scale}" if (channels := first.shape[1]) in names else None
