"""Cases for the reader of checkpoints: damaged files, hostile pickles, and tensors of every kind that torch knows."""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from fuzz_lmdb_meta import harm
from fuzz_mutations import TEXTS, mutate
from plidenet.checkpoint import load_checkpoint
from torch import Tensor, nn

DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
DTYPES += [getattr(torch, name) for name in ("float8_e4m3fn", "float8_e5m2", "uint16") if hasattr(torch, name)]


class Checkpoints:
    """A file of weights for a small network, in all formats that are read."""

    writes = False

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), last=nn.Linear(4, 2)))
        self.sound = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.kinds = [
            self.damaged,
            self.damaged,
            *[self.inner] * 2,
            *[self.tensors] * 3,
            self.contents,
            self.names,
            self.code,
        ]

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        content = self.kinds[number % len(self.kinds)](rng)
        path, strict = folder / "weights.pth", rng.random() < 0.5
        path.write_bytes(content)
        self.net.load_state_dict(self.sound)
        return lambda: read(self.net, path, strict)

    def damaged(self, rng: Random) -> bytes:
        return mutate(rng, saved(self.wrapped(rng, self.sound), rng.random() < 0.7))

    def inner(self, rng: Random) -> bytes:
        """A sound archive, one of whose files is damaged, missing, twice there or called otherwise."""
        source = zipfile.ZipFile(io.BytesIO(saved(self.wrapped(rng, self.sound))))
        entries = [(entry.filename, source.read(entry)) for entry in source.infolist()]
        at = rng.choice((0, 0, 0, rng.randrange(len(entries))))  # the first is the pickle
        name, content = entries[at]
        way = rng.randrange(6)
        if way == 0:
            del entries[at]
        elif way == 1:
            entries.append((name, mutate(rng, content)))
        elif way == 2:
            names = (
                "../../ran",
                "/ran",
                "archive/../ran",
                "archive/data/99999",
                "archive/.data/x",
                "archive/code/a.py",
            )
            entries[at] = (rng.choice(names), content)
        else:
            entries[at] = (name, mutate(rng, content))
        return zipped(entries, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))

    def tensors(self, rng: Random) -> bytes:
        """One weight of another kind, shape or content."""
        state: dict[str, Any] = dict(self.sound)
        name = rng.choice(list(state))
        state[name] = self.strange(rng, state[name])
        return saved(self.wrapped(rng, state), rng.random() < 0.8)

    def strange(self, rng: Random, value: Tensor) -> Any:
        table = value.float().reshape(len(value) if value.ndim else 1, -1)
        ways: list[Callable[[], Any]] = [
            lambda: value.to(rng.choice(DTYPES)),
            lambda: torch.full_like(value.float(), rng.choice((float("nan"), float("inf"), -float("inf"), 1e38))),
            lambda: value.double() + 1e300,
            lambda: table.to_sparse(),
            lambda: table.to_sparse_csr(),
            lambda: torch.zeros(1).expand(10 ** rng.choice((3, 9, 12, 15))),
            lambda: torch.zeros(1, dtype=torch.int64).expand(*value.shape, 10**9),
            lambda: torch.as_strided(torch.zeros(4), value.shape, (0,) * value.ndim),
            lambda: value.to("meta"),
            lambda: torch.empty(1 << 40, device="meta"),
            lambda: torch.empty(rng.choice(((0,), (0, 3), (2,) * 20, (1,)))),
            lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
            lambda: nn.Parameter(value.float()),
            lambda: value.float().requires_grad_(),
            lambda: torch.conj(value.to(torch.complex64)),
            lambda: torch._neg_view(value.float()),
            lambda: value.mT if value.ndim > 1 else value[None],
            lambda: value.tolist(),
            lambda: value.detach().numpy(),
            lambda: rng.choice(
                (None, "text", 3, 1.5, b"bytes", [value], (value,), {"a": value}, torch.float32, value.shape)
            ),
        ]
        if hasattr(torch, "quantize_per_tensor"):  # deprecated
            ways.append(lambda: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.qint8))
        return rng.choice(ways)()

    def contents(self, rng: Random) -> bytes:
        """What is no state dict."""
        endless: list[Any] = []
        endless.append(endless)
        deep: Any = {}
        for _ in range(rng.choice((10, 200))):
            deep = {"params": deep}
        state = self.sound
        others = [None, 3, "text", [], [state], (state,), {}, {"params": None}, {"params": {}}, {"params": [state]}]
        others += [
            {"params": {"params": state}},
            {"params_ema": None, "params": state},
            {"state_dict": "x"},
            endless,
            deep,
        ]
        others += [
            {3: torch.zeros(1)},
            {None: torch.zeros(1)},
            {("a",): torch.zeros(1)},
            torch.zeros(3),
            torch.Size([3]),
        ]
        others += [{"params": state, "params_ema": {name: value[..., None] for name, value in state.items()}}]
        return saved(rng.choice(others), rng.random() < 0.8)

    def names(self, rng: Random) -> bytes:
        """Weights under other names: missing, added, in the release's dialect, hostile."""
        state: dict[str, Any] = dict(self.sound)
        for _ in range(rng.choice((1, 2, 50))):
            name = rng.choice(list(state))
            prefix = rng.choice(("module.", "_orig_mod.", "module." * 1000, "netK.", "netDe.netT.", ".", ""))
            added = rng.choice(
                (prefix + name, prefix + rng.choice(TEXTS), "netK.conv_1.0.weight", "netDe.deblur.alpha")
            )
            added = rng.choice(
                (added, "wiener.filter_scale", "netDe.deblur.wiener_conv_weights", "wiener.regularizers")
            )
            state[added] = state.pop(name) if rng.random() < 0.5 and len(state) > 1 else state[name]
        return saved(self.wrapped(rng, state), rng.random() < 0.8)

    def code(self, rng: Random) -> bytes:
        """A pickle that would run code when it is read without care: as torch writes it, and bare."""
        state: dict[Any, Any] = dict(self.sound)
        place = rng.randrange(3)
        content: Any = harm(rng) if place == 0 else {"params": {**state, "conv.bias": harm(rng)}}
        if place == 2:
            content = {harm(rng): state}
        return saved(content, rng.random() < 0.5) if rng.random() < 0.5 else pickle.dumps(content, rng.randrange(6))

    def wrapped(self, rng: Random, state: dict[str, Any]) -> dict[str, Any]:
        return rng.choice(
            (state, {"params": state}, {"params": self.sound, "params_ema": state}, {"state_dict": state})
        )


def read(net: nn.Module, path: Path, strict: bool) -> None:
    """As the programs do; refused files must leave the network as it was, others leave it finite."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    try:
        str(load_checkpoint(net, path, strict))
    except Exception:
        after = net.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items()), "half loaded"
        raise
    assert all(value.isfinite().all() for value in net.state_dict().values())


def saved(content: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def zipped(entries: list[tuple[str, bytes]], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()
