#!/usr/bin/env bash
# Builds the CUDA executor with the CPU's beside it and runs a program over it on one GPU, without meson. Output goes to $OUT.
#
#   tests/device/run_executor.sh [test_executor|bench_executor] [ARGUMENT]...     (default: test_executor)
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

sources=(kernels/cuda/*.cu core/execute/cuda/*.cpp core/execute/cpu/*.cpp tests/device/{test,bench}_executor.cpp)
for name in attention gemm_float gemm_int8 rows sampling formats isa kv; do sources+=("kernels/cpu/$name.cpp"); done
for name in architecture dequantise from_gguf gguf gguf_types gguf_values mapped_file model op_keys random_weights \
            vocabulary_gguf weights; do
  sources+=("core/model/$name.cpp")
done
objects=()
for source in "${sources[@]}"; do objects+=("$BUILD/${source//\//.}.o"); done
compile() {
  case $1 in
    *.cu) $NVCC $DEVICE -c "$1" -o "$BUILD/${1//\//.}.o" ;;
    kernels/cpu/*) g++ $HOST -O3 -DSERVELOOP_ISA=portable -c "$1" -o "$BUILD/${1//\//.}.o" ;;
    *) g++ $HOST -c "$1" -o "$BUILD/${1//\//.}.o" ;;
  esac || { echo "failed: $1"; return 255; }
}
export -f compile
export NVCC BUILD DEVICE HOST
printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} bash -c 'compile {}' || exit 1
for program in test bench; do
  parts=()
  for object in "${objects[@]}"; do
    case $object in *tests.device.$program*) parts+=("$object") ;; *tests.device*) ;; *) parts+=("$object") ;; esac
  done
  g++ "${parts[@]}" -L"$CUDA/lib64" -lcudart_static -lcublasLt -ldl -lrt -lpthread -o "$BUILD/${program}_executor" || exit 1
done
program=${1:-test_executor}
[ $# -eq 0 ] || shift
cd "$BUILD" && "./$program" "$@" 2>&1 | tee "$OUT/$program.txt"
