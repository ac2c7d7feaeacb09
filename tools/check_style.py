#!/usr/bin/env python3
"""Checks the parts of docs/STYLE.md that a program can check. Run as: check_style.py SOURCE_FOLDER

Columns, tabs, trailing blanks, the opening comment, calls we do not use, file length, function
length and complexity. Layout is clang-format's part (check_format.sh). Exceptions are listed below,
each by name and with its reason.
"""

import pathlib
import re
import sys

MAX_COLUMNS = 100
MAX_FILE_LINES = 1500
MAX_FUNCTION_LINES = 100
MAX_COMPLEXITY = 25

# "path" or "path:function": (limit, reason)
LONG_FILES = {}
LONG_FUNCTIONS = {}
COMPLEX_FUNCTIONS = {
    'src/kern/cpu.c:detect_features': (30, 'a flat list of feature bits'),
}

BANNED = re.compile(
    r'(?<![\w.>])(strcpy|stpcpy|strcat|strncpy|strncat|sprintf|vsprintf|sscanf|vsscanf|fscanf|scanf|'
    r'gets|strtok|strtok_r|atoi|atol|atoll|atof|strtol|strtoll|strtoul|strtoull|strtod|strtof|alloca|'
    r'setjmp|longjmp|sigsetjmp|siglongjmp|localtime|localtime_r|ctime|asctime|gmtime|rand|srand|'
    r'system|popen|tmpnam|mktemp|tempnam|usleep)\s*\(')
ALLOCATORS = re.compile(
    r'(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|'
    r'aligned_alloc|posix_memalign|memalign)\s*\(')
# Where a call is allowed after all, with the reason.
ALLOWED_CALLS = {
    ('src/base/mem.c', 'allocators'): 'it is the one file that calls them',
    ('tests/support/support.c', 'system'): 'rm -rf of a scratch folder',
    ('tests/support/npy.c', 'strtoull'): 'its result is checked in the next line',
    ('tests/unit/test_base_pool.c', 'system'): 'rm -r of a scratch folder',
}
BRANCH = re.compile(r'\b(if|for|while)\b|&&|\|\||\?|\bcase\b')
RETURN_CASE = re.compile(r'^\s*case\b.*:\s*return\b.*;\s*$')


def blank(match):
    return re.sub(r'[^\n]', ' ', match.group(0))


def without_comments(text):
    """The code with comments, strings and character constants blanked out, line numbers kept."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(blank, text)


def functions_of(code):
    """(name, first line, number of lines, body lines); our layout has both braces in column 0."""
    lines = code.split('\n')
    i = 0
    while i < len(lines):
        if lines[i] != '{':
            i += 1
            continue
        start = i
        while i < len(lines) and not lines[i].startswith('}'):
            i += 1
        head = ''
        for j in range(start - 1, max(start - 12, -1), -1):
            if lines[j].strip() == '' or lines[j].startswith(('}', '#')):
                break
            head = lines[j] + ' ' + head
        name = re.search(r'(\w+)\s*\(', head)
        if name:
            yield name.group(1), start + 1, i - start + 1, lines[start:i]
        i += 1


def complexity_of(body):
    n = 1
    for line in body:
        if not RETURN_CASE.match(line) and not line.lstrip().startswith('#'):
            n += len(BRANCH.findall(line))
    return n


def check_lines(path, text, errors):
    for number, line in enumerate(text.split('\n'), 1):
        if len(line) > MAX_COLUMNS:
            errors.append(f'{path}:{number}: {len(line)} columns, at most {MAX_COLUMNS}')
        if '\t' in line:
            errors.append(f'{path}:{number}: a tab')
        if line != line.rstrip():
            errors.append(f'{path}:{number}: blanks at the end')
    if not text.startswith('/*'):
        errors.append(f'{path}: does not open with a comment that says what the file is for')
    if not text.endswith('\n') or text.endswith('\n\n'):
        errors.append(f'{path}: ends without a line break, or with an empty line')


def check_calls(path, code, errors):
    patterns = [(BANNED, None)]
    if path.startswith('src/'):
        patterns.append((ALLOCATORS, 'allocators'))
    for pattern, group in patterns:
        for match in pattern.finditer(code):
            if (path, group or match.group(1)) not in ALLOWED_CALLS:
                number = code.count('\n', 0, match.start()) + 1
                errors.append(f'{path}:{number}: {match.group(1)}() is not used here')


def check_sizes(path, text, code, errors):
    n_lines = text.count('\n')
    if n_lines > LONG_FILES.get(path, (MAX_FILE_LINES,))[0]:
        errors.append(f'{path}: {n_lines} lines, at most {MAX_FILE_LINES}')
    for name, line, length, body in functions_of(code):
        key = f'{path}:{name}'
        if length > LONG_FUNCTIONS.get(key, (MAX_FUNCTION_LINES,))[0]:
            errors.append(f'{path}:{line}: {name} has {length} lines, at most {MAX_FUNCTION_LINES}')
        complexity = complexity_of(body)
        if complexity > COMPLEX_FUNCTIONS.get(key, (MAX_COMPLEXITY,))[0]:
            errors.append(f'{path}:{line}: {name} has complexity {complexity}, at most '
                          f'{MAX_COMPLEXITY}')


def main():
    source = pathlib.Path(sys.argv[1])
    errors, n_files = [], 0
    for folder in ('include', 'src', 'tests', 'bench', 'fuzz'):
        for file in sorted((source / folder).rglob('*.[ch]')):
            path = str(file.relative_to(source))
            text = file.read_text()
            code = without_comments(text)
            check_lines(path, text, errors)
            check_calls(path, code, errors)
            check_sizes(path, text, code, errors)
            n_files += 1
    print('\n'.join(errors) if errors else f'{n_files} files keep the style')
    if any('columns' in error for error in errors):
        print('(make format lays code out and wraps comments)')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
