"""Measuring the validation sets in the course of training."""

import logging
import math
from collections.abc import Iterable, Mapping
from itertools import takewhile
from statistics import fmean
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from plidenet.config import Options
from plidenet.evaluation.drawing import show_restoration
from plidenet.evaluation.evaluator import NotFinite, Restored, evaluate, score_restored
from plidenet.evaluation.tables import mean_score
from plidenet.evaluation.tiling import advising_tiles
from plidenet.metrics import Score, kernel_l1
from plidenet.pixels import to_array
from plidenet.training.interrupt import Interrupt
from plidenet.training.record import Record

log = logging.getLogger(__name__)


class Validator:
    """Measures every validation set and records the means; several processes share the images among them.

    Args:
        loaders: by the sets' names.
        options: for the border to crop and the number of images to show.
        device: where the network is.
        record: where means and pictures go; None in all processes but the main one.
    """

    def __init__(
        self,
        loaders: Mapping[str, DataLoader[dict[str, Any]]],
        options: Options,
        device: torch.device,
        record: Record | None,
    ) -> None:
        self.loaders, self.device, self.record = loaders, device, record
        self.border, self.pictures = options.border, options.logger.val_images

    def measure(self, net: nn.Module, iteration: int, interrupt: Interrupt) -> float | None:
        """PSNR on Y of the first set: NaN where an output of any set is not finite, None where there are no sets.

        Raises:
            Stopped: a stop was requested. The process that was asked begins no other image; others finish their share.
        """
        means = [self._measure_set(name, net, iteration, interrupt) for name in self.loaders]
        if any(map(math.isnan, means)):
            return math.nan
        return means[0] if means else None

    def _measure_set(self, name: str, net: nn.Module, iteration: int, interrupt: Interrupt) -> float:
        shown = 0

        def measure(restored: Restored, sample: Mapping[str, Any]) -> tuple[Score, float | None]:
            nonlocal shown
            distance = None
            if restored.kernel is not None and "kernel" in sample:
                distance = kernel_l1(restored.kernel, sample["kernel"])
            if self.record is not None and shown < self.pictures:
                shown += 1
                self.record.picture(iteration, f"{name}/{restored.key}", picture(restored, sample, distance))
            return score_restored(restored, sample["gt"].to(self.device), self.border), distance

        samples = takewhile(lambda _: not interrupt.requested, self.loaders[name])
        try:
            with advising_tiles("test.tile=128 or test.tile=auto, or validate on smaller images"):
                results = evaluate(net, samples, self.device, measure)
        except NotFinite as error:
            log.warning("iteration %d: %s", iteration, error)
            return math.nan
        interrupt.heed()
        mean = mean_score([score for score, _ in results])
        values = {f"val/{name}/{metric}": value for metric, value in vars(mean).items()}
        if distances := [distance for _, distance in results if distance is not None]:
            values[f"val/{name}/kernel_l1"] = fmean(distances)
        if self.record is not None:
            self.record.scalars(iteration, values)
        log.info(
            "iteration %d, %s: PSNR %.3f dB, SSIM %.4f on Y, PSNR %.3f dB, SSIM %.4f on RGB (crop %d)",
            *(iteration, name, mean.psnr_y, mean.ssim_y, mean.psnr_rgb, mean.ssim_rgb, self.border),
        )
        return mean.psnr_y


def measures_anew(fields: Iterable[str]) -> bool:
    """Whether a change of these option fields makes PSNR incomparable with that measured before."""
    counting = (name for name in fields if not name.endswith((".n_workers", ".batch_size")))
    return any(name.startswith(("datasets.val", "crop_border", "test.tile")) for name in counting)


def picture(restored: Restored, sample: Mapping[str, Any], distance: float | None) -> Any:
    """LR, SR, HR, and the estimated kernel beside the true one where they are known, with their L1 distance."""
    kernels = {}
    if restored.kernel is not None:
        kernels["estimated"] = restored.kernel.numpy()
    if "kernel" in sample:
        kernels["true" if distance is None else f"true, L1 {distance:.2f}"] = sample["kernel"].numpy()
    return show_restoration(to_array(sample["lq"]), to_array(restored.image), to_array(sample["gt"]), kernels)
