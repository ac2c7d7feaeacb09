"""Sounds that nobody says, made from random numbers: what a voice detector has to keep quiet about.

Each function takes a number of samples at 16 kHz and a numpy generator and returns float32 of about
unit level. `any_sound` draws from all but `HELD_OUT`, which only tests hear.
"""
import numpy as np
from scipy import fft, signal

RATE = 16000


def level(x):
    return (x / (x.std() + 1e-6)).astype(np.float32)


def seconds(n):
    return np.arange(n, dtype=np.float32) / RATE


def slow(n, rng, hz):
    """A smooth random curve [n] of about unit level that changes `hz` times a second."""
    knots = rng.standard_normal(int(n / RATE * hz) + 3)
    return np.interp(np.arange(n) * (hz / RATE), np.arange(len(knots)), knots).astype(np.float32)


def colour(x, rng):
    """x through a random smooth response: another room, another microphone."""
    spectrum = fft.rfft(x)
    hz = np.linspace(0, RATE / 2, len(spectrum))
    knots = np.geomspace(50, 8000, 7)
    gain = np.interp(np.log(hz + 20), np.log(knots), rng.normal(0, 0.35, 7))
    return level(fft.irfft(spectrum * (10 ** gain).astype(np.float32), len(x)))


def noise(n, rng):
    """White to brown, here and there only a band of it."""
    spectrum = fft.rfft(rng.standard_normal(n, dtype=np.float32))
    hz = np.arange(len(spectrum), dtype=np.float32) * (RATE / n)
    spectrum *= np.maximum(1, hz / 20) ** -rng.uniform(-0.3, 1.3)
    if rng.random() < 0.4:
        middle, octaves = np.exp(rng.uniform(np.log(150), np.log(5000))), rng.uniform(0.1, 2)
        spectrum *= np.exp(-(np.log2(np.maximum(hz, 1) / middle) / octaves) ** 2)
    return level(fft.irfft(spectrum, n))


def breathing_noise(n, rng):
    """Noise whose level moves: wind, waves, traffic; at three to eight times a second like syllables."""
    depth, hz = rng.uniform(0.2, 1.5), np.exp(rng.uniform(np.log(0.1), np.log(8)))
    return level(noise(n, rng) * np.exp(depth * slow(n, rng, hz)))


def gated_noise(n, rng):
    """Bursts of noise: steps, typing, a brush, a pump."""
    x, t = noise(n, rng), seconds(n)
    period, share = rng.uniform(0.08, 1.2), rng.uniform(0.05, 0.7)
    at = (t + 0.3 * period * slow(n, rng, 0.7)) % period
    return level(x * np.exp(-np.maximum(at - share * period, 0) / rng.uniform(0.005, 0.1)))


def envelope(at, length, rng):
    """Of a note `at` seconds after its start: plucked, held or swelling."""
    kind = rng.random()
    attack = rng.uniform(0.002, 0.05)
    rise = np.minimum(1, at / attack)
    if kind < 0.4:
        return rise * np.exp(-at / rng.uniform(0.05, 0.8))
    if kind < 0.8:
        return rise * np.minimum(1, np.maximum(0, length - at) / rng.uniform(0.004, 0.06))
    return np.minimum(1, at / (0.6 * length)) * np.minimum(1, np.maximum(0, length - at) / 0.05)


def partials(phase, rng):
    """A timbre on a phase [n] in cycles: sine, soft, or as bright as a reed."""
    n, fall = rng.integers(1, 16), rng.uniform(0.5, 2.5)
    out = np.zeros_like(phase)
    odd = rng.random() < 0.2
    for h in range(1, n + 1, 2 if odd else 1):
        out += np.sin(2 * np.pi * ((h * phase) % 1)) * np.float32(h ** -fall * rng.uniform(0.4, 1.3))
    return out


def voice_of(n, rng, beat, scale):
    """One instrument's line: a note of `scale` (Hz) per beat, some of them rests or slurred."""
    t = seconds(n)
    index = (t / beat).astype(np.int64)
    notes = rng.choice(scale, index[-1] + 1)
    if rng.random() < 0.3:  # scales and arpeggios
        order = np.sort(scale)[:: rng.choice([-1, 1])]
        notes = np.resize(order, index[-1] + 1)
    hz = notes[index].astype(np.float32)
    if rng.random() < 0.4:
        hz = hz * (1 + rng.uniform(0.002, 0.02) * np.sin(2 * np.pi * rng.uniform(3, 8) * t)).astype(np.float32)
    phase = np.cumsum(hz, dtype=np.float64) / RATE
    if rng.random() < 0.3:  # each note begins its phase anew, with a click
        phase = hz * t
    rest = (rng.random(index[-1] + 1) > rng.choice([0, 0, 0.1, 0.4])).astype(np.float32)
    shape = envelope(t - index * np.float32(beat), beat, rng) if rng.random() < 0.85 else 1
    return partials(phase.astype(np.float64), rng).astype(np.float32) * rest[index] * shape


