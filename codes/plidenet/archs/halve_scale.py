"""Halving the scale: from the weights of a network at x4, one at x2 to go on training from.

The same LR image may come from an HR image four times its size, or from that image halved, whose blur is half as wide
in its pixels. So a network at x2 should answer with the SR image of x4, averaged over 2x2 pixels, and with a kernel of
half the width. What depends on the scale is derived from that here; all else is taken over.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.upsampler import Upsampler

RIDGE = 1e-4  # in the fit of the upsampler, of the mean square of a feature


@torch.no_grad()
def halve_scale(source: PLIDENet, target: PLIDENet) -> None:
    """Give a network at x2 the weights that come nearest to one at x4, in place.

    Args:
        source: the network at x4.
        target: the network at x2, in all else like it, and on the same device.

    Raises:
        ValueError: the scales are not 4 and 2.
    """
    if (source.scale, target.scale) != (4, 2):
        raise ValueError(f"halving leads from x4 to x2, not from x{source.scale} to x{target.scale}")
    if source.wiener.filter_scale is not None and target.wiener.filter_scale is None:
        target.wiener.add_filter_scale()
    have, own = source.state_dict(), target.state_dict()
    halved = {name: value for name, value in have.items() if name in own and value.shape == own[name].shape}

    for part in ("weight", "bias"):
        logits = have[f"estimator.to_kernel.{part}"]
        halved[f"estimator.to_kernel.{part}"] = narrowing(source.estimator.kernel_size).to(logits) @ logits
    halved["embedding.1.weight"] = have["embedding.1.weight"] @ stretching(source.estimator.kernel_size).to(
        have["embedding.1.weight"]
    )
    if source.refinement.unshuffle == source.scale:  # the sub-pixels are its channels
        halved["refinement.conv_first.weight"] = 4 * mean_subpixels(have["refinement.conv_first.weight"], dim=1)
        for part in ("weight", "bias"):
            halved[f"refinement.conv_last.{part}"] = mean_subpixels(have[f"refinement.conv_last.{part}"], dim=0)

    target.load_state_dict(halved, strict=False)
    fit_upsampler(source.upsampler, target.upsampler)


def narrowing(kernel_size: int) -> Tensor:
    """The matrix (k*k,k*k) from the log of a kernel to that of one of half the width, smoothed.

    It is read at twice the distance from the middle. Where that lies beyond the border, it goes on as a Gaussian does,
    whose log is a parabola: four times the value at the distance itself, less three times that in the middle. Estimated
    kernels are uneven from pixel to pixel, hence the means of 3x3 pixels.
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


def mean_subpixels(x: Tensor, dim: int) -> Tensor:
    """Means over 2x2 sub-pixels: from the channels (3*4*4) of pixel_unshuffle by 4 to those (3*2*2) by 2."""
    color_row_odd_column_odd = x.unflatten(dim, (3, 2, 2, 2, 2))
    return color_row_odd_column_odd.mean(dim=(dim + 2, dim + 4)).flatten(dim, dim + 2)


def fit_upsampler(source: Upsampler, target: Upsampler) -> None:
    """Fit the last convolution to what the upsampler at x4 makes of images, halved: ridge regression on random ones."""
    weight, bias = target.conv_last.parameters()
    images = pink_noise().to(weight)
    features = target.stages(F.leaky_relu(target.conv_first(images), 0.01))
    wanted = columns(F.avg_pool2d(source(images), 2)[..., 1:-1, 1:-1].flatten(2))
    windows = columns(F.unfold(features, weight.shape[-1]))
    windows = torch.cat((windows, torch.ones_like(windows[:1])))
    squares = windows @ windows.T
    squares.diagonal().add_(RIDGE * squares.diagonal().mean())
    solution = torch.linalg.solve(squares, windows @ wanted.T).T
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
