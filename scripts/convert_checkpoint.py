#!/usr/bin/env python3
"""Rewrite a checkpoint (released format, bare state dict, or own) in this project's format: {"params": ...}."""

import sys

from plidenet.cli import parser, run


def main() -> None:
    arguments = parser(__doc__, "python scripts/convert_checkpoint.py released.pth experiments/pretrained/x4.pth")
    arguments.add_argument("input", help="the checkpoint to read")
    arguments.add_argument("output", help="the file to write")
    options = arguments.parse_args()

    from plidenet.checkpoint import read_weights, save_checkpoint

    state, form, weights, ignored = read_weights(options.input)
    save_checkpoint(options.output, params=state)
    print(f"{options.input}: {form} format, {weights}, {len(state)} tensors kept, {len(ignored)} ignored")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    sys.exit(run(main))
