#!/usr/bin/env python3
"""Counts test cases in meson's testlog.json files and prints `N passed, N failed` as the last line.

usage: count_results.py [--passed N] [--failed N] LOG...

One meson test counts as
- the cases of a Boost.Test executable, from its closing report ("2 test cases out of 3 passed");
- the counts of a script whose last line of stdout is "N passed, N failed";
- else one, passed or failed by its result.
A test that meson calls failed (crash, timeout, exit code) is at least one failure, whatever it printed;
one that died before its report counts as one failure and no pass. Skipped tests (exit code 77) and
cases count as neither. --passed and --failed add what ran outside of meson; --meson-status is the exit
code of `meson test`, so that a failure which no log shows is counted too.
Exits 1 when something failed, when nothing ran, or when a log is missing.
"""
import argparse
import json
import re
import sys

BOOST_HEAD = re.compile(r'^Test module ".*" has (?:passed|failed|been aborted|been skipped|timed out)\b.*$', re.M)
BOOST_LINE = re.compile(r'^\s+(\d+) test cases? out of (\d+) (passed|failed|skipped|aborted|timed out)', re.M)
SCRIPT_LINE = re.compile(r'^(\d+) passed, (\d+) failed$')
GOOD = {'OK', 'EXPECTEDFAIL'}
SKIPPED = 'SKIP'


def boost_counts(text):
    """(passed, failed, skipped) from the last Boost.Test report in `text`, or None without one."""
    heads = list(BOOST_HEAD.finditer(text))
    if not heads:
        return None
    total, by_kind = 0, {}
    for count, out_of, kind in BOOST_LINE.findall(text, heads[-1].start()):
        total = int(out_of)
        by_kind.setdefault(kind, int(count))
    if total == 0:
        return None
    failed, skipped = by_kind.get('failed', 0), by_kind.get('skipped', 0)
    return max(0, total - failed - skipped), failed, skipped


def script_counts(stdout):
    lines = stdout.strip().splitlines()
    found = SCRIPT_LINE.match(lines[-1].strip()) if lines else None
    return (int(found[1]), int(found[2]), 0) if found else None


def count(test):
    """(passed, failed, skipped) of one entry of the log."""
    result = test['result']
    if result == SKIPPED:
        return 0, 0, 1
    stdout, stderr = test.get('stdout') or '', test.get('stderr') or ''
    good = result in GOOD
    counts = boost_counts(stderr) or boost_counts(stdout) or script_counts(stdout)
    if counts is None or result == 'EXPECTEDFAIL':
        return (1, 0, 0) if good else (0, 1, 0)
    passed, failed, skipped = counts
    if not good:
        failed = max(1, failed)
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--passed', type=int, default=0)
    parser.add_argument('--failed', type=int, default=0)
    parser.add_argument('--meson-status', type=int, default=0)
    parser.add_argument('logs', nargs='*')
    args = parser.parse_args()
    passed, failed, skipped = args.passed, args.failed, 0
    for log in args.logs:
        try:
            with open(log, encoding='utf-8', errors='replace') as lines:
                tests = [json.loads(line) for line in lines if line.strip()]
        except (OSError, ValueError) as error:
            print(f'cannot read {log}: {error}')
            failed += 1
            continue
        for test in tests:
            p, f, s = count(test)
            passed, failed, skipped = passed + p, failed + f, skipped + s
            if f:
                print(f'FAILED {test["name"]}: {test["result"]}, {f} failed, {p} passed ({log})')
    if args.meson_status != 0 and failed == 0:
        print(f'meson test ended with {args.meson_status}, but its logs show no failure')
        failed = 1
    if skipped:
        print(f'{skipped} skipped')
    if passed + failed == 0:
        print('no test ran')
    print(f'{passed} passed, {failed} failed')
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == '__main__':
    sys.exit(main())
