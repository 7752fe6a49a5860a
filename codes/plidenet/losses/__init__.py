"""The training loss: a weighted sum of terms (name, function, weight), built from the YAML."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from plidenet.errors import UserError
from plidenet.losses.terms import LOSSES, Restoration

__all__ = ["LOSSES", "Restoration", "Term", "build_losses", "total_loss"]


class Term(NamedTuple):
    """One weighted term of the loss."""

    name: str
    function: Callable[[Restoration], Tensor]
    weight: float


def build_losses(weights: Iterable[tuple[str, float]]) -> list[Term]:
    """Look up losses by name.

    Args:
        weights: (registered name, weight) pairs, as in `train.losses` of the YAML.

    Raises:
        UserError: an unknown name.
    """
    return [Term(name, LOSSES.get(name), weight) for name, weight in weights]


def total_loss(terms: Sequence[Term], restoration: Restoration) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The weighted sum of the terms, and each term by name (unweighted), all scalars.

    Raises:
        UserError: a term needs a kernel that the network does not estimate, or SR images where train.refine_crop is 0,
            or returns anything but one number.
    """
    values = {term.name: term.function(restoration) for term in terms}
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.dim() > 0:
            found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"the loss {name} must return a tensor of one number (shape ()), not {found}")
    if restoration.sr.numel() == 0 and (lost := [name for name, value in values.items() if not value.isfinite()]):
        raise UserError(f"the loss {lost[0]} needs restored images: where train.refine_crop is 0, there are none")
    total = sum((term.weight * values[term.name] for term in terms), start=restoration.hr.new_zeros(()))
    return total, values
