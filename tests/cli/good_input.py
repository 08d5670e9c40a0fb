"""What works: simulate, replay, plugin, and help that names every option."""
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import time

import stage


class Simulate(stage.Case):
    def test_two_configurations_make_two_columns(self):
        other = self.config('other.toml', executor='hash')
        out = self.good('simulate', '--config', self.config(), '--config', other, '--json', 'out.json')
        self.assertRegex(out.splitlines()[0], r'^ +run +other$')
        self.assertRegex(out, r'(?m)^requests completed +20(\.0+)? +20(\.0+)?$')
        runs = json.loads((self.folder / 'out.json').read_text())
        self.assertEqual([run['name'] for run in runs], ['run', 'other'])
        for run in runs:
            self.assertEqual(run['completed'], 20)
            self.assertAlmostEqual(sum(v for k, v in run.items() if k.startswith('cause_')), 100, places=3)

    def test_a_json_file_is_replaced_whole(self):
        self.write('out.json', 'x' * 100000)
        (self.folder / 'link.json').symlink_to('out.json')
        self.good('simulate', '--config', self.config(), '--json', 'link.json')
        self.assertTrue((self.folder / 'link.json').is_symlink())
        self.assertEqual(json.loads((self.folder / 'out.json').read_text())[0]['completed'], 20)
        self.assertEqual(list(self.folder.glob('*.part')), [])
        self.good('simulate', '--config', self.config(), '--json', '/dev/null', '--log', '/dev/null')

    def test_odd_names_make_valid_json(self):
        self.good('simulate', '--config', self.config('an "odd\\name.toml'), '--json', 'out.json')
        self.assertEqual(json.loads((self.folder / 'out.json').read_text())[0]['name'], 'an "odd\\name')

    def test_the_same_twice(self):
        def numbers():
            out = self.good('simulate', '--config', self.config())
            return [line for line in out.splitlines() if not re.match('wall time|host time', line)]
        self.assertEqual(numbers(), numbers())

    def test_a_request_beyond_the_context_is_dropped_and_counted(self):
        self.write('big.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,100,10\n'
                              '2023-11-16 18:17:04.0319600,5000,8\n2023-11-16 18:17:05.0319600,50,8\n')
        out = self.good('simulate', '--config', self.config(workload='[workload]\ntrace = "big.csv"\nformat = "azure"\n'),
                        '--set', 'engine.context_tokens=1000')
        self.assertRegex(out, r'requests completed +2(\.0+)?\n')
        self.assertRegex(out, r'dropped +1(\.0+)?\n')
        self.assertRegex(out, r'(?m)^run: 1 request was dropped; the first: .*/big.csv:3: a prompt of 5000 .* engine.context_tokens = 1000$')
        out = self.good('simulate', '--config', self.config(), '--set', 'engine.context_tokens=4', '--json', 'out.json')
        self.assertRegex(out, r'requests completed +0\n')
        self.assertRegex(out, r'end to end p50, ms +-\n')
        self.assertRegex(out, r'workload: request 1 of 20: ')
        run = json.loads((self.folder / 'out.json').read_text())[0]
        self.assertEqual((run['end_to_end_p50_ms'], run['between_tokens_p99_ms'], run['completed']), (None, None, 0))

    def test_what_the_pool_was_used_for(self):
        """One request, 33 tokens and 3: it holds 33 of them through one step, and 34 through another that takes as long."""
        one = """[workload]
source = "synthetic"
requests = 1
rate_per_second = 1
prompt = { distribution = "fixed", mean_tokens = 33 }
output = { distribution = "fixed", mean_tokens = 3 }
"""
        ways = ('paged', 'contiguous_exact', 'contiguous_power_of_two', 'contiguous_max')
        self.good('simulate', '--config', self.config(workload=one), '--set', 'engine.prefix_cache=false', '--set', 'engine.context_tokens=128',
                  '--json', 'out.json', *(word for way in ways for word in ('--vary', f'engine.kv_reservation={way}')))
        runs = json.loads((self.folder / 'out.json').read_text())
        for run, tokens in zip(runs, (48, 48, 48, 128)):  # in blocks of 16, of a pool of 1,024
            share = run['running_mean']  # of the time
            self.assertGreater(share, 0)
            self.assertAlmostEqual(run['kv_held_percent'] / share, 100 * tokens / 1024, places=6)
            self.assertAlmostEqual(run['kv_unfilled_percent'] / share, 100 * (tokens - 33.5) / 1024, places=2)

    def test_the_json_says_what_ran(self):
        self.good('simulate', '--config', self.config(), '--set', 'workload.seed=5', '--set', 'engine.seed=6', '--json', 'out.json',
                  '--swap', 'at=5,scheduler=sarathi')
        run = json.loads((self.folder / 'out.json').read_text())[0]
        self.assertEqual((run['seed'], run['engine_seed'], run['swaps'], run['interrupted']), (5, 6, ['at=5,scheduler=sarathi'], False))
        self.assertEqual([p['id'] for p in run['plugins']], ['fcfs', 'lru', 'recompute', 'native', 'sarathi'])
        for plugin in run['plugins']:
            self.assertRegex(plugin['version'], r'^\d+\.\d+\.\d+$')
            self.assertRegex(plugin['sha256'], r'^[0-9a-f]{64}$')
        again = self.write('again.toml', run['config'])
        self.good('simulate', '--config', again, '--json', 'again.json', '--swap', run['swaps'][0])
        twin = json.loads((self.folder / 'again.json').read_text())[0]
        differ = {key for key in run if run[key] != twin[key]}
        self.assertLessEqual(differ, {'name', 'wall_seconds', 'host_us_per_step'})

    def test_an_ejection_is_a_negative_result(self):
        bad = stage.BUILD / 'tests/misbehaving/bad-scheduler'
        ran = self.run_program('simulate', '--config', self.config(), '--set', f'policy.scheduler="{bad}"')
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertRegex(ran.stdout, r'(?m)^policies +bad-scheduler -> linked-in$')
        self.assertIn("\nrun: a policy was ejected: from then on the figures are the linked-in policy's\n", ran.stdout)

    def test_headings_differ(self):
        paths = [self.config('a/run.toml'), self.config('b/run.toml'), self.config('other.toml')]
        options = [part for path in [*paths, paths[0]] for part in ('--config', path)]
        self.assertRegex(self.good('simulate', *options).splitlines()[0], r'^ +a/run +b/run +other +a/run \(2\)$')

    def test_two_policies_of_one_configuration_side_by_side(self):
        vary = ('--vary', 'policy.scheduler=fcfs', '--vary', 'policy.scheduler=sarathi')
        out = self.good('simulate', '--config', self.config(), *vary)
        self.assertRegex(out.splitlines()[0], r'^ +scheduler=fcfs +scheduler=sarathi$')
        self.assertRegex(out, r'(?m)^policies +fcfs +sarathi$')
        weights = ('--vary', 'tenants.shop.weight=2', '--vary', 'tenants.research.weight=2')  # of whom, must be told
        self.assertRegex(self.good('simulate', '--config', self.config(), *weights).splitlines()[0],
                         r'^ +tenants\.shop\.weight=2 +tenants\.research\.weight=2$')
        out = self.good('simulate', '--config', self.config(), '--config', self.config('b.toml'), *vary)
        self.assertRegex(out.splitlines()[0], r'^ +run scheduler=fcfs +run scheduler=sarathi +b scheduler=fcfs +b scheduler=sarathi$')

    def test_an_80_column_terminal(self):
        names = [self.config(f'a-configuration-{i}.toml') for i in range(4)]
        reader, writer = pty.openpty()
        self.addCleanup(os.close, reader)
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
        arguments = [part for name in names for part in ('--config', name)]
        running = subprocess.Popen([stage.PROGRAM, 'simulate', *arguments], stdout=writer, stderr=writer)
        os.close(writer)
        out = b''
        while True:
            try:
                part = os.read(reader, 65536)
            except OSError:  # the other end is closed
                break
            out += part
        self.assertEqual(running.wait(), 0)
        lines = [re.sub(r'\x1b\[[^m]*[mK]', '', line) for line in re.split(r'[\r\n]+', out.decode())]
        self.assertTrue(any('requests, ' in line for line in lines), 'a progress bar')
        table = [line for line in lines if line.startswith('requests completed')]
        self.assertEqual(sum(len(re.findall(r' 20\b', line)) for line in table), 4, lines)
        self.assertEqual([line for line in lines if len(line) > 80 and 'took over' not in line], [])

    def await_handlers(self, running):
        """Until the run has begun, however slow the machine is: from then on it takes signals, and has done some steps."""
        caught = 0
        while not caught & (1 << (signal.SIGTERM - 1)):
            time.sleep(0.02)
            self.assertIsNone(running.poll())
            caught = int(re.search(r'SigCgt:\s*(\w+)', pathlib.Path(f'/proc/{running.pid}/status').read_text())[1], 16)
        time.sleep(0.5)

    def test_an_interrupt_ends_the_run_in_order(self):
        workload = stage.SYNTHETIC.replace('requests = 20', 'requests = 10000000')
        command = ['simulate', '--config', self.config(workload=workload), '--config', self.config('b.toml'),
                   '--set', 'engine.max_waiting=4096', '--json', 'out.json', '--set', 'observe.log=""']
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            running = subprocess.Popen([stage.PROGRAM, *command], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(running.kill)
            self.await_handlers(running)
            running.send_signal(number)
            out, err = running.communicate(timeout=60)
            self.assertEqual(running.returncode, status, err)
            self.assertRegex(out, r'^ +run \(interrupted\)\n')
            self.assertIn('0 of 2 configurations ran whole', err)
            self.assertTrue(json.loads((self.folder / 'out.json').read_text())[0]['interrupted'])
        running = subprocess.Popen([stage.PROGRAM, *command[:3], '--log', 'run.slog'], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(running.kill)
        self.await_handlers(running)
        running.send_signal(signal.SIGINT)
        self.assertEqual(running.wait(60), 130)
        self.assertRegex(self.good('replay', 'run.slog'), r'decisions equal, in [\d.]+ s\n$')

    def test_a_log_as_workload(self):
        self.good('simulate', '--config', self.config(), '--log', 'run.slog')
        self.assertEqual(self.good('replay', 'run.slog', '--workload', 'shared.jsonl'),
                         '20 requests without their prompts: shared.jsonl\n')
        lines = [json.loads(line) for line in (self.folder / 'shared.jsonl').read_text().splitlines()]
        self.assertEqual((len(lines), lines[0]['serveloop_workload']), (21, 1))
        tables = []
        for trace in ('trace = "run.slog"', 'trace = "shared.jsonl"\nformat = "serveloop"'):
            out = self.good('simulate', '--config', self.config(workload='[workload]\n' + trace))
            self.assertRegex(out, r'requests completed +20\n')
            tables.append(re.sub(r'(wall time, s|host time of a step, us) .*', '', out))
        self.assertEqual(*tables)

    def test_swap(self):
        out = self.good('simulate', '--config', self.config(), '--swap', 'at=5,scheduler=sarathi', '--swap', 'at=9,eviction=slru',
                        '--swap', 'at=9,preemption=recompute')
        self.assertRegex(out, r'hot swaps +3(\.0+)?\n')
        self.assertRegex(out, r'policies +fcfs -> sarathi\n +lru -> slru\n +recompute -> recompute\n +native\n')

    def test_a_swap_may_carry_options(self):
        def steps(*more):
            out = self.good('simulate', '--config', self.config(), *more)
            return re.search(r'(?m)^steps +(.*)', out)[1]
        small = steps('--swap', 'at=5,scheduler=sarathi,chunk_budget=16')
        self.assertNotEqual(small, steps('--swap', 'at=5,scheduler=sarathi,chunk_budget=256'))

    def test_an_option_may_be_set_below_a_name(self):
        def steps(*more):
            return re.search(r'(?m)^steps +(.*)', self.good('simulate', '--config', self.config(), *more))[1]
        self.assertNotEqual(steps('--set', 'policy.scheduler=sarathi'),
                            steps('--set', 'policy.scheduler=sarathi', '--set', 'policy.scheduler.options.chunk_budget=16'))

    def test_a_swap_takes_the_configured_options(self):
        def steps(options, swap):
            path = self.config(extra=f'[policy.scheduler]\nplugin = "sarathi"\noptions = {options}\n')
            text = pathlib.Path(path).read_text().replace('scheduler = "fcfs"\n', '')
            out = self.good('simulate', '--config', self.write('run.toml', text), '--log', 'run.slog', '--swap', swap)
            self.assertIn(' decisions equal', self.good('replay', 'run.slog'))
            return re.search(r'(?m)^steps +(.*)', out)[1]
        small, large = steps('{ chunk_budget = 16 }', 'at=0,preemption=recompute'), steps('{}', 'at=0,preemption=recompute')
        self.assertNotEqual(small, large)
        self.assertEqual(steps('{ chunk_budget = 16 }', 'at=0,scheduler=sarathi'), small)
        self.assertEqual(steps('{ chunk_budget = 16 }', 'at=0,scheduler=sarathi,options={}'), large)
        self.assertEqual(steps('{}', 'at=0,scheduler=sarathi,options={chunk_budget=16}'), small)

    def test_a_swap_beyond_the_end_of_the_run(self):
        ran = self.run_program('simulate', '--config', self.config(), '--swap', 'at=5,eviction=slru',
                               '--swap', 'at=100000,scheduler=sarathi')
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertRegex(ran.stdout, r'requests completed +20(\.0+)?\n')
        warnings = [line for line in ran.stderr.splitlines() if 'warning' in line]
        self.assertEqual(len(warnings), 1, ran.stderr)
        self.assertRegex(warnings[0], r'^serveloop: warning: run: --swap at=100000,scheduler=sarathi did not happen: .* \d+$')


class Replay(stage.Case):
    def logged(self, *more):
        self.good('simulate', '--config', self.config(), '--log', 'run.slog', *more)

    def test_equal(self):
        for executor in ('simulated', 'hash'):
            for lag in '01':
                self.logged('--set', f'engine.executor="{executor}"', '--set', f'engine.lag={lag}',
                            '--swap', 'at=10,scheduler=priority', '--swap', 'at=20,scheduler=sarathi,chunk_budget=16')
                self.assertRegex(self.good('replay', 'run.slog'), r'^\d+ steps( \(\d+ of them idle\))? and \d+ decisions equal, in [\d.]+ s\n$')

    def test_other_options(self):
        self.logged('--set', 'policy.scheduler=sarathi')
        ran = self.run_program('replay', 'run.slog', '--set', 'policy.scheduler.options.chunk_budget=16')
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertRegex(ran.stdout, r'^scheduler sarathi with { chunk_budget = 16 } in place of sarathi\nfirst difference at step \d+: plan\n')
        self.assertIn(' decisions equal', self.good('replay', 'run.slog', '--set', 'policy.scheduler.options.chunk_budget=512'))
        ran = self.run_program('replay', 'run.slog', '--scheduler', 'fcfs', '--set', 'policy.scheduler={plugin="sarathi",options={chunk_budget=16}}')
        self.assertIn('scheduler sarathi with { chunk_budget = 16 } in place of sarathi\n', ran.stdout)

    def test_another_scheduler(self):
        self.logged('--set', 'engine.token_budget=1024', '--set', 'workload.prompt={distribution="uniform",min_tokens=300,max_tokens=700}')
        ran = self.run_program('replay', 'run.slog', '--scheduler', 'sarathi')
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertRegex(ran.stdout, r'^scheduler sarathi in place of fcfs\nfirst difference at step \d+: plan\n  recorded: .*\n  replayed: .*\n  context: ')
        entries = [re.search(rf'{side}: \d+ entries: (?:(\d+) equal, )?\[(\d+)\] (.*?)(?: \[| \.\.\.|$)', ran.stdout, re.MULTILINE)
                   for side in ('recorded', 'replayed')]
        self.assertTrue(all(entries), ran.stdout)
        self.assertGreater(int(entries[0][1] or 0), 0, ran.stdout)
        self.assertEqual(entries[0][2], entries[1][2], ran.stdout)
        self.assertNotEqual(entries[0][3], entries[1][3], 'the first entry shown is the first that differs')
        for side in ('--eviction=slru', '--preemption=swap'):
            self.logged('--set', 'engine.kv_blocks=64', '--set', 'engine.max_sequences=16',
                        '--set', 'workload.prompt={distribution="uniform",min_tokens=100,max_tokens=300}',
                        '--set', 'workload.output={distribution="uniform",min_tokens=100,max_tokens=300}')
            ran = self.run_program('replay', 'run.slog', side)
            self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
            recorded, replayed = (re.search(rf'{which}: (.*)', ran.stdout)[1] for which in ('recorded', 'replayed'))
            self.assertNotEqual(recorded, replayed, ran.stdout)
        self.bad('replay', 'run.slog', '--scheduler', 'sarathy', says=['sarathy', 'sarathi'])
        self.bad('replay', 'run.slog', '--eviction', 'fcfs', says=['fcfs', 'eviction'])

    def test_a_log_that_was_cut_off(self):
        self.logged()
        path = self.folder / 'run.slog'
        path.write_bytes(path.read_bytes()[:-1])
        self.assertIn('no end record', self.good('replay', 'run.slog'))

    def test_a_plugin_of_another_build(self):
        mine = self.folder / 'mine'
        shutil.copytree(stage.BUILD / 'plugins/schedulers/fcfs', mine, ignore=shutil.ignore_patterns('*.p'))
        self.logged('--set', f'policy.scheduler="{mine}"')
        with open(mine / 'fcfs.so', 'ab') as object_file:
            object_file.write(b'changed')
        manifest = mine / 'plugin.toml'
        manifest.write_text(re.sub(r'(?m)^sha256 = .*$', '', manifest.read_text()))
        self.bad('replay', 'run.slog', says=["scheduler 'fcfs' is not the build that wrote the log", 'sha256', '--any-build'])
        self.good('replay', 'run.slog', '--any-build')


class Plugin(stage.Case):
    def test_list_and_info(self):
        out = self.good('plugin', 'list', '--config', self.config())
        for kind, name in (('scheduler', 'fcfs'), ('scheduler', 'priority'), ('scheduler', 'sarathi'), ('scheduler', 'vtc'),
                           ('scheduler', 'lpm'), ('scheduler', 'dlpm'), ('eviction', 'lru'),
                           ('scheduler', 'token-bucket'), ('eviction', 'slru'), ('preemption', 'recompute'), ('preemption', 'swap'),
                           ('preemption', 'cost'), ('preemption', 'least-progress'), ('preemption', 'most-blocks'),
                           ('precision', 'native')):
            self.assertRegex(out, rf'(?m)^{kind} +{name} ')
        self.assertIn("scheduler 'sarathi'", self.good('plugin', 'info', 'sarathi', '--config', self.config()))
        out = self.good('plugin', 'info', str(stage.BUILD / 'plugins/allocators/eviction/slru'))
        for part in ("eviction 'slru'", 'manifest ', 'sha256 ', 'ABI ', 'option '):
            self.assertIn(part, out)

    def test_a_broken_manifest_is_listed_as_such(self):
        self.write('plugins/broken/plugin.toml', 'id = 3\n')
        ran = self.run_program('plugin', 'list', '--config', self.write('p.toml', f'[policy]\nsearch = ["{self.folder}/plugins"]\n'))
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stdout, r'(?m)^broken: .*plugins/broken/plugin.toml')

    def test_what_cannot_be_loaded_is_listed_as_such(self):
        for name, damage in (('gone', lambda o: o.unlink()), ('changed', lambda o: o.write_bytes(o.read_bytes() + b'more'))):
            to = self.folder / 'plugins' / name
            shutil.copytree(stage.BUILD / 'plugins/schedulers/fcfs', to, ignore=shutil.ignore_patterns('*.p'))
            manifest = to / 'plugin.toml'
            manifest.write_text(manifest.read_text().replace('id = "fcfs"', f'id = "{name}"', 1))
            damage(to / 'fcfs.so')
        ran = self.run_program('plugin', 'list', '--config', self.write('p.toml', f'[policy]\nsearch = ["{self.folder}/plugins"]\n'))
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stdout, r"(?m)^broken: scheduler 'gone': .*no such file")
        self.assertRegex(ran.stdout, r"(?m)^broken: scheduler 'changed': .*sha256 of fcfs.so")

    def test_the_list_keeps_its_columns(self):
        to = self.folder / 'plugins/mine'
        shutil.copytree(stage.BUILD / 'plugins/schedulers/fcfs', to, ignore=shutil.ignore_patterns('*.p'))
        manifest = to / 'plugin.toml'
        text = re.sub('(?m)^id = .*$', f'id = "{"long-" * 8}"', manifest.read_text(), count=1)
        manifest.write_text(re.sub('(?m)^summary = .*$', f'summary = "{"é and more " * 30}"', text))
        out = self.good('plugin', 'list', '--config', self.write('p.toml', f'[policy]\nsearch = ["{self.folder}/plugins", "{stage.BUILD}/plugins"]\n'))
        rows = out.splitlines()
        at = rows[0].index('folder')
        self.assertTrue(all(row[at - 1:at + 1] == ' /' for row in rows[1:]), out)

    def test_nothing_is_left_by_a_signal(self):
        temporary = self.folder / 'temporary'
        temporary.mkdir()
        environment = dict(os.environ, TMPDIR=str(temporary))
        running = subprocess.Popen([stage.PROGRAM, 'simulate', '--config', self.config(), '--set', 'workload.requests=100000000'],
                                   env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            maps = pathlib.Path(f'/proc/{running.pid}/maps')
            deadline = time.monotonic() + 60
            while '/memfd:fcfs.so' not in maps.read_text():
                self.assertIsNone(running.poll(), 'it ended by itself')
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            running.send_signal(signal.SIGTERM)
            self.assertNotEqual(running.wait(60), 0)
        finally:
            running.kill()
            running.wait()
        self.assertEqual(list(temporary.iterdir()), [])


class Help(stage.Case):
    OPTIONS = {'simulate': ['config', 'set', 'vary', 'swap', 'log', 'json', 'help'],
               'replay': ['log', 'any-build', 'scheduler', 'eviction', 'preemption', 'set', 'workload', 'help'],
               'plugin': ['action', 'name', 'config', 'help']}

    def test_the_program(self):
        for flag in ('--help', '-h', 'help'):
            out = self.good(flag)
            for command in self.OPTIONS:
                self.assertIn(command, out)
        self.assertRegex(self.good('--version'), r'^serveloop \d+\.\d+\.\d+\n$')
        self.assertEqual(self.run_program().returncode, 2)

    def test_every_command_documents_every_option(self):
        for command, options in self.OPTIONS.items():
            out = self.good(command, '--help')
            self.assertIn(f'usage: serveloop {command}', out)
            self.assertEqual(sorted(set(re.findall(r'(?m)^ +(?:-h \[ )?--([a-z-]+)', out))), sorted(options), command)
            for option in options:  # a text stands beside each
                self.assertRegex(out, rf'--{option}\b[^\n]*\s+\S+')
            self.assertIn('examples\n', out)
