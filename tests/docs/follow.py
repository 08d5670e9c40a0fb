"""Follows a section of a page as a stranger would, in an empty folder outside the tree.

A fenced block whose line above is a file's name in backticks and a colon is written to that file; `sh` blocks are run in
order, with $SERVELOOP set.
"""
import os
import re

from checks import run, text_of

BLOCK = re.compile(r'^(?:`(?P<file>[\w.]+)`:\n\n?)?```(?P<kind>\w*)\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)


def section(page, title, checks):
    found = re.search(rf'^## {re.escape(title)}\n(.*?)(?=^## |\Z)', text_of(page), re.MULTILINE | re.DOTALL)
    if not checks.check(found, f'{page.name} has no section "{title}"'):
        checks.close()
    return found.group(1)


def environment(folder, top, build):
    """That of a tree as the pages expect it: the source, its build in build/."""
    source = folder / 'serveloop'
    source.mkdir()
    for name in ('configs', 'data', 'sdk'):
        (source / name).symlink_to(top / name)
    (source / 'build').symlink_to(build)
    given = {key: value for key, value in os.environ.items() if key not in ('PKG_CONFIG_PATH', 'SERVELOOP_PLUGIN_PATH')}
    if build.parent != top:  # calibrations are looked for beside the program, which is elsewhere here
        given['SERVELOOP_CALIBRATION_PATH'] = str(top / 'configs' / 'calibrations')
    return given | {'SERVELOOP': str(source), 'HOME': str(folder)}


def follow(text, folder, given, checks):
    """The outputs of its `sh` blocks, in one text. `folder`: where files are written and commands run."""
    folder.mkdir()
    output = ''
    for block in BLOCK.finditer(text):
        if block['file']:
            (folder / block['file']).write_text(block['text'], encoding='utf-8')
        elif block['kind'] == 'sh':
            done = run(['bash', '-euc', block['text']], cwd=folder, env=given)
            output += done.stdout
            checks.check(done.returncode == 0, f'exit code {done.returncode} of\n{block["text"]}\n{done.stdout}')
    return output


def same_code(one, other):
    """Equal but for white space?"""
    return ''.join(text_of(one).split()) == ''.join(text_of(other).split())
