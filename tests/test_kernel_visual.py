"""scripts/kernel_visual.py: the sheet it draws, and what it refuses."""

import os
import runpy
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from plidenet.degradation import anisotropic_gaussian
from plidenet.evaluation import drawing


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_kernel_visual_draws_every_kernel_in_rows_of_eight(run_script, tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    for i in range(3):
        np.save(folder / f"k{i}.npy", anisotropic_gaussian(21, 1 + i, 2, 0.3).numpy().astype(np.float32))
    np.save(tmp_path / "many.npy", np.stack([anisotropic_gaussian(11, 1, 4, angle).numpy() for angle in range(7)]))
    done = run_script("scripts/kernel_visual.py", folder, tmp_path / "many.npy", "--save", tmp_path / "sheet.png")
    assert done.status == 0, done.err
    assert "10 kernels drawn" in done.out
    run_script("scripts/kernel_visual.py", folder, "--save", tmp_path / "row.png")
    sheet, row = cv2.imread(str(tmp_path / "sheet.png")), cv2.imread(str(tmp_path / "row.png"))
    tile = 168 + 12
    assert row.shape[1] == 3 * tile + 12
    assert sheet.shape == (2 * row.shape[0], 8 * tile + 12, 3)
    dark = [sheet[y + 12 + 2, x + 12 + 2].max() < 20 for y in (0, row.shape[0]) for x in range(0, 8 * tile, tile)]
    white = [sheet[y + 12 + 84, x + 12 + 84].min() == 255 for y in (0, row.shape[0]) for x in range(0, 8 * tile, tile)]
    assert dark == [True] * 10 + [False] * 6, "ten tiles are dark at the corner, the rest is paper"
    assert all(white), "and each is white at its kernel's maximum"
    assert (sheet[12 + 168 + 4 : row.shape[0], : 3 * tile].min(axis=(0, 2)) < 128).sum() > 100, "titles are missing"


def test_kernel_visual_tells_kernels_of_one_name_apart_by_their_folders(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "draw_kernels", lambda kernels, _: drawn.extend(kernels) or np.zeros((1, 1), np.uint8))
    for folder, name in (("est", "a"), ("est", "b"), ("true", "a")):
        (tmp_path / folder).mkdir(exist_ok=True)
        np.save(tmp_path / folder / f"{name}.npy", np.ones((3, 3)))
    folders = [str(tmp_path / "est"), str(tmp_path / "true")]
    monkeypatch.setattr(sys, "argv", ["kernel_visual.py", *folders, "--save", str(tmp_path / "sheet.png")])
    runpy.run_path(str(ROOT / "scripts/kernel_visual.py"))["main"]()
    assert [name for name, _ in drawn] == ["est/a", "b", "true/a"]


def test_kernel_visual_passes_over_the_hidden_files_that_some_systems_leave(run_script, here):
    (here / "kernels").mkdir()
    np.save(here / "kernels/a.npy", np.ones((3, 3)))
    (here / "kernels/._a.npy").write_bytes(b"of macOS")
    run = run_script("scripts/kernel_visual.py", here / "kernels", "--save", here / "sheet.png")
    assert (run.status, run.out.strip()) == (0, f"1 kernels drawn in {here / 'sheet.png'}")


def test_kernel_visual_shrinks_kernels_larger_than_their_square(run_script, here):
    np.save(here / "large.npy", anisotropic_gaussian(181, 20, 20, 0).numpy())
    assert run_script("scripts/kernel_visual.py", here / "large.npy", "--save", here / "sheet.png").status == 0
    sheet = cv2.imread(str(here / "sheet.png"))
    assert sheet.shape[1] == 168 + 2 * 12
    assert sheet[12 + 84, 12 + 84].min() > 250


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (None, "k.npy cannot be read as a kernel"),
        (np.ones((3, 3), bool), "k.npy holds no kernel: it needs to be a .npy file of an array (k,k) or (N,k,k)"),
        (np.ones((0, 3, 3)), "k.npy holds no kernel"),
        (np.stack([np.ones((3, 3)), np.zeros((3, 3))]), "k.npy holds no kernel"),
        (np.diag([-1.0, 3, 3]), "k.npy has negative values"),
        (np.array([{}]), "k.npy cannot be read as a kernel"),
    ],
)
def test_kernel_visual_refuses_what_is_no_kernel(refused, here, array, message):
    (here / "k.npy").write_bytes(b"no numbers")
    if array is not None:
        np.save(here / "k.npy", array)
    assert message in refused("scripts/kernel_visual.py", "k.npy", "--save", "out.png")


def test_kernel_visual_refuses_missing_files_and_names_that_are_no_images(refused, here):
    os.mkfifo("pipe.npy")
    for name in ("none", "pipe.npy"):
        assert refused("scripts/kernel_visual.py", name, "--save", "out.png") == f"{name} is not a file"
    (here / "HR").mkdir()
    assert refused("scripts/kernel_visual.py", "HR", "--save", "out.png") == "HR holds no kernels (.npy)"
    cv2.imwrite("k.png", np.ones((3, 3), np.uint8))
    message = "k.png cannot be read as a kernel: it needs to be a .npy file"
    assert refused("scripts/kernel_visual.py", "k.png", "--save", "out.png").startswith(message)
    np.save(here / "k.npy", np.ones((3, 3)))
    assert "out.txt is no name for an image" in refused("scripts/kernel_visual.py", "k.npy", "--save", "out.txt")
