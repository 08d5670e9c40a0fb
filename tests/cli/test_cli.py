#!/usr/bin/env python3
"""The program as a user meets it: bad input gives one line and exit code 2 and leaves nothing; good input does what help says.

usage: test_cli.py SERVELOOP SOURCE_ROOT BUILD_ROOT SDK_BUILD
"""
import sys
import unittest

sys.dont_write_bytecode = True

import ab
import bad_input
import good_input
import host_memory
import models
import stage

if __name__ == '__main__':
    stage.set_up(*sys.argv[1:5])
    suite = unittest.TestSuite()
    for module in (ab, bad_input, good_input, host_memory, models):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f'{result.testsRun - failed} passed, {failed} failed')
    sys.exit(0 if failed == 0 else 1)
