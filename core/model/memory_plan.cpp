// Sizes of a checked architecture: no product here leaves 64 bits.
#include "model/memory_plan.hpp"

#include <fmt/format.h>
#include <serveloop/precision.h>

namespace serveloop::model {
namespace {

void add(WeightBytes& sum, Type type, std::uint64_t bytes) {
  sum.by_type[static_cast<std::size_t>(type)] += bytes;
  sum.total += bytes;
}

}  // namespace

WeightBytes weight_bytes(const Weights& weights, const Architecture& architecture) {
  WeightBytes sum;
  for (const Slot& slot : slots(architecture)) {
    const Tensor& tensor = at(weights, slot);
    add(sum, tensor.type, tensor.bytes());
  }
  return sum;
}

Result<WeightBytes> weight_bytes(const Architecture& architecture, Type type) {
  WeightBytes sum;
  const std::uint32_t block = info(type).block_values;
  for (const Slot& slot : slots(architecture)) {
    const bool vector = kind_of(slot.role) != RoleKind::matrix;
    const Type stored = vector && block != 1 ? Type::f32 : type;
    if (slot.cols % info(stored).block_values != 0)
      return fail(gguf_name(slot),
                  fmt::format("rows of a multiple of {} values, as {} has", block, info(type).name),
                  std::to_string(slot.cols));
    add(sum, stored, slot.rows * row_bytes(stored, slot.cols));
  }
  return sum;
}

Result<std::uint32_t> dtype_bytes(std::uint32_t dtype) {
  switch (dtype) {
    case SL_F32: return 4u;
    case SL_BF16:
    case SL_F16: return 2u;
    case SL_E4M3FN:
    case SL_E5M2:
    case SL_INT8: return 1u;
    default: return fail("KV dtype", "F32, BF16, F16, E4M3FN, E5M2 or INT8", fmt::format("dtype {}", dtype));
  }
}

Result<std::uint64_t> kv_bytes_per_token(const Architecture& architecture, std::uint32_t dtype) {
  const auto bytes = dtype_bytes(dtype);
  if (!bytes) return tl::unexpected(bytes.error());
  return std::uint64_t{2} * architecture.layer_count() * architecture.kv_features() * *bytes;
}

}  // namespace serveloop::model
