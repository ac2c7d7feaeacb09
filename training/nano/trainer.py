"""The training loop: single-threaded workers that share one flat weight vector.

Each worker takes the newest weights, computes the gradient of a small batch and adds it to a shared
sum; whoever adds the last of `ACCUMULATE` gradients updates the weights. No worker ever waits for
another, so a busy core slows only its own worker; the price is that some gradients are one step old.
On a GPU there is one worker and larger batches. A file RUN/stop makes every worker save and end.

Progress is the share of the training minutes that have passed (pauses not counted), and the stages
below are written in it: short clips and strong CTC first, packed 30 s windows last.
"""
import ctypes as C
import json
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
import torch.multiprocessing as mp

from . import kernels as K
from . import model as M
from . import splice
from .batching import GROUPS, LAST_GROUPS, Maker, collate
from .bpe import LANGUAGES
from .corpus import Corpus, wait_while_paused
from .optimiser import CLIP, Optimiser

ACCUMULATE = 3
PEAK_RATE, WARM_UPDATES, LAST_RATE = 1.5e-3, 250, 1e-5
GUIDE = 0.4  # weight of off_time()
HOLD = 0.5
SPLICE_FROM = 0.2  # of progress: when the letter CTC knows where words end
LANGUAGE_WEIGHT = 4
PHONES_ALONE = 150  # updates for a head of random weights, where the rest is trained already
STATE_VECTORS = ("weights", "m", "v", "ema")


class Stage:
    """shapes: [(chance, windows, frames, chance of packing)]; ctc: weight of both CTC losses; strength
    of the masks; groups of clips; only_ctc: share of recordings that teach the encoder alone."""

    def __init__(self, until, shapes, ctc, strength, groups=None, only_ctc=0.75):
        self.until, self.shapes, self.ctc, self.strength = until, shapes, ctc, strength
        self.groups, self.only_ctc = groups or GROUPS, only_ctc


def _shapes(longest):
    """The mixture of windows after the first stage; `longest`: how often they are as the program's."""
    return [(2, 20, 240, 0.0), (3, 13, 360, 0.1), (2, 9, 520, 0.4), (3, 6, 760, 0.8), (3, 5, 1000, 0.85),
            (longest, 2, 3000, 0.8)]


STAGES = [
    Stage(0.10, [(1, 20, 240, 0.0)], 1.2, 0.0),
    Stage(0.50, _shapes(2), 1.2, 0.2),
    Stage(0.60, _shapes(4), 1.2, 0.2),
    Stage(0.82, _shapes(8), 1.2, 0.2),
    Stage(1.01, _shapes(12), 0.8, 0.2, LAST_GROUPS, 0.4),
]


def stage_at(progress, stages):
    return next(s for s in stages if progress < s.until)


def rate_at(progress, update, peak, last):
    """Linear warm-up in updates, the peak until HOLD of the progress, then half a cosine."""
    warm = min(1.0, (update + 1) / WARM_UPDATES)
    fall = min(1, max(0, (progress - HOLD) / (1 - HOLD)))
    return warm * (last + (peak - last) * 0.5 * (1 + math.cos(math.pi * fall)))


class Shared:
    """What the workers share; every tensor is in shared memory and guarded by `lock` for writing."""

    def __init__(self, size, flat):
        n = flat.numel()
        self.weights, self.ema = flat.clone().share_memory_(), flat.clone().share_memory_()
        self.grad, self.m, self.v = (torch.zeros(n).share_memory_() for _ in range(3))
        self.count = torch.zeros(8, dtype=torch.float64).share_memory_()
        self.lock = mp.get_context("spawn").Lock()
        self.size = size

    # Slots of `count`.
    GRADS, UPDATES, SKIPPED, SECONDS, ELAPSED = range(5)


def ctc(log_probs, frames, labels, use):
    """Mean negative log-likelihood per label over the windows that have labels."""
    keep = [i for i in range(len(labels)) if labels[i] is not None and len(labels[i]) < use * frames[i]]
    if not keep:
        return log_probs.sum() * 0
    flat = torch.tensor([x for i in keep for x in labels[i]], dtype=torch.long)
    lengths = torch.tensor([len(labels[i]) for i in keep])
    loss = F.ctc_loss(log_probs[keep].transpose(0, 1), flat, torch.tensor([int(frames[i]) for i in keep]),
                      lengths, reduction="sum", zero_infinity=True)
    return loss / max(1, int(lengths.sum()))


