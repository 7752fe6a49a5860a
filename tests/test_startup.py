"""Programs start quickly: nothing heavy is imported that is not used. Each check runs in a fresh interpreter."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from plidenet.data.images import write_image

SLOW_TO_IMPORT = ("torchvision", "torch._dynamo", "torch.utils.tensorboard", "matplotlib", "skimage", "pyiqa")
EVERYTHING = "archs, checkpoint, config, data, degradation, evaluation, losses, metrics, training"


def modules_after(code):
    """The modules that are loaded once `code` has run."""
    program = f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_the_package_itself_imports_no_torch():
    assert "torch" not in modules_after("import plidenet")


def test_the_whole_package_imports_little_beyond_torch():
    loaded = modules_after(f"from plidenet import {EVERYTHING}")
    assert "torch" in loaded
    assert not loaded & set(SLOW_TO_IMPORT)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("create_lmdb.py", ["--source", "{images}", "--lmdb", "{out}.lmdb"]),
        ("extract_subimages.py", ["--source", "{images}", "--save", "{out}", "--size", "16", "--step", "8"]),
        ("hold_out.py", ["--source", "{images}", "--save", "{out}", "--every", "2"]),
    ],
)
def test_scripts_that_need_no_torch_do_not_import_it(tmp_path, script, arguments):
    (tmp_path / "images").mkdir()
    for name in ("one", "two"):
        write_image(tmp_path / "images" / f"{name}.png", np.zeros((32, 32, 3), np.uint8))
    filled = [argument.format(images=tmp_path / "images", out=tmp_path / "out") for argument in arguments]
    loaded = modules_after(
        f"import runpy, sys; sys.argv = {[f'scripts/{script}', *filled]}\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code"
    )
    assert "plidenet.data" in loaded
    assert "torch" not in loaded
