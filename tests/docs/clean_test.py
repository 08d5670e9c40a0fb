#!/usr/bin/env python3
"""No file of the project knows the machine it was written on.

usage: clean_test.py SOURCE_ROOT
"""
import re

from checks import Checks, project_files, root, text_of

# Folders of one machine. Tests may use what lies under the temporary folder.
MACHINE = re.compile(r'(?<![\w.}/-])(/(?:work|root|home|Users|mnt|scratch)/[\w.-]+)')
TEMPORARY = re.compile(r'(?<![\w.}/-])(/(?:tmp|var/tmp)/[\w.-]+)')

# Hosts that may stand in an address. Everything else that is fetched comes from where the user's own set-up says.
HOSTS = {'www.apache.org', 'creativecommons.org', 'keepachangelog.com', 'semver.org', '127.0.0.1', 'localhost'}
ADDRESS = re.compile(r'\b(?:https?|git|ssh|ftp)://(?:[\w.-]+@)?([\w.-]+)')
PRIVATE = re.compile(r'\b[\w-]+\.(?:internal|intranet|corp|lan)\b')
MIRROR = re.compile(r'(?:--index-url|--extra-index-url|PIP_INDEX_URL|GOPROXY=|\[mirrors?\]|--trusted-host)')

# Files that are somebody else's words, or that name such things to look for them.
NOT_OURS = {'LICENSE', 'tests/docs/clean_test.py'}

top = root()
checks = Checks()
for file in project_files(top):
    if str(file) in NOT_OURS or file.suffix in ('.csv', '.jsonl', '.slog') or (text := text_of(top / file)) is None:
        continue
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        patterns = [MACHINE, PRIVATE, MIRROR] + ([] if file.parts[0] == 'tests' else [TEMPORARY])
        found += [(number, match.group(0)) for pattern in patterns for match in pattern.finditer(line)]
        found += [(number, match.group(0)) for match in ADDRESS.finditer(line) if match.group(1) not in HOSTS]
    checks.check(not found, '; '.join(f'{file}:{number}: {what}' for number, what in found))
checks.close()
