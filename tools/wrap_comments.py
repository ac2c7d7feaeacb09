#!/usr/bin/env python3
"""Wraps comments that run past column 100. Run as: wrap_comments.py FILE...

clang-format leaves comments alone (their tables and lists are laid out by hand). This touches only
the paragraphs that are too wide, in comments that stand on lines of their own, and shortens ruler
lines. A paragraph ends at an empty line, a list item, a change of indentation or a line that begins
with a word such as "Errors:" or with two columns.
"""

import re
import sys
import textwrap

WIDTH = 100
STARTS_PARAGRAPH = re.compile(
    r'\s*(-\s|\d+\.\s|(Errors|Thread|Owner|Allocates|Reading|Writing|Source|Functions|Released?|'
    r'Axes|Times?)\b|[A-Z_]{2,}\b|[\w.\[\], ]+?\s{2,}\S)')


def indent_of(line):
    return len(line) - len(line.lstrip())


def wrap_paragraph(lines, width):
    if all(len(line) <= width for line in lines):
        return lines
    first = ' ' * indent_of(lines[0])
    rest = ' ' * indent_of(lines[1]) if len(lines) > 1 else first
    return textwrap.wrap(' '.join(line.strip() for line in lines), width=width,
                         initial_indent=first, subsequent_indent=rest,
                         break_long_words=False, break_on_hyphens=False)


def text_of(block, indent):
    """The lines of a comment without its markers."""
    text = []
    for i, line in enumerate(block):
        if i == len(block) - 1:
            line = line.rstrip().removesuffix('*/')
        line = re.sub(r'^\s*/\*', '', line) if i == 0 else re.sub(r'^\s*\*?', '', line)
        text.append(line.removeprefix(' ').rstrip())
    return text


def wrap_block(block):
    indent = ' ' * indent_of(block[0])
    aligned = len(block) > 1 and block[-1].endswith('  */')
    text = text_of(block, indent)
    width, out, i = WIDTH - len(indent) - 3, [], 0
    while i < len(text):
        j = i + 1
        while j < len(text) and text[j].strip() and not STARTS_PARAGRAPH.match(text[j]) and \
                (j == i + 1 or indent_of(text[j]) == indent_of(text[i + 1])):
            j += 1
        last = j == len(text)
        out += wrap_paragraph(text[i:j], width - 3 if last else width) if text[i].strip() else ['']
        if not text[i].strip():
            j = i + 1
        i = j
    out = [(indent + (' * ' if i else '/* ') + line).rstrip() for i, line in enumerate(out)]
    end = out[-1]
    out[-1] = end.ljust(WIDTH - 2) + '*/' if aligned and len(end) <= WIDTH - 3 else end + ' */'
    return out


def wrap_file(lines):
    out, i = [], 0
    while i < len(lines):
        line = lines[i]
        if line.lstrip().startswith('/* --') and line.endswith('*/') and len(line) > WIDTH:
            head = line.removesuffix('*/').rstrip().rstrip('-')
            out.append(head + '-' * (WIDTH - 3 - len(head)) + ' */')
        elif line.lstrip().startswith('/*') and not line.lstrip().startswith('/* --'):
            j = i
            while '*/' not in lines[j]:
                j += 1
            block, i = lines[i:j + 1], j
            wide = any(len(each) > WIDTH for each in block) and block[-1].rstrip().endswith('*/')
            out += wrap_block(block) if wide else block
        else:
            out.append(line)
        i += 1
    return out


def main():
    for name in sys.argv[1:]:
        with open(name, encoding='utf-8') as file:
            text = file.read()
        wrapped = '\n'.join(wrap_file(text.split('\n')))
        if wrapped != text:
            with open(name, 'w', encoding='utf-8') as file:
                file.write(wrapped)


if __name__ == '__main__':
    main()
