"""Validation in training: whose weights are measured, on which set, and with which crop."""

from statistics import fmean

import pytest
from plidenet.data.benchmark import build_benchmark, setting1
from plidenet.data.images import write_image
from plidenet.evaluation.evaluator import evaluate, score_restored
from plidenet.metrics import kernel_l1
from plidenet.training.sets import build_val_loaders
from skimage import data


def test_the_averaged_weights_are_measured_on_luma_as_cropped_and_the_first_set_decides(run):
    write_image(run.folder / "second/cup.png", data.coffee()[100:148, 150:198])
    build_benchmark(run.folder / "second", run.folder / "val2", 2, setting1([1.0], 21))
    roots = ", ".join(f"dataroot_{key}: {run.folder}/val2/{kind}/x2" for key, kind in (("GT", "HR"), ("LQ", "LRblur")))
    trainer = run.train("crop_border=3", f"datasets.val2={{name: cup, mode: LQGT, n_workers: 0, {roots}}}")
    written = {(int(row), name): float(value) for row, name, value in run.curves("run")[1:]}
    distances = []

    def measure(restored, sample):
        if "kernel" in sample:
            distances.append(kernel_l1(restored.kernel, sample["kernel"]))
        return score_restored(restored, sample["gt"], 3)

    means = {}
    for name, loader in build_val_loaders(trainer.options).items():
        scores = evaluate(trainer.ema.module, loader, trainer.device, measure)
        means[name] = {key: fmean(getattr(one, key) for one in scores) for key in ("psnr_y", "ssim_rgb")}
    for name, values in means.items():
        for key, value in values.items():
            assert written[6, f"val/{name}/{key}"] == pytest.approx(value, rel=1e-6)
    assert written[6, "val/cat/kernel_l1"] == pytest.approx(fmean(distances), rel=1e-6)
    assert (6, "val/cup/kernel_l1") not in written
    assert trainer.best_psnr == pytest.approx(max(written[i, "val/cat/psnr_y"] for i in (3, 6)), rel=1e-6)
    assert means["cat"]["psnr_y"] != pytest.approx(means["cup"]["psnr_y"], rel=0.01)
