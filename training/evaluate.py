#!/usr/bin/env python3
"""Measure a model with the program itself, and write the tables of its card.

  evaluate.py --auricle build/auricle --model models/nano --speech ../shared/speech --out FILE.json

Needs no PyTorch; the held-out synthetic voices need espeak-ng and festival, the two-word human clips
alsa-utils, jfk.flac a path. What is missing is left out with a word. Word error rates use the plain
normaliser of nano/metrics.py; intervals are 95 % bootstraps over clips.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import wave

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np  # noqa: E402
from nano import audio, corpus, metrics, sounds, text, tts  # noqa: E402

JFK = ("And so my fellow Americans, ask not what your country can do for you, "
       "ask what you can do for your country.")
ALSA = ["Front_Center", "Front_Left", "Front_Right", "Rear_Center", "Rear_Left", "Rear_Right",
        "Side_Left", "Side_Right"]
WAYS = {"sequential, greedy": ["--long-form", "sequential", "--beam-size", "1"],
        "sequential, beam 5": ["--long-form", "sequential", "--beam-size", "5"],
        "batched, greedy": ["--long-form", "batched", "--beam-size", "1"],
        "batched, beam 5": ["--long-form", "batched", "--beam-size", "5"],
        "sequential, temperature 0 only": ["--long-form", "sequential", "--beam-size", "1",
                                           "--temperature", "0"]}
WAYS_SETS = ["en-kathleen", "en-lj", "en-cv"]
DEV_SETS = ["en-kathleen", "en-lj", "en-dctts", "en-cv", "cv60/en", "de-kerstin"]


def write_wav(path, x):
    with wave.open(path, "wb") as f:
        f.setparams((1, 2, audio.RATE, 0, "NONE", ""))
        f.writeframes((np.clip(x, -1, 1) * 32767).astype(np.int16).tobytes())


def run(args, files, out, extra=()):
    """{file: result} of one call of the program over all files."""
    os.makedirs(out, exist_ok=True)
    names = {f: os.path.join(out, os.path.splitext(os.path.basename(f))[0] + ".json") for f in files}
    for name in names.values():  # what an earlier run heard counts for nothing
        if os.path.exists(name):
            os.remove(name)
    command = [args.auricle, "transcribe", "--quiet", "-m", args.model, "-f", "json", "-o", out]
    command += ["--threads", str(args.threads), "--compute-type", args.compute_type, *extra]
    done = subprocess.run(command + files, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} FILES: exit code {done.returncode}")
    results = {}
    for path, name in names.items():
        if os.path.exists(name):
            with open(name, encoding="utf-8") as f:
                results[path] = json.load(f)
        else:
            results[path] = {"text": "", "language": "", "segments": []}
    return results


def words_table(args, name, items, lang, more=()):
    """items: [(file, transcript)] -> WER, CER with intervals; `more` are options of the program"""
    extra = ["--language", lang, *more]
    results = run(args, [f for f, _ in items], os.path.join(args.scratch, re.sub(r"\W+", "-", name)), extra)
    pairs = [(words, results[f]["text"]) for f, words in items]
    wer, cer = metrics.error_rate(pairs), metrics.error_rate(pairs, "char")
    row = {"clips": len(items), "words": sum(len(metrics.normalise(r).split()) for r, _ in pairs),
           "wer": wer, "cer": cer, "examples": pairs[:6]}
    print(f"{name:22s} {len(items):4d} clips {row['words']:5d} words  "
          f"WER {wer[0]:.1%} ({wer[1]:.1%} to {wer[2]:.1%})  CER {cer[0]:.1%}", flush=True)
    return row


def recordings(args, rows, name):
    """[(file, transcript)] of one set of the dev split."""
    return [(os.path.join(args.speech, r["file"]), corpus.clean_transcript(r["text"]))
            for r in rows if r["set"] == name]


def joined(args, rows, name, longest_s=25, pause_s=0.4):
    """The recordings of a set one after the other, in files of up to `longest_s`, as [(file, transcript)]."""
    folder = os.path.join(args.scratch, "joined")
    os.makedirs(folder, exist_ok=True)
    items, part, words = [], [], []
    clips = recordings(args, rows, name)
    sounds_of = audio.load_all([f for f, _ in clips])
    pause = np.zeros(int(pause_s * audio.RATE), np.float32)
    for (_, said), x in [*zip(clips, sounds_of), ((None, None), None)]:
        if part and (x is None or sum(map(len, part)) + len(x) > longest_s * audio.RATE):
            path = os.path.join(folder, f"{name}-{len(items):03d}.wav")
            write_wav(path, np.concatenate(part))
            items.append((path, " ".join(words)))
            part, words = [], []
        if x is not None:
            part += [x, pause]
            words.append(said)
    return items


def ways_table(args, rows):
    """Word error rates of the ways to decode, with the program's defaults otherwise."""
    out = {}
    for way, options in WAYS.items():
        out[way] = {name: words_table(args, f"{name} {way}", recordings(args, rows, name), "en",
                                      options)["wer"] for name in WAYS_SETS}
    return out


