#!/usr/bin/env python3
"""The learning curve of a run, from its logs: means over steps of hours of audio heard, as JSON."""
import argparse
import glob
import json
import os


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="training/work/run")
    parser.add_argument("--step", type=int, default=10, help="hours per row")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    bins = {}
    for path in glob.glob(os.path.join(args.run, "log.*.tsv")):
        with open(path, encoding="utf-8") as f:
            for line in f:
                fields = line.rstrip().split("\t")
                if len(fields) < 7:
                    continue
                hours = float(fields[4][:-1])
                row = bins.setdefault(int(hours // args.step), {"updates": 0, "hours": 0.0})
                row["updates"] = max(row["updates"], int(fields[0]))
                row["hours"] = max(row["hours"], hours)
                for item in fields[6:]:
                    name, value = item.split("=")
                    row.setdefault(name, []).append(float(value))
    out = []
    for k in sorted(bins):
        row = bins[k]
        mean = {n: sum(v) / len(v) for n, v in row.items() if isinstance(v, list)}
        out.append({"hours": round(row["hours"]), "updates": row["updates"], **mean})
    with open(args.out, "w", encoding="utf-8") as f:
        json.dump(out, f, indent=1)


if __name__ == "__main__":
    main()
