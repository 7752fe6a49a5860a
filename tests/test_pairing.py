"""HR and LR images are paired by name, never by position, and their sizes are checked before work starts."""

from types import SimpleNamespace

import numpy as np
import pytest
from plidenet.data.datasets import LQGTDataset
from plidenet.data.images import write_image
from plidenet.data.pairing import canonical, check_pair_sizes, pair_keys, split_width
from plidenet.degradation import gaussian8_sigmas
from plidenet.errors import UserError


def sizes(**of_images):
    """A store that knows the sizes of its images and holds no pixels."""
    return SimpleNamespace(size=of_images.__getitem__)


def test_equal_names_belong_together_in_the_order_of_the_lr_names():
    assert pair_keys(["a", "b", "c"], ["c", "a", "b"]) == [("c", "c"), ("a", "a"), ("b", "b")]


def test_div2krk_pairs_by_number_although_its_folders_sort_differently():
    hr = sorted(f"img_{i}_gt" for i in range(1, 101))
    lr = sorted(f"im_{i}" for i in range(1, 101))
    assert [name.split("_")[1] for name in hr] != [name.split("_")[1] for name in lr], "the trap: 100, 10, 1 here"
    pairs = pair_keys(hr, lr)
    assert [key for _, key in pairs] == lr
    assert all(hr_key == f"img_{key.removeprefix('im_')}_gt" for hr_key, key in pairs)


@pytest.mark.parametrize(
    ("hr", "lr"),
    [
        ("0801", "0801x2"),
        ("0801", "0801x4"),
        ("0801", "0801_x3"),
        ("baby_HR_x4", "baby_HR"),
        ("baby_gt", "baby"),
        ("img_baby", "im_baby"),
        ("baby_HR", "baby_LR"),
        ("img_001_SRF_4_HR", "img_001_SRF_4_LR"),
        ("img_001_gt", "img_001_x4"),
        ("sig1.8_baby", "sig1.8_babyx4"),
        ("sig2.4_baby", "sig2.4000000000000004_baby"),
        ("sig2.4000000000000004_baby", "sig2.4_baby"),
        ("sig2_img_baby_gt", "sig2.0_im_baby"),
        ("baby", "sig1.8_baby"),
        ("img_1_gt", "sig1.8_im_1"),
    ],
)
def test_affixes_do_not_matter(hr, lr):
    assert pair_keys(["other", hr], [lr, "other"]) == [(hr, lr), ("other", "other")]


@pytest.mark.parametrize(("scale", "ends"), [(2, (0.8, 1.6)), (3, (1.35, 2.4)), (4, (1.8, 3.2))])
def test_the_eight_widths_of_an_image_share_one_hr_image_or_have_their_own(scale, ends):
    names = ("baby", "bird")
    lr = [f"sig{sigma}_{name}" for name in names for sigma in gaussian8_sigmas(scale)]
    assert pair_keys(names, lr) == [(key.split("_")[1], key) for key in lr]
    unrounded = [f"sig{sigma}_{name}" for name in names for sigma in np.linspace(*ends, 8).tolist()]
    assert unrounded != lr
    assert pair_keys(unrounded[::-1], lr) == list(zip(unrounded, lr, strict=True))


def test_widths_that_differ_are_not_mixed_up():
    pairs = pair_keys(["sig1.8_a", "sig2.0_a"], ["sig2_a", "sig1.80_a"])
    assert pairs == [("sig2.0_a", "sig2_a"), ("sig1.8_a", "sig1.80_a")]


@pytest.mark.parametrize(
    "name", ["x4", "gt", "im_", "sig_a", "sig.._a", "sig1.2.3_a", "matrix2b", "im", "imgx", "sigma"]
)
def test_odd_names_are_names_like_others(name):
    assert pair_keys([name], [name]) == [(name, name)]
    assert canonical(name) in name
    assert pair_keys([name, "b"], [name, "bx2"])[0] == (name, name)


@pytest.mark.parametrize(("hr", "lr"), [("matrix2b", "matrixb"), ("a_x8", "a"), ("xsig1.8_a", "a"), ("aim_1", "a1")])
def test_what_only_looks_like_an_affix_is_part_of_the_name(hr, lr):
    with pytest.raises(UserError, match="have no HR image of their name"):
        pair_keys([hr], [lr])


