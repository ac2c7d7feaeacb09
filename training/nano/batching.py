"""From clips to training windows: augmentation of log-mel features, packing, and the labels.

Everything works on log10 mel power, [frames, 80] float32, a window at a time; this costs about one
per cent of the training step.
"""
import random

import numpy as np

from . import features, text

FULL = 0.62  # of a window with one clip
SPLICED = 0.6  # of the windows with recordings that can be cut
# Recordings are few and come again often, so more is done to them: masks so many times as strong, noise so
# many times as frequent as for synthetic speech.
RECORDED_MASKS, RECORDED_NOISE = 3, 2

GROUPS = {  # how often a window is filled from which clips
    "espeak": 0.30, "flite": 0.33, "diphone": 0.02, "foreign": 0.05,
    "real en-kathleen": 0.13, "real en-lj": 0.07, "real en-dctts": 0.02, "real en-cv": 0.02,
    "real cv60 en": 0.02, "real de-kerstin": 0.01, "real cv60": 0.03}

LAST_GROUPS = {  # the last stretch: more recordings
    "espeak": 0.25, "flite": 0.27, "diphone": 0.01, "foreign": 0.06,
    "real en-kathleen": 0.16, "real en-lj": 0.08, "real en-dctts": 0.02, "real en-cv": 0.02,
    "real cv60 en": 0.03, "real de-kerstin": 0.01, "real cv60": 0.09}


def group_of(clip):
    g = clip["group"]
    if g.startswith("real cv60/"):
        return "real cv60 en" if clip["lang"] == "en" else "real cv60"
    return g


class Sampler:
    """Clips by group, length and language."""

    def __init__(self, corpus):
        self.groups, self.noise = {}, []
        for clip in corpus.clips:
            if clip["group"] == "noise":
                self.noise.append(clip)
            else:
                self.groups.setdefault((group_of(clip), clip["lang"]), []).append(clip)
        for clips in self.groups.values():
            clips.sort(key=lambda c: c["n"])
        self.lengths = {k: [c["n"] for c in v] for k, v in self.groups.items()}
        self.by_group = {}
        for group, lang in self.groups:
            self.by_group.setdefault(group, []).append(lang)

    def pick_group(self, rng, weights):
        names = [g for g in weights if g in self.by_group]
        group = rng.choices(names, [weights[g] for g in names])[0]
        return group, rng.choice(self.by_group[group])

    def pick(self, rng, key, most, least=0):
        """A clip of at most `most` frames, or None; of at least `least` where there are enough such."""
        n = int(np.searchsorted(self.lengths[key], most, "right"))
        low = int(np.searchsorted(self.lengths[key], least))
        return self.groups[key][rng.randrange(low if n - low > 20 else 0, n)] if n else None


def stretch(x, rng, most=1e9):
    """Other speed without other pitch, and a warped frequency axis (another vocal tract)."""
    t, bins = x.shape
    rate = rng.uniform(0.88, 1.14) if rng.random() < 0.5 else 1.0
    n = min(int(t * rate), int(most))
    rate = n / t
    at = np.minimum(np.arange(n, dtype=np.float32) / rate, t - 1.001)
    i = at.astype(np.int32)
    f = (at - i)[:, None]
    x = x[i] * (1 - f) + x[np.minimum(i + 1, t - 1)] * f
    if rng.random() < 0.4:
        warp = rng.uniform(0.9, 1.11)
        at = np.clip(np.arange(bins, dtype=np.float32) * warp, 0, bins - 1.001)
        i = at.astype(np.int32)
        f = at - i
        x = x[:, i] * (1 - f) + x[:, i + 1] * f
    return x, rate


def channel(rng, bins=80):
    """A smooth random microphone response, log10 power per bin."""
    knots = np.array([rng.gauss(0, 0.2) for _ in range(6)], np.float32)
    curve = np.interp(np.linspace(0, 5, bins), np.arange(6), knots).astype(np.float32)
    return curve + rng.gauss(0, 0.35)


