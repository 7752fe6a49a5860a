"""Damaged tables and kernels end in one sentence where programs go on from them or draw them."""

import os

import numpy as np
import pytest
from plidenet.errors import UserError
from plidenet.figures.results import read_csv
from plidenet.training.record import Record


def test_a_table_that_cannot_be_decoded_is_refused(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"image,psnr_y\n\xff\xfe,1\n")
    with pytest.raises(UserError, match=r"table\.csv is damaged"):
        read_csv(tmp_path / "table.csv")


def test_curves_that_cannot_be_decoded_are_refused_and_kept(tmp_path):
    (tmp_path / "curves.csv").write_bytes(b"iteration,name,value\n\xff,a,1\n")
    with pytest.raises(UserError, match=r"curves\.csv is damaged"):
        Record(tmp_path, 1, tensorboard=False)
    assert b"\xff" in (tmp_path / "curves.csv").read_bytes()


def test_a_line_whose_iteration_is_no_number_is_dropped(tmp_path):
    (tmp_path / "curves.csv").write_text("iteration,name,value\n1,a,1\n\u00b2,a,1\n", encoding="utf-8")
    Record(tmp_path, 1, tensorboard=False)
    assert (tmp_path / "curves.csv").read_text().split() == ["iteration,name,value", "1,a,1"]


def test_a_kernel_file_without_numbers_or_without_an_end_is_refused(run_script, tmp_path):
    np.save(tmp_path / "empty.npy", np.zeros((0, 0)))
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("empty.npy", "pipe.npy"):
        done = run_script("scripts/kernel_visual.py", tmp_path / name, "--save", tmp_path / "out.png")
        assert done.status == 2
        assert name in done.err
