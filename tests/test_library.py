"""The package in somebody's own code: traced, wrapped, copied, mapped, in processes and loaders that are not ours."""

import copy
import dataclasses
import pickle
import subprocess
import sys
import textwrap
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import plidenet
import pytest
import torch
from conftest import ROOT
from plidenet.archs import NETWORKS, build_network
from plidenet.archs.kernel_estimator import KernelEstimator
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.wiener import WienerDeconvolution
from plidenet.checkpoint import load_checkpoint, save_checkpoint
from plidenet.config import load_options
from plidenet.data.datasets import GTDataset
from plidenet.data.images import list_images, write_image
from plidenet.degradation import anisotropic_gaussian, degrade, imresize, isotropic_gaussian
from plidenet.errors import UserError
from plidenet.evaluation.tiling import Tiled
from plidenet.metrics import kernel_l1, psnr, rgb_to_y
from plidenet.registry import Registry
from torch import nn
from torch.utils.data import DataLoader

SMALL = {"num_feat": 8, "embed_dim": 8, "depths": [2], "num_heads": [2], "prompt_dims": [4], "prompt_heads": [1]}
SMALL |= {"kernel_size": 5, "kernel_embed_dim": 8, "scale": 2}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return build_network("PL_IDENet_E", **SMALL).eval()


@pytest.mark.skipif(torch.__version__ < (2, 6), reason="torch.export of older versions fails")
def test_images_are_resized_as_before_after_an_export():
    image = torch.rand(1, 3, 18, 14)
    expected = imresize(image.double(), 0.5).float()
    imresize_alone = build_network("Bicubic", scale=2).eval()
    with torch.no_grad():
        program = torch.export.export(imresize_alone, (image,)).module()
        assert type(imresize_alone(image)[0]) is torch.Tensor
        torch.testing.assert_close(program(image)[0], imresize_alone(image)[0], rtol=0, atol=0)
    torch.testing.assert_close(imresize(image, 0.5), expected)


def test_a_compiled_degradation_is_the_same_with_the_same_gradient():
    image, kernel = torch.rand(2, 3, 16, 16), isotropic_gaussian(5, 1.0).repeat(2, 1, 1).requires_grad_()
    compiled = torch.compile(lambda *inputs: degrade(*inputs, 2), backend="aot_eager", fullgraph=True)
    results = []
    for function in (compiled, lambda *inputs: degrade(*inputs, 2)):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*lru_cache")
            output = function(image, kernel)
        results.append((output, *torch.autograd.grad(output.square().sum(), kernel)))
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_a_known_kernel_takes_the_place_of_the_estimate(net):
    lr, known = torch.rand(2, 3, 17, 20), anisotropic_gaussian(5, 0.6, 1.5, 0.4).expand(2, 1, 5, 5)
    with torch.no_grad():
        blind, estimate = net(lr)
        told, returned = net(lr, kernel=estimate)
        assert torch.equal(told, blind) and returned is estimate
        sr, returned = net(lr, kernel=known)
        deblurred = net.wiener(net.upsampler(lr), known)
        assert returned is known
        assert torch.equal(sr, net.refinement(deblurred, net.embedding(known)))
        assert not torch.allclose(sr, blind)
        torch.testing.assert_close(net(lr, kernel=known.double())[0], sr)
    for shape in ((2, 5, 5), (2, 1, 7, 7), (2, 2, 5, 5), (1, 1, 5, 5), (3, 1, 5, 5)):
        with pytest.raises(ValueError, match=r"takes kernels \(2,1,5,5\), not "):
            net(lr, kernel=torch.rand(shape))


def test_a_network_can_rotate_its_kernels_for_the_deconvolution(net):
    rotating = build_network("PL_IDENet_E", **SMALL, rotate_kernel=True).eval()
    rotating.load_state_dict(net.state_dict())
    lr, kernel = torch.rand(1, 3, 17, 20), torch.rand(1, 1, 5, 5).flatten(1).softmax(dim=1).view(1, 1, 5, 5)
    with torch.no_grad():
        deblurred, embedding, returned = rotating.prepare(lr, kernel=kernel)
        assert torch.equal(deblurred, net.prepare(lr, kernel=kernel.flip(-1, -2))[0])
        assert torch.equal(embedding, net.embedding(kernel)) and returned is kernel


