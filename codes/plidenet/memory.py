"""Peak and free memory; out-of-memory errors in one sentence."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from plidenet import distributed
from plidenet.errors import UserError

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CGROUP, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
CGROUP_FILES = (  # of version 2 and 1: the limit, what is taken, and in memory.stat what files take
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
SAID = (  # by torch's allocator on a CPU, by cuFFT, by cuBLAS and cuDNN, and by CUDA, where memory ran out
    "DefaultCPUAllocator",
    "CUFFT_ALLOC_FAILED",
    "STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)
RESET_PEAK = "5"  # see proc(5)


class OutOfMemory(UserError):
    """There is less memory than is needed."""


class PeakMemory:
    """The most memory that a piece of work takes, beyond what is in use when it begins.

    On a GPU that is the memory of tensors, on a CPU the growth of the process.

    Args:
        device: where the work is done.

    Attributes:
        bytes: the most of all pieces so far; None before the first, and on a CPU anywhere but on Linux.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None
        self._before: int | None = None

    def begin(self) -> None:
        """A piece of work starts."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
            return
        # Freed memory that the process still holds would hide what is taken. Not every system has the means.
        with suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):
            CLEAR.write_text(RESET_PEAK)
        self._before = _bytes(STATUS, "VmRSS")

    def end(self) -> None:
        """It is done."""
        if self.device.type == "cuda":
            peak: int | None = torch.cuda.max_memory_allocated(self.device)
        else:
            peak = _bytes(STATUS, "VmHWM")
        if peak is not None and self._before is not None:
            self.bytes = max(self.bytes or 0, peak - self._before)


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process can still take; None on a CPU anywhere but on Linux.

    The memory of a CPU is divided evenly among the processes that torchrun has started on this machine.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free_now = _bytes(Path("/proc/meminfo"), "MemAvailable")
    limit = _cgroup_room()
    if free_now is None:
        return None
    _, processes = distributed.place_on_machine()
    return min(free_now, free_now if limit is None else limit) // processes


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch or Python says that memory ran out, on a GPU or a CPU."""
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(said in str(error) for said in SAID)


@contextmanager
def out_of_memory_explained(sentence: str) -> Iterator[None]:
    """Raise OutOfMemory with this sentence where memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(sentence) from error


def _cgroup_room() -> int | None:
    """What a container or a job of a cluster may still take; None without a limit."""
    rooms = []
    for folder in _cgroups():
        for limit, taken, files in CGROUP_FILES:
            with suppress(OSError, ValueError):  # a limit of "max" is none
                room = int((folder / limit).read_text()) - int((folder / taken).read_text())
                rooms.append(room + _file_cache(folder, files))
    return min(rooms, default=None)


def _cgroups() -> Iterator[Path]:
    """The control groups of this process that may limit its memory, and those around them."""
    yield CGROUP  # all that a container sees
    with suppress(OSError):
        for line in OWN_CGROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)  # such as 4:memory:/job, or 0::/job in version 2
            if controllers in ("", "memory"):
                group = CGROUP / controllers / path.lstrip("/")
                yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(CGROUP))


def _file_cache(group: Path, name: str) -> int:
    """What a group takes for files that were read a while ago, and gives up where memory is needed."""
    lines = (group / "memory.stat").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


def _bytes(file: Path, name: str) -> int | None:
    """A line such as `VmHWM:  5120 kB` of a file in /proc, in bytes; None where there is none."""
    with suppress(OSError):
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    return None
