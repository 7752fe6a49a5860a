"""Damaged and hostile files, thousands of them: every reader reads or refuses each with one sentence, and does no more.

The cases run in processes of their own (`fuzz_worker.py`): one that a file ends, or holds up, is started again behind
that case. A failure names its case, which comes again with `python tests/fuzz_worker.py READER NUMBER NUMBER+1`.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from conftest import ROOT

QUICK = {"images": 130, "LMDB data": 130, "LMDB meta files": 70, "options": 100, "checkpoints": 100, "kernels": 60}
QUICK |= {"manifests": 50, "programs": 32}
ALL = {"images": 4000, "LMDB data": 4000, "LMDB meta files": 2000, "options": 3000, "checkpoints": 3000}
ALL |= {"kernels": 1500, "manifests": 1500, "programs": 800}


class Case(NamedTuple):
    """A case and how it ended."""

    reader: str
    number: int
    outcome: str


def fuzz(counts: Mapping[str, int]) -> list[Case]:
    """Run so many cases of each reader."""
    cases: list[Case] = []
    starts = dict.fromkeys(counts, 0)
    while left := [(name, str(start), str(counts[name])) for name, start in starts.items() if start < counts[name]]:
        command = [sys.executable, str(ROOT / "tests/fuzz_worker.py"), *(word for work in left for word in work)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=1800)
        lines = [line for line in done.stdout.split("\n") if line]
        assert lines, done.stderr
        for line in lines:
            name, number, outcome = line.split(":", 2)
            died = f"ended the process, status {done.returncode}: {done.stderr[-500:]}"
            cases.append(Case(name, int(number), outcome.strip() or died))
            starts[name] = int(number) + 1
    return cases


def check(counts: Mapping[str, int]) -> None:
    """Run cases, print how many there were of each reader, and fail where one did what it must not."""
    cases = fuzz(counts)
    ended = Counter((case.reader, case.outcome) for case in cases)
    print(f"\n{'reader':16} {'cases':>6} {'read':>6} {'refused':>8}")
    for name, count in counts.items():
        print(f"{name:16} {count:6} {ended[name, 'read']:6} {ended[name, 'refused']:8}")
    print(f"{'all':16} {len(cases):6}")
    assert Counter(case.reader for case in cases) == counts
    failed = [case for case in cases if case.outcome not in ("read", "refused")]
    assert not failed, "\n\n".join(f"{case.reader} {case.number}: {case.outcome}" for case in failed[:10])
    for name in counts:
        assert ended[name, "read"], f"{name}: nothing was read, so this tests little"
        assert ended[name, "refused"], f"{name}: nothing was refused, so this tests little"


def test_some_hundred_damaged_files_are_read_or_refused():
    check(QUICK)


@pytest.mark.exhaustive
def test_ten_thousand_damaged_files_are_read_or_refused():
    assert sum(ALL.values()) >= 10_000
    check(ALL)


def test_whatever_a_reader_must_not_do_is_noticed():
    outcomes = [case.outcome for case in fuzz({"faulty": 9})]
    assert outcomes[:2] == ["read", "refused"]
    expected = ["status -11", "status -14", "KeyError", "os.system", "os.rmdir", "'w'", "no clear sentence"]
    for outcome, words in zip(outcomes[2:], expected, strict=True):
        assert words in outcome
