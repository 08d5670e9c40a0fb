#!/usr/bin/env python3
"""What ./dev says where Debian packages are missing and it may not install them.

usage: test_dev.py SOURCE_ROOT
"""
import os
import pathlib
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


result = unittest.main(argv=sys.argv[:1], exit=False).result
failed = len(result.failures) + len(result.errors)
print(f'{result.testsRun - failed} passed, {failed} failed')
sys.exit(failed != 0)
