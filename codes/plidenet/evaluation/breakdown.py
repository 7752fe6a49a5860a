"""Scores by kernel width, for sets in which every image comes with several: small tables beside the main ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plidenet.data.pairing import split_width
from plidenet.evaluation.markup import NONE, markdown, write_table
from plidenet.evaluation.measurement import MeasuredSet
from plidenet.evaluation.tables import METRICS, format_score, mean_score
from plidenet.metrics import Score


@dataclass(frozen=True)
class Breakdown:
    """One line of the table.

    Attributes:
        labels: its first cells, as many as the header has.
        by_width: the scores of the images of each kernel width, ascending.
    """

    labels: tuple[str, ...]
    by_width: Mapping[float, Sequence[Score]]


def break_down(labels: tuple[str, ...], measured: MeasuredSet) -> Breakdown | None:
    """The scores of a set by its kernels' widths; None for a set that has not at least two of them."""
    groups: dict[float, list[Score]] = defaultdict(list)
    for key, score in measured.scores.items():
        width, _ = split_width(key)
        if width in measured.conditions.widths:
            groups[width].append(score)
    return Breakdown(labels, dict(sorted(groups.items()))) if len(groups) > 1 else None


def to_markdown(header: Sequence[str], lines: Sequence[Breakdown]) -> str:
    """PSNR/SSIM on Y, a column for each width."""
    widths = sorted({width for line in lines for width in line.by_width})
    rows = []
    for line in lines:
        means = {width: mean_score(scores) for width, scores in line.by_width.items()}
        cells = [f"{means[w].psnr_y:.2f}/{means[w].ssim_y:.4f}" if w in means else NONE for w in widths]
        rows.append([*line.labels, *cells])
    return markdown([*header, *(f"{width:g}" for width in widths)], rows, left=len(header))


def write_breakdown(folder: Path, header: Sequence[str], lines: Sequence[Breakdown]) -> str:
    """Write widths.md and widths.csv, the latter with RGB, too, and a line for each width.

    Returns:
        what widths.md holds; nothing is written, and the text is empty, where there are no lines.
    """
    if not lines:
        return ""
    text = f"{to_markdown(header, lines)}\nBy kernel width in HR pixels: PSNR/SSIM on Y, mean over the images.\n"
    rows = [
        [*line.labels, f"{width:g}", str(len(scores)), *format_score(mean_score(scores))]
        for line in lines
        for width, scores in line.by_width.items()
    ]
    write_table(folder, "widths", text, [*header, "width", "images", *METRICS], rows)
    return text
