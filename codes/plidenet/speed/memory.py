"""The peak memory of a case, in a process of its own: `python -m plidenet.speed.memory` does the work."""

import json
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass

import torch

from plidenet.memory import PeakMemory, is_out_of_memory
from plidenet.speed.cases import Case, prepare

OUT_OF_MEMORY = 12  # the exit status that says so; ENOMEM


@dataclass(frozen=True)
class Peak:
    """Memory in bytes.

    Attributes:
        total: the process's largest resident size while it worked, with Python, torch and the weights (ru_maxrss).
        work: peak growth during the work, None where unknown; on a GPU, of tensors there.
    """

    total: int
    work: int | None


def peak_memory(case: Case) -> Peak | None:
    """Run a case once in a fresh process; None where memory does not suffice.

    The total can be no less than the largest size of the calling process, which the new one inherits: ask before
    doing much work.

    Raises:
        RuntimeError: the process fails in another way, with what it said.
    """
    command = [sys.executable, "-m", "plidenet.speed.memory", json.dumps(asdict(case)), str(torch.get_num_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (-signal.SIGKILL, OUT_OF_MEMORY):  # the system's way, and torch's
        return None
    if done.returncode:
        raise RuntimeError(f"measuring the memory of {case} failed:\n{done.stderr}")
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def measure(case: Case) -> Peak:
    """Run a case once in this process."""
    run, peak = prepare(case), PeakMemory(torch.device(case.device))
    if case.compiled or case.device != "cpu":
        run()  # what compiling takes does not count, nor what libraries on a GPU keep once they were used
    peak.begin()
    run()
    peak.end()
    unit = 1 if sys.platform == "darwin" else 1024
    return Peak(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, peak.bytes)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    try:
        print(json.dumps(asdict(measure(Case(**json.loads(sys.argv[1]))))))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.exit(OUT_OF_MEMORY)
