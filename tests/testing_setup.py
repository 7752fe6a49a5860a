"""Test sets small enough for a test: crops of two photographs, blurred by several kernels, x2, with option files."""

import csv
from pathlib import Path

import numpy as np
import torch
import yaml
from conftest import TINY
from PIL import Image
from plidenet.data.benchmark import build_benchmark, setting1
from plidenet.data.images import write_image
from skimage import data
from torch import nn

BICUBIC = {"which_model_G": "Bicubic", "setting": {"scale": 2}}
LEARNED = {"which_model_G": "PL_IDENet", "setting": TINY}
PHOTOGRAPHS = {"cat": data.chelsea()[100:160, 100:180], "face": data.astronaut()[20:85, 180:256]}


def make_benchmark(folder: Path, widths: list[float]) -> Path:
    """Both photographs with each of the widths, as folders and LMDBs; returns their folder."""
    for name, image in PHOTOGRAPHS.items():
        write_image(folder / f"photographs/{name}.png", image)
    build_benchmark(folder / "photographs", folder / "set", 2, setting1(widths, 21), "dan")
    return folder / "set"


def read_png(path: Path) -> np.ndarray:
    """Pixels as Pillow reads them, not this project."""
    with Image.open(path) as image:
        return np.array(image)


def restored_by(net: nn.Module, lr: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """What a file of the restored image holds, and the estimated kernel."""
    with torch.no_grad():
        sr, kernel = net(torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255)
    return (255 * sr[0].clamp(0, 1)).round().byte().permute(1, 2, 0).numpy(), kernel


class Bench:
    """A folder with option files that test on one benchmark; results go to its subfolder results."""

    def __init__(self, folder: Path, benchmark: Path) -> None:
        self.folder, self.benchmark = folder, benchmark

    def options(self, name: str, network: dict = BICUBIC, sets: tuple[str, ...] = ("Set5",), **changes: object) -> Path:
        """An option file; keyword arguments set whole sections."""
        sections = {f"test{number}": self.section(set_name) for number, set_name in enumerate(sets)}
        paths = {"results_root": str(self.folder / "results"), **changes.pop("path", {})}
        content = {"name": name, "scale": 2, "device": "cpu", "datasets": sections, "network_G": network, "path": paths}
        file = self.folder / f"{name}.yml"
        file.write_text(yaml.safe_dump(content | changes))
        return file

    def section(self, name: str) -> dict:
        """A blurred set from LMDBs; with true kernels where it is called Kernels, without blur where called Plain."""
        hr, lr = ("HR/x2", "Bic/x2") if name == "Plain" else ("HR_x2.lmdb", "LRblur_x2.lmdb")
        pair = {"dataroot_GT": str(self.benchmark / hr), "dataroot_LQ": str(self.benchmark / lr)}
        kernels = {"dataroot_kernel": str(self.benchmark / "kernel/x2")} if name == "Kernels" else {}
        return {"name": name, "mode": "LQGT", "n_workers": 0, **pair, **kernels}

    def table(self, path: str) -> list[dict[str, str]]:
        """The lines of a CSV under results."""
        with (self.folder / "results" / path).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def text(self, path: str) -> str:
        """A text file under results."""
        return (self.folder / "results" / path).read_text(encoding="utf-8")
