"""test/test.py, from the option file to the tables and images on disk."""

import csv
import multiprocessing
import os
import re
import shutil
import signal
import time
from itertools import count

import numpy as np
import pytest
from PIL import Image
from plidenet.checkpoint import save_checkpoint
from plidenet.errors import UserError
from plidenet.evaluation import evaluator
from plidenet.evaluation.candidate import load_network
from skimage import color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from testing_setup import LEARNED, read_png, restored_by
from training_setup import Run

WIDTHS = [0.8, 1.6]
COLUMNS = ["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"]


@pytest.fixture
def write_options(bench):
    """Write an option file for the benchmark; keyword arguments replace whole sections."""
    sets = {"test1": bench.section("lmdb"), "test2": bench.section("Plain") | {"name": "folder"}}
    return lambda **changes: bench.options("run", **{"datasets": sets} | changes)


def roots(folder, hr, lr):
    return {"dataroot_GT": str(folder / hr), "dataroot_LQ": str(folder / lr)}


def lq_only(benchmark):
    lr = str(benchmark / "LRblur/x2")
    return {"test1": {"name": "alone", "mode": "LQ", "dataroot_LQ": lr, "n_workers": 0}}


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def independent_scores(image, reference, border):
    """PSNR and SSIM by scikit-image, on its Y of YCbCr and on RGB."""
    inner = slice(border, -border or None)
    x, y = (picture[inner, inner].astype(np.float64) for picture in (image, reference))
    luma = [color.rgb2ycbcr(picture / 255)[..., 0] for picture in (x, y)]
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return {
        "psnr_y": peak_signal_noise_ratio(*luma, data_range=255),
        "ssim_y": structural_similarity(*luma, **window),
        "psnr_rgb": peak_signal_noise_ratio(x, y, data_range=255),
        "ssim_rgb": structural_similarity(x, y, channel_axis=2, **window),
    }


@pytest.mark.parametrize(("crop_border", "border"), [(None, 2), (0, 0), (5, 5)])
def test_the_tables_hold_what_scikit_image_measures_on_the_saved_images(
    write_options, run_script, tmp_path, benchmark, crop_border, border
):
    ended = run_script("test/test.py", "-opt", write_options(crop_border=crop_border))
    assert ended.status == 0, ended.err
    table = read_csv(tmp_path / "results/run/table.csv")
    assert list(table[0]) == ["dataset", "images", "crop_border", *COLUMNS]
    assert [(row["dataset"], row["images"], row["crop_border"]) for row in table] == [
        ("lmdb", "4", str(border)),
        ("folder", "4", str(border)),
    ]
    for row in table:
        per_image = read_csv(tmp_path / f"results/run/{row['dataset']}.csv")
        assert [line["image"] for line in per_image] == [f"sig{s}_{n}" for s in WIDTHS for n in ("cat", "face")]
        expected = [
            independent_scores(
                read_png(tmp_path / f"results/run/{row['dataset']}/{line['image']}.png"),
                read_png(benchmark / f"HR/x2/{line['image']}.png"),
                border,
            )
            for line in per_image
        ]
        for name in COLUMNS:
            tolerance = 6e-4 if name.startswith("psnr") else 6e-5
            assert [float(line[name]) for line in per_image] == pytest.approx(
                [e[name] for e in expected], abs=tolerance
            )
            assert float(row[name]) == pytest.approx(np.mean([e[name] for e in expected]), abs=tolerance)


def test_the_table_on_the_screen_is_the_one_in_the_file_and_states_the_crop(write_options, run_script, tmp_path):
    ended = run_script("test/test.py", "-opt", write_options(), "crop_border=3")
    table = (tmp_path / "results/run/table.md").read_text()
    assert table in ended.out
    assert "3 pixels cropped from each side" in table
    assert "Bicubic, scale 2" in table
    header, rule, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["dataset", "images", "crop_border", *COLUMNS]
    assert set(rule) <= set("|-:")
    values = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert values == [list(row.values()) for row in read_csv(tmp_path / "results/run/table.csv")]


