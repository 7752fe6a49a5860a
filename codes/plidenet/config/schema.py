"""All options, typed: one dataclass a section of the YAML, a description on every field.

The field names are those of DAN's option files. `accepted` lists fields of such files that are read and have no
meaning here, with the reason; anything else unknown is an error (see `plidenet.config.reader`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

REQUIRED: Any = object()


def option(default: Any, description: str) -> Any:
    """A dataclass field with a default (or REQUIRED) and a description."""
    metadata = {"description": description}
    if default is REQUIRED:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


class InvalidOption(ValueError):
    """A value that is not allowed, with the name of its field within the section."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name, self.problem = name, problem


def _require(condition: bool, name: str, problem: str) -> None:
    if not condition:
        raise InvalidOption(name, problem)


def _require_folder_name(name: str) -> None:
    _require("/" not in name and name not in ("", ".", ".."), "name", "must be a plain folder name")


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How LR images are made from HR crops in training (method: blur, MATLAB bicubic, rounding)."""

    ksize: int = option(21, "side of the blur kernels, odd")
    sig_min: float = option(0.2, "smallest Gaussian width, in HR pixels")
    sig_max: float = option(4.0, "largest Gaussian width, in HR pixels")
    rate_iso: float = option(1.0, "probability of an isotropic kernel: 1 is setting 1, 0 is setting 2")
    random_disturb: bool = option(False, "multiply each tap of an anisotropic kernel by 1 + uniform(0, 0.25)")

    accepted: ClassVar[Mapping[str, str]] = {
        "random_kernel": "training kernels are always random",
        "code_length": "the kernel is estimated whole, without a PCA code",
        "random_sigma": "training kernels are always random",
        "sig": "training kernels are always random",
    }

    def __post_init__(self) -> None:
        _require(self.ksize > 0 and self.ksize % 2 == 1, "ksize", "must be odd and positive")
        _require(0 < self.sig_min <= self.sig_max, "sig_min", "must be positive and at most sig_max")
        _require(0 <= self.rate_iso <= 1, "rate_iso", "must lie between 0 and 1")


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
    n_workers: int = option(4, "loader processes; 0 loads in the training process")
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
        _require_folder_name(self.name)
        _require(self.mode == "LQ" or self.dataroot_GT is not None, "dataroot_GT", f"is needed with mode {self.mode}")
        _require(self.mode == "GT" or self.dataroot_LQ is not None, "dataroot_LQ", f"is needed with mode {self.mode}")
        _require(self.batch_size > 0, "batch_size", "must be positive")
        _require(self.n_workers >= 0, "n_workers", "must not be negative")
        _require(self.GT_size is None or self.GT_size > 0, "GT_size", "must be positive")


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network to build."""

    which_model_G: str = option(REQUIRED, "registered name: PL_IDENet, PL_IDENet_E, Bicubic")
    setting: Mapping[str, Any] = option(REQUIRED, "the constructor's arguments; `scale` is filled in if absent")

    accepted: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where things are read and written."""

    pretrain_model_G: Path | None = option(None, "weights to start from or to test")
    strict_load: bool = option(True, "refuse weights that do not fit exactly")
    resume_state: Path | Literal["auto"] | None = option(
        None, "training state to resume from; auto: the run's newest, or a fresh start where there is none"
    )
    experiments_root: Path = option(Path("experiments"), "training writes <experiments_root>/<name>")
    results_root: Path = option(Path("results"), "testing writes <results_root>/<name>")

    accepted: ClassVar[Mapping[str, str]] = {
        "root": "paths are relative to the project's root",
        "pretrain_model_E": "there is one network",
    }


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One term of the training loss."""

    type: str = option(REQUIRED, "registered name: l1, lr_consistency, gradient_difference")
    weight: float = option(1.0, "its factor")

    accepted: ClassVar[Mapping[str, str]] = {}


RELEASED_LOSSES = (Loss(type="l1"), Loss(type="lr_consistency"), Loss(type="gradient_difference"))