def off_time(attention, when, heads=2):
    """How much of the first heads' attention lies away from where the token is spoken, 0 to 1.

    Text runs evenly through its clip, near enough. Attention finds the diagonal by itself only after
    many more updates than a processor has in an afternoon."""
    place, spread = when[..., 0:1], when[..., 1:2]
    chosen = place[..., 0] >= 0
    if not bool(chosen.any()):
        return attention[0].sum() * 0
    t = torch.arange(attention[0].shape[-1], dtype=torch.float32, device=when.device)
    cost = 1 - torch.exp(-0.5 * ((t - place[chosen]) / spread[chosen]) ** 2)
    cost = cost[:, None]
    return sum((a[:, :heads].transpose(1, 2)[chosen] * cost).sum(-1).mean() for a in attention) / len(attention)


def piece_loss(logits, wanted, eot):
    """Cross-entropy. Pieces of text are smoothed, over pieces only: whatever timestamps and end-of-text
    get where text goes on adds up, and ends the text early. The language counts for more."""
    logp = logits.log_softmax(-1)
    loss = -logp.gather(1, wanted[:, None])[:, 0]
    smooth = 0.95 * loss - 0.05 * logp[:, :eot].mean(-1)
    language = (wanted >= eot + 2) & (wanted < eot + 2 + len(LANGUAGES))
    weight = 1 + LANGUAGE_WEIGHT * language
    return (torch.where(wanted < eot, smooth, loss) * weight).sum() / weight.sum()


def losses(net, p, batch, which, device="cpu", phones_alone=False):
    """{name: loss}; phones_alone: their loss teaches its head and nothing below."""
    mel = torch.from_numpy(batch["mel"]).to(device)
    tokens, target = (torch.from_numpy(batch[k]).to(device) for k in ("tokens", "target"))
    states, middle = net.encode(p, mel)
    net.watch = [] if "guide" in which else None
    hidden = net.decode(p, tokens, states)
    rows = (target.view(-1) >= 0).nonzero()[:, 0]
    n = len(rows)
    # Few different shapes, see collate(); the extra rows are not looked at.
    rows = F.pad(rows, (0, -n % 64))
    logits = net.logits(p, hidden.reshape(-1, hidden.shape[-1])[rows])[:n].float()
    wanted = target.view(-1)[rows[:n]]
    out = {"ce": piece_loss(logits, wanted, batch["eot"])}
    with torch.no_grad():
        out["right"] = (logits.argmax(-1) == wanted).float().mean()
    if "guide" in which:
        out["guide"] = off_time(net.watch, torch.from_numpy(batch["when"]).to(device))
    if "letters" in which:
        out["letters"] = ctc(net.letters(p, states), batch["frames"], batch["letters"], 0.95)
    if "phones" in which:
        middle = middle.detach() if phones_alone else middle
        out["phones"] = ctc(net.phones(p, middle), batch["frames"], batch["phones"], 0.95)
    return out


def worker(index, shared, options, tokenizer):
    torch.set_num_threads(options["threads"])
    os.nice(options["nice"])
    device = options["device"]
    if device == "cpu":
        K.build(options["work"])
    net, optimiser = M.Whisper(shared.size), Optimiser(shared.size)
    flat = torch.zeros(shared.weights.numel(), device=device)
    grad = torch.zeros_like(flat)
    p = M.leaves(flat, grad, shared.size)
    corpus = Corpus(os.path.join(options["work"], "shards"))
    maker = Maker(corpus, tokenizer, f"{options['seed']} {index} {int(shared.count[shared.UPDATES])}")
    log = open(os.path.join(options["run"], f"log.{index}.tsv"), "a", buffering=1)
    began = last = refreshed = time.time()
    while True:
        wait_while_paused(options["pause"])
        now = time.time()
        if now - refreshed > 240:
            n = len(corpus.clips)
            corpus.refresh()
            if len(corpus.clips) > n:
                maker = Maker(corpus, tokenizer, f"{options['seed']} {index} {int(now)}")
            refreshed = now
        if index == 0:
            shared.count[shared.ELAPSED] += min(now - last, 20) / 60
        last = now
        progress = float(shared.count[shared.ELAPSED]) / options["minutes"]
        if progress >= 1 or os.path.exists(os.path.join(options["run"], "stop")):
            break
        read_live(options, maker)
        if maker.splicer is None and progress >= options["splice_from"]:
            flat.copy_(shared.weights)
            maker.splicer = cut_recordings(index, net, p, corpus, options["run"])
        stage = stage_at(progress, options["stages"])
        maker.strength, maker.weights, maker.only_ctc = stage.strength, stage.groups, stage.only_ctc
        rng = maker.rng
        _, windows, frames, pack = rng.choices(stage.shapes, [s[0] for s in stage.shapes])[0]
        batch = collate(maker.batch(windows * options["scale"], frames, pack), tokenizer.eot)
        flat.copy_(shared.weights)
        grad.zero_()
        # CTC over long windows costs as much as the network's other half: one head at a time there.
        which = ["letters", "phones"] if frames <= 600 else [rng.choice(["letters", "phones"])]
        alone = shared.count[shared.UPDATES] < options["phones_alone"]
        out = losses(net, p, batch, which + ["guide"], device, alone)
        total = out["ce"] + stage.ctc * sum(out[k] for k in which) + options["guide"] * out["guide"]
        total.backward()
        step(shared, optimiser, grad, options, progress)
        shared.count[shared.SECONDS] += int(batch["frames"].sum()) / 50  # what is heard, not the rest of a window
        values = "\t".join(f"{k}={float(v):.3f}" for k, v in out.items())
        log.write(f"{int(shared.count[shared.UPDATES])}\t{progress:.4f}\t{time.time() - now:.2f}s\t"
                  f"{frames}\t{shared.count[shared.SECONDS] / 3600:.2f}h\t"
                  f"skip={int(shared.count[shared.SKIPPED])}\t{values}\n")
        if index == 0 and time.time() - began > options["save_every_s"]:
            began = time.time()
            save_state(shared, options["run"])
    if index == 0:
        save_state(shared, options["run"])


