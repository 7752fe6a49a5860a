"""The weights that ship: what is in the files, what their pages say of them, and how well they restore a photograph."""

import csv
import hashlib
import math

import pytest
import torch
from conftest import ROOT
from plidenet.checkpoint import load_tensors
from plidenet.config import load_options
from plidenet.degradation import anisotropic_gaussian, degrade, imresize, isotropic_gaussian, principal_widths
from plidenet.evaluation.candidate import load_network
from plidenet.metrics import kernel_l1, psnr
from plidenet.pixels import to_float, to_uint8
from skimage import data

FOLDER = ROOT / "experiments/pretrained"
OPTIONS = {
    "PL_IDENet_E_x2_setting1": "options/setting1/test/test_setting1_x2_E.yml",
    "PL_IDENet_E_x2_setting2": "options/setting2/test/test_setting2_x2_E.yml",
    "PL_IDENet_E_x4_setting1": "options/setting1/test/test_setting1_x4_E.yml",
    "PL_IDENet_E_x4_setting2": "options/setting2/test/test_setting2_x4_E.yml",
    "PL_IDENet_x4_setting1": "options/setting1/test/test_setting1_x4.yml",
}
MEASURED = {  # PSNR on Y (dB) of the photograph below, L1 of its kernel
    "PL_IDENet_E_x2_setting1": (34.183, 0.292),
    "PL_IDENet_E_x2_setting2": (32.571, 0.363),
    "PL_IDENet_E_x4_setting1": (30.114, 0.251),
    "PL_IDENet_E_x4_setting2": (29.788, 0.229),
    "PL_IDENet_x4_setting1": (29.196, 0.251),
}


@pytest.fixture(scope="module", params=OPTIONS)
def name(request):
    return request.param


def test_every_file_of_weights_is_tested():
    assert {path.stem for path in FOLDER.glob("*.pth")} == OPTIONS.keys() == MEASURED.keys()


def test_a_file_holds_half_precision_tensors_and_is_the_one_of_its_page(name):
    content = load_tensors(FOLDER / f"{name}.pth")
    assert content.keys() == {"params"}
    dtypes = {value.dtype for key, value in content["params"].items() if not key.startswith("estimator.")}
    assert dtypes == {torch.float16}
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert hashlib.sha256((FOLDER / f"{name}.pth").read_bytes()).hexdigest() in page


def test_a_photograph_is_restored_as_well_as_when_the_weights_were_made(name):
    options = load_options(ROOT / OPTIONS[name])
    net = load_network(options).eval()
    assert options.path.pretrain_model_G == FOLDER / f"{name}.pth"
    hr = torch.from_numpy(data.astronaut()[:192, 120:312].copy()).permute(2, 0, 1)[None]
    true = isotropic_gaussian(21, 0.65 * options.scale)
    lr = to_uint8(degrade(to_float(hr, "cpu"), true, options.scale))
    with torch.no_grad():
        sr, kernel = net(to_float(lr, "cpu"))
    bicubic = imresize(to_float(lr, "cpu"), options.scale)
    ours, baseline = (psnr(to_uint8(image[0]), hr[0], options.scale) for image in (sr, bicubic))
    expected, distance = MEASURED[name]
    assert ours == pytest.approx(expected, abs=0.02)
    assert kernel_l1(kernel[0, 0], true) == pytest.approx(distance, abs=0.01)
    assert ours > baseline + 1


@pytest.mark.parametrize("angle", [0.4, 2.0])
@pytest.mark.parametrize("scale", [2, 4])
def test_the_direction_of_a_blur_is_seen(scale, angle):
    net = load_network(load_options(ROOT / OPTIONS[f"PL_IDENet_E_x{scale}_setting2"])).eval()
    hr = torch.from_numpy(data.astronaut()[:192, 120:312].copy()).permute(2, 0, 1)[None]
    lr = degrade(to_float(hr, "cpu"), anisotropic_gaussian(21, 3.0, 1.2, angle), scale)
    with torch.no_grad():
        kernel = net.estimator(to_float(to_uint8(lr), "cpu"))[0, 0]
    narrow, wide = principal_widths(kernel).tolist()
    assert wide > 1.5 * narrow
    along, across = (kernel_l1(kernel, anisotropic_gaussian(21, 3.0, 1.2, a)) for a in (angle, angle + math.pi / 2))
    assert along < 0.7 * across


def test_the_photographs_of_training_and_those_held_out_are_listed():
    with (FOLDER / "photographs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [row["file"] for row in rows]
    assert names == sorted(set(names))
    assert [row["file"] for row in rows if row["part"] == "heldout"] == names[32::33]
    assert all(row["licence"] and row["source_repo"] for row in rows)
