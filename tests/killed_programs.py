"""Programs to be killed: a process that has imported everything forks one for each line it reads, and kills it.

A line is a JSON object: `work` ("train" or "lmdb") with its `arguments`, and, for one to be killed, `delay` in seconds
and `after`, the number of saves (or of LMDB transactions) begun from which the delay counts. The answer says how it
ended: `killed`, `saving` (in a save when it was killed), `saves` begun, the `seconds` it took, and its exit
`status`. `log` is the file to append log lines to.
"""

import json
import logging
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from plidenet.config import load_options
from plidenet.data import lmdb_store
from plidenet.training import Trainer

SAVING, SAVES = 0, 1  # places in the memory that both processes see


def noted(function: Callable[..., Any], seen: mmap.mmap) -> Callable[..., Any]:
    """The function, marked as a save in progress while it runs."""

    def call(*arguments: Any) -> Any:
        seen[SAVING], seen[SAVES] = 1, seen[SAVES] + 1
        try:
            return function(*arguments)
        finally:
            seen[SAVING] = 0

    return call


def train(opt: str, overrides: list[str], seen: mmap.mmap) -> None:
    Trainer.save = noted(Trainer.save, seen)  # type: ignore[method-assign]
    Trainer(load_options(opt, overrides), Path(opt)).fit()


def lmdb(target: str, images: list[str], format: str, seen: mmap.mmap) -> None:
    lmdb_store._commit = noted(lmdb_store._commit, seen)
    lmdb_store.TRANSACTION_BYTES = 1 << 17
    lmdb_store.write_lmdb(Path(target), {Path(image).stem: Path(image) for image in images}, format, workers=2)


def child(job: dict[str, Any], seen: mmap.mmap) -> None:
    """Do the work in a process of its own, and end it without a word."""
    status = 1
    try:
        if "log" in job:
            handler = logging.FileHandler(job["log"], encoding="utf-8")
            logging.getLogger("plidenet").addHandler(handler)
        {"train": train, "lmdb": lmdb}[job["work"]](*job["arguments"], seen)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def attempt(job: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait or kill, and say how it ended."""
    seen = mmap.mmap(-1, 2)
    start = time.monotonic()
    process = os.fork()
    if not process:
        child(job, seen)
    if "delay" in job:
        while seen[SAVES] < job["after"] and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.0005)
        time.sleep(job["delay"])
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "status": None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status),
        "saving": bool(seen[SAVING]),
        "saves": seen[SAVES],
        "seconds": time.monotonic() - start,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.getLogger("plidenet").setLevel(logging.INFO)
    for line in sys.stdin:
        print(json.dumps(attempt(json.loads(line))), flush=True)