def cut_recordings(index, net, p, corpus, run):
    """A Splicer. The first worker makes its cuts, once per run, while the others go on without."""
    path = os.path.join(run, "pieces.json")
    if not os.path.exists(path):
        if index:
            return None
        splice.align(net, p, corpus, path)
    with open(path, encoding="utf-8") as f:
        return splice.Splicer(corpus, json.load(f))


def read_live(options, maker):
    """Settings that may be changed while training runs, from RUN/live.json where that was changed:
    minutes, peak, last, accumulate, guide, noise, stages (lists of Stage's arguments)."""
    path = os.path.join(options["run"], "live.json")
    changed = os.path.getmtime(path) if os.path.exists(path) else 0
    if changed == options.get("live"):
        return
    options["live"] = changed
    if not changed:
        return
    with open(path, encoding="utf-8") as f:
        live = json.load(f)
    if "stages" in live:
        live["stages"] = [Stage(*x) for x in live["stages"]]
    maker.noise = live.pop("noise", maker.noise)
    options.update(live)


def step(shared, optimiser, grad, options, progress):
    """Add a gradient to the shared sum; update the weights when enough are there."""
    grad = grad.cpu()
    with shared.lock:
        total = float((grad.double() ** 2).sum()) if K.LIB is None else None
        if K.LIB is not None:
            total = K.LIB.add_and_norm(K.ptr(shared.grad), K.ptr(grad), C.c_long(grad.numel()))
        if not (math.isfinite(total) and total < 1e12):
            shared.count[shared.SKIPPED] += 1
            return
        if K.LIB is None:
            shared.grad += grad
        shared.count[shared.GRADS] += 1
        if int(shared.count[shared.GRADS]) < options["accumulate"]:
            return
        n_grads = int(shared.count[shared.GRADS])
        shared.count[shared.GRADS] = 0
        shared.count[shared.UPDATES] += 1
        n = int(shared.count[shared.UPDATES])
        norm = float(shared.grad.norm()) / n_grads
        if not math.isfinite(norm):
            shared.count[shared.SKIPPED] += n_grads
            shared.grad.zero_()
            return
        rate = rate_at(progress, n, options["peak"], options["last"])
        optimiser.update(shared, shared.grad, min(1.0, CLIP / (norm + 1e-9)) / n_grads, rate, n)
        shared.grad.zero_()


def save_state(shared, run):
    path = os.path.join(run, "state.npz")
    with shared.lock:
        vectors = {k: getattr(shared, k).numpy().copy() for k in STATE_VECTORS}
        count = shared.count.numpy().copy()
    np.savez(path + ".tmp.npz", count=count, size=json.dumps(shared.size.dict()), **vectors)
    os.rename(path + ".tmp.npz", path)


def load_state(shared, run):
    path = os.path.join(run, "state.npz")
    if not os.path.exists(path):
        return False
    data = np.load(path)
    for k in STATE_VECTORS:
        getattr(shared, k).copy_(torch.from_numpy(data[k]))
    shared.count.copy_(torch.from_numpy(data["count"]))
    shared.count[shared.GRADS] = 0
    return True


def load_weights(run, which="ema"):
    """(Size, flat vector) of a saved state, for export and evaluation."""
    data = np.load(os.path.join(run, "state.npz"))
    return M.Size(**json.loads(str(data["size"]))), torch.from_numpy(data[which])
