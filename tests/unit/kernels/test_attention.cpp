// Paged attention against F64, and law 1: a token's bits do not depend on chunks, blocks, heads asked for, or what the
// cache's other slots hold (NaN, here).
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "helpers.hpp"
#include "kernels/cpu/scalar.hpp"

using namespace serveloop::tests;
namespace cpu = serveloop::kernels::cpu;
using cpu::KvLayout;
using cpu::KvType;

namespace {

struct Shape {
  int q_heads, kv_heads, head_dim, window;
  float soft_cap;
  KvType type;
};

std::string label(Isa isa, const Shape& s, int block_tokens) {
  return std::string(cpu::name(isa)) + " heads " + std::to_string(s.q_heads) + "/" +
         std::to_string(s.kv_heads) + " d " + std::to_string(s.head_dim) + " window " +
         std::to_string(s.window) + " cap " + std::to_string(s.soft_cap) +
         (s.type == KvType::bf16  ? " bf16"
          : s.type == KvType::f16 ? " f16"
                                  : " f32") +
         " blocks of " + std::to_string(block_tokens);
}

// One sequence: rows of Q, K, V by position.
struct Sequence {
  Sequence(const Shape& s, int n, Random& random)
      : shape(s),
        tokens(n),
        q(random.normals(static_cast<std::size_t>(n * s.q_heads * s.head_dim))),
        k(random.normals(static_cast<std::size_t>(n * s.kv_heads * s.head_dim))),
        v(random.normals(k.size())) {}
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }
  Shape shape;
  int tokens;
  std::vector<float> q, k, v;
};

// A cache of NaN, in which the sequence's blocks lie in random order.
class Cache {
 public:
  Cache(const Kernels& kernels, const Sequence& s, int block_tokens, Random& random)
      : kernels_(kernels),
        layout_{s.shape.type, s.shape.kv_heads, s.shape.head_dim, block_tokens, 0},
        bytes_((layout_.block_stride = cpu::kv_block_bytes(layout_) + 64) *
                   static_cast<std::size_t>(s.tokens / block_tokens + 3),
               0xff),
        scratch_(cpu::attention_scratch_bytes(layout_), 0xff),
        table_(static_cast<std::size_t>(s.tokens / block_tokens + 3)) {
    std::iota(table_.begin(), table_.end(), 0);
    for (std::size_t i = table_.size() - 1; i > 0; --i)
      std::swap(table_[i], table_[random.below(static_cast<int>(i))]);
  }
  void write(const Sequence& s, int begin, int end) {
    std::vector<std::int64_t> slots;
    for (int t = begin; t < end; ++t)
      slots.push_back(std::int64_t{table_[t / layout_.block_tokens]} * layout_.block_tokens +
                      t % layout_.block_tokens);
    const std::int64_t row = s.shape.kv_heads * s.shape.head_dim;
    kernels_.kv_write({&layout_, bytes_.data(), s.k.data() + begin * row, row, s.v.data() + begin * row, row,
                       end - begin, slots.data()});
  }
  void attend(const Sequence& s, int begin, int end, int head_begin, int head_end, float* out) {
    const std::int64_t row = s.shape.q_heads * s.shape.head_dim;
    kernels_.attention({&layout_, bytes_.data(), table_.data(), s.shape.q_heads, end - begin, begin,
                        s.scale(), s.shape.soft_cap, s.shape.window, s.q.data() + begin * row, row,
                        out + begin * row, row, head_begin, head_end, scratch_.data()});
  }

 private:
  const Kernels& kernels_;
  KvLayout layout_;
  Buffer bytes_, scratch_;
  std::vector<std::int32_t> table_;
};

float stored(KvType type, float x) {
  if (type == KvType::f32) return x;
  if (type == KvType::f16) return static_cast<float>(static_cast<_Float16>(x));
  Buffer row(64);
  cpu::kernels(Isa::portable).prepare(Act::bf16, &x, 1, 1, 1, row.data());
  std::memcpy(&x, row.data(), 4);
  return x;
}

std::vector<double> reference(const Sequence& s) {
  const Shape& shape = s.shape;
  const int d = shape.head_dim, q_row = shape.q_heads * d, kv_row = shape.kv_heads * d;
  std::vector<float> k, v;
  for (const float x : s.k) k.push_back(stored(shape.type, x));
  for (const float x : s.v) v.push_back(stored(shape.type, x));
  std::vector<double> out(s.q.size());
  for (int t = 0; t < s.tokens; ++t)
    for (int h = 0; h < shape.q_heads; ++h) {
      const int kv = h / (shape.q_heads / shape.kv_heads);
      const int first = shape.window > 0 ? std::max(0, t - shape.window + 1) : 0;
      std::vector<double> score;
      for (int j = first; j <= t; ++j) {
        double sum = 0;
        for (int i = 0; i < d; ++i)
          sum += static_cast<double>(s.q[t * q_row + h * d + i]) * k[j * kv_row + kv * d + i];
        sum *= s.scale();
        score.push_back(shape.soft_cap > 0 ? shape.soft_cap * std::tanh(sum / shape.soft_cap) : sum);
      }
      const double most = *std::max_element(score.begin(), score.end());
      double total = 0;
      for (double& x : score) total += x = std::exp(x - most);
      for (int i = 0; i < d; ++i)
        for (int j = first; j <= t; ++j)
          out[t * q_row + h * d + i] += score[j - first] / total * v[j * kv_row + kv * d + i];
    }
  return out;
}