def test_a_prepare_of_ones_own_need_not_know_of_known_kernels():
    class Own(PLIDENet):
        def prepare(self, lr, upsampled=None):
            return super().prepare(lr, upsampled)

    assert Own(**SMALL).eval()(torch.rand(1, 3, 16, 16))[0].shape == (1, 3, 32, 32)


def test_a_wrapper_that_learns_something_itself_is_not_taken_off(net, tmp_path):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.module, self.factor = net, nn.Parameter(torch.ones(()))

    save_checkpoint(tmp_path / "weights.pth", params=net.state_dict())
    with pytest.raises(UserError, match=r"missing: .*factor"):
        load_checkpoint(Scaled(), tmp_path / "weights.pth")


def test_gradients_of_single_images_by_vmap_are_those_of_a_loop(net):
    weights, images = dict(net.named_parameters()), torch.rand(2, 3, 16, 16)

    def loss(weights, image):
        return torch.func.functional_call(net, weights, (image[None],))[0].square().mean()

    mapped = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, images)
    for number, image in enumerate(images):
        alone = torch.func.grad(loss)(weights, image)
        for name, value in alone.items():
            torch.testing.assert_close(mapped[name][number], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_weights_are_loaded_into_a_wrapped_network(net, tmp_path, wrap):
    save_checkpoint(tmp_path / "weights.pth", params=wrap(net).state_dict())
    other = build_network("PL_IDENet_E", **SMALL)
    load_checkpoint(wrap(other), tmp_path / "weights.pth")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in net.state_dict().items())


def test_a_network_can_be_built_without_memory():
    with torch.device("meta"):
        assert all(value.is_meta for value in build_network("PL_IDENet_E", **SMALL).state_dict().values())


def test_options_are_copied_pickled_and_taken_apart():
    options = load_options(ROOT / "options/setting1/train/train_setting1_x4_E.yml")
    assert copy.deepcopy(options) == pickle.loads(pickle.dumps(options)) == options
    assert dataclasses.asdict(options)["train"]["niter"] == options.train.niter


def test_a_cell_of_a_notebook_that_runs_again_registers_what_it_defines_anew():
    registry = Registry("thing")
    cell = "@registry.register('mine')\ndef mine(): return {}"
    for version in (1, 2):
        exec(cell.format(version), {"registry": registry, "__name__": "__main__"})
    assert registry.build("mine") == 2
    with pytest.raises(UserError, match="'mine' is registered twice"):
        exec(cell.format(3), {"registry": registry, "__name__": "a part"})
    part = {"registry": Registry("thing"), "__name__": "a part"}
    exec(cell.format(1), part)
    with pytest.raises(UserError, match="'mine' is registered twice"):
        exec(cell.format(2), part)
    with pytest.raises(UserError, match="registered twice"):
        NETWORKS.register("PL_IDENet")(lambda: None)
    with pytest.raises(UserError, match="registered twice"):
        NETWORKS.register("PL_IDENet_E")(partial(PLIDENet, unshuffle="scale"))


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_seed_decides_the_crops_of_a_plain_loader(tmp_path, workers):
    for name in "ab":
        write_image(tmp_path / f"{name}.png", np.random.default_rng(ord(name)).integers(0, 256, (40, 40, 3), np.uint8))
    loader = DataLoader(GTDataset(dataroot_GT=tmp_path, GT_size=8, use_flip=True), batch_size=2, num_workers=workers)

    def epochs():
        torch.manual_seed(3)
        return torch.stack([batch["gt"] for _ in range(2) for batch in loader])

    first = epochs()
    assert torch.equal(first, epochs())
    assert not torch.equal(*first)


