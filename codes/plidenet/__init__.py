"""PL-IDENet: blind super-resolution with an implicit kernel estimator, learnable Wiener deconvolution and prompts.

Submodules and the names below are imported when first used, so that programs that need no torch do not pay for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plidenet.archs import build_network as build_network
    from plidenet.checkpoint import load_checkpoint as load_checkpoint

__version__ = "0.1.0"

_SUBMODULES = {"archs", "checkpoint", "config", "data", "degradation", "device", "errors", "evaluation"}
_SUBMODULES |= {"losses", "metrics", "training"}
_NAMES = {"build_network": "plidenet.archs", "load_checkpoint": "plidenet.checkpoint"}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    if name in _SUBMODULES:
        return import_module(f"plidenet.{name}")
    raise AttributeError(f"module 'plidenet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES, *_NAMES])
