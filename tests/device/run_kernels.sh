#!/usr/bin/env bash
# Builds the CUDA kernels and the tests and benchmarks that are asked for, for Hopper, runs them, and leaves the output in $OUT.
#
#   tests/device/run_kernels.sh [test|bench|break|sanitize|profile|probe|NAME]...     (default: test bench)
#
#   test      all test_*.cu                    bench     all bench_*.cu
#   break     the tests over broken kernels    sanitize  the tests, quick, under compute-sanitizer
#   profile   one decode and one prefill kernel under ncu      probe     all probe_*.cu
#
# Needs nvcc and one GPU. OUT: where logs go (default build-device/out); BUILD: objects (default build-device).
set -u -o pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build-device}
OUT=${OUT:-$BUILD/out}
NVCC=${NVCC:-nvcc}
FLAGS="-std=c++20 -O3 -lineinfo -gencode=arch=compute_90a,code=sm_90a -Xcompiler -Wall,-Wextra"
mkdir -p "$BUILD" "$OUT"

# build SOURCE_ROOT OBJECTS PROGRAM...: each program is tests/device/PROGRAM.cu with all kernels.
build() {
  local root=$1 objects=$2
  shift 2
  mkdir -p "$objects"
  { for source in "$root"/kernels/cuda/*.cu; do echo "$source"; done
    for program in "$@"; do echo "tests/device/$program.cu"; done; } |
    xargs -P "$(nproc)" -I{} sh -c "$NVCC $FLAGS -I$root -I. -c {} -o $objects/\$(basename {} .cu).o" || return 1
  local kernels=() program source
  for source in "$root"/kernels/cuda/*.cu; do kernels+=("$objects/$(basename "$source" .cu).o"); done
  for program in "$@"; do
    $NVCC $FLAGS "$objects/$program.o" "${kernels[@]}" -ldl -lcublas -lcublasLt -o "$objects/$program" || return 1
  done
}

names() { for source in tests/device/$1_*.cu; do [ -e "$source" ] && basename "$source" .cu; done; }

status=0
run() {
  echo "== $*"
  "$@" 2>&1 | tee "$OUT/$(basename "$1").txt" || status=1
}

all_tests=$(names test)
all_benches=$(names bench)
all_probes=$(names probe)
[ $# -gt 0 ] || set -- test bench
programs=
for what in "$@"; do
  case $what in
    test|break|sanitize) programs+=" $all_tests" ;;
    bench|profile) programs+=" $all_benches" ;;
    probe) programs+=" $all_probes" ;;
    *) [ -e "tests/device/$what.cu" ] || { echo "run_kernels.sh: test, bench, break, sanitize, profile, probe or a program, found $what"; exit 2; }
       programs+=" $what" ;;
  esac
done
build . "$BUILD" $(printf '%s\n' $programs | sort -u) || exit 1
for what in "$@"; do
  case $what in
    test) for name in $all_tests; do run "$BUILD/$name"; done ;;
    bench) for name in $all_benches; do run "$BUILD/$name"; done ;;
    probe) for name in $all_probes; do run "$BUILD/$name"; done ;;
    break) . tests/device/break_kernels.sh ;;
    sanitize)
      for tool in memcheck racecheck initcheck; do
        for name in $all_tests; do
          echo "== $tool $name"
          compute-sanitizer --tool "$tool" --error-exitcode 9 "$BUILD/$name" quick > "$OUT/$tool.$name.txt" 2>&1 || status=1
          tail -4 "$OUT/$tool.$name.txt"
        done
      done ;;
    profile)
      for pair in attention:decode_kernel prefill:prefill_kernel; do
        ncu --clock-control none --set full -k "regex:${pair#*:}" -c 1 --launch-skip 3 \
          "$BUILD/bench_${pair%:*}" quick > "$OUT/profile_${pair%:*}.txt" 2>&1 || status=1
        echo "== ${pair#*:}"
        grep -E "Duration|Throughput|Registers Per|Achieved Occ|Block Limit|Bank conf|L2 Hit" "$OUT/profile_${pair%:*}.txt"
      done ;;
    *) run "$BUILD/$what" ;;
  esac
done
exit $status
