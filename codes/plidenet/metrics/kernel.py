"""Distances of blur kernels."""

import torch
from torch import Tensor
from torch.nn import functional as F


def kernel_l1(one: Tensor, other: Tensor) -> float:
    """Sum of the absolute differences of two kernels that sum to 1: 0 to 2.

    Args:
        one: (k,k), k odd.
        other: (l,l), l odd; the smaller of the two is taken to be zero outside.

    Raises:
        ValueError: one is not of two dimensions.
    """
    one, other = in_one_size(one, other)
    return (one - other).abs().sum().item()


def in_one_size(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Two kernels in float64, the smaller padded with zeros to the size of the larger.

    Raises:
        ValueError: one is not of two dimensions.
    """
    if one.dim() != 2 or other.dim() != 2:
        raise ValueError(f"kernels are compared one by one, (k,k), not as {tuple(one.shape)} and {tuple(other.shape)}")
    size = max(len(one), len(other))
    one, other = (F.pad(kernel.double(), ((size - len(kernel)) // 2,) * 4) for kernel in (one, other))
    return one, other


def center_of_mass(kernel: Tensor) -> Tensor:
    """Row and column of a kernel's (k,k) center of mass, in pixels from the central tap, as (2,)."""
    axis = torch.arange(len(kernel), dtype=kernel.dtype) - len(kernel) // 2
    return torch.stack((kernel.sum(1) @ axis, kernel.sum(0) @ axis)) / kernel.sum()
