"""LR images for a training step, made on its device."""

import torch
from torch import Tensor

from plidenet import distributed
from plidenet.config.schema import Degradation
from plidenet.data.kernel_files import read_kernel_folder
from plidenet.degradation import degrade, quantize, random_kernels
from plidenet.errors import UserError


class RandomDegrader:
    """Blur each HR crop with a fresh random kernel, downsample, round as a file would.

    Args:
        options: the YAML's `degradation` section.
        scale: HR size / LR size.
        seed: with the iteration, it determines a batch's kernels, whatever the device and number of processes.
        crop: side of the HR crops, where it is known (default None).

    Raises:
        UserError: `degradation.kernels` is no folder of kernels, or they are too large for the crops.
    """

    def __init__(self, options: Degradation, scale: int, seed: int, crop: int | None = None) -> None:
        self.options, self.scale, self.seed = options, scale, seed
        self.kernels = None
        if options.kernels is not None:
            self.kernels = torch.from_numpy(read_kernel_folder(options.kernels, options.ksize))
            if crop is not None and (size := self.kernels.shape[-1]) // 2 >= crop:
                raise UserError(
                    f"{options.kernels}: a kernel of {size}x{size} is too large for crops of {crop} (GT_size)"
                )

    @torch.no_grad()
    def __call__(self, hr: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """Degrade a batch.

        Args:
            hr: (B,3,H,W) in [0,1], this process's share of the batch.
            iteration: the step's number.

        Returns:
            lr (B,3,h,w), multiples of 1/255 in [0,1], and the true kernels (B,1,k,k).
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + iteration)
        drawn = self._draw(len(hr) * distributed.world_size(), generator)
        kernels = drawn[distributed.rank() * len(hr) :][: len(hr), None].to(hr.device)
        return quantize(degrade(hr, kernels, self.scale)), kernels

    def _draw(self, count: int, generator: torch.Generator) -> Tensor:
        if self.kernels is not None:
            return self.kernels[torch.randint(len(self.kernels), (count,), generator=generator)]
        options = self.options
        return random_kernels(
            count,
            options.ksize,
            options.sig_min,
            options.widest(self.scale),
            rate_iso=options.rate_iso,
            disturb=options.random_disturb,
            generator=generator,
        )
