"""Process an image in bands of rows, so that intermediate results take little memory and fit into a CPU's cache.

This is done only without gradients: with them, all intermediate results are kept anyway. A GPU takes large bands, and
so most images whole; a graph of torch.compile or torch.export takes any image whole, unless
`plidenet.archs.compile_network` has made it.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CPU_BAND = 2048  # pixels; times 384 channels in float32: 3 MiB
GPU_BAND = 1_000_000  # fewer windows of 4x4 than the 65,536 that fused attention cannot take (pytorch issue 146704)
LEAST_ROWS = 16  # of a band with a halo, which is computed twice

_graphs_take_all = True


def in_bands(function: Callable[[Tensor, bool], Tensor], x: Tensor, window: int = 1, halo: int = 0) -> Tensor:
    """Apply, band by band, a function that mixes pixels only within windows or at most `halo` rows apart.

    Args:
        function: called with a band (halo included) and whether it is the last one; keeps the band's shape.
        x: image (B,H,W,C), H a multiple of `window`.
        window: bands begin at multiples of it (default 1).
        halo: rows on either side that a band needs as input, but that are cut from its result (default 0).
    """
    if _is_done_whole(x):
        return function(x, True)
    return _in_bands(function, x, window, halo)


def sum_of_bands(function: Callable[[Tensor, slice], tuple[Tensor, ...]], x: Tensor, halo: int) -> tuple[Tensor, ...]:
    """Sum what a function returns for each band.

    Args:
        function: called with a band (halo included) and the slice of its rows to take into account.
        x: image (B,H,W,C).
        halo: as for `in_bands`.
    """
    if _is_done_whole(x):
        return function(x, slice(None))
    return _sum_of_bands(function, x, halo)


def _in_bands(function: Callable[[Tensor, bool], Tensor], x: Tensor, window: int, halo: int) -> Tensor:
    result = torch.empty_like(x)
    for rows, seen, inner in _bands(x, window, halo):
        result[:, rows] = function(x[:, seen], rows.stop == x.shape[1])[:, inner]
    return result


def _sum_of_bands(function: Callable[[Tensor, slice], tuple[Tensor, ...]], x: Tensor, halo: int) -> tuple[Tensor, ...]:
    terms = (function(x[:, seen], inner) for _, seen, inner in _bands(x, 1, halo))
    total = next(terms)
    for one in terms:
        total = tuple(a + b for a, b in zip(total, one, strict=True))
    return total


def keep_loops_out_of_graphs() -> None:
    """From now on, leave the loops over bands to Python where torch.compile makes graphs: for `compile_network`."""
    global _in_bands, _sum_of_bands, _graphs_take_all
    _in_bands = torch.compiler.disable(_in_bands, recursive=False)
    _sum_of_bands = torch.compiler.disable(_sum_of_bands, recursive=False)
    _graphs_take_all = False


def _is_done_whole(x: Tensor) -> bool:
    in_graph = torch.compiler.is_compiling() and _graphs_take_all
    counted = x.device.type == "meta"  # by `plidenet.complexity`: nothing is computed, and no halo twice
    return torch.is_grad_enabled() or in_graph or counted or x[..., 0].numel() <= _pixels_of_a_band(x)


def _pixels_of_a_band(x: Tensor) -> int:
    return CPU_BAND if x.device.type == "cpu" else GPU_BAND


def _bands(x: Tensor, window: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    """For each band: its rows, its rows with the halo, and the position of the former within the latter."""
    batch, height, width, _ = x.shape
    count = max(_pixels_of_a_band(x) // (batch * width * window), 1) * window
    count = max(count, LEAST_ROWS) if halo else count
    for top in range(0, height, count):
        bottom = min(top + count, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)
