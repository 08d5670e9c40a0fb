// Bytes may lie anywhere: every number is read by memcpy.
#include "model/dequantise.hpp"

#include <bit>
#include <cstring>

#include "model/numbers.hpp"

static_assert(std::endian::native == std::endian::little, "weight files are read in place, as they are");

namespace serveloop::model {
namespace {

std::uint16_t read_16(const std::byte* at) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

// 32 values from 16 bytes of nibbles.
void nibbles(const std::byte* quants, float scale, float offset, float minimum, float* out) {
  for (int j = 0; j < 16; ++j) {
    const auto pair = std::to_integer<unsigned>(quants[j]);
    out[j] = (static_cast<float>(pair & 15u) - offset) * scale + minimum;
    out[j + 16] = (static_cast<float>(pair >> 4) - offset) * scale + minimum;
  }
}

}  // namespace

void dequantise(Type type, const std::byte* data, std::uint64_t values, float* out) {
  assert(values % info(type).block_values == 0);
  const std::uint64_t blocks = values / info(type).block_values;
  switch (type) {
    case Type::f32: std::memcpy(out, data, values * sizeof(float)); return;
    case Type::f16:
      for (std::uint64_t i = 0; i < values; ++i) out[i] = from_f16(read_16(data + 2 * i));
      return;
    case Type::bf16:
      for (std::uint64_t i = 0; i < values; ++i) out[i] = from_bf16(read_16(data + 2 * i));
      return;
    case Type::q8_0:
      for (std::uint64_t b = 0; b < blocks; ++b, data += 34, out += 32) {
        const float scale = from_f16(read_16(data));
        for (int j = 0; j < 32; ++j)
          out[j] = static_cast<float>(std::to_integer<std::int8_t>(data[2 + j])) * scale;
      }
      return;
    case Type::q4_0:
      for (std::uint64_t b = 0; b < blocks; ++b, data += 18, out += 32)
        nibbles(data + 2, from_f16(read_16(data)), 8.0f, -0.0f, out);  // x + -0 is x, also where x is -0
      return;
    case Type::q4_1:
      for (std::uint64_t b = 0; b < blocks; ++b, data += 20, out += 32)
        nibbles(data + 4, from_f16(read_16(data)), 0.0f, from_f16(read_16(data + 2)), out);
      return;
  }
}

}  // namespace serveloop::model
