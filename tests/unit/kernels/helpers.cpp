#include "helpers.hpp"

#include <cmath>
#include <new>

namespace serveloop::tests {

namespace cpu = kernels::cpu;

Buffer::Buffer(std::size_t bytes, int fill)
    : data_(static_cast<std::uint8_t*>(::operator new (bytes + 64, std::align_val_t{64}))) {
  std::memset(data_.get(), fill, bytes + 64);
}
void Buffer::Free::operator()(std::uint8_t* p) const { ::operator delete (p, std::align_val_t{64}); }

std::vector<float> Random::normals(std::size_t n) {
  std::vector<float> x(n);
  for (float& v : x) v = normal();
  return x;
}

namespace {

// Decoded by the definition of the formats, sharing no code with the kernels.
double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double fraction = bits & 1023;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25);
  return bits >> 15 != 0 ? -size : size;
}

std::uint16_t random_half(Random& random, int lowest_exponent, int exponents) {
  const int exponent = lowest_exponent + random.below(exponents);
  return static_cast<std::uint16_t>(random.below(2) << 15 | exponent << 10 | random.below(1024));
}

void put_half(std::vector<std::uint8_t>& to, std::uint16_t half) {
  to.push_back(static_cast<std::uint8_t>(half & 255));
  to.push_back(static_cast<std::uint8_t>(half >> 8));
}

void random_block(Type type, Random& random, std::vector<std::uint8_t>& source, std::vector<double>& value) {
  const std::uint16_t d = random_half(random, 6, 4);
  const std::uint16_t m = random_half(random, 7, 4);
  put_half(source, d);
  if (type == Type::q4_1) put_half(source, m);
  if (type == Type::q8_0) {
    for (int i = 0; i < 32; ++i) {
      const int q = random.below(256) - 128;
      source.push_back(static_cast<std::uint8_t>(q));
      value.push_back(half_value(d) * q);
    }
    return;
  }
  std::vector<int> q(32);
  for (int& x : q) x = random.below(8) == 0 ? 15 : random.below(16);
  for (int i = 0; i < 16; ++i) source.push_back(static_cast<std::uint8_t>(q[i] | q[i + 16] << 4));
  for (int i = 0; i < 32; ++i)
    value.push_back(type == Type::q4_1 ? half_value(d) * q[i] + half_value(m) : half_value(d) * (q[i] - 8));
}

void random_element(Type type, Random& random, std::vector<std::uint8_t>& source,
                    std::vector<double>& value) {
  const float x = random.normal();
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, 4);
  if (type == Type::f32) {
    for (int i = 0; i < 4; ++i) source.push_back(static_cast<std::uint8_t>(bits >> 8 * i));
    value.push_back(x);
  } else if (type == Type::bf16) {
    put_half(source, static_cast<std::uint16_t>(bits >> 16));
    bits &= 0xffff0000u;
    float cut = 0;
    std::memcpy(&cut, &bits, 4);
    value.push_back(cut);
  } else {
    const std::uint16_t half = random_half(random, 0, 16);  // subnormals too
    put_half(source, half);
    value.push_back(half_value(half));
  }
}

}  // namespace

Weights::Weights(Type type_, int n_, int k_, Random& random)
    : type(type_), n(n_), k(k_), panels(cpu::packed_bytes(type_, n_, k_)) {
  for (int row = 0; row < n; ++row)
    for (int i = 0; i < k; i += cpu::quantised(type) ? 32 : 1)
      cpu::quantised(type) ? random_block(type, random, source, value)
                           : random_element(type, random, source, value);
  const int count = cpu::panels(n);
  const int cut = random.below(count + 1);  // in two parts, as two threads would
  cpu::pack(type, source.data(), n, k, panels.data(), cut, count);
  cpu::pack(type, source.data(), n, k, panels.data(), 0, cut);
}

std::vector<Isa> isas() {
  std::vector<Isa> found;
  for (int i = 0; i < cpu::kIsaCount; ++i)
    if (cpu::runs(static_cast<Isa>(i))) found.push_back(static_cast<Isa>(i));
  return found;
}

const std::vector<Type>& types() {
  static const std::vector<Type> all = {Type::f32, Type::bf16, Type::f16, Type::q8_0, Type::q4_0, Type::q4_1};
  return all;
}

const char* name_of(Type type) {
  static const char* const names[] = {"f32", "bf16", "f16", "q8_0", "q4_0", "q4_1"};
  return names[static_cast<int>(type)];
}

bool same_bits(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}

}  // namespace serveloop::tests
