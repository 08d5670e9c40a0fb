// Everything as the checkpoint stores it; sums in F32.
#include <serveloop/cpp/precision.hpp>

namespace {

class Native {
 public:
  explicit Native(const sl::Setup&) {}

  sl_op_plan assign(const sl_op_key&, uint32_t) const {
    sl_op_plan plan{};
    for (sl_format* format : {&plan.weight, &plan.input, &plan.output}) {
      format->dtype = SL_DTYPE_NATIVE;
      format->granularity = SL_SCALE_NONE;
      format->source = SL_SOURCE_NONE;
    }
    plan.accumulate = SL_ACCUMULATE_F32;
    plan.compute = SL_COMPUTE_NATIVE;
    return plan;
  }
};

}  // namespace

SERVELOOP_PRECISION(Native, "native", "0.1.0");
