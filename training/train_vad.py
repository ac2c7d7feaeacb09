#!/usr/bin/env python3
"""Train the voice-activity model, or compare two of them on the dev recordings mixed with noise.

  train_vad.py --speech ../shared/speech --minutes 8 --out models/vad/model.safetensors
  train_vad.py --speech ../shared/speech --compare models/vad/model.safetensors OTHER.safetensors
"""
import argparse
import math
import os
import random
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from nano import corpus, safetensors, vad  # noqa: E402


def save(net, path, seconds):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    safetensors.save(path, net.tensors(), "F32", {
        "source": "auricle training/train_vad.py; layout and names of Silero VAD at 16 kHz",
        "trained_on_hours": f"{seconds / 3600:.1f}"})


def train(args):
    torch.manual_seed(args.seed)
    material = vad.Material(args.speech, args.real, args.synthetic, args.seed)
    rng, noise = random.Random(args.seed), np.random.default_rng(args.seed)
    net = vad.Network()
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    began, heard, n, smooth = time.process_time(), 0.0, 0, None
    average = None
    while True:
        corpus.wait_while_paused(args.pause_file)
        progress = (time.process_time() - began) / 60 / args.minutes
        if progress >= 1:
            break
        pairs = [material.sequence(args.seconds, rng, noise) for _ in range(args.batch)]
        mag = torch.from_numpy(np.stack([vad.spectra(x) for x, _ in pairs]))
        truth = torch.from_numpy(np.stack([t for _, t in pairs]).astype(np.float32))
        edge = F.max_pool1d((truth[:, 1:] != truth[:, :-1]).float()[:, None], 3, 1, 1)[:, 0]
        weight = 1 - 0.7 * F.pad(edge, (1, 0))  # the very edge of a word is a matter of taste
        for group in opt.param_groups:
            group["lr"] = 1e-5 + 2e-3 * 0.5 * (1 + math.cos(math.pi * progress)) * min(1, (n + 1) / 50)
        loss = F.binary_cross_entropy_with_logits(net(mag), truth, weight)
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        if torch.isfinite(norm):
            opt.step()
        n, heard = n + 1, heard + args.batch * args.seconds
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if progress > 0.6:
            now = {k: v.clone() for k, v in net.state_dict().items()}
            average = now if average is None else {
                k: average[k] * 0.98 + now[k] * 0.02 for k in now}
        if n % 20 == 0:
            print(f"{n} {progress:.3f} {heard / 3600:.2f}h loss {smooth:.4f}", flush=True)
    if average:
        net.load_state_dict(average)
    save(net, args.out, heard)


def compare(args):
    material = vad.Material(args.speech, 400, 0, 5, split="dev")
    for snr in (60, 20, 10, 5, 0):
        rng, noise = random.Random(11), np.random.default_rng(11)
        parts = [material.sequence(30, rng, noise, snr) for _ in range(args.pieces)]
        truth = np.concatenate([t for _, t in parts])
        for path in args.compare:
            net = vad.Network.read(path)
            prob = np.concatenate([net.probabilities(x) for x, _ in parts])
            s = vad.scores(truth, prob)
            print(f"snr {snr:3d} dB  {os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}: "
                  + "  ".join(f"{k} {v:.4f}" for k, v in s.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--out", default="models/vad/model.safetensors")
    parser.add_argument("--compare", nargs="+")
    parser.add_argument("--pieces", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=8, help="of processor time")
    parser.add_argument("--real", type=int, default=800)
    parser.add_argument("--synthetic", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause-file", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    compare(args) if args.compare else train(args)


if __name__ == "__main__":
    main()
