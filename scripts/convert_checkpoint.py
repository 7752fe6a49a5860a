#!/usr/bin/env python3
"""Rewrite a checkpoint (released format, bare state dict, or own) in this project's format: {"params": ...}.

Of several weights in a file, the EMA weights (params_ema) are kept. --half stores them in float16, at about half the
size, except the estimator's, whose rounding errors the deconvolution amplifies: with the x2 weights of setting 2, they
cost single images up to 0.03 dB. Networks load them as float32.
"""

import sys
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.errors import UserError


def main() -> None:
    arguments = parser(__doc__, "python scripts/convert_checkpoint.py released.pth experiments/released_x4.pth")
    arguments.add_argument("input", type=Path, help="the checkpoint to read")
    arguments.add_argument("output", type=Path, help="the file to write")
    arguments.add_argument("--half", action="store_true", help="store float16, but for the estimator")
    options = arguments.parse_args()

    from plidenet.checkpoint import read_weights, save_checkpoint

    if options.output.resolve() == options.input.resolve():
        raise UserError(f"{options.output} is the input file, and would lose what is left out; choose another name")
    state, form, weights, ignored = read_weights(options.input)
    if options.half:
        state = {
            name: value.half() if value.is_floating_point() and not name.startswith("estimator.") else value
            for name, value in state.items()
        }
        if large := [name for name, value in state.items() if value.isinf().any()]:
            raise UserError(f"{options.input} holds values beyond float16, in {', '.join(large)}")
    save_checkpoint(options.output, params=state)
    print(f"{options.input}: {form} format, {weights}, {len(state)} tensors kept, {len(ignored)} ignored")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    sys.exit(run(main))
