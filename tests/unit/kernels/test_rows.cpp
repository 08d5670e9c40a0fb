// Kernels that work row by row or element by element, against libm and definitions.
#include <boost/test/unit_test.hpp>
#include <cfloat>
#include <cmath>
#include <limits>

#include "helpers.hpp"

using namespace serveloop::tests;
namespace cpu = serveloop::kernels::cpu;

namespace {

// Distance in units of the last place of the exact value.
double ulps(float found, double exact) {
  const float nearest = static_cast<float>(exact);
  const double unit =
      std::max(static_cast<double>(std::nextafter(std::abs(nearest), INFINITY) - std::abs(nearest)),
               static_cast<double>(FLT_TRUE_MIN));
  return std::abs(found - exact) / unit;
}

template <class Function, class Exact>
double worst_ulps(const std::vector<float>& x, Function function, Exact exact) {
  std::vector<float> y(x.size());
  function(x.data(), static_cast<std::int64_t>(x.size()), y.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, ulps(y[i], exact(static_cast<double>(x[i]))));
  return worst;
}

std::vector<float> grid(float from, float to, int steps) {
  std::vector<float> x;
  for (int i = 0; i <= steps; ++i)
    x.push_back(from + (to - from) * static_cast<float>(i) / static_cast<float>(steps));
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rows)

BOOST_AUTO_TEST_CASE(exp_and_tanh_are_as_good_as_stated) {
  for (const Isa isa : isas()) {
    const Kernels& kernels = cpu::kernels(isa);
    BOOST_TEST(worst_ulps(grid(-86.5f, 88.7f, 400003), kernels.exp, [](double x) { return std::exp(x); }) <
               2.0);
    BOOST_TEST(worst_ulps(grid(-0.01f, 0.01f, 20001), kernels.exp, [](double x) { return std::exp(x); }) <
               2.0);
    BOOST_TEST(worst_ulps(grid(-10.0f, 10.0f, 400003), kernels.tanh, [](double x) { return std::tanh(x); }) <
               4.0);
    BOOST_TEST(worst_ulps(grid(-1e-3f, 1e-3f, 20001), kernels.tanh, [](double x) { return std::tanh(x); }) <
               4.0);

    const float inf = INFINITY;
    const std::vector<float> special = {-inf, inf, NAN, 0.0f, -0.0f, -87.0f, 89.0f, -1e30f, 1e30f};
    std::vector<float> e(special.size()), t(special.size());
    kernels.exp(special.data(), 9, e.data());
    kernels.tanh(special.data(), 9, t.data());
    BOOST_TEST((e[0] == 0.0f && e[1] == inf && std::isnan(e[2]) && e[3] == 1.0f && e[4] == 1.0f));
    BOOST_TEST((e[5] == 0.0f && e[6] == inf && e[7] == 0.0f && e[8] == inf));
    BOOST_TEST(
        (t[0] == -1.0f && t[1] == 1.0f && std::isnan(t[2]) && t[3] == 0.0f && t[7] == -1.0f && t[8] == 1.0f));
  }
}

BOOST_AUTO_TEST_CASE(norms_against_double_precision) {
  Random random(11);
  for (const Isa isa : isas())
    for (const int n : {1, 3, 12, 16, 20, 64, 576, 577}) {
      const int count = 3, ldx = n + 5, ldo = n + 2;
      const std::vector<float> x = random.normals(static_cast<std::size_t>(count * ldx));
      const std::vector<float> weight = random.normals(static_cast<std::size_t>(n));
      std::vector<float> out(static_cast<std::size_t>(count * ldo), -77.0f),
          alone(static_cast<std::size_t>(n));
      cpu::kernels(isa).rms_norm(x.data(), ldx, weight.data(), 1e-5f, count, n, out.data(), ldo);
      for (int r = 0; r < count; ++r) {
        double squares = 0;
        for (int i = 0; i < n; ++i) squares += static_cast<double>(x[r * ldx + i]) * x[r * ldx + i];
        for (int i = 0; i < n; ++i) {
          const double exact = x[r * ldx + i] / std::sqrt(squares / n + 1e-5) * weight[i];
          BOOST_TEST(std::abs(out[r * ldo + i] - exact) <= 4e-7 * std::abs(exact) + 1e-12);
        }
        BOOST_TEST((out[r * ldo + n] == -77.0f && out[r * ldo + n + 1] == -77.0f));
        cpu::kernels(isa).rms_norm(x.data() + r * ldx, ldx, weight.data(), 1e-5f, 1, n, alone.data(), n);
        BOOST_TEST(same_bits(alone.data(), out.data() + r * ldo, alone.size()));
      }
    }
}

BOOST_AUTO_TEST_CASE(rope_turns_pairs) {
  Random random(12);
  const int heads = 3;
  for (const Isa isa : isas())
    for (const auto pairs : {cpu::RopePairs::halves, cpu::RopePairs::neighbours})
      for (const auto& [head_dim, rope_dim] : {std::pair{12, 12}, {64, 64}, {20, 8}, {80, 48}}) {
        const int half = rope_dim / 2, position = 12345;
        std::vector<double> inv_freq;
        for (int i = 0; i < half; ++i) inv_freq.push_back(std::pow(10000.0, -2.0 * i / rope_dim));
        std::vector<float> cos(half), sin(half);
        cpu::fill_rope_tables(inv_freq.data(), half, position, 1, cos.data(), sin.data());
        const std::vector<float> x = random.normals(static_cast<std::size_t>(heads * head_dim));
        std::vector<float> y = x;
        cpu::kernels(isa).rope(y.data(), heads, head_dim, rope_dim, pairs, cos.data(), sin.data());
        std::vector<double> exact(x.begin(), x.end());
        for (int h = 0; h < heads; ++h)
          for (int i = 0; i < half; ++i) {
            const int first = h * head_dim + (pairs == cpu::RopePairs::halves ? i : 2 * i);
            const int second = pairs == cpu::RopePairs::halves ? first + half : first + 1;
            const double angle = position * inv_freq[i];
            exact[first] = x[first] * std::cos(angle) - x[second] * std::sin(angle);
            exact[second] = x[second] * std::cos(angle) + x[first] * std::sin(angle);
          }
        for (std::size_t i = 0; i < y.size(); ++i) BOOST_TEST(std::abs(y[i] - exact[i]) <= 1e-6);
      }
}

BOOST_AUTO_TEST_CASE(gates_sums_and_caps) {
  Random random(13);
  for (const Isa isa : isas())
    for (const int n : {1, 7, 16, 101}) {
      const Kernels& kernels = cpu::kernels(isa);
      std::vector<float> gate = random.normals(static_cast<std::size_t>(n)), up = random.normals(gate.size());
      for (float& g : gate) g *= 6.0f;
      std::vector<float> swiglu(gate.size() + 1, -77.0f), geglu = swiglu, sum = up, scaled = up,
                                                          capped = gate;
      kernels.swiglu(gate.data(), up.data(), n, swiglu.data());
      kernels.geglu(gate.data(), up.data(), n, geglu.data());
      kernels.add(gate.data(), n, sum.data());
      kernels.scale(0.3f, n, scaled.data());
      kernels.soft_cap(5.0f, n, capped.data());
      for (int i = 0; i < n; ++i) {
        const double g = gate[i], u = std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g);
        const double silu = g / (1 + std::exp(-g)) * up[i];
        const double gelu = 0.5 * g * std::erfc(0.0) * (1 + std::tanh(u)) * up[i];
        BOOST_TEST(std::abs(swiglu[i] - silu) <= 4e-7 * std::abs(silu));
        BOOST_TEST(std::abs(geglu[i] - gelu) <= 1e-6 * std::abs(gelu) + 1e-6 * std::abs(up[i]));
        BOOST_TEST(sum[i] == gate[i] + up[i]);
        BOOST_TEST(scaled[i] == up[i] * 0.3f);
        BOOST_TEST(std::abs(capped[i] - 5 * std::tanh(g / 5)) <= 2e-6);
      }
      BOOST_TEST((swiglu[n] == -77.0f && geglu[n] == -77.0f));
    }
}

