"""Halving the scale: what a network at x2 cannot simply take over from one at x4.

The same LR image may come from an HR image four times its size, or from that image halved, whose blur is half as wide
in its pixels. So a network at x2 should answer with the SR image of x4, averaged over 2x2 pixels, and with a kernel of
half the width. The layers of estimator, kernel embedding and upsampler that this changes are derived here.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.upsampler import Upsampler

LOGITS, EMBEDDING = ("estimator.to_kernel.weight", "estimator.to_kernel.bias"), "embedding.1.weight"
RIDGE = 1e-4  # in the fit of the upsampler, of the mean square of a feature


@torch.no_grad()
def halve_scale(source: PLIDENet, target: PLIDENet) -> None:
    """Give a network at x2 the layers that come nearest to those of one at x4, in place.

    Args:
        source: the network at x4.
        target: the network at x2, in all else like it, and on the same device; it has the source's weights already
            where the scale does not matter.

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
