# Sourced by run_kernels.sh: does each test notice a kernel that is wrong? Every line changes a copy of one kernel
# file, builds the .cu files that take it in, and expects the test to fail. Wants the plain build in $BUILD.

# broken NAME TEST FILE SED SOURCE...
broken() {
  local name=$1 test=$2 file=$3 change=$4
  shift 4
  local root=$BUILD/broken/$name source objects=()
  rm -rf "$root"
  mkdir -p "$root"
  cp -r kernels "$root/"
  sed -i -E "$change" "$root/kernels/cuda/$file"
  if cmp -s "kernels/cuda/$file" "$root/kernels/cuda/$file"; then
    echo "break $name: the change finds no line in $file"
    return 1
  fi
  for source in "$@"; do
    $NVCC $FLAGS -I"$root" -I. -c "$root/kernels/cuda/$source.cu" -o "$root/$source.o" || return 1
  done
  for source in kernels/cuda/*.cu; do
    source=$(basename "$source" .cu)
    [ -e "$root/$source.o" ] && objects+=("$root/$source.o") || objects+=("$BUILD/$source.o")
  done
  $NVCC $FLAGS "$BUILD/$test.o" "${objects[@]}" -ldl -o "$root/$test" || return 1
  if "$root/$test" > "$root/out.txt" 2>&1; then
    echo "break $name: $test passed over it"
    return 1
  fi
  echo "break $name: $test failed, as it has to ($(grep -c FAILED "$root/out.txt") lines; $(tail -1 "$root/out.txt"))"
}

jobs_running=()
start() {  # ONLY: an expression of the names that are wanted
  [[ $1 =~ ${ONLY:-.} ]] || return 0
  broken "$@" & jobs_running+=($!)
}
start sum_of_states test_attention attention_fold.cuh 's/into\.l = fold_term.*/into.l += next.l;/' attention_decode
start order_by_batch test_attention attention_piece.cuh \
  's/piece\.first_item \+ i\)/piece.first_item + (i + piece.first_item) % piece.items)/' attention_decode
start sees_too_much test_attention attention_leaf.cuh \
  's/score = position >= first && position <= last/score = position >= first/' attention_decode
start one_group_again test_attention attention_plan.cu 's/last - count \+ 1 \+ i/last/' attention_plan
start one_row_of_the_table test_attention attention_plan.cu 's/position, table_row, start/position, 0, start/' attention_plan
start turns_back test_rope rope_head.cuh 's/\+ sign \* partner/- sign * partner/' rope
start wrong_slot test_rope rope.cu 's/position % job\.block_tokens;/0;/' rope
start no_mean test_rows norm_row.cuh 's| / static_cast<float>\(hidden\)||' norm
start wrong_gelu test_rows activate.cuh 's/0\.044715f/0.44715f/' activation
start no_scale test_rows activation.cu 's/x\[i\] \*= scale/x[i] *= 1.0f/' activation
start sees_the_next test_prefill attention_consume.cuh 's/used \? tile\.position0 \+ token : -1/used ? tile.position0 + token + 1 : -1/' \
  attention_prefill
start no_window test_prefill attention_consume.cuh 's/whole = start >= extent\.all_first \&\&/whole =/' attention_prefill
start forgets_groups test_prefill attention_consume.cuh 's/total_\.keep\(group\);//' attention_prefill
start reads_no_key test_prefill attention_tile.cuh 's/if \(visible\) data =/if (visible || true) data =/' \
  attention_prefill
start other_rounding test_prefill attention_rows.cuh \
  's/__fmaf_rn\(o\[i\], take\[i \/ 2 % 2\], group\.o\[i\]\)/__fadd_rn(__fmul_rn(o[i], take[i \/ 2 % 2]), group.o[i])/' \
  attention_prefill
start tiles_of_the_first_chunks test_prefill attention_order.cuh 's/base \+= 32/base += 64/' attention_prefill
start tile_before test_prefill attention_order.cuh 's/all - divide_up\(needed, tile_tokens\) \+ 1/all - divide_up(needed, tile_tokens)/' attention_prefill
start queries_of_the_first_head test_prefill attention_tile.cuh 's/column \* 64, head, row, policy/column * 64, 0, row, policy/' \
  attention_prefill
start queries_too_late test_prefill attention_consume.cuh 's/q_\.wait_full\(tile\);//' attention_prefill
start packs_of_the_first test_prefill attention_order.cuh 's/pack = first_pack \+/pack = 0 * first_pack +/' attention_prefill
start half_of_the_rounds test_prefill attention_order.cuh 's/dealt \+= teams/dealt += 2 * teams/' attention_prefill
start columns_of_another_lane test_prefill attention_consume.cuh 's/column0 \+ lane \* 8/column0 + (lane ^ 1) * 8/' attention_prefill
start last_group_of_a_split test_prefill_parts attention_tile.cuh \
  's:last\(last_key / attention_leaf_tokens\):last(last_key / attention_leaf_tokens - (parts > 1 ? group_leaves \: 0)):' \
  attention_prefill
start folds_in_another_order test_prefill_parts attention_rows.cuh \
  's/fold_term\((before\.x, factors\[0\]\.keep), (now\[0\], factors\[0\]\.take)\)/phase == 0 ? fold_term(\1, \2) : fold_term(\2, \1)/' \
  attention_prefill
start sums_not_handed_on test_prefill_parts attention_rows.cuh 's/sums\(\)\[half \* 8\] = .*/;/' attention_prefill
start adds_unrounded test_linear linear.cuh 's/\+ round_bf16\(a\)/+ a/; s/\+ round_bf16\(value\)/+ value/' linear
start gates_unrounded test_linear linear.cuh 's/const float x = round_bf16\(values\[j\]\)/const float x = values[j]/' linear
start starts_too_early test_linear linear_narrow.cuh 's/^ *wait_for_predecessor\(\);//' linear
start group_after_next test_linear linear_narrow.cuh 's/left > narrow_group\)/left > 2 * narrow_group)/' linear
start rows_of_a_warp test_linear linear_group.cuh 's/place\.first_row \+ warp \* 16/place.first_row/' linear
start rows_of_a_pair test_linear linear_group.cuh 's/first_row = rank \* plan\.share/first_row = 0/' linear
start more_than_a_share test_linear linear_group.cuh 's/min\(end_row, first_row \+ plan\.share\)/end_row/' linear
start half_of_a_pair test_linear linear_group.cuh 's/place\.rank == 0 \? to : up/to/' linear
start vectors_in_other_lanes test_linear linear_group.cuh 's/lane % 2 \* 8;/(lane + 1) % 2 * 8;/' linear
start half_of_a_stage test_linear linear_group.cuh 's/w_bytes \* i \+ term/term/' linear
start half_the_leaves test_attention attention_decode.cuh 's/index \+= warps/index += 2 * warps/' attention_decode
start one_too_many test_sampling sampling_draw.cuh 's/index >= row\.top_k\)/index > row.top_k)/' sampling
start no_min_p test_sampling sampling_row.cuh 's/weight >= least \? weight : 0/weight/' sampling
start no_carry test_sampling sampling_row.cuh 's/before \+ low < before \? 1 : 0/0/' sampling
start no_presence test_sampling ../token_weight.hpp 's/logit - presence : logit/logit : logit/' sampling
start one_fork test_sampling ../random.hpp 's/>> 32\), fork, 0/>> 32), 0, 0/' sampling
start greedy_without_bias test_sampling sampling.cu 's/row\.bias_count == 0/true/' sampling
start other_of_equals test_sampling sampling.cu 's/if \(value > most\)/if (value >= most)/' sampling
start no_bias test_gemm gemm_library.cu 's/job\.bias == nullptr\) return/true) return/' gemm_library
start splits_k test_gemm gemm_search.cu 's/if \(splits_k\(suggestion\)\) continue/if (!splits_k(suggestion)) continue/; s/if \(!equal\) continue;//' gemm_search
start no_checksum test_gemm_cache gemm_cache.cu 's/text\.compare\(before\.size\(\), tail, expected\) != 0/false/' gemm_cache
start writes_in_place test_gemm_cache gemm_cache.cu 's/if \(rename\(.*\) == 0\)/if (true)/' gemm_cache
start never_recalls test_gemm gemm.cu 's/known != state_->recalled\.end\(\)/false/' gemm
start own_key_missing test_step_attention attention_step.cuh 's/share\.put_fresh\(own\);//' attention_step
start own_key_not_kept test_step_attention attention_step.cuh 's/side == 0 \? job\.k_cache : job\.v_cache/job.v_cache/' attention_step
start quarter_of_another test_step_attention attention_step.cuh 's/\(warp \* chunks \+ chunk\) \* 8/chunk * 8/' attention_step
start half_a_group_of_another test_step_attention attention_step.cuh 's/if \(rank > 0\) values = .*/;/' attention_step
start key_of_the_other_block test_step_attention attention_step.cuh 's/seen \/ block_tokens_at_once == rank\)/rank == 0)/' attention_step
start one_part_of_a_norm test_linear linear_narrow.cuh 's/lane < parts \? sums/lane < 1 ? sums/' linear
start norms_one_row test_linear linear_narrow.cuh 's/job\.x \+ row \* job\.x_stride\)/job.x)/' linear
start norms_too_early test_step norm.cu 's/^ *wait_for_predecessor\(\);//' norm
start attends_too_early test_step attention_decode.cuh 's/wait_for_predecessor\(\);/;/' attention_decode
start one_passed_run test_sequence_rows sequence_rows.cu 's/passed\.runs\[blockIdx\.x\]/passed.runs[0]/' sequence_rows
start one_staged_run test_sequence_rows sequence_rows.cu 's/\(runs\[blockIdx\.x\]/(runs[0]/' sequence_rows
start one_slot test_sequence_rows sequence_rows.cu 's/\*inputs\.slot \* from\.slot_stride/0/' sequence_rows
for job in "${jobs_running[@]}"; do wait "$job" || status=1; done
