"""New sentences out of recordings: cut at quiet places between words, joined in another order.

There are few hours of recordings, and a decoder soon knows their sentences by heart: it writes the end
of one from its beginning, and listens no more. Pieces of the same voice in random order have no end
that could be known. Where the words lie is told by the letter CTC of the network in training.
"""
import json
import os

import numpy as np

from . import text

DIP = 0.7  # log10 power by which a cut lies below the louder of its two sides
MOST_PIECES = 5  # that stay together
BATCH_S, LONGEST_S = 160, 16
VOICES = ("real en-kathleen", "real en-lj", "real en-dctts")  # one speaker each


def best_path(logp, labels):
    """The likeliest CTC path: for each label the first and last frame [n, 2] that writes it, or None.

    logp [frames, letters]; labels [n] without blanks."""
    states = np.zeros(2 * len(labels) + 1, np.int64)
    states[1::2] = labels
    n, frames = len(states), len(logp)
    if frames < len(labels):
        return None
    skip = np.zeros(n, bool)  # a letter may follow another one without a blank
    skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(n, -np.inf)
    score[:2] = logp[0, states[:2]]
    back = np.zeros((frames, n), np.int8)
    for t in range(1, frames):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(skip, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        back[t] = np.where(one > score, 1, 0)
        best = np.maximum(score, one)
        back[t][two > best] = 2
        score = np.maximum(best, two) + logp[t, states]
    at = n - 1 if score[-1] >= score[-2] else n - 2
    if not np.isfinite(score[at]):
        return None
    where = np.full((len(labels), 2), -1)
    for t in range(frames - 1, -1, -1):
        if at % 2:
            where[at // 2, 0] = t
            if where[at // 2, 1] < 0:
                where[at // 2, 1] = t
        at -= back[t, at]
    return where


def pieces(logmel, logp, words):
    """[(begin, end, text)] in feature frames: the clip between cuts at which it is quiet."""
    words = words.split()
    labels, ends = [], []  # ends: the label after each word's last
    for word in words:
        one = text.letters(word)
        if not one:
            return []
        labels += ([1] if labels else []) + one
        ends.append(len(labels))
    path = best_path(logp, np.array(labels))
    if path is None:
        return []
    energy = logmel[:, 2:60].max(axis=1)
    energy = np.convolve(np.pad(energy, 1, mode="edge"), np.ones(3) / 3, "valid")
    cuts = [(0, 0)]
    for i, end in enumerate(ends[:-1], 1):
        first, last = 2 * path[end - 1, 0], 2 * path[end + 1, 1] + 1
        if last - first < 3:
            continue
        at = int(first) + int(energy[first:last + 1].argmin())
        sides = max(energy[max(0, first - 10):at + 1].max(), energy[at:last + 11].max())
        if energy[at] < sides - DIP and at - cuts[-1][0] > 15:
            cuts.append((at, i))
    cuts.append((len(logmel), len(words)))
    return [(a, b, " ".join(words[i:j])) for (a, i), (b, j) in zip(cuts, cuts[1:]) if b - a > 15]


def align(net, parameters, corpus, path):
    """Cut the recordings of VOICES with the network as it is now; `path` gets {"shard at": pieces}.
    About a minute for eight hours."""
    import torch
    todo = sorted((c for c in corpus.clips if c["group"] in VOICES and c["n"] <= 100 * LONGEST_S),
                  key=lambda c: c["n"])
    found = {}
    while todo:
        longest = (todo[-1]["n"] + 31) // 32 * 32
        some = [todo.pop() for _ in range(min(len(todo), max(1, BATCH_S * 100 // longest)))]
        mel = np.zeros((len(some), longest, 80), np.float32)
        for i, clip in enumerate(some):
            x = corpus.logmel(clip)
            mel[i, :len(x)] = (np.maximum(x, x.max() - 8) + 4) / 4
        with torch.no_grad():
            states, _ = net.encode(parameters, torch.from_numpy(mel))
            logp = net.letters(parameters, states).numpy()
        for i, clip in enumerate(some):
            cut = pieces(corpus.logmel(clip), logp[i, :clip["n"] // 2], clip["text"])
            if len(cut) > 1:
                found[corpus.key(clip)] = cut
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        json.dump(found, f)
    os.rename(path + ".tmp", path)


class Splicer:
    """Draws clips made of pieces; `cuts` is what align() wrote."""

    def __init__(self, corpus, cuts):
        self.voices, self.by_group = {}, {}
        for clip in corpus.clips:
            cut = cuts.get(corpus.key(clip))
            if cut:  # one copy has one speed, so recordings of one shard and voice belong together
                self.voices.setdefault((clip["group"], clip["map"]), []).append((clip, cut))
        for key in self.voices:
            self.by_group.setdefault(key[0], []).append(key)

    def pick(self, rng, group, most):
        """A clip of at most `most` frames, as Sampler.pick() gives them; its "pieces" say where it comes
        from. None where the group has no pieces."""
        if group not in self.by_group:
            return None
        voice = self.voices[rng.choice(self.by_group[group])]
        chosen, n, room = [], 0, rng.uniform(0.6, 1) * most
        for _ in range(40):
            clip, cut = rng.choice(voice)
            i = rng.randrange(len(cut))
            run = cut[i:i + rng.randrange(1, MOST_PIECES + 1)]
            begin, end = run[0][0], run[-1][1]
            if n + end - begin <= room:
                chosen.append((clip, begin, end, " ".join(words for *_, words in run)))
                n += end - begin
        if not chosen:
            return None
        return {"n": n, "speech": [5, n - 5], "text": sentence([(w, b == 0) for _, b, _, w in chosen]),
                "lang": "en", "group": group, "ipa": None, "pieces": [(c, b, e) for c, b, e, _ in chosen]}


def sentence(parts):
    """[(text, whether a sentence begins with it)] as one sentence: its own capital, no full stop inside."""
    out = []
    for i, (words, first) in enumerate(parts):
        if i and first and not words.startswith(("I ", "I'")) and words != "I":
            words = words[0].lower() + words[1:]
        out.append(words.rstrip(".!?;:, ") if i + 1 < len(parts) else words)
    words = " ".join(out)
    return words[:1].upper() + words[1:]
