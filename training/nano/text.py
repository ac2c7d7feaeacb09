"""Texts: cleaning, the sentences to synthesise, and the two label alphabets of the CTC heads.

Everything here is a pure function of its arguments and of a random.Random the caller owns, so a
shard of synthetic speech can be made again from its seed.
"""
import hashlib
import os
import re
import unicodedata

TRAIN_LANGS = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "ar"]

# CTC letters: index 0 is the blank.
LETTERS = "_ abcdefghijklmnopqrstuvwxyz'"
LETTER_ID = {c: i for i, c in enumerate(LETTERS)}

_CYRILLIC = dict(zip(
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "a b v g d e o zh z i y k l m n o p r s t u f h ts ch sh sch ' y ' e yu ya".split()))
_ARABIC = dict(zip(
    "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهويى",
    "' a a w i y a b a t th j h kh d th r z s sh s d t z ' gh f q k l m n h w y a".split()))
_OTHER = {"ß": "ss", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ı": "i", "’": "'"}
_ROMAN = {**_CYRILLIC, **_ARABIC, **_OTHER}


def clean(text):
    """One transcript line as the model should write it: plain quotes gone, plain punctuation."""
    text = unicodedata.normalize("NFC", text)
    text = text.replace("’", "'").replace("‘", "'").replace("ʻ", "'").replace("—", " - ")
    text = text.replace("–", "-").replace("…", ".").replace("،", ",")
    text = re.sub(r'["“”„«»()\[\]{}<>*_#|/\\~=+]', " ", text)
    text = re.sub(r"[\u064b-\u0652\u0640]", "", text)  # Arabic vowel signs and tatweel
    text = re.sub(r"\s+([,.!?;:])", r"\1", text)
    text = re.sub(r"(\s-)+\s", " - ", text)
    return re.sub(r"\s+", " ", text).strip(" -")


def letters(text):
    """CTC letter ids of a text; other scripts are written in Latin letters."""
    out = []
    for c in text.lower():
        for d in _ROMAN.get(c) or unicodedata.normalize("NFD", c):
            if d in LETTER_ID and d != "_":
                out.append(d)
            elif d in "-,.;:!?":
                out.append(" ")
    return [LETTER_ID[c] for c in re.sub(r"\s+", " ", "".join(out)).strip()]


PHONES = ["_", " "] + list("aeiouyæøœɐɑɒɔəɚɛɜɪʊʌʉɯɨɵ") + list(
    "bcdfghjklmnpqrstvwxzçðŋɡɟɣɫɬɭɲɳɹɾʁʂʃʈʋʎʒʔʕʝβθχħ") + ["ː", "\u0303", "ʲ", "ˤ"]
PHONE_ID = {c: i for i, c in enumerate(PHONES)}


def phones(ipa):
    """CTC phone ids of espeak's IPA string (stress and everything unknown is dropped)."""
    ipa = unicodedata.normalize("NFD", ipa.replace("ᵻ", "ɪ"))
    out = [c for c in re.sub(r"\s+", " ", ipa).strip() if c in PHONE_ID and c != "_"]
    return [PHONE_ID[c] for c in out]


def held_out(text):
    """True for about one sentence in eighty: kept for the synthetic test set only."""
    return hashlib.sha1(text.lower().encode()).digest()[0] < 3


_NUMBER = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
           "fifteen sixteen seventeen eighteen nineteen").split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_MONTHS = ("January February March April May June July August September October November "
           "December").split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_NAMES = ("John Mary James Sarah David Emma Michael Anna Robert Laura William Alice Peter Helen "
          "Thomas Julia George Kate Henry Lucy Oswald Kennedy Johnson Smith Brown Miller Wilson "
          "Taylor Paris London Berlin Boston Dallas Texas Chicago America England Germany").split()
_PLACE = ("front rear side left right center top bottom upper lower middle back up down north south "
          "east west inner outer first second third last open closed start stop yes no on off "
          "channel speaker corner window door level volume test noise light red green blue white "
          "black high low big small").split()
_COMMON = ("the a is it he she you I we they was were have had will can do not this that there here "
           "now then when where what who how my your his her our one two good bad new old day night "
           "time man woman house water hand eye head way world life work word car road food tea "
           "music please thank hello goodbye turn open close play call send read write speak ask "
           "tell know think see look go come take give make find keep let put run walk wait").split()


