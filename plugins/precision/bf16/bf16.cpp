// Inputs of products, K and V in BF16; weights as they are stored; all else is the executor's own. Sums in F32.
#include <serveloop/cpp/precision.hpp>

namespace {

class Bf16 {
 public:
  explicit Bf16(const sl::Setup&) {}

  sl_op_plan assign(const sl_op_key& key, uint32_t) const {
    sl_op_plan plan{};  // native, without scales
    if (key.role != SL_ROLE_EMBED && key.role != SL_ROLE_NORM) plan.input.dtype = SL_BF16;
    if (key.role == SL_ROLE_KV) plan.weight.dtype = SL_BF16;  // K; the input is V
    plan.accumulate = SL_ACCUMULATE_F32;
    return plan;
  }
};

}  // namespace

SERVELOOP_PRECISION(Bf16, "bf16", "0.1.0");
