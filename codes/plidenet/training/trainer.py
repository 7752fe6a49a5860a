"""The trainer: one step, reading top to bottom in the order it happens, and the loop around it."""

import logging
import math
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from plidenet.archs import build_network
from plidenet.checkpoint import load_checkpoint, save_checkpoint
from plidenet.config import Options
from plidenet.data.build import build_dataset
from plidenet.data.loaders import build_eval_loader, build_train_loader
from plidenet.device import choose_device, to_float
from plidenet.errors import UserError
from plidenet.evaluation import evaluate, summarize
from plidenet.losses import Restoration, build_losses, total_loss
from plidenet.training.degrader import RandomDegrader
from plidenet.training.experiment import Experiment, load_state
from plidenet.training.record import Record
from plidenet.training.schedules import learning_rate

log = logging.getLogger(__name__)


class Trainer:
    """Train a network as an option file says.

    Args:
        options: the options.
        option_file: where they came from; a copy is kept with the run.

    Raises:
        UserError: anything that can be found wrong before the first step: data, weights, state, device.
    """

    def __init__(self, options: Options, option_file: Path) -> None:
        self.options = options
        self.device = choose_device(options)
        self.seed = options.train.manual_seed
        self.iteration = 0
        self.best_psnr = -math.inf

        torch.manual_seed(self.seed)
        self.net = build_network(options.network_G.which_model_G, **options.network_setting).to(self.device)
        if options.path.pretrain_model_G is not None:
            log.info("%s", load_checkpoint(self.net, options.path.pretrain_model_G, options.path.strict_load))
        self.losses = build_losses((loss.type, loss.weight) for loss in options.train.losses)
        self.optimizer = build_optimizer(self.net, options)
        self.degrade = RandomDegrader(options.degradation, options.scale, self.seed)
        if options.path.resume_state is not None:
            self.resume(options.path.resume_state)

        self.train_loader = self._train_loader()
        self.val_loaders = self._val_loaders()
        self.experiment = Experiment(options, option_file)
        tensorboard = self.experiment.tensorboard if options.use_tb_logger else None
        self.record = Record(self.experiment.folder, tensorboard, self.iteration)

    def fit(self) -> None:
        """Train to the last iteration, logging, validating and saving on the way."""
        train, logger = self.options.train, self.options.logger
        batches = islice(self.train_loader, train.niter - self.iteration)
        bar = tqdm(batches, total=train.niter, initial=self.iteration, unit="it", disable=None)
        clock = time.monotonic()
        with logging_redirect_tqdm():
            for batch in bar:
                values = self.train_step(batch)
                last = self.iteration == train.niter
                if self.iteration % logger.print_freq == 0 or last:
                    elapsed, clock = time.monotonic() - clock, time.monotonic()
                    self.report(values, elapsed)
                    bar.set_postfix(loss=f"{values['loss/total']:.4f}")
                if self.iteration % train.val_freq == 0 or last:
                    self.validate()
                if self.iteration % logger.save_checkpoint_freq == 0 or last:
                    self.save()
        self.record.close()

    def train_step(self, batch: Mapping[str, Any]) -> dict[str, Tensor | float]:
        """One optimization step; returns the values to log."""
        torch.manual_seed(self.seed + self.iteration)  # of stochastic depth: a resumed run draws the same
        self.net.train()

        hr = to_float(batch["gt"], self.device)
        lr = to_float(batch["lq"], self.device) if "lq" in batch else self.degrade(hr, self.iteration)[0]
        sr, kernel = self.net(lr)
        loss, terms = total_loss(self.losses, Restoration(sr=sr, kernel=kernel, lr=lr, hr=hr))

        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip_grad_norm_(self.net.parameters(), self.options.train.grad_clip_norm or math.inf)
        if not norm.isfinite():
            raise UserError(f"training diverged at iteration {self.iteration + 1}: the gradient is not finite")
        rate = learning_rate(self.options.train, self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

        self.iteration += 1
        values = {f"loss/{name}": value.detach() for name, value in terms.items()}
        return {"loss/total": loss.detach(), **values, "gradient_norm": norm, "lr": rate}

    def report(self, values: Mapping[str, Tensor | float], elapsed: float) -> None:
        """Log the values of the last step, and the pace since the last report."""
        numbers = {name: float(value) for name, value in values.items()}
        numbers["seconds_per_iteration"] = elapsed / self.options.logger.print_freq
        self.record.scalars(self.iteration, numbers)
        losses = ", ".join(f"{name.removeprefix('loss/')} {numbers[name]:.4f}" for name in numbers if "loss/" in name)
        left = numbers["seconds_per_iteration"] * (self.options.train.niter - self.iteration)
        log.info(
            "iteration %d/%d: %s, gradient norm %.2f, lr %.2e, %.2f it/s, %s left",
            self.iteration,
            self.options.train.niter,
            losses,
            numbers["gradient_norm"],
            numbers["lr"],
            1 / numbers["seconds_per_iteration"],
            tqdm.format_interval(left),
        )

    def validate(self) -> None:
        """Measure every validation set; the first one decides which weights are the best."""
        border = self.options.border
        for index, (name, loader) in enumerate(self.val_loaders.items()):
            mean = summarize(name, border, evaluate(self.net, loader, self.device, border)).score
            self.record.scalars(self.iteration, {f"val/{name}/{metric}": v for metric, v in vars(mean).items()})
            best = index == 0 and mean.psnr_y > self.best_psnr
            if best:
                self.best_psnr = mean.psnr_y
                save_checkpoint(self.experiment.models / "best_G.pth", params=self.net.state_dict())
            note = ", the best so far" if best else ""
            log.info(
                "iteration %d, %s: PSNR %.3f dB, SSIM %.4f on Y, PSNR %.3f dB, SSIM %.4f on RGB (crop %d)%s",
                self.iteration,
                name,
                *(mean.psnr_y, mean.ssim_y, mean.psnr_rgb, mean.ssim_rgb),
                border,
                note,
            )

    def save(self) -> None:
        """Write the weights (<iteration>_G.pth and latest_G.pth) and the training state."""
        for name in (str(self.iteration), "latest"):
            save_checkpoint(self.experiment.models / f"{name}_G.pth", params=self.net.state_dict())
        self.experiment.save_state(
            {
                "iteration": self.iteration,
                "net": self.net.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best_psnr": self.best_psnr,
            }
        )
        log.info("iteration %d: saved to %s", self.iteration, self.experiment.folder)

    def resume(self, path: Path) -> None:
        """Go on from a training state. Everything random follows from seed and iteration, so nothing else is needed."""
        state = load_state(path)
        try:
            self.net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{path} does not fit this network: {' '.join(str(error).split())[:300]}") from error
        self.iteration, self.best_psnr = state["iteration"], state["best_psnr"]
        log.info("resuming from %s at iteration %d", path, self.iteration)

    def _train_loader(self) -> Any:
        options = self.options.datasets.get("train")
        if options is None:
            raise UserError("training needs a section datasets.train")
        if options.mode == "LQ" or options.GT_size is None:
            raise UserError("datasets.train needs HR images (mode GT or LQGT) and GT_size, the side of the HR crop")
        dataset = build_dataset(options, self.options.scale, training=True)
        return build_train_loader(
            dataset,
            batch_size=options.batch_size,
            n_workers=options.n_workers,
            seed=self.seed,
            start=self.iteration,
        )

    def _val_loaders(self) -> dict[str, Any]:
        loaders = {}
        for key, options in self.options.datasets.items():
            if key.startswith("val"):
                if options.mode != "LQGT":
                    raise UserError(f"datasets.{key} needs pairs to measure: mode LQGT")
                dataset = build_dataset(options, self.options.scale, training=False)
                loaders[options.name] = build_eval_loader(dataset, options.n_workers)
        return loaders


def build_optimizer(net: nn.Module, options: Options) -> torch.optim.Adam:
    """Adam over all parameters; UserError for a network that has none."""
    parameters = list(net.parameters())
    if not parameters:
        raise UserError(f"{options.network_G.which_model_G} has no parameters to train")
    train = options.train
    return torch.optim.Adam(
        parameters, lr=train.lr_G, betas=(train.beta1, train.beta2), weight_decay=train.weight_decay_G
    )
