#!/usr/bin/env python3
"""Transcribes recordings and shows words, times and what was said. Run as: demo.py PROGRAM [FILE...]

Without FILE: the recordings in demo/ (made by speech synthesisers, so what was said is known) and
the channel-test sounds of alsa-utils (a person speaking), where those are installed. The model is
the one MODEL_PATH names, or else the best one installed, which on a new machine is the small bundled
one; the program says so, once. Each recording is one run of the program from a cold start, so
"in all" holds loading the model too.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
SOUNDS = pathlib.Path('/usr/share/sounds/alsa')


def words_of(text):
    return re.findall(r"[\w']+", text.lower())


def count_errors(said, heard):
    """Words to insert, delete or replace to get from one list to the other (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def what_was_said(path):
    text = path.with_suffix('.txt')
    if path.parent == SOURCE / 'demo' and text.is_file():
        return text.read_text().strip()
    if path.parent == SOUNDS:
        return path.stem.replace('_', ' ')
    return None


def show(label, text):
    print(textwrap.fill(text or '(nothing)', width=96, initial_indent=f'  {label:7}',
                        subsequent_indent=' ' * 9))


def which_model(program):
    """Print what the program says of the model it chooses, if anything, before the recordings."""
    silence = bytes(3200)
    command = [str(program), 'transcribe', '--raw-format', 's16le', '--format', 'json', '-']
    run = subprocess.run(command, input=silence, capture_output=True, check=False)
    for line in run.stderr.decode(errors='replace').splitlines():
        if 'model' in line:
            print(textwrap.fill(line.removeprefix('auricle: '), width=96) + '\n')


def transcribe(program, path):
    """Run the program on one recording and print what came; whether it worked."""
    command = [str(program), 'transcribe', '--quiet', '--format', 'json']
    start = time.monotonic()
    run = subprocess.run([*command, '--', str(path)], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, check=False)
    took = time.monotonic() - start
    name = path.relative_to(SOURCE) if path.is_relative_to(SOURCE) else path
    if run.returncode != 0 or not run.stdout:
        print(f'{name}: not transcribed (exit status {run.returncode})')
        return False
    result = json.loads(run.stdout)
    times, seconds = result['timings'], result['duration']
    print(f'{name}: {seconds:.1f} s of sound')
    show('heard', result['text'].strip())
    said = what_was_said(path)
    if said:
        errors, n_words = count_errors(words_of(said), words_of(result['text'])), len(words_of(said))
        show('said', said)
        show('errors', f'{errors} of {n_words} words')
    show('time', f'{took:.2f} s in all, {seconds / took:.0f} times as fast as it was spoken '
                 f'(sound {times["decode_audio"] * 1000:.0f} ms, spectrum '
                 f'{times["mel"] * 1000:.0f} ms, encoder {times["encoder"] * 1000:.0f} ms, decoder '
                 f'{times["decoder"] * 1000:.0f} ms)')
    print()
    return True


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    if not program.is_file():
        print(f'{sys.argv[1]} is not there: run make build', file=sys.stderr)
        return 1
    paths = [pathlib.Path(name).absolute() for name in sys.argv[2:]]
    if not paths:
        paths = [p for p in sorted((SOURCE / 'demo').iterdir()) if p.suffix != '.txt']
        paths += [p for p in sorted(SOUNDS.glob('*.wav')) if p.stem != 'Noise']
        if not SOUNDS.is_dir():
            print('(alsa-utils is not installed: its recordings of a person are left out)\n')
    which_model(program)
    results = [transcribe(program, path) for path in paths]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