def test_hr_names_that_differ_in_affixes_alone_are_ambiguous():
    with pytest.raises(UserError, match=r"the HR images img_1_gt and 1_x4 differ only in affixes"):
        pair_keys(["img_1_gt", "1_x4", "2"], ["1", "2"])
    assert pair_keys(["a_gt", "a_x4"], ["a_x4", "a_gt"]) == [("a_x4", "a_x4"), ("a_gt", "a_gt")]


def test_lr_names_that_differ_in_affixes_alone_are_ambiguous():
    with pytest.raises(UserError, match=r"the LR images 1 and img_1_x4 differ only in affixes"):
        pair_keys(["1", "2"], ["1", "img_1_x4", "2"])
    assert len(pair_keys(["a"], ["sig1.8_a", "sig2_a"])) == 2


def test_lr_images_without_hr_are_counted_and_some_named():
    with pytest.raises(UserError, match=r"^2 of 3 LR images have no HR image of their name: b, c$"):
        pair_keys(["a"], ["a", "b", "c"])
    with pytest.raises(UserError, match=r"^10 of 10 LR images have .* name: a, b, c, d, e, f, g, h and 2 more$"):
        pair_keys(["x"], list("abcdefghij"))


def test_hr_images_without_lr_are_counted_and_some_named():
    with pytest.raises(UserError, match=r"^2 of 3 HR images have no LR image of their name: b, c$"):
        pair_keys(["c", "a", "b"], ["a"])


def test_sizes_match_exactly_or_with_less_than_the_scale_to_spare():
    pairs = [("a", "a"), ("b", "b")]
    check_pair_sizes(pairs, sizes(a=(12, 20), b=(15, 23)), sizes(a=(3, 5), b=(3, 5)), 4)


@pytest.mark.parametrize("hr_size", [(16, 20), (12, 24), (11, 20), (12, 19), (20, 12), (6, 10)])
def test_a_pair_whose_sizes_do_not_match_is_named_with_both_sizes(hr_size):
    expected = rf"HR h \({hr_size[0]}x{hr_size[1]}\) is not 4 times as large as LR l \(3x5\)"
    with pytest.raises(UserError, match=expected):
        check_pair_sizes([("h", "l")], sizes(h=hr_size), sizes(l=(3, 5)), 4)


def test_a_data_set_pairs_its_folders_and_checks_the_last_pair_before_the_first_is_read(tmp_path, monkeypatch):
    for i in range(1, 12):
        write_image(tmp_path / "gt" / f"img_{i}_gt.png", np.full((8, 8, 3), i, np.uint8))
        write_image(tmp_path / "lr_x4" / f"im_{i}.png", np.full((2, 2, 3), i, np.uint8))
    folders = {"dataroot_GT": tmp_path / "gt", "dataroot_LQ": tmp_path / "lr_x4"}
    data = LQGTDataset(scale=4, **folders)
    assert len(data) == 11
    for i in range(11):
        sample = data[i]
        assert sample["gt"].unique() == sample["lq"].unique() == int(sample["key"].removeprefix("im_"))
    monkeypatch.setattr("plidenet.data.stores.read_image", lambda path: pytest.fail("an image was read"))
    write_image(tmp_path / "lr_x4" / "im_9.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(UserError, match=r"HR img_9_gt \(8x8\) is not 4 times as large as LR im_9 \(2x3\)"):
        LQGTDataset(scale=4, **folders)
    (tmp_path / "lr_x4" / "im_9.png").unlink()
    with pytest.raises(UserError, match="1 of 11 HR images have no LR image of their name: img_9_gt"):
        LQGTDataset(scale=4, **folders)


@pytest.mark.parametrize(
    ("key", "width", "name"),
    [
        ("sig2.4000000000000004_baby", 2.4, "baby"),
        ("sig2_im_a_x4", 2.0, "im_a_x4"),
        ("signal_a", None, "signal_a"),
        ("a_sig2_", None, "a_sig2_"),
    ],
)
def test_the_width_is_read_from_a_name(key, width, name):
    assert split_width(key) == (width, name)
