"""What all command-line programs share: the parser, the exit status, the progress bar. Imports no torch."""

import argparse
import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

from plidenet.errors import UserError

T = TypeVar("T")
LONGEST = 1500  # characters of a message


def parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """An argument parser whose --help ends with an example.

    Args:
        description: what the program does, usually its `__doc__`.
        example: one or more complete command lines.
    """
    return argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def option_parser(description: str | None, example: str, required: bool = True) -> argparse.ArgumentParser:
    """A parser with what training and testing take: the option file, overrides, and old launchers' arguments.

    Args:
        description: see `parser`.
        example: see `parser`.
        required: whether the option file has to be given by `-opt`.
    """
    arguments = parser(description, example)
    arguments.add_argument("-opt", "--opt", required=required, metavar="FILE", help="option file (YAML)")
    arguments.add_argument("overrides", nargs="*", metavar="field=value", help="e.g. train.niter=2000 train.lr_G=2e-4")
    arguments.add_argument("--launcher", type=launcher, help="ignored, but for slurm, which is refused")
    arguments.add_argument("--local_rank", "--local-rank", help="accepted and ignored")
    return arguments


def launcher(name: str) -> str:
    """The value of --launcher; Slurm's own processes would each train alone."""
    if name == "slurm":
        raise argparse.ArgumentTypeError("let srun start one torchrun a machine (docs/training.md)")
    return name


def add_tile_arguments(arguments: argparse.ArgumentParser) -> None:
    """--tile and --tile_overlap, for programs that restore images; see `tile_overrides`."""
    arguments.add_argument("--tile", metavar="N", help="refine in tiles of N LR pixels; auto: what fits free memory")
    arguments.add_argument(
        "--tile_overlap", metavar="N", help="overlap of the tiles, in LR pixels (default: 32, or N/2 if smaller)"
    )


def tile_overrides(given: argparse.Namespace) -> list[str]:
    """The two arguments as assignments to fields of the option file."""
    values = {"tile": given.tile, "tile_overlap": given.tile_overlap}
    return [f"test.{name}={value}" for name, value in values.items() if value is not None]


def run(main: Callable[[], None]) -> int:
    """Run a program; user errors and files that cannot be used end it with one line on stderr and status 2.

    Use as `sys.exit(run(main))`. Ctrl-C gives status 130, a reader of the output that is gone (`| head`) 1; other
    errors pass through with a traceback (1). Characters that the output's encoding lacks are printed as "?".
    """
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed, as by 2>&-
            setattr(sys, stream, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    # Threads that spin while they wait make PyTorch ten times slower on a shared CPU. It reads this when imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's own flush at its end
        return 1
    except (UserError, OSError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _reader_is_gone() -> bool:
    """Whether nobody reads what is printed."""
    output = select.poll()
    output.register(sys.stdout, 0)
    return bool(output.poll(0))


def explain(error: BaseException) -> str | None:
    """The one printable line that answers an error of the user's making; None for an error of another kind.

    Names read from files may hold anything: control characters are escaped, and a very long text loses its middle.
    """
    if isinstance(error, UserError):
        text = str(error).rsplit("UserError: ", 1)[-1]  # a loader process' error comes with its traceback in front
    elif isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        return None
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def progress(items: Iterable[T], description: str, total: int | None = None, unit: str = "img") -> Iterator[T]:
    """Iterate with a progress bar on a terminal, and with plain lines (every ten seconds) elsewhere."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total, unit=unit)
        return
    start = said = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - said >= 10:
            said, rate = now, done / (now - start)
            left = f", {(total - done) / rate:.0f} s left" if total else ""
            print(f"{description}: {done}/{total or '?'}, {rate:.2f} {unit}/s{left}", file=sys.stderr, flush=True)
    print(f"{description}: {done} {unit} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
