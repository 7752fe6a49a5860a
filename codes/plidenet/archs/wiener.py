"""Learnable Wiener deconvolution in the Fourier domain.

Source: Pronina, Kokkinos, Dylov, Lefkimmiatis, "Microscopy Image Restoration with Deep Wiener-Kolmogorov Filters",
ECCV 2020; TIP 2024. Shape suffixes of the names below:

    B batch   C color channels   H, W height and width of the padded image   F = W//2 + 1 frequencies of a real FFT
    N Wiener filters, each with its own regularization strength   R regularization kernels of r x r   k blur kernel side
"""

import math

import numpy as np
import torch
from scipy.fft import idctn
from torch import Tensor, nn
from torch.fft import irfft, irfft2, rfft, rfft2
from torch.nn import functional as F

from plidenet.autocast import autocast_off


class WienerDeconvolution(nn.Module):
    """Divide the blur out of an image, with learned regularization.

    Each of the N filters solves  min_x |K*x - u|^2 + exp(a_n) sum_i |g_i*x|^2  in closed form; the output is the
    mixture sum_n w_n x_n. It computes in at least float32, whatever the inputs: half-precision FFTs are limited to
    powers of two, and bfloat16 has none.

    As in the authors' release, the blur is taken to be a convolution, although `plidenet.degradation.degrade`
    correlates: of a kernel that is not symmetric about its center, the blur rotated by 180 degrees is divided out,
    unless `rotate_kernel` is set. The image is mirrored at its borders and, there, blended with its own blur first.

    Args:
        num_filters: N (default 4).
        regularizer_size: r; there are R = r*r - 1 kernels (default 5, hence 24).
        strengths: smallest and largest initial strength exp(a_n), spaced evenly in log (default 1e-5 and 1e-2).
        min_strength: lower bound on exp(a_n): far below it, noise is amplified without limit (default 1e-10).
        filter_scale: learn a factor exp(s_i) for each regularization kernel, as some released checkpoints do
            (default False).
        rotate_kernel: rotate the kernel by 180 degrees first, to divide out a correlation (default False).

    Shapes:
        image (B,C,h,w), its sides at least k//2, kernel (B,1,k,k), k odd, non-negative with sum 1, for all channels of
        an image -> (B,C,h,w), float32 or float64.

    Raises:
        ValueError: a kernel of another shape, or too large for the image.
    """

    def __init__(
        self,
        *,
        num_filters: int = 4,
        regularizer_size: int = 5,
        strengths: tuple[float, float] = (1e-5, 1e-2),
        min_strength: float = 1e-10,
        filter_scale: bool = False,
        rotate_kernel: bool = False,
    ) -> None:
        super().__init__()
        self.rotate_kernel = rotate_kernel
        self.min_log_strength = math.log(min_strength)
        self.regularizers = nn.Parameter(dct_atoms(regularizer_size))
        self.log_strengths = nn.Parameter(torch.linspace(math.log(strengths[0]), math.log(strengths[1]), num_filters))
        self.mixture = nn.Parameter(torch.full((num_filters,), 1 / num_filters))
        self.filter_scale: nn.Parameter | None = None
        if filter_scale:
            self.add_filter_scale()

    def add_filter_scale(self) -> None:
        """Give every regularization kernel a learnable factor, 1 at the start."""
        self.filter_scale = nn.Parameter(self.regularizers.new_zeros(len(self.regularizers)))

    def forward(self, image: Tensor, kernel: Tensor) -> Tensor:
        side = kernel.shape[-1]
        if kernel.dim() != 4 or kernel.shape[1:3] != (1, side) or side % 2 == 0 or side // 2 > min(image.shape[-2:]):
            shapes = f"a kernel of {tuple(kernel.shape)} and an image of {tuple(image.shape)}"
            raise ValueError(f"the deconvolution needs kernels (B,1,k,k), k odd, k//2 within the image, not {shapes}")
        if self.rotate_kernel:
            kernel = kernel.flip(-2, -1)
        dtype = torch.promote_types(torch.promote_types(image.dtype, kernel.dtype), torch.float32)
        with autocast_off(image.device):
            return self._deconvolve(image.to(dtype), kernel.to(dtype))

    def _deconvolve(self, image: Tensor, kernel: Tensor) -> Tensor:
        border = kernel.shape[-1] // 2
        padded_BCHW = pad_symmetric(image, border)
        size = padded_BCHW.shape[-2:]

        blur_B1HF = transfer_function(kernel, size)
        tapered_BCHW = edge_taper(padded_BCHW, kernel, blur_B1HF)

        penalty_NHF = self.strengths()[:, None, None] * self.regularizer_power(size)
        denominator_BNHF = blur_B1HF.abs().square() + penalty_NHF
        gain_B1HF = (self.mixture[:, None, None] / denominator_BNHF).sum(dim=1, keepdim=True)
        # Linear in the N solutions: their mixture is taken before the one inverse FFT.
        spectrum_BCHF = blur_B1HF.conj() * gain_B1HF * rfft2(tapered_BCHW)
        restored_BCHW = irfft2(spectrum_BCHF, s=size)
        return restored_BCHW[..., border : size[0] - border, border : size[1] - border]

    def strengths(self) -> Tensor:
        """The N regularization strengths exp(a_n)."""
        missing = (self.min_log_strength - self.log_strengths.detach()).clamp(min=0)
        return (self.log_strengths + missing).exp()  # the gradient survives below the bound, so that they can recover

    def regularizer_power(self, size: torch.Size) -> Tensor:
        """Power spectrum of the regularization kernels, sum_i |D_gi|^2, as (H,F).

        By the Wiener-Khinchin theorem it is the spectrum of their summed autocorrelation: one FFT instead of R.
        """
        kernels = self.regularizers - self.regularizers.mean(dim=(1, 2), keepdim=True)
        # A constant kernel must not divide 0/0, nor have the rounding of its mean blown up to norm 1.
        norm = kernels.square().sum(dim=(1, 2), keepdim=True).add(1e-10).sqrt()
        kernels = kernels / norm
        if self.filter_scale is not None:
            kernels = kernels * self.filter_scale.exp()[:, None, None]
        count, r, _ = kernels.shape
        correlation = F.conv2d(kernels[None], kernels[:, None], padding=r - 1, groups=count).sum(dim=1)
        return transfer_function(correlation, size)[0].real.clamp(min=0)


