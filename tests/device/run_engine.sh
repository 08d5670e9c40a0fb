#!/usr/bin/env bash
# Runs the packed program on a GPU machine: unpacks it once, finds cuBLASLt, and passes on what follows.
#
#   tests/device/run_engine.sh ENGINE.tar.xz bench --config configs/bench_cuda.toml --model MODEL.json --random-weights 42
#
# WORK: where it is unpacked and runs (default /tmp/serveloop-engine); paths of the command are relative to it.
set -euo pipefail
[ $# -ge 2 ] || { echo 'usage: tests/device/run_engine.sh ENGINE.tar.xz COMMAND...'; exit 2; }
WORK=${WORK:-/tmp/serveloop-engine}
if [ ! -x "$WORK/engine/serveloop" ] || [ "$1" -nt "$WORK/engine/serveloop" ]; then
  rm -rf -- "$WORK/engine"
  mkdir -p "$WORK"
  tar xJf "$1" -C "$WORK"
  touch "$WORK/engine/serveloop"
fi
shift
cd "$WORK/engine"
library=$(find /usr /opt "$HOME" -name 'libcublasLt.so.13' -print -quit 2>/dev/null || true)
[ -n "$library" ] || { echo 'libcublasLt.so.13: expected CUDA 13 below /usr, /opt or the home folder'; exit 2; }
export LD_LIBRARY_PATH=$PWD/lib:$(dirname "$library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export SERVELOOP_PLUGIN_PATH=$PWD/plugins/schedulers:$PWD/plugins/precision:$PWD/plugins/allocators/eviction:$PWD/plugins/allocators/preemption
export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$WORK/cache}
exec ./serveloop "$@"
