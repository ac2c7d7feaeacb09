"""Shards of clips on disk: features in NAME.mel (uint8 [frames, 80]), labels in NAME.json.

A shard is made from its kind and number alone (they seed the random generator), written under a
temporary name and renamed, so an interrupted run leaves nothing half-made and a second run only
makes what is missing.
"""
import csv
import glob
import json
import os
import random
import time

import numpy as np

from . import audio, features, sounds, text, tts

PHONE_VOICE = {"en": "en-us", "de": "de", "fr": "fr-fr", "es": "es", "it": "it", "pt": "pt",
               "nl": "nl", "pl": "pl", "ru": "ru", "ar": "ar"}
REAL_SPEEDS = [1.0, 0.9, 1.1, 0.95, 1.06]
MARGIN_S = 0.2
NOISE_CLIPS = 240


class ShardWriter:
    def __init__(self, folder, name):
        self.path = os.path.join(folder, name)
        self.parts, self.clips, self.frames = [], [], 0

    def done(self):
        return os.path.exists(self.path + ".json")

    def add(self, samples, words, lang, voice, group, ipa):
        """Trim to the speech plus a margin and keep features and labels."""
        if len(samples) < 3200 or not np.isfinite(samples).all():
            return
        logmel = features.log_mel(samples)
        first, last = features.speech_span(logmel)
        margin = int(MARGIN_S * 100)
        begin, end = max(0, first - margin), min(len(logmel), last + margin)
        logmel = logmel[begin:end]
        n_letters = len(text.letters(words))
        seconds = (last - first) / 100
        # A wrong transcript or a failed synthesis shows as an impossible speaking rate.
        if not 0.2 < seconds < 28 or not 2.0 < n_letters / seconds < 32:
            return
        self.parts.append(features.quantise(logmel))
        self.clips.append({"at": self.frames, "n": len(logmel), "speech": [first - begin, last - begin],
                           "text": words, "lang": lang, "voice": voice, "group": group, "ipa": ipa})
        self.frames += len(logmel)

    def close(self):
        np.concatenate(self.parts).tofile(self.path + ".mel.tmp")
        os.rename(self.path + ".mel.tmp", self.path + ".mel")
        with open(self.path + ".json.tmp", "w", encoding="utf-8") as f:
            json.dump(self.clips, f, ensure_ascii=False)
        os.rename(self.path + ".json.tmp", self.path + ".json")


def wait_while_paused(path):
    while path and os.path.exists(path):
        time.sleep(1)


class Synthesiser:
    def __init__(self, speech):
        self.texts = text.Texts(speech)
        self.espeak, self.flite = tts.Espeak(), tts.Flite()

    def ipa(self, words, lang):
        return self.espeak.ipa(words, PHONE_VOICE[lang])

    def espeak_clip(self, words, lang, rng, variants=tts.ESPEAK_VARIANTS):
        base = rng.choice(tts.ESPEAK_ENGLISH if lang == "en" else tts.ESPEAK_LANG[lang])
        variant = rng.choice(variants)
        self.espeak.voice(f"{base}+{variant}", rng.uniform(120, 235), rng.uniform(25, 78),
                          rng.uniform(25, 85))
        x, rate = self.espeak.say(words)
        x = audio.resample(x, audio.RATE / rate * rng.uniform(0.9, 1.14)) if len(x) else x
        return x, f"espeak {base}+{variant}"

    def flite_clip(self, words, voice, rng):
        warp = rng.uniform(0.82, 1.18)  # below 1: shorter vocal tract, higher and faster
        x, rate = self.flite.say(words, voice, rng.uniform(0.8, 1.25) * (1 / warp) ** 0.7,
                                 rng.uniform(0.8, 1.3))
        return audio.resample(x, audio.RATE / rate * warp), f"flite {voice}"


def english_shard(synth, folder, number, kind, n_clips, pause=None):
    """kind: espeak, flite (three statistical voices) or diphone (kal)."""
    writer = ShardWriter(folder, f"en-{kind}-{number:03d}")
    if writer.done():
        return
    seed = f"en {kind} {number}"
    rng, noise = random.Random(seed), np.random.default_rng(abs(_stable(seed)))
    for _ in range(n_clips):
        wait_while_paused(pause)
        words = synth.texts.sample_english(rng)
        if kind == "espeak":
            x, voice = synth.espeak_clip(words, "en", rng)
        else:
            x, voice = synth.flite_clip(words, "kal16" if kind == "diphone" else
                                        rng.choice(["slt", "rms", "awb"]), rng)
        if len(x):
            writer.add(audio.damage(x, noise), words, "en", voice, kind, synth.ipa(words, "en"))
    writer.close()


