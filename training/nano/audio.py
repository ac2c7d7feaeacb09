"""Samples in, samples out: decoding through ffmpeg, resampling, and the damage done to a waveform."""
import os
import subprocess
import tempfile

import numpy as np
from scipy import fft, signal

RATE = 16000


def load(path):
    """Any audio file as 16 kHz mono float32 (ffmpeg's default resampler, what Whisper hears)."""
    return next(load_all([path]))


def load_all(paths, at_once=40):
    """load() of each in turn. Starting ffmpeg costs as much as decoding a minute, so one decodes many."""
    for first in range(0, len(paths), at_once):
        some = paths[first:first + at_once]
        with tempfile.TemporaryDirectory() as folder:
            raw = [os.path.join(folder, str(i)) for i in range(len(some))]
            cmd = ["ffmpeg", "-nostdin", "-v", "error"]
            for path in some:
                cmd += ["-threads", "1", "-i", path]
            for i, path in enumerate(raw):
                cmd += ["-map", f"{i}:a:0", "-f", "s16le", "-ac", "1", "-ar", str(RATE), path]
            subprocess.run(cmd, check=True)
            for path in raw:
                yield np.fromfile(path, np.int16).astype(np.float32) / 32768


def resample(x, ratio):
    """Band-limited resampling in the frequency domain; out has len(x) * ratio samples."""
    n = fft.next_fast_len(len(x) + 256, real=True)
    m = int(round(n * ratio))
    m += m % 2
    spectrum = fft.rfft(x, n)
    keep = min(len(spectrum), m // 2 + 1)
    out = np.zeros(m // 2 + 1, spectrum.dtype)
    out[:keep] = spectrum[:keep]
    y = fft.irfft(out, m) * (m / n)
    return y[: int(len(x) * m / n)].astype(np.float32)


def reverb(x, rng, seconds):
    """Convolution with an exponentially decaying noise tail after a direct path."""
    n = int(seconds * RATE)
    tail = rng.standard_normal(n).astype(np.float32) * np.exp(-6.9 * np.arange(n) / n)
    tail[: int(RATE * rng.uniform(0.002, 0.02))] = 0
    tail *= rng.uniform(0.2, 1.0) / np.sqrt((tail ** 2).sum() + 1e-9)
    tail[0] = 1.0
    return signal.fftconvolve(x, tail.astype(np.float32))[: len(x) + n // 3].astype(np.float32)


def band_limit(x, low, high):
    spectrum = fft.rfft(x)
    hz = np.arange(len(spectrum)) * (RATE / len(x))
    gain = 1 / (1 + (hz / high) ** 16) / (1 + (low / np.maximum(hz, 1)) ** 8)
    return fft.irfft(spectrum * gain.astype(np.float32), len(x)).astype(np.float32)


def mu_law(x):
    y = np.sign(x) * np.log1p(255 * np.abs(np.clip(x, -1, 1))) / np.log(256)
    y = np.round(y * 127) / 127
    return (np.sign(y) * np.expm1(np.abs(y) * np.log(256)) / 255).astype(np.float32)


def damage(x, rng):
    """One random chain of what rooms, telephones and loud inputs do to speech."""
    x = x / (np.abs(x).max() + 1e-6) * rng.uniform(0.25, 0.95)
    if rng.random() < 0.22:
        x = reverb(x, rng, rng.uniform(0.1, 0.7))
    if rng.random() < 0.10:
        x = band_limit(x, rng.uniform(50, 350), rng.uniform(3000, 5500))
    if rng.random() < 0.04:
        x = mu_law(x)
    if rng.random() < 0.04:
        x = np.clip(x * rng.uniform(1.5, 4), -0.9, 0.9)
    x = (x + rng.standard_normal(len(x)) * 10 ** rng.uniform(-5, -3.3)).astype(np.float32)
    return through_codec(x, *CODECS[rng.integers(len(CODECS))]) if rng.random() < 0.06 else x


CODECS = [("libopus", "8k"), ("libopus", "16k"), ("libmp3lame", "24k"), ("libmp3lame", "48k")]


def through_codec(x, codec, bitrate):
    """Encode and decode with ffmpeg; 0.1 s a call."""
    form = {"libopus": "ogg", "libmp3lame": "mp3"}[codec]
    raw = (np.clip(x, -1, 1) * 32767).astype(np.int16).tobytes()
    pcm = ["-f", "s16le", "-ar", str(RATE), "-ac", "1"]
    coded = subprocess.run(["ffmpeg", "-v", "error", *pcm, "-i", "-", "-c:a", codec, "-b:a", bitrate,
                            "-f", form, "-"], input=raw, stdout=subprocess.PIPE, check=True).stdout
    out = subprocess.run(["ffmpeg", "-v", "error", "-f", form, "-i", "-", *pcm, "-"], input=coded,
                         stdout=subprocess.PIPE, check=True).stdout
    y = np.frombuffer(out, np.int16).astype(np.float32) / 32768
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]
