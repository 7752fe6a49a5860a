"""Learning rate schedules: pure functions of the iteration, so that a resumed run needs no state of them."""

import logging
import math
from bisect import bisect_right

from plidenet.config.training import Train

log = logging.getLogger(__name__)


def multi_step(options: Train, iteration: int) -> float:
    """lr_G, multiplied by lr_gamma at each of lr_steps."""
    return options.lr_G * options.lr_gamma ** bisect_right(sorted(options.lr_steps), iteration)


def cosine(options: Train, iteration: int) -> float:
    """Half a cosine from lr_G at the end of the warm-up to eta_min at niter."""
    start = max(options.warmup_iter, 0)
    progress = (iteration - start) / max(options.niter - start, 1)
    return options.eta_min + (options.lr_G - options.eta_min) * (1 + math.cos(math.pi * min(progress, 1))) / 2


SCHEDULES = {"MultiStepLR": multi_step, "CosineAnnealingLR": cosine}


def learning_rate(options: Train, iteration: int) -> float:
    """The learning rate of a step.

    Args:
        options: the YAML's `train` section.
        iteration: steps taken before this one, from 0.
    """
    if iteration < options.warmup_iter:
        return options.lr_G * (iteration + 1) / options.warmup_iter
    return SCHEDULES[options.lr_scheme](options, iteration)


def warn_of_long_warm_up(options: Train) -> None:
    """Warn where a run ends within its warm-up."""
    if options.warmup_iter >= options.niter:
        values = (learning_rate(options, options.niter - 1), options.warmup_iter, options.niter)
        log.warning("the run ends within the warm-up, at lr %.1e: train.warmup_iter is %d, train.niter %d", *values)
