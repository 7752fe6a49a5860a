"""Data sets and loaders: samples, aligned crops, orientations, and batches that depend on seed and number alone.

Most images here say where each pixel comes from: red is the row, green the column, blue the image's number.
"""

from collections import Counter
from itertools import chain, islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from plidenet import config
from plidenet.data.build import build_dataset
from plidenet.data.datasets import DATASETS
from plidenet.data.images import write_image
from plidenet.data.lmdb_store import write_lmdb
from plidenet.data.loaders import RepeatingBatches, build_eval_loader, build_train_loader
from plidenet.errors import UserError

CPU, HEIGHT, WIDTH = torch.device("cpu"), 60, 76


def coded(number, height=HEIGHT, width=WIDTH):
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([rows, columns, np.full_like(rows, number)])


def coded_kernel(number):
    return torch.ones(9).index_fill(0, torch.tensor(4), number + 1.0).view(3, 3) / (number + 9)


@pytest.fixture
def folders(tmp_path):
    """Folders of seven coded HR images and of LR images that are HR[::2, ::2], with kernels of the LR images."""
    (tmp_path / "kernel").mkdir()
    for i in range(7):
        write_image(tmp_path / "HR" / f"{i}.png", coded(i))
        write_image(tmp_path / "LR" / f"{i}x2.png", coded(i)[::2, ::2])
        np.save(tmp_path / f"kernel/{i}x2.npy", 255 * coded_kernel(i).numpy())  # scaled when they are read
    return SimpleNamespace(HR=tmp_path / "HR", LR=tmp_path / "LR", kernel=tmp_path / "kernel")


def gt_data(folders, **options):
    return DATASETS.build("GT", dataroot_GT=folders.HR, **options)


def lqgt_data(folders, **options):
    return DATASETS.build("LQGT", scale=2, dataroot_GT=folders.HR, dataroot_LQ=folders.LR, **options)


def turned(image, row_step, column_step, transpose):
    image = image[:, ::row_step, ::column_step]
    return image.transpose(0, 2, 1) if transpose else image


def orientation(crop):
    """How a coded crop was turned: signs of the row and the column step, and whether it was transposed."""
    rows, columns = crop[0].astype(int), crop[1].astype(int)
    transpose = rows[0, 0] == rows[1, 0]
    if transpose:
        rows, columns = rows.T, columns.T
    found = (np.sign(rows[1, 0] - rows[0, 0]), np.sign(columns[0, 1] - columns[0, 0]), bool(transpose))
    untwisted = turned(turned(crop, 1, 1, found[2]), found[0], found[1], False)
    top, left = untwisted[:2, 0, 0]
    step = int(abs(rows[1, 0] - rows[0, 0]))
    side = crop.shape[1]
    expected = coded(crop[2, 0, 0], 256, 256)[top : top + step * side : step, left : left + step * side : step]
    np.testing.assert_array_equal(untwisted, expected.transpose(2, 0, 1), "the crop is not a piece of the image")
    return found


def equal(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(value, b[key]) if isinstance(value, torch.Tensor) else value == b[key] for key, value in a.items()
    )


def test_a_gt_sample_is_a_whole_hr_image_and_its_name(folders):
    data = gt_data(folders)
    assert len(data) == 7
    sample = data[3]
    assert sample.keys() == {"key", "gt"}
    assert sample["key"] == "3"
    assert sample["gt"].dtype == torch.uint8
    np.testing.assert_array_equal(sample["gt"], coded(3).transpose(2, 0, 1))


def test_an_lq_sample_is_a_whole_lr_image_its_name_and_its_kernel(folders):
    sample = DATASETS.build("LQ", dataroot_LQ=folders.LR)[3]
    assert sample.keys() == {"key", "lq"}
    assert sample["key"] == "3x2"
    np.testing.assert_array_equal(sample["lq"], coded(3)[::2, ::2].transpose(2, 0, 1))
    kernel = DATASETS.build("LQ", dataroot_LQ=folders.LR, dataroot_kernel=folders.kernel)[3]["kernel"]
    torch.testing.assert_close(kernel, coded_kernel(3))


def test_an_lqgt_sample_is_a_pair_under_the_lr_name(folders):
    sample = lqgt_data(folders, dataroot_kernel=folders.kernel)[3]
    assert sample.keys() == {"key", "lq", "gt", "kernel"}
    assert sample["key"] == "3x2"
    np.testing.assert_array_equal(sample["gt"], coded(3).transpose(2, 0, 1))
    np.testing.assert_array_equal(sample["lq"], coded(3)[::2, ::2].transpose(2, 0, 1))
    torch.testing.assert_close(sample["kernel"], coded_kernel(3))


def test_an_hr_image_is_cut_to_the_scale_times_its_lr_image(folders):
    write_image(folders.HR / "3.png", coded(3, HEIGHT + 1, WIDTH + 1))
    np.testing.assert_array_equal(lqgt_data(folders)[3]["gt"], coded(3).transpose(2, 0, 1))


