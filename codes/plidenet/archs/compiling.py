"""Networks through torch.compile."""

from collections.abc import Callable
from typing import Any

import torch
import torch._functorch.config
from torch import nn

from plidenet.archs import bands
from plidenet.archs.wiener import WienerDeconvolution
from plidenet.crop import Crop

_prepared = False


def compile_network(net: nn.Module, **options: Any) -> Callable[..., Any]:
    """Compile a network with torch.compile: the work on a band is compiled, the loop over bands stays in Python.

    The deconvolution stays in Python, too: inductor generates no code for complex numbers, and some versions of it fail
    on the strides of an FFT's result (pytorch issue 166514). So does the crop of a training step, which would otherwise
    be compiled into a graph for each of its places. The backward pass runs without autocast, so that what is
    in float32 in the forward pass is so in the backward pass, and without mix-order reductions, with which inductor has
    given wrong gradients on GPUs (pytorch issues 190796 and 193061, torch 2.10 and later). All this is set up at the
    first call, for all networks of the process, and not at import, because torch._dynamo takes as long to import as
    torch itself.

    Args:
        net: network that works in bands.
        options: of torch.compile.
    """
    global _prepared
    if not _prepared:
        from torch._inductor import config as inductor

        bands.keep_loops_out_of_graphs()
        WienerDeconvolution.forward = torch.compiler.disable(WienerDeconvolution.forward)  # type: ignore[method-assign]
        Crop.of = torch.compiler.disable(Crop.of)  # type: ignore[method-assign]
        if hasattr(torch._functorch.config, "backward_pass_autocast"):  # not in older versions
            torch._functorch.config.backward_pass_autocast = "off"
        if hasattr(inductor.triton, "mix_order_reduction"):
            inductor.triton.mix_order_reduction = False
        _prepared = True
    return torch.compile(net, **options)
