"""The demo's parts that need no training: its photographs, its commands, its picture."""

import runpy

import numpy as np
import pytest
from conftest import ROOT
from plidenet.config import load_options
from plidenet.data.images import named_images, read_image, write_image
from plidenet.errors import UserError

DEMO = runpy.run_path(str(ROOT / "scripts/demo.py"))
PHOTOGRAPHS = runpy.run_path(str(ROOT / "scripts/export_photographs.py"))["PHOTOGRAPHS"]


def test_the_photographs_for_training_and_testing_are_apart(run_script, tmp_path):
    finished = run_script("scripts/export_photographs.py", "--save", tmp_path / "photographs")
    assert finished.status == 0
    names = {part: set(named_images(tmp_path / "photographs" / part)) for part in ("train", "test")}
    assert names == {"train": set(PHOTOGRAPHS["train"]), "test": {"astronaut", "chelsea"}}
    assert not names["train"] & names["test"]
    again = run_script("scripts/export_photographs.py", "--save", tmp_path / "photographs")
    assert (again.status, again.err.count("\n")) == (2, 1)
    assert "exists already" in again.err


def test_every_command_of_the_demo_names_files_that_exist():
    for command in (*DEMO["PREPARE"].values(), DEMO["SHIPPED"], DEMO["TRAIN"], DEMO["TEST"]):
        for word in command.split():
            if word.endswith((".py", ".yml")):
                assert (ROOT / word).is_file(), word


def test_the_demo_tests_the_network_that_it_trains():
    trained = load_options(ROOT / "options/demo/train_demo_x4.yml")
    tested = load_options(ROOT / "options/demo/test_demo_x4.yml")
    assert tested.network_G == trained.network_G
    weights = trained.path.experiments_root / trained.name / "models/latest_G.pth"
    assert tested.path.pretrain_model_G == weights


def test_the_demo_tests_the_weights_that_ship():
    tested = load_options(ROOT / "options/demo/test_pretrained_x4.yml")
    shipped = load_options(ROOT / "options/setting1/test/test_setting1_x4_E.yml")
    assert (tested.network_G, tested.path) == (shipped.network_G, shipped.path)


def test_the_picture_shows_one_part_of_lr_of_every_method_and_of_hr(tmp_path, monkeypatch):
    monkeypatch.setitem(DEMO["draw"].__globals__, "ROOT", tmp_path)
    name = f"{DEMO['SHOWN']}.png"
    results = [f"results/{name}/Demo" for name in DEMO["COLUMNS"].values()]
    folders = ["datasets/demo/setting1/LRblur/x4", *results]
    for value, folder in enumerate([*folders, "datasets/demo/setting1/HR/x4"]):
        side = 128 if value == 0 else 512
        write_image(tmp_path / folder / name, np.full((side, side, 3), 40 * value, np.uint8))
    DEMO["draw"](tmp_path / "picture.png")
    picture = read_image(tmp_path / "picture.png")
    row = picture[60, :, 0]
    inside = [row[12 + 96 + number * (192 + 12)] for number in range(5)]
    assert inside == [0, 40, 80, 120, 160]


def test_a_command_that_fails_ends_the_demo():
    with pytest.raises(UserError, match="failed with status 2"):
        DEMO["execute"]("scripts/create_lmdb.py --source nowhere --lmdb out.lmdb")
