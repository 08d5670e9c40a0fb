"""generate, bench and serve --check, on a tiny model of drawn weights: token ids in and out."""
import csv
import json
import pathlib
import signal
import subprocess
import time
import tomllib
import unittest

import stage

TINY = {
    'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'vocab_size': 300, 'hidden_size': 32,
    'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'num_key_value_heads': 2,
    'max_position_embeddings': 256, 'rms_norm_eps': 1e-5, 'rope_theta': 10000.0, 'tie_word_embeddings': True,
}


class OnTiny(stage.Case):
    def setUp(self):
        super().setUp()
        self.drawn = ['--model', self.write('a "quoted" model/config.json', json.dumps(TINY)), '--random-weights', '1']
        self.small = self.config('small.toml', executor='cpu')


class Model(OnTiny):
    def test_generate_answers_alike_each_time(self):
        ask = ['generate', '--config', self.small, *self.drawn, '--tokens', '5,6,7', '--max-tokens', '9']
        ids = self.good(*ask).strip().split(',')
        self.assertEqual(len(ids), 9)
        self.assertTrue(all(int(i) < 300 for i in ids), ids)
        self.assertEqual(self.good(*ask, '--set', 'engine.threads=1', '--set', 'policy.scheduler=sarathi').strip().split(','), ids)
        drawn = [*ask, '--temperature', '1.5', '--seed', '3']
        self.assertEqual(self.good(*drawn), self.good(*drawn))
        self.assertNotEqual(self.good(*drawn).strip().split(','), ids)

    @unittest.skipIf(pathlib.Path('/proc/driver/nvidia').exists(), 'there is a GPU: tests/device runs on it')
    def test_a_gpu_that_is_not_there(self):
        drawn = ['--model', self.write('wide/config.json', json.dumps({**TINY, 'head_dim': 64})), '--random-weights', '1']
        for command in (['generate', '--tokens', '5'], ['serve', '--check']):
            self.bad(command[0], '--config', self.small, *drawn, *command[1:], '--set', 'engine.executor=cuda',
                     says=['engine.executor', 'cuda', 'CPU'])

    @unittest.skipIf(pathlib.Path('/proc/driver/nvidia').exists(), 'there is a GPU')
    def test_kernels_need_a_gpu_and_no_weights(self):
        shapes = self.write('wide/config.json', json.dumps({**TINY, 'head_dim': 64}))
        self.bad('bench', '--kernels', '--config', self.small, '--model', shapes, '--json', 'kernels.json', says=['GPU', 'found'])
        self.assertFalse((self.folder / 'kernels.json').exists())

    def test_kernels_is_asked_wrongly(self):
        ask = ['bench', '--kernels', '--config', self.small]
        self.bad(*ask, '--model', 'gone.gguf', says=['model.path', 'gone.gguf'])
        self.bad(*ask, *self.drawn, '--keys', '0', says=['--keys', '1 to', 'found 0'])
        self.bad(*ask, *self.drawn, '--json', self.small, says=['--json', 'which is the configuration'])
        self.bad('bench', '--kernels', says=['config'])

    def test_generate_is_asked_wrongly(self):
        ask = ['generate', '--config', self.small, *self.drawn]
        self.bad(*ask, says=['--prompt', '--tokens'])
        self.bad(*ask, '--tokens', '5', '--prompt', 'x', says=['--tokens', 'both'])
        self.bad(*ask, '--prompt', 'x', says=['no vocabulary', '--tokens'])
        self.bad(*ask, '--tokens', '5,,6', says=['--tokens', 'commas', "''"])
        self.bad(*ask, '--tokens', '5,300', says=['prompt: ', 'below 300', 'found 300'])
        self.bad(*ask, '--tokens', ','.join(['5'] * 256), says=['prompt: ', 'at most 256', '256 + 1'])
        self.bad(*ask, '--tokens', '5', '--temperature', 'hot', says=["--temperature: expected a number, found 'hot'"])
        for count in ('-1', '0', '4294967296'):
            self.bad(*ask, '--tokens', '5', '--max-tokens', count, says=['--max-tokens', '1 to 4294967295', f'found {count}'])
        self.bad(*ask, '--tokens', '5', '--temperature', '-1', says=['temperature', 'at least 0', '-1'])
        self.bad('generate', '--config', self.small, '--model', 'gone.gguf', '--tokens', '5', says=['model.path', 'gone.gguf'])
        self.bad('generate', '--config', self.small, *self.drawn[:2], '--tokens', '5', says=['random_weights = SEED'])

    def test_bench_leaves_its_log_which_replays(self):
        table = self.good('bench', '--config', self.small, *self.drawn, '--set', 'workload.rate_scale=50')
        self.assertRegex(table, r'requests completed +20')
        log = self.folder / 'small.slog'
        self.assertIn(f'step log: {log}', table)
        self.assertIn('equal', self.good('replay', str(log)))
        first = log.read_bytes()
        again = self.good('bench', '--config', self.small, *self.drawn, '--set', 'workload.rate_scale=50')
        self.assertIn(f'step log: {self.folder / "small-2.slog"}', again, 'no run takes the place of an earlier one')
        self.assertEqual(log.read_bytes(), first)
        named = self.folder / 'mine.slog'
        self.assertIn(str(named), self.good('bench', '--config', self.small, *self.drawn, '--log', str(named)))
        self.assertTrue(named.exists())

    def test_check_prints_the_memory_plan(self):
        text = self.good('serve', '--config', self.small, *self.drawn, '--check')
        for line in (r'model +a "quoted" model-random-1: llama, 2 layers', r'weights', r'KV pool', r'at once', r'scheduler +fcfs',
                     r'precision +native', r'context +256 tokens; the longest request 256\n',
                     r'sequences +at most 8 at once; 4 of 256 tokens, the longest\n'):
            self.assertRegex(text, line)
        text = self.good('serve', '--config', self.small, *self.drawn, '--check', '--set', 'engine.kv_blocks=2')
        self.assertIn('the longest request 33, which fills the KV pool\n', text)
        self.assertIn('1 of 33 tokens, the longest\n', text)
        self.assertFalse([p for p in self.folder.rglob('*.slog')])

    def test_a_model_that_does_not_fit_is_not_begun(self):
        huge = TINY | {'head_dim': 64, 'hidden_size': 131072, 'intermediate_size': 131072, 'num_hidden_layers': 512}
        model = ['--model', self.write('huge/config.json', json.dumps(huge)), '--random-weights', '1']
        for command in (['serve', '--check'], ['generate', '--tokens', '5']):
            self.bad(*command, '--config', self.small, *model, says=['does not fit into memory', 'weights of at most', 'MiB'])