@pytest.mark.parametrize("format", ["dan", "basicsr"])
def test_lmdbs_give_the_samples_of_folders(folders, tmp_path, format):
    lmdbs = SimpleNamespace(HR=tmp_path / "HR.lmdb", LR=tmp_path / "LR.lmdb")
    for name in ("HR", "LR"):
        images = {path.stem: path for path in sorted(getattr(folders, name).iterdir())}
        write_lmdb(getattr(lmdbs, name), images, format)
    options = {"GT_size": 32, "use_flip": True, "use_rot": True}
    expected, data = lqgt_data(folders, **options), lqgt_data(lmdbs, **options)
    assert all(equal(data[i, (5, i)], expected[i, (5, i)]) for i in range(7))


@pytest.mark.parametrize("build", [gt_data, lqgt_data])
def test_all_eight_orientations_are_equally_likely(folders, build):
    data = build(folders, GT_size=16, use_flip=True, use_rot=True)
    counts = Counter(orientation(data[i % 7, (0, i)]["gt"].numpy()) for i in range(400))
    assert len(counts) == 8
    assert min(counts.values()) > 25


@pytest.mark.parametrize(
    ("use_flip", "use_rot", "expected"),
    [
        (False, False, {(1, 1, False)}),
        (True, False, {(r, c, False) for r in (1, -1) for c in (1, -1)}),
        (False, True, {(1, 1, False), (1, 1, True)}),
    ],
)
def test_flips_and_transposition_are_had_as_the_options_say(folders, use_flip, use_rot, expected):
    data = gt_data(folders, GT_size=16, use_flip=use_flip, use_rot=use_rot)
    assert {orientation(data[0, (0, i)]["gt"].numpy()) for i in range(60)} == expected


def test_crops_of_hr_and_lr_show_the_same_place_in_the_same_orientation(folders):
    data = lqgt_data(folders, GT_size=32, use_flip=True, use_rot=True)
    for i in range(100):
        sample = data[i % 7, (1, i)]
        gt, lq = sample["gt"].numpy(), sample["lq"].numpy()
        assert (gt.shape, lq.shape) == ((3, 32, 32), (3, 16, 16))
        assert sample["gt"].is_contiguous()
        rows, columns, transpose = orientation(gt)
        assert orientation(lq) == (rows, columns, transpose)
        upright = turned(turned(gt, 1, 1, transpose), rows, columns, False)
        np.testing.assert_array_equal(turned(turned(lq, 1, 1, transpose), rows, columns, False), upright[:, ::2, ::2])


@pytest.mark.parametrize(("build", "step"), [(gt_data, 1), (lqgt_data, 2)])
def test_crops_reach_every_place_and_both_borders(folders, build, step):
    data = build(folders, GT_size=52)
    corners = {tuple(data[0, (0, i)]["gt"][:2, 0, 0].tolist()) for i in range(2000)}
    assert corners == {(r, c) for r in range(0, HEIGHT - 51, step) for c in range(0, WIDTH - 51, step)}


@pytest.mark.parametrize("build", [gt_data, lqgt_data])
def test_a_crop_of_the_images_own_size_is_possible_and_a_larger_one_refused(folders, build):
    assert build(folders, GT_size=HEIGHT)[0, (0, 0)]["gt"].shape == (3, HEIGHT, HEIGHT)
    with pytest.raises(UserError, match=r"the image 0\w* \(\d+x\d+\) is smaller than the crop of"):
        build(folders, GT_size=HEIGHT + 2)


def test_the_seed_alone_decides_a_sample(folders):
    data = gt_data(folders, GT_size=16, use_flip=True, use_rot=True)
    assert equal(data[2, (3, 4)], data[2, (3, 4)])
    assert len({data[2, (seed, 4)]["gt"].numpy().tobytes() for seed in range(20)}) > 15
    assert len({data[2, (3, position)]["gt"].numpy().tobytes() for position in range(20)}) > 15
    assert len({data[2]["gt"].numpy().tobytes() for _ in range(20)}) > 15, "without a seed each draws afresh"


def test_missing_or_damaged_kernels_are_named(folders):
    (folders.kernel / "3x2.npy").write_bytes(b"no numbers")
    data = lqgt_data(folders, dataroot_kernel=folders.kernel)
    with pytest.raises(UserError, match=r"3x2\.npy cannot be read as a kernel"):
        data[3]
    (folders.kernel / "3x2.npy").unlink()
    with pytest.raises(UserError, match=r"kernel lacks the kernel 3x2\.npy"):
        lqgt_data(folders, dataroot_kernel=folders.kernel)
    with pytest.raises(UserError, match=r"no folder .*nowhere of true kernels \(dataroot_kernel, which can"):
        lqgt_data(folders, dataroot_kernel=folders.kernel / "nowhere")


def test_only_training_crops_and_turns(folders):
    options = config.DatasetOptions(
        name="a",
        mode="LQGT",
        dataroot_GT=folders.HR,
        dataroot_LQ=folders.LR,
        dataroot_kernel=folders.kernel,
        GT_size=32,
    )
    assert build_dataset(options, 2, training=True)[0]["gt"].shape == (3, 32, 32)
    whole = build_dataset(options, 2, training=False)[0]
    assert (whole["gt"].shape, whole["kernel"].shape) == ((3, HEIGHT, WIDTH), (3, 3))


