"""Training."""

from plidenet.training.trainer import Trainer

__all__ = ["Trainer"]
