#!/usr/bin/env python3
"""Make the training shards: synthetic speech from seeds, real recordings, noise.

  synth.py --work WORK --speech ../shared/speech --part 0/2 --amount 1.0

--part I/N makes every N-th shard, so that several processes share the work.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nano import corpus  # noqa: E402


def plan(amount):
    """The shards in the order in which they are useful; `amount` 1 is about 65 hours of synthetic speech."""
    rounds = max(1, int(round(10 * amount)))
    jobs = [("noise", 0), ("real", 0)]
    for i in range(rounds):
        jobs += [("espeak", i), ("flite", 2 * i), ("diphone", i), ("foreign", i), ("flite", 2 * i + 1)]
        if 0 < i < 5:
            jobs.append(("real", i))
    return jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="training/work")
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--amount", type=float, default=1.0)
    parser.add_argument("--kinds", default="", help="only these, by comma: flite,espeak,...")
    parser.add_argument("--pause-file", default="")
    args = parser.parse_args()
    folder = os.path.join(args.work, "shards")
    os.makedirs(folder, exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    synth = corpus.Synthesiser(args.speech)
    kinds = args.kinds.split(",") if args.kinds else None
    for index, (kind, number) in enumerate(j for j in plan(args.amount) if not kinds or j[0] in kinds):
        if index % parts != part:
            continue
        if kind == "noise":
            corpus.noise_shard(args.speech, folder)
        elif kind == "real":
            corpus.real_shard(synth, args.speech, folder, number, args.pause_file)
        elif kind == "foreign":
            corpus.foreign_shard(synth, folder, number, 1200, args.pause_file)
        else:
            n_clips = {"espeak": 3000, "flite": 1000, "diphone": 700}[kind]
            corpus.english_shard(synth, folder, number, kind, n_clips, args.pause_file)
        print(f"{kind} {number} done", flush=True)


if __name__ == "__main__":
    main()