@dataclass(frozen=True, kw_only=True)
class Train:
    """Optimization."""

    niter: int = option(500_000, "iterations")
    lr_G: float = option(1e-4, "learning rate")
    beta1: float = option(0.9, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")
    weight_decay_G: float = option(0.0, "Adam's weight decay")
    lr_scheme: Literal["MultiStepLR", "CosineAnnealingLR"] = option("MultiStepLR", "learning rate schedule")
    lr_steps: tuple[int, ...] = option((250_000, 400_000, 450_000, 475_000), "MultiStepLR: where the rate drops")
    lr_gamma: float = option(0.5, "MultiStepLR: the factor of each drop")
    eta_min: float = option(0.0, "CosineAnnealingLR: the rate at the end")
    warmup_iter: int = option(-1, "iterations of linear warm-up; -1 for none")
    grad_clip_norm: float | None = option(None, "clip the gradient's norm at this value")
    accumulate: int = option(1, "process a batch in so many parts, one after the other, to save memory")
    refine_crop: int | None = option(
        None, "HR side of the central part that is refined, of crops of GT_size; ~ refines everything"
    )
    ema_decay: float = option(0.0, "decay of the averaged weights, which are validated and saved too; 0 for none")
    precision: Literal["fp32", "bf16", "fp16"] = option("fp32", "of the network's arithmetic; FFTs, losses stay fp32")
    compile: bool = option(False, "compile the network with torch.compile")
    channels_last: bool = option(False, "keep the convolutions' weights in channels-last memory format")
    tf32: bool = option(False, "let a GPU compute float32 products in TF32")
    losses: tuple[Loss, ...] = option(RELEASED_LOSSES, "the terms of the loss, each with its weight")
    manual_seed: int = option(0, "seed of everything random")
    val_freq: int = option(5_000, "validate every so many iterations")

    accepted: ClassVar[Mapping[str, str]] = {
        "lr_E": "there is one network and one learning rate",
        "beta1_E": "there is one network and one optimizer",
        "pixel_criterion": "see train.losses",
        "pixel_weight": "see train.losses",
        "restarts": "the schedules have no restarts",
        "restart_weights": "the schedules have no restarts",
        "T_period": "the schedules have no restarts",
        "clear_state": "the schedules have no restarts",
    }

    def __post_init__(self) -> None:
        for name in ("niter", "lr_G", "val_freq", "accumulate"):
            _require(getattr(self, name) > 0, name, "must be positive")
        _require(self.manual_seed >= 0, "manual_seed", "must not be negative")
        _require(len(self.losses) > 0, "losses", "must not be empty")
        _require(self.grad_clip_norm is None or self.grad_clip_norm > 0, "grad_clip_norm", "must be positive")
        _require(self.refine_crop is None or self.refine_crop > 0, "refine_crop", "must be positive")
        _require(0 <= self.ema_decay < 1, "ema_decay", "must be at least 0 and less than 1")


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What training does about divergence."""

    max_skips: int = option(10, "after so many steps in a row without finite loss and gradient, return")
    max_psnr_drop: float = option(0.1, "return where validation falls by more than this part of the best PSNR")
    lr_factor: float = option(0.5, "multiply the learning rate by this at every return to the last good weights")
    max_returns: int = option(5, "give up after so many returns")

    accepted: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        _require(self.max_skips > 0, "max_skips", "must be positive")
        _require(self.max_psnr_drop > 0, "max_psnr_drop", "must be positive")
        _require(0 < self.lr_factor <= 1, "lr_factor", "must be positive and at most 1")
        _require(self.max_returns >= 0, "max_returns", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class Data:
    """How training reads its images."""

    cache: Literal["none", "ram", "gpu"] = option(
        "none", "keep all HR images in main memory or on the GPU and crop there; none: workers read them each time"
    )

    accepted: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Logger:
    """How often training reports and saves."""

    print_freq: int = option(100, "log every so many iterations")
    save_checkpoint_freq: int = option(5_000, "save weights and state every so many iterations")
    keep: int = option(3, "how many of the newest training states to keep")
    val_images: int = option(3, "how many images of each validation set to show in TensorBoard and val_images")

    accepted: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name in ("print_freq", "save_checkpoint_freq", "keep"):
            _require(getattr(self, name) > 0, name, "must be positive")
        _require(self.val_images >= 0, "val_images", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class Test:
    """What testing writes besides the tables."""

    save_images: bool = option(True, "write the SR images and the estimated kernels")
    perceptual: tuple[str, ...] = option((), "further metrics, of the package pyiqa: lpips, dists, niqe, ...")

    accepted: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Options:
    """A whole option file."""

    name: str = option(REQUIRED, "the run's name, and its folder's")
    suffix: str | None = option(None, "appended to the names of the SR images")
    model: Literal["blind", "blind_asif"] = option("blind", "kept for DAN's files; both mean the same here")
    scale: Literal[2, 3, 4] = option(REQUIRED, "HR size / LR size")
    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    gpu_ids: tuple[int, ...] | None = option(None, "the first is the GPU of a single process; for more use torchrun")
    crop_border: int | None = option(None, "pixels cut from each side before measuring; ~ means the scale")
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
        "distortion": "super-resolution is what there is",
        "pca_matrix_path": "the kernel is estimated whole, without a PCA code",
        "kernel_size": "see degradation.ksize",
        "code_length": "the kernel is estimated whole, without a PCA code",
    }

    def __post_init__(self) -> None:
        _require_folder_name(self.name)
        _require(self.crop_border is None or self.crop_border >= 0, "crop_border", "must not be negative")
        for key, dataset in self.datasets.items():
            _require(
                key.startswith(("train", "val", "test")), f"datasets.{key}", "must be named train, val.. or test.."
            )
            fits = dataset.GT_size is None or dataset.GT_size % self.scale == 0
            _require(fits, f"datasets.{key}.GT_size", f"is {dataset.GT_size}, no multiple of the scale {self.scale}")
            refine, crop = self.train.refine_crop, dataset.GT_size
            if key.startswith("train") and refine is not None and crop is not None:
                centered = refine <= crop and (crop - refine) % (2 * self.scale) == 0
                _require(centered, "train.refine_crop", f"must be {crop} less a multiple of {2 * self.scale}")
        scale = self.network_G.setting.get("scale", self.scale)
        _require(scale == self.scale, "network_G.setting.scale", f"is {scale}, but scale is {self.scale}")
        names = [dataset.name for key, dataset in self.datasets.items() if not key.startswith("train")]
        _require(len(names) == len(set(names)), "datasets", "two sets of one name would overwrite each other's results")

    @property
    def border(self) -> int:
        """Pixels cut from each side before measuring."""
        return self.scale if self.crop_border is None else self.crop_border

    @property
    def network_setting(self) -> dict[str, Any]:
        """The network's constructor arguments, with the scale."""
        return {**self.network_G.setting, "scale": self.scale}
