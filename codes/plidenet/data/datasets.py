"""Data sets: GT (HR images), LQ (LR images), LQGT (pairs). Samples are dicts of uint8 tensors.

A sample holds `key` (the LR image's name, or the HR image's where there is no LR), `gt` (3,H,W), `lq` (3,h,w), and
`kernel` (float32 (k,k)) where there is a folder of kernels. In training, index with (index, seed): crop and
augmentation follow from the seed alone, so that any worker, process or resumed run draws the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from plidenet.data.pairing import check_pair_sizes, pair_keys
from plidenet.data.stores import Store, open_store
from plidenet.errors import UserError
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
        self.hr = open_store(dataroot_GT)
        self.keys = self.hr.keys
        self.augment = Augment(GT_size, use_flip, use_rot)
        require_room(self.hr, self.keys, GT_size, dataroot_GT)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: Index) -> dict[str, Any]:
        number, seed = split_index(index)
        key = self.keys[number]
        (hr,) = self.augment([self.hr.read(key)], [1], seed)
        return {"key": key, "gt": to_tensor(hr)}


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
        self.hr, self.lr = open_store(dataroot_GT), open_store(dataroot_LQ)
        self.pairs = pair_keys(self.hr.keys, self.lr.keys)
        check_pair_sizes(self.pairs, self.hr, self.lr, scale)
        self.kernels = None if dataroot_kernel is None else KernelFolder(dataroot_kernel, self.lr.keys)
        self.augment = Augment(GT_size, use_flip, use_rot)
        require_room(self.lr, self.lr.keys, None if GT_size is None else GT_size // scale, dataroot_LQ)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: Index) -> dict[str, Any]:
        number, seed = split_index(index)
        hr_key, key = self.pairs[number]
        hr, lr = self.hr.read(hr_key), self.lr.read(key)
        hr = hr[: self.scale * lr.shape[0], : self.scale * lr.shape[1]]
        hr, lr = self.augment([hr, lr], [self.scale, 1], seed)
        sample = {"key": key, "gt": to_tensor(hr), "lq": to_tensor(lr)}
        return sample if self.kernels is None else {**sample, "kernel": self.kernels.read(key)}


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
        for key in keys:
            if not (folder / f"{key}.npy").is_file():
                raise UserError(f"{folder} lacks the kernel {key}.npy")

    def read(self, key: str) -> Tensor:
        """One kernel, float32 (k,k)."""
        return torch.from_numpy(np.load(self.folder / f"{key}.npy").astype(np.float32))


class Augment:
    """The same random crop, flips and transposition for images of one scene at several resolutions.

    Args:
        size: side of the crop of the first image, or None for no crop.
        use_flip: flip at random, in both directions independently.
        use_rot: transpose at random.
    """

    def __init__(self, size: int | None, use_flip: bool, use_rot: bool) -> None:
        self.size, self.use_flip, self.use_rot = size, use_flip, use_rot

    def __call__(
        self, images: Sequence[np.ndarray], steps: Sequence[int], seed: Sequence[int] | None
    ) -> list[np.ndarray]:
        """Crop and turn.

        Args:
            images: (H,W,3) each.
            steps: pixels of each image to one pixel of the grid that crops are aligned to.
            seed: decides everything; None draws afresh.
        """
        rng = np.random.default_rng(seed)
        if self.size is not None:
            side = self.size // steps[0]
            top, left = (int(rng.integers(n // steps[0] - side + 1)) for n in images[0].shape[:2])
            images = [
                image[step * top : step * (top + side), step * left : step * (left + side)]
                for image, step in zip(images, steps, strict=True)
            ]
        flip_rows, flip_columns = (self.use_flip & (rng.random(2) < 0.5)).tolist()
        transpose = self.use_rot and rng.random() < 0.5
        if flip_rows:
            images = [image[::-1] for image in images]
        if flip_columns:
            images = [image[:, ::-1] for image in images]
        if transpose:
            images = [image.transpose(1, 0, 2) for image in images]
        return list(images)


def require_room(store: Store, keys: Sequence[str], side: int | None, root: Path) -> None:
    """UserError where an image is smaller than a crop of `side` x `side` pixels."""
    if side is None:
        return
    for key in keys:
        height, width = store.size(key)
        if min(height, width) < side:
            raise UserError(f"{root}: the image {key} ({height}x{width}) is smaller than the crop of {side}x{side}")


def split_index(index: Index) -> tuple[int, Sequence[int] | None]:
    return index if isinstance(index, tuple) else (index, None)


def to_tensor(image: np.ndarray) -> Tensor:
    """uint8 (H,W,3) to a contiguous tensor (3,H,W)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