def tones(n, rng):
    """A tune of one or several lines."""
    root = 55 * 2 ** rng.uniform(0, 4)
    steps = rng.choice([[0, 2, 4, 5, 7, 9, 11, 12], [0, 2, 3, 5, 7, 8, 10, 12], [0, 3, 5, 7, 10, 12],
                        list(range(13))][rng.integers(4)], rng.integers(2, 9))
    scale = root * 2.0 ** (steps / 12)
    beat = np.exp(rng.uniform(np.log(0.06), np.log(2.0)))
    x = np.zeros(n, np.float32)
    for _ in range(rng.integers(1, 4)):
        x += voice_of(n, rng, beat * rng.choice([0.5, 1, 1, 2]), scale * rng.choice([0.5, 1, 2])) * rng.uniform(0.3, 1)
    return level(x)


def chords(n, rng):
    """Held chords, an organ or strings, that change now and then."""
    beat = rng.uniform(0.5, 8)
    x = np.zeros(n, np.float32)
    for _ in range(rng.integers(2, 6)):
        scale = 65 * 2 ** (rng.integers(0, 36, 6) / 12)
        x += voice_of(n, rng, beat, scale)
    return level(x * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.3, 6) * seconds(n))))


def drums(n, rng):
    """Beats of decaying tones and noise."""
    x, beat = np.zeros(n, np.float32), rng.uniform(0.15, 0.7)
    for _ in range(rng.integers(1, 4)):
        m = int(rng.uniform(0.03, 0.4) * RATE)
        t = seconds(m)
        hit = np.sin(2 * np.pi * rng.uniform(40, 900) * t * np.exp(-t * rng.uniform(0, 4))) * rng.random()
        hit = (hit + rng.standard_normal(m) * rng.uniform(0, 1.2)) * np.exp(-t * rng.uniform(8, 80))
        starts = (np.arange(0, n / RATE, beat * rng.choice([0.5, 1, 2])) + rng.uniform(0, beat)) * RATE
        for at in starts[rng.random(len(starts)) < 0.8].astype(int):
            stop = min(n, at + m)
            if stop > at:
                x[at:stop] += hit[: stop - at] * rng.uniform(0.5, 1)
    return level(x)


def band(n, rng):
    """Music-like: a tune over chords and drums."""
    return level(tones(n, rng) * rng.uniform(0.3, 1.5) + chords(n, rng) + drums(n, rng) * rng.uniform(0, 1))


def sweep(n, rng):
    """Sirens, whistles, slides."""
    hz = np.exp(rng.uniform(np.log(150), np.log(3000)) + rng.uniform(0.05, 0.8) * (
        slow(n, rng, rng.uniform(0.2, 6)) if rng.random() < 0.5
        else signal.sawtooth(2 * np.pi * rng.uniform(0.1, 4) * seconds(n), rng.uniform(0, 1))))
    return level(partials(np.cumsum(np.clip(hz, 40, 7000), dtype=np.float64) / RATE, rng))


def hum(n, rng):
    """Mains, motors, fans: harmonics of a low tone that hardly moves, with some noise."""
    hz = rng.choice([50, 60, rng.uniform(25, 400)]) * (1 + rng.uniform(0, 0.02) * slow(n, rng, 0.5))
    x = partials(np.cumsum(hz, dtype=np.float64) / RATE, rng)
    return level(level(x) + noise(n, rng) * rng.uniform(0, 0.7))


def steady(n, rng):
    """Test tones: one to three sines, all the time or switched on and off."""
    t = seconds(n)
    x = sum(np.sin(2 * np.pi * np.exp(rng.uniform(np.log(60), np.log(6000))) * t) for _ in range(rng.integers(1, 4)))
    if rng.random() < 0.5:
        period = rng.uniform(0.1, 4)
        x = x * (t % period < period * rng.uniform(0.2, 0.8))
    return level(x)