def number_words(n):
    if n < 20:
        return _NUMBER[n]
    if n < 100:
        return _TENS[n // 10 - 2] + ("-" + _NUMBER[n % 10] if n % 10 else "")
    if n < 1000:
        rest = " and " + number_words(n % 100) if n % 100 else ""
        return _NUMBER[n // 100] + " hundred" + rest
    rest = n % 1000
    tail = "" if not rest else (" and " if rest < 100 else " ") + number_words(rest)
    return number_words(n // 1000) + " thousand" + tail


def _number_phrase(rng):
    n = number_words(rng.choice([rng.randrange(20), rng.randrange(100), rng.randrange(10000)]))
    day = number_words(rng.randrange(1, 32))
    return rng.choice([
        lambda: n,
        lambda: f"number {n}",
        lambda: f"{rng.choice(_MONTHS)} {day}",
        lambda: f"{rng.choice(_DAYS)}, {rng.choice(_MONTHS)} {day}",
        lambda: f"in nineteen {number_words(rng.randrange(20, 99))}",
        lambda: f"{n} dollars",
        lambda: f"at {number_words(rng.randrange(1, 13))} o'clock",
        lambda: f"{rng.choice(_NAMES)} is {n} years old",
        lambda: " ".join(_NUMBER[rng.randrange(10)] for _ in range(rng.randrange(2, 8))),
        lambda: f"it costs {n} and {number_words(rng.randrange(100))} cents",
    ])()


def _short_phrase(rng):
    kind = rng.random()
    if kind < 0.35:
        return " ".join(rng.choice(_PLACE) for _ in range(rng.choice([2, 2, 2, 3])))
    if kind < 0.75:
        return " ".join(rng.choice(_COMMON) for _ in range(rng.randrange(1, 6)))
    return " ".join(rng.choice(_NAMES) for _ in range(rng.choice([1, 2, 2, 3])))


def sub_span(text, rng, low=2, high=8):
    words = text.split()
    n = min(len(words), rng.randrange(low, high + 1))
    i = rng.randrange(len(words) - n + 1)
    return " ".join(words[i:i + n]).strip(" ,;:-")


def _cut(text, rng, longest):
    """A sentence no longer than `longest` words, cut at punctuation where there is some."""
    words = text.split()
    if len(words) <= longest:
        return text
    i = rng.randrange(len(words) - longest + 1)
    part = words[i:i + longest]
    for j in range(len(part) - 1, longest // 2, -1):
        if part[j][-1] in ",;:.":
            part = part[:j + 1]
            break
    return " ".join(part).strip(" ,;:-")


def _finish(text, rng):
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?" else text + rng.choice([".", ".", ""])


class Texts:
    """The sentences of the speech folder by language, without the ones that are held out."""

    def __init__(self, speech, words="/usr/share/dict/words"):
        self.english, self.test = {}, []
        for name in ("lj", "libri", "other"):
            lines = self._read(os.path.join(speech, "text", f"en-{name}.txt"))
            self.test += [t for t in lines if held_out(t) and 4 <= len(t.split()) <= 20]
            self.english[name] = [t for t in lines if not held_out(t)]
        self.foreign = {lang: self._read(os.path.join(speech, "text", f"{lang}.txt"))
                        for lang in TRAIN_LANGS if lang != "en"}
        self.words = []
        if os.path.exists(words):
            with open(words, encoding="utf-8") as f:
                self.words = [w for w in f.read().split() if w.isascii() and w.isalpha()]

    @staticmethod
    def _read(path):
        with open(path, encoding="utf-8") as f:
            lines = [clean(line) for line in f]
        return [t for t in lines if t and not re.search(r"[0-9]", t)]

    def sample_english(self, rng, longest=22):
        kind = rng.random()
        if kind < 0.30:
            text = _cut(rng.choice(self.english["lj"]), rng, longest)
        elif kind < 0.48:
            text = _cut(rng.choice(self.english["other"]), rng, longest)
        elif kind < 0.60:
            text = _cut(rng.choice(self.english["libri"]), rng, longest)
        elif kind < 0.82:
            text = sub_span(rng.choice(self.english[rng.choice(["lj", "libri", "other"])]), rng)
        elif kind < 0.90:
            text = _short_phrase(rng)
        elif kind < 0.95:
            text = _number_phrase(rng)
        elif self.words:
            text = " ".join(rng.choice(self.words) for _ in range(rng.randrange(2, 7))).lower()
        else:
            text = _short_phrase(rng)
        return _finish(text, rng)

    @staticmethod
    def phrase(rng, short):
        """A short phrase or a number, as a sentence."""
        return _finish(_short_phrase(rng) if short else _number_phrase(rng), rng)

    def sample_foreign(self, lang, rng, longest=16):
        lines = self.foreign[lang]
        kind = rng.random()
        if kind < 0.55:
            text = _cut(rng.choice(lines), rng, longest)
        elif kind < 0.75:
            text = sub_span(rng.choice(lines), rng, 2, 7)
        else:
            text = sub_span(rng.choice(lines), rng, 2, 5) + " " + sub_span(rng.choice(lines), rng, 2, 5)
        return _finish(text, rng)
