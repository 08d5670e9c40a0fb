"""What works: simulate, replay, plugin, and help that names every option."""
import json
import pathlib
import re
import shutil

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
            return [line for line in out.splitlines() if 'wall time' not in line]
        self.assertEqual(numbers(), numbers())

    def test_a_request_beyond_the_context_is_dropped_and_counted(self):
        self.write('big.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,100,10\n'
                              '2023-11-16 18:17:04.0319600,5000,8\n2023-11-16 18:17:05.0319600,50,8\n')
        out = self.good('simulate', '--config', self.config(workload='[workload]\ntrace = "big.csv"\nformat = "azure"\n'),
                        '--set', 'engine.context_tokens=1000')
        self.assertRegex(out, r'requests completed +2(\.0+)?\n')
        self.assertRegex(out, r'dropped \(empty, or beyond the context\) +1(\.0+)?\n')

    def test_swap(self):
        out = self.good('simulate', '--config', self.config(), '--swap', 'at=5,scheduler=sarathi', '--swap', 'at=9,eviction=slru',
                        '--swap', 'at=9,preemption=recompute')
        self.assertRegex(out, r'hot swaps +3(\.0+)?\n')

    def test_a_swap_may_carry_options(self):
        def steps(*more):
            out = self.good('simulate', '--config', self.config(), *more)
            return re.search(r'(?m)^steps .*', out)[0]
        small = steps('--swap', 'at=5,scheduler=sarathi,chunk_budget=16')
        self.assertNotEqual(small, steps('--swap', 'at=5,scheduler=sarathi,chunk_budget=256'))

    def test_an_option_may_be_set_below_a_name(self):
        def steps(*more):
            return re.search(r'(?m)^steps .*', self.good('simulate', '--config', self.config(), *more))[0]
        self.assertNotEqual(steps('--set', 'policy.scheduler=sarathi'),
                            steps('--set', 'policy.scheduler=sarathi', '--set', 'policy.scheduler.options.chunk_budget=16'))

    def test_a_swap_takes_the_configured_options(self):
        def steps(options, swap):
            path = self.config(extra=f'[policy.scheduler]\nplugin = "sarathi"\noptions = {options}\n')
            text = pathlib.Path(path).read_text().replace('scheduler = "fcfs"\n', '')
            out = self.good('simulate', '--config', self.write('run.toml', text), '--log', 'run.slog', '--swap', swap)
            self.assertIn(' decisions equal', self.good('replay', 'run.slog'))
            return re.search(r'(?m)^steps .*', out)[0]
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
                self.assertRegex(self.good('replay', 'run.slog'), r'^\d+ steps and \d+ decisions equal, in [\d.]+ s\n$')

    def test_another_scheduler(self):
        self.logged('--set', 'engine.token_budget=1024', '--set', 'workload.prompt={distribution="fixed",mean_tokens=700}')
        ran = self.run_program('replay', 'run.slog', '--scheduler', 'sarathi')
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertRegex(ran.stdout, r'^first difference at step \d+: plan\n  recorded: .*\n  replayed: .*\n  context: ')
        entries = [re.search(rf'{side}: \d+ entries: (?:(\d+) equal, )?\[(\d+)\] (.*?)(?: \[| \.\.\.|$)', ran.stdout, re.MULTILINE)
                   for side in ('recorded', 'replayed')]
        self.assertTrue(all(entries), ran.stdout)
        self.assertEqual(entries[0][2], entries[1][2], ran.stdout)
        self.assertNotEqual(entries[0][3], entries[1][3], 'the first entry shown is the first that differs')
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
        for kind, name in (('scheduler', 'fcfs'), ('scheduler', 'priority'), ('scheduler', 'sarathi'), ('eviction', 'lru'),
                           ('eviction', 'slru'), ('preemption', 'recompute'), ('precision', 'native')):
            self.assertRegex(out, rf'(?m)^{kind} +{name} ')
        self.assertIn("scheduler 'sarathi'", self.good('plugin', 'info', 'sarathi', '--config', self.config()))
        out = self.good('plugin', 'info', str(stage.BUILD / 'plugins/allocators/eviction/slru'))
        for part in ("eviction 'slru'", 'manifest ', 'sha256 ', 'ABI ', 'option '):
            self.assertIn(part, out)

    def test_a_broken_manifest_is_listed_as_such(self):
        self.write('plugins/broken/plugin.toml', 'id = 3\n')
        ran = self.run_program('plugin', 'list', '--config', self.write('p.toml', f'[policy]\nsearch = ["{self.folder}/plugins"]\n'))
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stdout, r'(?m)^broken .*plugins/broken/plugin.toml')


class Help(stage.Case):
    OPTIONS = {'simulate': ['config', 'set', 'swap', 'log', 'json', 'help'],
               'replay': ['log', 'any-build', 'scheduler', 'eviction', 'preemption', 'help'],
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
