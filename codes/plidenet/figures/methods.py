"""Methods with a PSNR and a cost on a benchmark that papers report: published ones, and this project's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plidenet import build_network, complexity
from plidenet.evaluation.comparison import MEASURED
from plidenet.evaluation.published import PublishedMethod, published_methods
from plidenet.figures.results import number, read_csv

PAPER = "PL-IDENet"
SETTINGS = {"DIV2KRK": 2}  # every other set is of setting 1


@dataclass(frozen=True)
class Method:
    """A point of the chart.

    Attributes:
        name: of the method.
        psnr: on Y, in dB.
        parameters: in millions, or None.
        multiply_adds: in G, as its source counts them, or None.
        source: paper and table, or "measured".
    """

    name: str
    psnr: float
    parameters: float | None
    multiply_adds: float | None
    source: str

    @property
    def measured(self) -> bool:
        """Whether this project measured it."""
        return self.source == MEASURED


def read_published(scale: int, dataset: str) -> list[Method]:
    """The published methods that have a cost beside their score, in the order of their file."""
    return [
        Method(one.name, one.scores[dataset][0], one.parameters, one.multiply_adds, one.source)
        for one in _published(scale, dataset)
        if one.parameters is not None or one.multiply_adds is not None
    ]


def read_measured(results: Path, scale: int, dataset: str) -> list[Method]:
    """What this project measured on the same LR images, from every <results>/<name>/table.csv of `test.py --compare`.

    Such a table holds published scores exactly where its LR images are those of the published benchmark: a table counts
    if its published rows are this benchmark's. Methods without parameters are left out, and of rows with one name the
    one of the file last in alphabetical order is taken.
    """
    expected = {(one.name, one.source): f"{one.scores[dataset][0]:.2f}" for one in _published(scale, dataset)}
    column = f"{dataset}_psnr_y"
    found: dict[str, Method] = {}
    for path in sorted(results.glob("*/table.csv")):
        lines = [line for line in read_csv(path) if line.get(column)]
        published = {(line.get("method"), line.get("source")): line[column] for line in lines if not _is_measured(line)}
        if not published or published != expected:
            continue
        for line in filter(_is_measured, lines):
            parameters, multiply_adds = (number(path, line, name) for name in ("parameters", "multiply_adds"))
            if parameters:
                name = line["method"]
                found[name] = Method(name, number(path, line, column), parameters / 1e6, multiply_adds / 1e9, MEASURED)
    return list(found.values())


def count_paper_network(scale: int) -> float:
    """Multiply-adds of the paper's network for a 64x64 LR image, in G, as counted here."""
    return complexity.count(build_network("PL_IDENet", scale=scale)).multiply_adds / 1e9


def apart(methods: Sequence[Method], within: float) -> tuple[list[Method], list[Method]]:
    """Those at most `within` dB below the best, and the others."""
    least = max(method.psnr for method in methods) - within
    return [one for one in methods if one.psnr >= least], [one for one in methods if one.psnr < least]


def _published(scale: int, dataset: str) -> list[PublishedMethod]:
    return published_methods(scale, {dataset: SETTINGS.get(dataset, 1)})


def _is_measured(line: dict[str, str]) -> bool:
    return line.get("source") == MEASURED
