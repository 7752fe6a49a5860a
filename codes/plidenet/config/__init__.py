"""Typed options and their reader."""

from plidenet.config.reader import describe_changes, describe_differences, load_options
from plidenet.config.schema import RESULT_TABLES, Options
from plidenet.config.schema import Dataset as DatasetOptions
from plidenet.config.writer import write_options

__all__ = [
    "RESULT_TABLES",
    "DatasetOptions",
    "Options",
    "describe_changes",
    "describe_differences",
    "load_options",
    "write_options",
]
