#!/usr/bin/env python3
"""Puts the help of every command into docs/CLI.md. Run as: update_docs.py BUILD/auricle

A block of help stands between a line "<!-- help COMMAND -->" and the end of the code block after it.
"""

import os
import re
import subprocess
import sys


def main():
    program = sys.argv[1]
    path = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "CLI.md")
    with open(path, encoding="utf-8") as file:
        document = file.read()

    def block(match):
        text = subprocess.run([program, "help", match.group(1)], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        return f"<!-- help {match.group(1)} -->\n```\n{text}```\n"

    document = re.sub(r"<!-- help (\w+) -->\n```\n.*?```\n", block, document, flags=re.S)
    with open(path, "w", encoding="utf-8") as file:
        file.write(document)


if __name__ == "__main__":
    main()
