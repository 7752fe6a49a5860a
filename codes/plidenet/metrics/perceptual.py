"""Perceptual metrics (LPIPS, NIQE, DISTS, MUSIQ, ...) of the package pyiqa, which is an optional extra.

With what `load_perceptual` gives, one call measures one image:

    metrics = load_perceptual(("lpips", "niqe"), device)                     # once; weights may be fetched here
    values = measure(metrics, image, reference, crop_border)                 # {"lpips": 0.21, "niqe": 4.6}
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from plidenet.errors import UserError
from plidenet.names import suggest


@dataclass(frozen=True)
class PerceptualMetric:
    """A metric ready for use.

    Attributes:
        name: pyiqa's.
        lower_is_better: as for a distance.
        needs_reference: whether it compares with the true image.
        model: maps an image (1,3,H,W) in [0,1] and, where needed, its reference likewise to a one-element tensor.
    """

    name: str
    lower_is_better: bool
    needs_reference: bool
    model: Callable[..., Tensor]


def load_perceptual(names: Iterable[str], device: torch.device) -> list[PerceptualMetric]:
    """Load metrics by their names in pyiqa; nothing is imported where there are none.

    Args:
        names: such as "lpips", "dists", "niqe"; `pyiqa.list_models()` has all. A name given twice counts once.
        device: where the images will be.

    Raises:
        UserError: pyiqa is not installed, has no such metric, or cannot fetch its weights; or a metric of whole sets.
    """
    return [_load(name, device) for name in dict.fromkeys(names)]


def measure(
    metrics: Iterable[PerceptualMetric], image: Tensor, reference: Tensor | None, crop_border: int
) -> dict[str, float]:
    """Measure one image with each metric.

    Args:
        metrics: from `load_perceptual`.
        image: uint8 (3,H,W) RGB, on the metrics' device.
        reference: the true image, likewise, or None; metrics that need one are left out then.
        crop_border: pixels cut from each side first.

    Raises:
        UserError: a metric cannot measure these images, for instance because they are too small.
    """
    pair = [_prepared(picture, crop_border) for picture in (image, reference) if picture is not None]
    values = {}
    for metric in metrics:
        if metric.needs_reference and reference is None:
            continue
        try:
            with torch.no_grad():
                values[metric.name] = metric.model(*(pair if metric.needs_reference else pair[:1])).item()
        except (AssertionError, RuntimeError, ValueError) as error:
            size = "x".join(map(str, pair[0].shape[-2:]))
            raise UserError(f"{metric.name} cannot measure an image of {size}: {error}") from error
    return values


def _load(name: str, device: torch.device) -> PerceptualMetric:
    pyiqa = _pyiqa(name)
    known = [metric for metric in pyiqa.list_models() if not _is_of_sets(metric)]
    if _is_of_sets(name):
        raise UserError(f"test.perceptual: {name} compares whole sets, not images")
    if name not in known:
        raise UserError(f"test.perceptual: unknown metric '{name}'{suggest(name, known)}")
    try:
        model = pyiqa.create_metric(name, device=device)
    except OSError as error:
        raise UserError(f"test.perceptual: the weights of {name} cannot be loaded: {error}") from error
    return PerceptualMetric(name, model.lower_better, model.metric_mode == "FR", model)


def _pyiqa(name: str) -> Any:
    try:
        return import_module("pyiqa")
    except ModuleNotFoundError as error:
        if error.name != "pyiqa":  # it is there, but broken: its own message helps more
            raise
        raise UserError(
            f"test.perceptual: {name} needs the package pyiqa, which is not installed: pip install -e '.[perceptual]'"
        ) from error


def _is_of_sets(name: str) -> bool:
    return "fid" in name or name == "inception_score"


def _prepared(image: Tensor, border: int) -> Tensor:
    """uint8 (3,H,W) to float (1,3,h,w) in [0,1], cropped."""
    height, width = image.shape[-2:]
    return image[None, :, border : height - border, border : width - border].float() / 255
