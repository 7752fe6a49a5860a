"""PL-IDENet: blind super-resolution by an implicit kernel estimator, Wiener deconvolution and prompted refinement.

Source: Khan, Micheloni, Martinel, "Lightweight Prompt Learning Implicit Degradation Estimation Network for Blind
Super Resolution", IEEE TIP 33:4556-4567, 2024, doi 10.1109/TIP.2024.3442613.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from plidenet.archs.kernel_estimator import KernelEstimator
from plidenet.archs.refinement import Refinement
from plidenet.archs.registry import NETWORKS
from plidenet.archs.upsampler import Upsampler
from plidenet.archs.wiener import WienerDeconvolution
from plidenet.crop import Crop


@NETWORKS.register("PL_IDENet", "DEblurSRResDNet")
class PLIDENet(nn.Module):
    """The whole network: `sr, kernel = net(lr)`.

    Args:
        scale: 2, 3 or 4 (default 4).
        kernel_size: side of the estimated kernel, odd (default 21).
        num_feat: base number of channels of the estimator and the upsampler (default 64).
        kernel_embed_dim: components of the kernel embedding (default 128).
        kernel_init_sigma: start the estimator at a Gaussian this wide (HR pixels); None (default): the paper's start.
        num_wiener_filters: Wiener filters, each with its own strength (default 4).
        filter_scale: a learnable factor for each regularization kernel of the Wiener layer (default False).
        rotate_kernel: divide out the correlation that `plidenet.degradation.degrade` is, not a convolution as the
            authors' release does: for kernels not symmetric about their center, such as motion blur (default False).
        embed_dim, depths, num_heads, window_size, mlp_ratio, prompt_dims, prompt_heads, drop_path, checkpoint: see
            `Refinement`.
        unshuffle: 1 (default, the paper) refines at HR size, "scale" on the LR grid, at a fraction of the arithmetic.

    Shapes:
        lr (B,3,h,w) RGB in [0,1], any h, w >= 16 -> sr (B,3,scale*h,scale*w), not clamped, and kernel (B,1,k,k),
        non-negative, summing to 1. All are float32, or float64 after `double()`; half precision is left to autocast.
        With `crop` (an argument of `forward`, for training), only that part is refined, which takes nearly all of the
        computation, and sr is (B,3,side,side); estimator and deconvolution still see the whole image. With side 0, only
        the estimator runs, and sr is (B,3,0,0). Otherwise a known `kernel` (B,1,k,k), if given, is used and returned in
        place of an estimate. No gradient goes from sr to the kernel.

    Raises:
        ValueError: an LR image or a kernel of another shape, an LR image smaller than 16x16 or, at HR size, than half a
            kernel, or impossible arguments.
    """

    MIN_SIZE = 16

    def __init__(
        self,
        *,
        scale: int = 4,
        kernel_size: int = 21,
        num_feat: int = 64,
        kernel_embed_dim: int = 128,
        kernel_init_sigma: float | None = None,
        num_wiener_filters: int = 4,
        filter_scale: bool = False,
        rotate_kernel: bool = False,
        embed_dim: int = 96,
        depths: Sequence[int] = (4, 4, 4, 4),
        num_heads: Sequence[int] = (4, 4, 4, 4),
        window_size: int = 8,
        mlp_ratio: float = 4.0,
        prompt_dims: Sequence[int] = (32, 64, 64, 64),
        prompt_heads: Sequence[int] = (1, 2, 4, 8),
        drop_path: float = 0.1,
        checkpoint: bool = False,
        unshuffle: Literal[1, "scale"] = 1,
    ) -> None:
        super().__init__()
        for name, value in (("kernel_embed_dim", kernel_embed_dim), ("num_wiener_filters", num_wiener_filters)):
            if value < 1:
                raise ValueError(f"{name} must be positive, not {value}")
        if unshuffle not in (1, "scale"):
            raise ValueError(f"unshuffle must be 1 or 'scale', not {unshuffle!r}")
        self.scale = scale
        self.estimator = KernelEstimator(kernel_size=kernel_size, num_feat=num_feat, init_sigma=kernel_init_sigma)
        self.upsampler = Upsampler(scale=scale, num_feat=num_feat)
        self.wiener = WienerDeconvolution(
            num_filters=num_wiener_filters, filter_scale=filter_scale, rotate_kernel=rotate_kernel
        )
        self.embedding = nn.Sequential(nn.Flatten(), nn.Linear(kernel_size**2, kernel_embed_dim), nn.ReLU())
        self.refinement = Refinement(
            embed_dim=embed_dim,
            depths=depths,
            num_heads=num_heads,
            window_size=window_size,
            mlp_ratio=mlp_ratio,
            prompt_dims=prompt_dims,
            prompt_heads=prompt_heads,
            kernel_embed_dim=kernel_embed_dim,
            drop_path=drop_path,
            checkpoint=checkpoint,
            unshuffle=scale if unshuffle == "scale" else 1,
        )

    def forward(self, lr: Tensor, crop: Crop | None = None, kernel: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if crop is not None and crop.side == 0:
            return lr.new_empty(len(lr), 3, 0, 0), self.estimator(lr)
        known = {} if kernel is None else {"kernel": kernel}  # a `prepare` of one's own need not take one
        deblurred, embedding, kernel = self.prepare(lr, **known)
        if crop is not None:
            deblurred = crop.of(deblurred)
        return self.refinement(deblurred, embedding), kernel

    def prepare(
        self, lr: Tensor, upsampled: Tensor | None = None, kernel: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Input of the refinement, and the kernel: deblurred image (B,3,scale*h,scale*w), embedding, kernel (B,1,k,k).

        `upsampled` is the upsampler's output for `lr`, if it has been computed already, `kernel` one to use instead of
        an estimate.
        """
        if lr.dim() != 4 or lr.shape[1] != 3:
            raise ValueError(f"the network takes RGB images (B,3,h,w), not {tuple(lr.shape)}")
        least = max(self.MIN_SIZE, -(-(self.estimator.kernel_size // 2) // self.scale))
        if min(lr.shape[-2:]) < least:
            raise ValueError(f"the LR image is {lr.shape[-2]}x{lr.shape[-1]}; at least {least}x{least} is needed")
        k = self.estimator.kernel_size
        if kernel is None:
            kernel = self.estimator(lr)
        elif kernel.shape != (len(lr), 1, k, k):
            raise ValueError(f"the network takes kernels ({len(lr)},1,{k},{k}), not {tuple(kernel.shape)}")
        else:
            kernel = kernel.to(torch.promote_types(lr.dtype, torch.float32))
        # No gradient from the restoration: the LR-consistency loss alone trains the estimator. The copy is for
        # torch.compile, which fails in torch 2.4 and 2.5 where one result of a graph is a view of another.
        detached = kernel.detach().clone()
        deblurred = self.wiener(self.upsampler(lr) if upsampled is None else upsampled, detached)
        return deblurred, self.embedding(detached), kernel

    def diagnostics(self) -> dict[str, float]:
        """Values to watch in training: the Wiener strengths, whose fall to zero announces a collapse."""
        if not isinstance(self.wiener, WienerDeconvolution):  # somebody's own, or none
            return {}
        return {f"wiener_strength_{n}": value for n, value in enumerate(self.wiener.strengths().tolist())}


NETWORKS.register("PL_IDENet_E")(partial(PLIDENet, unshuffle="scale"))