def led(args, files, *options):
    """What bench/agreement counts: the next token after the same tokens, and other measures."""
    command = [args.agreement, "--model", args.model, "--threads", str(args.threads), "--json", *options]
    done = subprocess.run(command + files, check=True, capture_output=True)
    return json.loads(done.stdout)


def agreement(args, rows):
    """Share of the reference's tokens that int8 writes as well, in order; greedy, temperature 0."""
    equal = total = same = clips = 0
    kind, every, pairs = args.compute_type, [], {"f32": [], "int8": []}
    for name in WAYS_SETS:
        items, tokens = recordings(args, rows, name), {}
        files = [f for f, _ in items]
        for args.compute_type in pairs:
            heard = run(args, files, os.path.join(args.scratch, "tokens-" + args.compute_type),
                        ["--language", "en", "--temperature", "0", "--long-form", "sequential",
                         "--beam-size", "1"])
            tokens[args.compute_type] = [[t for s in heard[f]["segments"] for t in s["tokens"]]
                                         for f in files]
            pairs[args.compute_type] += [(words, heard[f]["text"]) for f, words in items]
        for a, b in zip(tokens["f32"], tokens["int8"]):
            equal += max(len(a), len(b)) - metrics.distance(a, b)
            total += max(len(a), len(b))
            same, clips = same + (a == b), clips + 1
        every += files
    args.compute_type = kind
    print(f"int8 against f32: {equal / total:.1%} of {total} tokens, {same} of {clips} clips the same")
    out = {"equal": equal / total, "tokens": total, "same_clips": same, "clips": clips,
           "wer": {t: metrics.error_rate(p) for t, p in pairs.items()}}
    if os.path.exists(args.agreement):
        out["int8"] = led(args, every, "--noise", "1e-3")
        out["bf16"] = led(args, every, "--compute", "bf16")
    else:
        print(f"{args.agreement} is not built (ninja -C build agreement): its figures are left out")
    return out


