"""The speed benchmark: what it runs is what it says, and its figures are those of what ran."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import ROOT, TINY
from plidenet.complexity import count
from plidenet.speed.cases import Case, prepare
from plidenet.speed.memory import measure, peak_memory
from plidenet.speed.report import Result, baseline, document, table
from plidenet.speed.roofs import Roofs, measure_roofs, traffic
from plidenet.speed.timing import Timing, interleaved

CPU = torch.device("cpu")
PLAIN = str(ROOT / "tests/plain_network.py")
CASE = Case(network="PL_IDENet", setting=TINY, size=16, scale=2)
BICUBIC = Case(network="Bicubic", size=16, scale=2)
MIB = 2**20


def result(case, wall=1.0, **changes):
    known = {"timing": Timing([wall] * 3, [2 * wall] * 3), "multiply_adds": 10**9, "traffic": 10**9, "peak": None}
    return Result(case, **known | changes)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("network", ["PL_IDENet", "PL_IDENet_E"])
def test_networks_run_in_every_mode_and_precision(network, mode, precision):
    prepare(replace(CASE, network=network, mode=mode, precision=precision))()


@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("network", ["PL_IDENet", "PL_IDENet_E"])
def test_the_transcription_runs_in_every_mode(network, mode):
    prepare(replace(CASE, network=network, mode=mode, plain=PLAIN))()


@pytest.mark.parametrize("plain", [None, PLAIN], ids=["network", "plain"])
def test_a_training_step_moves_the_weights_and_a_forward_pass_does_not(monkeypatch, plain):
    nets = []
    build = Case.build
    monkeypatch.setattr(Case, "build", lambda case: nets.append(build(case)) or nets[-1])
    for mode in ("forward", "train"):
        prepare(replace(CASE, mode=mode, plain=plain))()
    initial = CASE.build().state_dict()
    still, moved, _ = (net.state_dict() for net in nets)
    assert all(torch.equal(value, initial[name]) for name, value in still.items())
    for part in ("estimator", "upsampler", "wiener", "embedding", "refinement"):
        assert any(not torch.equal(moved[n], initial[n]) for n in initial if n.startswith(part)), part


def test_the_transcription_gets_the_same_weights_as_the_network():
    first, second = CASE.build().state_dict(), replace(CASE, plain=PLAIN).build().state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_cases_take_turns_and_each_gets_its_own_times():
    calls = []
    slow = torch.rand(300, 300)

    def run_a():
        calls.append("a")

    def run_b():
        calls.append("b")
        for _ in range(20):
            slow @ slow

    a, b = interleaved([run_a, run_b], range(3), CPU)
    assert calls == ["a", "b"] * 3
    assert len(a.wall) == len(a.cpu) == len(b.wall) == 3
    assert a.median_wall < b.median_wall
    assert a.median_cpu < b.median_cpu


def test_the_median_ignores_one_bad_moment():
    timing = Timing([1.0, 9.0, 2.0], [3.0, 1.0, 80.0])
    assert (timing.median_wall, timing.median_cpu) == (2, 3)


def test_traffic_is_what_operations_read_and_write():
    x, y = torch.zeros(100, 10), torch.zeros(10, 7)
    assert traffic(lambda: x + 1) == 2 * 4000
    assert traffic(lambda: x @ y) == 4000 + 280 + 2800
    assert traffic(lambda: x.add_(1)) >= 2 * 4000
    assert traffic(lambda: x.view(10, 100).transpose(0, 1)[3:5]) == 0
    assert traffic(lambda: torch.empty(1000)) == 0
    assert traffic(lambda: x + torch.zeros(1).expand(100, 10)) == 2 * 4000 + 4 + 4, (
        "an expanded tensor is no larger than its storage"
    )


def test_a_training_step_moves_more_than_a_forward_pass():
    forward, train = (traffic(prepare(replace(CASE, mode=mode))) for mode in ("forward", "train"))
    assert 2 * forward < train < 10 * forward


def test_the_roofs_are_positive_and_of_the_precisions_asked_for(monkeypatch):
    monkeypatch.setattr("plidenet.speed.roofs.MATRIX_SIDE", {"cpu": 128})
    monkeypatch.setattr("plidenet.speed.roofs.COPIED_BYTES", {"cpu": 2**16})
    roofs = measure_roofs(CPU, ["fp32", "bf16"])
    assert roofs.matrix.keys() == {"fp32", "bf16"}
    assert min(*roofs.matrix.values(), roofs.memory) > 1e6


def test_shares_are_of_the_roofs_and_a_training_step_counts_three_times():
    roofs = Roofs({"fp32": 1e11, "bf16": 2e11}, memory=1e10)
    forward, train = result(replace(CASE, batch=2)), result(replace(CASE, mode="train", precision="bf16"))
    assert forward.matrix_share(roofs) == pytest.approx(2 * 2 * 1e9 / 1e11)
    assert train.matrix_share(roofs) == pytest.approx(3 * 2 * 1e9 / 2e11)
    assert forward.memory_share(roofs) == pytest.approx(0.1)


def test_the_baseline_is_the_transcription_of_the_same_mode_and_size():
    plain = result(replace(CASE, plain=PLAIN), wall=3.0)
    others = [
        result(replace(CASE, plain=PLAIN, size=32)),
        result(replace(CASE, plain=PLAIN, mode="train")),
        result(CASE),
    ]
    assert baseline(result(replace(CASE, precision="bf16")), [*others, plain]) is plain
    assert baseline(result(CASE), others) is None


def test_the_table_has_ratios_to_the_baseline_and_says_where_memory_did_not_suffice():
    roofs = Roofs({"fp32": 1e11}, memory=1e10)
    results = [result(replace(CASE, plain=PLAIN), wall=3.0), result(CASE, wall=1.5), result(CASE, timing=None)]
    rows = [line.split() for line in table(results, roofs).splitlines()]
    assert rows[1][:3] == ["PL_IDENet", "(plain)", "forward"]
    assert rows[2][:4] == ["PL_IDENet", "forward", "fp32", "16x16"]
    assert rows[2][4:10] == ["1.5", "1.5-1.5", "3", "3-3", "2.00", "2.00"]
    assert rows[3][-3:] == ["out", "of", "memory"]
    assert json.dumps(document(results, roofs, CPU))


@pytest.mark.slow
def test_peak_memory_grows_with_the_image(fresh_process):
    # The first one also takes the code of libraries into memory.
    _, small, large = fresh_process.map(measure, [replace(BICUBIC, size=size) for size in (16, 16, 512)])
    assert large.work > small.work + 3 * (2 * 512) ** 2 * 4 - 2 * MIB
    assert large.total > large.work


@pytest.mark.slow
def test_peak_memory_is_had_from_a_process_of_its_own():
    peak = peak_memory(BICUBIC)
    assert 0 < peak.work < peak.total
    with pytest.raises(RuntimeError, match="the LR image is 3x3"):
        peak_memory(replace(CASE, size=3))


@pytest.mark.slow
def test_the_program_measures_every_combination_and_both_baselines(run_script, tmp_path, monkeypatch):
    monkeypatch.setattr("plidenet.speed.roofs.MATRIX_SIDE", {"cpu": 128})
    setting = ("--setting", json.dumps(TINY), "--scale", 2)
    what = ("--sizes", 16, 17, "--mode", "forward", "train", "--precision", "bf16", "--repeats", 2, "--device", "cpu")
    file = tmp_path / "new" / "speed.json"
    done = run_script("scripts/benchmark_speed.py", *setting, *what, "--no_memory", "--json", file)
    assert done.status == 0, done.err
    found = json.loads(file.read_text())
    names = [(r["case"]["network"], bool(r["case"]["plain"]), r["case"]["precision"]) for r in found["results"]]
    plain = [("PL_IDENet", True, "fp32"), ("PL_IDENet", False, "bf16")]
    assert names == [("Bicubic", False, "fp32"), *plain] * 2 + plain * 2
    assert all(len(r["timing"]["wall"]) == len(r["timing"]["cpu"]) == 2 for r in found["results"])
    assert found["results"][2]["multiply_adds"] == count(CASE.build(), (16, 16)).multiply_adds
    assert found["roofs"]["matrix"].keys() == {"fp32", "bf16"}
    assert len(done.out.splitlines()) > len(names)


@pytest.mark.parametrize(
    ("networks", "plain"),
    [(["Bicubic"], []), (["Bicubic", "PL_IDENet_E"], ["PL_IDENet_E"]), (["PL_IDENet"], ["PL_IDENet"])],
)
def test_the_transcription_is_of_the_first_network_that_has_one(run_script, tmp_path, monkeypatch, networks, plain):
    monkeypatch.setattr("plidenet.speed.roofs.MATRIX_SIDE", {"cpu": 128})
    monkeypatch.setattr("plidenet.speed.roofs.COPIED_BYTES", {"cpu": 2**20})
    setting = ("--setting", "{}", "--scale", 2, "--sizes", 16, "--repeats", 1, "--device", "cpu", "--no_memory")
    done = run_script("scripts/benchmark_speed.py", "--network", *networks, *setting, "--json", tmp_path / "speed.json")
    assert done.status == 0, done.err
    cases = [result["case"] for result in json.loads((tmp_path / "speed.json").read_text())["results"]]
    assert [case["network"] for case in cases if case["plain"]] == plain
    assert [case["network"] for case in cases if not case["plain"]] == ["Bicubic", *networks]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sizes", 0), "must be positive"),
        (("--network", "PL_IDENt", "--no_memory"), "did you mean 'PL_IDENet'?"),
        (("--sizes", 8, "--no_memory"), "at least 16x16"),
        (("--setting", "{}", "--threads", -1), "must be positive"),
        (("--network", "PL_IDENet", "Bicubic", "--mode", "train"), "Bicubic has no parameters to train"),
    ],
)
def test_what_cannot_be_measured_is_refused(run_script, arguments, message):
    done = run_script("scripts/benchmark_speed.py", "--device", "cpu", *arguments)
    assert done.status == 2
    assert message in done.err


@pytest.mark.parametrize("setting", ["x", "[1]", '{"scale": 2}'])
def test_a_setting_that_is_no_json_object_of_the_network_is_refused(run_script, setting):
    ended = run_script("scripts/benchmark_speed.py", "--setting", setting)
    assert ended.status == 2
    assert ended.err.splitlines()[-1].startswith("benchmark_speed.py: error: argument --setting: ")
