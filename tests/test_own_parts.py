"""Networks and losses of one's own: what they may leave out, and what is said where something does not go with it."""

import pytest
import torch
from conftest import TINY
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.registry import NETWORKS
from plidenet.archs.transfer import transfer
from plidenet.archs.upsampler import Upsampler
from plidenet.checkpoint import save_checkpoint
from plidenet.complexity import count
from plidenet.config import schema
from plidenet.errors import UserError
from plidenet.evaluation.ensemble import SelfEnsemble
from plidenet.evaluation.tiling import Tiled, in_tiles
from plidenet.losses import LOSSES
from plidenet.training.start import load_start
from torch import nn
from torch.nn import functional as F
from training_setup import AUTO

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
def run(run, monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "Plain", Plain)
    return run


def test_a_network_without_a_kernel_trains_by_the_losses_of_the_image(run):
    trainer = run.train(PLAIN, "train.losses=[{type: l1}]")
    assert trainer.best_psnr > 0


BESIDES = {
    "code": lambda lr: lr.mean(dim=(2, 3)),
    "dictionary": lambda lr: {"code": lr.mean(dim=(2, 3))},
    "map": lambda lr: lr,
    "scalar": lambda lr: lr.mean(),
}


@pytest.mark.parametrize("beside", BESIDES.values(), ids=BESIDES)
def test_what_a_network_returns_beside_the_image_need_be_no_kernel(run, monkeypatch, beside):
    image_of = Plain.forward
    monkeypatch.setattr(Plain, "forward", lambda net, lr: (image_of(net, lr)[0], beside(lr)))
    seen = []
    monkeypatch.setitem(LOSSES._entries, "own", lambda r: seen.append(r.kernel) or (r.sr - r.target).abs().mean())
    assert run.train(PLAIN, "train.losses=[{type: own}]", "train.niter=1").best_psnr > 0
    assert isinstance(seen[0], type(beside(torch.zeros(1, 3, 4, 4))))
    assert SelfEnsemble(Plain(scale=2))(torch.rand(1, 3, 16, 20))[1] is None


def test_the_loss_of_the_kernel_needs_one(run, monkeypatch):
    message = "lr_consistency needs a network that estimates a kernel"
    with pytest.raises(UserError, match=message):
        run.train(PLAIN)
    monkeypatch.setattr(Plain, "forward", lambda net, lr: (F.pixel_shuffle(net.conv(lr), net.scale), lr))
    with pytest.raises(UserError, match=message):
        run.train(PLAIN, "name=map")


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


class NoDeconvolution(nn.Module):
    def forward(self, image, kernel):
        return image


class OwnDeconvolution(PLIDENet):
    def __init__(self, **setting):
        super().__init__(**setting)
        self.wiener = NoDeconvolution()


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
    with pytest.raises(UserError, match="Own x2 cannot start from weights of Own x4: 'NoDeconvolution' object"):
        load_start(NETWORKS.build("Own", **options.network_setting), file, options)


def test_a_run_without_deconvolution_reports_no_strengths_of_it(run, monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "Own", OwnDeconvolution)
    run.train("network_G.which_model_G=Own", "train.niter=1")
    assert not any("wiener" in name for _, name, _ in run.curves("run"))


class Ignoring(nn.Module):
    """In place of a part: what a function makes of its inputs."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_the_ablations_of_the_pages_train(run, monkeypatch):
    class Ablated(PLIDENet):
        def __init__(self, **setting):
            super().__init__(**setting)
            self.wiener = NoDeconvolution()
            self.embedding = Ignoring(lambda kernel: kernel.new_zeros(len(kernel), 1))
            for group, dim in zip(self.refinement.groups, setting["prompt_dims"], strict=True):
                group.prompt = Ignoring(lambda x, _, dim=dim: x.new_zeros(*x.shape[:3], dim))

    monkeypatch.setitem(NETWORKS._entries, "Ablated", Ablated)
    assert run.train("network_G.which_model_G=Ablated", "train.niter=1").best_psnr > 0


OWN = """
from plidenet.archs.registry import NETWORKS
from plidenet.archs.bicubic import Bicubic
from plidenet.losses import LOSSES

NETWORKS.register("Mine")(type("Mine", (Bicubic,), {}))

@LOSSES.register("mine")
def mine(restoration):
    return (restoration.sr - restoration.target).square().mean()
