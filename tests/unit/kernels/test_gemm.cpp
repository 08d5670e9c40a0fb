// Products against F64, and law 1: a row's bits depend on the row alone.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>

#include "helpers.hpp"

using namespace serveloop::tests;
namespace cpu = serveloop::kernels::cpu;

namespace {

struct Case {
  Type type;
  Act act;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Type type : types())
    for (const Act act : {Act::f32, Act::bf16, Act::int8})
      if (act != Act::int8 || cpu::quantised(type)) all.push_back({type, act});
  return all;
}
std::string label(Isa isa, const Case& c, int m, int n, int k) {
  const char* act[] = {"f32", "bf16", "int8"};
  return std::string(cpu::name(isa)) + " " + name_of(c.type) + " x " + act[static_cast<int>(c.act)] + " m " +
         std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k);
}

struct Rows {
  Rows(const Kernels& kernels, Act act_, const std::vector<float>& x, int m, int k)
      : act(act_), stride(cpu::act_row_bytes(act_, k)), data(stride * static_cast<std::size_t>(m), 0xff) {
    kernels.prepare(act, x.data(), k, m, k, data.data());
  }
  // What the prepared row means.
  double value(int row, int i, int k) {
    const std::uint8_t* p = data.bytes() + stride * static_cast<std::size_t>(row);
    const auto* wide = reinterpret_cast<const float*>(p + (act == Act::int8 ? k : 0));
    if (act != Act::int8) return static_cast<double>(wide[i]);
    return static_cast<double>(wide[i / 32]) * static_cast<std::int8_t>(p[i]);
  }
  const void* row(int r) { return data.bytes() + stride * static_cast<std::size_t>(r); }

  Act act;
  std::size_t stride;
  Buffer data;
};

