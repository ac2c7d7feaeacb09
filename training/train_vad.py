#!/usr/bin/env python3
"""Train the voice-activity model, or compare two of them on the dev recordings mixed with noise.

  train_vad.py --speech ../shared/speech --out models/vad/model.safetensors
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
from nano import audio, corpus, safetensors, sounds, vad  # noqa: E402


# Added to the logit on export. Cut speech is lost, a sound let through is heard and mostly dropped, and
# scenes have fewer words per second than people: with this, a threshold of a half misses as much speech
# as with Silero's weights.
LEANING = 0.85


def save(net, path, seconds):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    tensors = net.tensors()
    tensors["final_conv.bias"] = tensors["final_conv.bias"] + np.float32(LEANING)
    safetensors.save(path, tensors, "F32", {
        "source": "auricle training/train_vad.py; layout and names of Silero VAD at 16 kHz",
        "trained_on_hours": f"{seconds / 3600:.1f}"})


def rate_at(n, updates, peak):
    """Linear warm-up, then half a cosine."""
    return 1e-5 + peak * 0.5 * (1 + math.cos(math.pi * n / updates)) * min(1, (n + 1) / 100)


def batch_of(material, args, rng, noise):
    """(magnitudes, truth, weight per chunk) of one batch."""
    material.renew(noise)
    pairs = [material.scene(args.seconds, rng, noise) for _ in range(args.batch)]
    mag = torch.from_numpy(np.stack([vad.spectra(x) for x, _ in pairs]))
    truth = torch.from_numpy(np.stack([t for _, t in pairs]).astype(np.float32))
    edge = F.max_pool1d((truth[:, 1:] != truth[:, :-1]).float()[:, None], 3, 1, 1)[:, 0]
    return mag, truth, 1 - 0.7 * F.pad(edge, (1, 0))  # the very edge of a word is a matter of taste


def train(args):
    torch.manual_seed(args.seed)
    material = vad.Material(args.speech, args.real, args.synthetic, args.seed)
    rng, noise = random.Random(args.seed), np.random.default_rng(args.seed)
    net, average = vad.Network(), vad.Network()
    if args.start:
        net = vad.Network.read(args.start)
        net.final_conv.bias.data -= LEANING
    average.load_state_dict(net.state_dict())
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    state, smooth = None, None
    for n in range(args.updates):
        corpus.wait_while_paused(args.pause_file)
        mag, truth, weight = batch_of(material, args, rng, noise)
        if state is not None:  # half of the rows go on where the last batch ended: hours are one row
            keep = (torch.rand(1, args.batch, 1) < 0.5).float()
            state = tuple(s.detach() * keep for s in state)
        for group in opt.param_groups:
            group["lr"] = rate_at(n, args.updates, args.peak)
        logits, state = net(mag, state)
        loss = F.binary_cross_entropy_with_logits(logits, truth, weight)
        opt.zero_grad()
        loss.backward()
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)):
            opt.step()
        with torch.no_grad():
            for old, new in zip(average.parameters(), net.parameters()):
                old.lerp_(new, max(1 - args.keep, 1 / (n + 1)))
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if (n + 1) % 50 == 0:
            print(f"{n + 1} loss {smooth:.4f} processor {time.process_time() / 60:.1f} min", flush=True)
        if (n + 1) % 500 == 0 or n + 1 == args.updates:
            save(average, args.out, (n + 1) * args.batch * args.seconds)


def compare(args):
    material = vad.Material(args.speech, 400, 0, 5, split="dev")
    nets = [(path, vad.Network.read(path)) for path in args.compare]
    for snr in (60, 20, 10, 5, 0):
        rng, noise = random.Random(11), np.random.default_rng(11)
        parts = [material.test_sequence(30, rng, noise, snr) for _ in range(args.pieces)]
        truth = np.concatenate([t for _, t in parts])
        for path, net in nets:
            s = vad.scores(truth, np.concatenate([net.probabilities(x) for x, _ in parts]))
            print(f"snr {snr:3d} dB  {os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}: "
                  + "  ".join(f"{k} {v:.4f}" for k, v in s.items()), flush=True)
    for make in (*sounds.SOUNDS, *sounds.HELD_OUT):
        noise = np.random.default_rng(12)
        parts = [(make(120 * audio.RATE, noise) * 0.05).astype(np.float32) for _ in range(args.pieces // 4)]
        share = [np.mean(np.concatenate([net.probabilities(x) for x in parts]) >= 0.5) for _, net in nets]
        print(f"{make.__name__:16s} taken for speech: " + "  ".join(f"{s:.2%}" for s in share), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--out", default="models/vad/model.safetensors")
    parser.add_argument("--compare", nargs="+")
    parser.add_argument("--pieces", type=int, default=20)
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--peak", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--from", dest="start", default="", help="weights to go on from")
    parser.add_argument("--real", type=int, default=2600, help="recordings, at most")
    parser.add_argument("--synthetic", type=int, default=300, help="clips by synthesisers")
    parser.add_argument("--seconds", type=float, default=8, help="of a row of a batch")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--keep", type=float, default=0.995, help="of the average of the weights, per update")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause-file", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    compare(args) if args.compare else train(args)


if __name__ == "__main__":
    main()
