#!/usr/bin/env python3
"""Every configuration that is shipped loads and runs, and every calibration with it.

usage: configs_test.py SOURCE_ROOT BUILD_ROOT
"""
import json
import pathlib
import sys
import tempfile
import tomllib

from checks import Checks, root, run

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
program = str(build / 'serveloop')
checks = Checks()


# What a configuration is there to show does happen in it.
SHOWS = {
    'simulate_host_memory.toml': ('blocks demoted to host memory', 'blocks brought back from there', 'sequences swapped out', '  swapped in',
                                  'time in transfer, %', 'time in policy, %'),
    'simulate_tenants.toml': ('time in policy, %',),
    'simulate_classes.toml': ('deadlines met, %',),
    'simulate_sessions.toml': ('sessions completed', 'prefix hit tokens, % of prompt'),
    'simulate_programs.toml': ('programs completed', 'program mean, ms', 'prefix hit tokens, % of prompt'),
    'simulate_shared_log.toml': ('prefix hit tokens, % of prompt',),
}


def simulate(config, *overrides):
    workload = tomllib.loads(config.read_text())['workload']
    chains = workload.get('source') in ('sessions', 'programs')
    few = 'limit=50' if 'trace' in workload else 'count=10' if chains else 'requests=50'
    command = [program, 'simulate', '--config', str(config), '--set', 'workload.' + few]
    for override in overrides:
        command += ['--set', override]
    done = run(command)
    what = f'{config.relative_to(top)} {" ".join(overrides)}: exit code {done.returncode}\n{done.stdout}'
    if checks.check(done.returncode == 0, what):
        rows = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) > 1)
        completed = float(rows.get('requests completed', 0))
        checks.check(completed > 10 if chains else completed == 50, what)
        for row in SHOWS.get(config.name, ()):
            checks.check(float(rows.get(row, 0)) > 0, f'{row} is 0 in {what}')


# A model's configuration runs on a tiny one with drawn weights, so that none need be fetched, and on the CPU: what it says
# of a GPU is checked where there is one.
TINY = {
    'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'vocab_size': 300, 'hidden_size': 32,
    'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'num_key_value_heads': 2,
    'max_position_embeddings': 8192, 'rms_norm_eps': 1e-5, 'rope_theta': 10000.0, 'tie_word_embeddings': True,
}


def run_model(config, folder):
    tiny = pathlib.Path(folder) / 'config.json'
    tiny.write_text(json.dumps(TINY))
    drawn = ['--config', str(config), '--model', str(tiny), '--random-weights', '1']
    if 'workload' in tomllib.loads(config.read_text()):
        command = [program, 'bench', *drawn, '--set', 'engine.executor=cpu', '--set', 'workload.requests=8', '--set', 'workload.rate_scale=50',
                   '--log', str(pathlib.Path(folder) / 'bench.slog')]
    else:
        command = [program, 'generate', *drawn, '--tokens', '5,6,7', '--max-tokens', '4']
    done = run(command)
    checks.check(done.returncode == 0, f'{config.relative_to(top)}: exit code {done.returncode}\n{done.stdout}')


# Results of experiments lie elsewhere than in the tree, and take a part of the requests of each workload, once.
def compare(experiment, folder):
    text, holds = experiment.read_text(), tomllib.loads(experiment.read_text())
    for workload in holds.get('workload', [holds['ab']]):
        base = experiment.parent / workload['base']
        source = tomllib.loads(base.read_text())['workload'].get('source', 'trace')
        short = pathlib.Path(folder) / f'{experiment.stem}.{base.stem}.toml'
        short.write_text(f'[ab]\nbase = "{base}"\n{text[text.index("[[arm]]"):]}')
        few = {'programs': 'count=20', 'sessions': 'count=20', 'synthetic': 'requests=600'}.get(source, 'limit=600')
        done = run([program, 'ab', str(short), '--set', f'workload.{few}'])
        what = f'{experiment.relative_to(top)} on {base.name}: exit code {done.returncode}\n{done.stdout}'
        if checks.check(done.returncode == 0, what):
            checks.check(len(list(short.with_suffix('.ab').glob('*.jsonl'))) == len(holds['arm']), what)


configs = sorted((top / 'configs').glob('*.toml'))
checks.check(configs, 'configs/ holds no configuration')
with tempfile.TemporaryDirectory() as folder:
    for config in configs:
        holds = tomllib.loads(config.read_text())
        if 'ab' in holds:
            compare(config, folder)
        elif holds['engine']['executor'] in ('cpu', 'cuda'):
            run_model(config, folder)
        else:
            simulate(config)
for calibration in sorted((top / 'configs' / 'calibrations').glob('*.toml')):
    simulate(top / 'configs' / 'simulate_fcfs.toml', f'simulated.calibration={calibration}')
checks.close()
