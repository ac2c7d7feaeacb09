#!/usr/bin/env python3
"""Turns a file into a C array. Run as: embed_file.py IN OUT NAME (by the build)

OUT defines `const unsigned char NAME[]`, with a zero after the last byte, and `const size_t
NAME_bytes`, which does not count it.
"""

import sys


def main():
    source, target, name = sys.argv[1:]
    with open(source, 'rb') as file:
        data = file.read()
    lines = [', '.join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
    with open(target, 'w', encoding='ascii') as out:
        out.write('#include <stddef.h>\n'
                  f'extern const unsigned char {name}[];\nextern const size_t {name}_bytes;\n'
                  f'const unsigned char {name}[] = {{\n' + ''.join(f'{line},\n' for line in lines) +
                  f'0}};\nconst size_t {name}_bytes = {len(data)};\n')


main()
