#!/usr/bin/env python3
"""Seals a plugin: copies its plugin.toml with `library` and `sha256` set to those of the built object.

usage: seal.py IN.toml OBJECT OUT.toml
"""
import hashlib
import pathlib
import re
import sys
import tomllib

SEALED = re.compile(r'\s*(library|sha256)\s*=')
TABLE = re.compile(r'\s*\[\s*[\w\[\'"]')


def sealed_text(source, library, digest):
    """The two keys go in front of the first table; comments and order of all else stay."""
    lines = source.splitlines()
    tables = (i for i, line in enumerate(lines) if TABLE.match(line) and is_header(lines, i))
    end = next(tables, len(lines))
    head = [line for line in lines[:end] if not SEALED.match(line)]
    while head and not head[-1].strip():
        head.pop()
    head += [f'library = "{library}"', f'sha256 = "{digest}"']
    if end < len(lines):
        head.append('')
    return '\n'.join(head + lines[end:]) + '\n'


def is_header(lines, index):
    """False inside a value that spans lines: what stands above must be a document by itself."""
    try:
        tomllib.loads('\n'.join(lines[:index]))
        return True
    except tomllib.TOMLDecodeError:
        return False


def main():
    if len(sys.argv) != 4:
        sys.exit('usage: seal.py IN.toml OBJECT OUT.toml')
    manifest, library, out = (pathlib.Path(argument) for argument in sys.argv[1:])
    try:
        source = manifest.read_text(encoding='utf-8')
        before = tomllib.loads(source)
        digest = hashlib.sha256(library.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        sys.exit(f'{manifest}: {error}')
    text = sealed_text(source, library.name, digest)
    if tomllib.loads(text) != before | {'library': library.name, 'sha256': digest}:
        sys.exit(f'{manifest}: could not be sealed: expected `library` and `sha256` on lines of their own')
    out.write_text(text, encoding='utf-8')


main()
