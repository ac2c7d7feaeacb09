"""Whisper's log-mel features, and the eight-bit form in which they are kept on disk.

Stored value q stands for log10(mel power) = q / 18 - 10, so one step is 0.55 dB and the range is
-10 (the floor of Whisper's logarithm) to 4.2. Clipping at (maximum - 8) and the scaling (x + 4) / 4
depend on the whole window and are done when a window is put together.
"""
import functools

import numpy as np
from scipy import fft, sparse

N_MELS, N_FFT, HOP, FRAMES = 80, 400, 160, 3000
QUANT_STEP, QUANT_LOW = 18.0, -10.0


@functools.lru_cache(None)
def mel_filters(n_mels=N_MELS, rate=16000):
    """Slaney's mel scale and normalisation, float32 [n_mels, 201]."""
    def to_hz(m):
        return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    top = 15 + np.log(rate / 2 / 1000) * 27 / np.log(6.4)
    hz = to_hz(np.linspace(0, top, n_mels + 2))
    bins = np.linspace(0, rate / 2, N_FFT // 2 + 1)
    up = (bins[None] - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    down = (hz[2:, None] - bins[None]) / (hz[2:] - hz[1:-1])[:, None]
    bank = np.maximum(0, np.minimum(up, down)) * (2 / (hz[2:] - hz[:-2]))[:, None]
    return bank.astype(np.float32)


@functools.lru_cache(None)
def _sparse_filters():
    return sparse.csr_matrix(mel_filters())


_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


def log_mel(x):
    """log10 mel power [frames, 80], frames = len(x) // 160, before clipping and scaling."""
    x = np.asarray(x, np.float32)
    if len(x) < N_FFT:
        x = np.pad(x, (0, N_FFT - len(x)))
    padded = np.pad(x, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][: len(x) // HOP]
    power = np.abs(fft.rfft(frames * _WINDOW, axis=1)) ** 2
    mel = (_sparse_filters() @ power.T).T
    return np.log10(np.maximum(mel, 1e-10)).astype(np.float32)


def normalise(logmel):
    """Whisper's clipping and scaling with the maximum over the whole array given."""
    return (np.maximum(logmel, logmel.max() - 8.0) + 4.0) / 4.0


def quantise(logmel):
    return np.clip(np.rint((logmel - QUANT_LOW) * QUANT_STEP), 0, 255).astype(np.uint8)


def dequantise(q):
    return q.astype(np.float32) * np.float32(1 / QUANT_STEP) + np.float32(QUANT_LOW)


def speech_span(logmel):
    """(first, last + 1) frame of what is well above the quiet part of the clip."""
    energy = logmel[:, 2:60].max(axis=1)
    floor, peak = np.percentile(energy, 5), np.percentile(energy, 98)
    loud = np.nonzero(energy > max(peak - 3.5, min(floor + 0.8, peak - 1.0)))[0]
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(logmel))
