"""Cases for whole programs, run in this process on damaged files: one sentence, status 2, nothing half-written."""

import contextlib
import io
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import yaml
from conftest import ROOT, TINY
from fuzz_arrays import Manifests
from fuzz_checkpoints import Checkpoints
from fuzz_images import Images
from fuzz_lmdb import Databases
from fuzz_lmdb_meta import MetaFiles
from fuzz_mutations import mutate
from plidenet.data import lmdb_store
from plidenet.data.images import read_image
from plidenet.errors import UserError
from plidenet.training import experiment

SCRIPTS = {
    "create_lmdb": ["--lmdb", "out.lmdb", "--format", "basicsr"],
    "extract_subimages": ["--save", "out", "--size", "16", "--step", "16"],
    "generate_mod_LR_bic": ["--save", "out", "--scale", "2"],
    "generate_mod_blur_LR_bic": ["--save", "out", "--scale", "2", "--sigmas", "1"],
    "build_benchmark": ["--save", "out", "--name", "Set", "--scale", "2"],
}


class Programs:
    """A program in a folder of its own, given a damaged file among sound ones."""

    writes = True

    def __init__(self, folder: Path) -> None:
        makers = {"images": Images, "databases": Databases, "meta": MetaFiles, "checkpoints": Checkpoints}
        self.makers = {}
        for name, maker in (makers | {"manifests": Manifests}).items():
            (folder / name).mkdir()
            self.makers[name] = maker(folder / name)
        self.sound = self.makers["images"].samples["png rgb"]
        self.kinds = [self.script, self.script, self.inference, self.test, self.test, self.options, self.converter]
        self.kinds += [self.manifest, self.training]
        experiment.git_commit = lambda: None  # the one program that is started, and not for a file's sake

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        program, *arguments = self.kinds[number % len(self.kinds)](rng, folder)
        return lambda: run(ROOT / program, arguments, folder)

    def damaged(self, maker: str, rng: Random, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.makers[maker].case(rng, rng.randrange(100_000), folder)

    def photographs(self, rng: Random, folder: Path) -> None:
        self.damaged("images", rng, folder)
        (folder / "0.png").write_bytes(self.sound)

    def script(self, rng: Random, folder: Path) -> list[str]:
        self.photographs(rng, folder / "in")
        name = rng.choice(list(SCRIPTS))
        return [f"scripts/{name}.py", "--source", "in", *SCRIPTS[name]]

    def inference(self, rng: Random, folder: Path) -> list[str]:
        self.photographs(rng, folder / "in")
        (folder / "options.yml").write_text(options())
        return ["test/inference.py", "-opt", "options.yml", "-input_dir", "in", "-output_dir", "out"]

    def test(self, rng: Random, folder: Path) -> list[str]:
        """Testing on a damaged LMDB or folder."""
        self.damaged(rng.choice(("databases", "databases", "meta", "images")), rng, folder / "LR")
        (folder / "options.yml").write_text(options(test={"save_images": rng.random() < 0.5}))
        return ["test/test.py", "-opt", "options.yml"]

    def training(self, rng: Random, folder: Path) -> list[str]:
        """An iteration on a damaged LMDB or folder, or from a damaged checkpoint or training state."""
        (folder / "HR").mkdir()
        what = rng.choice(("databases", "images", "meta", "checkpoints", "checkpoints"))
        if what == "checkpoints":
            (folder / "HR/a.png").write_bytes(self.sound)
        self.damaged(what, rng, folder / ("weights" if what == "checkpoints" else "HR"))
        section = {"name": "train", "mode": "GT", "dataroot_GT": "HR", "GT_size": 32, "batch_size": 1, "n_workers": 0}
        network = {"which_model_G": "PL_IDENet_E", "setting": {**TINY, "depths": [1, 1], "num_heads": [2, 2]}}
        network["setting"] |= {"prompt_dims": [4, 4], "prompt_heads": [1, 1]}
        start = {rng.choice(("resume_state", "pretrain_model_G")): "weights/weights.pth"}
        content = {"datasets": {"train": section}, "network_G": network, "use_tb_logger": False, "train": {"niter": 1}}
        (folder / "options.yml").write_text(options(**content, path=start if what == "checkpoints" else {}))
        return ["train/train.py", "-opt", "options.yml"]

    def options(self, rng: Random, folder: Path) -> list[str]:
        (folder / "LR").mkdir()
        (folder / "LR/a.png").write_bytes(self.sound)
        (folder / "options.yml").write_bytes(mutate(rng, options().encode()))
        return ["test/test.py", "-opt", "options.yml", *rng.choice(([], ["scale=2"], ["crop_border=x"], ["a"]))]

    def converter(self, rng: Random, folder: Path) -> list[str]:
        self.damaged("checkpoints", rng, folder)
        return ["scripts/convert_checkpoint.py", "weights.pth", "out/new.pth"]

    def manifest(self, rng: Random, folder: Path) -> list[str]:
        self.damaged("manifests", rng, folder / "out")
        (folder / "in").mkdir()
        (folder / "in/a.png").write_bytes(self.sound)
        return ["scripts/generate_mod_blur_LR_bic.py", "--source", "in", *SCRIPTS["generate_mod_blur_LR_bic"]]


PROGRESS = ("write ", "verify ", "in: ")  # lines of programs that come to what is damaged last


def options(**changes: object) -> str:
    section = {"name": "Set", "mode": "LQ", "dataroot_LQ": "LR", "n_workers": 0}
    network = {"which_model_G": "Bicubic", "setting": {}}
    content = {"name": "run", "scale": 2, "device": "cpu", "datasets": {"test1": section}, "network_G": network}
    return yaml.safe_dump(content | changes, sort_keys=False)


def run(program: Path, arguments: list[str], folder: Path) -> None:
    """Run a program; UserError with its sentence where that, status 2 and a tidy folder are how it ended."""
    before, status = tree(folder), 0
    out, err = io.StringIO(), io.StringIO()
    os.chdir(folder)
    sys.argv = [str(program), *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os.chdir("/")
        lmdb_store._environment.cache_clear()
    new = {path for path in tree(folder) - before if path.name != ".lock"}
    assert not [path for path in new if path.name.startswith(".") or path.suffix == ".tmp"], "half-written files"
    if status == 2:
        said = [line for line in err.getvalue().splitlines() if not line.startswith(PROGRESS)]
        assert len(said) == 1, said
        assert said[0].startswith("error: "), said
        if program.parent.name == "test":  # the images that were restored by then stay, whole
            assert not [path for path in new if path.suffix in (".md", ".csv")]
            for path in new:
                assert path.is_dir() or path.suffix == ".npy" or read_image(path).size
        elif program.parent.name == "train":  # the folder of a run that had begun
            assert not [path for path in new if path.suffix in (".pth", ".state")]
        else:
            assert not new, new
        raise UserError(said[0])
    assert status == 0, (status, err.getvalue())


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