void check_against_reference(const Kernels& kernels, const Case& c, int m, int n, int k, Random& random) {
  Weights w(c.type, n, k, random);
  const Packed packed = w.packed();
  Rows rows(kernels, c.act, random.normals(static_cast<std::size_t>(m * k)), m, k);
  const std::vector<float> bias = random.normals(static_cast<std::size_t>(n));
  const int ldc = n + 3;
  std::vector<float> out(static_cast<std::size_t>(m * ldc), -77.0f);
  kernels.gemm({&packed, c.act, rows.row(0), m, bias.data(), out.data(), ldc, 0, n});
  for (int r = 0; r < m; ++r) {
    for (int j = 0; j < n; ++j) {
      double sum = bias[j], size = std::abs(bias[j]);
      for (int i = 0; i < k; ++i) {
        const double product = rows.value(r, i, k) * w.value[j * k + i];
        sum += product;
        size += std::abs(product);
      }
      // Q4_1's value is rounded once when it is dequantised, and its offset is summed apart.
      const double allowed = size * 1.5e-6 + 1e-6;
      if (!(std::abs(out[r * ldc + j] - sum) <= allowed))
        BOOST_FAIL(label(kernels.isa, c, m, n, k) << " at " << r << ", " << j << ": " << out[r * ldc + j]
                                                  << " for " << sum << " within " << allowed);
    }
    for (int j = n; j < ldc; ++j) BOOST_REQUIRE(out[r * ldc + j] == -77.0f);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm)

BOOST_AUTO_TEST_CASE(every_type_against_double_precision) {
  Random random(2);
  for (const Isa isa : isas())
    for (const Case& c : cases())
      for (const int m : {1, 2, 3, 4, 5, 6, 7, 8, 13, 29}) {
        const bool blocks = cpu::quantised(c.type);
        check_against_reference(cpu::kernels(isa), c, m, 1, blocks ? 32 : 1, random);
        check_against_reference(cpu::kernels(isa), c, m, 50, blocks ? 96 : 37, random);
        check_against_reference(cpu::kernels(isa), c, m, 81, blocks ? 288 : 259, random);
        check_against_reference(cpu::kernels(isa), c, m, 16, blocks ? 576 : 513, random);
      }
}

// Extremes of the integer paths: largest weights and activations everywhere.
BOOST_AUTO_TEST_CASE(no_integer_saturates) {
  Random random(3);
  for (const Isa isa : isas())
    for (const Type type : {Type::q4_0, Type::q4_1, Type::q8_0})
      for (const int sign : {1, -1}) {
        const int n = 16, k = 64, m = 5;
        Weights w(type, n, k, random);
        const std::size_t block = cpu::row_bytes(type, 32);
        for (std::size_t at = 0; at < w.source.size(); ++at)
          if (at % block >= (type == Type::q4_1 ? 4u : 2u)) w.source[at] = type == Type::q8_0 ? 0x80 : 0xff;
        cpu::pack(type, w.source.data(), n, k, w.panels.data(), 0, 1);
        const Packed packed = w.packed();
        Rows rows(cpu::kernels(isa), Act::int8,
                  std::vector<float>(static_cast<std::size_t>(m * k), 3.0f * sign), m, k);
        std::vector<float> out(static_cast<std::size_t>(m * n)), row(static_cast<std::size_t>(k));
        cpu::kernels(isa).gemm({&packed, Act::int8, rows.row(0), m, nullptr, out.data(), n, 0, n});
        for (int j = 0; j < n; ++j) {
          cpu::dequantise_row(type, w.source.data() + static_cast<std::size_t>(j) * cpu::row_bytes(type, k),
                              k, row.data());
          double sum = 0, size = 0;
          for (const float x : row) sum += 3.0 * sign * x, size += std::abs(3.0 * x);
          for (int r = 0; r < m; ++r) BOOST_TEST(std::abs(out[r * n + j] - sum) <= size * 1e-5);
        }
      }
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_its_batch) {
  Random random(4);
  for (const Isa isa : isas())
    for (const Case& c : cases()) {
      const Kernels& kernels = cpu::kernels(isa);
      const int most = 33, n = 83, k = cpu::quantised(c.type) ? 544 : 541;
      Weights w(c.type, n, k, random);
      const Packed packed = w.packed();
      Rows rows(kernels, c.act, random.normals(static_cast<std::size_t>(most * k)), most, k);
      std::vector<float> whole(static_cast<std::size_t>(most * n));
      kernels.gemm({&packed, c.act, rows.row(0), most, nullptr, whole.data(), n, 0, n});
      for (int m = 1; m <= most; ++m) {
        const int first = random.below(most - m + 1);
        std::vector<float> out(static_cast<std::size_t>(m * n), 9.0f);
        for (int begin = 0; begin < n;) {  // the columns in random ranges
          const int end = std::min(n, begin + 16 * (1 + random.below(5)));
          kernels.gemm({&packed, c.act, rows.row(first), m, nullptr, out.data(), n, begin, end});
          begin = end;
        }
        BOOST_TEST(same_bits(out.data(), whole.data() + first * n, out.size()), label(isa, c, m, n, k));
      }
    }
}

// Past the sizes at which the kernels change their ways: row blocks, unpacking.
BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_a_large_batch) {
  Random random(5);
  for (const Isa isa : isas())
    for (const Case& c : cases()) {
      const Kernels& kernels = cpu::kernels(isa);
      const int most = 491, n = 16, k = 512;
      Weights w(c.type, n, k, random);
      const Packed packed = w.packed();
      Rows rows(kernels, c.act, random.normals(static_cast<std::size_t>(most * k)), most, k);
      std::vector<float> whole(static_cast<std::size_t>(most * n)), one(n);
      kernels.gemm({&packed, c.act, rows.row(0), most, nullptr, whole.data(), n, 0, n});
      for (int r = 0; r < most; r += 1 + random.below(7)) {
        kernels.gemm({&packed, c.act, rows.row(r), 1, nullptr, one.data(), n, 0, n});
        BOOST_TEST(same_bits(one.data(), whole.data() + r * n, one.size()), label(isa, c, most, n, k)
                                                                                << " row " << r);
      }
    }
}

BOOST_AUTO_TEST_CASE(only_the_range_is_written) {
  Random random(6);
  for (const Isa isa : isas())
    for (const Case& c : cases()) {
      const int m = 7, n = 75, k = 64;
      Weights w(c.type, n, k, random);
      const Packed packed = w.packed();
      Rows rows(cpu::kernels(isa), c.act, random.normals(static_cast<std::size_t>(m * k)), m, k);
      std::vector<float> out(static_cast<std::size_t>(m * n), -77.0f);
      cpu::kernels(isa).gemm({&packed, c.act, rows.row(0), m, nullptr, out.data(), n, 16, 48});
      for (int r = 0; r < m; ++r)
        for (int j = 0; j < n; ++j) BOOST_TEST((out[r * n + j] == -77.0f) == (j < 16 || j >= 48));
    }
}

BOOST_AUTO_TEST_SUITE_END()
