#!/usr/bin/env python3
"""Fail when an object file holds instructions of a higher level than its place in the tree allows.

usage: check_isa.py ARCHIVE

The archive is the static library of the whole core. A member named after x86/<level>/ may use that
level's registers; every other one only the architecture's baseline. This is what keeps the program
from dying on an older processor before it has chosen its kernels.
"""
import re
import subprocess
import sys

HIGHER = {
    "baseline": re.compile(r"%[yz]mm|%tmm|\tv[a-z0-9]+ "),
    "avx2": re.compile(r"%zmm|%tmm|%k[1-7]\b|%[xy]mm(1[6-9]|2\d|3[01])\b"),
    "avx512vnni": re.compile(r"%tmm"),
    "amx": re.compile(r"^(?!)"),
}


def level_of(member):
    for level in ("avx2", "avx512vnni", "amx"):
        if f"x86_{level}_" in member:
            return level
    return "baseline"


def main():
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", sys.argv[1]],
                             check=True, capture_output=True, text=True).stdout
    member, forbidden, found, seen = "", HIGHER["baseline"], [], set()
    for line in listing.splitlines():
        named = re.match(r"(\S+):\s+file format", line)
        if named:
            member = named.group(1)
            forbidden = HIGHER[level_of(member)]
            seen.add(level_of(member))
        elif forbidden.search(line):
            found.append(f"{member}: {line.strip()}")
    for line in found[:10]:
        print(line)
    if "baseline" not in seen:
        print("no object files were read")
        return 1
    print(f"{len(found)} instructions above their level; levels seen: {', '.join(sorted(seen))}")
    return 1 if found else 0


sys.exit(main())