def telephone(n, rng):
    """Dialled digits, ringing and engaged tones."""
    t = seconds(n)
    if rng.random() < 0.6:
        beat = rng.uniform(0.08, 0.5)
        index = (t / beat).astype(np.int64)
        low = rng.choice([697, 770, 852, 941], index[-1] + 1)[index]
        high = rng.choice([1209, 1336, 1477, 1633], index[-1] + 1)[index]
        on = (t % beat < beat * rng.uniform(0.4, 1)) & (rng.random(index[-1] + 1) < 0.8)[index]
    else:
        low, high = [(440, 480), (480, 620), (350, 440), (400, 450), (425, 425)][rng.integers(5)]
        cycle, share = rng.choice([0.5, 1, 3, 6]), rng.uniform(0.3, 0.8)
        on = t % cycle < cycle * share
    return level((np.sin(2 * np.pi * low * t) + np.sin(2 * np.pi * high * t)) * on)


def clicks(n, rng):
    """Crackle, drops, knocks: short resonances at random times."""
    x = rng.standard_normal(n).astype(np.float32) * rng.uniform(0, 0.05)
    at = rng.integers(0, n, rng.integers(1, 3 + n // 2000))
    x[at] += rng.uniform(-3, 3, len(at)).astype(np.float32)
    if rng.random() < 0.6:
        m = int(rng.uniform(0.002, 0.08) * RATE)
        t = seconds(m)
        ring = np.sin(2 * np.pi * rng.uniform(150, 4000) * t) * np.exp(-t * 6 * RATE / m)
        x = signal.fftconvolve(x, ring.astype(np.float32))[:n]
    return level(x)


def buzz(n, rng):
    """A pulse train through fixed resonances, as of a voice that says nothing: horns, saws, insects."""
    hz = rng.uniform(60, 400) * (1 + rng.uniform(0, 0.05) * slow(n, rng, rng.uniform(0.2, 3)))
    phase = np.cumsum(hz, dtype=np.float64) / RATE
    x = np.diff(np.floor(phase), prepend=0).astype(np.float32)
    for _ in range(rng.integers(0, 3)):
        f, width = rng.uniform(250, 3500), rng.uniform(40, 300)
        r = np.exp(-np.pi * width / RATE)
        x = signal.lfilter([1], [1, -2 * r * np.cos(2 * np.pi * f / RATE), r * r], x)
    if rng.random() < 0.4:
        x = x * (seconds(n) % (p := rng.uniform(0.2, 3)) < p * rng.uniform(0.3, 0.9))
    return level(x)


def plucked(n, rng):
    """Karplus and Strong's strings."""
    x, beat = np.zeros(n, np.float32), rng.uniform(0.12, 0.8)
    for at in range(0, n, int(beat * RATE)):
        period = int(RATE / (82 * 2 ** (rng.integers(0, 30) / 12)))
        m = min(n - at, 2 * RATE)
        burst = np.zeros(m)
        burst[:period] = rng.uniform(-1, 1, min(period, m))
        taps = np.zeros(period + 2)
        taps[0], taps[period], taps[period + 1] = 1, -0.498, -0.498
        x[at:at + m] += signal.lfilter([1], taps, burst).astype(np.float32)
    return level(x)


def bells(n, rng):
    """Frequency modulation: bells and electric pianos."""
    t, beat = seconds(n), rng.uniform(0.15, 1.2)
    index = (t / beat).astype(np.int64)
    at = t - index * beat
    hz = (110 * 2 ** (rng.integers(0, 36, index[-1] + 1) / 12))[index]
    ratio, depth = rng.choice([1, 1.4, 2, 3.5, 7]), rng.uniform(0.5, 6)
    return level(np.sin(2 * np.pi * hz * at + depth * np.exp(-3 * at) * np.sin(2 * np.pi * ratio * hz * at))
                 * np.exp(-at * rng.uniform(1, 6)))


HELD_OUT = (plucked, bells)
SOUNDS = {noise: 3, breathing_noise: 3, gated_noise: 2, tones: 4, chords: 2, drums: 1, band: 2, sweep: 1,
          hum: 1, steady: 1, telephone: 1, clicks: 1, buzz: 1}


def any_sound(n, rng):
    kinds = list(SOUNDS)
    weights = np.array([SOUNDS[k] for k in kinds], float)
    x = kinds[rng.choice(len(kinds), p=weights / weights.sum())](n, rng)
    return colour(x, rng) if rng.random() < 0.5 else x
