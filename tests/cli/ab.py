"""serveloop ab: what it keeps, takes again and prints; what it refuses."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import stage

# Enough requests for a verdict, in a blink; categories make seeds matter where a policy reads priorities.
WORKLOAD = stage.SYNTHETIC.replace('requests = 20', 'requests = 400')
PROGRAMS = '''
[workload]
source = "programs"
rate_per_second = 60
count = 60
[workload.programs.agent]
stages = { mean = 3, cv = 1, max = 5 }
fan_out = { distribution = "uniform", min = 1, max = 2 }
prompt_tokens = { mean = 30, cv = 1, max = 60 }
output_tokens = { mean = 10, cv = 1, max = 30 }
tool_time_s = { distribution = "exponential", mean = 0.2 }
'''
ARMS = '''
[[arm]]
name = "plain"
[[arm]]
name = "small"
set = { "policy.scheduler" = { plugin = "sarathi", options = { chunk_budget = 32 } } }
'''


class Case(stage.Case):
    def experiment(self, ab='', arms=ARMS, name='x.toml', base='run.toml', workload=WORKLOAD, **more):
        """An experiment over a base of its own; `ab`: lines of [ab]."""
        self.config(base, workload=workload, **more)
        return self.write(name, f'[ab]\nbase = "{base}"\n{ab}\n{arms}')

    def results(self, folder='x.ab'):
        return sorted(path.name for path in (self.folder / folder).iterdir())

    def comparison(self, folder='x.ab'):
        return json.loads((self.folder / folder / 'comparison.json').read_text())


class Good(Case):
    def metric(self, comparison, key, arm):
        found = next(metric for metric in comparison['metrics'] if metric['key'] == key)
        return next(one for one in found['arms'] if one['arm'] == arm)

    def test_two_arms(self):
        out = self.good('ab', self.experiment('seeds = [4, 9]'))
        self.assertRegex(out.splitlines()[0], r'^ +plain +small$')
        self.assertRegex(out, r'(?m)^first token p50, ms +[\d.]+ +[\d.]+ +\+[\d.]+ % \[\+[\d.]+, \+[\d.]+\] +worse$')
        self.assertRegex(out, r'(?m)^800 requests in 2 repeats; differences from plain, with 95 % intervals over$')
        self.assertEqual(self.results(), ['comparison.json', 'plain.1.jsonl', 'plain.2.jsonl', 'small.1.jsonl', 'small.2.jsonl'])
        comparison = self.comparison()
        self.assertEqual([repeat['seed'] for repeat in comparison['repeats']], [4, 9])
        self.assertEqual([arm['outcomes']['completed'] for arm in comparison['arms']], [800, 800])
        self.assertEqual(comparison['arms'][1]['policies'][0], 'sarathi')
        self.assertEqual(self.metric(comparison, 'first_token_p50_ms', 'small')['verdict'], 'worse')
        self.assertEqual(self.metric(comparison, 'output_tokens_per_s', 'small')['why'], '2 streams of arrivals; 3 are needed')

    def test_a_run_is_that_of_simulate(self):
        """Each sequence is there, and the percentiles over them are those of simulate's table."""
        self.good('ab', self.experiment('seeds = [7]'))
        self.good('simulate', '--config', 'run.toml', '--set', 'workload.seed=7', '--json', 'run.json')
        run = json.loads((self.folder / 'run.json').read_text())[0]
        head, *rows, end = [json.loads(line) for line in (self.folder / 'x.ab/plain.1.jsonl').read_text().splitlines()]
        self.assertEqual((len(rows), end, head['seed'], head['outcomes'][0]), (400, 'end', 7, 'completed'))
        first = sorted(row[head['columns'].index('first_token_ns')] for row in rows)
        self.assertAlmostEqual(first[199] * 1e-6, run['first_token_p50_ms'], places=6)
        self.assertAlmostEqual(self.comparison()['metrics'][1]['baseline'], run['first_token_p50_ms'], places=6)
        differ = {key for key, value in head['figures'].items() if run[key] != value}
        self.assertLessEqual(differ, {'wall_seconds', 'host_us_per_step'})

    def test_what_is_done_is_taken_and_what_changed_runs_again(self):
        path = self.experiment('seeds = [1, 2]')
        self.good('ab', path)
        before = (self.folder / 'x.ab/comparison.json').read_bytes()
        stamps = {name: (self.folder / 'x.ab' / name).stat().st_mtime_ns for name in self.results() if name.endswith('.jsonl')}
        ran = self.run_program('ab', path)
        self.assertIn('reused of ', ran.stderr)
        self.assertIn(': plain.1.jsonl, small.1.jsonl, small.2.jsonl, plain.2.jsonl\n', ran.stderr)
        self.assertEqual((self.folder / 'x.ab/comparison.json').read_bytes(), before)
        self.assertEqual(stamps, {name: (self.folder / 'x.ab' / name).stat().st_mtime_ns for name in stamps})
        # One file cut, one arm changed, one seed added.
        cut = self.folder / 'x.ab/plain.2.jsonl'
        cut.write_bytes(cut.read_bytes()[:-20])
        ran = self.run_program('ab', self.experiment('seeds = [1, 2, 3]', ARMS.replace('32', '24')))
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn(': plain.1.jsonl\n', ran.stderr)
        self.assertIn('changed: small.1.jsonl, small.2.jsonl, plain.2.jsonl\n', ran.stderr)
        self.assertEqual(len(self.results()), 7)

    def test_another_build_of_a_plugin_or_trace_runs_again(self):
        plugin = shutil.copytree(stage.BUILD / 'plugins/schedulers/fcfs', self.folder / 'mine', ignore=shutil.ignore_patterns('*.p'))
        self.write('t.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n' + ''.join(
            f'2023-11-16 18:{minute:02}:{second:02}.0000000,50,5\n' for minute in range(3) for second in range(60)))
        arms = '[[arm]]\nname = "a"\n[[arm]]\nname = "b"\nset = { "policy.scheduler" = "./mine/fcfs.so" }\n'
        path = self.experiment(arms=arms, workload='[workload]\ntrace = "t.csv"\n')
        self.good('ab', path)
        self.assertIn(': a.1.jsonl, b.1.jsonl\n', self.run_program('ab', path, '--out', 'x.ab').stderr)
        manifest = pathlib.Path(plugin) / 'plugin.toml'
        manifest.write_text(re.sub(r'(?m)^sha256.*\n', '', manifest.read_text()))
        with open(pathlib.Path(plugin) / 'fcfs.so', 'ab') as file:
            file.write(b'\0')
        ran = self.run_program('ab', path)
        self.assertIn(': a.1.jsonl\n', ran.stderr)
        self.assertIn('changed: b.1.jsonl\n', ran.stderr)
        trace = self.folder / 't.csv'
        trace.write_text(trace.read_text() + '2023-11-16 18:03:00.0000000,50,5\n')
        self.assertIn('changed: a.1.jsonl, b.1.jsonl\n', self.run_program('ab', path).stderr)

    def test_an_arm_beside_itself(self):
        arms = '[[arm]]\nname = "a"\n[[arm]]\nname = "again"\n'
        self.good('ab', self.experiment('repeats = 3', arms))
        for metric in self.comparison()['metrics']:
            one = metric['arms'][0]
            if 'why' not in one:
                self.assertEqual((one['difference'], one['interval'], one['verdict']), (0, [0, 0], 'no difference found'))

    def test_a_seed_that_draws_nothing_is_no_repeat(self):
        self.write('t.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n' + ''.join(
            f'2023-11-16 18:{minute:02}:{second:02}.0000000,{50 + minute + second},5\n' for minute in range(3) for second in range(60)))
        trace = '[workload]\ntrace = "t.csv"\n'
        out = self.good('ab', self.experiment('repeats = 5', workload=trace))
        self.assertIn('180 requests in 1 repeat;', out)
        self.assertIn('\n1 of 5 repeats counts: ', out)
        self.assertNotIn('plain.3.jsonl', self.results())
        out = self.good('ab', self.experiment('windows = [[0, 60], [60, 120], [120, 180]]', workload=trace))
        self.assertIn('180 requests in 3 repeats;', out)
        self.assertEqual([repeat['window_s'] for repeat in self.comparison()['repeats']], [[0, 60], [60, 120], [120, 180]])

    def test_json(self):
        path = self.experiment('block_s = 0.5\nmetrics = ["end_to_end_mean_ms", "preemptions_per_request"]\nbaseline = "small"')
        out = self.good('ab', path, '--json', '-')
        self.assertEqual(out, (self.folder / 'x.ab/comparison.json').read_text())
        comparison = json.loads(out)
        self.assertEqual([metric['key'] for metric in comparison['metrics']], ['end_to_end_mean_ms', 'preemptions_per_request'])
        self.assertEqual(comparison['metrics'][0]['arms'][0]['arm'], 'plain')
        self.assertEqual(self.metric(comparison, 'end_to_end_mean_ms', 'plain')['verdict'], 'better')
        self.good('ab', path, '--json', 'out.json', '--out', 'elsewhere')
        self.assertEqual((self.folder / 'out.json').read_text(), out)
        self.assertEqual((self.folder / 'elsewhere/comparison.json').read_text(), out)

    def test_programs_are_paired_call_by_call(self):
        """Arms ask the calls in other orders; each stands beside itself, and lies where its program began."""
        arms = ARMS + '[[arm]]\nname = "plas"\nset = { "policy.scheduler" = "plas" }\n'
        out = self.good('ab', self.experiment('repeats = 3', arms, workload=PROGRAMS))
        self.assertNotIn('completed in plain alone', out)
        self.assertRegex(out, r'(?m)^program mean, ms +[\d.]+ +[\d.]+ ')
        runs = {}
        for arm in ('plain', 'plas'):
            head, *rows, _ = [json.loads(line) for line in (self.folder / f'x.ab/{arm}.1.jsonl').read_text().splitlines()]
            at = {name: head['columns'].index(name) for name in ('request', 'arrival_ns', 'begun_ns', 'prompt_tokens', 'output_tokens')}
            runs[arm] = [{name: row[i] for name, i in at.items()} for row in rows]
        for name, moved in (('request', False), ('begun_ns', False), ('prompt_tokens', False), ('output_tokens', False), ('arrival_ns', True)):
            self.assertEqual([row[name] for row in runs['plain']] != [row[name] for row in runs['plas']], moved, name)
        self.assertEqual(len({row['begun_ns'] for row in runs['plain']}), 60)
        orders = [[row['request'] for row in sorted(run, key=lambda row: row['arrival_ns'])] for run in runs.values()]
        self.assertNotEqual(*orders)
        arms = ARMS + '[[arm]]\nname = "other"\nset = { "engine.context_tokens" = 4000 }\n'
        self.bad('ab', self.experiment(arms=arms, workload=PROGRAMS), says=["arm 'other': engine.context_tokens: expected 131072, as in the first arm"])

    def test_several_workloads(self):
        self.config('run.toml', workload=WORKLOAD)
        self.config('agents.toml', workload=PROGRAMS)
        path = self.write('x.toml', '[ab]\nwarmup_s = 0.5\n[[workload]]\nbase = "run.toml"\nseeds = [4, 9]\n[[workload]]\nname = "programs"\n'
                          'base = "agents.toml"\nrepeats = 3\nwarmup_s = 0\n' + ARMS)
        out = self.good('ab', path, '--json', 'all.json')
        self.assertRegex(out, r'^== run\n\n +plain +small\n')
        self.assertRegex(out, r'(?m)\n\n== programs\n\n +plain +small\n')
        self.assertEqual(self.results(), ['programs', 'run'])
        found = json.loads((self.folder / 'all.json').read_text())
        self.assertEqual(list(found), ['run', 'programs'])
        self.assertEqual([(one['warmup_s'], len(one['repeats'])) for one in found.values()], [(0.5, 2), (0, 3)])
        for name, one in found.items():
            self.assertEqual(one, self.comparison(f'x.ab/{name}'))
        self.config('agents.toml', workload=PROGRAMS.replace('60', '61'))
        ran = self.run_program('ab', path)
        self.assertRegex(ran.stderr, r'(?s)reused of [^\n]*run: .*changed: plain.1.jsonl')

    def test_host_time_is_shown_where_it_is_asked_for(self):
        """It differs from run to run, so that equal results would not give equal bytes."""
        self.good('ab', self.experiment('repeats = 3'))
        self.assertNotIn('host_us_per_step', [metric['key'] for metric in self.comparison()['metrics']])
        self.good('ab', self.experiment('repeats = 3\nmetrics = ["host_us_per_step"]'))
        self.assertGreater(self.comparison()['metrics'][0]['baseline'], 0)

    def test_options_hold_for_all_arms(self):
        self.good('ab', self.experiment(), '--set', 'workload.requests=50', '--set', 'engine.lag=1')
        comparison = self.comparison()
        self.assertEqual(comparison['requests'], 50)
        self.assertEqual({metric['arms'][0].get('why', '').split(';')[0] for metric in comparison['metrics'] if '_p99' in metric['key']},
                         {'50 requests'})

    def test_a_bounded_intake_refuses_and_tells(self):
        arms = ''.join(f'[[arm]]\nname = "{name}"\nset = {{ "engine.max_waiting" = {most} }}\n' for name, most in (('wide', 1000), ('narrow', 20)))
        out = self.good('ab', self.experiment('block_s = 0.1', arms, workload=WORKLOAD.replace('50.0', '200.0')))
        found = re.search(r'(?m)^narrow: (\d+) requests completed in wide alone, 0 here alone \((\d+) rejected\)', out)
        self.assertTrue(found, out)
        self.assertEqual(found[1], found[2])
        self.assertRegex(out, r'(?m)^requests completed, % .* worse$')

    def test_an_ejection_is_a_negative_result(self):
        bad = stage.BUILD / 'tests/misbehaving/bad-scheduler'
        arms = f'[[arm]]\nname = "a"\n[[arm]]\nname = "bad"\nset = {{ "policy.scheduler" = "{bad}" }}\n'
        ran = self.run_program('ab', self.experiment(arms=arms))
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn('\nbad: 1 x a policy was ejected', ran.stdout)
        self.assertEqual(self.run_program('ab', self.experiment(arms=arms)).returncode, 1, 'also of kept results')

    def test_interrupted_and_gone_on_with(self):
        path = self.experiment('repeats = 4', workload=WORKLOAD.replace('requests = 400', 'requests = 2000'))
        self.good('ab', path, '--out', 'whole.ab')
        kept = 0
        for attempt in range(50):  # until an interrupt came between the first result and the last
            shutil.rmtree(self.folder / 'x.ab', ignore_errors=True)
            running = subprocess.Popen([stage.PROGRAM, 'ab', path], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(running.kill)
            while running.poll() is None and not list((self.folder / 'x.ab').glob('*.jsonl')):
                time.sleep(0.001)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=120)
            kept = len(list((self.folder / 'x.ab').glob('*.jsonl')))
            if 0 < kept < 8:
                break
        self.assertEqual(running.returncode, 130, err)
        self.assertEqual(out, '')
        self.assertRegex(err, rf'interrupted: {kept} of 8 runs are kept in .*x\.ab; the same command goes on from there\n')
        self.assertFalse((self.folder / 'x.ab/comparison.json').exists())
        self.assertEqual(list((self.folder / 'x.ab').glob('*.part')), [])
        ran = self.run_program('ab', path)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(len(re.search(r'reused of .*?: (.*)', ran.stderr)[1].split(', ')), kept)
        self.assertEqual((self.folder / 'x.ab/comparison.json').read_bytes(), (self.folder / 'whole.ab/comparison.json').read_bytes())
        for name in self.results():
            if name.endswith('.jsonl'):
                lines = [(self.folder / folder / name).read_text().splitlines()[1:] for folder in ('x.ab', 'whole.ab')]
                self.assertEqual(lines[0], lines[1], name)


