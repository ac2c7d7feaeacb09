#!/usr/bin/env python3
"""Train the recogniser from the shards in WORK/shards.

  train.py --work WORK --minutes 100            a new run, or on from WORK/run if that has a state
  train.py --work WORK --from models/nano       start from exported weights

A file named by --pause-file makes every worker sleep while it exists.
"""
import argparse
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# For the workers: large tensors come from memory that is kept, in huge pages, not from fresh pages each time.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
                      "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from nano import bpe, export, kernels, model, trainer  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="training/work")
    parser.add_argument("--run", default="")
    parser.add_argument("--tokenizer", default="")
    parser.add_argument("--from", dest="start", default="")
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peak", type=float, default=trainer.PEAK_RATE)
    parser.add_argument("--last", type=float, default=trainer.LAST_RATE)
    parser.add_argument("--pause-file", default="")
    args = parser.parse_args()
    run = args.run or os.path.join(args.work, "run")
    os.makedirs(run, exist_ok=True)
    tokenizer = bpe.Tokenizer.load(args.tokenizer or os.path.join(args.work, "tokenizer"))
    size = model.Size(encoder_layers=5, decoder_layers=3, vocab=tokenizer.size)
    flat = model.initialise(size, args.seed)
    stages, splice_from, missing = trainer.STAGES, trainer.SPLICE_FROM, []
    if args.start:
        size, flat, missing = export.read_weights(args.start, flat, size)
        stages = trainer.STAGES[1:]  # trained weights need no shortest clips,
        if "ctc_head.weight" not in missing:
            splice_from = 0  # and their letters tell where words end
    shared = trainer.Shared(size, flat)
    if trainer.load_state(shared, run):
        print("resumed at update", int(shared.count[shared.UPDATES]))
    gpu = torch.cuda.is_available()
    options = {"work": args.work, "run": run, "device": "cuda" if gpu else "cpu", "nice": args.nice,
               "threads": 1, "minutes": args.minutes, "pause": args.pause_file, "seed": args.seed,
               "peak": args.peak, "last": args.last, "stages": stages, "splice_from": splice_from,
               "phones_alone": trainer.PHONES_ALONE if "phone_head.weight" in missing else 0,
               "accumulate": 1 if gpu else trainer.ACCUMULATE, "scale": 4 if gpu else 1,
               "save_every_s": 120, "guide": trainer.GUIDE}
    if not gpu:
        kernels.build(args.work)
    n = 1 if gpu else args.workers
    if gpu:
        trainer.worker(0, shared, options, tokenizer)
    else:
        mp.spawn(trainer.worker, (shared, options, tokenizer), nprocs=n)


if __name__ == "__main__":
    main()
