"""Data sets: GT (HR images), LQ (LR images), LQGT (pairs). Samples are dicts of uint8 tensors.

A sample holds `key` (the LR image's name, or the HR image's where there is no LR), `gt` (3,H,W), `lq` (3,h,w), and
`kernel` (float32 (k,k)) where there is a folder of kernels. In training, index with (index, seed): crop and
augmentation follow from the seed alone, so that any worker, process or resumed run draws the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from plidenet.data.augment import Augment
from plidenet.data.kernel_files import read_kernel
from plidenet.data.pairing import check_pair_sizes, pair_keys
from plidenet.data.stores import MemoryStore, Store, open_store
from plidenet.errors import UserError
from plidenet.pixels import to_tensor
from plidenet.registry import Registry

DATASETS = Registry("data set mode")
Index = int | tuple[int, Sequence[int]]


@DATASETS.register("GT")
class GTDataset(Dataset):
    """HR images, for training with degradation on the fly.

    Args:
        dataroot_GT: LMDB or folder of HR images.
        GT_size: side of the random crop, or None for whole images.
        use_flip: flip at random, in both directions independently.
        use_rot: transpose at random; with both, all eight orientations are equally likely.

    Raises:
        UserError: missing or damaged data, or an image smaller than the crop.
    """

    def __init__(
        self, *, dataroot_GT: Path, GT_size: int | None = None, use_flip: bool = False, use_rot: bool = False
    ) -> None:
        self.hr: Store = open_store(dataroot_GT)
        self.keys = self.hr.keys
        self.augment = Augment(GT_size, use_flip, use_rot)
        require_room(self.hr, GT_size, dataroot_GT)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: Index) -> dict[str, Any]:
        number, seed = split_index(index)
        key = self.keys[number]
        (hr,) = self.augment([self.hr.read(key)], [1], seed)
        return {"key": key, "gt": hr}

    def keep_in_memory(self, device: torch.device) -> None:
        """Read all images into the memory of a device, where they are cropped from then on; OutOfMemory if too many."""
        self.hr = MemoryStore(self.hr, device)


@DATASETS.register("LQGT")
class LQGTDataset(Dataset):
    """Pairs of HR and LR images, paired by name; HR images are cut to `scale` times their LR image.

    Args:
        scale: HR size / LR size.
        dataroot_GT: LMDB or folder of HR images.
        dataroot_LQ: LMDB or folder of LR images.
        dataroot_kernel: folder of true kernels, <LR name>.npy, or None.
        GT_size: side of the random crop in HR pixels, or None for whole images.
        use_flip: as for `GTDataset`.
        use_rot: as for `GTDataset`.

    Raises:
        UserError: missing or damaged data, pairs that do not match, or an image smaller than the crop.
    """

    def __init__(
        self,
        *,
        scale: int,
        dataroot_GT: Path,
        dataroot_LQ: Path,
        dataroot_kernel: Path | None = None,
        GT_size: int | None = None,
        use_flip: bool = False,
        use_rot: bool = False,
    ) -> None:
        self.scale = scale
        self.hr: Store = open_store(dataroot_GT)
        self.lr: Store = open_store(dataroot_LQ)
        self.keys = self.lr.keys
        self.pairs = pair_keys(self.hr.keys, self.keys)
        check_pair_sizes(self.pairs, self.hr, self.lr, scale)
        self.kernels = None if dataroot_kernel is None else KernelFolder(dataroot_kernel, self.keys)
        size = None if GT_size is None else GT_size // scale
        self.augment = Augment(size, use_flip, use_rot)
        require_room(self.lr, size, dataroot_LQ)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: Index) -> dict[str, Any]:
        number, seed = split_index(index)
        hr_key, key = self.pairs[number]
        hr, lr = self.hr.read(hr_key), self.lr.read(key)
        hr = hr[: self.scale * lr.shape[0], : self.scale * lr.shape[1]]
        hr, lr = self.augment([hr, lr], [self.scale, 1], seed)
        sample = {"key": key, "gt": hr, "lq": lr}
        return sample if self.kernels is None else {**sample, "kernel": self.kernels.read(key)}

    def keep_in_memory(self, device: torch.device) -> None:
        """As for `GTDataset`, HR and LR."""
        self.hr, self.lr = MemoryStore(self.hr, device), MemoryStore(self.lr, device)


@DATASETS.register("LQ")
class LQDataset(Dataset):
    """LR images alone, to be restored and not measured.

    Args:
        dataroot_LQ: LMDB or folder of LR images.
        dataroot_kernel: folder of true kernels, <LR name>.npy, or None.
    """

    def __init__(self, *, dataroot_LQ: Path, dataroot_kernel: Path | None = None) -> None:
        self.lr = open_store(dataroot_LQ)
        self.keys = self.lr.keys
        self.kernels = None if dataroot_kernel is None else KernelFolder(dataroot_kernel, self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key = self.keys[index]
        sample = {"key": key, "lq": to_tensor(self.lr.read(key))}
        return sample if self.kernels is None else {**sample, "kernel": self.kernels.read(key)}


class KernelFolder:
    """True kernels, <key>.npy, one for each key; UserError where one is missing."""

    def __init__(self, folder: Path, keys: Sequence[str]) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise UserError(f"no folder {folder} of true kernels (dataroot_kernel, which can be left out)")
        for key in keys:
            if not (folder / f"{key}.npy").is_file():
                raise UserError(f"{folder} lacks the kernel {key}.npy")

    def read(self, key: str) -> Tensor:
        """One kernel, float32 (k,k), k odd; UserError where the file holds none."""
        return torch.from_numpy(read_kernel(self.folder / f"{key}.npy"))


def require_room(store: Store, side: int | None, root: Path) -> None:
    """UserError where an image is smaller than a crop of `side` x `side` pixels."""
    if side is None:
        return
    for key in store.keys:
        height, width = store.size(key)
        if min(height, width) < side:
            raise UserError(f"{root}: the image {key} ({height}x{width}) is smaller than the crop of {side}x{side}")


def split_index(index: Index) -> tuple[int, Sequence[int] | None]:
    return index if isinstance(index, tuple) else (index, None)
