"""The trainer: one step, reading top to bottom in the order it happens, and the loop around it."""

import copy
import logging
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from plidenet import distributed
from plidenet.archs import build_network, compile_network, use_channels_last
from plidenet.autocast import autocast_to, warn_of_emulation
from plidenet.checkpoint import add_filter_scale
from plidenet.cli import explain
from plidenet.config import Options, describe_changes
from plidenet.crop import random_crop
from plidenet.device import choose_device, tf32
from plidenet.errors import UserError
from plidenet.evaluation.tiling import in_tiles
from plidenet.losses import Restoration, build_losses, total_loss
from plidenet.memory import OutOfMemory
from plidenet.pixels import to_float
from plidenet.training.degrader import RandomDegrader
from plidenet.training.ema import MovingAverage
from plidenet.training.experiment import Experiment
from plidenet.training.failures import failures_explained
from plidenet.training.guard import Diverged, DivergenceGuard
from plidenet.training.interrupt import Interrupt, Stopped
from plidenet.training.meter import Meter
from plidenet.training.optimizers import build_optimizer
from plidenet.training.record import Record
from plidenet.training.schedules import learning_rate, warn_of_long_warm_up
from plidenet.training.sets import build_train_batches, build_val_loaders, micro_batches
from plidenet.training.start import load_start, require_crops
from plidenet.training.validation import Validator, measures_anew

log = logging.getLogger(__name__)


