#!/usr/bin/env python3
"""The SDK's flags and tools: a plugin built outside the tree, sealed manifests, the stamp.

usage: test_sdk_tools.py SOURCE_ROOT BUILD_SDK
Its last line is `N passed, N failed`.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

SOURCE, BUILD_SDK = (pathlib.Path(argument) for argument in sys.argv[1:3])
TOOLS = SOURCE / 'sdk' / 'tools'

PLUGIN = '''
#include <serveloop/cpp/scheduler.hpp>
class Mine {
 public:
  explicit Mine(const sl::Setup&) {}
  void plan(const sl::View& view, sl::Plan& plan) {
    for (uint32_t slot : view.running()) plan.run(view.seqs()[slot].id, 1);
  }
};
SERVELOOP_SCHEDULER(Mine, "mine", "0.1.0");
'''
MANIFEST = '''# Mine.
id = "mine"
library = "old.so"
reasons = [
  "a",  # sha256 = "not a key"
]

# The range.
[abi]
major = 0
[options.sha256]
type = "text"
'''


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def stamp_of(root):
    out = root.parent / 'stamp.h'
    run(sys.executable, TOOLS / 'stamp.py', out, root)
    return out.read_text()


class SdkTools(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_a_plugin_built_outside_the_tree_exports_one_symbol(self):
        os.environ['PKG_CONFIG_PATH'] = str(BUILD_SDK)
        cflags, libs = (run('pkg-config', flag, 'serveloop-sdk').split() for flag in ('--cflags', '--libs'))
        source, plugin = self.folder / 'mine.cpp', self.folder / 'mine.so'
        source.write_text(PLUGIN)
        run('g++', *cflags, source, '-o', plugin, *libs)
        exported = [line.split()[-1] for line in run('nm', '-D', '--defined-only', plugin).splitlines()]
        self.assertEqual(exported, ['serveloop_plugin'])

    def test_the_template_in_c_builds_without_a_warning(self):
        os.environ['PKG_CONFIG_PATH'] = str(BUILD_SDK)
        flags = run('pkg-config', '--variable=c_cflags', 'serveloop-sdk').split()
        libs = run('pkg-config', '--libs', 'serveloop-sdk').split()
        run('gcc', '-Wall', '-Wextra', '-Wpedantic', '-Werror', *flags, SOURCE / 'sdk' / 'template' / 'c' / 'mine.c', '-o',
            self.folder / 'mine.so', *libs)

    def test_a_seal_sets_hash_and_library_and_nothing_else(self):
        manifest, plugin, out = (self.folder / name for name in ('in.toml', 'mine.so', 'out.toml'))
        manifest.write_text(MANIFEST)
        plugin.write_bytes(b'code')
        run(sys.executable, TOOLS / 'seal.py', manifest, plugin, out)
        sealed = tomllib.loads(out.read_text())
        self.assertEqual(sealed['sha256'], hashlib.sha256(b'code').hexdigest())
        self.assertEqual(sealed['library'], 'mine.so')
        self.assertEqual(sealed['options'], {'sha256': {'type': 'text'}})
        self.assertIn('# The range.', out.read_text())
        again = self.folder / 'again.toml'
        run(sys.executable, TOOLS / 'seal.py', out, plugin, again)
        self.assertEqual(again.read_text(), out.read_text())

    def test_the_stamp_follows_fields_and_not_comments(self):
        root = self.folder / 'include'
        shutil.copytree(SOURCE / 'sdk' / 'include' / 'serveloop', root)
        before = stamp_of(root)
        header = root / 'view.h'
        text = header.read_text()
        header.write_text('/* Another word. */\n' + text.replace(', ', ',\n    '))
        self.assertEqual(stamp_of(root), before)
        header.write_text(text.replace('uint32_t struct_size, epoch;', 'uint32_t epoch, struct_size;'))
        self.assertNotEqual(stamp_of(root), before)
        header.write_text(text)
        (root / 'cpp' / 'view.hpp').write_text('')
        (root / 'ext' / 'draft').mkdir()
        (root / 'ext' / 'draft' / 'new.h').write_text('int x;')
        self.assertEqual(stamp_of(root), before)


result = unittest.main(argv=sys.argv[:1], exit=False).result
failed = len(result.failures) + len(result.errors)
print(f'{result.testsRun - failed} passed, {failed} failed')
sys.exit(failed != 0)
