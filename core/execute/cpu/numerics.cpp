#include "execute/cpu/numerics.hpp"

#include <fmt/format.h>
#include <serveloop/reasons.h>

#include "model/op_keys.hpp"

namespace serveloop::execute::cpu {
namespace {

using kernels::cpu::Act;
using kernels::cpu::KvType;
using kernels::cpu::Type;

constexpr std::uint16_t bit(unsigned dtype) { return static_cast<std::uint16_t>(1u << dtype); }

// The matrix of a linear operation; false for others.
bool matrix_role(std::uint16_t role, model::Role& out) {
  switch (role) {
    case SL_ROLE_Q: out = model::Role::q; return true;
    case SL_ROLE_K: out = model::Role::k; return true;
    case SL_ROLE_V: out = model::Role::v; return true;
    case SL_ROLE_O: out = model::Role::o; return true;
    case SL_ROLE_GATE: out = model::Role::gate; return true;
    case SL_ROLE_UP: out = model::Role::up; return true;
    case SL_ROLE_DOWN: out = model::Role::down; return true;
    case SL_ROLE_LM_HEAD: out = model::Role::lm_head; return true;
    default: return false;
  }
}

const char* name_of(unsigned dtype) {
  static constexpr const char* kNames[] = {"NATIVE", "F32", "BF16", "F16", "E4M3FN", "E5M2", "E8M0", "INT8"};
  return dtype < std::size(kNames) ? kNames[dtype] : "unknown";
}

std::string names_of(std::uint16_t dtypes) {
  std::string names;
  for (unsigned dtype = SL_DTYPE_NATIVE; dtype <= SL_INT8; ++dtype)
    if ((dtypes & bit(dtype)) != 0) names += (names.empty() ? "" : ", ") + std::string(name_of(dtype));
  return names;
}

tl::unexpected<Error> refuse(const sl_op_key& key, const std::string& what, std::string expected,
                             std::string found) {
  return fail(fmt::format("precision plan of layer {} role {}: {}", key.layer, key.role, what),
              expected + " (on the CPU)", std::move(found), "choose precision plugin 'native'");
}

// What a format says beside its dtype: how values are scaled, and what becomes of those that do not fit.
std::string scaling_of(const sl_format& f) {
  return fmt::format(
      "granularity {} of {} x {}, scale dtype {}, source {}, history {}, rounding {}, overflow {}, ragged "
      "{}, "
      "amax floor {}, ceiling {}, margin {}, constant {}",
      f.granularity, f.group_n, f.group_k, name_of(f.scale_dtype), f.source, f.history, f.rounding,
      f.overflow, f.ragged, f.amax_floor, f.amax_ceiling, f.margin, f.constant);
}

bool without_scales(const sl_format& f) {
  return f.granularity == SL_SCALE_NONE && f.scale_dtype == SL_DTYPE_NATIVE && f.source == SL_SOURCE_NONE &&
         f.rounding == SL_ROUND_EXACT && f.overflow == SL_OVERFLOW_SATURATE && f.ragged == SL_RAGGED_PAD &&
         f.group_n == 0 && f.group_k == 0 && f.history == 0 && f.amax_floor == 0 && f.amax_ceiling == 0 &&
         f.margin == 0 && f.constant == 0;
}

// The scales that INT8 has here. Rows are whole groups, so that it does not matter what would become of ragged ones.
bool has_int8_scales(const sl_format& f) {
  sl_format rest = f;
  rest.granularity = rest.scale_dtype = rest.source = rest.ragged = 0;
  rest.group_n = rest.group_k = 0;
  return f.granularity == SL_SCALE_GROUP && f.group_k == kernels::cpu::kGroup && f.group_n <= 1 &&
         (f.scale_dtype == SL_F32 || f.scale_dtype == SL_DTYPE_NATIVE) && f.source == SL_SOURCE_DYNAMIC &&
         without_scales(rest);
}

Status expect(const sl_op_key& key, const char* tensor, const sl_format& format, std::uint16_t allowed) {
  if (format.dtype > SL_INT8 || (allowed & bit(format.dtype)) == 0)
    return refuse(key, tensor, names_of(allowed), name_of(format.dtype));
  if (without_scales(format)) return {};
  if (format.dtype != SL_INT8)
    return refuse(key, tensor, fmt::format("{} without scales", name_of(format.dtype)), scaling_of(format));
  if (has_int8_scales(format)) return {};
  return refuse(key, tensor, "INT8 with dynamic F32 scales of groups of 32, exact, saturating",
                scaling_of(format));
}

// How products are added up, and whether weights are widened first.
Status expect_compute(const sl_op_key& key, const sl_op_plan& plan, unsigned compute) {
  if (plan.accumulate != SL_ACCUMULATE_F32 || plan.promote_every != 0)
    return refuse(key, "sums", "accumulate F32",
                  fmt::format("accumulate {}, promote_every {}", plan.accumulate, plan.promote_every));
  if (plan.compute == SL_COMPUTE_NATIVE || plan.compute == compute) return {};
  return refuse(key, "compute",
                compute == SL_COMPUTE_DEQUANTISED ? "NATIVE or DEQUANTISED of these weights and this input"
                                                  : "NATIVE of these weights and this input",
                plan.compute == SL_COMPUTE_DEQUANTISED ? "DEQUANTISED"
                : plan.compute == SL_COMPUTE_EMULATED  ? "EMULATED"
                                                       : std::to_string(plan.compute));
}

Result<Act> act_of(const sl_op_key& key, sl_op_plan& plan, Type type) {
  if (Status ok = expect(key, "input", plan.input, key.can); !ok) return tl::unexpected(ok.error());
  sl_format& input = plan.input;
  if (input.dtype == SL_DTYPE_NATIVE) {
    const bool quantised = kernels::cpu::quantised(type);
    input = {};
    input.dtype = quantised ? SL_INT8 : type == Type::bf16 ? SL_BF16 : SL_F32;
  }
  const std::uint16_t compute =
      input.dtype != SL_INT8 && kernels::cpu::quantised(type) ? SL_COMPUTE_DEQUANTISED : SL_COMPUTE_NATIVE;
  if (Status ok = expect_compute(key, plan, compute); !ok) return tl::unexpected(ok.error());
  plan.compute = compute;
  if (input.dtype == SL_INT8) {
    input.granularity = SL_SCALE_GROUP;
    input.group_n = 1;
    input.group_k = kernels::cpu::kGroup;
    input.scale_dtype = SL_F32;
    input.source = SL_SOURCE_DYNAMIC;
    return Act::int8;
  }
  return input.dtype == SL_BF16 ? Act::bf16 : Act::f32;
}

Result<KvType> kv_of(const sl_op_key& key, sl_op_plan& plan) {
  for (const auto& [tensor, format] : {std::pair{"K", &plan.weight}, {"V", &plan.input}}) {
    if (Status ok = expect(key, tensor, *format, key.can); !ok) return tl::unexpected(ok.error());
    if (format->dtype == SL_DTYPE_NATIVE) format->dtype = SL_F16;
  }
  if (plan.weight.dtype != plan.input.dtype)
    return fail(fmt::format("precision plan of layer {} role {}", key.layer, key.role),
                "K and V of one type (on the CPU)",
                fmt::format("{} and {}", name_of(plan.weight.dtype), name_of(plan.input.dtype)));
  switch (plan.weight.dtype) {
    case SL_F32: return KvType::f32;
    case SL_BF16: return KvType::bf16;
    default: return KvType::f16;
  }
}

}  // namespace

std::vector<sl_op_key> cpu_op_keys(const model::Architecture& architecture, const Weights& weights) {
  const std::uint16_t plain = bit(SL_DTYPE_NATIVE) | bit(SL_F32);
  model::CanCompute can;
  can.embed = can.norm = plain;
  can.linear = plain | bit(SL_BF16);
  can.kv = can.linear | bit(SL_F16);
  std::vector<sl_op_key> keys = model::op_keys(architecture, can);
  for (sl_op_key& key : keys) {
    model::Role role{};
    if (matrix_role(key.role, role) && kernels::cpu::quantised(weights.matrix(key.layer, role).type))
      key.can |= bit(SL_INT8);
  }
  return keys;
}

Result<Numerics> numerics_of(std::span<const sl_op_key> keys, std::span<const sl_op_plan> plans,
                             const Weights& weights) {
  if (plans.size() != keys.size())
    return fail("precision plan", fmt::format("{} plans, one an operation", keys.size()),
                std::to_string(plans.size()));
  Numerics out;
  out.effective.assign(plans.begin(), plans.end());
  out.layers.resize(static_cast<std::size_t>(keys.front().layers) + 1);
  const std::uint16_t plain = bit(SL_DTYPE_NATIVE) | bit(SL_F32);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const sl_op_key& key = keys[i];
    sl_op_plan& plan = out.effective[i];
    Numerics::Layer& layer = out.layers[place_of(key.layer)];
    if (Status ok = expect(key, "output", plan.output, plain); !ok) return tl::unexpected(ok.error());
    plan.output.dtype = SL_F32;
    plan.reason = SL_REASON_NONE;
    model::Role role{};
    const bool product = matrix_role(key.role, role);
    if (!product)
      if (Status ok = expect_compute(key, plan, SL_COMPUTE_NATIVE); !ok) return tl::unexpected(ok.error());
    if (key.role == SL_ROLE_KV) {
      auto kv = kv_of(key, plan);
      if (!kv) return tl::unexpected(kv.error());
      layer.kv = *kv;
      continue;
    }
    if (Status ok = expect(key, "weight", plan.weight, bit(SL_DTYPE_NATIVE)); !ok)
      return tl::unexpected(ok.error());
    if (!product) {
      if (Status ok = expect(key, "input", plan.input, plain); !ok) return tl::unexpected(ok.error());
      plan.input.dtype = SL_F32;
      continue;
    }
    auto act = act_of(key, plan, weights.matrix(key.layer, role).type);
    if (!act) return tl::unexpected(act.error());
    layer.act[static_cast<std::size_t>(role)] = *act;
  }
  return out;
}

}  // namespace serveloop::execute::cpu
