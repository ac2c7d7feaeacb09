#!/usr/bin/env python3
"""Turns data/models.tsv into C tables. Run as: embed_models.py IN OUT (by the build)."""

import re
import sys

FIELDS = 9
HOSTS = {'hub': 'SERVICE_HOST_HUB', 'github': 'SERVICE_HOST_GITHUB'}
SAFE_PATH = re.compile(r'^[\w.-]+(/[\w.-]+)*$')


def fail(where, what):
    sys.exit(f'{where}: {what}')


def file_entry(spec, where):
    """One file as a C initialiser, from NAME[=PATH][#SHA256][?]."""
    optional = spec.endswith('?')
    spec, _, digest = spec.rstrip('?').partition('#')
    name, _, path = spec.partition('=')
    path = path or name
    for part in (name, path):
        if not SAFE_PATH.match(part) or '..' in part:
            fail(where, f'"{part}" is no name of a file')
    if digest and not re.match(r'^[0-9a-f]{64}$', digest):
        fail(where, f'"{digest}" is no SHA-256 digest')
    digest = f'"{digest}"' if digest else 'NULL'
    return f'{{"{name}", "{path}", {digest}, {str(optional).lower()}}}'


def read(path):
    sets, models, aliases = {}, [], []
    with open(path, encoding='utf-8') as source:
        for number, line in enumerate(source, 1):
            where, row = f'{path}:{number}', line.rstrip('\n').split('\t')
            if line.startswith('#') or not line.strip():
                continue
            if row[0] == 'set' and len(row) == 3:
                sets[row[1]] = row[2]
            elif row[0] == 'alias' and len(row) == 3:
                aliases.append(row[1:])
            elif len(row) == FIELDS and row[2] in HOSTS and SAFE_PATH.match(row[0]):
                files = sets.get(row[5], row[5]).split(',')
                models.append((row, [file_entry(f, where) for f in files]))
            else:
                fail(where, f'expected {FIELDS} fields with tabs between them')
    return models, aliases


def main():
    source, target = sys.argv[1:]
    models, aliases = read(source)
    known = {row[0] for row, _ in models}
    with open(target, 'w', encoding='utf-8') as out:
        out.write('/* Made from data/models.tsv by tools/embed_models.py. */\n'
                  '#include <stddef.h>\n\n#include "service/registry/registry.h"\n\n')
        for i, (_, files) in enumerate(models):
            out.write(f'static const struct service_model_file files_{i}[] = {{\n    ' +
                      ',\n    '.join(files) + ',\n    {NULL, NULL, NULL, false}};\n')
        out.write('\nconst struct service_model service_models[] = {\n')
        for i, (row, _) in enumerate(models):
            name, family, host, repository, revision, _, megabytes, licence, languages = row
            out.write(f'    {{"{name}", "{family}", {HOSTS[host]}, "{repository}", "{revision}", '
                      f'files_{i}, {int(float(megabytes) * 1e6)}u, "{licence}", "{languages}"}},\n')
        out.write('    {.name = NULL},\n};\n\n'
                  'const struct service_model_alias service_model_aliases[] = {\n')
        for alias, name in aliases:
            if name not in known:
                fail(source, f'alias {alias}: there is no model {name}')
            out.write(f'    {{"{alias}", "{name}"}},\n')
        out.write('    {NULL, NULL},\n};\n')


if __name__ == '__main__':
    main()
