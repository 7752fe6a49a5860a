"""Testing under torchrun: the images are divided, and tables and images are those of one process."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from plidenet.lock import lock
from testing_setup import LEARNED, make_benchmark

TABLES = ("Set5.csv", "Plain.csv", "Kernels.csv", "table.csv", "widths.csv", "kernels.csv")
MEASURED_ANEW = {"seconds", "peak_memory"}  # in each run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    return make_benchmark(tmp_path_factory.mktemp("benchmark"), [0.8, 1.2, 1.6])


def torchrun(program, *arguments):
    """Two processes on this machine's CPU."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command = [*launcher, str(ROOT / program), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)


def without_costs(lines):
    return [{name: cell for name, cell in line.items() if name not in MEASURED_ANEW} for line in lines]


def test_two_processes_write_the_tables_images_and_kernels_of_one(bench, weights, run_script):
    path = {"pretrain_model_G": str(weights)}
    alone = bench.options("alone", LEARNED, ("Set5", "Plain", "Kernels"), path=path)
    shared = bench.options("shared", LEARNED, ("Set5", "Plain", "Kernels"), path=path)
    assert run_script("test/test.py", "--compare", alone).status == 0
    done = torchrun("test/test.py", "--compare", shared, "--output", bench.folder / "results/both")
    assert done.returncode == 0, done.stderr
    for name in TABLES:
        assert without_costs(bench.table(f"alone/{name}")) == without_costs(bench.table(f"shared/{name}")), name
    assert bench.text("alone/table.md") == bench.text("shared/table.md")
    assert without_costs(bench.table("comparison/table.csv")) == without_costs(bench.table("both/table.csv"))
    assert int(bench.table("both/table.csv")[-1]["peak_memory"]) > 0
    assert done.stdout.count("| method") == 3, "one process alone prints the table, the one by widths, that of kernels"
    names = sorted(
        path.relative_to(bench.folder / "results/alone") for path in (bench.folder / "results/alone").rglob("*.*")
    )
    assert names == sorted(
        path.relative_to(bench.folder / "results/shared") for path in (bench.folder / "results/shared").rglob("*.*")
    )
    for name in names:
        if name.suffix == ".npy":
            one, other = (np.load(bench.folder / "results" / run / name) for run in ("alone", "shared"))
            np.testing.assert_array_equal(one, other)
        if name.suffix == ".png":
            one, other = ((bench.folder / "results" / run / name).read_bytes() for run in ("alone", "shared"))
            assert one == other, name


def test_more_processes_than_images_leave_some_without_work(bench):
    source = bench.benchmark / "HR/x2/sig0.8_cat.png"
    for kind, path in (("hr", source), ("lr", bench.benchmark / "LRblur/x2/sig0.8_cat.png")):
        (bench.folder / kind).mkdir()
        (bench.folder / kind / "cat.png").write_bytes(path.read_bytes())
    section = {"name": "one", "mode": "LQGT", "n_workers": 0}
    section |= {"dataroot_GT": str(bench.folder / "hr"), "dataroot_LQ": str(bench.folder / "lr")}
    done = torchrun("test/test.py", "-opt", bench.options("run", datasets={"test1": section}))
    assert done.returncode == 0, done.stderr
    assert bench.table("run/table.csv")[0]["images"] == "1"


def test_two_processes_restore_all_images_but_those_that_cannot_be(bench, weights):
    folder = bench.benchmark / "LRblur/x2"
    (bench.folder / "photographs").mkdir()
    for path in folder.iterdir():
        (bench.folder / "photographs" / path.name).write_bytes(path.read_bytes())
    first, *others = sorted((bench.folder / "photographs").iterdir())
    first.write_bytes(b"no image")
    options = bench.options("run", LEARNED, path={"pretrain_model_G": str(weights)})
    arguments = ["-input_dir", bench.folder / "photographs", "-output_dir", bench.folder / "restored"]
    done = torchrun("test/inference.py", "-opt", options, *arguments)
    assert done.returncode != 0
    assert f"error: 1 of {len(others) + 1} images were not restored; the first: {first} is not an image" in done.stderr
    assert {path.name for path in (bench.folder / "restored").glob("*.png")} == {path.name for path in others}


def test_where_another_test_is_at_work_all_processes_end(bench):
    folder = bench.folder / "results/run"
    folder.mkdir(parents=True)
    with lock(folder / ".lock", "taken"):
        done = torchrun("test/test.py", "-opt", bench.options("run"))
    assert done.returncode != 0
    assert f"{folder} is in use by another test" in done.stderr
    assert "Connection closed" not in done.stderr
