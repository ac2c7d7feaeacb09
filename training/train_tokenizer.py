#!/usr/bin/env python3
"""Learn the 1,024 byte-level pieces from the texts that are synthesised, English most of all."""
import argparse
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nano import bpe, text  # noqa: E402


def lines(speech):
    texts = text.Texts(speech)
    out = [" " + t for name in ("lj", "libri", "other") for t in texts.english[name]]
    for lang, those in texts.foreign.items():
        out += [" " + t for t in those] * (1 if lang == "de" else 2)
    rng = random.Random(1)
    return out + [" " + texts.phrase(rng, i % 2) for i in range(3000)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="training/work")
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--pieces", type=int, default=1024)
    args = parser.parse_args()
    folder = os.path.join(args.work, "tokenizer")
    os.makedirs(folder, exist_ok=True)
    bpe.Tokenizer(bpe.train(lines(args.speech), args.pieces)).save(folder)


if __name__ == "__main__":
    main()
