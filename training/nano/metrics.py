"""Word and character error rates with bootstrap intervals."""
import re
import unicodedata

import numpy as np


def normalise(text):
    """Lower case, no punctuation, single spaces; apostrophes inside words stay out as well."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("'", "")
    return re.sub(r"\s+", " ", re.sub(r"[^\w\s]|_", " ", text)).strip()


def distance(a, b):
    """Edit distance of two sequences."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def error_rate(pairs, unit="word", resamples=1000, seed=0):
    """(rate, low, high) of [(reference, hypothesis)]; the interval is a 95 % bootstrap over clips."""
    counts = []
    for ref, hyp in pairs:
        r, h = normalise(ref), normalise(hyp)
        r, h = (r.split(), h.split()) if unit == "word" else (r, h)
        counts.append((distance(r, h), len(r)))
    c = np.array(counts, float)
    if not len(c) or not c[:, 1].sum():
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    pick = rng.integers(0, len(c), (resamples, len(c)))
    rates = c[pick, 0].sum(1) / np.maximum(1, c[pick, 1].sum(1))
    return c[:, 0].sum() / c[:, 1].sum(), *np.percentile(rates, [2.5, 97.5])
