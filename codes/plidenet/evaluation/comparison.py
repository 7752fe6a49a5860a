"""One table of several networks, with published ones beside: a row for each method, a column for each data set."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plidenet.errors import UserError
from plidenet.evaluation import notes
from plidenet.evaluation.candidate import Candidate
from plidenet.evaluation.markup import NONE, latex, markdown, write_table
from plidenet.evaluation.measurement import MeasuredSet, Measurement
from plidenet.evaluation.published import PublishedMethod, published_images, published_methods
from plidenet.evaluation.tables import (
    COLUMNS,
    METRICS,
    Labels,
    clear_tables,
    format_score,
    mean_score,
    short_score,
    write_kernel_table,
    write_width_table,
)
from plidenet.files import write_file

MEASURED = "measured"
COSTS = ("parameters (M)", "multiply-adds (G)", "s/image", "peak memory (MiB)")
COSTS_CSV = ("parameters", "multiply_adds", "seconds", "peak_memory")  # plain numbers, in bytes and seconds


@dataclass(frozen=True)
class Row:
    """A method, its cells in the tables for reading and in the CSV."""

    cells: list[str]
    csv: list[str]


def require_comparable(candidates: Sequence[Candidate]) -> None:
    """UserError where scales, crops or data of the candidates differ, or two would write to one folder."""
    first = candidates[0].options
    data: dict[str, tuple[str, tuple[Path | None, Path | None]]] = {}
    for options in (candidate.options for candidate in candidates):
        for field, value, other in (("scale", options.scale, first.scale), ("crop", options.border, first.border)):
            if value != other:
                raise UserError(f"{first.name} and {options.name} cannot be compared: {field} {other} and {value}")
        for section in options.measured_sets.values():
            roots = (section.dataroot_GT, section.dataroot_LQ)
            name, known = data.setdefault(section.name, (options.name, roots))
            if roots != known:
                raise UserError(
                    f"the set {section.name} is not the same in {name} and {options.name}: its folders differ"
                )
    name, times = Counter(candidate.options.results_folder.name for candidate in candidates).most_common(1)[0]
    if times > 1:
        raise UserError(f"{times} option files call their results {name}: give each a name of its own")


def require_own_folder(folder: Path, candidates: Sequence[Candidate]) -> None:
    """UserError where a comparison would go to a file, or replace the tables of a candidate or an earlier test."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the comparison cannot go to {folder}, which is not a folder")
    for options in (candidate.options for candidate in candidates):
        if folder.resolve() == options.results_folder.resolve():
            raise UserError(f"the comparison cannot go to {folder}, where the results of {options.name} go")
    table = folder / "table.csv"
    if table.is_file() and table.read_bytes().startswith(COLUMNS[0].encode()):
        raise UserError(f"the comparison cannot go to {folder}, where the results of a test lie")


def write_comparison(folder: Path, measurements: Sequence[Measurement]) -> str:
    """Write table.md, .csv and .tex, for sets with several kernel widths widths.md and .csv, and for sets with true
    kernels kernels.md and .csv; earlier tables go.

    Args:
        folder: where to, made where it does not exist.
        measurements: of comparable candidates, at least one.

    Returns:
        the tables as Markdown, with their notes.
    """
    sets = {one.name: one for measurement in measurements for one in measurement.scored}
    scale = measurements[0].options.scale
    settings = {name: one.conditions.setting for name, one in sets.items()}
    published = published_methods(scale, settings) if measurements[0].options.border == scale else []
    labels = label(measurements)
    blocks = [
        [published_row(method, sets) for method in published],
        [_measured_row(name, one, sets) for name, one in zip(labels, measurements, strict=True)],
    ]
    rows = [row for block in blocks for row in block]
    header = ["method", "source", *sets, *COSTS]
    lines = footnotes(labels, measurements, sets.values(), bool(published))
    text = markdown(header, [row.cells for row in rows], left=2) + "\n" + "\n".join(lines) + "\n"

    clear_tables(folder, ("table", "widths", "kernels"))
    tex = latex(header, [[row.cells for row in block] for block in blocks], [line for line in lines if line], left=2)
    write_file(folder / "table.tex", tex)
    csv_header = ["method", "source", *(f"{name}_{metric}" for name in sets for metric in METRICS), *COSTS_CSV]
    write_table(folder, "table", text, csv_header, [row.csv for row in rows])

    measured: dict[Labels, MeasuredSet] = {}
    for name, measurement in zip(labels, measurements, strict=True):
        measured |= {(name, one.name): one for one in measurement.scored}
    widths = write_width_table(folder, ["method", "dataset"], measured)
    kernels = write_kernel_table(folder, ["method", "dataset"], {key: one.kernels for key, one in measured.items()})
    return "\n".join(filter(None, (text, widths, kernels)))


