"""A voice-activity network with Silero's 16 kHz shape, its training material, and its scores.

A chunk is 512 samples (32 ms) after 64 samples of the one before; 64 samples are reflected on its
right; four 256-point magnitude spectra, hop 128; four convolutions down to one frame; one LSTM cell;
one probability. Truth comes from the clean clip before it is mixed with anything.
"""
import glob
import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from scipy import fft

from . import audio, corpus, safetensors, sounds, text

CHUNK, CONTEXT, N_FFT, HOP = 512, 64, 256, 128
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
CONVS = [("conv1", 129, 128, 1), ("conv2", 128, 64, 2), ("conv3", 64, 64, 2), ("conv4", 64, 128, 1)]
WIDTH = 128


def spectra(x):
    """Magnitudes [chunks, 4, 129] of samples [n]; the end is padded with zeros to whole chunks."""
    n = -(-len(x) // CHUNK)
    padded = np.zeros(CONTEXT + n * CHUNK, np.float32)
    padded[CONTEXT:CONTEXT + len(x)] = x
    view = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + CHUNK)[::CHUNK]
    chunks = np.concatenate([view, view[:, -2:-66:-1]], 1)
    frames = np.lib.stride_tricks.sliding_window_view(chunks, N_FFT, axis=1)[:, ::HOP]
    return np.abs(fft.rfft(frames * WINDOW, axis=2)).astype(np.float32)


