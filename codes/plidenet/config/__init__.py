"""Typed options: their fields, their reader, their writer."""

from plidenet.config.reader import load_options
from plidenet.config.schema import RESULT_TABLES, Options
from plidenet.config.schema import Dataset as DatasetOptions
from plidenet.config.writer import describe_changes, describe_differences, write_options

__all__ = [
    "RESULT_TABLES",
    "DatasetOptions",
    "Options",
    "describe_changes",
    "describe_differences",
    "load_options",
    "write_options",
]
