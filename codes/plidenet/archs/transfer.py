"""Initialize a network from the weights of a related one: x2 from x4, PL_IDENet from PL_IDENet_E.

The refinement of PL_IDENet_E takes s x s HR pixels as the channels of one LR pixel. At HR size it can compute what it
would for the image enlarged by s, each pixel repeated s x s times, and average the output over s x s pixels again. That
takes only sums over the input channels of its first layer and means over the output channels of its last one.
"""

import torch
from torch import Tensor

from plidenet.archs.halve_scale import halve_scale
from plidenet.archs.pl_idenet import PLIDENet

FIRST, LAST = "refinement.conv_first.weight", ("refinement.conv_last.weight", "refinement.conv_last.bias")


@torch.no_grad()
def transfer(source: PLIDENet, target: PLIDENet) -> list[str]:
    """Initialize a network from the weights of a trained one, in place.

    Args:
        source: the trained network, at the target's scale, or at x4 for a target at x2; its refinement works on the
            target's grid or on a coarser one.
        target: the network to initialize, in all else like it, and on the same device.

    Returns:
        names of the target's tensors that were set from the source.

    Raises:
        ValueError: other scales or grids.
    """
    grids = source.refinement.unshuffle, target.refinement.unshuffle
    if grids[0] % grids[1]:
        raise ValueError("the refinement can go to a finer grid, as from PL_IDENet_E to PL_IDENet, and to no other")
    if source.wiener.filter_scale is not None and target.wiener.filter_scale is None:
        target.wiener.add_filter_scale()
    have, own = source.state_dict(), target.state_dict()
    taken = {name: value for name, value in have.items() if name in own and value.shape == own[name].shape}
    taken[FIRST] = subpixels(have[FIRST], *grids, dim=1).sum(dim=(3, 5)).flatten(1, 3)
    for name in LAST:
        taken[name] = subpixels(have[name], *grids, dim=0).mean(dim=(2, 4)).flatten(0, 2)
    target.load_state_dict(taken, strict=False)
    if source.scale != target.scale:
        halve_scale(source, target)
    return list(taken)


def subpixels(x: Tensor, coarse: int, fine: int, *, dim: int) -> Tensor:
    """Split the channels (3*coarse*coarse) of a pixel_unshuffle: (color, row, row within it, column, column within)."""
    return x.unflatten(dim, (3, fine, coarse // fine, fine, coarse // fine))
