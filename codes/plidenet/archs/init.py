"""Initialization shared by the estimator and the refinement."""

from torch import nn


def init_truncated_normal(module: nn.Module) -> None:
    """Weights of Linear and Conv2d from a normal of std 0.02 cut at -2 and 2, biases zero (use with Module.apply)."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
