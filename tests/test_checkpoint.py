"""Files of weights: what is read, what is refused and why, and that nothing is left half-done. Numbers: test_parity."""

import pickle

import pytest
import torch
from conftest import Harm
from plidenet import load_checkpoint
from plidenet.archs.recognize import recognize
from plidenet.checkpoint import read_weights, save_checkpoint
from plidenet.errors import UserError
from released_weights import blank_network, released_state


def copied(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def other(state):
    """The same names and shapes with other numbers."""
    return {name: value + 0.25 for name, value in state.items()}


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


@pytest.fixture
def file(tmp_path):
    """Save any content with torch.save; returns the path."""

    def save(content, name="weights.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def test_saved_weights_come_back_exactly(tiny_network, tmp_path):
    net, path = tiny_network(scale=3), tmp_path / "new folder" / "weights.pth"
    expected = other(copied(net))
    save_checkpoint(path, params=expected)
    info = load_checkpoint(net, path)
    assert_same(net.state_dict(), expected)
    assert (info.format, info.weights) == ("own", "params")
    assert (info.taken, info.ignored, info.missing) == (sorted(expected), [], [])
    assert str(info) == f"own format, params: {len(expected)} tensors taken"
    assert [entry.name for entry in path.parent.iterdir()] == ["weights.pth"]


def test_a_file_holds_tensors_on_the_cpu_under_clean_names_and_nothing_else(tiny_network, tmp_path):
    net = torch.nn.DataParallel(tiny_network(scale=2))
    save_checkpoint(tmp_path / "weights.pth", params=net.state_dict(), params_ema=dict(net.named_parameters()))
    content = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert content.keys() == {"params", "params_ema"}
    for state in content.values():
        assert state.keys() == net.module.state_dict().keys()
        assert not any(value.requires_grad for value in state.values())


def test_ema_weights_are_preferred(tiny_network, tmp_path):
    net = tiny_network(scale=2)
    plain, ema = copied(net), other(copied(net))
    save_checkpoint(tmp_path / "weights.pth", params=plain, params_ema=ema)
    assert load_checkpoint(net, tmp_path / "weights.pth").weights == "params_ema"
    assert_same(net.state_dict(), ema)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("wrapper", [None, "params", "state_dict"])
def test_a_state_dict_is_read_bare_or_wrapped_with_any_prefix(tiny_network, file, prefix, wrapper):
    net = tiny_network(scale=2)
    expected = other(copied(net))
    state = {prefix + name: value for name, value in expected.items()}
    info = load_checkpoint(net, file({wrapper: state} if wrapper else state))
    assert_same(net.state_dict(), expected)
    assert info.weights == (wrapper or "state_dict")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_released_file_fills_the_whole_network(file, scale, prefix):
    net, released = blank_network(scale), released_state(scale)
    info = load_checkpoint(net, file({prefix + key: value for key, value in released.items()}))
    assert (info.format, info.weights) == ("released", "state_dict")
    assert info.taken == sorted(net.state_dict())
    assert info.missing == []
    assert sorted(info.ignored) == ["netDe.deblur.bias_f", "netDe.deblur.scale_f"]
    used = [value for key, value in released.items() if key not in info.ignored]
    assert sorted(value.numpy().tobytes() for value in used) == sorted(
        value.numpy().tobytes() for value in net.state_dict().values()
    )


def test_buffers_and_second_copies_in_a_released_file_are_ignored(file):
    net, released = blank_network(2), released_state(2)
    load_checkpoint(net, file(released))
    expected = copied(net)
    ignored = {"netDe.deblur.scale_f": torch.ones(64), "netDe.deblur.bias_f": torch.ones(64)}
    for block in ("layers.0.residual_group.blocks.1", "layers.3.residual_group.blocks.3"):
        ignored[f"netDe.netT.{block}.attn_mask"] = torch.zeros(36, 64, 64)
        ignored[f"netDe.netT.{block}.attn.relative_position_index"] = torch.zeros(64, 64, dtype=torch.long)
    for key, value in released.items():
        if key.startswith(("netDe.netT.", "netDe.deblur.")):
            ignored[key.removeprefix("netDe.")] = value + 1
    info = load_checkpoint(net, file(ignored | released | {"netT.layers.0.attn_mask": torch.zeros(1)}))
    assert set(info.ignored) == ignored.keys() | {"netT.layers.0.attn_mask"}
    assert_same(net.state_dict(), expected)


def test_the_filter_scale_is_created_when_a_released_file_brings_it(file):
    net, without = blank_network(2), blank_network(2)
    released = released_state(2, wiener_scale=True)
    info = load_checkpoint(net, file(released))
    assert torch.equal(net.wiener.filter_scale, released["netDe.deblur.wiener_scale"])
    assert net.wiener.filter_scale.requires_grad
    assert "wiener.filter_scale" in info.taken
    load_checkpoint(without, file(released_state(2)))
    assert without.wiener.filter_scale is None
    torch.testing.assert_close(net.wiener.log_strengths, without.wiener.log_strengths)


def test_the_filter_scale_is_created_where_a_file_brings_it_and_is_zero_where_a_file_lacks_it(tiny_network, file):
    rich, poor = tiny_network(filter_scale=True), tiny_network()
    poor_file = file({"params": copied(poor)}, "poor.pth")
    load_checkpoint(poor, file({"params": copied(rich)}, "rich.pth"))
    assert_same(poor.state_dict(), rich.state_dict())
    load_checkpoint(rich, poor_file)
    assert not rich.wiener.filter_scale.any()


@pytest.mark.parametrize("strict", [True, False])
def test_a_filter_scale_that_cannot_be_taken_leaves_the_network_as_it_was(tiny_network, file, strict):
    net = tiny_network(scale=2)
    state = copied(net) | {"wiener.filter_scale": torch.zeros(7)}
    path = file({"params": state})
    if strict:
        with pytest.raises(UserError, match=r"wiener.filter_scale is \(7,\), not \(24,\)"):
            load_checkpoint(net, path)
    else:
        assert load_checkpoint(net, path, strict=False).missing == ["wiener.filter_scale"]
    assert net.wiener.filter_scale is None


def refusal(net, path):
    """The message of a refused load, which must leave the network as it was."""
    before = copied(net)
    with pytest.raises(UserError) as caught:
        load_checkpoint(net, path)
    assert_same(net.state_dict(), before)
    message = str(caught.value)
    assert message.startswith(str(path)) or f"at {path}" in message
    assert len(message.splitlines()) == 1
    return message


def test_weights_of_another_scale_or_width_are_refused_with_keys_and_shapes(tiny_network, file):
    x2, x3, x4 = (tiny_network(scale=scale) for scale in (2, 3, 4))
    path = file({"params": other(x3.state_dict()) | {"wiener.filter_scale": torch.zeros(24)}})
    message = refusal(x2, path)
    assert "does not fit the network" in message
    assert "upsampler.stages.0.weight is (72, 8, 3, 3), not (32, 8, 3, 3)" in message
    message = refusal(x4, file(copied(x2)))
    assert "missing: upsampler.stages.2.weight, upsampler.stages.2.bias" in message
    assert "unknown: upsampler.stages.2.weight" in refusal(x2, file(copied(x4)))
    message = refusal(tiny_network(scale=2, num_feat=16), file(copied(x2)))
    assert "estimator.encode_1.0.weight is (8, 3, 3, 3), not (16, 3, 3, 3)" in message
    assert " more" in message
    message = refusal(blank_network(2), file(released_state(4)))
    assert message.endswith("unknown: upsampler.stages.2.weight, upsampler.stages.2.bias")


def test_without_strict_what_fits_is_taken_and_the_rest_reported(tiny_network, file):
    source, target = tiny_network(scale=3), tiny_network(scale=4)
    state, before = other(copied(source)), copied(target)
    info = load_checkpoint(target, file({"params": state | {"extra": torch.zeros(1)}}), strict=False)
    stages = [name for name in before if name.startswith("upsampler.stages.")]
    assert sorted(info.missing) == sorted(stages)
    assert info.ignored == ["extra"]
    assert info.taken == sorted(before.keys() - set(stages))
    assert_same(target.state_dict(), {name: (before if name in stages else state)[name] for name in before})
    assert "1 ignored (extra), 4 left as they were (upsampler.stages.2.weight" in str(info)
    with pytest.raises(UserError, match="no tensor in common"):
        load_checkpoint(target, file({"something": torch.zeros(3)}), strict=False)


def test_a_missing_file_and_a_folder_are_refused(tiny_network, tmp_path):
    net = tiny_network(scale=2)
    assert refusal(net, tmp_path / "weights.pth") == f"no checkpoint at {tmp_path / 'weights.pth'}"
    assert refusal(net, tmp_path).startswith("no checkpoint at")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_at_any_place_is_refused(tmp_path, zipped):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=zipped)
    complete = path.read_bytes()
    for length in range(0, len(complete), 5):
        path.write_bytes(complete[:length])
        with pytest.raises(UserError, match=r"cannot be read as a checkpoint: ."):
            read_weights(path)


@pytest.mark.parametrize("place", ["top", "among the weights"])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_file_is_not_run(tiny_network, tmp_path, writer, place):
    path, harm = tmp_path / "weights.pth", Harm(tmp_path / "harm")
    content = harm if place == "top" else {"params": {"a": harm}}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    message = refusal(tiny_network(scale=2), path)
    assert "holds more than tensors" in message
    assert "weights_only" not in message
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_by_name(tiny_network, file, value):
    net = tiny_network(scale=2)
    state = copied(net)
    state["embedding.1.weight"][3, 5] = value
    assert "not finite, in embedding.1.weight" in refusal(net, file({"params": state}))


@pytest.mark.parametrize(
    "content",
    [[torch.zeros(2)], torch.zeros(2), "text", {}, {"params": {}}, {"params": [1]}, {"a": 1}, {1: torch.zeros(2)}],
)
def test_what_is_no_state_dict_of_tensors_is_refused(tiny_network, file, content):
    assert "is not a checkpoint" in refusal(tiny_network(scale=2), file(content))


def test_a_training_state_is_told_from_weights(tiny_network, file):
    state = {"iteration": 1, "best_psnr": 0.0, "options": {}, "weights": {}, "guard": {}, "last_good": None}
    assert "is a training state: weights are in the folder `models`" in refusal(tiny_network(scale=2), file(state))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos")])
def test_a_failed_save_leaves_the_older_file_and_nothing_else(tiny_network, tmp_path, monkeypatch, error):
    net, path = tiny_network(scale=2), tmp_path / "weights.pth"
    save_checkpoint(path, params=net.state_dict())
    before = path.read_bytes()

    def save(content, file):
        file.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(UserError, match=r"weights.pth cannot be written: (No space|unexpected pos)"):
        save_checkpoint(path, params=other(net.state_dict()))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_weights_of_a_kindred_network_are_told_by_name_and_scale(tiny_network, file, name, scale):
    content = {"params": copied(tiny_network(name, scale=scale))}
    other = {"PL_IDENet": "PL_IDENet_E", "PL_IDENet_E": "PL_IDENet"}[name]
    message = refusal(tiny_network(other, scale=4), file(content))
    assert f"it looks like weights of {name} x{scale}, the network is {other} x4; " in message


def test_where_both_are_of_one_name_and_scale_only_the_shapes_are_told(tiny_network, file):
    message = refusal(tiny_network(scale=2), file({"params": copied(tiny_network(scale=2, embed_dim=16))}))
    assert "looks like" not in message and "other shapes" in message


def test_where_weights_of_a_run_do_not_fit_its_option_file_is_told(tiny_network, tmp_path):
    save_checkpoint(tmp_path / "run/models/best_G.pth", params=tiny_network(scale=2, embed_dim=16).state_dict())
    assert "resolved.yml" not in refusal(tiny_network(scale=2), tmp_path / "run/models/best_G.pth")
    (tmp_path / "run/resolved.yml").touch()
    message = refusal(tiny_network(scale=2), tmp_path / "run/models/best_G.pth")
    assert message.endswith(f"; the option file of its run is {tmp_path / 'run/resolved.yml'}")


@pytest.mark.parametrize("shape", [(), (3,), (8, 0, 3, 3), (8, 5, 3, 3)])
def test_odd_shapes_look_like_no_network(shape):
    assert recognize({"refinement.conv_first.weight": torch.zeros(shape)}) is None
    stage = {"upsampler.stages.0.weight": torch.zeros(16, 4, 3, 3)}
    assert recognize({**stage, "refinement.conv_first.weight": torch.zeros(shape)}) is None
    assert recognize({**stage, "refinement.conv_first.weight": torch.zeros(8, 12, 3, 3)}) == "PL_IDENet_E x2"
