"""The second KV tier as the command line shows it: rows of the tables, the line of --check, sizes that are refused."""
import json
import pathlib
import re

import models
import stage

# Too much for 64 blocks, so that sequences yield, and distinct prompts that leave cached blocks behind.
PRESSING = stage.SYNTHETIC.replace('min_tokens = 8, max_tokens = 60', 'min_tokens = 100, max_tokens = 300') \
                          .replace('min_tokens = 2, max_tokens = 20', 'min_tokens = 100, max_tokens = 200')
ROWS = {'blocks demoted to host memory': 'demoted_blocks', 'blocks brought back from there': 'brought_in_blocks',
        '  of them by prefetch': 'prefetched_blocks',
        'blocks dropped from there': 'host_dropped_blocks', 'blocks in transit at once, most': 'most_in_transit_blocks',
        'failed copies of blocks': 'failed_block_copies', 'moves refused, host memory full': 'host_full',
        'moves refused, no host memory': 'no_host_tier', 'sequences swapped out': 'swapped_out',
        '  their blocks that moved': 'swapped_out_blocks', '  swapped in': 'swapped_in',
        '  lost, so computed again': 'copies_lost'}
BLOCK_MIB = 2  # of the 8B model's calibration: 16 tokens of 131,072 bytes


def once(pairs):
    """An object without a name that stands there twice."""
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return dict(pairs)


def blind():
    bad = stage.BUILD / 'tests/misbehaving'
    return ('--set', f'policy.preemption={{plugin="{bad}/bad-preemption",options={{mode="swap"}}}}',
            '--set', f'policy.eviction={{plugin="{bad}/bad-eviction",options={{mode="demote"}}}}')


class Tables(stage.Case):
    def simulate(self, *more):
        """The rows of the tier that the table has, and all of them from its JSON."""
        table = self.good('simulate', '--config', self.config(workload=PRESSING), '--set', 'engine.max_sequences=16',
                          '--set', 'policy.preemption=swap', *more, '--json', 'out.json')
        self.assertNotIn('fallback answered', table)
        run, = json.loads((self.folder / 'out.json').read_text(), object_pairs_hook=once)
        shown = {label: float(found[1]) for label in ROWS if (found := re.search(rf'(?m)^{re.escape(label)} +([\d.]+)$', table))}
        self.assertRegex(table, r'requests completed +20\n')
        for label, key in ROWS.items():
            self.assertEqual(shown.get(label, 0), run[key], label)
        return shown, run

    def test_what_moved_has_rows_where_something_did(self):
        room = ('--set', f'engine.host_kv_memory={20 * BLOCK_MIB}MiB', '--set', 'policy.eviction.options.ahead_share=0.1')
        shown, run = self.simulate(*room)
        self.assertLessEqual({'blocks demoted to host memory', 'blocks brought back from there', 'blocks dropped from there',
                              'blocks in transit at once, most', 'sequences swapped out', '  their blocks that moved',
                              '  swapped in'}, set(shown))
        self.assertGreaterEqual(run['swapped_out_blocks'], run['swapped_out'])
        self.assertTrue(all(count > 0 for count in shown.values()), shown)
        self.assertLessEqual({'failed copies of blocks', 'moves refused, no host memory'}, set(ROWS) - set(shown))
        self.assertLessEqual(run['swapped_in'], run['swapped_out'])
        self.assertLessEqual(run['host_dropped_blocks'], run['demoted_blocks'] + run['brought_in_blocks'] + 64)

    def test_moves_that_find_no_room(self):
        """Asked for by policies that do not look whether there is any: each preemption is a swap, each eviction a demotion."""
        shown, run = self.simulate(*blind(), '--set', f'engine.host_kv_memory={4 * BLOCK_MIB}MiB')
        self.assertGreater(shown['moves refused, host memory full'], 0)
        self.assertLessEqual(run['most_in_transit_blocks'], 8)  # 4 on their way there at most, and 4 back
        shown, run = self.simulate(*blind())
        self.assertEqual(shown, {'moves refused, no host memory': run['preemptions'] + run['evicted_blocks']})
        self.assertTrue(run['preemptions'] and run['evicted_blocks'], run)
        shown, _ = self.simulate()
        self.assertEqual(shown, {}, 'the shipped ones do look')

    def test_how_each_yielded(self):
        """One row under the preemptions for each way and reason; --json has them by policy too."""
        table = self.good('simulate', '--config', self.config(workload=PRESSING), '--set', 'engine.max_sequences=16',
                          '--vary', 'policy.preemption=swap', '--vary', 'policy.preemption=recompute',
                          '--set', f'engine.host_kv_memory={20 * BLOCK_MIB}MiB', '--json', 'out.json')
        swap, recompute = json.loads((self.folder / 'out.json').read_text())
        rows = re.findall(r'(?m)^  (recompute|swap|keep): (\S+) +(\d+) +(\d+)$', table)
        self.assertIn('swap.cannot_swap', [reason for _, reason, _, _ in rows], table)
        for column, run in enumerate((swap, recompute)):
            self.assertEqual(sum(int(row[2 + column]) for row in rows), run['preemptions'])
            yields = {(d['decision'], d['reason']): d['count'] for d in run['decisions'] if d['decision'] in ('recompute', 'swap')}
            self.assertEqual({row[:2]: int(row[2 + column]) for row in rows if row[2 + column] != '0'}, yields)
        self.assertEqual(sum(d['count'] for d in swap['decisions'] if d['decision'] == 'swap'), swap['swapped_out'])
        self.assertEqual({d['plugin'] for d in recompute['decisions']}, {'fcfs', 'lru', 'recompute'})

    def test_whom_a_gate_held_and_rejected(self):
        gate = self.config(workload=PRESSING)
        table = self.good('simulate', '--config', gate, '--set', 'policy.gates=["token-bucket"]', '--set',
                          'policy.gate.token-bucket={plugin="token-bucket",options={rate=500,burst=350}}', '--json', 'out.json')
        run, = json.loads((self.folder / 'out.json').read_text())
        rejected = re.search(r'(?m)^rejected by a policy: token-bucket.larger_than_burst +(\d+)$', table)
        self.assertEqual(int(rejected[1]), run['rejected'])
        self.assertRegex(table, r'(?m)^held by a policy: token-bucket.over_rate +[1-9]')

    def test_an_engine_that_moves_nothing_has_no_such_row(self):
        shown, _ = self.simulate('--set', f'engine.host_kv_memory={20 * BLOCK_MIB}MiB', '--set', 'engine.kv_blocks=1024')
        self.assertEqual(shown, {})


