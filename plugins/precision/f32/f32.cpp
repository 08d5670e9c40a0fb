// Activations, K and V in F32; weights as they are stored, widened exactly. Sums in F32.
#include <serveloop/cpp/precision.hpp>

namespace {

class F32 {
 public:
  explicit F32(const sl::Setup&) {}

  sl_op_plan assign(const sl_op_key& key, uint32_t) const {
    sl_op_plan plan{};  // native, without scales
    plan.input.dtype = plan.output.dtype = SL_F32;
    if (key.role == SL_ROLE_KV) plan.weight.dtype = SL_F32;  // K
    plan.accumulate = SL_ACCUMULATE_F32;
    return plan;
  }
};

}  // namespace

SERVELOOP_PRECISION(F32, "f32", "0.1.0");
