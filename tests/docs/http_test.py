#!/usr/bin/env python3
"""Every command of docs/HTTP.md works, typed as it stands there, against a server.

usage: http_test.py SOURCE_ROOT BUILD_ROOT

Runs the `sh` blocks in order, with $URL and $ADMIN set, over a tiny model; curl fails where the server answers an error.
A block whose answer is JSON, a stream or metrics must be one. Each endpoint and each method that the page names has a block.
"""
import json
import pathlib
import re
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(sys.argv[1]) / 'tests/server'))

import stage
import wire
from checks import Checks, root, run, text_of

BLOCK = re.compile(r'^```sh\n(.*?)^```$', re.MULTILINE | re.DOTALL)
CURL = 'curl() { command curl --fail-with-body --silent --show-error --max-time 60 "$@"; }\n'

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
page = text_of(top / 'docs/HTTP.md')
checks = Checks()


def check_form(block, output):
    """What came is what such a block gets."""
    if '/metrics' in block:
        return wire.Metrics(output).get('serveloop_steps_total') > 0
    if '"stream": true' in block:
        return output.count('data: ') > 2 and output.endswith('data: [DONE]\n\n')
    return 'error' not in json.loads(output)


def follow(blocks, server):
    given = stage.environment(server.folder) | {'URL': server.url, 'ADMIN': str(server.admin_socket)}
    for block in blocks:
        done = run(['bash', '-euc', CURL + block], cwd=server.folder, env=given)
        what = f'docs/HTTP.md: exit code {done.returncode} of\n{block}{done.stdout[:2000]}'
        if checks.check(done.returncode == 0, what):
            try:
                good = check_form(block, done.stdout)
            except (ValueError, AssertionError) as error:
                good, what = False, f'{what}\n{error!r}'
            checks.check(good, what)


blocks = BLOCK.findall(page)
checks.check(len(blocks) >= 10, f'docs/HTTP.md: {len(blocks)} blocks to run')
for path in ('/v1/models', '/v1/completions', '/v1/chat/completions', '/tokenize', '/detokenize', '/health', '/metrics',
             '/admin/policy'):
    checks.check(any(path in block for block in blocks), f'docs/HTTP.md: no block shows {path}')
if not shutil.which('curl'):
    print('skipped: there is no curl')
    sys.exit(77)
stage.set_up(str(build / 'serveloop'), top, build)
with stage.Server() as server:
    follow(blocks, server)
checks.close()
