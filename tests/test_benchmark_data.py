"""The script that compares data paths with the training step."""

from training_setup import Run


def test_every_data_path_is_reported_beside_the_step(run_script, tmp_path):
    setting = ["--images", "3", "--side", "64", "--batches", "2", "--steps", "1"]
    finished = run_script("scripts/benchmark_data.py", "-opt", Run(tmp_path).opt, *setting)
    assert finished.status == 0, finished.err
    lines = [line.split("|") for line in finished.out.splitlines() if "|" in line][1:]
    names = [line[0].strip() for line in lines]
    assert names[0] == "folder, 0 workers"
    assert names[-3:] == ["cache: ram", "cache: gpu", "training step"]
    assert len(names) == 9
    assert all(float(line[1]) > 0 for line in lines)
