"""Each kind of bad input: one clear line, exit code 2, nothing half started."""
import pathlib
import shutil
import subprocess

import stage


class Simulate(stage.Case):
    def simulate(self, config, *more, says):
        """Once alone, once as the second of two configurations; each time with a log or a JSON file asked for."""
        line = self.bad('simulate', '--config', config, '--log', str(self.folder / 'run.slog'), *more, says=says)
        good = self.config('good.toml')
        self.bad('simulate', '--config', good, '--config', config, '--json', str(self.folder / 'out.json'), *more, says=says)
        return line

    def test_unknown_key_names_the_nearest(self):
        self.simulate(self.config(extra='[observe]\nlogg = "x"\n'), says=["unknown key 'observe.logg'", "did you mean 'log'?"])

    def test_unknown_key_in_set(self):
        self.simulate(self.config(), '--set', 'engine.lagg=1', says=['--set', "did you mean 'lag'?"])

    def test_wrong_type(self):
        self.simulate(self.config(extra='[server]\nport = "x"\n'), says=['run.toml:', "server.port: expected an integer, found string 'x'"])

    def test_broken_toml(self):
        self.simulate(self.write('broken.toml', '[engine\n'), says=['broken.toml:1'])

    def test_missing_configuration(self):
        self.simulate(str(self.folder / 'missing.toml'), says=['missing.toml'])

    def test_missing_plugin_lists_what_is_there(self):
        self.simulate(self.config(), '--set', 'policy.scheduler="sarathy"',
                      says=['sarathy', 'fcfs', 'priority', 'sarathi', str(stage.BUILD / 'plugins')])

    def test_wrong_kind(self):
        self.simulate(self.config(), '--set', 'policy.scheduler="lru"', says=['lru', 'scheduler', 'eviction'])

    def test_unknown_option_of_a_plugin(self):
        self.simulate(self.config(), '--set', 'policy.eviction={plugin="lru",options={ages=1}}', says=['ages'])

    def test_missing_trace(self):
        workload = '[workload]\ntrace = "gone.csv"\nformat = "azure"\n'
        self.simulate(self.config(workload=workload), says=[
            'run.toml:', ': workload.trace: expected a file that can be read, found none at ', 'gone.csv',
            "a relative path counts from the configuration's folder, " + str(self.folder)])
        self.bad('simulate', '--config', self.config(workload=workload), '--set', 'workload.trace=other.csv',
                 says=['serveloop: --set workload.trace=other.csv: expected', 'none at', 'the working directory'])

    def test_an_error_of_the_engine_names_the_file_that_it_is_of(self):
        def changed(old, new):
            return self.write('run.toml', pathlib.Path(self.config()).read_text().replace(old, new))
        self.simulate(changed('kv_blocks = 64', 'block_tokens = 12'), says=['run.toml:4:1: engine.block_tokens: expected a power of two'])
        self.simulate(changed('kv_blocks = 64', 'kv_memory = 1'), says=['run.toml:4:1: engine.kv_memory: expected a KV pool of 1 to 100000000'])
        self.simulate(changed('"fcfs"', '"sarathy"'), says=["run.toml:11:1: policy.scheduler: scheduler 'sarathy' not found"])
        self.simulate(changed('h100-llama3.1-8b.toml', 'gone.toml'), says=['run.toml:14:1: simulated.calibration: expected'])
        self.simulate(changed('source = "synthetic"', 'source = "trace"'), says=['run.toml:', 'workload.rate_per_second'])
        self.simulate(self.config(workload=''), says=['run.toml: workload: expected trace'])

    def test_an_option_is_blamed_for_its_value(self):
        for option, more in (('engine.block_tokens=12', 'expected a power of two'), ('engine.kv_memory=1', 'expected a KV pool'),
                             ('policy.scheduler=sarathy', "scheduler 'sarathy' not found"), ('policy.scheduler=', 'policy.scheduler'),
                             ('policy.eviction={plugin="lru",options={ages=1}}', 'options.ages'), ('engine.lag=7', 'expected 0 to 1')):
            self.bad('simulate', '--config', self.config(), '--set', option, says=[f'serveloop: --set {option}: {more}'])
        self.bad('simulate', '--config', self.config(), '--vary', 'engine.lag=0', '--vary', 'engine.lag=7',
                 says=['serveloop: --vary engine.lag=7: expected 0 to 1'])
        self.bad('simulate', '--config', self.config(), '--vary', 'engine.lag=0', '--vary', 'engine.lag=1', '--log', 'x.slog',
                 says=['--log: expected one run, found 2'])
        self.bad('simulate', '--config', self.config(), '--log', 'no/such/x.slog', says=['serveloop: --log no/such/x.slog: '])
        self.bad('simulate', '--config', self.config(), '--swap', 'at=3,scheduler=sarathy', says=['serveloop: --swap at=3,scheduler=sarathy: '])

    def test_contiguous_kv_is_for_simulations_without_a_cache(self):
        def refused(*more, says, **config):
            sets = [word for one in more for word in ('--set', one)]
            self.bad('simulate', '--config', self.config(**config), *sets, says=['engine.kv_reservation', *says])
        refused('engine.kv_reservation=contiguous', says=['paged', 'contiguous_max', 'contiguous_power_of_two', 'contiguous_exact'])
        for how in ('contiguous_max', 'contiguous_power_of_two', 'contiguous_exact'):
            refused(f'engine.kv_reservation={how}', says=['engine.prefix_cache = false'])
            refused(f'engine.kv_reservation={how}', 'engine.prefix_cache=false', 'engine.host_kv_memory=1GiB', says=['engine.host_kv_memory = 0'])
            refused(f'engine.kv_reservation={how}', 'engine.prefix_cache=false', executor='hash', says=["'hash'", 'engine.executor = "simulated"'])
            self.good('simulate', '--config', self.config(), '--set', f'engine.kv_reservation={how}', '--set', 'engine.prefix_cache=false',
                      '--set', 'engine.context_tokens=128')

    def test_a_file_of_a_plugin_is_a_path_only_with_a_slash(self):
        shutil.copytree(stage.BUILD / 'plugins/schedulers/fcfs', self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns('*.p'))
        self.bad('simulate', '--config', self.config(), '--set', 'policy.scheduler=fcfs.so', says=["write './fcfs.so'"])
        self.good('simulate', '--config', self.config(), '--set', 'policy.scheduler=./fcfs.so')

    def test_a_trace_line_that_cannot_be_read(self):
        self.write('bad.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n'
                              '2023-11-16 18:17:04.0319600,many,8\n')
        workload = '[workload]\ntrace = "bad.csv"\nformat = "azure"\n'
        self.simulate(self.config(workload=workload), says=['bad.csv:3', 'ContextTokens', 'many'])
        self.write('bad.jsonl', '{"timestamp": 0, "input_length": 5, "output_length": 2, "hash_ids": [1]}\n'
                                '{"timestamp": 0, "input_length": -5, "output_length": 2, "hash_ids": [1]}\n')
        workload = '[workload]\ntrace = "bad.jsonl"\nformat = "mooncake"\n'
        self.simulate(self.config(workload=workload), says=['bad.jsonl:2', 'input_length', '-5'])

    def test_a_request_that_the_pool_can_never_hold(self):
        self.write('big.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,100,10\n'
                              '2023-11-16 18:17:04.0319600,5000,8\n2023-11-16 18:17:05.0319600,50,8\n')
        trace = '[workload]\ntrace = "big.csv"\nformat = "azure"\n'
        self.simulate(self.config(workload=trace),
                      says=['big.csv:3: ', 'can never hold', 'at most 64 blocks', 'found 313 blocks', '5000', ' 8 tokens',
                            'engine.kv_memory', 'engine.kv_blocks', 'workload.prompt_scale', 'engine.context_tokens'])
        self.simulate(self.config(), '--set', 'engine.kv_blocks=3',
                      says=['workload: request ', ' of 20: ', 'at most 3 blocks', 'workload.prompt.max_tokens'])
        self.simulate(self.config(), '--set', 'workload.n=65', says=['workload.n', 'at most engine.max_waiting = 64', '65'])

    def test_no_workload(self):
        self.simulate(self.config(workload=''), says=['workload'])

    def test_missing_calibration(self):
        line = self.simulate(self.config(), '--set', 'simulated.calibration="a100"',
                             says=['a100', 'h100-llama3.1-8b', 'looked in'])
        self.assertNotIn('good', line.split('looked in')[0], 'a configuration is no calibration')

    def test_an_unknown_calibration_lists_each_folder_once(self):
        config = str(stage.SOURCE / 'configs/simulate_fcfs.toml')  # beside the calibrations that the program has
        line = self.bad('simulate', '--config', config, '--set', 'simulated.calibration=a100', says=['looked in '])
        folders = line[line.index('looked in ') + len('looked in '):].rstrip(')\n').split(', ')
        self.assertEqual(len(folders), len(set(folders)), line)

    def test_a_gate_and_its_table(self):
        """Of two names that differ by a slip of the hand, the one that no plugin has is blamed."""
        def gates(gates, table):
            said = f'gates = ["{gates}"]\n\n[policy.gate.{table}]\noptions = {{ rate = 8000 }}\n\n[simulated]'
            return self.write('run.toml', pathlib.Path(self.config()).read_text().replace('[simulated]', said))
        self.simulate(gates('tokn-bucket', 'token-bucket'), says=[
            'run.toml:13:1: policy.gates: expected', "found 'tokn-bucket'", "did you mean 'token-bucket'"])
        self.simulate(gates('token-bucket', 'tokn-bucket'), says=[
            "run.toml:15:14: policy.gate.tokn-bucket: expected", "did you mean 'token-bucket'?"])
        self.good('simulate', '--config', gates('token-bucket', 'token-bucket'))
        self.simulate(self.config(), '--set', 'policy.gate.token-bucket.options.rate=8000', says=[
            '--set policy.gate.token-bucket.options.rate=8000: expected one of the gates in policy.gates (none)',
            '--set \'policy.gates=["token-bucket"]\''])
        # One that is switched off, beside one that runs: fine where the table names its plugin, and where the command line chooses.
        off = self.write('off.toml', pathlib.Path(self.config()).read_text().replace(
            '[simulated]', 'gates = ["token-bucket"]\n\n[policy.gate.token-bucket-2]\nplugin = "token-bucket"\n\n[simulated]'))
        self.good('simulate', '--config', off)
        self.good('simulate', '--config', self.config(), '--vary', 'policy.gates=["token-bucket"]', '--vary', 'policy.gates=[]',
                  '--set', 'policy.gate.token-bucket.options.rate=8000')

    def test_bad_swaps(self):
        form = 'at=STEP,scheduler=NAME'
        for text in ('', 'at=3', 'at=x,scheduler=fcfs', 'at=3,schedular=fcfs', 'at=3,scheduler=', 'step=3,scheduler=fcfs',
                     'at=3,gate=hold', 'at=-1,scheduler=fcfs', 'at=3,scheduler=,chunk_budget=64', 'at=3,scheduler=sarathi,'):
            self.simulate(self.config(), '--swap', text, says=['--swap', form])
        self.simulate(self.config(), '--swap', 'at=3,precision=native', says=['--swap', 'precision'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathy', says=['sarathy', 'sarathi'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=lru', says=['lru', 'eviction'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathi,chunk_budget', says=['--swap'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathi,chunk_budge=64', says=['chunk_budge', 'chunk_budget'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathi,options={chunk_budge=64}', says=['chunk_budge', 'chunk_budget'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathi,options={chunk_budget=64', says=['--swap'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathi,options={},chunk_budget=6', says=['--swap', 'either'])
        self.simulate(self.config(), '--swap', 'at=3,scheduler=sarathi,eviction=slru', says=['--swap', 'repeat --swap'])
        self.simulate(self.config(), '--swap', 'at=3,gate=0:fcfs', says=['--swap', 'policy.gates'])

    def test_the_command_line(self):
        self.bad('simulate', says=['config', 'serveloop simulate --help'])
        self.bad('simulate', '--config', self.config(), '--colour', says=['colour', '--help'])
        self.bad('simulate', '--config', self.config(), '--config', self.config('b.toml'), '--log', 'x.slog', says=['--log'])
        self.bad('simulate', '--config', self.config(), '--json', 'no/such/folder.json', says=['no/such/folder.json'])
        self.bad('simulate', '--config', self.config(), '--log', 'no/such/folder.slog', says=['no/such/folder.slog'])

    def test_a_file_that_cannot_be_written_says_why(self):
        self.bad('simulate', '--config', self.config(), '--json', '/nodir/x', says=[
            '/nodir/x', "No such file or directory; make the folder '/nodir', or pass another --json"])
        self.bad('simulate', '--config', self.config(), '--json', '.', says=["'.'", 'directory'])

    def test_outputs_do_not_meet(self):
        one, two = self.config('a.toml', extra='[observe]\nlog = "x.slog"\n'), self.config('b.toml', extra='[observe]\nlog = "x.slog"\n')
        self.bad('simulate', '--config', one, '--config', two, says=['step log', 'a.toml', 'b.toml', 'x.slog'])
        self.bad('simulate', '--config', self.config(), '--json', 'x', '--log', './x', says=['--json', 'step log'])
        for option in ('--log', '--json'):
            self.bad('simulate', '--config', self.config(), option, 'run.toml', says=['run.toml', 'a configuration'])
        self.assertIn('[engine]', (self.folder / 'run.toml').read_text())
        (self.folder / 'link').symlink_to('run.toml')
        self.bad('simulate', '--config', self.config(), '--log', 'link', says=['a configuration'])

    def test_failure_leaves_an_old_result_alone(self):
        self.write('out.json', 'old')
        log = self.config('b.toml', extra='[observe]\nlog = "no/such.slog"\n')  # seen when its run begins
        ran = self.run_program('simulate', '--config', self.config(), '--config', log, '--json', 'out.json')
        self.assertEqual(ran.returncode, 2, ran.stdout)
        self.assertEqual((self.folder / 'out.json').read_text(), 'old')
        self.assertEqual(list(self.folder.glob('*.part')), [])

    def test_a_full_disk_under_standard_output(self):
        self.good('simulate', '--config', self.config(), '--log', 'run.slog')
        for arguments in (['simulate', '--config', self.config()], ['replay', 'run.slog'], ['plugin', 'list'], ['--version'],
                          ['simulate', '--help']):
            with open('/dev/full', 'w') as full:
                ran = subprocess.run([stage.PROGRAM, *arguments], cwd=self.folder, stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(ran.returncode, 2, arguments)
            self.assertEqual(len(ran.stderr.splitlines()), 1, ran.stderr)
            self.assertIn('No space left', ran.stderr)


class Plugins(stage.Case):
    def plugin(self, folder='mine', kind='scheduler', **changes):
        """A copy of fcfs under a path, its manifest changed line by line."""
        to = self.folder / folder
        shutil.copytree(stage.BUILD / 'plugins/schedulers/fcfs', to, ignore=shutil.ignore_patterns('*.p'))
        lines = (to / 'plugin.toml').read_text().splitlines()
        for key, value in changes.items():
            at = next(i for i, line in enumerate(lines) if line.startswith(key + ' '))
            lines[at] = f'{key} = {value}'
        (to / 'plugin.toml').write_text('\n'.join(lines) + '\n')
        return to

    def refused(self, folder, says):
        self.bad('simulate', '--config', self.config(), '--set', f'policy.scheduler="{folder}"', '--log', 'x.slog', says=says)

    def test_a_good_copy_runs(self):
        self.good('simulate', '--config', self.config(), '--set', f'policy.scheduler="{self.plugin()}"')

    def test_hash_mismatch(self):
        to = self.plugin()
        with open(to / 'fcfs.so', 'ab') as object_file:
            object_file.write(b'more')
        self.refused(to, ['sha256', 'expected', 'found'])

    def test_manifests(self):
        self.refused(self.plugin('a', version='"9.9.9"'), ['version', '9.9.9'])
        self.refused(self.plugin('b', id='"other"'), ['id'])
        self.refused(self.plugin('c', major='7'), ['abi', 'major 7'])
        to = self.plugin('d')
        (to / 'plugin.toml').unlink()
        self.refused(to, ['plugin.toml'])
        to = self.plugin('e')
        (to / 'fcfs.so').unlink()
        self.refused(to, ['fcfs.so'])

    def test_info_finds_what_a_run_would(self):
        for folder, damage, says in (('a', lambda o: o.write_bytes(o.read_bytes() + b'more'), ['sha256', 'expected', 'found']),
                                     ('b', lambda o: o.unlink(), ['fcfs.so', 'no such file'])):
            to = self.plugin(folder)
            damage(to / 'fcfs.so')
            self.bad('plugin', 'info', f'{to}/', says=says)
        to = self.plugin('c', version='"9.9.9"')
        self.bad('plugin', 'info', f'{to}/', says=['version', "'9.9.9'", "'0.1.0'"])

    def test_a_gate_is_no_scheduler(self):
        self.refused(self.plugin(version='"0.1.0"\ngate = true'), ['gate', 'policy.gates'])

    def test_wrong_abi_names_field_expected_and_found(self):
        source = self.write('abi.cpp', '''
#include <serveloop/cpp/scheduler.hpp>
struct Mine {
  explicit Mine(const sl::Setup&) {}
  void plan(const sl::View&, sl::Plan&) {}
};
namespace { using Plugin = sl_plugin; }
SERVELOOP_SCHEDULER(Mine, "mine", "0.1.0");
''')
        to = self.folder / 'mine'
        to.mkdir()
        header = stage.SOURCE / 'sdk/include/serveloop/plugin.h'
        changed = self.folder / 'include/serveloop'
        shutil.copytree(stage.SOURCE / 'sdk/include/serveloop', changed)
        for made in stage.SDK.rglob('*.h'):
            shutil.copy(made, changed)
        text = header.read_text()
        self.assertIn('#define SL_ABI_MAJOR 0', text)
        (changed / 'plugin.h').write_text(text.replace('#define SL_ABI_MAJOR 0', '#define SL_ABI_MAJOR 9'))
        subprocess.run(['c++', '-std=c++20', '-shared', '-fPIC', '-fvisibility=hidden', f'-I{self.folder}/include', source,
                        '-o', str(to / 'mine.so')], check=True)
        self.write('mine/plugin.toml', 'id = "mine"\nkind = "scheduler"\nversion = "0.1.0"\nlicense = "MIT"\n[abi]\nmajor = 0\n')
        self.refused(to, ['abi_major', 'expected 0', 'found 9'])


class Commands(stage.Case):
    def test_unknown_command(self):
        self.bad('simulat', says=["unknown command 'simulat'", 'simulate', '--help'])

    def test_plugin(self):
        actions = 'serveloop: plugin: expected `list` or `info NAME`, found '
        self.bad('plugin', '--colour', says=['try `serveloop plugin --help`'])
        self.bad('plugin', says=[actions + 'nothing; try'])
        self.bad('plugin', 'lost', says=[actions + "'lost'"])
        self.bad('plugin', 'list', 'fcfs', says=["serveloop: plugin list: expected no name, found 'fcfs'"])
        self.bad('plugin', 'info', says=['serveloop: plugin info: expected an id or a path, found nothing'])
        self.bad('plugin', 'info', '.', says=["write './'"])
        self.bad('plugin', 'info', 'sarathy', '--config', self.config(), says=['sarathy', 'sarathi'])
        self.bad('plugin', 'list', '--config', 'gone.toml', says=['gone.toml'])

    def test_replay(self):
        self.bad('replay', says=['log', 'try `serveloop replay --help`'])
        self.good('simulate', '--config', self.config(), '--log', 'run.slog')
        self.bad('replay', 'run.slog', '--set', 'engine.lag=1', says=['--set engine.lag=1: ', 'policy.scheduler', 'as the log has it'])
        self.bad('replay', 'run.slog', '--set', 'policy.schedulers=1', says=['--set policy.schedulers=1: '])
        self.bad('replay', 'run.slog', '--set', 'policy.scheduler.options.a=1', says=["--set policy.scheduler.options.a=1: options.a"])
        self.bad('replay', 'run.slog', '--scheduler', 'sarathy', says=["--scheduler sarathy: policy.scheduler: scheduler 'sarathy' not found"])
        self.bad('replay', 'gone.slog', says=['gone.slog'])
        self.bad('replay', self.write('empty.slog', ''), says=['empty.slog', 'step log'])
        self.bad('replay', '.', says=["'.'", 'a folder'])
        self.bad('replay', 'run.slog', '--workload', 'w.jsonl', '--scheduler', 'fcfs', says=['--workload', 'it replays nothing'])
        self.bad('replay', 'run.slog', '--workload', 'run.slog', says=['--workload', 'run.slog'])
        self.bad('replay', self.write('other.slog', 'GIF89a and more'), '--workload', 'w.jsonl', says=['other.slog', 'not a step log'])
        self.assertFalse((self.folder / 'w.jsonl').exists())
        self.bad('replay', self.write('other.slog', 'GIF89a and more'), says=['other.slog', 'not a step log'])
        self.bad('replay', self.write('newer.slog', 'SLOG\x07and more'), says=['newer.slog', 'another version', 'expected 5, found 7'])
