#!/usr/bin/env python3
"""The table of docs/policies.md from what `serveloop ab configs/ab_policies.toml --json FILE` wrote.

usage: policy_table.py FILE

Bold: better than the baseline, italic: worse, by the verdict of `ab`; plain: no difference found, or too little data.
"""
import json
import sys

COLUMNS = (('first token p50 / p90 / p99, ms', ('first_token_p50_ms', 'first_token_p90_ms', 'first_token_p99_ms')),
           ('time a token p50 / p90 / p99, ms', ('time_per_token_p50_ms', 'time_per_token_p90_ms', 'time_per_token_p99_ms')),
           ('longest gap p99, ms', ('longest_gap_p99_ms',)),
           ('end to end p50 / p90 / p99, s', ('end_to_end_p50_ms', 'end_to_end_p90_ms', 'end_to_end_p99_ms')),
           ('deadlines kept, %', ('goodput_percent',)), ('tokens/s', ('output_tokens_per_s',)),
           ('fairness, %', ('fairness_percent',)), ('preemptions a request', ('preemptions_per_request',)),
           ('recomputed tokens a request', ('recomputed_tokens_per_request',)), ('hit rate, %', ('prefix_hit_percent',)))


def shown(value, seconds):
    if value is None:
        return '-'
    value = value / 1000 if seconds else value
    return f'{value:,.0f}' if value >= 1000 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def cell(found, key, arm, seconds):
    metric = found[key]
    if arm is None:
        return shown(metric['baseline'], seconds)
    own = next(a for a in metric['arms'] if a['arm'] == arm)
    mark = {'better': '**', 'worse': '*'}.get(own['verdict'], '')
    return mark + shown(own['value'], seconds) + mark


report = json.load(open(sys.argv[1]))
metrics = {metric['key']: metric for metric in report['metrics']}
print('| policy | ' + ' | '.join(name for name, _ in COLUMNS) + ' |\n|' + '---|' * (len(COLUMNS) + 1))
for arm in report['arms']:
    name = None if arm['name'] == report['baseline'] else arm['name']
    cells = (' / '.join(cell(metrics, key, name, key.startswith('end_to_end')) for key in keys) for _, keys in COLUMNS)
    print(f"| `{arm['name']}` | " + ' | '.join(cells) + ' |')
