"""generate, bench and serve --check, on a tiny model of drawn weights: token ids in and out."""
import json

import stage

TINY = {
    'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'vocab_size': 300, 'hidden_size': 32,
    'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'num_key_value_heads': 2,
    'max_position_embeddings': 256, 'rms_norm_eps': 1e-5, 'rope_theta': 10000.0, 'tie_word_embeddings': True,
}


class Model(stage.Case):
    def setUp(self):
        super().setUp()
        self.drawn = ['--model', self.write('a "quoted" model/config.json', json.dumps(TINY)), '--random-weights', '1']
        self.small = self.config('small.toml', executor='cpu')

    def test_generate_answers_alike_each_time(self):
        ask = ['generate', '--config', self.small, *self.drawn, '--tokens', '5,6,7', '--max-tokens', '9']
        ids = self.good(*ask).strip().split(',')
        self.assertEqual(len(ids), 9)
        self.assertTrue(all(int(i) < 300 for i in ids), ids)
        self.assertEqual(self.good(*ask, '--set', 'engine.threads=1', '--set', 'policy.scheduler=sarathi').strip().split(','), ids)
        drawn = [*ask, '--temperature', '1.5', '--seed', '3']
        self.assertEqual(self.good(*drawn), self.good(*drawn))
        self.assertNotEqual(self.good(*drawn).strip().split(','), ids)

    def test_generate_is_asked_wrongly(self):
        ask = ['generate', '--config', self.small, *self.drawn]
        self.bad(*ask, says=['--prompt', '--tokens'])
        self.bad(*ask, '--tokens', '5', '--prompt', 'x', says=['--tokens', 'both'])
        self.bad(*ask, '--prompt', 'x', says=['no vocabulary', '--tokens'])
        self.bad(*ask, '--tokens', '5,,6', says=['--tokens', 'commas', "''"])
        self.bad(*ask, '--tokens', '5,300', says=['prompt: ', 'below 300', 'found 300'])
        self.bad(*ask, '--tokens', ','.join(['5'] * 256), says=['prompt: ', 'at most 256', '256 + 1'])
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
                     r'precision +native'):
            self.assertRegex(text, line)
        self.assertFalse([p for p in self.folder.rglob('*.slog')])

    def test_a_model_that_does_not_fit_is_not_begun(self):
        huge = TINY | {'head_dim': 64, 'hidden_size': 131072, 'intermediate_size': 131072, 'num_hidden_layers': 512}
        model = ['--model', self.write('huge/config.json', json.dumps(huge)), '--random-weights', '1']
        for command in (['serve', '--check'], ['generate', '--tokens', '5']):
            self.bad(*command, '--config', self.small, *model, says=['does not fit into memory', 'weights of at most', 'MiB'])
