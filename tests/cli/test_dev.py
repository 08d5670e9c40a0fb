#!/usr/bin/env python3
"""What ./dev says where Debian packages are missing and it may not install them, or where a model cannot be fetched.

usage: test_dev.py SOURCE_ROOT
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv[1])


class Missing(unittest.TestCase):
    def dev(self, *programs):
        """`./dev deps` by a plain user on a system that has only these programs, and no package."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for program in ('bash', 'dirname', 'sed'):
                (folder / program).symlink_to(shutil.which(program))
            for program in programs:
                (folder / program).write_text('#!/bin/sh\nexit 1\n')
                (folder / program).chmod(0o755)
            shutil.copy(SOURCE / 'dev', folder)
            folder.chmod(0o755)
            user = {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {}
            return subprocess.run(['/bin/bash', str(folder / 'dev'), 'deps'], env={'PATH': name}, capture_output=True, text=True,
                                  cwd='/', **user)

    def check(self, ran, how, line):
        self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, r'^== \d+ Debian packages are missing\n')
        self.assertNotIn('installing', ran.stdout)
        self.assertIn(how, ran.stderr)
        self.assertIn(f'\n  {line}', ran.stderr)

    def test_without_sudo(self):
        self.check(self.dev('dpkg-query'), 'As root, run this line', 'apt-get update && apt-get install -y')

    def test_with_a_sudo_that_asks(self):
        self.check(self.dev('dpkg-query', 'sudo'), 'Run this line', 'sudo apt-get update && sudo apt-get install -y')


class Model(unittest.TestCase):
    def dev_model(self, sha256=None):
        """`./dev model` where pip fails and a file of that name is there; what it says, and what is left."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for program in ('bash', 'dirname', 'mkdir', 'mktemp', 'rm', 'sha256sum', 'tail'):
                (folder / program).symlink_to(shutil.which(program))
            (folder / 'python3').write_text('#!/bin/bash\n[[ $3 == --version ]] || { echo no way out; exit 1; }\n')
            (folder / 'python3').chmod(0o755)
            script = (SOURCE / 'dev').read_text()
            if sha256:
                script = re.sub(r"(?m)^model_sha256=.*", f"model_sha256='{sha256}'", script)
            (folder / 'dev').write_text(script)
            models = folder / 'models'
            models.mkdir()
            (models / 'SmolLM2-135M-Instruct.Q4_1.gguf').write_text('weights')
            ran = subprocess.run(['/bin/bash', str(folder / 'dev'), 'model'], capture_output=True, text=True, cwd='/',
                                 env={'PATH': name, 'SERVELOOP_MODELS': str(models)})
            return ran, sorted(path.name for path in models.iterdir())

    def test_what_is_there_needs_no_network(self):
        ran, _ = self.dev_model(hashlib.sha256(b'weights').hexdigest())
        self.assertEqual((ran.returncode, ran.stderr), (0, ''))
        self.assertRegex(ran.stdout, r'^== \S+/SmolLM2-135M-Instruct\.Q4_1\.gguf is there\n$')

    def test_without_a_network(self):
        ran, left = self.dev_model()  # the file is another
        self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)
        self.assertIn('no way out', ran.stderr)
        self.assertIn('Is there a network?', ran.stderr)
        self.assertEqual(left, ['SmolLM2-135M-Instruct.Q4_1.gguf'])


result = unittest.main(argv=sys.argv[:1], exit=False).result
failed = len(result.failures) + len(result.errors)
print(f'{result.testsRun - failed} passed, {failed} failed')
sys.exit(failed != 0)
