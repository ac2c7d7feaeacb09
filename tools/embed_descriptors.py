#!/usr/bin/env python3
"""Makes a C table of a FileDescriptorSet, for gRPC's reflection service.
Run as: embed_descriptors.py FILE.protoset OUT.c

Each file of the set goes in as bytes, with every name that somebody can ask for: services, methods,
messages, fields, oneofs, enums and their values. The few fields of descriptor.proto that are needed are
read here, so that building needs no protobuf for Python.
"""

import pathlib
import sys

# Numbers of fields in google/protobuf/descriptor.proto.
SET_FILE = 1
FILE_NAME, FILE_PACKAGE, FILE_IMPORT, FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 1, 2, 3, 4, 5, 6
NAME = 1
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
ENUM_VALUE, SERVICE_METHOD = 2, 2


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message; bytes for what has a length, None for what is not needed."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value = None
        if tag & 7 == 0:
            _, at = varint(data, at)
        elif tag & 7 == 1:
            at += 8
        elif tag & 7 == 2:
            length, at = varint(data, at)
            value = data[at:at + length]
            at += length
        elif tag & 7 == 5:
            at += 4
        else:
            sys.exit(f'a group in a descriptor: {tag}')
        yield tag >> 3, value


def all_of(data, number):
    return [value for field, value in fields(data) if field == number]


def name_of(data):
    return all_of(data, NAME)[0].decode()


def symbols_of_enum(enum, scope):
    yield scope + name_of(enum)
    for value in all_of(enum, ENUM_VALUE):
        yield scope + name_of(value)  # values are siblings of their enum


def symbols_of_message(message, scope):
    name = scope + name_of(message)
    yield name
    for part in all_of(message, MESSAGE_FIELD) + all_of(message, MESSAGE_ONEOF):
        yield f'{name}.{name_of(part)}'
    for nested in all_of(message, MESSAGE_NESTED):
        yield from symbols_of_message(nested, name + '.')
    for enum in all_of(message, MESSAGE_ENUM):
        yield from symbols_of_enum(enum, name + '.')


def symbols_of_file(file):
    package = all_of(file, FILE_PACKAGE)
    scope = package[0].decode() + '.' if package else ''
    for message in all_of(file, FILE_MESSAGE):
        yield from symbols_of_message(message, scope)
    for enum in all_of(file, FILE_ENUM):
        yield from symbols_of_enum(enum, scope)
    for service in all_of(file, FILE_SERVICE):
        yield scope + name_of(service)
        for method in all_of(service, SERVICE_METHOD):
            yield f'{scope}{name_of(service)}.{name_of(method)}'


def main():
    source, out = sys.argv[1:]
    files = all_of(pathlib.Path(source).read_bytes(), SET_FILE)
    lines = ['/* Made by tools/embed_descriptors.py of the files in proto/. */',
             '#include "api/grpc/descriptors.h"', '']
    table = []
    for i, file in enumerate(files):
        if all_of(file, FILE_IMPORT):
            sys.exit(f'{name_of(file)} imports another file: reflection here sends one alone')
        octets = ', '.join(map(str, file))
        lines.append(f'static const uint8_t file_{i}[] = {{{octets}}};')
        names = ''.join(f'    "{symbol}",\n' for symbol in sorted(set(symbols_of_file(file))))
        lines.append(f'static const char *const symbols_{i}[] = {{\n{names}    NULL}};\n')
        table.append(f'    {{"{name_of(file)}", file_{i}, sizeof file_{i}, symbols_{i}}},')
    lines += ['const struct rpc_descriptor rpc_descriptors[] = {', *table, '    {0}};', '']
    pathlib.Path(out).write_text('\n'.join(lines))


if __name__ == '__main__':
    main()
