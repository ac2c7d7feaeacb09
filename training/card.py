#!/usr/bin/env python3
"""Write models/nano/MODEL_CARD.md from its fixed text and the results of evaluate.py.

  card.py --f32 F32.json --int8 INT8.json --curve CURVE.json --hours N --updates N
"""
import argparse
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = {"synthetic-espeak": "held-out espeak-ng voices, held-out sentences",
         "synthetic-festival": "held-out festival voice (ked_diphone), held-out sentences",
         "en-kathleen": "en-kathleen dev (speaker in training)",
         "en-kathleen joined": "en-kathleen dev, joined to recordings of up to 25 s",
         "en-lj": "en-lj dev (speaker in training)", "en-lj joined": "en-lj dev, joined to recordings of up to 25 s", "en-dctts": "en-dctts dev (speaker in training)",
         "en-cv": "en-cv dev (many speakers)", "cv60/en": "cv60/en dev (many speakers)",
         "jfk": "jfk.flac", "alsa-utils": "alsa-utils' human voice (8 clips of two words)",
         "de-kerstin": "de-kerstin dev (German)"}
ORDER = list(NAMES)


def percent(x):
    return f"{100 * x:.1f} %"


def wer_table(f32, int8):
    lines = ["| set | clips | words | WER, f32 (95 %) | CER, f32 | WER, int8 |", "|---|---|---|---|---|---|"]
    for key in ORDER:
        row = f32["wer"].get(key)
        if not row:
            continue
        small = int8["wer"].get(key) if int8 else None
        w, c = row["wer"], row["cer"]
        lines.append(f"| {NAMES[key]} | {row['clips']} | {row['words']} | {percent(w[0])} "
                     f"({percent(w[1])} to {percent(w[2])}) | {percent(c[0])} | "
                     f"{percent(small['wer'][0]) if small else '-'} |")
    return "\n".join(lines)


def ways_table(f32):
    ways = f32["ways"]
    sets = list(next(iter(ways.values())))
    lines = ["| decoding | " + " | ".join(sets) + " |", "|---" * (len(sets) + 1) + "|"]
    for way, row in ways.items():
        cells = (f"{percent(row[k][0])} ({percent(row[k][1])} to {percent(row[k][2])})" for k in sets)
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def agreement(f32):
    a = f32["agreement"]
    return (f"{percent(a['equal'])} of the {a['tokens']} tokens that f32 writes (or int8, where it writes more) are "
            f"the same in int8, and {a['same_clips']} of {a['clips']} recordings have the same tokens throughout; "
            f"WER {percent(a['wer']['f32'][0])} in f32, {percent(a['wer']['int8'][0])} in int8")


def agreement_table(f32):
    """Rows of bench/agreement."""
    a = f32["agreement"]
    rows = {"int8": a["int8"]["cases"][0], "bf16": a["bf16"]["cases"][0],
            "f32, noise of 0.1 % on the encoder's output": a["int8"]["cases"][1]}
    lines = ["| against f32 | encoder's output, relative rms | led: next token the same | log-probability, mean "
             "(99th percentile) of the difference | free: tokens the same | recordings the same |",
             "|---" * 6 + "|"]
    lines += [f"| {name} | {r['encoder']:.4f} | {100 * r['led']:.2f} % | {r['mean_difference']:.4f} "
              f"({r['p99_difference']:.3f}) | {percent(r['free'])} | {r['same_recordings']} |"
              for name, r in rows.items()]
    margins = ", ".join(f"{m} at {percent(share)}" for m, share in a["int8"]["margins_below"].items())
    return (f"Of {a['int8']['tokens']} tokens f32 prefers to the second best one by less than (log-probability) "
            f"{margins}.\n\n" + "\n".join(lines))


def confusion_table(result):
    langs = list(result["confusion"])
    lines = ["| spoken | heard |", "|---|---|"]
    for lang in langs:
        heard = sorted(result["confusion"][lang].items(), key=lambda kv: -kv[1])
        lines.append(f"| {lang} | " + ", ".join(f"{h or 'nothing'} {n}" for h, n in heard) + " |")
    return f"{percent(result['right'])} of {result['clips']} clips.\n\n" + "\n".join(lines)


def silence_table(result):
    lines = ["| one minute of | words |", "|---|---|"]
    lines += [f"| {name} | {row['words']} |" for name, row in result["sounds"].items()]
    return f"{result['words_per_minute']:.1f} inserted words per minute.\n\n" + "\n".join(lines)


def curve_table(path):
    with open(path, encoding="utf-8") as f:
        rows = json.load(f)
    lines = ["| audio heard | updates | letter CTC, per letter | phone CTC, per phone | next piece right |",
             "|---|---|---|---|---|"]
    lines += [f"| {r['hours']} h | {r['updates']} | {r['letters']:.2f} | {r['phones']:.2f} | "
              f"{percent(r['right'])} |" for r in rows]
    return "\n".join(lines)


def examples(f32):
    lines = ["| spoken | written |", "|---|---|"]
    for key in ("en-kathleen", "en-lj", "synthetic-espeak", "jfk", "alsa-utils"):
        for ref, hyp in f32["wer"].get(key, {}).get("examples", [])[:2]:
            lines.append(f"| {ref} | {' '.join(hyp.split())} |")
    return "\n".join(lines)


def load(path):
    if not path:
        return None
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("f32", "int8", "curve", "hours", "updates"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--out", default="models/nano/MODEL_CARD.md")
    args = parser.parse_args()
    f32, int8 = load(args.f32), load(args.int8)
    with open(os.path.join(HERE, "card.in.md"), encoding="utf-8") as f:
        card = f.read()
    parts = {"WER": wer_table(f32, int8), "WAYS": ways_table(f32), "AGREEMENT": agreement(f32),
             "AGREEMENT_TABLE": agreement_table(f32), "LANGUAGE_REAL": confusion_table(f32["language_real"]),
             "LANGUAGE_SYNTHETIC": confusion_table(f32["language_synthetic"]),
             "LANGUAGES": f"{percent(f32['language_synthetic']['right'])} / {percent(f32['language_real']['right'])}",
             "INSERTED": f"{f32['silence']['words_per_minute']:.1f}",
             "SILENCE": silence_table(f32["silence"]), "CURVE": curve_table(args.curve),
             "EXAMPLES": examples(f32), "HOURS": args.hours, "UPDATES": args.updates}
    parts.update({"WER " + key: percent(row["wer"][0]) for key, row in f32["wer"].items()})
    for name, value in parts.items():
        card = card.replace("{{" + name + "}}", value)
    with open(args.out, "w", encoding="utf-8") as f:
        f.write(card)


if __name__ == "__main__":
    main()
