"""Evaluation: restore, measure, tabulate."""

from plidenet.evaluation.evaluator import ImageResult, Restored, evaluate, restore
from plidenet.evaluation.tables import SetResult, summarize, to_markdown, write_image_scores, write_tables

__all__ = [
    "ImageResult",
    "Restored",
    "SetResult",
    "evaluate",
    "restore",
    "summarize",
    "to_markdown",
    "write_image_scores",
    "write_tables",
]
