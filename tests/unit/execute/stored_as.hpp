// A model's weights in other storage types, in memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "model/dequantise.hpp"
#include "model/model.hpp"
#include "model/numbers.hpp"

namespace serveloop::execute::cpu::test {

// 32 values as one block: near to them, with scales that F16 holds.
inline void quantise_block(model::Type type, const float* x, std::byte* out) {
  const auto put_16 = [&](std::size_t at, float value) {
    const std::uint16_t bits = model::to_f16(value);
    std::memcpy(out + at, &bits, 2);
    return model::from_f16(bits);
  };
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float size = std::max(std::fabs(*least), std::fabs(*most));
  const auto level = [](float v, float low, float high) { return std::clamp(std::nearbyint(v), low, high); };
  if (type == model::Type::q8_0) {
    const float d = put_16(0, size / 127);
    for (int i = 0; i < 32; ++i)
      out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(level(x[i] / d, -127, 127)));
    return;
  }
  const bool shifted = type == model::Type::q4_1;
  const float d = put_16(0, shifted ? (*most - *least) / 15 : size / 8);
  const float m = shifted ? put_16(2, *least) : -8 * d;
  for (int i = 0; i < 16; ++i) {
    const auto low = static_cast<unsigned>(level((x[i] - m) / d, 0, 15));
    const auto high = static_cast<unsigned>(level((x[i + 16] - m) / d, 0, 15));
    out[(shifted ? 4 : 2) + i] = static_cast<std::byte>(low | high << 4);
  }
}

// The model with its matrices stored as `types`, one after the other in turn; vectors in F32.
inline model::Model stored_as(const model::Model& from, const std::vector<model::Type>& types) {
  auto storage = std::make_shared<std::vector<std::vector<std::byte>>>();
  model::Model out = from;
  std::size_t turn = 0;
  for (const model::Slot& slot : model::slots(from.architecture)) {
    const model::Tensor& source = model::at(from.weights, slot);
    const bool matrix = model::kind_of(slot.role) == model::RoleKind::matrix;
    model::Tensor to{matrix ? types[turn++ % types.size()] : model::Type::f32, source.rows, source.cols,
                     nullptr};
    std::vector<float> values(source.values());
    model::dequantise(source.type, source.data, values.size(), values.data());
    std::vector<std::byte> bytes(to.bytes());
    const model::TypeInfo& block = model::info(to.type);
    for (std::size_t i = 0; i < values.size(); i += block.block_values) {
      std::byte* at = bytes.data() + i / block.block_values * block.block_bytes;
      const std::uint16_t half =
          to.type == model::Type::f16 ? model::to_f16(values[i]) : model::to_bf16(values[i]);
      if (block.block_values == 32)
        quantise_block(to.type, &values[i], at);
      else
        std::memcpy(at, to.type == model::Type::f32 ? static_cast<const void*>(&values[i]) : &half,
                    block.block_bytes);
    }
    storage->push_back(std::move(bytes));
    to.data = storage->back().data();
    model::at(out.weights, slot) = to;
  }
  if (out.architecture.tied_embeddings) out.weights.lm_head = out.weights.embedding;
  out.storage = storage;
  return out;
}

}  // namespace serveloop::execute::cpu::test
