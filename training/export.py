#!/usr/bin/env python3
"""Write the averaged weights of a run as a Hugging Face folder that any Whisper loader reads."""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nano import bpe, export, trainer  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="training/work")
    parser.add_argument("--run", default="")
    parser.add_argument("--out", default="models/nano")
    parser.add_argument("--which", default="ema", choices=["ema", "weights"])
    parser.add_argument("--alignment-heads", default="1.0,1.1,2.0,2.1",
                        help="layer.head pairs of the decoder's cross attention that follow the speech: those guided in training")
    args = parser.parse_args()
    size, flat = trainer.load_weights(args.run or os.path.join(args.work, "run"), args.which)
    tok = bpe.Tokenizer.load(os.path.join(args.work, "tokenizer"))
    heads = [[int(x) for x in pair.split(".")] for pair in args.alignment_heads.split(",")]
    export.write_folder(args.out, size, flat, tok, heads, {"trained_by": "auricle training/"})


if __name__ == "__main__":
    main()