def batches_of(loader, number):
    iterator = iter(loader)
    taken = list(islice(iterator, number))
    del iterator
    return taken


@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_change_no_sample(folders, n_workers):
    data = lqgt_data(folders, GT_size=32, use_flip=True, use_rot=True)
    options = {"batch_size": 3, "seed": 11, "device": CPU}
    expected = batches_of(build_train_loader(data, n_workers=0, **options), 6)
    found = batches_of(build_train_loader(data, n_workers=n_workers, **options), 6)
    assert all(equal(a, b) for a, b in zip(expected, found, strict=True))
    other = batches_of(build_train_loader(data, n_workers=0, batch_size=3, seed=12, device=CPU), 6)
    assert not any(torch.equal(a["gt"], b["gt"]) for a, b in zip(expected, other, strict=True))


@pytest.mark.parametrize("make", [gt_data, lqgt_data])
def test_images_kept_in_memory_change_no_sample(folders, make):
    data = make(folders, GT_size=32, use_flip=True, use_rot=True)
    options = {"batch_size": 5, "n_workers": 0, "seed": 3, "device": CPU, "start": 2}
    expected = batches_of(build_train_loader(data, **options), 20)
    kept = build_train_loader(data, cache="ram", **options)  # which reads all
    folders.HR.parent.rename(folders.HR.parent.with_suffix(".away"))
    assert all(equal(a, b) for a, b in zip(expected, batches_of(kept, 20), strict=True))


def test_training_that_resumes_gets_the_batches_it_would_have_had(folders):
    data = gt_data(folders, GT_size=16, use_flip=True, use_rot=True)
    options = {"batch_size": 4, "n_workers": 0, "seed": 5, "device": CPU}
    whole = batches_of(build_train_loader(data, **options), 9)
    tail = batches_of(build_train_loader(data, start=4, **options), 5)
    assert all(equal(a, b) for a, b in zip(whole[4:], tail, strict=True))


def test_processes_load_shares_that_join_to_the_batch_of_one(folders, monkeypatch):
    data = gt_data(folders, GT_size=16, use_flip=True, use_rot=True)
    options = {"batch_size": 4, "n_workers": 0, "seed": 5, "device": CPU}
    whole = batches_of(build_train_loader(data, **options), 5)
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        shares.append(batches_of(build_train_loader(data, **options), 5))
    for batch, first, second in zip(whole, *shares, strict=True):
        assert torch.equal(batch["gt"], torch.cat([first["gt"], second["gt"]]))
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="a batch of 4 images cannot be divided equally among 3 processes"):
        build_train_loader(data, **options)


@pytest.mark.parametrize(("length", "batch_size"), [(7, 3), (7, 7), (3, 8), (1, 4), (12, 4)])
def test_each_pass_covers_every_image_once_in_an_order_of_its_own(length, batch_size):
    passes = 12
    count = -(-passes * length // batch_size)
    flat = [index for batch in islice(RepeatingBatches(length, batch_size, 0), count) for index, _ in batch]
    orders = [tuple(flat[i * length : (i + 1) * length]) for i in range(passes)]
    assert all(sorted(order) == list(range(length)) for order in orders)
    assert length < 7 or len(set(orders)) == passes


def test_no_two_samples_of_a_run_share_their_seed():
    batches = list(islice(RepeatingBatches(5, 4, 9), 50))
    seeds = [seed for batch in batches for _, seed in batch]
    assert len(set(seeds)) == len(seeds) == 200
    assert {seed for seed, _ in seeds} == {9}


@pytest.mark.parametrize("start", [1, 4, 17])
def test_batches_from_a_number_on_are_the_tail_of_all(start):
    whole = list(islice(RepeatingBatches(7, 3, 2), 30))
    assert list(islice(RepeatingBatches(7, 3, 2, start=start), 30 - start)) == whole[start:]


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_the_shares_of_all_ranks_join_to_the_whole_batch(world_size):
    whole = list(islice(RepeatingBatches(7, 6, 2), 20))
    shares = [islice(RepeatingBatches(7, 6, 2, rank=rank, world_size=world_size), 20) for rank in range(world_size)]
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == whole


@pytest.mark.parametrize("n_workers", [0, 2])
def test_evaluation_sees_every_image_once_in_order_and_whole(folders, n_workers):
    samples = list(build_eval_loader(lqgt_data(folders), n_workers))
    assert [sample["key"] for sample in samples] == [f"{i}x2" for i in range(7)]
    assert all(sample["gt"].shape == (3, HEIGHT, WIDTH) for sample in samples)


def test_processes_share_an_evaluation(folders, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    seen = []
    for rank in "012":
        monkeypatch.setenv("RANK", rank)
        seen.append([sample["key"] for sample in build_eval_loader(lqgt_data(folders), 0)])
    assert seen == [["0x2", "3x2", "6x2"], ["1x2", "4x2"], ["2x2", "5x2"]]
