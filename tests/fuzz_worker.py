"""Runs numbered cases of readers in a process of its own, which a file may end or hold up.

`python fuzz_worker.py READER FIRST LAST [READER FIRST LAST ...]` prints a line for each case: reader and number before
it is read, and how it ended after: "read", "refused", or what went wrong. What a case is follows from its reader and
number alone.
"""

import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Protocol

from plidenet.cli import explain

SECONDS = 30  # for a case, on a machine that others use too
MEMORY = 3 << 30  # beyond what the process has at its start
STATM = Path("/proc/self/statm")
LONGEST = 2000  # characters of a sentence
READERS = {
    "images": "fuzz_images.Images",
    "LMDB data": "fuzz_lmdb.Databases",
    "LMDB meta files": "fuzz_lmdb_meta.MetaFiles",
    "options": "fuzz_options.OptionFiles",
    "checkpoints": "fuzz_checkpoints.Checkpoints",
    "kernels": "fuzz_arrays.Kernels",
    "manifests": "fuzz_arrays.Manifests",
    "programs": "fuzz_programs.Programs",
    "faulty": "fuzz_faulty.Faulty",
}
OUTSIDE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.", "webbrowser.")
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.")


class Reader(Protocol):
    """Makes cases: writes files to a folder, and returns what reads them as the programs do.

    Attributes:
        writes: whether the case may write, too, and then looks itself after what is left behind.
    """

    writes: bool

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]: ...


class Watch:
    """Notes whatever the reading does besides reading, in the way that Python audits it."""

    def __init__(self) -> None:
        self.armed, self.events = False, tuple[str, ...]()
        self.seen: list[str] = []
        sys.addaudithook(self.hear)

    def start(self, writes: bool) -> None:
        self.seen.clear()
        self.events = OUTSIDE if writes else OUTSIDE + CHANGING
        self.armed = True

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        opened = event == "open" and self.events != OUTSIDE and isinstance(arguments[2], int)
        if event.startswith(self.events) or (opened and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            self.seen.append(f"{event}{arguments}")


def main() -> None:
    watch, names = Watch(), sys.argv[1::3]
    with tempfile.TemporaryDirectory() as folder:
        readers = {}
        for i, name in enumerate(names):
            module, kind = READERS[name].split(".")
            own = Path(folder) / f"reader {i}"
            own.mkdir()
            readers[name] = getattr(import_module(module), kind)(own)
        _limit_memory()
        for name, first, last in zip(names, sys.argv[2::3], sys.argv[3::3], strict=True):
            for number in range(int(first), int(last)):
                print(f"{name}: {number}:", end=" ", flush=True)
                case = Path(folder) / "case"
                case.mkdir()
                print(" ".join(run(readers[name], name, number, case, watch).split()), flush=True)
                shutil.rmtree(case)


def run(reader: Reader, name: str, number: int, folder: Path, watch: Watch) -> str:
    """One case, in words."""
    read = reader.case(Random(f"{name}/{number}"), number, folder)
    before = sorted(folder.rglob("*"))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)  # whose signal ends the process, wherever that is
    watch.start(reader.writes)
    try:
        read()
        outcome = "read"
    except BaseException as error:
        outcome = judge(error)
    watch.armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    if watch.seen:
        return f"it did more than read: {watch.seen}"
    return outcome if reader.writes or sorted(folder.rglob("*")) == before else "it left something behind"


def judge(error: BaseException) -> str:
    """Whether an error is one that the programs answer with one sentence, and that sentence is one."""
    sentence = explain(error)
    if sentence is None:
        return "".join(traceback.format_exception(error))[-1500:]
    fine = sentence.isprintable() and 8 < len(sentence) <= LONGEST
    return "refused" if fine else f"no clear sentence: {sentence!r}"


def _limit_memory() -> None:
    if not STATM.exists():  # not Linux
        return
    used = int(STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)


if __name__ == "__main__":
    main()
