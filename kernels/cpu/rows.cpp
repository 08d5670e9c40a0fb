// Everything that works row by row or element by element: preparing activations, norms, rotary positions, gates. Sums
// run in 16 lanes, ascending, then over the lanes in a fixed order.
#include "kernels/cpu/scalar.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/table.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {
namespace {

constexpr float kSmallest = 1e-30f;  // a group below it is zero: 127 / amax must stay finite
constexpr std::int32_t kInfinity = 0x7f800000;

// One group of 32: values, scale, sum. A group that holds an infinity or a NaN gets the scale NaN.
std::int32_t quantise_group(const float* x, std::int8_t* q, float* scale) {
  // The bits of numbers of one sign are in their order, infinity and NaN above all others.
  I largest = bits(zero());
  for (int i = 0; i < kGroup; i += kLanes)
    largest = max_i(largest, and_i(bits(load(x + i)), set1_i(INT32_MAX)));
  const std::int32_t amax_bits = max_lanes(largest);
  float amax;
  __builtin_memcpy(&amax, &amax_bits, sizeof amax);
  const bool tiny = amax < kSmallest;
  *scale = amax_bits >= kInfinity ? __builtin_nanf("") : tiny ? 0.0f : amax / 127.0f;
  const F inverse = set1(tiny ? 0.0f : 127.0f / amax);
  alignas(64) std::int32_t whole[kGroup];
  for (int i = 0; i < kGroup; i += kLanes) {
    // Adding 1.5 x 2^23 rounds to nearest even and leaves the integer in the low bits.
    const I y = add_i(bits(add(mul(load(x + i), inverse), set1(12582912.0f))), set1_i(-0x4b400000));
    __builtin_memcpy(whole + i, &y, sizeof y);
  }
  std::int32_t sum = 0;
  for (int i = 0; i < kGroup; ++i) {
    q[i] = static_cast<std::int8_t>(whole[i]);
    sum += q[i];
  }
  return sum;
}

void quantise_row(const float* x, int k, std::uint8_t* row) {
  const int groups = k / kGroup;
  auto* scale = reinterpret_cast<float*>(row + k);
  auto* sum = reinterpret_cast<std::int32_t*>(scale + 2 * groups);
  for (int g = 0; g < groups; ++g) {
    sum[g] = quantise_group(x + g * kGroup, reinterpret_cast<std::int8_t*>(row) + g * kGroup, scale + g);
    scale[groups + g] = scale[g] * static_cast<float>(sum[g]);
  }
}

// f(i, first lanes) for each vector of [0, n).
template <class Body>
inline void over(std::int64_t n, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, static_cast<int>(n - i));
}
inline F get(const float* p, int n) { return n == kLanes ? load(p) : load_n(p, n); }
inline void put(float* p, F x, int n) { n == kLanes ? store(p, x) : store_n(p, x, n); }

inline F over_one_plus_exp_minus(F x, F y) { return div(x, add(set1(1.0f), exp(sub(zero(), y)))); }

}  // namespace

void prepare(Act act, const float* x, std::int64_t ldx, int m, int k, void* rows) {
  const std::size_t stride = act_row_bytes(act, k);
  for (int r = 0; r < m; ++r) {
    auto* row = static_cast<std::uint8_t*>(rows) + static_cast<std::size_t>(r) * stride;
    const float* from = x + r * ldx;
    auto* to = reinterpret_cast<float*>(row);
    if (act == Act::int8)
      quantise_row(from, k, row);
    else if (act == Act::bf16)
      for (int i = 0; i < k; ++i) to[i] = bf16_to_f32(f32_to_bf16(from[i]));
    else
      for (int i = 0; i < k; ++i) to[i] = from[i];
  }
}

void rms_norm(const float* x, std::int64_t ldx, const float* weight, float eps, int rows, int n, float* out,
              std::int64_t ldo) {
  for (int r = 0; r < rows; ++r) {
    const float* row = x + r * ldx;
    float* to = out + r * ldo;
    F sum[kVecs];
    for (int v = 0; v < kVecs; ++v) sum[v] = zero();
    for (int i = 0; i < n; i += 16)
      for (int v = 0; v < kVecs; ++v) {
        const F y = load_n(row + i + v * kLanes, n - i - v * kLanes);
        sum[v] = fma(y, y, sum[v]);
      }
    for (int v = 1; v < kVecs; ++v) sum[0] = add(sum[0], sum[v]);
    const float inverse = 1.0f / __builtin_sqrtf(sum_lanes(sum[0]) / static_cast<float>(n) + eps);
    over(n, [&](std::int64_t i, int lanes) {
      put(to + i, mul(mul(get(row + i, lanes), set1(inverse)), get(weight + i, lanes)), lanes);
    });
  }
}

void rope(float* x, int heads, int head_dim, int rope_dim, RopePairs pairs, const float* cos,
          const float* sin) {
  const int half = rope_dim / 2;
  for (int head = 0; head < heads; ++head) {
    float* at = x + std::int64_t{head} * head_dim;
    const int step = pairs == RopePairs::halves ? 1 : 2;
    const int apart = pairs == RopePairs::halves ? half : 1;
#pragma GCC ivdep
    for (int i = 0; i < half; ++i) {
      const float a = at[i * step], b = at[i * step + apart];
      at[i * step] = a * cos[i] - b * sin[i];
      at[i * step + apart] = b * cos[i] + a * sin[i];
    }
  }
}

void swiglu(const float* gate, const float* up, std::int64_t n, float* out) {
  over(n, [&](std::int64_t i, int lanes) {
    const F g = get(gate + i, lanes);
    put(out + i, mul(over_one_plus_exp_minus(g, g), get(up + i, lanes)), lanes);
  });
}

// gelu(g) = g (1 + tanh(u)) / 2 = g / (1 + exp(-2 u)), u = sqrt(2 / pi) (g + 0.044715 g^3).
void geglu(const float* gate, const float* up, std::int64_t n, float* out) {
  over(n, [&](std::int64_t i, int lanes) {
    const F g = get(gate + i, lanes);
    const F inner = fma(mul(mul(g, g), g), set1(0.044715f), g);
    put(out + i, mul(over_one_plus_exp_minus(g, mul(inner, set1(1.59576912f))), get(up + i, lanes)), lanes);
  });
}

void add_rows(const float* x, std::int64_t n, float* sum) {
  over(n,
       [&](std::int64_t i, int lanes) { put(sum + i, add(get(sum + i, lanes), get(x + i, lanes)), lanes); });
}

void scale(float factor, std::int64_t n, float* x) {
  over(n, [&](std::int64_t i, int lanes) { put(x + i, mul(get(x + i, lanes), set1(factor)), lanes); });
}

void soft_cap(float cap, std::int64_t n, float* x) {
  over(n, [&](std::int64_t i, int lanes) {
    put(x + i, mul(set1(cap), tanh(div(get(x + i, lanes), set1(cap)))), lanes);
  });
}

void exp_all(const float* x, std::int64_t n, float* out) {
  over(n, [&](std::int64_t i, int lanes) { put(out + i, exp(get(x + i, lanes)), lanes); });
}

void tanh_all(const float* x, std::int64_t n, float* out) {
  over(n, [&](std::int64_t i, int lanes) { put(out + i, tanh(get(x + i, lanes)), lanes); });
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