class Bad(Case):
    def ab(self, path, *more, says):
        return self.bad('ab', path, *more, says=says)

    def test_the_file(self):
        self.ab(self.experiment('seed = [1]'), says=["x.toml:3:1: unknown key 'ab.seed'; did you mean 'seeds'?"])
        self.ab(str(self.folder / 'gone.toml'), says=['gone.toml: expected a readable file'])
        self.ab(self.write('x.toml', '[ab]\n'), says=['ab.base: expected the path of a configuration'])
        self.ab(self.write('x.toml', '[ab]\nbase = "gone.toml"\n' + ARMS), says=['gone.toml: expected a readable file'])
        self.ab(self.experiment('metrics = ["first_token_p95_ms"]'), says=["'first_token_p95_ms'", "did you mean 'first_token_p"])
        self.ab(self.experiment('windows = [[0, 10]]'), says=['x.toml: ab.windows: expected a base with a trace'])
        self.ab(self.experiment('seeds = [1]\nrepeats = 2'), says=['expected one of ab.seeds, ab.repeats and ab.windows, found ab.seeds', 'remove one of them'])
        self.ab(self.experiment('seeds = [1, 1]'), says=['ab.seeds: expected each seed once, found 1 twice'])

    def test_several_workloads(self):
        self.config('run.toml', workload=WORKLOAD)
        for head, more, says in (
                ('base = "run.toml"', 'base = "run.toml"', ['ab.base: expected none beside [[workload]]', 'state it in each [[workload]]']),
                ('', 'name = "a"', ['workload.0.base: expected the path of a configuration, found none']),
                ('', 'base = "run.toml"\n[[workload]]\nbase = "run.toml"', ["workload.1.name: expected a name of its own, found 'run' twice"]),
                ('', 'base = "run.toml"\nname = "a/b"', ["workload.0.name: expected up to 40", "'a/b'"]),
                ('', 'base = "run.toml"\nseeds = [1]\nrepeats = 2', ['expected one of workload.0.seeds, workload.0.repeats and workload.0.windows, found workload.0.seeds']),
                ('', 'base = "run.toml"\nwindows = [[0, 1]]', ['run.windows: expected a base with a trace'])):
            self.ab(self.write('x.toml', f'[ab]\n{head}\n[[workload]]\n{more}\n{ARMS}'), says=says)

    def test_an_arm_of_other_requests(self):
        for key in ('workload.seed', 'workload.rate_scale'):
            arms = ARMS + f'[[arm]]\nname = "other"\nset = {{ "{key}" = 2 }}\n'
            self.ab(self.experiment(arms=arms), says=[f"x.toml:12:9: arm 'other' sets {key}: expected the base's workload"])
        arms = ARMS + '[[arm]]\nname = "other"\nset = { "engine.context_tokens" = 40 }\n'
        self.ab(self.experiment(arms=arms), says=["x.toml:10:1: arm 'other': engine.context_tokens: expected one that drops the same requests"])

    def test_a_mistake_of_the_base_is_the_bases(self):
        path = self.experiment(extra='[engin]\n')
        line = self.ab(path, says=['run.toml:', "unknown key 'engin'"])
        self.assertNotIn('arm', line)
        self.ab(self.experiment(workload=''), says=['run.toml: workload: expected trace'])
        self.ab(self.experiment(), '--set', 'engine.lagg=1', says=['--set', "did you mean 'lag'?"])

    def test_a_mistake_of_an_arm_names_it(self):
        """All arms are checked before the first one runs."""
        for value, more in (('"engine.lag" = 7', '--set engine.lag=7: expected 0 to 1, found integer 7'),
                            ('"policy.scheduler" = "sarathy"', "scheduler 'sarathy' not found"),
                            ('"policy.eviction" = { plugin = "lru", options = { ages = 1 } }', 'ages'),
                            ('"simulated.calibration" = "./gone.toml"', f'none at {self.folder}/gone.toml'),
                            ('"engine.kv_blocks" = 3', 'at most 3 blocks'),
                            ('"engine.lagg" = 1', "did you mean 'lag'?")):
            arms = ARMS + f'[[arm]]\nname = "last"\nset = {{ {value} }}\n'
            self.ab(self.experiment(arms=arms), says=["x.toml:10:1: arm 'last': ", more])

    def test_real_and_virtual_time_do_not_mix(self):
        model = json.dumps({'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'vocab_size': 300,
                            'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 1, 'num_attention_heads': 4,
                            'num_key_value_heads': 2, 'max_position_embeddings': 512, 'rms_norm_eps': 1e-5, 'rope_theta': 10000.0,
                            'tie_word_embeddings': True})
        self.write('config.json', model)
        arms = ARMS + '[[arm]]\nname = "cpu"\nset = { "engine.executor" = "cpu", "model.path" = "config.json", "model.random_weights" = 1 }\n'
        path = self.experiment(arms=arms)
        ran = self.run_program('ab', path)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("arm 'cpu': engine.executor: expected virtual time, as in the first arm, found 'cpu'", ran.stderr)
        self.assertFalse((self.folder / 'x.ab').exists())

    def test_files_that_are_read_are_not_written(self):
        self.ab(self.experiment(), '--json', 'run.toml', says=['--json: expected a file that is not read'])
        self.ab(self.experiment(), '--json', 'no/such/x.json', says=['no/such'])
        self.write('taken', '')
        self.ab(self.experiment(), '--out', 'taken', says=["cannot make the folder 'taken'", 'pass another --out'])

    def test_results_that_cannot_be_compared(self):
        path = self.experiment('warmup_s = 100000')
        ran = self.run_program('ab', path)
        self.assertEqual(ran.returncode, 2)
        self.assertIn('x.toml: ab.warmup_s: expected requests that arrive after it, found none in repeat 1', ran.stderr)


