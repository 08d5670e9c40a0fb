"""What the tests of the program share: a folder, a configuration that runs in a blink, and how to call it."""
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = SOURCE = BUILD = SDK = None


def set_up(program, source, build, sdk):
    global PROGRAM, SOURCE, BUILD, SDK
    PROGRAM, SOURCE, BUILD, SDK = program, pathlib.Path(source), pathlib.Path(build), pathlib.Path(sdk)


CONFIG = '''
[engine]
executor = "{executor}"
kv_blocks = 64
token_budget = 256
max_sequences = 8
max_waiting = 64

[policy]
search = ["{search}"]
scheduler = "fcfs"

[simulated]
calibration = "{calibration}"

{workload}
'''
SYNTHETIC = '''[workload]
source = "synthetic"
requests = 20
rate_per_second = 50.0
prompt = { distribution = "uniform", min_tokens = 8, max_tokens = 60 }
output = { distribution = "uniform", min_tokens = 2, max_tokens = 20 }
'''


class Case(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def config(self, name='run.toml', workload=SYNTHETIC, executor='simulated', extra=''):
        text = CONFIG.format(executor=executor, search=BUILD / 'plugins', workload=workload,
                             calibration=SOURCE / 'configs/calibrations/h100-llama3.1-8b.toml')
        return self.write(name, text + extra)

    def run_program(self, *arguments, timeout=120):
        environment = {k: v for k, v in os.environ.items() if not k.startswith('SERVELOOP_')}
        environment.update(HOME=str(self.folder), BOOST_TEST_REPORT_LEVEL='no')
        return subprocess.run([PROGRAM, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True,
                              timeout=timeout)

    def good(self, *arguments):
        ran = self.run_program(*arguments)
        self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)
        return ran.stdout

    def bad(self, *arguments, says=(), leaves=()):
        """One line that says all of `says`, exit code 2, no output, and no file that was not there."""
        before = sorted(self.folder.rglob('*'))
        ran = self.run_program(*arguments)
        self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)
        self.assertEqual(ran.stdout, '')
        self.assertEqual(len(ran.stderr.splitlines()), 1, ran.stderr)
        self.assertTrue(ran.stderr.startswith('serveloop: '), ran.stderr)
        for part in says:
            self.assertIn(part, ran.stderr)
        self.assertEqual(sorted(self.folder.rglob('*')), before, 'left something behind')
        return ran.stderr