def test_the_bicubic_network_interpolates_as_pillow_does(write_options, run_script, tmp_path, benchmark):
    run_script("test/test.py", "-opt", write_options())
    for path in (benchmark / "LRblur/x2").iterdir():
        with Image.open(path) as lr:
            expected = np.array(lr.resize((2 * lr.width, 2 * lr.height), Image.Resampling.BICUBIC)).astype(int)
        difference = np.abs(read_png(tmp_path / "results/run/lmdb" / path.name) - expected)
        assert difference[6:-6, 6:-6].max() <= 1
    assert not (tmp_path / "results/run/lmdb/kernels").exists()


def test_nothing_but_tables_is_saved_where_images_are_not_wanted(write_options, run_script, tmp_path):
    ended = run_script("test/test.py", "-opt", write_options(), "test.save_images=false")
    assert ended.status == 0
    assert sorted(path.name for path in (tmp_path / "results/run").iterdir()) == [
        ".lock",
        "folder.csv",
        "lmdb.csv",
        "table.csv",
        "table.md",
        "widths.csv",
        "widths.md",
    ]


def test_weights_are_loaded_and_images_and_kernels_saved_with_the_suffix(
    write_options, run_script, tmp_path, benchmark, learned, weights
):
    file = write_options(network_G=LEARNED, suffix="ours", datasets=lq_only(benchmark))
    ended = run_script("test/test.py", "-opt", file, f"path.pretrain_model_G={weights}")
    assert ended.status == 0, ended.err
    for path in (benchmark / "LRblur/x2").iterdir():
        image, kernel = restored_by(learned, read_png(path))
        saved = read_png(tmp_path / f"results/run/alone/{path.stem}_ours.png")
        assert np.abs(saved.astype(int) - image).max() <= 1
        array = np.load(tmp_path / f"results/run/alone/kernels/{path.stem}.npy")
        assert (array.shape, array.dtype) == ((21, 21), np.float32)
        np.testing.assert_allclose(array, kernel[0, 0], atol=1e-6)
        assert read_png(tmp_path / f"results/run/alone/kernels/{path.stem}.png").max() == 255
    assert len(list((tmp_path / "results/run/alone").glob("*.png"))) == 4


def test_lr_images_alone_are_restored_and_not_measured(write_options, run_script, tmp_path, benchmark):
    ended = run_script("test/test.py", "-opt", write_options(datasets=lq_only(benchmark)))
    assert ended.status == 0
    assert len(list((tmp_path / "results/run/alone").glob("*.png"))) == 4
    assert not (tmp_path / "results/run/alone.csv").exists()
    assert "Nothing was measured" in ended.out
    assert not (tmp_path / "results/run/table.csv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_G": LEARNED}, "PL_IDENet needs weights: set path.pretrain_model_G"),
        ({"network_G": LEARNED, "path": {"pretrain_model_G": "/none/x2.pth"}}, "/x2.pth; path.pretrain_model_G names"),
        ({"datasets": {}}, "testing needs a section datasets.test1"),
        ({"device": "cuda:77"}, "device 'cuda:77' cannot be used"),
        ({"nmae": "run"}, "unknown field nmae; did you mean 'name'?"),
    ],
)
def test_what_cannot_be_tested_ends_with_one_line_and_status_2(write_options, run_script, tmp_path, changes, message):
    ended = run_script("test/test.py", "-opt", write_options(**changes), f"path.results_root={tmp_path / 'results'}")
    assert ended.status == 2
    assert ended.err.startswith("error: ") and ended.err.count("\n") == 1
    assert message in ended.err
    assert not (tmp_path / "results").exists()


def test_the_option_file_of_a_run_is_told_where_the_runs_weights_are(tmp_path):
    with pytest.raises(UserError, match=r"needs weights: set .*, to .*/experiments/run/models/best_G.pth for example"):
        load_network(Run(tmp_path).options())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("datasets.test2.mode=GT", "datasets.test2 needs LR images: mode LQGT, or LQ"),
        ("datasets.test2.dataroot_LQ=/none", "no LMDB or folder at /none"),
        ("datasets.test2={name: folder, mode: LQGT, dataroot_GT: {0}/HR/x2, dataroot_LQ: {0}/HR/x2}", "not 2 times as"),
    ],
)
def test_bad_data_are_found_before_the_first_image(write_options, run_script, tmp_path, benchmark, override, message):
    ended = run_script("test/test.py", "-opt", write_options(), override.replace("{0}", str(benchmark)))
    assert ended.status == 2
    assert message in ended.err
    assert not (tmp_path / "results").exists()


