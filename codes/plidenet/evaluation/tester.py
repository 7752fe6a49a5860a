"""Test networks on the sets of their option files, and write what comes of it. Several processes share the images."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import torch
from torch import nn

from plidenet import complexity, distributed
from plidenet.cli import progress
from plidenet.config import Options
from plidenet.data.loaders import loader_deaths_explained
from plidenet.device import choose_device
from plidenet.errors import UserError
from plidenet.evaluation.candidate import Candidate, TestSet, as_tested, prepare
from plidenet.evaluation.comparison import require_comparable, require_own_folder, write_comparison
from plidenet.evaluation.ensemble import ORIENTATIONS
from plidenet.evaluation.evaluator import Restored, evaluate, measure_all, score_restored
from plidenet.evaluation.kernel_scores import pair_kernels
from plidenet.evaluation.measurement import Cost, ImageResult, MeasuredSet, Measurement
from plidenet.evaluation.report import write_report, write_set
from plidenet.evaluation.saving import ImageSaver
from plidenet.evaluation.tables import clear_results
from plidenet.evaluation.tiling import Tiled, advising_tiles
from plidenet.lock import lock
from plidenet.memory import PeakMemory
from plidenet.metrics import perceptual

log = logging.getLogger(__name__)
NOTHING = "Nothing was measured: no set has HR images."


def test(options: Options) -> str:
    """Measure the network on every set that is not for training, and fill `options.results_folder`.

    The folder gets table.md and table.csv; widths.md and widths.csv for sets with several kernel widths; kernels.md and
    kernels.csv where true kernels are known; perceptual.md and perceptual.csv with `test.perceptual`; <set>.csv with
    the scores of each image; and, unless `test.save_images` is off, <set>/<image>.png, <set>/kernels/<image>.npy and
    .png, and <set>_kernels.png with true kernels beneath.
    Of several processes, each saves the images that it restores, and the main one writes the rest.

    Returns:
        the tables, as Markdown, with their captions (without HR images, those of kernels and of
        perceptual metrics, if any); empty in processes other than the main one.

    Raises:
        UserError: missing weights or data, pairs that do not match, a perceptual metric that cannot be had, another
            test at work in the folder: all found before the first image is restored.
    """
    device = choose_device(options)
    candidate = prepare(options, device)
    with claimed([candidate]):
        measurement = measure(candidate, device)
        return _report(measurement) if measurement else NOTHING


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
    device = choose_device(files[0])
    candidates = [prepare(options, device) for options in files]
    require_comparable(candidates)
    folder = folder or files[0].path.results_root / "comparison"
    require_own_folder(folder, candidates)
    measurements = []
    with claimed(candidates):
        for candidate in candidates:
            if measurement := measure(candidate, device):
                _report(measurement)
                if measurement.scored:
                    measurements.append(measurement)
    if not measurements:
        return NOTHING
    if not distributed.is_main():
        return ""
    text = write_comparison(folder, measurements)
    log.info("the comparison is in %s", folder)
    return text


@contextmanager
def claimed(candidates: Sequence[Candidate]) -> Iterator[None]:
    """Keep other tests from the candidates' folders; UserError in all processes where another one is at work."""
    failure = None
    with ExitStack() as locks:
        try:
            for folder in (candidate.options.results_folder for candidate in candidates if distributed.is_main()):
                folder.mkdir(parents=True, exist_ok=True)
                refusal = f"{folder} is in use by another test; another name writes beside it"
                locks.enter_context(lock(folder / ".lock", refusal))
        except UserError as error:
            failure = error
        distributed.raise_in_all(failure)
        yield


def measure(candidate: Candidate, device: torch.device) -> Measurement | None:
    """Restore and measure all images of a candidate; None, with earlier tables removed, if none can be measured."""
    options = candidate.options
    folder = options.results_folder
    net = None if candidate.net is None else as_tested(candidate.net, options).to(device)
    if net is not None:
        _warm_up(candidate, net, device)
    peak = PeakMemory(device)
    sets: list[MeasuredSet] = []
    seconds: list[float] = []
    if distributed.is_main():
        clear_results(folder)
    for name in candidate.sets:
        measured = _measure_set(candidate, name, net, device, peak)
        seconds += [one.seconds for one in measured.images if one.seconds is not None]
        if measured.scores or measured.kernels or measured.perceptual:
            if distributed.is_main():
                write_set(folder, measured, options)
            sets.append(measured)
    if candidate.net is not None:
        candidate.net.cpu()  # makes room for the next
    log.info("results are in %s", folder)
    if not sets:
        return None
    cost = _cost(candidate, seconds, _greatest(peak.bytes), device)
    tiled = net is not None and any(isinstance(module, Tiled) for module in net.modules())
    return Measurement(options, sets, cost, tiled, candidate.metrics)


def _warm_up(candidate: Candidate, net: nn.Module, device: torch.device) -> None:
    """Restore an image for nothing: what is loaded once, such as code, is to count for no network's memory and time."""
    images = next(iter(candidate.sets.values())).loader.dataset
    first = (images[number] for number in range(1))  # read where `evaluate` tells all processes of what is damaged
    with advising_tiles():
        evaluate(net, first, device, lambda *_: None, candidate.options.test.true_kernels)


def _cost(candidate: Candidate, seconds: Sequence[float], memory: int | None, device: torch.device) -> Cost | None:
    if candidate.net is None:
        return None
    size = complexity.count(candidate.net)
    multiply_adds = size.multiply_adds * (len(ORIENTATIONS) if candidate.options.test.ensemble else 1)
    return Cost(size.parameters, multiply_adds, median(seconds), memory, describe(device))


def _measure_set(
    candidate: Candidate, name: str, net: nn.Module | None, device: torch.device, peak: PeakMemory
) -> MeasuredSet:
    """Restore the images of the set of this name, by the network as it is tested, save them, and measure them.

    Without a network, measure those that another program restored.
    """
    options, test_set = candidate.options, candidate.sets[name]
    saves = options.test.save_images and net is not None
    save = ImageSaver(options.results_folder / name, options.suffix) if saves else None

    def measure_image(restored: Restored, sample: Mapping) -> ImageResult:
        peak.end()
        if save is not None:
            save(restored)
        hr = sample["gt"].to(device) if "gt" in sample else None
        return ImageResult(
            restored.key,
            restored.seconds,
            None if hr is None else score_restored(restored, hr, options.border),
            pair_kernels(restored, sample, hr, test_set.conditions),
            perceptual.measure(candidate.metrics, restored.image, hr, options.border) if candidate.metrics else {},
        )

    with advising_tiles(), loader_deaths_explained("a smaller n_workers takes less memory"):
        samples = _samples(test_set, name, peak)
        if net is None:
            images = measure_all(lambda sample: candidate.saved[name](sample["key"]), samples, measure_image)
        else:
            images = evaluate(net, samples, device, measure_image, options.test.true_kernels)
    return MeasuredSet(name, test_set.conditions, images)


def _report(measurement: Measurement) -> str:
    if not distributed.is_main():
        return ""
    return write_report(measurement.options.results_folder, measurement)


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
