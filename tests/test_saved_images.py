"""Images that another program restored: measured as a network's output is, in the same tables."""

import shutil

import pytest

OTHER = {"which_model_G": "Other", "setting": {}}


@pytest.fixture
def restored(bench, run_script):
    """The folder of images that bicubic interpolation leaves, with its scores in table.csv."""
    done = run_script("test/test.py", "-opt", bench.options("bicubic", sets=("Set5", "Kernels")))
    assert done.status == 0, done.err
    return bench.folder / "results/bicubic"


def other(bench, restored, **changes):
    paths = {"path": {"restored_root": str(restored), "pretrain_model_G": "/none"}}
    return bench.options("other", OTHER, ("Set5", "Kernels"), **paths | changes)


def test_they_get_the_scores_that_the_network_got(bench, restored, run_script):
    done = run_script("test/test.py", "-opt", other(bench, restored))
    assert done.status == 0, done.err
    assert bench.table("other/table.csv") == bench.table("bicubic/table.csv")
    assert bench.table("other/widths.csv") == bench.table("bicubic/widths.csv")
    images = [
        {name: value for name, value in row.items() if name != "seconds"} for row in bench.table("bicubic/Set5.csv")
    ]
    assert bench.table("other/Set5.csv") == images
    assert not (bench.folder / "results/other/Set5").exists()
    assert "- Other: images that another program restored.\n" in bench.text("other/table.md")
    assert "weights" not in bench.text("other/table.md")


def test_a_comparison_has_their_scores_and_no_cost(bench, restored, run_script):
    network = bench.options("bicubic", sets=("Set5", "Kernels"))
    done = run_script("test/test.py", "--compare", network, other(bench, restored))
    assert done.status == 0, done.err
    bicubic, theirs = bench.table("comparison/table.csv")[-2:]
    assert (bicubic["method"], theirs["method"]) == ("Bicubic", "Other")
    costs = ("parameters", "multiply_adds", "seconds", "peak_memory")
    assert [theirs[name] for name in costs] == [""] * 4
    assert all(bicubic[name] == theirs[name] for name in bicubic if name not in ("method", *costs))
    assert "- Other: images that another program restored.\n- Measured rows: " in bench.text("comparison/table.md")


def test_names_may_differ_in_the_affixes_that_pairing_ignores(bench, restored, run_script):
    for path in [*restored.rglob("Set5/*.png"), *restored.rglob("Kernels/*.png")]:
        path.rename(path.with_name(f"{path.stem}_x2.png"))
    done = run_script("test/test.py", "-opt", other(bench, restored))
    assert done.status == 0, done.err
    assert bench.table("other/table.csv") == bench.table("bicubic/table.csv")


def test_hr_images_beside_them_are_not_taken_for_them(bench, restored, run_script):
    for path in restored.rglob("Set5/*.png"):
        path.with_name(f"{path.stem}_gt.png").write_bytes(b"")
    done = run_script("test/test.py", "-opt", other(bench, restored))
    assert done.status == 0, done.err
    assert bench.table("other/table.csv") == bench.table("bicubic/table.csv")
    for path in restored.rglob("Set5/*_gt.png"):
        path.with_name(path.name.replace("_gt", "")).unlink()
    done = run_script("test/test.py", "-opt", other(bench, restored))
    assert "has no restored image for 4 of 4: " in done.err
    assert "; of no use are sig0.8_cat_gt, " in done.err
    assert "(names in _gt, _HR, _LR are not of restored images)" in done.err


def test_names_may_end_in_the_suffix(bench, restored, run_script):
    for path in [*restored.rglob("Set5/*.png"), *restored.rglob("Kernels/*.png")]:
        path.rename(path.with_name(f"{path.stem}_cat.png"))
        path.write_bytes(b"of another method")
    done = run_script("test/test.py", "-opt", other(bench, restored, suffix="cat"))
    assert done.status == 0, done.err
    assert bench.table("other/table.csv") == bench.table("bicubic/table.csv")


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (
            lambda folder: [
                shutil.move(folder / "Set5/sig0.8_cat.png", folder / "Set5/sig0.8_cat_x2.png"),
                shutil.copy(folder / "Set5/sig0.8_cat_x2.png", folder / "Set5/img_sig0.8_cat_x2.png"),
                shutil.copy(folder / "Set5/sig0.8_cat_x2.png", folder / "Set5/sig0.80_cat.png"),
            ],
            {},
            "sig0.80_cat.png and sig0.8_cat_x2.png may both be the restored sig0.8_cat; call one of them sig0.8_cat",
        ),
        (lambda folder: (folder / "Set5/sig0.8_cat.png").unlink(), {}, "no restored image for 1 of 4: sig0.8_cat"),
        (lambda folder: shutil.rmtree(folder / "Kernels"), {}, "no folder"),
        (lambda folder: (folder / "Set5/sig0.8_cat.png").write_bytes(b""), {}, "sig0.8_cat.png is not an image"),
        (
            lambda folder: shutil.copy(folder / "Set5/sig0.8_face.png", folder / "Set5/sig0.8_cat.png"),
            {},
            "sig0.8_cat: images of different shapes",
        ),
        (lambda folder: None, {"test": {"ensemble": True}}, "test.ensemble needs a network"),
    ],
)
def test_what_cannot_be_measured_ends_with_one_line(bench, restored, run_script, spoil, changes, message):
    spoil(restored)
    done = run_script("test/test.py", "-opt", other(bench, restored, **changes))
    assert (done.status, message in done.err.splitlines()[-1]) == (2, True), done.err
