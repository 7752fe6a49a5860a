"""Networks and losses of one's own, from Python files that an option file names."""

import sys
from collections.abc import Collection
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from plidenet.errors import UserError
from plidenet.registry import PARTS


def load_parts(files: Collection[Path]) -> None:
    """Run Python files, each once in a process; they register what is in them.

    Raises:
        UserError: a file is missing or does not end in .py, two have one name, or one registers a name that is taken.
            What else goes wrong within a file passes through.
    """
    resolved = {file.resolve() for file in files}
    if len({file.name for file in resolved}) < len(resolved):
        raise UserError("two parts have the same file name, by which a run keeps its copies of them")
    for file in map(Path.resolve, files):
        name = f"{PARTS}{file}"
        if name in sys.modules:
            continue
        spec = spec_from_file_location(name, file)
        if not file.is_file() or spec is None or spec.loader is None:
            raise UserError(f"{file} is not a Python file (parts)")
        sys.modules[name] = module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
