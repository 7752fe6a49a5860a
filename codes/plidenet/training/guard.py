"""Divergence in training: skip steps that are not finite, return to the last good weights."""

import math
from typing import Any

from plidenet.config.training import Guard
from plidenet.errors import UserError

COUNTS = ("skipped", "skipped_in_a_row", "returns")


class Diverged(UserError):
    """Training gave up: its weights are not worth keeping."""


class DivergenceGuard:
    """Networks with a deconvolution inside collapse now and then; this decides when to skip a step and when to go back.

    It sees values that are the same in all processes, so that all decide alike.

    Args:
        options: the YAML's `guard` section.
    """

    def __init__(self, options: Guard) -> None:
        self.options = options
        self.skipped = self.skipped_in_a_row = self.returns = 0

    def accepts(self, *values: float) -> bool:
        """Whether a step may be taken: its values (loss, gradient norm) are finite. Counts the steps that may not."""
        finite = all(math.isfinite(value) for value in values)
        self.skipped += not finite
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        return finite

    @property
    def is_lost(self) -> bool:
        """Whether so many steps in a row were skipped that the weights must be given up."""
        return self.skipped_in_a_row >= self.options.max_skips

    def collapse(self, psnr: float, best: float) -> str | None:
        """How a validation shows a collapse: NaN, or far below the best so far (-inf where there is none); or None."""
        if math.isnan(psnr):
            return "an image of the validation is not finite"
        if psnr < best - self.options.max_psnr_drop * abs(best):
            return f"validation fell to {psnr:.2f} dB, from {best:.2f} dB at best"
        return None

    def count_return(self, reason: str) -> None:
        """Count a return to the last good weights; Diverged, with advice, after too many."""
        if self.returns == self.options.max_returns:
            raise Diverged(
                f"training diverged: {reason}, after {self.returns} returns to the last good weights; start again with "
                "a lower train.lr_G, with train.grad_clip_norm: 1, longer train.warmup_iter, or precision fp32"
            )
        self.returns += 1
        self.skipped_in_a_row = 0

    @property
    def lr_factor(self) -> float:
        """The factor on the learning rate after the returns so far."""
        return self.options.lr_factor**self.returns

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in COUNTS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in COUNTS:
            setattr(self, name, int(state[name]))