class Calibrate(OnTiny):
    def setUp(self):
        super().setUp()
        self.calibrate = ['bench', '--calibrate', '--config', self.small, *self.drawn, '--rounds', '2']

    def simulate(self, calibration):
        table = self.good('simulate', '--config', self.config(), '--set', f'simulated.calibration={calibration}')
        self.assertRegex(table, r'requests completed +20')

    def test_calibrate_writes_what_simulate_reads(self):
        table = self.good(*self.calibrate, '--out', 'mine.toml', '--steps', 'steps.csv')
        for line in (r'(?m)^step_fixed_us +[\d.]+$', r'(?m)^overlap +[\d.]+$', r'(?m)^decode +\d+( +[+-]?[\d.]+ %){4}$', r'(?m)^all +\d+', 'calibration: mine.toml'):
            self.assertRegex(table, line)
        text = (self.folder / 'mine.toml').read_text()
        for part in ('#   serveloop bench --calibrate --config', r'# \d{4}-\d\d-\d\d; \d+ threads? on \d+ cores?, ', 'precision native'):
            self.assertRegex(text, part)
        comments = [line.removeprefix('#   ') for line in text.splitlines() if line.startswith('#   ')]
        self.assertEqual(comments[-5:], table.splitlines()[-7:-2])  # the residuals
        keys = tomllib.loads(text)
        self.assertEqual(keys['name'], 'mine')
        self.assertGreaterEqual(keys['kv_bytes_per_token'], 128)  # K and V of 2 layers, 2 heads of 8; kernels may pad
        self.assertEqual(keys['kv_memory'], f"{keys['kv_bytes_per_token']}KiB")  # of 64 blocks of 16
        self.assertGreater(keys['step_fixed_us'] + keys['decode_sequence_us'] + keys['decode_token_us'], 0)  # of one decode
        with open(self.folder / 'steps.csv', newline='') as file:
            steps = list(csv.DictReader(file))
        self.assertEqual({step['kind'] for step in steps}, {'decode', 'prefill', 'mixed'})
        self.assertTrue(keys['source'].endswith(f': {len(steps)} steps'), keys['source'])
        for step in steps:
            decodes, tokens = int(step['decodes']), int(step['prefill_tokens'])
            fixed = keys['step_fixed_us'] * 1e3
            rows = keys['prefill_token_us'] * 1e3 * tokens + keys['decode_token_us'] * 1e3 * decodes
            model = fixed + rows - keys['overlap'] * min(fixed, rows) + keys['decode_sequence_us'] * 1e3 * decodes + \
                keys['decode_context_ns'] * int(step['decode_context']) + keys['prefill_context_ns'] * float(step['prefill_pairs']) + \
                (keys['prefill_step_us'] * 1e3 if tokens else 0)
            self.assertAlmostEqual(int(step['model_ns']), model, delta=2)
        self.simulate('./mine.toml')

    def test_a_calibration_is_found_by_its_own_name_and_kept(self):
        (self.folder / 'calibrations').mkdir()
        self.good(*self.calibrate)
        [file] = (self.folder / 'calibrations').iterdir()
        self.assertRegex(file.name, r'^[a-z0-9._-]+-a-quoted-model-random-1-bf16-\d+-threads?\.toml$')
        self.simulate(file.stem)
        file.write_text('kept')
        again = self.run_program(*self.calibrate)
        self.assertEqual((again.returncode, again.stdout), (2, ''))
        self.assertIn('no such file yet', again.stderr.splitlines()[-1])
        self.assertEqual(file.read_text(), 'kept')
        self.good(*self.calibrate, '--force')
        self.assertIn('step_fixed_us', file.read_text())

    def test_calibrate_is_asked_wrongly(self):
        there = self.write('there.toml', 'kept')
        self.bad(*self.calibrate, '--out', there, says=['there.toml', 'no such file yet', '--force'])
        self.bad(*self.calibrate, '--out', 'gone/mine.toml', says=["cannot write 'gone/mine.toml'", 'No such file', "make the folder 'gone', or pass another --out"])
        no_model = [*self.calibrate[:4], '--model', 'gone.gguf', '--out', 'gone/mine.toml']
        self.bad(*no_model, says=['--model gone.gguf: ', 'none at'])
        self.bad('bench', '--config', self.small, '--model', 'gone.gguf', '--json', 'gone/x', says=['--model gone.gguf: ', 'none at'])
        self.bad(*self.calibrate, '--out', self.small, '--force', says=['a file that is not read', 'which is the configuration'])
        self.bad(*self.calibrate, '--out', 'a.toml', '--steps', 'a.toml', says=['--steps', 'which is also the calibration'])
        self.bad(*self.calibrate, says=['--out', 'calibrations'])
        self.bad(*self.calibrate[:-1], 'two', '--out', 'a.toml', says=["--rounds: expected a whole number of at most 9 digits, found 'two'"])
        for rounds in ('0', '1001'):
            self.bad(*self.calibrate[:-1], rounds, '--out', 'a.toml', says=['--rounds', '1 to 1000', f'found {rounds}'])
        self.bad('bench', '--calibrate', '--config', self.config(), '--out', 'a.toml', says=['engine.executor', 'cpu', "'simulated'"])
        self.assertEqual((self.folder / 'there.toml').read_text(), 'kept')

    def test_a_calibration_is_fitted_again_to_a_log(self):
        self.good('simulate', '--config', self.config(), '--log', 'run.slog')
        table = self.good('bench', '--calibrate', '--config', self.config(), '--from', 'run.slog', '--out', 'load.toml', '--steps', 'steps.csv')
        self.assertRegex(table, r'(?m)^all +\d+ +[+-]0\.00 % +0\.00 %')  # the simulated device follows the model
        self.assertRegex((self.folder / 'load.toml').read_text(), r'(?m)^# .*, its step costs fitted again to the steps of a log:$')
        with open(self.folder / 'steps.csv', newline='') as file:
            self.assertGreaterEqual(len(list(csv.DictReader(file))), 20)
        self.simulate('./load.toml')

    def refit(self, config, *more):
        return ['bench', '--calibrate', '--config', config, *more, '--out', 'a.toml', '--force']

    def test_a_log_of_another_device_or_model_is_refused(self):
        self.good('simulate', '--config', self.config(), '--log', 'simulated.slog')
        self.good('bench', '--config', self.small, *self.drawn, '--set', 'workload.rate_scale=50', '--set', 'workload.requests=100',
                  '--log', 'real.slog')
        seed_2 = [*self.drawn[:-1], '2']
        for log, config, more, says in (
                ('simulated.slog', self.small, self.drawn, ["engine.executor: expected a log of 'cpu'", "found one of 'simulated'"]),
                ('simulated.slog', self.config(), ['--set', 'simulated.calibration=cpu-smollm2-135m'],
                 ["simulated.calibration: expected a log of 'cpu-smollm2-135m', which the configuration names",
                  "found one of 'h100-llama3.1-8b'"]),
                ('real.slog', self.small, seed_2, ["model.path: expected a log of 'a \"quoted\" model-random-2'", 'model-random-1']),
                ('real.slog', self.small, [*self.drawn, '--set', 'policy.precision=f32'],
                 ["policy.precision: expected a log of 'f32'", "'native'"])):
            self.bad(*self.refit(config, *more, '--from', log),
                     says=[f'--from {log}: ', *says, 'name the configuration that the log was written with'])
        for config, more, says in ((self.small, [*self.drawn, '--set', 'engine.threads=1'],
                                    'it ran with engine.threads = 0, the configuration says 1'),
                                   (self.config(), [], 'it is of \'a "quoted" model-random-1\' on engine.executor = "cpu": see that \'h100-llama3.1-8b\'')):
            ran = self.run_program(*self.refit(config, *more, '--from', 'real.slog'))
            self.assertIn(f'serveloop: warning: --from real.slog: {says}', ran.stderr)
            self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_a_log_that_was_cut_short_is_used_with_a_warning(self):
        self.good('simulate', '--config', self.config(), '--log', 'run.slog')
        whole = (self.folder / 'run.slog').read_bytes()
        (self.folder / 'cut.slog').write_bytes(whole[:len(whole) - 60])
        ran = self.run_program(*self.refit(self.config(), '--from', 'cut.slog'))
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertRegex(ran.stderr, r'warning: --from cut\.slog: it was cut short, so its last steps are missing; the \d+ that are there are used')
        self.assertNotIn('cut short', self.run_program(*self.refit(self.config(), '--from', 'run.slog')).stderr)
        self.assertTrue(whole[6] > 127 > whole[7], 'the header record has a size of two bytes')
        (self.folder / 'cut.slog').write_bytes(whole[:8 + (whole[6] & 127) + whole[7] * 128 + 20])  # the header, and a bit of a step
        self.bad(*self.refit(self.config(), '--from', 'cut.slog'), says=[
            '--from cut.slog: steps of a log that was cut short: expected some in which something ran, found none'])
        (self.folder / 'cut.slog').write_bytes(whole[:100])
        self.bad(*self.refit(self.config(), '--from', 'cut.slog'), says=['--from cut.slog: damaged step log', 'the end of the file'])

    def test_a_log_with_too_few_steps_of_a_kind(self):
        def log(name, *more):
            self.good('simulate', '--config', self.config(), '--log', name, *more)
        log('one.slog', '--set', 'workload.requests=1', '--set', 'workload.output.min_tokens=60', '--set', 'workload.output.max_tokens=60')
        self.bad(*self.refit(self.config(), '--from', 'one.slog'), says=[
            '--from one.slog: steps that compute prompts: expected at least 5, found 1; log more requests'])
        log('prompts.slog', '--set', 'workload.output.min_tokens=1', '--set', 'workload.output.max_tokens=1')
        self.bad(*self.refit(self.config(), '--from', 'prompts.slog'), says=['--from prompts.slog: steps that decode: expected at least 5, found 0'])
        log('run.slog', '--set', 'workload.requests=10')
        ran = self.run_program(*self.refit(self.config(), '--from', 'one.slog', '--from', 'run.slog'))
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertRegex(ran.stderr, r'warning: --from one\.slog, run\.slog: only \d+ steps compute prompts: what is fitted to them is rough')

    def test_one_round_has_no_spread(self):
        table = self.good(*self.calibrate[:-1], '1', '--out', 'mine.toml')
        self.assertRegex(table, r'(?m)^all +\d+( +[+-]?[\d.]+ %){3} +-$')
        self.assertRegex((self.folder / 'mine.toml').read_text(), r'(?m)^#   all .* -$')

    def test_a_log_to_fit_to_is_named_wrongly(self):
        config = self.config()
        again = ['bench', '--calibrate', '--config', config, '--from']
        self.good('simulate', '--config', config, '--log', 'run.slog')
        self.bad(*again, 'run.slog', says=['--out', 'found none'])
        self.bad(*again, 'run.slog', '--out', 'a.toml', '--rounds', '2', says=['--rounds', 'no --from beside it'])
        self.bad(*again, 'gone.slog', '--out', 'a.toml', says=['gone.slog'])
        self.bad(*again, config, '--out', 'a.toml', says=[f'--from {config}: not a step log'])
        self.bad(*again, 'run.slog', '--out', 'run.slog', '--force', says=['a file that is not read', 'which is --from'])
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith('a.toml')], [])

    def test_too_small_an_engine_leaves_nothing(self):
        ran = self.run_program(*self.calibrate, '--out', 'a.toml', '--set', 'engine.context_tokens=3')
        self.assertEqual((ran.returncode, ran.stdout), (2, ''))
        self.assertIn('calibration: steps: expected at least 20, found 8', ran.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith('a.toml')], [])

    def test_an_interrupted_calibration_leaves_nothing(self):
        before = sorted(self.folder.rglob('*'))
        run = subprocess.Popen([stage.PROGRAM, *self.calibrate[:-1], '1000', '--out', 'a.toml'], cwd=self.folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while not list(self.folder.glob('a.toml.*')) and time.monotonic() < end:
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=120)
        self.assertEqual((run.returncode, out), (130, ''), errors)
        self.assertIn('nothing was written', errors)
        self.assertEqual(sorted(self.folder.rglob('*')), before)
