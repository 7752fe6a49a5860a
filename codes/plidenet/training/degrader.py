"""LR images for a training step, made on its device."""

import torch
from torch import Tensor

from plidenet import distributed
from plidenet.config.schema import Degradation
from plidenet.degradation import degrade, quantize, random_kernels


class RandomDegrader:
    """Blur each HR crop with a fresh random kernel, downsample, round as a file would.

    Args:
        options: the YAML's `degradation` section.
        scale: HR size / LR size.
        seed: with the iteration, it determines a batch's kernels, whatever the device and number of processes.
    """

    def __init__(self, options: Degradation, scale: int, seed: int) -> None:
        self.options, self.scale, self.seed = options, scale, seed

    @torch.no_grad()
    def __call__(self, hr: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """Degrade a batch.

        Args:
            hr: (B,3,H,W) in [0,1], this process's share of the batch.
            iteration: the step's number.

        Returns:
            lr (B,3,h,w), multiples of 1/255 in [0,1], and the true kernels (B,k,k).
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + iteration)
        options = self.options
        kernels = random_kernels(
            len(hr) * distributed.world_size(),
            options.ksize,
            options.sig_min,
            options.sig_max,
            rate_iso=options.rate_iso,
            disturb=options.random_disturb,
            generator=generator,
        )[distributed.rank() * len(hr) :][: len(hr)].to(hr.device)
        return quantize(degrade(hr, kernels, self.scale)), kernels