def add_noise(x, sampler, corpus, rng, level):
    """Add a stretch of background `level` (log10 power) below the loud parts of x."""
    clip = rng.choice(sampler.noise)
    noise = corpus.logmel(clip)
    start = rng.randrange(len(noise))
    noise = np.take(noise, np.arange(start, start + len(x)) % len(noise), axis=0)
    shift = np.percentile(x[::7], 97) - level - np.percentile(noise[::7], 90)
    top = np.maximum(x, noise + shift)
    low = np.minimum(x, noise + shift)
    return top + np.log1p(np.exp2(np.maximum(low - top, -6) * 3.3219281)) * np.float32(0.4342945)


def spec_augment(x, n, rng, strength):
    """Masks on the normalised window, only over its n frames of audio."""
    fill = float(x[:n].mean())
    for _ in range(rng.choice([0, 1, 2, 2])):
        width = rng.randrange(1, int(4 + 14 * strength))
        at = rng.randrange(0, 80 - width)
        x[:n, at:at + width] = fill
    for _ in range(int(n / 100 * 0.5 * strength + rng.random())):
        width = rng.randrange(1, int(4 + 14 * strength))
        at = rng.randrange(0, max(1, n - width))
        x[at:min(n, at + width)] = fill
    return x


class Line:
    """Clips laid one after the other, with pauses, on the way to a window."""

    def __init__(self, corpus, rng):
        self.corpus, self.rng = corpus, rng
        self.parts, self.spans, self.clips, self.at = [], [], [], 0
        self.quiet = None  # frames in which the last clip says nothing

    def add(self, clip, x, rate, gap):
        """A clip's features after `gap` frames of pause; they have been stretched by `rate`."""
        begin, end = (int(t * rate) for t in clip["speech"])
        quiet = np.concatenate([x[:max(0, begin - 3)], x[end + 3:]])
        self.quiet = quiet if len(quiet) >= 6 else x.min(axis=0)[None] + 0.3
        self.pause(int(max(0, gap)))
        self.spans.append((self.at + clip["speech"][0] * rate, self.at + clip["speech"][1] * rate))
        self.clips.append(clip)
        self.parts.append(x)
        self.at += len(x)

    def pause(self, n):
        """The last clip's own background, frame by frame at random: one frame repeated would be a
        mark that no real pause has. At times nothing at all, as files have it."""
        if n:
            some = np.random.default_rng(self.rng.getrandbits(32)).integers(0, len(self.quiet), n)
            silent = self.rng.random() < 0.1
            self.parts.append(np.full((n, 80), features.QUANT_LOW, np.float32) if silent else self.quiet[some])
            self.at += n