def foreign_shard(synth, folder, number, n_clips, pause=None):
    writer = ShardWriter(folder, f"xx-espeak-{number:03d}")
    if writer.done():
        return
    seed = f"xx espeak {number}"
    rng, noise = random.Random(seed), np.random.default_rng(abs(_stable(seed)))
    for _ in range(n_clips):
        wait_while_paused(pause)
        lang = rng.choice(text.TRAIN_LANGS[1:] + ["de"])
        words = synth.texts.sample_foreign(lang, rng)
        x, voice = synth.espeak_clip(words, lang, rng)
        if len(x):
            writer.add(audio.damage(x, noise), words, lang, voice, "foreign", synth.ipa(words, lang))
    writer.close()


def read_manifest(speech):
    with open(os.path.join(speech, "manifest.tsv"), encoding="utf-8") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def real_shard(synth, speech, folder, copy, pause=None):
    """All training recordings of the ten languages, at one of five speeds, lightly damaged."""
    writer = ShardWriter(folder, f"real-{copy:03d}")
    if writer.done():
        return
    rng, noise = random.Random(f"real {copy}"), np.random.default_rng(1000 + copy)
    rows = [(row, clean_transcript(row["text"])) for row in read_manifest(speech)
            if row["split"] == "train" and row["lang"] in text.TRAIN_LANGS]
    rows = [(row, words) for row, words in rows
            if words and not any(c.isdigit() for c in words) and not text.held_out(words)]
    sounds = audio.load_all([os.path.join(speech, row["file"]) for row, _ in rows])
    for (row, words), x in zip(rows, sounds):
        wait_while_paused(pause)
        if copy:
            speed = REAL_SPEEDS[copy % len(REAL_SPEEDS)] * rng.uniform(0.98, 1.02)
            x = audio.resample(x, 1 / speed)
            if rng.random() < 0.5:
                x = audio.damage(x, noise)
        writer.add(x, words, row["lang"], row["set"], "real " + row["set"],
                   synth.ipa(words, row["lang"]))
    writer.close()


def clean_transcript(words):
    return text.clean(words.replace('""', '"'))


def noise_shard(speech, folder):
    """Background recordings and sounds that nobody says: what is mixed in and what is no speech."""
    writer = ShardWriter(folder, "noise-000")
    if writer.done():
        return
    rng = np.random.default_rng(7)
    clips = list(audio.load_all(sorted(glob.glob(os.path.join(speech, "noise", "*.opus")))))
    for _ in range(NOISE_CLIPS):
        x = sounds.any_sound(30 * audio.RATE, rng) * 0.05 * rng.uniform(0.2, 2)
        clips.append((x + rng.standard_normal(len(x)) * 10 ** rng.uniform(-5, -3.3)).astype(np.float32))
    for x in clips:
        q = features.quantise(features.log_mel(x[: 60 * audio.RATE]))
        writer.clips.append({"at": writer.frames, "n": len(q), "speech": [0, 0], "text": "", "lang": "",
                             "voice": "", "group": "noise", "ipa": ""})
        writer.parts.append(q)
        writer.frames += len(q)
    writer.close()


def _stable(name):
    return random.Random(name).getrandbits(60)


class Corpus:
    """All finished shards of a folder; features are read through one memory map per shard."""

    def __init__(self, folder):
        self.folder, self.maps, self.names, self.clips, self.seen = folder, [], [], [], set()
        self.refresh()

    def refresh(self):
        for path in sorted(glob.glob(os.path.join(self.folder, "*.json"))):
            if path in self.seen:
                continue
            self.seen.add(path)
            with open(path, encoding="utf-8") as f:
                clips = json.load(f)
            data = np.memmap(path[:-5] + ".mel", np.uint8, "r").reshape(-1, features.N_MELS)
            for clip in clips:
                clip["map"] = len(self.maps)
                self.clips.append(clip)
            self.maps.append(data)
            self.names.append(os.path.basename(path)[:-5])

    def key(self, clip):
        """Names a clip among all shards."""
        return f"{self.names[clip['map']]} {clip['at']}"

    def logmel(self, clip):
        """log10 mel power [n, 80] of a clip, or of the pieces of clips that one is made of"""
        if "pieces" in clip:
            return np.concatenate([self.logmel(c)[begin:end] for c, begin, end in clip["pieces"]])
        q = self.maps[clip["map"]][clip["at"]:clip["at"] + clip["n"]]
        return features.dequantise(np.asarray(q))
