#!/usr/bin/env python3
"""The tables of docs/policies.md from what `serveloop ab configs/ab_policies.toml --json FILE` wrote, one a workload.

usage: policy_table.py FILE

Bold: better than the baseline, italic: worse, by the verdict of `ab`; plain: no difference found, or too little data. Columns that
say nothing on a workload are left out.
"""
import json
import sys

COLUMNS = (('first token p50 / p90 / p99, ms', ('first_token_p50_ms', 'first_token_p90_ms', 'first_token_p99_ms')),
           ('time a token p50 / p90 / p99, ms', ('time_per_token_p50_ms', 'time_per_token_p90_ms', 'time_per_token_p99_ms')),
           ('longest gap p99, ms', ('longest_gap_p99_ms',)),
           ('end to end p50 / p90 / p99, s', ('end_to_end_p50_ms', 'end_to_end_p90_ms', 'end_to_end_p99_ms')),
           ('program mean / p99, s', ('program_mean_ms', 'program_p99_ms')),
           ('completed, %', ('completed_percent',)), ('deadlines kept, %', ('goodput_percent',)), ('tokens/s', ('output_tokens_per_s',)),
           ('fairness, %', ('fairness_percent',)), ('preemptions a request', ('preemptions_per_request',)),
           ('recomputed tokens a request', ('recomputed_tokens_per_request',)), ('hit rate, %', ('prefix_hit_percent',)),
           ('host µs a step', ('host_us_per_step',)))
SECONDS = ('end_to_end', 'program')


def shown(value, seconds):
    if value is None:
        return '-'
    value = value / 1000 if seconds else value
    return f'{value:,.0f}' if value >= 1000 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def found(metric, arm):
    """Value and verdict of an arm, of the baseline without one."""
    own = next((one for one in metric['arms'] if one['arm'] == arm), None)
    return (metric['baseline'], '') if own is None else (own['value'], own['verdict'])


def cell(metric, arm):
    value, verdict = found(metric, arm)
    mark = {'better': '**', 'worse': '*'}.get(verdict, '')
    return mark + shown(value, metric['key'].startswith(SECONDS)) + mark


def says_nothing(metric, arms):
    values = {found(metric, arm)[0] for arm in arms}
    return values == {None} or (len(values) == 1 and metric['key'] == 'completed_percent')


def table(report):
    metrics = {metric['key']: metric for metric in report['metrics']}
    arms = [arm['name'] for arm in report['arms']]
    columns = [(name, keys) for name, keys in COLUMNS if all(key in metrics and not says_nothing(metrics[key], arms) for key in keys)]
    print('| policy | ' + ' | '.join(name for name, _ in columns) + ' |\n|' + '---|' * (len(columns) + 1))
    for arm in arms:
        print(f'| `{arm}` | ' + ' | '.join(' / '.join(cell(metrics[key], arm) for key in keys) for _, keys in columns) + ' |')


for workload, report in json.load(open(sys.argv[1])).items():
    print(f'\n### {workload}\n')
    table(report)