std::vector<float> in_chunks(const Kernels& kernels, const Sequence& s, int block_tokens, int most,
                             Random& random) {
  Cache cache(kernels, s, block_tokens, random);
  std::vector<float> out(s.q.size(), -77.0f);
  for (int begin = 0; begin < s.tokens;) {
    const int end = std::min(s.tokens, begin + (most < 3 ? most : 1 + random.below(most)));
    cache.write(s, begin, end);
    for (int head = 0; head < s.shape.q_heads;) {
      const int to =
          most == s.tokens ? s.shape.q_heads : std::min(s.shape.q_heads, head + 1 + random.below(5));
      cache.attend(s, begin, end, head, to, out.data());
      head = to;
    }
    begin = end;
  }
  return out;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {9, 3, 64, 0, 0.0f, KvType::bf16},   {9, 3, 64, 0, 0.0f, KvType::f32},
      {4, 4, 12, 0, 0.0f, KvType::bf16},   {4, 1, 20, 50, 0.0f, KvType::f32},
      {6, 2, 20, 7, 3.0f, KvType::bf16},   {2, 2, 128, 90, 0.0f, KvType::bf16},
      {4, 1, 256, 0, 20.0f, KvType::bf16}, {3, 3, 7, 0, 0.0f, KvType::bf16},
      {8, 1, 80, 64, 0.0f, KvType::f32},   {9, 3, 64, 0, 0.0f, KvType::f16},
      {4, 4, 13, 0, 0.0f, KvType::f16},    {6, 2, 20, 7, 3.0f, KvType::f16},
      {4, 1, 256, 90, 20.0f, KvType::f16}};
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention)

BOOST_AUTO_TEST_CASE(halves) {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float x = cpu::f16_to_f32(half);
    if (x == x)
      BOOST_REQUIRE_EQUAL(cpu::f32_to_f16(x), half);
    else
      BOOST_REQUIRE_EQUAL(cpu::f32_to_f16(x), (half & 0x8000u) | 0x7e00u);
  }
  // The compiler's own rounding, over all exponents of numbers that fit, and the two sides of a tie.
  Random random(5);
  for (int i = 0; i < 200'000; ++i) {
    const int exponent = random.below(42) - 26;
    const float x = std::ldexp(random.normals(1)[0], exponent);
    if (std::fabs(x) > 65504) continue;
    BOOST_REQUIRE_EQUAL(cpu::f32_to_f16(x), __builtin_bit_cast(std::uint16_t, static_cast<_Float16>(x)));
  }
  const float infinity = std::numeric_limits<float>::infinity();
  const std::pair<float, std::uint16_t> edges[] = {
      {65504, 0x7bff},    {65519.9f, 0x7bff},  {65520, 0x7bff},     {1e38f, 0x7bff},     {-70000, 0xfbff},
      {infinity, 0x7c00}, {-infinity, 0xfc00}, {2.98023224e-8f, 0}, {2.98023259e-8f, 1}, {-0.0f, 0x8000}};
  for (const auto& [x, half] : edges) BOOST_CHECK_EQUAL(cpu::f32_to_f16(x), half);
}

BOOST_AUTO_TEST_CASE(against_double_precision) {
  Random random(31);
  for (const Isa isa : isas())
    for (const Shape& shape : shapes()) {
      const Sequence s(shape, 203, random);
      const std::vector<double> exact = reference(s);
      const std::vector<float> out = in_chunks(cpu::kernels(isa), s, 16, 97, random);
      double worst = 0;
      for (std::size_t i = 0; i < out.size(); ++i) {
        const double error = std::abs(out[i] - exact[i]);
        worst = error > worst || std::isnan(error) ? error : worst;
      }
      BOOST_TEST(worst < 4e-6, label(isa, shape, 16) << ": " << worst);
    }
}

BOOST_AUTO_TEST_CASE(a_token_does_not_depend_on_chunks_blocks_or_heads) {
  Random random(32);
  for (const Isa isa : isas())
    for (const Shape& shape : shapes()) {
      const Kernels& kernels = cpu::kernels(isa);
      const Sequence s(shape, 170, random);
      const std::vector<float> one = in_chunks(kernels, s, 16, 1, random);  // token by token
      for (const int block_tokens : {1, 4, 16, 64}) {
        for (const int most : {2, 40, 170}) {
          const std::vector<float> out = in_chunks(kernels, s, block_tokens, most, random);
          BOOST_TEST(same_bits(out.data(), one.data(), out.size()), label(isa, shape, block_tokens)
                                                                        << " chunks up to " << most);
        }
      }
      Cache cache(kernels, s, 32, random);  // the whole prompt at once
      std::vector<float> out(s.q.size());
      cache.write(s, 0, s.tokens);
      cache.attend(s, 0, s.tokens, 0, shape.q_heads, out.data());
      BOOST_TEST(same_bits(out.data(), one.data(), out.size()), label(isa, shape, 32));
    }
}

// Values that later tokens hold, whatever they are, do not reach a query before them.
BOOST_AUTO_TEST_CASE(no_query_sees_the_future) {
  Random random(33);
  for (const Isa isa : isas())
    for (const Shape& shape : shapes()) {
      Sequence s(shape, 100, random);
      const std::vector<float> before = in_chunks(cpu::kernels(isa), s, 16, 100, random);
      const int cut = 61, row = shape.kv_heads * shape.head_dim, q_row = shape.q_heads * shape.head_dim;
      for (std::size_t i = static_cast<std::size_t>(cut * row); i < s.k.size(); ++i) s.k[i] = s.v[i] = NAN;
      Cache cache(cpu::kernels(isa), s, 16, random);
      std::vector<float> out(s.q.size());
      cache.write(s, 0, s.tokens);
      cache.attend(s, 0, s.tokens, 0, shape.q_heads, out.data());
      BOOST_TEST(same_bits(out.data(), before.data(), static_cast<std::size_t>(cut * q_row)),
                 label(isa, shape, 16));
    }
}

BOOST_AUTO_TEST_SUITE_END()
