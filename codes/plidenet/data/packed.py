"""Images of any sizes in one block of memory, cropped, flipped and transposed there, a batch at a time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from plidenet.cli import progress
from plidenet.data.augment import Placement
from plidenet.data.parallel import map_threads
from plidenet.data.stores import Store
from plidenet.distributed import is_main
from plidenet.memory import OutOfMemory, free_memory, out_of_memory_told

READERS = 8  # threads: decoding takes longer than all else before the first step


class PackedImages:
    """All images of a store as uint8 in the memory of a device.

    Args:
        store: where the images are read from.
        device: where they are kept: three bytes a pixel.

    Raises:
        OutOfMemory: they do not fit.
    """

    def __init__(self, store: Store, device: torch.device) -> None:
        self.sizes = [store.size(key) for key in store.keys]
        self.starts = starts = [0]
        for height, width in self.sizes:
            starts.append(starts[-1] + height * width)
        taken = f"data.cache needs {3 * starts[-1] / 2**30:.1f} GiB, more than is free on {device}"
        told = f"{taken}; data.cache=none reads the images as needed"
        free = free_memory(device)  # asked first: a CPU's memory is promised in full, and runs out when it is filled
        if free is not None and 3 * starts[-1] > free:
            raise OutOfMemory(told)
        with out_of_memory_told(told):
            self.pixels = torch.empty(starts[-1], 3, dtype=torch.uint8, device=device)
        images = map_threads(store.read, store.keys, READERS)
        read = zip(images, starts, starts[1:], strict=False)
        for image, start, end in progress(read, "read all images", len(store.keys)) if is_main() else read:
            self.pixels[start:end] = torch.from_numpy(image.reshape(-1, 3).copy())

    def crops(self, numbers: Sequence[int], placements: Sequence[Placement], size: int) -> Tensor:
        """Cut one crop out of each of several images.

        Args:
            numbers: which images, B of them, in the store's order.
            placements: place and orientation of each crop.
            size: side of the crops.

        Returns:
            uint8 (B,3,size,size) on the device, in channels-last memory format.
        """
        rows = [
            (self.starts[number], self.sizes[number][1], p.top, p.left, p.flip_rows, p.flip_columns, p.transpose)
            for number, p in zip(numbers, placements, strict=True)
        ]
        table = torch.tensor(rows, dtype=torch.int64).to(self.pixels.device, non_blocking=True)
        start, width, top, left, flip_rows, flip_columns, transpose = table.T[..., None]  # (B,1) each
        line = torch.arange(size, device=table.device)
        row = top + torch.where(flip_rows > 0, size - 1 - line, line)
        column = left + torch.where(flip_columns > 0, size - 1 - line, line)
        index = (start + row * width)[:, :, None] + column[:, None, :]
        index = torch.where(transpose[..., None] > 0, index.mT, index)
        return self.pixels[index].permute(0, 3, 1, 2)
