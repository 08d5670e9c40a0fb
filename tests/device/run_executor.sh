#!/usr/bin/env bash
# Builds the CUDA executor with the CPU's beside it and runs a program over it on one GPU, without meson. Output goes to $OUT.
#
#   tests/device/run_executor.sh [test_executor|bench_executor] [ARGUMENT]...     (default: test_executor)
#   tests/device/run_executor.sh break     the test, then the test over broken executors: break_executor.sh
#
# Needs nvcc, g++, the headers of fmt and tl::expected (INCLUDE: a folder with them, where the system has none).
set -u -o pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build-device/executor}
OUT=${OUT:-$BUILD/out}
NVCC=${NVCC:-nvcc}
CUDA=${CUDA:-$(dirname "$(dirname "$(command -v "$NVCC")")")}
mkdir -p "$BUILD" "$OUT"
BUILD=$(realpath "$BUILD")
OUT=$(realpath "$OUT")
DEVICE="-std=c++20 -O3 -lineinfo -gencode=arch=compute_90a,code=sm_90a -I."
HOST="-std=c++20 -O2 -g1 -Wall -Wextra -Wno-missing-field-initializers -Wno-array-bounds -Wno-stringop-overflow -ffp-contract=off -DFMT_HEADER_ONLY=1 -I. -Icore -Isdk/include -isystem $CUDA/include ${INCLUDE:+-isystem $INCLUDE}"

sources=(kernels/cuda/*.cu core/execute/cuda/*.cpp core/execute/cpu/*.cpp core/execute/copier.cpp tests/device/{test,bench}_executor.cpp)
for name in attention gemm_float gemm_int8 rows sampling formats isa kv; do sources+=("kernels/cpu/$name.cpp"); done
for name in architecture dequantise from_gguf gguf gguf_types gguf_values mapped_file model op_keys random_weights \
            vocabulary_gguf weights; do
  sources+=("core/model/$name.cpp")
done
objects=()
for source in "${sources[@]}"; do objects+=("$BUILD/${source//\//.}.o"); done
# compile SOURCE: into $BUILD, with a list of the files that it takes in beside the object.
compile() {
  local to=$BUILD/${1//\//.}
  case $1 in
    *.cu) $NVCC $DEVICE -MMD -MF "$to.d" -c "$1" -o "$to.o" ;;
    kernels/cpu/*) g++ $HOST -O3 -DSERVELOOP_ISA=portable -MMD -MF "$to.d" -c "$1" -o "$to.o" ;;
    *) g++ $HOST -MMD -MF "$to.d" -c "$1" -o "$to.o" ;;
  esac || { echo "failed: $1"; return 255; }
}
export -f compile
export NVCC BUILD DEVICE HOST
printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} bash -c 'compile {}' || exit 1
# link PROGRAM OBJECT...
link() { g++ "${@:2}" -L"$CUDA/lib64" -lcudart_static -ldl -lrt -lpthread -o "$1"; }
for program in test bench; do
  parts=()
  for object in "${objects[@]}"; do
    case $object in *tests.device.$program*) parts+=("$object") ;; *tests.device*) ;; *) parts+=("$object") ;; esac
  done
  link "$BUILD/${program}_executor" "${parts[@]}" || exit 1
done
program=${1:-test_executor}
[ $# -eq 0 ] || shift
if [ "$program" = break ]; then
  (cd "$BUILD" && ./test_executor) > "$OUT/test_executor.txt" 2>&1 || { tail -5 "$OUT/test_executor.txt"; exit 1; }
  tail -1 "$OUT/test_executor.txt"
  . tests/device/break_executor.sh
  exit "$status"
fi
cd "$BUILD" && "./$program" "$@" 2>&1 | tee "$OUT/$program.txt"
