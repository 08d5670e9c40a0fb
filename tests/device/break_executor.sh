# Sourced by run_executor.sh: does its test notice an executor that is wrong? Every line changes a copy of one file, builds
# every source that takes that file in, and expects the test to fail. Wants the plain build in $BUILD.

# takes_in SOURCE FILE, by the compiler's own list
takes_in() {
  sed -E 's/^[^:]*://; s/\\$//' "$BUILD/${1//\//.}.d" | tr -s ' ' '\n' | grep . |
    xargs realpath -m --relative-to=. | grep -xF -- "$2" > /dev/null
}

# broken NAME FILE SED
broken() {
  local name=$1 file=$2 change=$3 root=$BUILD/broken/$1 source wrong=() parts=() code=0
  rm -rf "$root"
  mkdir -p "$root/tests" "$root/objects"
  cp -r core kernels sdk "$root/"
  cp -r tests/device "$root/tests/"
  sed -i -E "$change" "$root/$file"
  if cmp -s "$file" "$root/$file"; then
    echo "break $name: the change finds no line in $file"
    return 1
  fi
  for source in "${sources[@]}"; do
    [ "$source" != tests/device/bench_executor.cpp ] || continue
    if takes_in "$source" "$file"; then
      wrong+=("$source")
      parts+=("$root/objects/${source//\//.}.o")
    else
      parts+=("$BUILD/${source//\//.}.o")
    fi
  done
  if [ ${#wrong[@]} -eq 0 ]; then
    echo "break $name: no source takes in $file"
    return 1
  fi
  (cd "$root" && printf '%s\n' "${wrong[@]}" | BUILD=$root/objects xargs -P 4 -I{} bash -c 'compile {}') \
    > "$root/compile.txt" 2>&1 && link "$root/test_executor" "${parts[@]}" ||
    { echo "break $name: does not build, see $root/compile.txt"; return 1; }
  cp "$BUILD"/gemm-*.txt "$root/"  # products are not searched again
  (cd "$root" && timeout 300 ./test_executor) > "$root/out.txt" 2>&1 || code=$?
  if [ "$code" -eq 0 ] || ! grep -qE '^(FAILED|STOPPED)' "$root/out.txt"; then
    echo "break $name: the test passed over it, or ended without a word (code $code; $(tail -1 "$root/out.txt"))"
    return 1
  fi
  echo "break $name: failed, as it has to (${#wrong[@]} sources built; $(grep -m1 -E '^(FAILED|STOPPED)' "$root/out.txt"))"
}

status=0
jobs_running=()
start() {  # four at a time share the device; ONLY: an expression of the names that are wanted
  [[ $1 =~ ${ONLY:-.} ]] || return 0
  while (($(jobs -rp | wc -l) >= 4)); do sleep 0.2; done
  broken "$@" & jobs_running+=($!)
}
start pad_sampled core/execute/cuda/layout.hpp 's/push_back\(\{-1, 0, 1, size\.decodes/push_back({0, 0, 1, size.decodes/'
start graph_rounds_down core/execute/cuda/graphs.hpp 's/\(decodes \+ step - 1\) \/ step \* step/decodes \/ step * step/'
start samples_in_batch_order core/execute/cuda/cuda_executor.cpp \
  's/at = static_cast<std::size_t>\(job\.layout\.sample\[i\]\);/at = i;/'
start takes_no_number core/execute/cuda/cuda_executor.cpp 's/sampled\.bad\(\)\[at\] != 0/false/'
start copies_k_alone core/execute/cuda/kv_pool.hpp 's/planes = 2 \* layers_/planes = layers_/'
start copies_all_at_once core/execute/cuda/host_pool.cpp 's/kBytesAtOnce = .*;/kBytesAtOnce = std::size_t{1} << 34;/'
start copies_without_waiting core/execute/cuda/host_pool.cpp 's/!stream_\.wait\(\) \|\| //'
start copies_to_no_block core/execute/cuda/host_pool.cpp 's/block < blocks_\)/block <= blocks_)/'
start no_embedding_scale core/execute/cuda/pass.cpp 's/a_->embedding_scale, step\.stream/1.0f, step.stream/'
start feeds_nothing_back kernels/cuda/sequence_rows.cu 's/if \(position < rows\.token_stride\) rows\.tokens.*/(void)token;/'
start one_slot core/execute/cuda/cuda_create.cpp 's/job\.slot = slot\+\+/job.slot = slot/'
start stops_never kernels/cuda/sequence_rows.cu 's/how\.mask = -1;/;/'
for job in "${jobs_running[@]}"; do wait "$job" || status=1; done
