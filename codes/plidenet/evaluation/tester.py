"""Test networks on the sets of their option files, and write what comes of it. Several processes share the images."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch

from plidenet import complexity, distributed
from plidenet.cli import progress
from plidenet.config import Options
from plidenet.device import choose_device
from plidenet.evaluation.breakdown import break_down, write_breakdown
from plidenet.evaluation.candidate import Candidate, TestSet, prepare
from plidenet.evaluation.comparison import require_comparable, write_comparison
from plidenet.evaluation.evaluator import Restored, evaluate
from plidenet.evaluation.measurement import Cost, MeasuredSet, Measurement
from plidenet.evaluation.memory import PeakMemory
from plidenet.evaluation.notes import caption
from plidenet.evaluation.saving import ImageSaver, ignore
from plidenet.evaluation.tables import summarize, to_markdown, write_image_scores, write_tables

log = logging.getLogger(__name__)
Keep = Callable[[Restored, Mapping], None]
NOTHING = "Nothing was measured: no set has HR images."


def test(options: Options) -> str:
    """Measure the network on every set that is not for training, and write results/<name>.

    The folder gets table.md and table.csv, widths.md and widths.csv for sets with several kernel widths, <set>.csv with
    the scores of each image and, unless `test.save_images` is off, <set>/<image>.png and <set>/kernels/<image>.npy and
    .png. Of several processes, each saves the images that it restores, and the main one writes the tables.

    Returns:
        the tables, as Markdown, with their caption (no table where all sets are LR images alone).

    Raises:
        UserError: missing weights or data, pairs that do not match: all found before the first image is restored.
    """
    candidate = prepare(options)
    measurement = measure(candidate, choose_device(options))
    return report(measurement) if measurement else NOTHING


def compare(files: Sequence[Options], folder: Path | None) -> str:
    """Test several networks as `test` does, and set them and published ones side by side.

    Args:
        files: the option files.
        folder: for the comparison; None is the folder `comparison` under the first file's results_root.

    Returns:
        the tables, as Markdown, with their notes.

    Raises:
        UserError: as `test`, for all files before work starts, and where they cannot be compared.
    """
    candidates = [prepare(options) for options in files]
    require_comparable(candidates)
    folder = folder or files[0].path.results_root / "comparison"
    device = choose_device(files[0])
    measurements = []
    for candidate in candidates:
        if measurement := measure(candidate, device):
            report(measurement)
            measurements.append(measurement)
    if not measurements:
        return NOTHING
    if not distributed.is_main():
        return ""
    log.info("the comparison is in %s", folder)
    return write_comparison(folder, measurements)


def measure(candidate: Candidate, device: torch.device) -> Measurement | None:
    """Restore all images of a candidate and measure them; None where none of its sets has HR images."""
    options = candidate.options
    folder = options.path.results_root / options.name
    size = complexity.count(candidate.net)
    net = candidate.net.to(device)
    peak = PeakMemory(device)
    sets = []
    for name, test_set in candidate.sets.items():
        save = ImageSaver(folder / name, options.suffix) if options.test.save_images else ignore

        def keep(restored: Restored, sample: Mapping, save: Keep = save) -> None:
            peak.end()
            save(restored, sample)

        results = evaluate(net, _samples(test_set, name, peak), device, options.border, keep)
        if results:
            sets.append(MeasuredSet(name, test_set.conditions, results))
    candidate.net.cpu()  # makes room for the next
    log.info("results are in %s", folder)
    if not sets:
        return None
    memory = _greatest(peak.bytes)
    seconds = fmean(result.seconds for one in sets for result in one.results)
    cost = Cost(size.parameters, size.multiply_adds, seconds, memory, describe(device))
    return Measurement(options, sets, cost)


def report(measurement: Measurement) -> str:
    """Write the tables of one network to results/<name>, in the main process, and return them as Markdown."""
    options = measurement.options
    rows = [summarize(one.name, options.border, one.results) for one in measurement.sets]
    text = caption(measurement)
    if not distributed.is_main():
        return ""
    folder = options.path.results_root / options.name
    folder.mkdir(parents=True, exist_ok=True)
    for one in measurement.sets:
        write_image_scores(folder / f"{one.name}.csv", one.results)
    write_tables(folder, rows, text)
    broken_down = [line for one in measurement.sets if (line := break_down((one.name,), one))]
    widths = write_breakdown(folder, ["dataset"], broken_down)
    return "\n".join(filter(None, (f"{to_markdown(rows)}\n{text}\n", widths)))


def describe(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"a CPU (torch threads: {torch.get_num_threads()})"


def _samples(test_set: TestSet, name: str, peak: PeakMemory) -> Iterator[Mapping]:
    """The samples of a set, with a progress bar and the start of each one's memory measurement."""
    for sample in progress(test_set.loader, name) if distributed.is_main() else test_set.loader:
        peak.begin()
        yield sample


def _greatest(memory: int | None) -> int | None:
    known = [number for number in distributed.gather_interleaved([memory]) if number is not None]
    return max(known, default=None)
