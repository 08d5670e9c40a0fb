#include "engine/precision_check.hpp"

#include <fmt/format.h>

namespace serveloop::engine {

namespace {

bool depends_on_batch(const sl_format& f) {
  const bool computed =
      f.source == SL_SOURCE_DYNAMIC || f.source == SL_SOURCE_DELAYED || f.source == SL_SOURCE_FIRST_BATCH;
  const bool local = f.granularity == SL_SCALE_TOKEN || f.granularity == SL_SCALE_GROUP ||
                     f.granularity == SL_SCALE_TOKEN_HEAD || f.granularity == SL_SCALE_NONE;
  return computed && (!local || f.source != SL_SOURCE_DYNAMIC);
}

Status check_format(const sl_format& f, const char* tensor, const sl_op_key& key) {
  const auto bad = [&](const char* field, const char* expected, unsigned found) {
    return fail(fmt::format("precision plan of layer {} role {}: {}.{}", key.layer, key.role, tensor, field),
                expected, std::to_string(found));
  };
  if (f.dtype > SL_INT8) return bad("dtype", "SL_DTYPE_NATIVE to SL_INT8", f.dtype);
  if (f.granularity > SL_SCALE_TOKEN_HEAD)
    return bad("granularity", "SL_SCALE_NONE to SL_SCALE_TOKEN_HEAD", f.granularity);
  if (f.source > SL_SOURCE_CONSTANT) return bad("source", "SL_SOURCE_NONE to SL_SOURCE_CONSTANT", f.source);
  if (f.granularity == SL_SCALE_GROUP && f.group_k == 0)
    return bad("group_k", "at least 1 with groups", f.group_k);
  if (f.granularity == SL_SCALE_BLOCK && (f.group_n == 0 || f.group_k == 0))
    return bad("group_n x group_k", "at least 1 x 1 with blocks", 0);
  return {};
}

}  // namespace

Status check_precision(std::span<const sl_op_key> keys, std::span<const sl_op_plan> plans,
                       bool deterministic) {
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const sl_op_plan& plan = plans[i];
    for (const auto& [format, name] :
         {std::pair{&plan.weight, "weight"}, {&plan.input, "input"}, {&plan.output, "output"}})
      if (Status ok = check_format(*format, name, keys[i]); !ok) return ok;
    if (plan.accumulate > SL_ACCUMULATE_PROMOTED || plan.compute > SL_COMPUTE_EMULATED)
      return fail(fmt::format("precision plan of layer {} role {}", keys[i].layer, keys[i].role),
                  "a known way to accumulate and compute",
                  fmt::format("{}, {}", plan.accumulate, plan.compute));
    if (deterministic && (depends_on_batch(plan.input) || depends_on_batch(plan.output)))
      return fail(
          fmt::format("precision plan of layer {} role {} is not deterministic", keys[i].layer, keys[i].role),
          "activation scales local to a row (token or group)", "scales that depend on the batch",
          "choose another plan, or set engine.deterministic = false");
  }
  return {};
}

}  // namespace serveloop::engine
