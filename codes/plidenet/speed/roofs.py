"""Measured peak rates of a device (its roofline), and the memory traffic of a function."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from plidenet.speed.timing import interleaved

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MATRIX_SIDE = {"cpu": 1536, "cuda": 8192}
COPIED_BYTES = {"cpu": 2**27, "cuda": 2**31}
ATTEMPTS = 7


@dataclass(frozen=True)
class Roofs:
    """The best of several attempts.

    Attributes:
        matrix: operations a second of a product of large square matrices, two to a multiply-add, by precision.
        memory: bytes a second, read and written, of a large copy.
    """

    matrix: dict[str, float]
    memory: float


def measure_roofs(device: torch.device, precisions: list[str]) -> Roofs:
    """Measure a device.

    Args:
        device: the CPU (with its present number of threads) or a GPU.
        precisions: "fp32", "bf16".
    """
    side, count = MATRIX_SIDE[device.type], COPIED_BYTES[device.type]
    matrix = {}
    for precision in precisions:
        square = torch.rand(side, side, device=device).to(DTYPES[precision])
        matrix[precision] = 2 * side**3 / _best(lambda x=square: torch.mm(x, x), device)  # type: ignore[misc]
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    return Roofs(matrix, 2 * count / _best(lambda: target.copy_(source), device))


def traffic(run: Callable[[], Any]) -> int:
    """Bytes that the operations of a function read and write, each one by itself as in eager execution."""
    with _Traffic() as mode:
        run()
    return mode.bytes


class _Traffic(TorchDispatchMode):
    """Adds up the tensors that go in and out of operations, but for views, which move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read, written = list(_tensors((args, kwargs))), list(_tensors(result))
        owned = {tensor.untyped_storage()._cdata for tensor in read}
        moves = func._schema.is_mutable or any(tensor.untyped_storage()._cdata not in owned for tensor in written)
        if moves and not func.__name__.startswith(("empty", "new_empty")):
            self.bytes += sum(map(_bytes, read)) + sum(map(_bytes, written))
        return result


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_iter(tree) if isinstance(leaf, Tensor))


def _bytes(tensor: Tensor) -> int:
    """What there is to read: an expanded tensor is no larger than its storage."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _best(run: Callable[[], Any], device: torch.device) -> float:
    run()
    (timing,) = interleaved([run], range(ATTEMPTS), device)
    return min(timing.wall)
