"""All options, typed: one dataclass a section of the YAML, a description on every field.

The field names are those of DAN's option files. `accepted` lists fields of such files that are read and have no
meaning here, with the reason; anything else unknown is an error (see `plidenet.config.reader`).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from plidenet.config.fields import REQUIRED, option, require, require_folder_name
from plidenet.config.training import Data, Guard, Logger, Train
from plidenet.files import is_file_name

SMALLEST_LR = 16  # side of the smallest LR image that the networks take
RESULT_TABLES = ("table", "widths", "kernels", "perceptual")  # that testing writes, beside <set>.csv for every set


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How LR images are made from HR crops in training: by blur, MATLAB's bicubic and rounding."""

    kernels: Path | None = option(None, "folder of kernels (.npy) to draw from, instead of random Gaussians")
    ksize: int = option(21, "side of the blur kernels, odd; the least of those of `kernels`, framed by zeros")
    sig_min: float = option(0.2, "smallest Gaussian width, in HR pixels")
    sig_max: float | None = option(None, "largest Gaussian width, in HR pixels; ~: the scale, as in setting 1")
    rate_iso: float = option(1.0, "probability of an isotropic kernel: 1 in setting 1, 0 in setting 2")
    random_disturb: bool = option(
        False, "setting 2: multiply each tap of an anisotropic kernel by 1 + uniform(0, 0.25)"
    )

    accepted: ClassVar[Mapping[str, str]] = {
        "random_kernel": "training kernels are always random",
        "code_length": "the kernel is estimated whole, without a PCA code",
        "random_sigma": "training kernels are always random",
        "sig": "training kernels are always random",
    }

    def __post_init__(self) -> None:
        require(self.ksize > 0 and self.ksize % 2 == 1, "ksize", "must be odd and positive")
        require(0 < self.sig_min <= self.widest(math.inf), "sig_min", "must be positive and at most sig_max")
        require(0 <= self.rate_iso <= 1, "rate_iso", "must lie between 0 and 1")

    def widest(self, scale: float) -> float:
        """`sig_max`, or what stands for it."""
        return scale if self.sig_max is None else self.sig_max


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One set of images: LMDB or folder, training or evaluation."""

    name: str = option(REQUIRED, "the set's name in logs, tables and folders")
    mode: Literal["GT", "LQ", "LQGT"] = option(REQUIRED, "GT: HR only, degraded on the fly; LQGT: pairs; LQ: LR only")
    dataroot_GT: Path | None = option(None, "HR images: an LMDB or a folder")
    dataroot_LQ: Path | None = option(None, "LR images: an LMDB or a folder")
    dataroot_kernel: Path | None = option(None, "folder of true kernels, <name>.npy")
    batch_size: int = option(16, "images per step, over all processes")
    GT_size: int | None = option(None, "side of the HR crop in training, a multiple of the scale")
    n_workers: int = option(4, "loader processes, no more than there are CPUs; 0 loads in the training process")
    use_flip: bool = option(True, "random flips in training")
    use_rot: bool = option(True, "random transposition in training")

    accepted: ClassVar[Mapping[str, str]] = {
        "LR_size": "it is GT_size / scale",
        "use_shuffle": "training sets are always shuffled",
        "color": "images are RGB",
        "data_type": "LMDB and folders are told apart by themselves",
        "phase": "it follows from the name of the section",
        "dataset_type": "it follows from the mode",
    }

    def __post_init__(self) -> None:
        require_folder_name(self.name)
        for name, root in self.images.items():
            require(root is not None, name, f"is needed with mode {self.mode}")
        require(self.batch_size > 0, "batch_size", "must be positive")
        require(self.n_workers >= 0, "n_workers", "must not be negative")
        require(self.GT_size is None or self.GT_size > 0, "GT_size", "must be positive")

    @property
    def images(self) -> dict[str, Path]:
        """The LMDBs or folders that the mode needs, by the names of their fields."""
        names = [f"dataroot_{kind}" for kind in ("GT", "LQ") if kind in self.mode]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network to build."""

    which_model_G: str = option(REQUIRED, "registered name: PL_IDENet (or DEblurSRResDNet), PL_IDENet_E, Bicubic")
    setting: Mapping[str, Any] | None = option(None, "the constructor's arguments; `scale` is filled in")


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where things are read and written."""

    pretrain_model_G: Path | None = option(None, "weights to start from or to test")
    restored_root: Path | None = option(
        None, "test images that another program restored, <restored_root>/<set>/<image>.png, instead of a network"
    )
    strict_load: bool = option(True, "refuse weights that do not fit exactly")
    pretrain_scale: Literal[2, 3, 4] | None = option(
        None, "scale of the initial weights in training, if not `scale`: 4 is halved to 2 (archs/halve_scale.py)"
    )
    pretrain_network: str | None = option(
        None, "network of the initial weights in training, if not `which_model_G`: PL_IDENet_E (archs/transfer.py)"
    )
    resume_state: Path | Literal["auto"] | None = option(
        None, "training state to resume from; auto: the run's newest, or a fresh start where there is none"
    )
    experiments_root: Path = option(Path("experiments"), "training writes <experiments_root>/<name>")
    results_root: Path = option(Path("results"), "testing writes <results_root>/<name>; `test.*` may add a mark")

    accepted: ClassVar[Mapping[str, str]] = {
        "root": "paths are relative to the project's root",
        "pretrain_model_E": "there is one network",
    }


@dataclass(frozen=True, kw_only=True)
class Test:
    """How testing restores, and what it writes besides the tables."""

    save_images: bool = option(True, "write the SR images and the estimated kernels")
    perceptual: tuple[str, ...] = option((), "further metrics, of the package pyiqa: lpips, dists, niqe, ...")
    ensemble: bool = option(False, "average over the eight orientations of each image (x8 self-ensemble)")
    true_kernels: bool = option(False, "restore with the kernels of dataroot_kernel instead of estimates: not blindly")
    tile: int | Literal["auto"] | None = option(
        None,
        "side of the tiles to refine in, in LR pixels (validation too); auto: what fits into free memory; ~: no tiles",
    )
    tile_overlap: int | None = option(
        None, "overlap of neighboring tiles, in LR pixels; ~: 32, or half of a smaller tile"
    )

    def __post_init__(self) -> None:
        side = self.tile if isinstance(self.tile, int) else math.inf
        require(side >= SMALLEST_LR, "tile", f"must be at least {SMALLEST_LR} LR pixels")
        require(self.overlap >= 0, "tile_overlap", "must not be negative")
        require(2 * self.overlap <= side, "tile_overlap", "must be at most half of the tile")
        alone = not self.true_kernels or (self.tile is None and not self.ensemble)
        require(alone, "true_kernels", "goes neither with ensemble nor with tile")

    @property
    def mark(self) -> str:
        """What is appended to the names of networks and results that are not the plain ones."""
        return "+" if self.ensemble else "_true_kernels" if self.true_kernels else ""

    @property
    def overlap(self) -> int:
        """`tile_overlap`, or what stands for it."""
        if self.tile_overlap is not None:
            return self.tile_overlap
        return min(32, self.tile // 2) if isinstance(self.tile, int) else 32


@dataclass(frozen=True, kw_only=True)
class Options:
    """A whole option file."""

    name: str = option(REQUIRED, "the run's name, and its folder's")
    suffix: str | None = option(None, "appended to the names of the SR images, after a _")
    model: Literal["blind", "blind_asif"] = option("blind", "kept for DAN's files; both mean the same here")
    scale: Literal[2, 3, 4] = option(REQUIRED, "HR size / LR size")
    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    gpu_ids: tuple[int, ...] | None = option(
        None, "the GPU of each process on a machine (torchrun starts them); ~: in order"
    )
    crop_border: int | None = option(None, "pixels cut from each side before measuring; ~ means the scale")
    parts: tuple[Path, ...] = option((), "Python files with networks and losses of one's own, read first")
    use_tb_logger: bool = option(True, "write TensorBoard logs in training")
    dist_timeout: float = option(1800, "seconds that a process waits for the others before it fails")
    degradation: Degradation = option(Degradation(), "the degradation of training")
    datasets: Mapping[str, Dataset] = option(REQUIRED, "sections train, val.. (training) or test1, test2.. (testing)")
    network_G: Network = option(REQUIRED, "the network")
    path: Paths = option(Paths(), "files and folders")
    data: Data = option(Data(), "how training reads its images")
    train: Train = option(Train(), "optimization")
    guard: Guard = option(Guard(), "what to do about divergence")
    logger: Logger = option(Logger(), "logging")
    test: Test = option(Test(), "testing")

    accepted: ClassVar[Mapping[str, str]] = {
        "distortion": "super-resolution is the only task",
        "pca_matrix_path": "the kernel is estimated whole, without a PCA code",
        "kernel_size": "see degradation.ksize",
        "code_length": "the kernel is estimated whole, without a PCA code",
    }

    def __post_init__(self) -> None:
        require(bool(re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device)), "device", "must be auto, cpu, cuda or cuda:N")
        require_folder_name(self.name)
        require(self.suffix is None or is_file_name(self.suffix), "suffix", "must be a plain part of a file name")
        require(self.crop_border is None or self.crop_border >= 0, "crop_border", "must not be negative")
        require(0 < self.dist_timeout < 1e9, "dist_timeout", "must be positive, and less than 1e9")
        for key, dataset in self.datasets.items():
            known = key == "train" or key.startswith(("val", "test"))
            require(known, f"datasets.{key}", "must be named train (there is only one), val* or test*")
            fits = dataset.GT_size is None or dataset.GT_size % self.scale == 0
            require(fits, f"datasets.{key}.GT_size", f"is {dataset.GT_size}, no multiple of the scale {self.scale}")
            if key == "train" and dataset.GT_size is not None:
                self._require_crop(f"datasets.{key}.GT_size", dataset.GT_size)
            free = key == "train" or dataset.name not in RESULT_TABLES
            require(free, f"datasets.{key}.name", f"cannot be {dataset.name}: a table of the results has that name")
        blur, source = self.degradation, self.path.pretrain_scale
        fits = blur.sig_min <= blur.widest(self.scale)
        require(fits, "degradation.sig_min", f"is {blur.sig_min}, larger than sig_max (by default the scale)")
        fits = source in (None, self.scale) or (source, self.scale) == (4, 2)
        require(fits, "path.pretrain_scale", f"is {source}, but scale is {self.scale}: only 4 can be halved, to 2")
        scale = (self.network_G.setting or {}).get("scale", self.scale)
        require(scale == self.scale, "network_G.setting.scale", f"is {scale}, but scale is {self.scale}")
        of_nothing = self.path.pretrain_network is not None and self.path.pretrain_model_G is None
        problem = "is the network of path.pretrain_model_G, which is not set; path.pretrain_network= leaves it out"
        require(not of_nothing, "path.pretrain_network", problem)
        for field in ("ensemble", "true_kernels"):
            alone = self.path.restored_root is None or not getattr(self.test, field)
            require(alone, f"test.{field}", "needs a network: it is of no use with path.restored_root")
        names = [dataset.name for dataset in self.measured_sets.values()]
        unique = len(names) == len(set(names))
        require(unique, "datasets", "has two sets of the same name, which would overwrite each other's results")

    def _require_crop(self, name: str, side: int) -> None:
        """InvalidOption where no training step could be done on HR crops of this size."""
        least = SMALLEST_LR * self.scale
        require(side >= least, name, f"is {side}, but LR crops need {SMALLEST_LR} pixels: at least {least}")
        for field, size in (
            ("degradation.ksize", self.degradation.ksize),
            ("network_G.setting.kernel_size", self.network_setting.get("kernel_size")),
        ):
            fits = not isinstance(size, int) or size // 2 < side  # half a kernel of the crop is mirrored at its border
            require(fits, field, f"is {size}, too large for crops of {side} ({name}): at most {2 * side - 1}")
        refine, grid = self.train.refine_crop, 2 * self.scale
        on_grid = not refine or (refine <= side and (side - refine) % grid == 0)  # so is then the one in the middle
        require(on_grid, "train.refine_crop", f"must be {side} less a multiple of {grid}")

    @property
    def measured_sets(self) -> dict[str, Dataset]:
        """The sections under `datasets` that are not for training."""
        return {key: dataset for key, dataset in self.datasets.items() if key != "train"}

    @property
    def border(self) -> int:
        """Pixels cut from each side before measuring."""
        return self.scale if self.crop_border is None else self.crop_border

    @property
    def results_folder(self) -> Path:
        """Where testing writes; the self-ensemble has a folder of its own, <name>+, and so have true kernels."""
        return self.path.results_root / (self.name + self.test.mark)

    @property
    def network_setting(self) -> dict[str, Any]:
        """The network's constructor arguments, with the scale."""
        return {**(self.network_G.setting or {}), "scale": self.scale}