class Sizes(stage.Case):
    def refused(self, size, *says):
        self.bad('simulate', '--config', self.config(), '--set', f'engine.host_kv_memory={size}',
                 says=[f'serveloop: --set engine.host_kv_memory={size}: expected ', *says])

    def test_a_size_that_is_none(self):
        form = 'bytes, at least 0, or a size such as "4GiB"'
        self.refused('-1', form, 'found integer -1')
        self.refused('-8GiB', form, "found string '-8GiB'")
        self.refused('much', "found string 'much'")

    def test_less_than_a_block_and_more_than_any(self):
        block = BLOCK_MIB << 20
        self.refused(block - 1, f'0, or at least {BLOCK_MIB} MiB, a block of 16 tokens, found {block - 1} B')
        self.good('simulate', '--config', self.config(), '--set', f'engine.host_kv_memory={block}')
        self.refused('200TiB', f'at most 100000000 blocks of {BLOCK_MIB} MiB, found 200 TiB')

    def test_the_file_is_blamed_for_its_own(self):
        text = pathlib.Path(self.config()).read_text()
        path = self.write('run.toml', text.replace('kv_blocks = 64', 'kv_blocks = 64\nhost_kv_memory = "1MiB"'))
        self.bad('simulate', '--config', path, says=['run.toml:5:1: engine.host_kv_memory: expected 0, or at least 2 MiB'])


class OnAModel(models.OnTiny):
    def check(self, *more):
        return self.good('serve', '--config', self.small, *self.drawn, '--check', *more)

    def test_check_has_a_line_for_it(self):
        self.assertNotIn('host tier', self.check())
        pool = re.search(r'(?m)^KV pool +([\d.]+) MiB: 64 blocks of 16 tokens, (\d+) bytes a token$', self.check())
        host = re.search(r'(?m)^host tier +([\d.]+) MiB: (\d+) blocks$', self.check('--set', 'engine.host_kv_memory=3MiB'))
        self.assertTrue(pool and host)
        block = 16 * int(pool[2])
        self.assertEqual(int(host[2]), (3 << 20) // block)
        self.assertEqual(host[1], f'{int(host[2]) * block / 2**20:.1f}')

    def test_bench_has_the_rows(self):
        config = self.config('small.toml', executor='cpu', workload=PRESSING.replace('requests = 20', 'requests = 12')
                             .replace('max_tokens = 300', 'max_tokens = 120').replace('max_tokens = 200', 'max_tokens = 120'))
        table = self.good('bench', '--config', config, *self.drawn, '--set', 'engine.host_kv_memory=1MiB', '--set', 'engine.kv_blocks=40',
                          '--set', 'policy.preemption=swap', '--set', 'workload.rate_scale=50')
        for label in ('blocks in transit at once, most', 'sequences swapped out', '  swapped in'):
            self.assertRegex(table, rf'(?m)^{label} +[1-9]')

    def test_less_than_a_block(self):
        self.bad('serve', '--check', '--config', self.small, *self.drawn, '--set', 'engine.host_kv_memory=100',
                 says=['serveloop: --set engine.host_kv_memory=100: expected 0, or at least 3 KiB, a block of 16 tokens, found 100 B'])

    def test_more_than_this_machine_has(self):
        """Nothing of it is taken before that is known. Large blocks, so that there are not too many."""
        for command in (['serve', '--check'], ['generate', '--tokens', '5']):
            self.bad(*command, '--config', self.small, *self.drawn, '--set', 'engine.block_tokens=4096', '--set', 'engine.host_kv_memory=40TiB',
                     says=['serveloop: --set engine.host_kv_memory=40TiB: expected at most', 'MiB, which memory has left beside a KV pool of ',
                           'MiB, found 41943'])