def test_every_missing_set_is_named_by_its_field_and_how_to_leave_it_out(write_options, run_script):
    one = ("datasets.test2.dataroot_LQ=/none",)
    both = (*one, "datasets.test1.dataroot_GT=/gone", "datasets.test1.dataroot_LQ=/gone")
    first = "datasets.test1.dataroot_GT: no LMDB or folder at /gone"
    second = "datasets.test2.dataroot_LQ: no LMDB or folder at /none; scripts/build_benchmark.py makes benchmarks"
    for overrides, message in (
        (one, f"{second}; datasets.test2= leaves out what is missing"),
        (both, f"{first}, {second}"),
    ):
        ended = run_script("test/test.py", "-opt", write_options(), *overrides)
        assert (ended.status, ended.err) == (2, f"error: {message}\n")


def test_diverged_weights_are_named(write_options, run_script, benchmark, learned, weights):
    save_checkpoint(weights, params={name: 1e30 * value for name, value in learned.state_dict().items()})
    file = write_options(network_G=LEARNED, datasets=lq_only(benchmark))
    ended = run_script("test/test.py", "-opt", file, f"path.pretrain_model_G={weights}")
    assert ended.status == 2
    assert "sig0.8_cat: the network's output is not finite; its weights have diverged" in ended.err


def test_sets_that_are_done_keep_their_scores_when_a_later_one_fails(write_options, run_script, tmp_path, monkeypatch):
    restore, images = evaluator.restore, count()

    def failing(*arguments):
        if next(images) == 5:  # one is restored beforehand
            raise UserError("the first image of the second set is damaged")
        return restore(*arguments)

    earlier = run_script("test/test.py", "-opt", write_options())
    scores = read_csv(tmp_path / "results/run/lmdb.csv")
    monkeypatch.setattr(evaluator, "restore", failing)
    ended = run_script("test/test.py", "-opt", write_options(), "crop_border=0")
    assert (earlier.status, ended.status) == (0, 2)
    assert re.search(r"lmdb: PSNR \d\d\.\d{3} dB, SSIM 0\.\d{4} on Y \(crop 0\)", ended.out)
    assert read_csv(tmp_path / "results/run/lmdb.csv") != scores
    assert not (tmp_path / "results/run/table.csv").exists(), "that was of the earlier scores"


def test_a_loader_process_that_is_killed_is_told(write_options, run_script, benchmark, monkeypatch):
    def kill(*_):
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.5)

    monkeypatch.setattr("plidenet.evaluation.saving.ImageSaver.__call__", kill)
    sets = {"test1": {"name": "a", "mode": "LQGT", "n_workers": 1, **roots(benchmark, "HR/x2", "Bic/x2")}}
    done = run_script("test/test.py", "-opt", write_options(datasets=sets))
    assert done.status == 2
    (line,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert re.match(r"error: DataLoader worker \(pid.*(killed|exited).*; a smaller n_workers takes less memory$", line)


def test_paths_of_the_option_file_start_at_the_project_root_wherever_the_program_runs(
    write_options, run_script, tmp_path, benchmark, weights, monkeypatch
):
    project = tmp_path / "project"
    for folder in ("options", "test", "datasets"):
        (project / folder).mkdir(parents=True)
    (project / "pyproject.toml").touch()
    shutil.copytree(benchmark / "LRblur/x2", project / "datasets/LR")
    shutil.copy(weights, project)
    lr = {"name": "alone", "mode": "LQ", "dataroot_LQ": "datasets/LR", "n_workers": 0}
    pair = {"name": "pair", "mode": "LQGT", **roots(benchmark, "HR_x2.lmdb", "LRblur_x2.lmdb"), "n_workers": 0}
    sets = {"test1": lr, "test2": pair}
    file = write_options(network_G=LEARNED, datasets=sets, path={"pretrain_model_G": weights.name})
    file.rename(project / "options/mine.yml")
    monkeypatch.chdir(project / "test")
    ended = run_script("test/test.py", "-opt", "../options/mine.yml", "path.results_root=")
    assert ended.status == 0, ended.err
    assert len(list((project / "results/run/alone").glob("*.png"))) == 4
    assert read_csv(project / "results/run/table.csv")[0]["images"] == "4"
    assert not list((project / "test").iterdir())
