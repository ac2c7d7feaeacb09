#!/usr/bin/env python3
"""How many words does auricle write where nobody speaks?

    tools/inserted_words.py [--auricle build/auricle] [--minutes 10] [--json] [NOISE...] [-- OPTION...]

Transcribes silence, pink noise (seed 1, at a tenth of full scale), a tune of sines and each recording
of noise (files or folders; each is repeated until it is long enough), ten minutes of each, and prints
a table: words that were written, words per minute, segments that a rule dropped. What follows -- goes
to `auricle transcribe`. ffmpeg decodes the recordings and makes the noise.
"""
import argparse
import array
import json
import math
import pathlib
import random
import subprocess
import sys

RATE = 16000
SOUNDS = {".wav", ".flac", ".opus", ".ogg", ".mp3", ".m4a"}


def decoded(*source):
    """s16 mono of what ffmpeg reads."""
    done = subprocess.run(["ffmpeg", "-v", "error", *source, "-ac", "1", "-ar", str(RATE),
                           "-f", "s16le", "-"], capture_output=True, check=False)
    if done.returncode or not done.stdout:
        sys.exit(f"{source[-1]}: {done.stderr.decode().strip() or 'no sound'}")
    return done.stdout


def pink(n):
    return decoded("-f", "lavfi", "-i",
                   f"anoisesrc=color=pink:amplitude=0.1:seed=1:r={RATE}:d={n / RATE}")[: 2 * n]


def tune(n):
    """A new note every half second, at random on four octaves."""
    notes, beat = random.Random(1), RATE // 2
    samples = array.array("h")
    while len(samples) < n:
        step = 2 * math.pi * 110 * 2 ** (notes.randrange(48) / 12) / RATE
        samples.extend(round(5000 * math.sin(step * i)) for i in range(beat))
    return samples[:n].tobytes()


def recorded(path, n):
    samples = decoded("-i", str(path))
    return (samples * (2 * n // len(samples) + 1))[: 2 * n]


def files_of(names):
    for name in map(pathlib.Path, names):
        if name.is_dir():
            yield from sorted(p for p in name.iterdir() if p.suffix in SOUNDS)
        else:
            yield name


def transcribe(auricle, options, samples):
    command = [auricle, "transcribe", "--quiet", "--format", "json", "--raw-format", "s16le", "--raw-rate",
               str(RATE), *options, "-"]
    done = subprocess.run(command, input=samples, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode().strip()}")
    return json.loads(done.stdout)


def main():
    arguments = sys.argv[1:]
    options = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("noise", nargs="*", metavar="NOISE")
    parser.add_argument("--auricle", default="build/auricle")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)

    n = int(args.minutes * 60 * RATE)
    sounds = [("silence", lambda: bytes(2 * n)), ("pink noise", lambda: pink(n)), ("tune", lambda: tune(n))]
    sounds += [(path.stem, lambda path=path: recorded(path, n)) for path in files_of(args.noise)]
    rows = []
    for name, make in sounds:
        result = transcribe(args.auricle, options, make())
        words = len(result["text"].split())
        rows.append({"sound": name, "minutes": args.minutes, "words": words,
                     "words_per_minute": round(words / args.minutes, 2),
                     "dropped_segments": len(result.get("filtered", []))})
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print("| sound | minutes | words | words per minute | segments dropped |")
    print("|---|---|---|---|---|")
    for row in rows:
        print("| {sound} | {minutes:g} | {words} | {words_per_minute:g} | {dropped_segments} |"
              .format(**row))


if __name__ == "__main__":
    main()
