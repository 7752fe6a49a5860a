"""On a GPU, nothing meets what is on the CPU: seen on tensors that have a shape, a type and a device, but no content.

That needs no GPU. What it cannot see: gradients, autocast, and how good the numbers are.
"""

from unittest.mock import Mock

import pytest
import torch
from conftest import ROOT
from plidenet.archs.bands import in_bands
from plidenet.config import load_options
from plidenet.config.schema import Degradation
from plidenet.device import choose_device
from plidenet.errors import UserError
from plidenet.evaluation.ensemble import SelfEnsemble
from plidenet.evaluation.tiling import Tiled
from plidenet.losses import Restoration, build_losses, total_loss
from plidenet.training.degrader import RandomDegrader
from torch._subclasses import FakeTensorMode

LOSSES = build_losses([("l1", 1.0), ("lr_consistency", 1.0), ("gradient_difference", 1.0)])


@pytest.fixture
def gpu():
    """A mode in which tensors may be on a GPU that is not there; older versions of PyTorch look for one."""
    mode = FakeTensorMode()
    try:
        with mode:
            torch.fft.rfft2(torch.empty(2, 2, 1, device="cuda")[..., 0])
    except RuntimeError as error:
        if torch.__version__ >= (2, 14):
            raise
        pytest.skip(str(error).splitlines()[0])
    return mode


@pytest.fixture
def on_gpu(tiny_network, gpu):
    """A small network there."""

    def shape_of(value):
        with gpu:
            return torch.empty(value.shape, dtype=value.dtype, device="cuda")

    def build(name, scale):
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            return tiny_network(name, scale=scale)._apply(shape_of)
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(False)

    return build


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_training_step_up_to_its_loss(on_gpu, gpu, name, scale):
    net, degrade = on_gpu(name, scale), RandomDegrader(Degradation(rate_iso=0.5, random_disturb=True), scale, seed=0)
    with gpu:
        hr = torch.rand(4, 3, 24 * scale, 24 * scale, device="cuda")
        lr, _ = degrade(hr, 0)
        sr, kernel = net(lr)
        loss, _ = total_loss(LOSSES, Restoration(sr=sr, kernel=kernel, lr=lr, hr=hr))
        assert (lr.shape, sr.shape) == ((4, 3, 24, 24), hr.shape)
        assert {value.device.type for value in (lr, sr, kernel, loss)} == {"cuda"}


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_images_whole_in_bands_in_tiles_and_in_all_orientations(on_gpu, gpu, name):
    net = on_gpu(name, 4).eval()
    with gpu, torch.inference_mode():
        small, large = (torch.rand(1, 3, *size, device="cuda") for size in ((45, 37), (300, 400)))
        for restore, lr in ((net, small), (net, large), (Tiled(net, 24, 8), small), (SelfEnsemble(net), small)):
            sr, kernel = restore(lr)
            assert sr.shape[-2:] == (4 * lr.shape[-2], 4 * lr.shape[-1])
            assert sr.device.type == kernel.device.type == "cuda"


def test_most_images_are_taken_whole_and_large_ones_in_few_bands(gpu):
    def heights(height, device="cuda"):
        seen = []
        with gpu, torch.inference_mode():
            image = torch.empty(1, height, 2048, 1, device=device)
            in_bands(lambda band, _: seen.append(band.shape[1]) or band, image, window=8)
        return seen

    assert heights(480) == [480]
    assert heights(1200) == [488, 488, 224]
    assert heights(1200, "meta") == [1200], "multiply-adds are counted without what is computed twice"


@pytest.fixture
def chosen(monkeypatch):
    """The device of a process under torchrun (its number, how many there are), on a machine with GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)

    def choose(setting, number=None, count=None):
        for key, value in (("LOCAL_RANK", number), ("LOCAL_WORLD_SIZE", count)):
            monkeypatch.delenv(key, raising=False) if value is None else monkeypatch.setenv(key, str(value))
        file = ROOT / "options/setting1/test/test_setting1_x4_E.yml"
        return str(choose_device(load_options(file, [setting] if setting else [])))

    return choose


@pytest.mark.parametrize(
    ("setting", "process", "device"),
    [
        (None, (), "cuda:0"),
        (None, (1, 2), "cuda:1"),
        ("device=cuda:1", (), "cuda:1"),
        ("device=cuda:1", (0, 1), "cuda:1"),
        ("device=cpu", (1, 2), "cpu"),
        ("gpu_ids=[3]", (), "cuda:3"),
        ("gpu_ids=[3]", (0, 1), "cuda:3"),
        ("gpu_ids=[2,3]", (1, 2), "cuda:3"),
        (None, (1,), "cuda:1"),  # Slurm's launcher tells no count
    ],
)
def test_every_process_takes_its_gpu(chosen, setting, process, device):
    assert chosen(setting, *process) == device


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("device=cuda:0", "cannot be shared by 2 processes"), ("gpu_ids=[0]", "lists 1 GPUs, too few")],
)
def test_processes_do_not_share_a_gpu(chosen, setting, reason):
    with pytest.raises(UserError, match=reason):
        chosen(setting, 0, 2)


def test_a_gpu_that_is_asked_for_and_missing_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "empty", Mock(side_effect=AssertionError("Torch not compiled with CUDA enabled")))
    options = load_options(ROOT / "options/setting1/test/test_setting1_x4_E.yml", ["device=cuda"])
    with pytest.raises(UserError, match="device 'cuda:0' cannot be used: Torch not compiled"):
        choose_device(options)


def test_more_gpus_than_processes_are_told_once(chosen, caplog):
    for _ in range(2):
        assert chosen("gpu_ids=[2,3]") == "cuda:2"
    assert caplog.messages == ["gpu_ids: 1 of 2 GPUs are used; torchrun --nproc_per_node=2 uses all"]