def test_daemons_that_are_not_ours_end_as_they_would_without_us(tmp_path):
    program = """
        import multiprocessing, pathlib, signal, sys, time
        from plidenet.data import loaders

        def work(told):
            signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(told).write_text("flushed"), sys.exit()))
            pathlib.Path(told).write_text("started")
            time.sleep(60)

        if __name__ == "__main__":
            multiprocessing.Process(target=work, args=(sys.argv[1],), daemon=True).start()
            while not pathlib.Path(sys.argv[1]).is_file():
                time.sleep(0.05)
            time.sleep(0.2)
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    subprocess.run([sys.executable, tmp_path / "program.py", tmp_path / "told"], check=True, timeout=120)
    assert (tmp_path / "told").read_text() == "flushed"


def test_type_checkers_are_told_that_there_are_types():
    assert (Path(plidenet.__file__).parent / "py.typed").is_file()
    assert "py.typed" in (ROOT / "pyproject.toml").read_text()


def test_numpy_numbers_are_widths_like_any_others():
    for width in np.linspace(1.8, 3.2, 2):
        assert torch.equal(isotropic_gaussian(21, width), isotropic_gaussian(21, float(width)))


@pytest.mark.parametrize("width", [0, -1.0, float("nan")])
def test_a_width_that_is_none_is_refused(width):
    for widths in ((width, 1), (1, width)):
        with pytest.raises(ValueError, match="width must be positive"):
            anisotropic_gaussian(5, *widths, angle=0)


def test_luma_of_a_batch_is_that_of_its_images():
    batch = torch.rand(3, 3, 4, 5) * 255
    assert torch.equal(rgb_to_y(batch), torch.stack([rgb_to_y(image) for image in batch]))


def test_images_of_other_value_ranges_are_not_scored():
    unit, file = torch.rand(3, 16, 16), torch.full((3, 16, 16), 200, dtype=torch.uint8)
    for pair, which in (((unit, file), "image"), ((file, unit), "reference")):
        with pytest.raises(ValueError, match=f"the {which} has no value above 1"):
            psnr(*pair)
    with pytest.raises(ValueError, match="one by one"):
        kernel_l1(torch.ones(2, 1, 3, 3), torch.ones(2, 1, 3, 3))


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (2, 1, 4, 4), (2, 1, 5, 3), (2, 3, 5, 5), (2, 1, 17, 17)])
def test_the_deconvolution_says_what_kernels_it_takes(shape):
    with pytest.raises(ValueError, match="needs kernels"):
        WienerDeconvolution()(torch.rand(2, 3, 7, 9), torch.rand(shape))


def test_the_deconvolution_computes_in_the_wider_of_two_types():
    image, kernel = torch.rand(1, 3, 16, 16), isotropic_gaussian(5, 1.0)[None, None]
    for types in ((torch.float32, torch.float64), (torch.float64, torch.float16)):
        assert WienerDeconvolution()(image.to(types[0]), kernel.to(types[1])).dtype == torch.float64


def test_other_arguments_are_refused_where_they_are_given(net, tmp_path):
    with pytest.raises(ValueError, match="kernel_size must be positive and odd, not 20"):
        KernelEstimator(kernel_size=20)
    with pytest.raises(ValueError, match=r"takes RGB images \(B,3,h,w\), not \(3, 32, 32\)"):
        net(torch.rand(3, 32, 32))
    for tile, overlap in ((16, 16), (0, 0), (32, -1)):
        with pytest.raises(ValueError, match=f"tiles of {tile} LR pixels cannot overlap by {overlap}"):
            Tiled(net, tile, overlap)
    write_image(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    for wrong in (np.zeros((4, 4, 3), np.float32), np.zeros((3, 4, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match=r"an image to write is uint8 \(H,W,3\) or \(H,W\), not "):
            write_image(tmp_path / "b.png", wrong)
    assert list_images(str(tmp_path)) == [tmp_path / "a.png"]
