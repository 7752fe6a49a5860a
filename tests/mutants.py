"""Which small mistakes would the tests let through? Flips operators and numbers, one at a time, and runs the tests.

    python tests/mutants.py                                   # all files of TESTS
    python tests/mutants.py --files wiener imresize --limit 50 --seed 1

Each mutant lives in a copy of the package in a temporary folder; the working tree is only read. Torch is imported once,
and each mutant runs in a fork of that process, one at a time. A mutant is killed by a failing test, an error or a
time-out; the survivors are listed, and each is either a gap in the tests or a change of no effect.

Of all, these remain, and change nothing that could be seen:
* an axis counted from the front of a tensor that always has four, or the other side of a square kernel;
* the last instead of the first of a single plane;
* another guard against rounding: 5e-11 beside a norm of 1, a clamp at -1 of what is not negative but for rounding;
* more zeros around a kernel that is padded with zeros anyway, more taps of a cubic that is zero out there, and
  its pieces swapped at 1 and 2, where both have the same value;
* a round kernel that is turned, widths rounded to 9 or 11 digits, a size of 0 (refused as an even one), a random number
  that hits the rate exactly, and a cached matrix that nobody writes to and that could be written to.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "codes" / "plidenet"
PARTS = "deconvolution or constant_regularization or strengths or padding or transfer or taper or wiener"
NUMBERS = "tests/test_numbers.py"
DIRECT = ["direct_downsampling_keeps_the_pixels_next_to_the_middle_of_their_block"]
DIRECT += ["another_downsampling_is_refused", "a_kernel_can_be_centered_between_its_taps"]
DIRECT = [f"tests/test_setting2.py::test_{name}" for name in DIRECT]  # the other downsampling, and kernels for it
# Per file of the package: the tests that answer for it, and which of those (pytest's -k; "" for all).
TESTS: dict[str, tuple[list[str], str]] = {
    "archs/wiener.py": (["tests/test_arch_parts.py", "tests/test_arch_start.py", NUMBERS], PARTS),
    "metrics/psnr_ssim.py": (
        ["tests/test_metrics.py", NUMBERS],
        "psnr or ssim or score or errors or arrays or gray or identical or luma or skimage",
    ),
    "metrics/kernel.py": (
        ["tests/test_kernel_scores.py", NUMBERS],
        "no_error or independent or moved or smaller or taps",
    ),
    "degradation/imresize.py": (["tests/test_imresize.py", NUMBERS], ""),
    "degradation/pipeline.py": (["tests/test_degrade.py", *DIRECT, NUMBERS], ""),
    "degradation/kernels.py": (["tests/test_kernels.py", *DIRECT, NUMBERS], ""),
}
# What the tests import, to be imported once.
WARM = [
    *("torch", "torch.testing", "scipy.interpolate", "scipy.ndimage", "skimage.data", "skimage.metrics", "skimage.io"),
    *("imageio.v3", "tifffile", "PIL.Image", "pytest", "plidenet.evaluation", "plidenet.archs.refinement"),
]

SWAPS = [(ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq)]
SWAPS += [(ast.In, ast.NotIn), (ast.Is, ast.IsNot), (ast.And, ast.Or)]
OPERATORS: dict[type, type] = dict(SWAPS) | {right: left for left, right in SWAPS}
OPERATORS |= {ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv}
OPPOSITES = [("min", "max"), ("amin", "amax"), ("minimum", "maximum"), ("floor", "ceil"), ("sin", "cos")]
NAMES = dict(OPPOSITES) | {right: left for left, right in OPPOSITES}


class Mutant(NamedTuple):
    """One change: the file, relative to the package; the line; what it says before and after; the whole new text."""

    file: str
    line: int
    before: str
    after: str
    text: str


def mutants(file: str) -> Iterator[Mutant]:
    """All mutants of one file. Type hints, decorators, docstrings and `raise` statements are left alone."""
    tree = ast.parse((PACKAGE / file).read_text())
    for path in list(_walk(tree, ())):
        node = _at(tree, path)
        for changed in _changes(node):
            mutated = copy.deepcopy(tree)
            owner, name, index = _at(mutated, path[:-1]), *path[-1]
            if index is None:
                setattr(owner, name, changed)
            else:
                getattr(owner, name)[index] = changed
            yield Mutant(file, node.lineno, ast.unparse(node), ast.unparse(changed), ast.unparse(mutated))


def _walk(node: ast.AST, path: tuple) -> Iterator[tuple]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Raise):
                step = (*path, (name, index))
                if isinstance(child, ast.expr | ast.stmt | ast.keyword):
                    yield step
                yield from _walk(child, step)


def _at(node: ast.AST, path: tuple) -> ast.AST:
    for name, index in path:
        node = getattr(node, name) if index is None else getattr(node, name)[index]
    return node


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes to put in the place of this one."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OPERATORS:
        yield _with(node, op=OPERATORS[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        yield _with(node, ops=[OPERATORS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    if isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Constant) and isinstance(value := node.value, int | float):
        values = [not value] if isinstance(value, bool) else [value + 1, value - 1 if type(value) is int else value / 2]
        yield from (_with(node, value=other) for other in values if other != value)
    for field, kind in (("id", ast.Name), ("attr", ast.Attribute), ("arg", ast.keyword)):
        if isinstance(node, kind) and getattr(node, field) in NAMES:
            yield _with(node, **{field: NAMES[getattr(node, field)]})


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def survives(codes: Path, tests: list[str], keyword: str, timeout: float) -> bool:
    """Run tests in a fork of this process, with the package found in `codes`: True where all of them pass."""
    child = os.fork()
    if child == 0:
        _run_tests(codes, tests, keyword)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests(codes: Path, tests: list[str], keyword: str) -> None:
    """Never returns: a forked child must not run what the parent has planned for its own end."""
    status = 1
    try:
        log = os.open(codes.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.path.insert(0, str(codes))
        found = import_module("plidenet").__file__
        if not found or not Path(found).is_relative_to(codes):
            raise ImportError(f"the tests would run on {found}")
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", keyword]
        status = int(import_module("pytest").main([*options, *tests]))
    finally:
        os._exit(status)


def main() -> None:
    """Make the mutants, run the tests on each, print the survivors and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="*", default=[""], help="parts of names; default: every file of TESTS")
    parser.add_argument("--limit", type=int, help="at most so many mutants per file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of that draw")
    parser.add_argument("--timeout", type=float, default=60, help="seconds; a mutant that takes longer is killed")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    for name in WARM:
        import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "plidenet"]:
        del sys.modules[name]  # the packages that it imports stay; it is imported again from the copy
    with tempfile.TemporaryDirectory() as folder:
        codes = Path(folder).resolve() / "codes"
        shutil.copytree(PACKAGE, codes / "plidenet")
        for file in (name for name in TESTS if any(part in name for part in arguments.files)):
            if not survives(codes, *TESTS[file], timeout=300):
                sys.exit(f"{file}: its tests fail without any mutation:\n{(codes.parent / 'log').read_text()[-2000:]}")
            made = list(mutants(file))
            if arguments.limit is not None and arguments.limit < len(made):
                drawn = random.Random(arguments.seed).sample(range(len(made)), arguments.limit)
                made = [made[index] for index in sorted(drawn)]
            survivors = 0
            for mutant in made:
                (codes / "plidenet" / file).write_text(mutant.text)
                if survives(codes, *TESTS[file], arguments.timeout):
                    survivors += 1
                    print(f"{file}:{mutant.line}: {mutant.before}  ->  {mutant.after}", flush=True)
            shutil.copyfile(PACKAGE / file, codes / "plidenet" / file)
            print(f"{file}: {len(made)} mutants, {survivors} survived", flush=True)


if __name__ == "__main__":
    main()
