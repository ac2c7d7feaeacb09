#!/usr/bin/env python3
"""Checks the names and kinds of symbols. Run as:
check_symbols.py ARCHIVE... SHARED_LIBRARY

1. Every global symbol that an object of a layer defines begins with a prefix of that layer.
2. The shared library exports auricle_ and nothing else.
3. No object holds data that can change, except what MUTABLE lists with its reason.
4. Kernels call no allocator, lock, log, thread or file function.
"""

import re
import subprocess
import sys

PREFIXES = {
    'base': ('au_', 'auricle_'), 'kern': ('kern_',), 'text': ('text_',), 'tensor': ('tensor_',),
    'audio': ('audio_',), 'format': ('format_',),
    'model': ('whisper_', 'silero_', 'wav2vec2_', 'aasist_'), 'recog': ('recog_', 'auricle_'),
    'service': ('service_',), 'api': ('api_', 'http_', 'live_', 'rest_', 'ops_'),
}

MUTABLE = {
    'n_allocations': 'base/mem.c: the count that tests read',
    'fail_first': 'base/mem.c: the allocation that a test makes fail',
    'fail_last': 'base/mem.c: the allocation that a test makes fail',
    'threshold_level': 'base/log.c: set once at start',
    'json_lines': 'base/log.c: set once at start',
    'once': 'pthread_once guards of tables and libraries that are made ready on first use',
    'memory_was_refused': 'base/json.c: thread-local note of a failed allocation',
    'loaded': 'audio/ffmpeg/library.c, service/registry/fetch.c: tables of functions, filled once, under once',
    'cached': 'kern/cpu.c: the features found, written once',
}

KERNELS_MAY_NOT_CALL = re.compile(
    r'^(au_\w*|(m|c|re|aligned_)alloc|free|posix_memalign|pthread_\w+|v?f?printf|write|read|f?open'
    r'|getenv|syslog)$')
KERNELS_MAY_CALL = {'au_cpu_count'}


def lines_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def sanitizer_symbol(name):
    return name.startswith(('__', '_GLOBAL_', '.')) or name.startswith('__odr_asan')


def member_layer(member):
    """Layer of an archive member: meson names src/base/error.c "base_error.c.o", and the objects of
    the libraries made in src/kern after their folder there, "x86_avx2_gemm.c.o"."""
    member = re.sub(r'^meson-generated_\.\._', '', member)
    first = re.split(r'[_.]', member)[0]
    return 'kern' if first in ('generic', 'x86', 'arm') else first


def check_archive(archive, errors):
    n_symbols = 0
    for line in lines_of('nm', '-A', archive):
        # libauricle-core.a:base_error.c.o:0000000000000000 T au_fail
        match = re.match(r'^(?:.*[:/])?([^:/]+\.o):\s*([0-9a-f]*)\s+(\w)\s+(\S+)$', line)
        if not match:
            continue
        member, _, kind, name = match.groups()
        layer = member_layer(member)
        if sanitizer_symbol(name):
            continue
        if kind == 'U':
            if layer == 'kern' and KERNELS_MAY_NOT_CALL.match(name) and \
               name not in KERNELS_MAY_CALL:
                errors.append(f'{member}: a kernel calls {name}')
        elif kind.isupper():
            n_symbols += 1
            if layer not in PREFIXES:
                errors.append(f'{member}: belongs to no layer')
            elif not name.startswith(PREFIXES[layer]):
                errors.append(f'{member}: {name} does not begin with ' +
                              ' or '.join(PREFIXES[layer]))
    return n_symbols


def check_mutable(archive, errors):
    member = ''
    for line in lines_of('objdump', '-t', archive):
        if ':     file format' in line:
            member = line.split(':')[0]
        # 0000000000000000 l     O .bss	0000000000000008 n_allocations
        match = re.match(r'^[0-9a-f]+ .{7} (\.bss|\.data|\.tbss|\.tdata)(\.(?!rel\.ro)\S*)?\t'
                         r'[0-9a-f]+ +(?:\.hidden )?(\S+)$', line)
        if not match or sanitizer_symbol(match.group(3)):
            continue
        name = re.sub(r'\.\d+$', '', match.group(3))
        if name not in MUTABLE and name not in ('.bss', '.data', '.tbss', '.tdata'):
            errors.append(f'{member}: {name} is data that can change; see "No mutable globals" in '
                          'docs/STYLE.md')


def check_exports(library, errors):
    for line in lines_of('nm', '-D', '--defined-only', library):
        name = line.split()[-1].split('@')[0]
        if not name.startswith(('auricle_', 'AURICLE_')) and not sanitizer_symbol(name):
            errors.append(f'{library} exports {name}')


def main():
    *archives, library = sys.argv[1:]
    errors, n_symbols = [], 0
    for archive in archives:
        n_symbols += check_archive(archive, errors)
        sanitized = any('__asan' in line or '__tsan' in line or '__ubsan' in line or
                        '__sancov' in line for line in lines_of('nm', archive))
        if not sanitized:
            check_mutable(archive, errors)
    check_exports(library, errors)
    print('\n'.join(errors) if errors else f'{n_symbols} global symbols are well named')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
