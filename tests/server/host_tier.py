"""The second KV tier as /metrics shows it: servers whose memory is too small for their load, with host memory and without."""
import unittest

import load
import stage

CLIENTS, EACH, BLOCKS = 8, 20, 72
STATES = ('used', 'cached', 'free', 'in_transit')
REFUSED, DECISIONS, SWAPPED = 'serveloop_host_refused_total', 'serveloop_decisions_total', 'serveloop_swapped_sequences_total'


def blind():
    """Policies that do not look whether there is room: each preemption is a swap, each eviction a demotion."""
    bad = stage.BUILD / 'tests/misbehaving'
    return ('--set', f'policy.preemption={{plugin="{bad}/bad-preemption",options={{mode="swap"}}}}',
            '--set', f'policy.eviction={{plugin="{bad}/bad-eviction",options={{mode="demote"}}}}')


class HostTier(unittest.TestCase):
    def under_load(self, counters, *arguments, seen=lambda metrics: True):
        """Metrics of an idle server behind a load under which each of the counters, given as sum()'s arguments, came to EACH,
        and `seen` was true of some metrics on the way. No answer was wrong."""
        with stage.Server(kv_blocks=BLOCKS, max_sequences=12, arguments=arguments) as server:
            running = load.of_server(server, load.kinds(40), CLIENTS).learn().start()
            was_seen = False

            def enough():
                nonlocal was_seen
                metrics = server.metrics()
                was_seen = was_seen or seen(metrics)
                return running.seen.wrong or was_seen and all(metrics.sum(name, **labels) >= EACH for name, labels in counters)
            try:
                stage.until(enough, 'what has to move')
            except AssertionError as error:
                counts = {f'{name} {labels}': server.metrics().sum(name, **labels) for name, labels in counters}
                raise AssertionError(f'{error}; came to {counts}, seen: {was_seen}') from None
            finally:
                after = running.stop()
            self.assertEqual((after.wrong[:3], after.refused), ([], 0))
            server.until_idle()
            metrics = server.metrics()
            self.assertEqual(metrics.sum('serveloop_fallbacks_total'), 0)
            return metrics

    def check_swaps(self, metrics, plugin):
        """Those that happened are counted as decisions to swap, those that could not as recomputes. Returns these, by reason."""
        kinds = {kind: metrics.sum(DECISIONS, plugin=plugin, decision=kind) for kind in ('swap', 'recompute')}
        self.assertEqual(kinds['swap'], metrics.get(SWAPPED, direction='out'))
        self.assertEqual(sum(kinds.values()), metrics.get('serveloop_preemptions_total'))
        return {reason: metrics.sum(DECISIONS, plugin=plugin, decision='recompute', reason=reason)
                for reason in ('host_full', 'no_host_tier')}

    def test_what_moved(self):
        counters = [(SWAPPED, {'direction': 'out'}), (SWAPPED, {'direction': 'in'}), ('serveloop_demoted_blocks_total', {}),
                    ('serveloop_brought_in_blocks_total', {}), ('serveloop_prefetched_blocks_total', {}),
                    ('serveloop_host_dropped_blocks_total', {})]
        totals = set()

        def in_transit(metrics):
            host = {state: metrics.get('serveloop_host_kv_blocks', state=state) for state in STATES}
            totals.add((metrics.sum('serveloop_kv_blocks'), sum(host.values())))
            return host['in_transit'] > 0 and metrics.get('serveloop_kv_blocks', state='in_transit') > 0
        metrics = self.under_load(counters, '--set', 'policy.preemption=swap', '--set', 'engine.host_kv_memory=256KiB',
                                  '--set', 'policy.eviction.options.ahead_share=0.1', seen=in_transit)
        (device, host), = totals  # whatever is where, none is missing
        self.assertEqual(device, BLOCKS)
        self.assertGreater(host, 0)
        self.check_swaps(metrics, 'swap')
        self.assertEqual(metrics.get(REFUSED, reason='no_host_tier'), 0)
        for state in ('used', 'in_transit'):
            self.assertEqual(metrics.get('serveloop_host_kv_blocks', state=state), 0, f'{state}, though nobody runs')
        self.assertGreater(metrics.get('serveloop_block_copies_total'),
                           metrics.get('serveloop_demoted_blocks_total') + metrics.get('serveloop_brought_in_blocks_total'))

    def test_what_found_no_room(self):
        metrics = self.under_load([(REFUSED, {'reason': 'host_full'}), (DECISIONS, {'decision': 'recompute', 'reason': 'host_full'})],
                                  *blind(), '--set', 'engine.host_kv_memory=64KiB')
        refused = self.check_swaps(metrics, 'bad-preemption')
        self.assertGreaterEqual(metrics.get(REFUSED, reason='host_full'), refused['host_full'])
        self.assertEqual((refused['no_host_tier'], metrics.get(REFUSED, reason='no_host_tier')), (0, 0))

    def test_without_host_memory(self):
        metrics = self.under_load([(DECISIONS, {'decision': 'recompute', 'reason': 'no_host_tier'})], *blind())
        refused = self.check_swaps(metrics, 'bad-preemption')
        self.assertEqual(refused, {'host_full': 0, 'no_host_tier': metrics.get('serveloop_preemptions_total')})
        self.assertEqual(metrics.get(REFUSED, reason='no_host_tier'),
                         refused['no_host_tier'] + metrics.get('serveloop_evicted_blocks_total'))
        for name in ('serveloop_host_kv_blocks', 'serveloop_demoted_blocks_total', 'serveloop_brought_in_blocks_total', SWAPPED,
                     'serveloop_block_copies_total'):
            self.assertEqual(metrics.sum(name), 0, name)
