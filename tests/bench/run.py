"""Prints the loop's numbers: `./dev bench [STEPS]`. Shapes named together are interleaved in one process, so that a pair's ratio
holds when the machine's speed drifts. A machine with other work on it gives upper bounds."""
import json
import os
import re
import subprocess
import sys
import tempfile

build = sys.argv[1]
steps = sys.argv[2] if len(sys.argv) > 2 else "1000"


def worlds(*shapes):
    out = subprocess.run([os.path.join(build, "tests/bench/bench_step"), steps, *shapes],
                         check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def seconds(*command):
    out = subprocess.run([os.path.join(build, "serveloop"), *command], check=True, capture_output=True, text=True).stdout
    return re.search(r"wall time, s +([\d.]+)|equal, in ([\d.]+) s", out)


print("decode step, fcfs and lru, null executor, real time")
for running in (256, 1024, 4096):
    world, = worlds(f"{running}:100:1000")
    print(f"  {running:>5} running: median {world['median_us']} us, p99 {world['p99_us']} us")
for name, pair in (("100 -> 100,000 waiting", ("1024:100:1000", "1024:100000:1000")),
                   ("1 k -> 1 M cached blocks", ("1024:100:1000", "1024:100:1000000"))):
    a, b = worlds(*pair)
    print(f"  {name}, 1,024 running: median x {b['median_us'] / a['median_us']:.3f}, p99 x {b['p99_us'] / a['p99_us']:.3f}")
with tempfile.TemporaryDirectory() as folder:
    log = os.path.join(folder, "hour.slog")
    hour = ["--config", "configs/simulate_sarathi.toml", "--set", "workload.trace=data/traces/azure2023_conv.csv"]
    print(f"Azure conversation hour, sarathi: {seconds('simulate', *hour)[1]} s")
    subprocess.run([os.path.join(build, "serveloop"), "simulate", *hour, "--log", log], check=True, capture_output=True)
    print(f"replay of its log, every decision compared: {seconds('replay', log)[2]} s")