def label(measurements: Sequence[Measurement]) -> list[str]:
    """The networks' names, with the `name` of the option file where a network occurs more than once."""
    times = Counter(one.method for one in measurements)
    return [one.method if times[one.method] == 1 else f"{one.method} ({one.options.name})" for one in measurements]


def footnotes(
    labels: Sequence[str], measurements: Sequence[Measurement], sets: Collection[MeasuredSet], published: bool
) -> list[str]:
    """The lines under the table."""
    options, costs = measurements[0].options, [one.cost for one in measurements if one.cost is not None]
    lines = [
        f"PSNR (dB) / SSIM at scale {options.scale}, on the luma of BT.601 (Y, 16-235); on RGB in the CSV. "
        f"{notes.protocol(options.border)}",
        "",
        *notes.degradations(sets),
        *(line for name, one in zip(labels, measurements, strict=True) for line in notes.procedure(name, one)),
    ]
    if costs:
        lines.append(
            "- Measured rows: multiply-adds for an LR image of 64x64; seconds of the network alone, median of all "
            f"images, and the most memory that an image took, on {costs[0].device}."
        )
    if published:
        lines.append(
            "- Other rows: as the source prints them, with multiply-adds counted in its own way. Its row of "
            "bicubic interpolation is left out: that is on full-range luma without crop, the others on Y, cropped."
        )
        for one in sets:
            theirs = published_images(one.name, one.conditions.setting)
            if theirs not in (None, len(one.scores)):
                lines.append(f"- {one.name}: NOT THE WHOLE SET, {len(one.scores)} images; theirs are {theirs}.")
    else:
        lines.append("- There are no published scores on these sets with these degradations and this crop.")
    return lines


def _measured_row(name: str, measurement: Measurement, sets: Mapping[str, MeasuredSet]) -> Row:
    cells, csv = [name, MEASURED], [name, MEASURED]
    for set_name in sets:
        one = measurement.set_named(set_name)
        score = mean_score(one.scores.values()) if one else None
        cells.append(short_score(score.psnr_y, score.ssim_y) if score else NONE)
        csv += format_score(score) if score else [""] * len(METRICS)
    cost = measurement.cost
    if cost is None:
        return Row([*cells, *(NONE,) * len(COSTS)], [*csv, *("",) * len(COSTS)])
    memory = "" if cost.peak_memory is None else str(cost.peak_memory)
    cells += [f"{cost.parameters / 1e6:.2f}", f"{cost.multiply_adds / 1e9:.2f}", f"{cost.seconds:.3f}"]
    cells.append(f"{int(memory) / 2**20:.0f}" if memory else NONE)
    return Row(cells, [*csv, str(cost.parameters), str(cost.multiply_adds), f"{cost.seconds:.4f}", memory])


def published_row(method: PublishedMethod, sets: Iterable[str]) -> Row:
    """A line of the table, with the method's scores on the sets of these names."""
    cells, csv = [method.name, method.source], [method.name, method.source]
    for name in sets:
        score = method.scores.get(name)
        cells.append(short_score(*score) if score else NONE)
        csv += [f"{score[0]:.2f}", f"{score[1]:.4f}", "", ""] if score else [""] * len(METRICS)
    for number, factor in ((method.parameters, 10**6), (method.multiply_adds, 10**9)):
        cells.append(NONE if number is None else f"{number:.2f}")
        csv.append("" if number is None else str(round(number * factor)))
    return Row([*cells, NONE, NONE], [*csv, "", ""])