BOOST_AUTO_TEST_CASE(prepared_int8_is_the_nearest) {
  Random random(14);
  for (const Isa isa : isas()) {
    const int m = 4, k = 96;
    std::vector<float> x = random.normals(m * k);
    for (int i = 32; i < 64; ++i) x[i] = 0.0f;
    for (int i = 64; i < 96; ++i) x[i] *= 1e-35f;
    x[k] = 100.0f;
    x[2 * k] = NAN;
    x[3 * k + 40] = -INFINITY;
    const std::size_t bytes = cpu::act_row_bytes(Act::int8, k);
    Buffer rows(bytes * m);
    cpu::kernels(isa).prepare(Act::int8, x.data(), k, m, k, rows.data());
    for (int r = 0; r < m; ++r)
      for (int g = 0; g < k / 32; ++g) {
        const std::uint8_t* row = rows.bytes() + bytes * static_cast<std::size_t>(r);
        const auto* scale = reinterpret_cast<const float*>(row + k);
        const auto* sum = reinterpret_cast<const std::int32_t*>(row + k + 24);
        const float* from = x.data() + r * k + g * 32;
        float most = 0;
        int total = 0;
        for (int i = 0; i < 32; ++i) {
          most = std::max(most, std::abs(from[i]));
          total += static_cast<std::int8_t>(row[g * 32 + i]);
        }
        BOOST_TEST(sum[g] == total);
        if ((r == 2 && g == 0) || (r == 3 && g == 1)) {
          BOOST_TEST((std::isnan(scale[g]) && std::isnan(scale[3 + g])));
          continue;
        }
        BOOST_TEST(scale[g] == (most < 1e-30f ? 0.0f : most / 127.0f));
        BOOST_TEST(scale[3 + g] == scale[g] * static_cast<float>(total));
        for (int i = 0; i < 32; ++i)
          BOOST_TEST(std::abs(from[i] - scale[g] * static_cast<float>(static_cast<std::int8_t>(
                                                       row[g * 32 + i]))) <= scale[g] * 0.50001f + 1e-30f);
      }
  }
}

BOOST_AUTO_TEST_CASE(bf16_is_rounded_to_nearest_even) {
  const std::vector<float> x = {1.0f, 1.00390625f, 1.01171875f, 1.0039064f, -3.3e38f, 3.4e38f, 1e-40f, NAN};
  const std::vector<float> expected = {1.0f, 1.0f, 1.015625f, 1.0078125f};
  for (const Isa isa : isas()) {
    Buffer row(cpu::act_row_bytes(Act::bf16, 8));
    cpu::kernels(isa).prepare(Act::bf16, x.data(), 8, 1, 8, row.data());
    const auto* y = reinterpret_cast<const float*>(row.bytes());
    for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(y[i] == expected[i]);
    BOOST_TEST((std::isinf(y[5]) && y[6] > 0.0f && std::isnan(y[7])));
  }
}

BOOST_AUTO_TEST_SUITE_END()
