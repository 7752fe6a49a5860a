"""Typed options and their reader."""

from plidenet.config.reader import describe_changes, load_options
from plidenet.config.schema import Dataset as DatasetOptions
from plidenet.config.schema import Options

__all__ = ["DatasetOptions", "Options", "describe_changes", "load_options"]