class Trainer:
    """Train a network as an option file says; of several processes, each takes its share of every batch.

    Everything random follows from seed, iteration and process, so that a training state need not hold any of it.

    Args:
        options: the options.
        option_file: where they came from; a copy is kept with the run.

    Raises:
        UserError: anything that can be found wrong before the first step: data, weights, state, device.
    """

    def __init__(self, options: Options, option_file: Path) -> None:
        self.options = options
        self.device = choose_device(options)
        warn_of_emulation(options.train.precision, self.device)
        warn_of_long_warm_up(options.train)
        self.seed, self.iteration, self.best_psnr = options.train.manual_seed, 0, -math.inf
        self.validation_due = options.path.pretrain_model_G is not None  # a start that has a score to beat

        torch.manual_seed(self.seed)
        self.net = build_network(options.network_G.which_model_G, **options.network_setting)
        self.experiment = Experiment(options, option_file)
        self.experiment.claim()
        found_state = self.experiment.find_state()
        if found_state is not None:
            add_filter_scale(self.net, found_state[1]["weights"].get("net"))
        elif (start := options.path.pretrain_model_G) is not None:
            log.info("%s: %s", start, load_start(self.net, start, options))
        require_crops(self.net, options)
        self.net.to(self.device)
        distributed.share_weights(self.net)
        if options.train.channels_last:
            use_channels_last(self.net)
        self.model = compile_network(self.net) if options.train.compile else self.net
        self.ema = MovingAverage(self.net, options.train.ema_decay) if options.train.ema_decay else None
        self.losses = build_losses((loss.type, loss.weight) for loss in options.train.losses)
        self.optimizer = build_optimizer(self.net, options, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.train.precision == "fp16")
        self.guard = DivergenceGuard(options.guard)
        self.meter = Meter()
        self._stateful: dict[str, Any] = {"net": self.net, "optimizer": self.optimizer, "scaler": self.scaler}
        self._stateful |= {} if self.ema is None else {"ema": self.ema}
        self.last_good = copy.deepcopy(self.snapshot())
        if found_state is not None:
            self.resume(*found_state)
        if len(set(distributed.gather_interleaved([self.iteration]))) > 1:
            raise UserError("the processes found different training states: do they all see path.experiments_root?")
        val_loaders = build_val_loaders(options)
        self.batches = build_train_batches(options, self.device, self.iteration)
        self.degrade = RandomDegrader(options.degradation, options.scale, self.seed, options.datasets["train"].GT_size)
        if distributed.is_main():
            best_counts = found_state is None or self.best_psnr == found_state[1]["best_psnr"]
            self.experiment.prepare(None if found_state is None else self.iteration, best_counts)
            self.record = Record(self.experiment.folder, self.iteration, options.use_tb_logger, self.validation_due)
        self.validator = Validator(val_loaders, options, self.device, self.record if distributed.is_main() else None)

    def fit(self) -> None:
        """Train to the last iteration, or until Ctrl-C or SIGTERM, logging, validating and saving on the way."""
        quiet = None if distributed.is_main() else True  # None: on a terminal only
        bar = tqdm(total=self.options.train.niter, initial=(start := self.iteration), unit="it", disable=quiet)
        with logging_redirect_tqdm([logging.getLogger("plidenet")]), Interrupt() as interrupt, bar:
            try:
                with failures_explained(self.device):
                    self._take_steps(bar, interrupt)
            except Stopped:
                self.save()
                log.info("stopped on request; resume with path.resume_state: auto")
            except UserError as error:  # an image is damaged, say; the steps up to there are good
                log.warning("training ends: %s", explain(error))
                if self.iteration > start and not isinstance(error, Diverged | OutOfMemory):
                    self.save()
                raise
        if distributed.is_main():
            self.record.close()

    def _take_steps(self, bar: tqdm, interrupt: Interrupt) -> None:
        train, logger = self.options.train, self.options.logger
        if self.validation_due:  # of weights to start from, or where the run that this one goes on from was stopped
            self.validate(interrupt)
            if self.iteration > 0:
                self.save()
        self.meter.start_clock()
        for batch in distributed.in_step(islice(self.batches, train.niter - self.iteration), self.device):
            values = self.train_step(batch, interrupt.requested)
            stopping = values.pop("stop") > 0
            self.meter.add(values)
            bar.update()
            last = self.iteration == train.niter
            if self.guard.is_lost:
                self.return_to_last_good(f"{self.guard.skipped_in_a_row} steps in a row were not finite")
            if self.iteration % logger.print_freq == 0 or last:
                self.report(bar)
            self.validation_due = self.iteration % train.val_freq == 0 or last
            if stopping:
                raise Stopped
            with self.meter.paused():
                if self.validation_due:
                    self.validate(interrupt)
                if self.iteration % logger.save_checkpoint_freq == 0 or last:
                    self.save()

    def train_step(self, batch: Mapping[str, Any], stop: bool = False) -> dict[str, float]:
        """One optimization step.

        Args:
            batch: this process's share: `gt` uint8 (B,3,H,W) and, unless made here, `lq` uint8 (B,3,h,w).
            stop: whether this process was asked to stop.

        Returns:
            the values to log, and `stop`: means over all processes.
        """
        options, parameters = self.options.train, list(self.net.parameters())
        torch.manual_seed((self.seed + self.iteration) * distributed.world_size() + distributed.rank())
        self.net.train()
        hr = to_float(batch["gt"], self.device)
        lr, known = (to_float(batch["lq"], self.device), None) if "lq" in batch else self.degrade(hr, self.iteration)
        crop = random_crop(options.refine_crop, hr.shape[-2:], seed=(self.seed, self.iteration))

        self.optimizer.zero_grad(set_to_none=True)
        seen = []
        for hr_part, lr_part, known_part in micro_batches(options.accumulate, hr, lr, known):
            with tf32(options.tf32), autocast_to(options.precision, self.device):
                sr, kernel = self.model(lr_part) if crop is None else self.model(lr_part, crop)
            restoration = Restoration(sr=sr, kernel=kernel, lr=lr_part, hr=hr_part, true_kernel=known_part, crop=crop)
            loss, terms = total_loss(self.losses, restoration)
            if not loss.requires_grad:
                raise UserError("no parameter that can be trained has an effect on the losses (train.losses)")
            with tf32(options.tf32):
                self.scaler.scale(loss / options.accumulate).backward()
            seen.append(torch.stack([loss, *terms.values()]).detach())
        distributed.average_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        norm = clip_grad_norm_(parameters, options.grad_clip_norm or math.inf)

        rest = torch.full((1,), float(stop), device=self.device)
        means = distributed.mean(torch.cat([torch.stack(seen).mean(dim=0), norm[None], rest]))
        names = ["loss/total", *(f"loss/{name}" for name in terms), "gradient_norm", "stop"]
        values = dict(zip(names, means.tolist(), strict=True))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(options, self.iteration) * self.guard.lr_factor
        if self.guard.accepts(values["loss/total"], values["gradient_norm"]):
            self.scaler.step(self.optimizer)
            if self.ema is not None:
                self.ema.update_parameters(self.net)
        self.scaler.update()
        self.iteration += 1
        return values

    def report(self, bar: tqdm) -> None:
        """Log what the steps since the last report came to, and begin anew."""
        values, seconds = self.meter.take()
        if not distributed.is_main():
            return
        lr, niter = self.optimizer.param_groups[0]["lr"], self.options.train.niter
        now = {"lr": lr} | getattr(self.net, "diagnostics", dict)() | {"skipped_steps": self.guard.skipped}
        self.record.scalars(self.iteration, values | now)
        pace = self.options.datasets["train"].batch_size / seconds
        self.record.to_tensorboard(self.iteration, {"patches_per_second": pace})
        losses = ", ".join(f"{name.removeprefix('loss/')} {values[name]:.4f}" for name in values if "loss/" in name)
        bar.set_postfix_str(f"loss {values['loss/total']:.4f}, lr {lr:.1e}, {pace:.1f} patches/s")
        log.info(
            "iteration %d/%d: %s, gradient norm %.2f, lr %.2e, %.1f patches/s, %s left",
            *(self.iteration, niter, losses, values["gradient_norm"], lr, pace),
            tqdm.format_interval((niter - self.iteration) * seconds),
        )

    def validate(self, interrupt: Interrupt) -> None:
        """Measure every validation set; PSNR on the first tells whether weights are the best so far or have collapsed.

        Raises:
            Stopped: a stop was requested meanwhile. The validation is still due, and changed no weights.
        """
        net = in_tiles(self.net if self.ema is None else self.ema.module, self.options.test)
        psnr = self.validator.measure(net, self.iteration, interrupt)
        self.validation_due = False
        if psnr is not None and (collapse := self.guard.collapse(psnr, self.best_psnr)):
            self.return_to_last_good(collapse)
            return
        self.last_good = copy.deepcopy(self.snapshot())
        if psnr is not None and psnr > self.best_psnr:
            self.best_psnr = psnr
            self._save_weights("best")
            log.info("iteration %d: %.3f dB is the best so far", self.iteration, psnr)

    def return_to_last_good(self, reason: str) -> None:
        """Give up weights and optimizer for those of the last good validation (or the start), at a lower rate."""
        self.guard.count_return(reason)
        # The loss scale of fp16 stays: it has been lowered since, and the earlier one would overflow again.
        self.load_snapshot(copy.deepcopy(self.last_good) | {"scaler": self.scaler.state_dict()})
        if self.ema is not None:  # the EMA was validated; the raw weights may have collapsed by then
            self.net.load_state_dict(self.ema.module.state_dict())
        log.warning(
            "iteration %d: %s; back to the weights of iteration %d, learning rate times %g (return %d of %d)",
            *(self.iteration, reason, self.last_good["iteration"], self.guard.lr_factor),
            *(self.guard.returns, self.options.guard.max_returns),
        )

    def snapshot(self) -> dict[str, Any]:
        """All that optimization changes, by reference."""
        return {"iteration": self.iteration} | {name: part.state_dict() for name, part in self._stateful.items()}

    def load_snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """Take over what `snapshot` gave (the optimizer keeps the very tensors)."""
        for name, part in self._stateful.items():
            part.load_state_dict(snapshot[name])

    def save(self) -> None:
        """Write the weights (<iteration>_G.pth and latest_G.pth) and the training state."""
        self._save_weights(str(self.iteration), "latest")
        if distributed.is_main():
            self.experiment.save_state(
                {
                    "iteration": self.iteration,
                    "best_psnr": self.best_psnr,
                    "validation_due": self.validation_due,
                    "options": describe_changes(self.options),
                    "weights": self.snapshot(),
                    "last_good": None if self.last_good["iteration"] == self.iteration else self.last_good,
                    "guard": self.guard.state_dict(),
                    "meter": self.meter.state_dict(),
                }
            )
        log.info("iteration %d: saved to %s", self.iteration, self.experiment.folder)

    def resume(self, path: Path, state: dict[str, Any]) -> None:
        """Go on from a training state."""
        differences = self.experiment.tell_differences(path, state)
        try:
            for name, part in self._stateful.items():
                if part.state_dict() and not state["weights"].get(name):
                    raise UserError(
                        f"{path} holds no {name}: train.ema_decay or train.precision has changed; "
                        "another name starts a new run, from the earlier weights with path.pretrain_model_G"
                    )
            self.load_snapshot(copy.deepcopy(state["weights"]))
            self.guard.load_state_dict(state["guard"])
            self.meter.load_state_dict(state["meter"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} does not fit this network; another name starts a new run: {error}") from error
        if state["iteration"] > (niter := self.options.train.niter):
            raise UserError(f"{path} is of iteration {state['iteration']}, beyond train.niter: {niter}")
        self.iteration, self.best_psnr = state["iteration"], state["best_psnr"]
        self.validation_due = state["validation_due"]
        self.last_good = state["last_good"] or state["weights"]
        if self.iteration == niter and not self.validation_due:
            log.info("train.niter is reached: nothing is left to do; raise it, or start a new run with another name")
        if self.best_psnr > -math.inf and (measures_anew(differences) or not self.experiment.owns(path)):
            log.warning("validation or folder has changed: the best so far, %.3f dB, no longer counts", self.best_psnr)
            self.best_psnr = -math.inf

    def _save_weights(self, *names: str) -> None:
        averaged = {} if self.ema is None else {"params_ema": self.ema.module.state_dict()}
        self.experiment.save_weights(names, params=self.net.state_dict(), **averaged)