class Maker:
    """Windows of one stage. `frames` is the length of every window of a batch."""

    def __init__(self, corpus, tokenizer, seed, weights=GROUPS, strength=1.0):
        self.corpus, self.tok = corpus, tokenizer
        self.rng = random.Random(seed)
        self.weights, self.strength, self.noise, self.only_ctc = weights, strength, 0.12, 0.75
        self.sampler, self.splicer = Sampler(corpus), None

    def batch(self, n_windows, frames, pack):
        """pack: chance that a window is filled with several clips."""
        windows = []
        while len(windows) < n_windows:
            if self.rng.random() < 0.03 and self.sampler.noise:
                windows.append(self._silence(frames))
            else:
                w = self._speech(frames, self.rng.random() < pack)
                if w:
                    windows.append(w)
        return windows

    def _silence(self, frames):
        rng = self.rng
        n = frames if rng.random() < 0.5 else rng.randrange(frames // 4, frames)
        x = np.full((n, 80), rng.uniform(-9, -5), np.float32)
        x += np.random.default_rng(rng.getrandbits(32)).standard_normal(x.shape).astype(np.float32) * 0.25
        if rng.random() < 0.75:
            x = add_noise(x, self.sampler, self.corpus, rng, rng.uniform(-5.5, 0))
        t = self.tok
        lang = t.language(rng.choice(text.TRAIN_LANGS))
        if rng.random() < 0.5:
            tokens, target = [t.sot, lang, t.transcribe, t.timestamp(0)], [t.no_speech, -1, -1, t.eot]
        else:
            # End-of-text may not come first there, so a stray piece must be followed by it.
            tokens = [t.sot, lang, t.transcribe, t.no_timestamps, rng.randrange(len(t.pieces))]
            target = [t.no_speech, -1, -1, t.eot, t.eot]
        return self._finish(x, frames, tokens, target, [], [])

    def _speech(self, frames, pack):
        """A window of one clip somewhere in it, or (pack) filled with clips of one language; None by bad luck."""
        rng = self.rng
        key = self.sampler.pick_group(rng, self.weights)
        splice = rng.random() < SPLICED
        # Short windows are for clips that fill them, the longest are as the program makes them.
        alone = not pack and frames < features.FRAMES
        clip = self._clip(key, frames - 6, FULL * frames if alone else 0, splice)
        if clip is None:
            return None
        limit = frames if pack else frames - rng.randrange(0, 4)
        line, cut = Line(self.corpus, rng), None
        x, rate = stretch(self.corpus.logmel(clip), rng, most=limit)
        # A lone clip may lie anywhere; a row of them begins near the start.
        most = limit - len(x) if not pack and rng.random() < 0.5 else min(60, limit - len(x))
        line.add(clip, x, rate, rng.choice([0, rng.uniform(0, most)]))
        while pack and limit - line.at > 90:
            # Neighbours of the same language; the same voice half of the time for real speech.
            other = key if rng.random() < 0.6 else self._same_language(key[1])
            clip = self._clip(other, int((limit - line.at) * 0.85), 0, splice)
            if clip is None:
                break
            x, rate = stretch(self.corpus.logmel(clip), rng, most=limit - line.at)
            gap = rng.choice([3, 20, 50, 100]) * rng.uniform(0.3, 1.3)
            line.add(clip, x, rate, min(gap, limit - line.at - len(x)))
        if pack and frames == features.FRAMES and limit - line.at > 40 and rng.random() < 0.6:
            cut = self._cut(line, key, limit)
        return self._heard(line, frames, cut)

    def _clip(self, key, most, least, splice):
        """A clip of a group; of pieces of recordings, where they are wanted and the group has some."""
        clip = self.splicer.pick(self.rng, key[0], most) if splice and self.splicer else None
        return clip or self.sampler.pick(self.rng, key, most, least)

    def _cut(self, line, key, limit):
        """The window's end cuts a clip: only its start is to be said. Returns that frame, or None."""
        clip = self.sampler.pick(self.rng, key, 99999)
        x = self.corpus.logmel(clip)
        gap = self.rng.randrange(4, 30)
        if not len(x) - clip["speech"][0] > limit - line.at - gap > clip["speech"][0] + 20:
            return None
        line.pause(gap)
        line.parts.append(x[:limit - line.at])
        return line.at + clip["speech"][0]

    def _heard(self, line, frames, cut):
        """The window: a microphone and background for the line of clips, and what it says."""
        rng, clips = self.rng, line.clips
        x = np.concatenate(line.parts)[:frames]
        x = x + channel(rng)
        recorded = [c for c in clips if c["group"].startswith("real ")]
        if rng.random() < self.noise * (RECORDED_NOISE if recorded else 1):
            x = add_noise(x, self.sampler, self.corpus, rng, rng.uniform(1.0, 4.5))
        tokens, target, when = self._labels(clips, line.spans, cut)
        whole = any("pieces" not in c for c in recorded)
        if whole and rng.random() < self.only_ctc:
            # Two hours of recordings are soon known by heart, by the decoder: their texts, not their
            # sounds. So most of the time they teach the encoder alone, and which language it is.
            start = tokens.index(self.tok.sot)
            target = [t if i == start else -1 for i, t in enumerate(target)]
            when = [None] * len(when)
        letters, phones = [], []
        for clip in clips:
            letters += ([1] if letters else []) + text.letters(clip["text"])
            phones += ([1] if phones else []) + text.phones(clip["ipa"] or "")
        if cut is not None:
            letters, phones = None, None
        elif any(c["ipa"] is None for c in clips):
            phones = None
        strength = self.strength * (RECORDED_MASKS if recorded else 1)
        return self._finish(x, frames, tokens, target, letters, phones, when, strength)

    def _same_language(self, lang):
        names = [g for g in self.weights if lang in self.sampler.by_group.get(g, ())]
        return self.rng.choices(names, [self.weights[g] for g in names])[0], lang

    def _labels(self, clips, spans, cut):
        t, rng = self.tok, self.rng
        tokens = []
        if rng.random() < 0.06:
            words = self.sampler.pick(rng, self.sampler_key(clips[0]), 99999)["text"]
            tokens = [t.prev] + t.encode(" " + words)[-60:]
        ignore = len(tokens)
        tokens += [t.sot, t.language(clips[0]["lang"]), t.transcribe]
        times = cut is not None or rng.random() < 0.5
        if not times:
            tokens.append(t.no_timestamps)
        when = [None] * (len(tokens) - 1)  # where each target is spoken: (encoder frame, spread)
        for clip, (a, b) in zip(clips, spans):
            pieces = t.encode(" " + clip["text"])
            spread = 10 + 0.05 * (b - a)
            middle = [((a + (j + 0.5) / len(pieces) * (b - a)) / 2, spread) for j in range(len(pieces))]
            if times:
                pieces = [t.timestamp(a / 100)] + pieces + [t.timestamp(b / 100)]
                middle = [(a / 2, spread)] + middle + [(b / 2, spread)]
            tokens += pieces
            when += middle
        if cut is not None:
            tokens.append(t.timestamp(cut / 100))
            when.append((cut / 2, 15))
        target = [-1] * ignore + tokens[ignore + 1:] + [t.eot]
        return tokens, target, when + [None]

    @staticmethod
    def sampler_key(clip):
        return group_of(clip), clip["lang"]

    def _finish(self, x, frames, tokens, target, letters, phones, when=(), strength=0.0):
        rng = self.rng
        n = len(x)
        top = x.max() + (rng.uniform(0, 0.6) if rng.random() < 0.2 else 0)
        out = np.zeros((frames, 80), np.float32)
        out[:n] = (np.maximum(x, top - 8.0) + 4.0) / 4.0
        if letters != [] and rng.random() < 0.9:
            out = spec_augment(out, n, rng, strength)
        return {"mel": out, "n": n, "tokens": tokens[:448], "target": target[:448],
                "letters": letters, "phones": phones, "when": when}



def collate(windows, eot):
    """Arrays of one batch; CTC labels flat with their lengths."""
    # A multiple of 32: a matrix product of a new shape costs PyTorch the making of its code.
    width = (max(len(w["tokens"]) for w in windows) + 31) // 32 * 32
    tokens = np.full((len(windows), width), eot, np.int64)
    target = np.full((len(windows), width), -1, np.int64)
    when = np.full((len(windows), width, 2), -1, np.float32)
    for i, w in enumerate(windows):
        tokens[i, :len(w["tokens"])] = w["tokens"]
        target[i, :len(w["target"])] = w["target"]
        for j, spoken in enumerate(w["when"][:width]):
            if spoken:
                when[i, j] = spoken
    return {"mel": np.stack([w["mel"] for w in windows]),
            "frames": np.array([w["n"] // 2 for w in windows]),
            "tokens": tokens, "target": target, "when": when, "eot": eot,
            "letters": [w["letters"] for w in windows], "phones": [w["phones"] for w in windows]}