class RealTime(Case):
    def test_the_cpu_takes_arms_in_turn(self):
        model = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'vocab_size': 300, 'hidden_size': 32,
                 'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'num_key_value_heads': 2,
                 'max_position_embeddings': 512, 'rms_norm_eps': 1e-5, 'rope_theta': 10000.0, 'tie_word_embeddings': True}
        self.write('config.json', json.dumps(model))
        path = self.experiment('repeats = 3', workload=stage.SYNTHETIC.replace('requests = 20', 'requests = 60'), executor='cpu')
        out = self.good('ab', path, '--model', 'config.json', '--random-weights', '1')
        self.assertIn("no narrower than by Student's t over the repeats", out)
        comparison = self.comparison()
        self.assertTrue(comparison['real_time'])
        self.assertEqual([arm['outcomes']['completed'] for arm in comparison['arms']], [180, 180])
        times = [(self.folder / 'x.ab' / name).stat().st_mtime_ns for name in
                 ('plain.1.jsonl', 'small.1.jsonl', 'small.2.jsonl', 'plain.2.jsonl', 'small.3.jsonl', 'plain.3.jsonl')]
        self.assertEqual(times, sorted(times))
        ran = self.run_program('ab', path, '--model', 'config.json', '--random-weights', '1')
        self.assertIn('reused of ', ran.stderr)
