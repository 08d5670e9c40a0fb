// A precision plan as this backend computes it: BF16, in one way.
//
//   operation            weight        input         output                  sums
//   EMBED, NORM          NATIVE, BF16  NATIVE, BF16  NATIVE, BF16            F32
//   Q .. DOWN            NATIVE, BF16  NATIVE, BF16  NATIVE, BF16            F32
//   LM_HEAD              NATIVE, BF16  NATIVE, BF16  NATIVE, BF16, F32: F32  F32
//   KV (K, V, Q and P)   NATIVE, BF16  NATIVE, BF16  NATIVE, BF16            F32
// NATIVE is BF16 here, whatever a file stores: weights are rounded to it once at load. No scales, so every plan is
// deterministic. What is not in the table is refused. Thread safety: pure functions.
#pragma once

#include <serveloop/precision.h>

#include <span>
#include <vector>

#include "base/result.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cuda {

std::vector<sl_op_key> cuda_op_keys(const model::Architecture& architecture);

// plans: one a key. The plans as they take effect.
Result<std::vector<sl_op_plan>> effective_plans(std::span<const sl_op_key> keys,
                                                std::span<const sl_op_plan> plans);

}  // namespace serveloop::execute::cuda
