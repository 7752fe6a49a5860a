"""Blur kernels in .npy files."""

from pathlib import Path

import numpy as np

from plidenet.errors import UserError

LARGEST_SUM = 1e6  # of a kernel in a file


def read_kernel(path: Path) -> np.ndarray:
    """One kernel, float32 (k,k), k odd, finite, scaled to the sum 1; UserError where the file holds none."""
    (kernel,) = _read(path, "(k,k)", [2])
    return kernel


def read_kernels(path: Path) -> np.ndarray:
    """All kernels of a file, float32 (N,k,k), each as for `read_kernel`; the file holds (N,k,k) or one (k,k)."""
    return _read(path, "(k,k) or (N,k,k)", [2, 3])


def kernel_files(folder: Path) -> list[Path]:
    """The .npy files of a folder (not hidden ones), sorted by name; UserError where there are none."""
    files = sorted(path for path in folder.glob("*.npy") if not path.name.startswith("."))
    if not files:
        raise UserError(f"{folder} holds no kernels (.npy)" if folder.is_dir() else f"{folder} is not a folder")
    return files


def read_kernel_folder(folder: Path, least: int) -> np.ndarray:
    """The kernels of all .npy files of a folder, float32 (N,k,k), framed by zeros to k, the size of the largest.

    Args:
        folder: the files hold (k,k) or (N,k,k) each.
        least: size that smaller ones are framed to, odd.

    Raises:
        UserError: there are none, or a file holds none.
    """
    stacks = [read_kernels(file) for file in kernel_files(folder)]
    size = max(least, *(stack.shape[-1] for stack in stacks))
    frames = [(size - stack.shape[-1]) // 2 for stack in stacks]
    return np.concatenate(
        [np.pad(stack, ((0, 0), (frame,) * 2, (frame,) * 2)) for stack, frame in zip(stacks, frames, strict=True)]
    )


def _read(path: Path, shape: str, dimensions: list[int]) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    needed = f"it needs to be a .npy file of an array {shape} of numbers, k odd, with a positive sum"
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # numpy raises anything over damaged files, and takes most others for pickles
        raise UserError(f"{path} cannot be read as a kernel: {needed}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim not in dimensions:
        raise UserError(f"{path} holds no kernel: {needed}")
    with np.errstate(over="ignore"):
        kernels = array.astype(np.float32)[None] if array.ndim == 2 else array.astype(np.float32)
    if len(kernels) == 0 or not all(map(_is_kernel, kernels)):
        raise UserError(f"{path} holds no kernel: {needed}")
    sums = kernels.sum(axis=(1, 2), keepdims=True)
    return np.where(abs(sums - 1) < 1e-4, kernels, kernels / sums)  # but for rounding, which stays as it is


def _is_kernel(kernel: np.ndarray) -> bool:
    height, width = kernel.shape
    if height != width or height % 2 == 0:
        return False
    return bool(np.isfinite(kernel).all()) and 0 < kernel.sum(dtype=np.float64) < LARGEST_SUM
