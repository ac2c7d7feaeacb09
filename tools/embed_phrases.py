#!/usr/bin/env python3
"""Turns data/known-phrases.tsv into a C table. Run as: embed_phrases.py IN OUT (by the build)."""

import sys


def rows(path):
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip('\n')
            if not line or line.startswith('#'):
                continue
            language, tab, phrase = line.partition('\t')
            if not tab or not language or not phrase.strip():
                sys.exit(f'{path}:{number}: expected a language code, a tab and a phrase')
            yield language, phrase


def quoted(text):
    return '"' + ''.join(f'\\{byte:03o}' for byte in text.encode()) + '"'


def main():
    source, target = sys.argv[1:]
    with open(target, 'w', encoding='utf-8') as out:
        out.write('/* Made from data/known-phrases.tsv by tools/embed_phrases.py. */\n'
                  '#include "recog/rules/rules.h"\n\n'
                  'const struct recog_phrase recog_known_phrases[] = {\n')
        for language, phrase in rows(source):
            out.write(f'    {{{quoted(language)}, {quoted(phrase)}}},\n')
        out.write('    {NULL, NULL},\n};\n')


if __name__ == '__main__':
    main()
