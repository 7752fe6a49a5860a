"""Restore large images within bounded memory: the refinement, which needs nearly all of it, works on tiles.

Kernel and deconvolution are of the whole image; upsampling works in bands and is exact. Tiles begin on the grid of the
attention windows, so that windows hold the same pixels as without tiles; where tiles overlap, one fades into the other.
Tiles differ from the untiled image near their edges, where they lack context, and a little everywhere, as the prompts'
weights and the channel attention depend on means over all that is seen: on photographs of 448x320 LR pixels, for
PL_IDENet_E x4 as it ships, by 4 of 255 at most with tiles of 256 that overlap by 32, and by 15 with tiles of 64 that
overlap by 16.

At scale 4 on a CPU, with tiles of 256 that overlap by 32, an output of 3840x2160 takes 1.6 GiB with PL_IDENet_E and
4.1 GiB with PL_IDENet, and one of 1920x1080 takes 1.2 GiB and 4.0 GiB.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeGuard

import torch
from torch import Tensor, nn

from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.refinement import Refinement
from plidenet.archs.upsampler import Upsampler
from plidenet.config.schema import Test
from plidenet.errors import UserError
from plidenet.memory import OutOfMemory, PeakMemory, free_memory

PROBE = 128  # side of the image that tells how much memory a pixel takes, in pixels of the refinement's grid
FRACTION = 0.6  # of the free memory that a tile may take
UNKNOWN = 256  # tile, in LR pixels, where a system does not tell its memory


class Tiled(nn.Module):
    """A PL-IDENet that refines an image tile by tile.

    Args:
        net: the network.
        tile: side of the tiles in LR pixels, rounded up to the windows' grid, or "auto" for what fits into the memory
            that is free; an image that is not larger is refined whole.
        overlap: of neighboring tiles in LR pixels, at most half of a tile, rounded up likewise. In its outer quarters
            only one of the two is used; in the middle half, one fades into the other.

    Raises:
        ValueError: a tile that is not positive, or an overlap that is negative or more than half of it.
    """

    def __init__(self, net: PLIDENet, tile: int | Literal["auto"], overlap: int) -> None:
        super().__init__()
        if overlap < 0 or (tile != "auto" and (tile < 1 or 2 * overlap > tile)):
            raise ValueError(f"tiles of {tile} LR pixels cannot overlap by {overlap}")
        self.net, self.tile = net, tile
        self.step = net.refinement.pad_multiple
        self.overlap = _round_up(overlap * net.scale, self.step)  # in HR pixels
        self.bytes_per_pixel: float | None = None

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        side = self._side(lr)
        deblurred, embedding, kernel = self.net.prepare(lr, self._upsample(lr, side))
        return self._refine(deblurred, embedding, side), kernel

    def _upsample(self, lr: Tensor, side: int) -> Tensor:
        """What the upsampler makes of the image, in bands of as many pixels as a tile has."""
        scale, (height, width) = self.net.scale, lr.shape[-2:]
        rows = max(side**2 // (scale**2 * width), 1)
        bands = []
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first, last = max(top - Upsampler.CONTEXT, 0), min(bottom + Upsampler.CONTEXT, height)
            band = self.net.upsampler(lr[..., first:last, :])
            bands.append(band[..., scale * (top - first) : scale * (bottom - first), :])
        return bands[0] if len(bands) == 1 else torch.cat(bands, dim=-2)

    def _refine(self, image: Tensor, embedding: Tensor, side: int) -> Tensor:
        rows, columns = (axis_tiles(length, side, self.overlap, self.step) for length in image.shape[-2:])
        if len(rows) == len(columns) == 1:
            return self.net.refinement(image, embedding)
        refined = torch.zeros_like(image)
        for top, weight_rows in rows:
            for left, weight_columns in columns:
                area = (..., slice(top, top + len(weight_rows)), slice(left, left + len(weight_columns)))
                weight = torch.outer(weight_rows, weight_columns).to(image)
                refined[area] += weight * self.net.refinement(image[area], embedding)
        return refined

    def _side(self, lr: Tensor) -> int:
        """Side of the tiles in HR pixels, on the grid."""
        scale, step = self.net.scale, self.step
        if self.tile != "auto":
            return max(_round_up(self.tile * scale, step), 2 * step)
        height, width = (scale * length for length in lr.shape[-2:])
        whole = _round_up(max(height, width), step)
        if whole <= PROBE * self.net.refinement.unshuffle:
            return whole
        if self.bytes_per_pixel is None:
            self.bytes_per_pixel = self._probe(lr)
        free = free_memory(lr.device)
        if self.bytes_per_pixel is None or free is None:
            return _round_up(UNKNOWN * scale, step)
        pixels = int(FRACTION * free / self.bytes_per_pixel)
        if height * width <= pixels:
            return whole
        return max(math.isqrt(pixels) // step * step, 2 * self.overlap, 2 * step)

    def _probe(self, lr: Tensor) -> float | None:
        """Bytes that the network takes per HR pixel, measured on a small image; None where that fails.

        On a CPU that is about a third more than for a large image: small tensors leave gaps in the heap.
        """
        side = PROBE * self.net.refinement.unshuffle // self.net.scale
        small = lr.new_zeros(len(lr), 3, side, side)
        peak = PeakMemory(lr.device)
        peak.begin()
        self.net(small)
        peak.end()
        return peak.bytes / (side * self.net.scale) ** 2 if peak.bytes else None


def axis_tiles(length: int, side: int, overlap: int, step: int) -> list[tuple[int, Tensor]]:
    """Tiles along one axis.

    Args:
        length: of the image.
        side: of the tiles, a multiple of `step`, more than `overlap`.
        overlap: the least that neighbors share, a multiple of `step`.
        step: tiles begin at multiples of it.

    Returns:
        where each tile begins, and the weights of its pixels: they add up to 1 at every pixel. The last tile ends with
        the image, so that it is padded as the whole image is.
    """
    padded = _round_up(length, step)
    if padded <= side:
        return [(0, torch.ones(length))]
    last = math.ceil((padded - side) / (side - overlap))
    starts = [(padded - side) * i // last // step * step for i in range(last + 1)]
    profiles = [_profile(start, min(start + side, length), length, overlap) for start in starts]
    total = torch.zeros(length)
    for start, profile in zip(starts, profiles, strict=True):
        total[start : start + len(profile)] += profile
    return [(start, p / total[start : start + len(p)]) for start, p in zip(starts, profiles, strict=True)]


def in_tiles(net: nn.Module, test: Test) -> nn.Module:
    """The network as `test.tile` asks for; one that `Tiled` cannot take apart restores images whole."""
    if test.tile is None or not works_in_tiles(net):
        return net
    return Tiled(net, test.tile, test.overlap)


def works_in_tiles(net: nn.Module) -> TypeGuard[PLIDENet]:
    """Whether a network is a PL-IDENet whose `forward`, `prepare`, upsampler and refinement are not somebody's own."""
    return (
        isinstance(net, PLIDENet)
        and type(net).forward is PLIDENet.forward
        and type(net).prepare is PLIDENet.prepare
        and type(net.upsampler) is Upsampler
        and type(net.refinement) is Refinement
    )


@contextmanager
def advising_tiles(flags: str = "--tile 128 or --tile auto") -> Iterator[None]:
    """Where memory runs out, name the flags that help."""
    try:
        yield
    except OutOfMemory as error:
        raise UserError(f"{error}; refine in tiles, or in smaller ones, with {flags}") from error


def _profile(start: int, end: int, length: int, overlap: int) -> Tensor:
    """Weights of one tile before they are normalized: 1 inside, falling over the middle half of the overlap to 0."""
    weight = torch.ones(end - start)
    if overlap:
        distance = torch.arange(end - start) + 0.5
        ramp = ((distance - overlap / 4) / (overlap / 2)).clamp(0, 1)
        if start > 0:
            weight = torch.minimum(weight, ramp)
        if end < length:
            weight = torch.minimum(weight, ramp.flip(0))
    return weight


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
