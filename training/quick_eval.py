#!/usr/bin/env python3
"""A quick look at an exported folder with PyTorch, without the server: WER on some dev clips.

The published figures come from evaluate.py, which drives the program itself.
"""
import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch  # noqa: E402
from nano import audio, bpe, corpus, decode, metrics  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models/nano")
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--sets", default="en-kathleen,en-lj,en-cv")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--timestamps", action="store_true")
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--ctc", action="store_true", help="also the letters of the CTC head")
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = decode.Reference.open(args.model, torch.bfloat16)
    rows = [r for r in corpus.read_manifest(args.speech) if r["split"] == "dev"]
    for name in args.sets.split(","):
        pairs, right = [], 0
        chosen = [r for r in rows if r["set"] == name][:args.clips]
        ctc = []
        for r in chosen:
            x = audio.load(os.path.join(args.speech, r["file"]))
            states = net.encode(decode.window(x, args.frames)[None])
            lang = net.detect_language(states)[0][0]
            right += lang == r["lang"]
            tokens = net.greedy(states, [r["lang"] if r["lang"] in bpe.LANGUAGES else "en"],
                                args.timestamps)[0]
            pairs.append((corpus.clean_transcript(r["text"]), net.tok.decode(tokens)))
            if args.ctc:
                from nano import text
                ids = net._linear(states, "ctc_head")[0].argmax(-1).tolist()
                out = [a for a, b in zip(ids, [0] + ids) if a != b and a]
                ctc.append("".join(text.LETTERS[i] for i in out))
        wer, low, high = metrics.error_rate(pairs)
        print(f"{name}: WER {wer:.1%} ({low:.1%}-{high:.1%}) language {right}/{len(chosen)}", flush=True)
        for i, (ref, hyp) in enumerate(pairs[:args.show]):
            print(f"   ref {ref}\n   hyp{hyp}")
            if args.ctc:
                print("   ctc", ctc[i])
        if args.ctc:
            print("   letter CTC:", metrics.error_rate([(p[0], c) for p, c in zip(pairs, ctc)])[0],
                  "CER", metrics.error_rate([(p[0], c) for p, c in zip(pairs, ctc)], "char")[0])


if __name__ == "__main__":
    main()