"""


def test_networks_and_losses_come_from_the_files_that_an_option_file_names(run, monkeypatch):
    for registry in (NETWORKS, LOSSES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    (run.folder / "own.py").write_text(OWN)
    for _ in range(2):  # a file is run once, however many option files name it
        options = run.options(f"parts=[{run.folder}/own.py]", "network_G={which_model_G: Mine, setting: {}}")
    assert type(NETWORKS.build("Mine", **options.network_setting)).__name__ == "Mine"
    run.train(f"parts=[{run.folder}/own.py]", "train.losses=[{type: mine}]", "train.niter=1", "datasets.val=")
    kept = run.folder / "experiments/run/own.py"
    assert kept.read_text() == OWN
    del NETWORKS._entries["Mine"], LOSSES._entries["mine"]  # as in a fresh process
    run.train(AUTO, f"parts=[{kept}]", "train.losses=[{type: mine}]", "train.niter=2", "datasets.val=")
    assert kept.read_text() == OWN
    assert any(name == "loss/mine" for _, name, _ in run.curves("run"))


def test_a_file_that_failed_is_run_again_and_a_name_that_is_taken_is_told(run, monkeypatch):
    monkeypatch.setattr(NETWORKS, "_entries", dict(NETWORKS._entries))
    (run.folder / "own.py").write_text("import nothing_of_this_name")
    for _ in range(2):
        with pytest.raises(ImportError, match="nothing_of_this_name"):
            run.options(f"parts=[{run.folder}/own.py]")
    (run.folder / "own.py").write_text(OWN.replace("Mine", "Bicubic"))
    with pytest.raises(UserError, match="network 'Bicubic' is registered twice"):
        run.options(f"parts=[{run.folder}/own.py]")


@pytest.mark.parametrize("name", ["none.py", "notes.txt", ""])
def test_a_part_that_is_no_python_file_is_refused(run, name):
    (run.folder / "notes.txt").write_text(OWN)
    with pytest.raises(UserError, match=r"is not a Python file \(parts\)"):
        run.options(f"parts=[{run.folder}/{name}]")


def test_losses_that_reach_nothing_are_told(run, monkeypatch):
    monkeypatch.setitem(LOSSES._entries, "constant", lambda restoration: restoration.hr.mean())
    with pytest.raises(UserError, match="no parameter that can be trained has an effect on the losses"):
        run.train(PLAIN, "train.losses=[{type: constant}]")


def test_parts_of_one_name_are_refused(run):
    for folder in "ab":
        (run.folder / folder).mkdir()
        (run.folder / folder / "net.py").touch()
    with pytest.raises(UserError, match="two parts have the same file name"):
        run.options(f"parts=[{run.folder}/a/net.py, {run.folder}/b/net.py]")


def test_a_part_that_changes_between_two_parts_of_a_run_is_told_and_kept(run, caplog):
    part = run.folder / "mine.py"
    for text, last in (("# one", 2), ("# two", 4), ("# two", 6)):
        part.write_text(text)
        caplog.clear()
        run.train(AUTO, f"parts=[{part}]", f"train.niter={last}")
        assert ("mine.py has changed since this run was saved" in caplog.text) == (last == 4)
    folder = run.folder / "experiments/run"
    assert (folder / "mine.py").read_text() == "# two"
    assert (folder / "mine.py.until_2").read_text() == "# one"
    environments = {path.name for path in folder.glob("environment*.json")}
    assert environments == {"environment.json", "environment_2.json", "environment_4.json"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("{detphs: [6]}", r".*unexpected keyword argument 'detphs' \(net.py, line 7\)"),
        ("{}", r".*unsupported operand .* \(net.py, line 8\)"),
    ],
)
def test_a_mistake_in_a_part_is_told_with_its_line(run, setting, message):
    part = run.folder / "net.py"
    lines = ["from plidenet.archs.pl_idenet import PLIDENet", "from plidenet.archs.registry import NETWORKS", ""]
    lines += [f"@NETWORKS.register('{run.folder}')", "class Net(PLIDENet):", "    def __init__(self, **setting):"]
    part.write_text("\n".join([*lines, "        super().__init__(**setting)", "        self.size = None + 1"]))
    with pytest.raises(UserError, match=message):
        run.trainer(f"parts=[{part}]", f"network_G={{which_model_G: '{run.folder}', setting: {setting}}}")
