"""What the figures show, read from results folders and the benchmark that was tested on."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plidenet.data.images import read_image
from plidenet.data.kernel_files import read_kernel
from plidenet.data.pairing import split_width
from plidenet.errors import UserError


@dataclass(frozen=True)
class Folders:
    """Where results are.

    Attributes:
        ours: results/<name> of the network, as test.py writes it.
        bicubic: the same of bicubic interpolation.
        benchmark: as build_benchmark.py writes it: HR/x4, LRblur/x4 and, where true kernels are known, kernel/x4.
        dataset: the set's name in the option files.
        scale: HR size / LR size.
    """

    ours: Path
    bicubic: Path
    benchmark: Path
    dataset: str
    scale: int


@dataclass(frozen=True)
class Scores:
    """PSNR (dB) and SSIM of one image on Y, as the per-image CSV has them."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        return f"{self.psnr:.2f} dB / {self.ssim:.4f}"


@dataclass(frozen=True)
class Scene:
    """One test image, all that was made of it, and its scores.

    Attributes:
        name: in the benchmark, such as sig2.6_astronaut.
        lr: uint8 (h,w,3).
        bicubic, ours, hr: uint8 (H,W,3).
        scores: of bicubic interpolation and of the network, by "bicubic" and "ours".
        true_kernel, estimated_kernel: (k,k), or None where there is none.
    """

    name: str
    lr: np.ndarray
    bicubic: np.ndarray
    ours: np.ndarray
    hr: np.ndarray
    scores: dict[str, Scores]
    true_kernel: np.ndarray | None
    estimated_kernel: np.ndarray | None

    @property
    def title(self) -> str:
        """The photograph's name, without what it tells of the blur."""
        return split_width(self.name)[1]

    @property
    def blur(self) -> str:
        """The blur in words; empty where the name does not tell it."""
        width, _ = split_width(self.name)
        return "" if width is None else f"blur width {width:g}"


def read_scene(folders: Folders, name: str) -> Scene:
    """Read one image of the set.

    Raises:
        UserError: a missing or damaged image, an image without scores, sizes that do not match.
    """
    size = f"x{folders.scale}"
    lr = read_image(folders.benchmark / "LRblur" / size / f"{name}.png")
    hr = read_image(folders.benchmark / "HR" / size / f"{name}.png")
    restored = {}
    for method, folder in (("bicubic", folders.bicubic), ("ours", folders.ours)):
        path = folder / folders.dataset / f"{name}.png"
        restored[method] = read_image(path)
        if restored[method].shape != hr.shape:
            raise UserError(f"{path} differs in size from its HR image in {folders.benchmark}")
    if tuple(folders.scale * side for side in lr.shape[:2]) != hr.shape[:2]:
        raise UserError(f"{name} in {folders.benchmark}: the HR image is not {folders.scale} times the LR image")
    scores = {"bicubic": _score(folders.bicubic, folders, name), "ours": _score(folders.ours, folders, name)}
    true = _kernel(folders.benchmark / "kernel" / size / f"{name}.npy")
    estimated = _kernel(folders.ours / folders.dataset / "kernels" / f"{name}.npy")
    return Scene(name, lr, restored["bicubic"], restored["ours"], hr, scores, true, estimated)


def image_names(folders: Folders) -> list[str]:
    """The images of the set that the network has scores of, in the CSV's order."""
    return [line["image"] for line in read_csv(folders.ours / f"{folders.dataset}.csv")]


def spread(names: Sequence[str], count: int) -> list[str]:
    """So many of the names (or all, where they are fewer), evenly spread over them."""
    count = min(count, len(names))
    return [names[(2 * i + 1) * len(names) // (2 * count)] for i in range(count)]


def psnr_by_width(folder: Path, dataset: str) -> dict[float, float]:
    """Mean PSNR on Y (dB) by kernel width in HR pixels, ascending: of the folder's widths.csv; empty without one."""
    path = folder / "widths.csv"
    if not path.exists():
        return {}
    lines = [line for line in read_csv(path) if line.get("dataset") == dataset]
    return dict(sorted((number(path, line, "width"), number(path, line, "psnr_y")) for line in lines))


def read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV by column; UserError where it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"no file {path}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def number(path: Path, line: dict[str, str], column: str) -> float:
    """A number in a line of the CSV at `path`; UserError where there is none."""
    try:
        return float(line[column])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: no number in the column {column}") from None


def _score(folder: Path, folders: Folders, name: str) -> Scores:
    path = folder / f"{folders.dataset}.csv"
    for line in read_csv(path):
        if line.get("image") == name:
            return Scores(number(path, line, "psnr_y"), number(path, line, "ssim_y"))
    raise UserError(f"{path} has no scores of {name}")


def _kernel(path: Path) -> np.ndarray | None:
    return read_kernel(path) if path.exists() else None
