#!/usr/bin/env python3
"""Writes stamp.h: SL_ABI_STAMP, the first 8 bytes of the SHA-256 over the SDK's C headers.

usage: stamp.py OUT.h ROOT

Comments, white space and line breaks outside preprocessor lines do not count; ext/draft/ and stamp.h itself are left out.
The C++ layer does not count either: it is compiled into the plugin.
"""
import hashlib
import pathlib
import re
import sys

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.DOTALL)
PUNCTUATION = re.compile(r' ?([{}()\[\];,*=<>|&+:?/-]) ?')


def normalised(text):
    """One line for each run of declarations, one for each directive."""
    text = text.replace('\r\n', '\n').replace('\\\n', ' ')
    text = TOKEN.sub(lambda match: match.group(1) or ' ', text)
    lines, code = [], []

    def flush():
        joined = re.sub(r'\s+', ' ', ' '.join(code)).strip()
        if joined:
            lines.append(PUNCTUATION.sub(r'\1', joined))
        code.clear()

    for line in text.split('\n'):
        if line.lstrip().startswith('#'):
            flush()
            lines.append(re.sub(r'\s+', ' ', line).strip())
        else:
            code.append(line)
    flush()
    return '\n'.join(lines)


def stamp(root):
    headers = sorted(path for path in root.rglob('*.h')
                     if path.name != 'stamp.h' and 'draft' not in path.relative_to(root).parts)
    if not headers:
        sys.exit(f'{root}: expected C headers, found none')
    digest = hashlib.sha256()
    for path in headers:
        name = path.relative_to(root).as_posix()
        digest.update(f'{name}\n{normalised(path.read_text(encoding="utf-8"))}\n\0'.encode())
    return int.from_bytes(digest.digest()[:8], 'big')


def main():
    if len(sys.argv) != 3:
        sys.exit('usage: stamp.py OUT.h ROOT')
    out = pathlib.Path(sys.argv[1])
    text = ('/* Made by sdk/tools/stamp.py from the C headers beside it. While the ABI major is 0, a plugin and its host must\n'
            ' * have been built with equal stamps. */\n'
            '#ifndef SERVELOOP_STAMP_H\n#define SERVELOOP_STAMP_H\n\n'
            f'#define SL_ABI_STAMP UINT64_C(0x{stamp(pathlib.Path(sys.argv[2])):016x})\n\n#endif\n')
    if not out.exists() or out.read_text(encoding='utf-8') != text:
        out.write_text(text, encoding='utf-8')


main()
