"""The sections of an option file that concern training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from plidenet.config.fields import REQUIRED, option, require


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One term of the training loss."""

    type: str = option(REQUIRED, "registered name: l1, lr_consistency, gradient_difference")
    weight: float = option(1.0, "its factor")


RELEASED_LOSSES = (Loss(type="l1"), Loss(type="lr_consistency"), Loss(type="gradient_difference"))


@dataclass(frozen=True, kw_only=True)
class Train:
    """Optimization."""

    niter: int = option(500_000, "iterations")
    optimizer: Literal["Adam", "Muon"] = option("Adam", "Adam, or Muon for layers between features, Adam for the rest")
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
    accumulate: int = option(1, "gradient accumulation: split each batch into this many parts to save memory")
    refine_crop: int | None = option(
        None, "HR side of the part of each crop that is refined; ~ refines all, 0 trains the estimator alone"
    )
    ema_decay: float = option(0.0, "decay of the weights' moving average (EMA), validated and saved too; 0: none")
    precision: Literal["fp32", "bf16", "fp16"] = option(
        "fp32", "of the network and Muon; FFTs, losses and more stay fp32"
    )
    compile: bool = option(False, "compile the network with torch.compile")
    channels_last: bool = option(False, "keep the convolutions' weights in channels-last memory format")
    tf32: bool = option(False, "let a GPU compute float32 products in TF32")
    losses: tuple[Loss, ...] = option(RELEASED_LOSSES, "the terms of the loss, each with its weight")
    manual_seed: int = option(0, "seed of everything random")
    val_freq: int = option(5_000, "validate every so many iterations, and at the end")

    accepted: ClassVar[Mapping[str, str]] = {
        "lr_E": "there is one network and one learning rate",
        "beta1_E": "there is one network and one optimizer",
        "pixel_criterion": "the losses are those of train.losses",
        "pixel_weight": "the losses are those of train.losses",
        "restarts": "the schedules have no restarts",
        "restart_weights": "the schedules have no restarts",
        "T_period": "the schedules have no restarts",
        "clear_state": "the schedules have no restarts",
    }

    def __post_init__(self) -> None:
        for name in ("niter", "lr_G", "val_freq", "accumulate"):
            require(getattr(self, name) > 0, name, "must be positive")
        for name in ("beta1", "beta2", "ema_decay"):
            require(0 <= getattr(self, name) < 1, name, "must be at least 0 and less than 1")
        require(self.weight_decay_G >= 0, "weight_decay_G", "must not be negative")
        decays_all = self.optimizer == "Adam" or self.weight_decay_G == 0
        require(decays_all, "weight_decay_G", "is for Adam only; it must be 0 with train.optimizer: Muon")
        require(0 <= self.manual_seed < 2**32, "manual_seed", "must be from 0 to 2**32 - 1")
        require(len(self.losses) > 0, "losses", "must not be empty")
        require(self.grad_clip_norm is None or self.grad_clip_norm > 0, "grad_clip_norm", "must be positive")
        require(self.refine_crop is None or self.refine_crop >= 0, "refine_crop", "must not be negative")
        for loss in self.losses if self.refine_crop == 0 else ():
            needs_image = loss.type in ("l1", "gradient_difference")
            require(not needs_image, "losses", f"cannot contain {loss.type}: with refine_crop 0, no image is restored")


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What training does about divergence."""

    max_skips: int = option(10, "return to the last good weights after this many non-finite steps in a row")
    max_psnr_drop: float = option(0.1, "return when validation drops by more than this fraction of the best PSNR")
    lr_factor: float = option(0.5, "multiply the learning rate by this at every return to the last good weights")
    max_returns: int = option(5, "how often training may return before it gives up")

    def __post_init__(self) -> None:
        require(self.max_skips > 0, "max_skips", "must be positive")
        require(0 < self.max_psnr_drop < 1, "max_psnr_drop", "must be a fraction of the best PSNR, between 0 and 1")
        require(0 < self.lr_factor <= 1, "lr_factor", "must be positive and at most 1")
        require(self.max_returns >= 0, "max_returns", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class Data:
    """How training reads its images."""

    cache: Literal["none", "ram", "gpu"] = option(
        "none", "each process keeps all images in main memory or on its GPU and crops there; none: workers read them"
    )


@dataclass(frozen=True, kw_only=True)
class Logger:
    """How often training reports and saves."""

    print_freq: int = option(100, "log every so many iterations, means over them")
    save_checkpoint_freq: int = option(5_000, "save weights and state every so many iterations, and at the end")
    keep: int = option(3, "how many of the newest training states to keep")
    val_images: int = option(3, "how many images of each validation set to show in TensorBoard and val_images")

    def __post_init__(self) -> None:
        for name in ("print_freq", "save_checkpoint_freq", "keep"):
            require(getattr(self, name) > 0, name, "must be positive")
        require(self.val_images >= 0, "val_images", "must not be negative")
