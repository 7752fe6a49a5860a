"""What was measured, as a table to read and as JSON to keep."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

import plidenet
from plidenet.speed.cases import Case
from plidenet.speed.memory import Peak
from plidenet.speed.roofs import Roofs
from plidenet.speed.timing import Timing

COLUMNS = (
    "network", "mode", "precision", "LR", "wall s", "spread", "CPU s", "spread",
    "wall x", "CPU x", "work MiB", "total MiB", "FLOP/s %", "bandwidth %",
)  # fmt: skip
LEGEND = """\
Times are medians, with their spread from the smallest to the largest. x: how many times faster than the
reference implementation in fp32 at that size. MiB: peak memory of a fresh process, beyond what it has before the work
(on a GPU: there), and in total (on the host). %: of the most that this device is seen to do, in a large matrix product
(a training step counted as three forward passes) and in a large copy (operations counted as reading and writing):"""
TRAINING_FACTOR = 3  # a backward pass is about two forward passes of matrix products


@dataclass(frozen=True)
class Result:
    """One case, measured.

    Attributes:
        case: what was measured.
        timing: None where memory did not suffice.
        multiply_adds: of one forward pass of one image.
        traffic: bytes read and written by one run in eager execution.
        peak: None where it was not measured, or where memory did not suffice.
    """

    case: Case
    timing: Timing | None
    multiply_adds: int
    traffic: int
    peak: Peak | None

    def matrix_share(self, roofs: Roofs) -> float:
        """Operations a second over those of a large matrix product; a training step counts as three forward passes."""
        assert self.timing is not None
        passes = TRAINING_FACTOR if self.case.mode == "train" else 1
        operations = 2 * passes * self.case.batch * self.multiply_adds
        return operations / self.timing.median_wall / roofs.matrix[self.case.precision]

    def memory_share(self, roofs: Roofs) -> float:
        """Bytes a second over those of a large copy: more than 1 where caches or compiled code save traffic."""
        assert self.timing is not None
        return self.traffic / self.timing.median_wall / roofs.memory


def baseline(result: Result, results: Sequence[Result]) -> Result | None:
    """What a result is compared with: the reference implementation in float32, in the same mode and size."""
    here = (result.case.mode, result.case.size)
    for other in results:
        case = other.case
        if case.plain and other.timing and (case.mode, case.size) == here:
            return other
    return None


def table(results: Sequence[Result], roofs: Roofs) -> str:
    """All results, and below them what the columns mean.

    Args:
        results: of one run.
        roofs: of the same device.
    """
    rows = [COLUMNS, *(_row(result, baseline(result, results), roofs) for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    matrix = ", ".join(f"{value / 1e9:.4g} G operations/s in {name}" for name, value in roofs.matrix.items())
    return "\n".join([*lines, "", LEGEND, f"{matrix}; {roofs.memory / 1e9:.4g} GB/s."])


def document(results: Sequence[Result], roofs: Roofs, device: torch.device) -> dict[str, Any]:
    """Everything measured, ready for json.dumps; times in seconds, memory in bytes."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    machine = {
        "plidenet": plidenet.__version__,
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }
    return {"machine": machine, "roofs": asdict(roofs), "results": [asdict(result) for result in results]}


def _row(result: Result, reference: Result | None, roofs: Roofs) -> tuple[str, ...]:
    case, timing = result.case, result.timing
    what = (case.label, case.mode, case.precision + (" compiled" if case.compiled else ""), f"{case.size}x{case.size}")
    if timing is None:
        return (*what, "out of memory", *[""] * (len(COLUMNS) - len(what) - 1))
    times = [cell for values in (timing.wall, timing.cpu) for cell in _median_and_spread(values)]
    faster = ["", ""]
    if reference is not None and reference.timing is not None:
        faster = [
            f"{reference.timing.median_wall / timing.median_wall:.2f}",
            f"{reference.timing.median_cpu / max(timing.median_cpu, 1e-9):.2f}",
        ]
    work = result.peak.work if result.peak else None
    memory = [_mib(work), _mib(result.peak.total if result.peak else None)]
    shares = [f"{100 * share:.1f}" for share in (result.matrix_share(roofs), result.memory_share(roofs))]
    return (*what, *times, *faster, *memory, *shares)


def _median_and_spread(values: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.median(values):.4g}", f"{min(values):.4g}-{max(values):.4g}"


def _mib(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.0f}"