def transfer_function(kernel: Tensor, size: torch.Size) -> Tensor:
    """Spectrum (...,H,F) of a kernel (...,k,k), zero-padded to `size` with its center at the origin."""
    k = kernel.shape[-1]
    padded = F.pad(kernel, (0, size[1] - k, 0, size[0] - k))
    return rfft2(torch.roll(padded, (-(k // 2), -(k // 2)), dims=(-2, -1)))


def edge_taper(image_BCHW: Tensor, kernel_B1kk: Tensor, blur_B1HF: Tensor) -> Tensor:
    """Blend the borders with the periodically blurred image, to leave the FFT no jump there (MATLAB's edgetaper)."""
    height, width = image_BCHW.shape[-2:]
    beta_B1H = taper_profile(kernel_B1kk.sum(dim=3), height)
    beta_B1W = taper_profile(kernel_B1kk.sum(dim=2), width)
    taper_B1HW = (1 - beta_B1H)[..., :, None] * (1 - beta_B1W)[..., None, :]
    blurred_BCHW = irfft2(blur_B1HF * rfft2(image_BCHW), s=(height, width))
    return torch.lerp(blurred_BCHW, image_BCHW, taper_B1HW)


def taper_profile(marginal: Tensor, length: int) -> Tensor:
    """Periodic autocorrelation of a kernel's marginal (...,k) over `length` pixels, with maximum 1."""
    power = rfft(marginal, n=length - 1).abs().square()
    beta = irfft(power, n=length - 1)
    beta = torch.cat((beta, beta[..., :1]), dim=-1)
    return beta / beta.amax(dim=-1, keepdim=True)


def pad_symmetric(image: Tensor, border: int) -> Tensor:
    """Mirror (B,C,h,w) at its borders, the edge pixel repeated (numpy's "symmetric", which torch lacks)."""
    for dim in (-2, -1):
        length = image.shape[dim]
        first = image.narrow(dim, 0, border).flip(dim)
        last = image.narrow(dim, length - border, border).flip(dim)
        image = torch.cat((first, image, last), dim=dim)
    return image


def dct_atoms(size: int) -> Tensor:
    """The size*size - 1 non-constant atoms of the orthonormal 2-D DCT-II basis, as (R,size,size)."""
    basis = np.eye(size**2).reshape(-1, size, size)
    return torch.tensor(idctn(basis, axes=(1, 2), norm="ortho")[1:], dtype=torch.float32)
