"""What can be measured: a network, forward or in a training step, in some precision, on LR images of some size."""

import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from plidenet.archs import build_network, compile_network
from plidenet.autocast import autocast_to
from plidenet.config.training import RELEASED_LOSSES
from plidenet.device import set_tf32
from plidenet.errors import UserError
from plidenet.losses import Restoration, build_losses, total_loss

RECOMPILATIONS = 64  # torch.compile gives up on a function after 8 by default: too few for that many cases

Run = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to measure.

    Attributes:
        network: registered name.
        plain: a file that defines plain_forward(state_dict, setting, lr), which is then run with the network's weights
            in place of the network, in fp32; None runs the network.
        mode: "forward" (without gradients) or "train" (forward, losses, backward and Adam's step).
        precision: "fp32" or "bf16" (autocast).
        compiled: through torch.compile.
        size: side of the square LR images.
        scale: HR size / LR size.
        batch: images.
        device: "cpu" or "cuda".
        setting: further arguments of the network.
    """

    network: str
    plain: str | None = None
    mode: Literal["forward", "train"] = "forward"
    precision: Literal["fp32", "bf16"] = "fp32"
    compiled: bool = False
    size: int = 64
    scale: int = 4
    batch: int = 1
    device: str = "cpu"
    setting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.network} (plain)" if self.plain else self.network

    def build(self) -> nn.Module:
        """The network, with the same weights each time.

        Raises:
            UserError: an unknown name or argument, or a network without parameters that is to be trained.
        """
        torch.manual_seed(0)
        net = build_network(self.network, scale=self.scale, **self.setting).to(self.device)
        if self.mode == "train" and not list(net.parameters()):
            raise UserError(f"{self.network} has no parameters to train: leave it out of --mode train")
        return net


def prepare(case: Case) -> Run:
    """Make everything that a case needs, and return the function to measure; fp32 is full float32."""
    set_tf32(False)
    net = case.build().train(case.mode == "train")
    if case.plain:
        forward = _plain(Path(case.plain), case, net)
    elif case.compiled:
        torch._dynamo.config.cache_size_limit = RECOMPILATIONS
        forward = compile_network(net, dynamic=False)
    else:
        forward = net
    lr = torch.rand(case.batch, 3, case.size, case.size, device=case.device)
    return _forward(case, forward, lr) if case.mode == "forward" else _training_step(case, forward, net, lr)


def _forward(case: Case, forward: Callable, lr: Tensor) -> Run:
    def run() -> None:
        with torch.inference_mode(), autocast_to(case.precision, torch.device(case.device)):
            forward(lr)

    return run


def _training_step(case: Case, forward: Callable, net: nn.Module, lr: Tensor) -> Run:
    side = case.scale * case.size
    hr = torch.rand(case.batch, 3, side, side, device=case.device)
    losses = build_losses((loss.type, loss.weight) for loss in RELEASED_LOSSES)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=case.device == "cuda")

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast_to(case.precision, torch.device(case.device)):
            sr, kernel = forward(lr)
        loss, _ = total_loss(losses, Restoration(sr=sr, kernel=kernel, lr=lr, hr=hr))
        loss.backward()
        optimizer.step()

    return run


def _plain(path: Path, case: Case, net: nn.Module) -> Callable:
    plain_forward, state = runpy.run_path(str(path))["plain_forward"], net.state_dict(keep_vars=True)
    layout = {"scale": case.scale, "unshuffle": "scale" if case.network == "PL_IDENet_E" else 1}
    return lambda lr: plain_forward(state, layout | dict(case.setting), lr)
