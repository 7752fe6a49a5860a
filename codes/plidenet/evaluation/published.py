"""Scores that papers report, from published_results.csv beside this file, each line with its source."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

HR_IMAGES = {"Set5": 5, "Set14": 14, "BSD100": 100, "Urban100": 100, "Manga109": 109, "DIV2KRK": 100}
KERNELS = {1: 8, 2: 1}  # of each HR image, by setting


@dataclass(frozen=True)
class PublishedMethod:
    """A method as published.

    Attributes:
        name: as in the source.
        source: paper and table.
        scores: PSNR in dB and SSIM, on Y, by data set.
        parameters: in millions, or None where the source has none.
        multiply_adds: in G as the source counts them, or None.
    """

    name: str
    source: str
    scores: Mapping[str, tuple[float, float]]
    parameters: float | None
    multiply_adds: float | None


def published_methods(scale: int, datasets: Mapping[str, int | None]) -> list[PublishedMethod]:
    """The methods with a score on any of the sets, in the order of the file.

    Bicubic interpolation is left out: its published scores are of full-range luma without crop, all others of Y with
    a crop of `scale` pixels.

    Args:
        scale: HR size / LR size.
        datasets: by name, the setting of the degradation (1, 2, or None for any other, which no score is of).
    """
    lines: dict[tuple[str, str], list[dict[str, str]]] = {}
    for line in _read():
        same = int(line["scale"]) == scale and datasets.get(line["dataset"]) == int(line["setting"])
        if same and line["kind"] != "interpolation":
            lines.setdefault((line["method"], line["source"]), []).append(line)
    return [
        PublishedMethod(
            name,
            source,
            {line["dataset"]: (float(line["psnr_y"]), float(line["ssim_y"])) for line in found},
            _number(line["params_m"] for line in found),
            _number(line["multiadds_g"] for line in found),
        )
        for (name, source), found in lines.items()
    ]


def published_images(dataset: str, setting: int | None) -> int | None:
    """How many LR images the published scores on a set are means over; None where there are no such scores."""
    if dataset not in HR_IMAGES or setting is None:
        return None
    return HR_IMAGES[dataset] * KERNELS[setting]


def _number(cells: Iterable[str]) -> float | None:
    return next((float(cell) for cell in cells if cell), None)


@lru_cache(maxsize=1)
def _read() -> list[dict[str, str]]:
    text = (resources.files(__package__) / "published_results.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
