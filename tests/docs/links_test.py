#!/usr/bin/env python3
"""Links of the documentation lead to files, and names beside a link stand in that file.

usage: links_test.py SOURCE_ROOT

Every relative link of every Markdown file must lead to a file or folder; a `#heading` to a heading. In the pages of NAMED,
moreover, each name in backticks that follows a link to a source file, up to the next link or the end of its paragraph, list
item or table row, must occur there: `step()` as something called or defined, `Type` or `Type::part` as words.

Each program that a page names in build/tests must be one that the build description of its folder makes.
"""
import pathlib
import re

from checks import Checks, project_files, root, text_of

NAMED = {'README.md', 'CONTRIBUTING.md', 'docs/ARCHITECTURE.md', 'docs/AB.md', 'docs/ABI.md', 'docs/STEP_LOG.md', 'docs/SIMULATOR.md'}
LINK = re.compile(r'\[(?:[^\]\[]|`[^`]*`)*\]\(([^)\s]+)\)')
SPAN = re.compile(r'`([^`\n]+)`')
NAME = re.compile(r'([A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)(\(\))?')
PROGRAM = re.compile(r'\bbuild/(tests/[\w/-]+)/(\w+)')
FENCE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
SOURCE = ('.h', '.hpp', '.c', '.cpp', '.py', '.toml', '.build')

top = root()
checks = Checks()
names_checked = 0


def passages(text):
    """Paragraphs, list items and table rows, each on its own: what a link speaks for."""
    text = FENCE.sub('', text)
    for paragraph in re.split(r'\n\s*\n', text):
        yield from re.split(r'\n(?=\s*(?:[-*|]|\d+\.)\s?)', paragraph)


def anchor_of(heading):
    kept = re.sub(r'[^\w\- ]', '', heading.replace('`', '').strip().lower())
    return kept.replace(' ', '-')


def resolve(page, link):
    """The file a link leads to; None for an address elsewhere."""
    if re.match(r'[a-z]+:', link):
        return None
    path, _, anchor = link.partition('#')
    target = (top / page).parent / path if path else top / page
    if not checks.check(target.exists(), f'{page}: link to {link}: no such file'):
        return None
    if anchor:
        headings = re.findall(r'^#+ (.*)$', FENCE.sub('', text_of(target) or ''), re.MULTILINE)
        checks.check(anchor in map(anchor_of, headings), f'{page}: link to {link}: no such heading')
    return target


def occurs(name, called, source):
    if called:
        return re.search(rf'\b{name.split("::")[-1]}\s*(?:<[^>\n]*>)?\(', source)
    return all(re.search(rf'\b{part}\b', source) for part in name.split('::'))


def check_names(page, passage):
    global names_checked
    links = list(LINK.finditer(passage))
    for link, after in zip(links, links[1:] + [None]):
        target = resolve(page, link.group(1))
        if target is None or str(page) not in NAMED or target.suffix not in SOURCE:
            continue
        source = text_of(target)
        for span in SPAN.findall(passage[link.end():after.start() if after else None]):
            name = NAME.fullmatch(span)
            if name:
                names_checked += 1
                checks.check(occurs(name[1], name[2], source),
                             f'{page}: `{span}` does not occur in {target.resolve().relative_to(top)}')


def check_programs(page):
    global programs_checked
    for folder, name in PROGRAM.findall(text_of(top / page)):
        programs_checked += 1
        described = top / folder / 'meson.build'
        checks.check(described.is_file() and f"'{name}'" in text_of(described), f'{page}: build/{folder}/{name}: no such program')


programs_checked = 0
for file in project_files(top):
    if file.suffix == '.md':
        check_programs(file)
        for passage in passages(text_of(top / file)):
            check_names(pathlib.Path(file), passage)
checks.check(programs_checked >= 3, f'only {programs_checked} programs were checked: has the form of their paths changed?')
checks.check(names_checked >= 100, f'only {names_checked} names were checked: has the form of the links changed?')
checks.close()
