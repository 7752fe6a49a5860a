"""Networks through torch.compile."""

from collections.abc import Callable
from typing import Any

import torch
import torch._functorch.config
from torch import nn

from plidenet.archs import bands
from plidenet.archs.wiener import WienerDeconvolution

_prepared = False


def compile_network(net: nn.Module, **options: Any) -> Callable[..., Any]:
    """A network through torch.compile that compiles what is done to a band, and leaves the loop over bands to Python.

    The deconvolution is left to Python, too: inductor makes no code for complex numbers, and some versions of it trip
    over the strides of what an FFT returns (pytorch issue 166514). The backward pass computes without autocast, so that
    what is in float32 forwards is so backwards, and without mix-order reductions, with which inductor has given wrong
    gradients on GPUs (pytorch issues 190796 and 193061, torch 2.10 and later). From then on all that holds for all
    networks of the process. It is not done when this module is imported, because torch._dynamo takes as long to import
    as torch itself.

    Args:
        net: network that works in bands.
        options: of torch.compile.
    """
    global _prepared
    if not _prepared:
        from torch._inductor import config as inductor

        bands.keep_loops_out_of_graphs()
        WienerDeconvolution.forward = torch.compiler.disable(WienerDeconvolution.forward)  # type: ignore[method-assign]
        if hasattr(torch._functorch.config, "backward_pass_autocast"):  # not in older versions
            torch._functorch.config.backward_pass_autocast = "off"
        if hasattr(inductor.triton, "mix_order_reduction"):
            inductor.triton.mix_order_reduction = False
        _prepared = True
    return torch.compile(net, **options)
