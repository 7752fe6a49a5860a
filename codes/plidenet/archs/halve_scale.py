"""Halving the scale: the layers that a network at x2 cannot copy unchanged from one at x4.

The same LR image may come from an HR image four times its size, or from that image at half the size, in whose pixels
the blur is half as wide. So a network at x2 should return the SR image of x4 "halved", that is averaged over 2x2
pixels, and a kernel of half the width. What this changes is derived here: the last layers of estimator and upsampler,
the kernel embedding, the strengths of the deconvolution and, for refinement on the LR grid, that one's first layer.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.upsampler import Upsampler
from plidenet.degradation import isotropic_gaussian

LOGITS, EMBEDDING = ("estimator.to_kernel.weight", "estimator.to_kernel.bias"), "embedding.1.weight"
RIDGE = 1e-4  # penalty of the fits, relative to the mean square of the features
WIDTHS = 0.4, 4.0  # range of the Gaussian kernels that the fits deconvolve images with, in HR pixels of x4
FACTORS = [2 ** (n / 2) for n in range(9)]  # by which the strengths may be lowered


@torch.no_grad()
def halve_scale(source: PLIDENet, target: PLIDENet) -> None:
    """Derive the scale-dependent layers of a network at x2 from one at x4, in place.

    Args:
        source: the network at x4.
        target: the network at x2, in all else like it, and on the same device; its layers that do not depend on the
            scale have the source's weights already.

    Raises:
        ValueError: the scales are not 4 and 2.
    """
    if (source.scale, target.scale) != (4, 2):
        raise ValueError(f"halving leads from x4 to x2, not from x{source.scale} to x{target.scale}")
    narrower, wider = narrowing(source.estimator.kernel_size), stretching(source.estimator.kernel_size)
    have = source.state_dict()
    logits = {name: narrower.to(have[name]) @ have[name] for name in LOGITS}
    embedding = {EMBEDDING: have[EMBEDDING] @ wider.to(have[EMBEDDING])}
    target.load_state_dict(logits | embedding, strict=False)
    images = pink_noise().to(source.upsampler.conv_first.weight)
    fit_upsampler(source.upsampler, target.upsampler, images)
    fit_strengths(source, target, images)
    if all(net.refinement.unshuffle == net.scale for net in (source, target)):
        fit_first_layer(source, target, images)


def narrowing(kernel_size: int) -> Tensor:
    """The matrix (k*k,k*k) that maps the log f of a kernel to that of a kernel of half the width, smoothed.

    At distance d from the center, it reads f(2d). Where 2d lies at the border or beyond, f is extrapolated as for a
    Gaussian, whose log is a parabola: 4 f(d) - 3 f(0). Estimated kernels are noisy from pixel to pixel, hence the means
    over 3x3 pixels.
    """
    places = torch.arange(kernel_size) - kernel_size // 2
    once, twice = (means_around(centers, places) for centers in (places, 2 * places))
    beyond = 4 * once - 3 * once[len(once) // 2]
    within = 2 * places.abs() < kernel_size // 2
    return torch.where(torch.outer(within, within).flatten()[:, None], twice, beyond)


def means_around(centers: Tensor, places: Tensor) -> Tensor:
    """The matrix that takes weighted means of 3x3 pixels (weights 1, 2, 1) around `centers`, along both sides."""
    along = F.normalize((2 - (centers[:, None] - places).abs()).clamp(min=0).float(), p=1, dim=1)
    return torch.kron(along, along)


def stretching(kernel_size: int) -> Tensor:
    """The matrix (k*k,k*k) that stretches a kernel to twice its width, bilinearly."""
    places = torch.arange(kernel_size) - kernel_size // 2
    along = (1 - (places[:, None] / 2 - places).abs()).clamp(min=0) / 2
    return torch.kron(along, along)


def fit_upsampler(source: Upsampler, target: Upsampler, images: Tensor) -> None:
    """Fit the last convolution of the upsampler at x2 to the output of the one at x4, halved, for LR images."""
    ridge_regression(target.conv_last, target.features(images), F.avg_pool2d(source(images), 2))


def fit_strengths(source: PLIDENet, target: PLIDENet, images: Tensor) -> None:
    """Lower the strengths of the deconvolution by the one factor that brings its output nearest to that of x4, halved.

    In a halved image, a frequency lies twice as high in the spectrum, where the regularization penalizes it more.
    """
    wanted = F.avg_pool2d(deblurred(source, images), 2)
    errors = {}
    for factor in FACTORS:
        target.wiener.log_strengths.copy_(source.wiener.log_strengths - math.log(factor))
        errors[factor] = (deblurred(target, images) - wanted).square().mean().item()
    target.wiener.log_strengths.copy_(source.wiener.log_strengths - math.log(min(errors, key=errors.__getitem__)))


def fit_first_layer(source: PLIDENet, target: PLIDENet, images: Tensor) -> None:
    """Fit the refinement's first convolution to the output of the one at x4, for deconvolved LR images."""
    seen, wanted = (
        F.pixel_unshuffle(deblurred(net, images) - net.refinement.mean, net.refinement.unshuffle)
        for net in (target, source)
    )
    ridge_regression(target.refinement.conv_first, seen, source.refinement.conv_first(wanted))


def deblurred(net: PLIDENet, images: Tensor) -> Tensor:
    """LR images at HR size, deconvolved, each with a Gaussian kernel of another width."""
    widths = torch.linspace(*WIDTHS, len(images)) * net.scale / 4
    return net.wiener(net.upsampler(images), isotropic_gaussian(net.estimator.kernel_size, widths)[:, None].to(images))


def ridge_regression(layer: nn.Conv2d, features: Tensor, wanted: Tensor) -> None:
    """Ridge regression of a convolution, from its input (B,c,h,w) to the output (B,n,h,w) wanted of it, in place."""
    weight, bias = layer.parameters()
    margin = layer.kernel_size[0] // 2
    windows = columns(F.unfold(features, layer.kernel_size))
    windows = torch.cat((windows, torch.ones_like(windows[:1])))
    inside = wanted[..., margin : wanted.shape[-2] - margin, margin : wanted.shape[-1] - margin]
    squares = windows @ windows.T
    squares.diagonal().add_(RIDGE * squares.diagonal().mean())
    solution = torch.linalg.solve(squares, windows @ columns(inside.flatten(2)).T).T
    weight.copy_(solution[:, :-1].view_as(weight))
    bias.copy_(solution[:, -1])


def columns(x: Tensor) -> Tensor:
    """(B,n,L) -> (n,B*L), in float64."""
    return x.transpose(0, 1).flatten(1).double()


def pink_noise(count: int = 16, size: int = 64) -> Tensor:
    """Random images (count,3,size,size) in [0,1] whose spectrum falls like that of photographs, mostly gray."""
    noise = torch.randn(count, 4, size, size, generator=torch.Generator().manual_seed(0))
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)).clamp(min=1 / size)
    noise = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(size, size))
    noise = noise / noise.std(dim=(2, 3), keepdim=True)
    return (0.5 + 0.2 * noise[:, :1] + 0.05 * noise[:, 1:]).clamp(0, 1)