def synthetic_clips(args):
    """Held-out sentences by held-out voices: six espeak-ng variants and a festival diphone voice."""
    folder = os.path.join(args.scratch, "synthetic")
    os.makedirs(folder, exist_ok=True)
    texts = text.Texts(args.speech)
    rng = random.Random(404)
    lines = rng.sample(texts.test, min(args.synthetic, len(texts.test)))
    espeak, items = tts.Espeak(), {"espeak": [], "festival": []}
    for i, words in enumerate(lines[: len(lines) * 3 // 4]):
        path = os.path.join(folder, f"espeak-{i:03d}.wav")
        espeak.voice("en-us+" + tts.ESPEAK_TEST_VARIANTS[i % 6], 160, 50, 50)
        x, rate = espeak.say(words)
        write_wav(path, audio.resample(x, audio.RATE / rate) * 0.7)
        items["espeak"].append((path, words))
    rest = lines[len(lines) * 3 // 4:]
    try:
        for i, (x, _) in enumerate(tts.festival(rest, "ked_diphone")):
            path = os.path.join(folder, f"festival-{i:03d}.wav")
            write_wav(path, x)
            items["festival"].append((path, rest[i]))
    except (OSError, subprocess.CalledProcessError):
        print("festival or its voice ked_diphone is not installed: left out")
    return items


def language_table(args, items):
    """items: [(file, language)] -> share right, and the confusion"""
    # The language is heard before the first token, so one token is enough.
    results = run(args, [f for f, _ in items], os.path.join(args.scratch, "language"),
                  ["--temperature", "0", "--max-tokens", "1"])
    confusion, right = {}, 0
    for f, lang in items:
        heard = results[f]["language"]
        right += heard == lang
        confusion.setdefault(lang, {}).setdefault(heard, 0)
        confusion[lang][heard] += 1
    return {"clips": len(items), "right": right / max(1, len(items)), "confusion": confusion}


def synthetic_languages(args):
    folder = os.path.join(args.scratch, "synthetic")
    os.makedirs(folder, exist_ok=True)
    texts, rng, espeak, items = text.Texts(args.speech), random.Random(77), tts.Espeak(), []
    for lang in text.TRAIN_LANGS:
        lines = texts.test if lang == "en" else texts.foreign[lang]
        for i in range(10):
            base = "en-us" if lang == "en" else tts.ESPEAK_LANG[lang][0]
            espeak.voice(f"{base}+{tts.ESPEAK_TEST_VARIANTS[i % 6]}", 160, 50, 50)
            x, rate = espeak.say(rng.choice(lines))
            path = os.path.join(folder, f"language-{lang}-{i}.wav")
            write_wav(path, audio.resample(x, audio.RATE / rate) * 0.7)
            items.append((path, lang))
    return items


def silence_table(args):
    """Inserted words per minute on a minute each of things that are no speech."""
    folder = os.path.join(args.scratch, "noise")
    os.makedirs(folder, exist_ok=True)
    rng, n = np.random.default_rng(99), 60 * audio.RATE
    t = np.arange(n) / audio.RATE
    pink = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * np.maximum(1, np.arange(n // 2 + 1)) ** -0.5, n)
    heard = {"zeros": np.zeros(n), "hiss": rng.standard_normal(n) * 1e-3,
             "white": rng.standard_normal(n) * 0.05, "pink": pink / pink.std() * 0.05,
             "hum": 0.1 * np.sin(2 * np.pi * 50 * t) + 0.03 * np.sin(2 * np.pi * 150 * t),
             "tones": 0.1 * np.sin(2 * np.pi * 220 * 2 ** ((t * 2).astype(int) % 12 / 12) * t)}
    kinds = [(f, "in training") for f in (sounds.chords, sounds.sweep, sounds.telephone)]
    for make, trained in kinds + [(f, "never in training") for f in sounds.HELD_OUT]:
        heard[f"{make.__name__} ({trained})"] = make(n, rng) * 0.05
    for name in ("running_tap", "doing_the_dishes", "exercise_bike"):
        heard[name + " (in training)"] = audio.load(os.path.join(args.speech, "noise", name + ".opus"))
    rows, total, minutes = {}, 0, 0.0
    for name, x in heard.items():
        path = os.path.join(folder, re.sub(r"\W+", "_", name) + ".wav")
        write_wav(path, x)
        said = run(args, [path], folder + "-out", ["--language", "en"])[path]["text"]
        count = len(metrics.normalise(said).split())
        rows[name] = {"minutes": len(x) / audio.RATE / 60, "words": count, "text": said[:200]}
        total, minutes = total + count, minutes + len(x) / audio.RATE / 60
    print(f"silence and noise: {total / minutes:.2f} inserted words per minute", flush=True)
    return {"words_per_minute": total / minutes, "sounds": rows}


def recordings_part(args, rows, out):
    for name in args.sets.split(",") if args.sets else DEV_SETS:
        out["wer"][name] = words_table(args, name, recordings(args, rows, name),
                                       "de" if name.startswith("de") else "en")
    for name in [] if args.sets else WAYS_SETS[:2]:
        out["wer"][name + " joined"] = words_table(args, name + " joined", joined(args, rows, name), "en")
    alsa = [(f"/usr/share/sounds/alsa/{n}.wav", n.replace("_", " ")) for n in ALSA]
    if all(os.path.exists(f) for f, _ in alsa):
        out["wer"]["alsa-utils"] = words_table(args, "alsa-utils", alsa, "en")
    else:
        print("alsa-utils is not installed: its clips are left out")
    if os.path.exists(args.jfk):
        out["wer"]["jfk"] = words_table(args, "jfk", [(args.jfk, JFK)], "en")


def synthetic_part(args, _rows, out):
    for name, items in synthetic_clips(args).items():
        if items:
            out["wer"]["synthetic-" + name] = words_table(args, "synthetic-" + name, items, "en")


def language_part(args, rows, out):
    real = [(os.path.join(args.speech, r["file"]), r["lang"]) for r in rows
            if r["set"].startswith("cv60/") and r["lang"] in text.TRAIN_LANGS]
    out["language_real"] = language_table(args, real)
    out["language_synthetic"] = language_table(args, synthetic_languages(args))
    for name in ("language_real", "language_synthetic"):
        print(f"{name}: {out[name]['right']:.1%} of {out[name]['clips']}", flush=True)


def silence_part(args, _rows, out):
    out["silence"] = silence_table(args)


def ways_part(args, rows, out):
    out["ways"] = ways_table(args, rows)


def agreement_part(args, rows, out):
    out["agreement"] = agreement(args, rows)


PARTS = {"recordings": recordings_part, "synthetic": synthetic_part, "language": language_part,
         "silence": silence_part, "ways": ways_part, "agreement": agreement_part}


def measure(args):
    """The parts that are asked for; what the file has of other parts stays in it."""
    out = {"wer": {}}
    if args.out and os.path.exists(args.out):
        with open(args.out, encoding="utf-8") as f:
            out = json.load(f)
    out.update(model=args.model, compute_type=args.compute_type)
    rows = [r for r in corpus.read_manifest(args.speech) if r["split"] == "dev"]
    for name in args.parts.split(","):
        PARTS[name](args, rows, out)
        if args.out:
            with open(args.out, "w", encoding="utf-8") as f:
                json.dump(out, f, indent=1, ensure_ascii=False)
                f.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--auricle", default="build/auricle")
    parser.add_argument("--agreement", default="build/bench/agreement")
    parser.add_argument("--model", default="models/nano")
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--jfk", default="../shared/fixtures/audio/jfk.flac")
    parser.add_argument("--scratch", default="training/work/evaluate")
    parser.add_argument("--sets", default="", help="of recordings, separated by commas; default: all")
    parser.add_argument("--synthetic", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compute-type", default="f32")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--out", default="", help="JSON; keeps what it has of other parts")
    args = parser.parse_args()
    args.scratch = os.path.join(args.scratch, args.compute_type)
    os.makedirs(args.scratch, exist_ok=True)
    measure(args)


if __name__ == "__main__":
    main()
