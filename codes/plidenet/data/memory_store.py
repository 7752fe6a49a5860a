"""All images of a store in the memory of a device."""

import numpy as np
import torch
from torch import Tensor

from plidenet.cli import progress
from plidenet.data.parallel import map_threads
from plidenet.data.stores import Store
from plidenet.distributed import is_main
from plidenet.memory import OutOfMemory, free_memory, out_of_memory_told

READERS = 8  # threads: decoding takes longer than all else before the first step


class MemoryStore:
    """All images of another store, decoded, as uint8 in the memory of a device: three bytes a pixel.

    Args:
        store: where the images are read from.
        device: where they are kept.

    Raises:
        OutOfMemory: they do not fit.
    """

    def __init__(self, store: Store, device: torch.device) -> None:
        self.keys = store.keys
        self._sizes = {key: store.size(key) for key in self.keys}
        pixels = [height * width for height, width in self._sizes.values()]
        taken = f"data.cache needs {3 * sum(pixels) / 2**30:.1f} GiB, more than is free on {device}"
        told = f"{taken}; data.cache=none reads the images as needed"
        free = free_memory(device)  # asked first: a CPU's memory is promised in full, and runs out when it is filled
        if free is not None and 3 * sum(pixels) > free:
            raise OutOfMemory(told)
        with out_of_memory_told(told):
            block = torch.empty(sum(pixels), 3, dtype=torch.uint8, device=device)
        self._images = dict(zip(self.keys, block.split(pixels), strict=True))
        images = map_threads(store.read, self.keys, READERS)
        read = progress(images, "read all images", len(self.keys)) if is_main() else images
        for key, image in zip(self.keys, read, strict=True):
            self._images[key].copy_(torch.from_numpy(np.ascontiguousarray(image)).view(-1, 3))

    def size(self, key: str) -> tuple[int, int]:
        return self._sizes[key]

    def read(self, key: str) -> Tensor:
        return self._images[key].view(*self._sizes[key], 3)
