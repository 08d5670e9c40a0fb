#include "execute/cuda/numerics.hpp"

#include <fmt/format.h>
#include <serveloop/reasons.h>

#include "model/op_keys.hpp"

namespace serveloop::execute::cuda {
namespace {

constexpr std::uint16_t kAble = 1u << SL_DTYPE_NATIVE | 1u << SL_BF16;

std::string name_of(unsigned dtype) {
  static constexpr const char* kNames[] = {"NATIVE", "F32", "BF16", "F16", "E4M3FN", "E5M2", "E8M0", "INT8"};
  return dtype < std::size(kNames) ? kNames[dtype] : fmt::format("dtype {}", dtype);
}

Status refuse(const sl_op_key& key, const char* what, std::string expected, std::string found) {
  return fail(fmt::format("precision plan of layer {} role {}: {}", key.layer, key.role, what),
              std::move(expected) + " (on CUDA)", std::move(found),
              "choose precision plugin 'bf16' or 'native'");
}

bool has_scales(const sl_format& f) {
  return f.granularity != SL_SCALE_NONE || f.source != SL_SOURCE_NONE || f.scale_dtype != SL_DTYPE_NATIVE ||
         f.group_n != 0 || f.group_k != 0;
}

Status settle(const sl_op_key& key, const char* what, sl_format& format) {
  const bool logits = key.role == SL_ROLE_LM_HEAD && what[0] == 'o';
  if (format.dtype != SL_DTYPE_NATIVE && format.dtype != SL_BF16 && !(logits && format.dtype == SL_F32))
    return refuse(key, what, logits ? "NATIVE, BF16 or F32" : "NATIVE or BF16", name_of(format.dtype));
  if (has_scales(format))
    return refuse(key, what, "no scales", fmt::format("granularity {}", format.granularity));
  format.dtype = logits ? SL_F32 : SL_BF16;
  return {};
}

Status settle(const sl_op_key& key, sl_op_plan& plan) {
  if (Status good = settle(key, "weight", plan.weight); !good) return good;
  if (Status good = settle(key, "input", plan.input); !good) return good;
  if (Status good = settle(key, "output", plan.output); !good) return good;
  if (plan.accumulate != SL_ACCUMULATE_F32 || plan.promote_every != 0)
    return refuse(key, "sums", "accumulate F32", fmt::format("accumulate {}", plan.accumulate));
  if (plan.compute == SL_COMPUTE_EMULATED) return refuse(key, "compute", "NATIVE", "EMULATED");
  plan.reason = SL_REASON_NONE;
  return {};
}

}  // namespace

std::vector<sl_op_key> cuda_op_keys(const model::Architecture& architecture) {
  model::CanCompute can;
  can.embed = can.norm = can.linear = can.kv = kAble;
  return model::op_keys(architecture, can);
}

Result<std::vector<sl_op_plan>> effective_plans(std::span<const sl_op_key> keys,
                                                std::span<const sl_op_plan> plans) {
  if (plans.size() != keys.size())
    return fail("precision plan", fmt::format("{} plans, one an operation", keys.size()),
                std::to_string(plans.size()));
  std::vector<sl_op_plan> out(plans.begin(), plans.end());
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (Status good = settle(keys[i], out[i]); !good) return tl::unexpected(good.error());
  return out;
}

}  // namespace serveloop::execute::cuda
