"""Networks and losses of one's own: what they may leave out, and what is said where something does not go with it."""

import pytest
from conftest import TINY
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.registry import NETWORKS
from plidenet.archs.transfer import transfer
from plidenet.archs.upsampler import Upsampler
from plidenet.checkpoint import save_checkpoint
from plidenet.complexity import count
from plidenet.config import schema
from plidenet.errors import UserError
from plidenet.evaluation.tiling import Tiled, in_tiles
from plidenet.losses import LOSSES
from plidenet.training.start import load_start
from torch import nn
from torch.nn import functional as F
from training_setup import Run

PLAIN = "network_G={which_model_G: Plain, setting: {}}"


class Plain(nn.Module):
    """Enlarges by a convolution, depending on what it sees, and estimates no kernel."""

    def __init__(self, *, scale):
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * scale**2, 3, padding=1)
        self.scale = scale

    def forward(self, lr):
        sr = F.pixel_shuffle(self.conv(lr), self.scale)
        return (sr if float(lr.mean()) < 0.9 else 2 * sr), None


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "Plain", Plain)
    return Run(tmp_path)


def test_a_network_without_a_kernel_trains_by_the_losses_of_the_image(run):
    trainer = run.train(PLAIN, "train.losses=[{type: l1}]")
    assert trainer.best_psnr > 0


def test_the_loss_of_the_kernel_needs_one(run):
    with pytest.raises(UserError, match="lr_consistency needs a network that estimates a kernel"):
        run.train(PLAIN)


def test_crops_need_a_network_that_takes_them(run):
    with pytest.raises(UserError, match=r"needs forward\(lr, crop=None\), which Plain lacks"):
        run.trainer(PLAIN, "train.refine_crop=16", "train.losses=[{type: l1}]")


def test_a_network_that_returns_an_image_alone_is_refused(run, monkeypatch):
    monkeypatch.setattr(Plain, "forward", lambda net, lr: F.pixel_shuffle(net.conv(lr), net.scale))
    with pytest.raises(UserError, match=r"restores \(3, \d+, \d+\) instead of \(2, 3, .* return \(sr, kernel"):
        run.train(PLAIN, "train.losses=[{type: l1}]", "datasets.train.batch_size=2", "datasets.val=")


def test_a_loss_of_the_image_needs_one(run, monkeypatch):
    monkeypatch.setitem(LOSSES._entries, "own", lambda restoration: (restoration.sr - restoration.target).abs().mean())
    run.train("train.losses=[{type: own}]", "train.niter=1")
    with pytest.raises(UserError, match=r"the loss own needs restored images: where train\.refine_crop is 0"):
        run.train("train.losses=[{type: own}]", "train.refine_crop=0", "train.niter=1")


def test_a_network_that_looks_at_numbers_is_counted_all_the_same():
    assert count(Plain(scale=2)).multiply_adds == 64 * 64 * 3 * 3 * 3 * 12


class OwnForward(PLIDENet):
    def forward(self, lr, crop=None):
        sr, kernel = super().forward(lr, crop)
        return -sr, kernel


class OwnPreparation(PLIDENet):
    def prepare(self, lr):
        return super().prepare(1 - lr)


class OwnUpsampler(PLIDENet):
    def __init__(self, **setting):
        super().__init__(**setting)
        self.upsampler = type("Own", (Upsampler,), {})(scale=self.scale)


class OwnRefinement(PLIDENet):
    def __init__(self, **setting):
        super().__init__(**setting)
        self.refinement = nn.Identity()


class OwnDeconvolution(PLIDENet):
    def __init__(self, **setting):
        super().__init__(**setting)
        self.wiener = nn.Identity()


@pytest.mark.parametrize("own", [OwnForward, OwnPreparation, OwnUpsampler, OwnRefinement])
def test_what_tiles_would_take_apart_works_on_whole_images_where_it_is_ones_own(own):
    net = own(**TINY)
    assert in_tiles(net, schema.Test(tile="auto")) is net


def test_other_parts_of_ones_own_work_in_tiles():
    assert isinstance(in_tiles(OwnDeconvolution(**TINY), schema.Test(tile="auto")), Tiled)


def test_a_deconvolution_of_ones_own_starts_from_weights_of_its_scale_and_of_no_other(run, tiny_network, monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "Own", OwnDeconvolution)
    file = run.folder / "start.pth"
    own = OwnDeconvolution(scale=2, **TINY)
    assert not any("wiener" in name for name in transfer(tiny_network("PL_IDENet_E", scale=2), own))
    save_checkpoint(file, params=OwnDeconvolution(scale=4, **TINY).state_dict())
    options = run.options("network_G.which_model_G=Own", f"path.pretrain_model_G={file}", "path.pretrain_scale=4")
    with pytest.raises(UserError, match="Own x2 cannot start from weights of Own x4: 'Identity' object has no attrib"):
        load_start(NETWORKS.build("Own", **options.network_setting), file, options)
