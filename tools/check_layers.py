#!/usr/bin/env python3
"""Checks who includes whom. Run as: check_layers.py SOURCE_FOLDER

1. A file in src/LAYER includes headers of its own layer and of layers below it in LEVELS, never of
   an equal or a higher one. Families of models (src/model/NAME) do not include each other.
2. Quoted includes are paths from src/ or from include/; there are no relative ones. The public
   auricle/auricle.h is for the layers that implement or use it.
3. A header that belongs neither to us nor to the system is included by one file, or by the files of
   one folder below a layer's own (src/audio/ffmpeg, say) that exists to wrap it.
4. Vector intrinsics are for src/kern.
5. Every C file is named in the meson.build of its folder or of one above: none is forgotten.
"""

import pathlib
import re
import sys

LEVELS = {'base': 0, 'kern': 1, 'text': 1, 'tensor': 2, 'audio': 2, 'format': 3, 'model': 4,
          'recog': 5, 'service': 6, 'api': 7, 'app': 8}
PUBLIC_API_FROM = LEVELS['recog']

# Headers of the C library, POSIX and Linux. Whatever is not listed counts as a third party's.
SYSTEM = set('''
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
wchar wctype dirent dlfcn fcntl fnmatch ftw getopt glob grp iconv langinfo libgen link malloc netdb
nl_types poll pthread pwd regex sched semaphore spawn strings syslog termios unistd endian byteswap
elf cpuid features
'''.split())
SYSTEM_FOLDERS = {'sys', 'linux', 'asm', 'net', 'netinet', 'arpa', 'bits'}
INTRINSICS = re.compile(r'^(\w*intrin|arm_\w+|cpuid)\.h$')
# Headers of one library that lie in several folders.
LIBRARY_OF_FOLDER = {'libavformat': 'ffmpeg', 'libavcodec': 'ffmpeg', 'libavutil': 'ffmpeg',
                     'libswresample': 'ffmpeg'}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def library_of(header):
    """Name of the third-party library a <header> belongs to, or None for a system header."""
    folder, _, rest = header.partition('/')
    if rest:
        if folder in SYSTEM_FOLDERS:
            return None
        return LIBRARY_OF_FOLDER.get(folder, folder)
    if INTRINSICS.match(header) or header.removesuffix('.h') in SYSTEM:
        return None
    return header.removesuffix('.h')


def check_own(path, header, source):
    """Error text for the inclusion of one of our headers by src/..., or None."""
    layer = path.parts[1]
    if header.startswith('auricle/'):
        if not (source / 'include' / header).is_file():
            return f'no such header: include/{header}'
        if header == 'auricle/auricle.h' and LEVELS[layer] < PUBLIC_API_FROM:
            return f'{layer} does not see the public interface'
        return None
    parts = pathlib.PurePath(header).parts
    if len(parts) < 2 or parts[0] not in LEVELS:
        return f'"{header}" is not a path from src/'
    if not (source / 'src' / header).is_file():
        return f'no such header: src/{header}'
    other = parts[0]
    if other != layer:
        if LEVELS[other] >= LEVELS[layer]:
            return f'{layer} may not include {other}'
        return None
    if layer == 'model' and len(parts) > 2 and parts[1] != path.parts[2]:
        return f'model/{path.parts[2]} may not include model/{parts[1]}'
    return None


def check_built(source):
    """Error texts for C files that no meson.build names."""
    recipes = {file.parent: file.read_text() for file in source.rglob('meson.build')
               if not file.relative_to(source).parts[0].startswith('build')}
    for folder in ('src', 'tests', 'fuzz'):
        for file in sorted((source / folder).rglob('*.c')):
            stem = re.sub(r'^(fuzz)_\w+$', r'\1_@0@', file.stem)  # fuzz targets are a list
            names = re.compile(r"['/]" + re.escape(stem) + r"\.c'")
            if not any(names.search(recipes.get(parent, '')) for parent in file.parents):
                yield f'{file.relative_to(source)}: no meson.build names it'


def main():
    source = pathlib.Path(sys.argv[1])
    errors, users = [], {}
    files = sorted(p.relative_to(source) for p in (source / 'src').rglob('*.[ch]'))
    for path in files:
        layer = path.parts[1]
        if layer not in LEVELS or len(path.parts) < 3:
            errors.append(f'{path}: lies in no layer')
            continue
        for quote, header in INCLUDE.findall((source / path).read_text()):
            if quote == '"':
                error = check_own(path, header, source)
                if error:
                    errors.append(f'{path}: {error}')
            elif library_of(header):
                users.setdefault(library_of(header), set()).add(path)
            elif INTRINSICS.match(header) and layer != 'kern':
                errors.append(f'{path}: <{header}> is for src/kern')
    for library, paths in sorted(users.items()):
        folders = {p.parent for p in paths}
        wrapped = len(folders) == 1 and len(next(iter(folders)).parts) > 2
        if len(paths) > 1 and not wrapped:
            errors.append(f'{library} is included by ' + ', '.join(map(str, sorted(paths))) +
                          ': one file or one wrapping folder may')
    for path in sorted((source / 'include').rglob('*.h')):
        for quote, header in INCLUDE.findall(path.read_text()):
            if (quote == '"' and not header.startswith('auricle/')) or \
               (quote == '<' and library_of(header)):
                errors.append(f'{path.relative_to(source)}: a public header includes {header}')
    errors += check_built(source)
    print('\n'.join(errors) if errors else f'{len(files)} files keep the layers')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
