"""The optimizers of training: Adam, and Muon, which steps along the orthogonalized momentum of each weight matrix.

Source of Muon: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; steps scaled as in Liu
et al., "Muon is scalable for LLM training", 2025, so that Adam's learning rates serve.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from plidenet.config import Options
from plidenet.errors import UserError

MOMENTUM = 0.95
QUINTIC = 3.4445, -4.7750, 2.0315  # brings singular values between 0 and 1 close to 1 in five rounds
EDGES = ("conv_first", "conv_last", "encode_1.0", "to_kernel", "embedding")  # what meets images or kernels


class Adam(torch.optim.Adam):
    """Adam that loads the moments of a saved state, but not its hyperparameters: options set those."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a state dict; ValueError for that of another optimizer or network."""
        own = self.state_dict()["param_groups"]
        if [group["params"] for group in state_dict["param_groups"]] != [group["params"] for group in own]:
            raise ValueError("it was saved with other weights to train, or with another train.optimizer")
        super().load_state_dict({**state_dict, "param_groups": own})
        for parameter, moments in self.state.items():
            for name, value in moments.items():
                if value.shape == parameter.shape and value.stride() != parameter.stride():  # another memory format
                    moments[name] = torch.empty_like(parameter).copy_(value)


class Muon(Adam):
    """Muon for linear layers and convolutions between features (see `hidden_weights`), Adam for all else.

    Args:
        net: the network.
        dtype: of the orthogonalization (default float32); in bfloat16, as its authors compute it, steps differ by a few
            per cent, by more where gradients are of low rank.
        adam: arguments of `Adam`; the learning rate is for both.
    """

    def __init__(self, net: nn.Module, *, dtype: torch.dtype = torch.float32, **adam: Any) -> None:
        hidden = hidden_weights(net)
        known = {id(weight) for weight in hidden}
        rest = [parameter for parameter in net.parameters() if id(parameter) not in known]
        groups: list[dict[str, Any]] = [{"params": rest}, {"params": hidden, "dtype": dtype}]
        super().__init__(groups, **adam)

    def __setstate__(self, state: dict[str, Any]) -> None:
        torch.optim.Optimizer.__setstate__(self, state)  # Adam's expects its own moments in every state

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. It sets the gradients of the matrices to None, so that Adam skips them."""
        *_, hidden = self.param_groups
        alike = defaultdict(list)
        for weight in hidden["params"]:
            if weight.grad is not None:
                alike[weight.shape].append(weight)
        for weights in alike.values():
            gradients = [weight.grad for weight in weights]
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            steps = matrix_steps(torch.stack(ahead).to(hidden["dtype"])).to(weights[0].dtype)
            torch._foreach_add_(weights, list(steps), alpha=-hidden["lr"])
            for weight in weights:
                weight.grad = None
        return super().step(closure)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        return state["momentum"]


def hidden_weights(net: nn.Module) -> list[Tensor]:
    """The weights of linear layers and convolutions that lead from features to features.

    Depthwise convolutions, whose filters are independent of each other, and layers with one of `EDGES` in their name
    are left out.
    """
    kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    layers = {name: layer for name, layer in net.named_modules() if isinstance(layer, kinds)}
    inner = [layer for name, layer in layers.items() if not any(edge in name for edge in EDGES)]
    return list(dict.fromkeys(layer.weight for layer in inner if getattr(layer, "groups", 1) == 1))


def matrix_steps(gradients: Tensor) -> Tensor:
    """Steps of about Adam's size, from gradients of N weights of one shape: (N,out,in,...) -> the same shape.

    A linear layer's weight with out = 3 * in counts as three matrices: queries, keys, values.
    """
    matrices = gradients.flatten(2)
    if gradients.dim() == 3 and matrices.shape[1] == 3 * matrices.shape[2]:
        matrices = matrices.unflatten(1, (3, -1)).flatten(0, 1)
    steps = 0.2 * max(matrices.shape[1:]) ** 0.5 * orthogonalized(matrices)
    return steps.reshape(gradients.shape)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices (N,rows,columns) with their singular values brought close to 1, by five Newton-Schulz rounds."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalized(matrices.mT).mT
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).add(1e-7)
    a, b, c = QUINTIC
    for _ in range(5):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def build_optimizer(net: nn.Module, options: Options, device: torch.device) -> Adam:
    """Adam over all parameters, or Muon, as `train.optimizer` says; UserError for a network that has none."""
    parameters = list(net.parameters())
    if not parameters:
        raise UserError(f"{options.network_G.which_model_G} has no parameters to train")
    train = options.train
    setting: dict[str, Any] = {
        "lr": train.lr_G,
        "betas": (train.beta1, train.beta2),
        "weight_decay": train.weight_decay_G,
        "fused": device.type == "cuda",
    }
    if train.optimizer == "Adam":
        return Adam(parameters, **setting)
    return Muon(net, dtype=torch.bfloat16 if train.precision == "bf16" else torch.float32, **setting)