def basis():
    """The spectrum as a convolution kernel [258, 1, 256], the form in which it is stored."""
    angle = 2 * np.pi / N_FFT * np.arange(N_FFT // 2 + 1)[:, None] * np.arange(N_FFT)[None]
    return np.concatenate([np.cos(angle), -np.sin(angle)])[:, None].astype(np.float32) * WINDOW


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, n_in, n_out, stride in CONVS:
            setattr(self, name, torch.nn.Conv1d(n_in, n_out, 3, stride, 1))
        self.lstm = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.final_conv = torch.nn.Conv1d(WIDTH, 1, 1)
        with torch.no_grad():
            self.conv1.weight *= 4  # speech magnitudes are well below one

    def forward(self, mag, state=None):
        """mag [B, chunks, 4, 129] -> logits [B, chunks], state to go on from"""
        b, t = mag.shape[:2]
        x = mag.flatten(0, 1).transpose(1, 2)
        for name, *_ in CONVS:
            x = F.relu(getattr(self, name)(x))
        h, state = self.lstm(x.view(b, t, WIDTH), state)
        return self.final_conv(F.relu(h).transpose(1, 2))[:, 0], state

    def tensors(self):
        """{name: array} under the names of Silero's file."""
        out = {k.replace("lstm.", "lstm_cell.").replace("_l0", ""): v.detach().numpy()
               for k, v in self.state_dict().items()}
        return {**out, "stft_conv.weight": basis()}

    @classmethod
    def read(cls, path):
        net = cls()
        state = {}
        for k, v in safetensors.load(path).items():
            if k.startswith("stft"):
                continue
            if k.startswith("lstm_cell"):
                k = k.replace("lstm_cell", "lstm") + "_l0"
            state[k] = torch.from_numpy(v.copy())
        net.load_state_dict(state)
        return net

    @torch.no_grad()
    def probabilities(self, samples):
        return torch.sigmoid(self(torch.from_numpy(spectra(samples))[None])[0])[0].numpy()


def activity(x):
    """Truth per chunk of a clean clip: loud enough, gaps below 0.2 s closed, blips removed."""
    n = len(x) // CHUNK
    e = 10 * np.log10((x[: n * CHUNK].reshape(n, CHUNK) ** 2).mean(1) + 1e-10)
    floor, peak = np.percentile(e, 5), np.percentile(e, 97)
    on = e > max(peak - 36, min(floor + 9, peak - 14))
    return _runs(_runs(on, False, 6), True, 2)


def _runs(on, value, shortest):
    """Flip runs of `value` shorter than `shortest` chunks that lie between other chunks."""
    on = on.copy()
    start = 0
    for i in range(1, len(on) + 1):
        if i == len(on) or on[i] != on[start]:
            if on[start] == value and i - start < shortest and start > 0 and i < len(on):
                on[start:i] = not value
            start = i
    return on


class Material:
    """Clean clips with truth, and backgrounds, for mixing."""

    POOL, POOL_SECONDS = 240, 20

    def __init__(self, speech, n_real, n_synthetic, seed, split="train", langs=None):
        rng = random.Random(seed)
        rows = [r for r in corpus.read_manifest(speech)
                if r["split"] == split and (langs is None or r["lang"] in langs)]
        rng.shuffle(rows)
        self.clips = list(audio.load_all([os.path.join(speech, r["file"]) for r in rows[:n_real]]))
        if n_synthetic:
            synth = corpus.Synthesiser(speech)
            for i in range(n_synthetic):
                lang = rng.choice(text.TRAIN_LANGS + ["en"] * 6)
                words = (synth.texts.sample_english(rng) if lang == "en"
                         else synth.texts.sample_foreign(lang, rng))
                if lang == "en" and i % 3 == 0:
                    x, _ = synth.flite_clip(words, rng.choice(["slt", "rms", "awb"]), rng)
                else:
                    x, _ = synth.espeak_clip(words, lang, rng)
                self.clips.append(x)
        self.clips = [x / (np.abs(x).max() + 1e-6) for x in self.clips if len(x) > 8000]
        self.truth = [activity(x) for x in self.clips]
        noises = sorted(glob.glob(os.path.join(speech, "noise", "*.opus")))
        self.noise = list(audio.load_all(noises))
        self.noise = [x / (x.std() + 1e-6) for x in self.noise]
        self.pool = []

    def speech(self, n_chunks, rng, more=0.9):
        """(samples, truth) of clips with short and long pauses; `more`: chance of another clip."""
        x, on = np.zeros(n_chunks * CHUNK, np.float32), np.zeros(n_chunks, bool)
        at = rng.randrange(0, 60)
        while at < n_chunks and rng.random() < more:
            i = rng.randrange(len(self.clips))
            clip, truth = self.clips[i], self.truth[i]
            m = min(len(truth), n_chunks - at)
            x[at * CHUNK:(at + m) * CHUNK] += clip[: m * CHUNK] * rng.uniform(0.25, 1)
            on[at:at + m] |= truth[:m]
            at += m + rng.choice([rng.randrange(0, 10), rng.randrange(10, 90)])
        return x, on

    def renew(self, noise_rng):
        """Fill the pool of made sounds, or replace one of them."""
        n = self.POOL_SECONDS * audio.RATE
        if len(self.pool) >= self.POOL:
            self.pool.pop(0)
        while len(self.pool) < self.POOL:
            self.pool.append(sounds.any_sound(n, noise_rng).astype(np.float16))

    def background(self, n, rng, noise_rng):
        """n samples at unit level of what is no speech: a recording or something made, or both."""
        x = np.zeros(n, np.float32)
        for _ in range(rng.choice([1, 1, 1, 2])):
            source = rng.choice(self.noise) if rng.random() < 0.3 else rng.choice(self.pool)
            at = rng.randrange(len(source))
            part = np.take(source, np.arange(at, at + n) % len(source)).astype(np.float32)
            x += sounds.level(part) * rng.uniform(0.3, 1)
        return sounds.colour(x, noise_rng) if rng.random() < 0.3 else sounds.level(x)

    def scene(self, seconds, rng, noise_rng):
        """(samples, truth per chunk) to learn from: speech in a background, or a background alone."""
        x, on = self.speech(int(seconds * audio.RATE / CHUNK), rng, rng.choice([0, 0.6, 0.95, 0.95]))
        if rng.random() < 0.25:
            x = audio.reverb(x, noise_rng, rng.uniform(0.1, 0.7))[: len(x)]
        noise = self.background(len(x), rng, noise_rng)
        if rng.random() < 0.3:  # the background comes and goes
            a, b = sorted(rng.randrange(len(x)) for _ in range(2))
            noise[:a] *= rng.choice([0, 0.05])
            noise[b:] *= rng.choice([0, 0.05])
        loud = np.sqrt((x ** 2)[np.repeat(on, CHUNK)].mean()) if on.any() else 0.1
        ratio = rng.choice([rng.uniform(-5, 20), rng.uniform(-5, 20), rng.uniform(15, 40), 70])
        x = self.line(x + noise * loud * 10 ** (-ratio / 20), rng)
        x = x / (np.abs(x).max() + 1e-6) * 10 ** rng.uniform(-2.2, 0)
        x += noise_rng.standard_normal(len(x), dtype=np.float32) * np.float32(10 ** rng.uniform(-5, -3.3))
        return x.astype(np.float32), on

    @staticmethod
    def line(x, rng):
        """What telephones and loud inputs do to it, now and then."""
        if rng.random() < 0.15:
            x = audio.band_limit(x, rng.uniform(50, 350), rng.uniform(3000, 6000))
        if rng.random() < 0.05:
            x = audio.mu_law(x / (np.abs(x).max() + 1e-6))
        if rng.random() < 0.05:
            x = np.clip(x, *(np.abs(x).max() * rng.uniform(0.2, 0.7) * np.array([-1, 1])))
        return x

    def test_background(self, n, rng, noise_rng):
        """n samples at unit level of a recording, coloured noise, tones, or clicks; simpler and other
        than what is learnt from, and the same ever since there is a first model to compare with."""
        kind = rng.random()
        if kind < 0.35:
            x = rng.choice(self.noise)
            at = rng.randrange(len(x))
            return np.take(x, np.arange(at, at + n) % len(x))
        if kind < 0.65:
            s = fft.rfft(noise_rng.standard_normal(n).astype(np.float32))
            s *= np.maximum(1, np.arange(len(s)) / 20) ** -rng.uniform(0, 1.2)
            x = fft.irfft(s, n)
            return (x / x.std()).astype(np.float32)
        t = np.arange(n, dtype=np.float32) / audio.RATE
        if kind < 0.9:
            x = np.zeros(n, np.float32)
            beat = rng.uniform(0.15, 1.5)
            for _ in range(rng.randrange(1, 5)):
                step = 110 * 2 ** (noise_rng.integers(0, 40, 64) / 12)
                hz = step[(t / beat).astype(int) % 64]
                phase = np.cumsum(hz) / audio.RATE * 2 * np.pi
                shape = np.exp(-rng.uniform(0, 6) * (t % beat) / beat)
                for h in range(1, rng.randrange(2, 8)):
                    x += (np.sin(h * phase) * shape / h).astype(np.float32)
            return x / (x.std() + 1e-6)
        x = noise_rng.standard_normal(n).astype(np.float32) * 0.05
        x[noise_rng.integers(0, n, rng.randrange(1, 3 + n // 4000))] += rng.uniform(2, 20)
        return x / x.std()

    def test_sequence(self, seconds, rng, noise_rng, snr):
        """(samples, truth per chunk) of a stretch with a background `snr` dB below the speech."""
        x, on = self.speech(int(seconds * audio.RATE / CHUNK), rng)
        level = np.sqrt((x ** 2)[np.repeat(on, CHUNK)].mean()) if on.any() else 0.1
        x = x + self.test_background(len(x), rng, noise_rng) * level * 10 ** (-snr / 20)
        x = x / (np.abs(x).max() + 1e-6) * 0.7
        x += noise_rng.standard_normal(len(x)).astype(np.float32) * 10 ** rng.uniform(-5, -3.5)
        return x.astype(np.float32), on


def scores(truth, prob, threshold=0.5):
    """Frame error at the threshold, the least error over all thresholds, and the area under the ROC."""
    truth, prob = np.asarray(truth, bool), np.asarray(prob, float)
    order = np.argsort(prob, kind="stable")
    rank = np.empty(len(prob))
    rank[order] = np.arange(1, len(prob) + 1)
    pos, neg = truth.sum(), (~truth).sum()
    auc = (rank[truth].sum() - pos * (pos + 1) / 2) / max(1, pos * neg)
    below = np.concatenate([[0], np.cumsum(truth[order])])       # missed when the cut is after i
    above = neg - np.concatenate([[0], np.cumsum(~truth[order])])
    return {"error": float(((prob >= threshold) != truth).mean()),
            "best_error": float((below + above).min() / len(prob)), "auc": float(auc),
            "missed": float((~(prob >= threshold) & truth).sum() / max(1, pos)),
            "false": float(((prob >= threshold) & ~truth).sum() / max(1, neg))}
