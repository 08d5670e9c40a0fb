#include <boost/test/unit_test.hpp>

#include "helpers.hpp"

using namespace serveloop::tests;
namespace cpu = serveloop::kernels::cpu;

BOOST_AUTO_TEST_SUITE(formats)

BOOST_AUTO_TEST_CASE(a_dequantised_row_is_what_the_format_means) {
  Random random(1);
  for (const Type type : types()) {
    Weights w(type, 9, 96, random);
    std::vector<float> row(96);
    for (int n = 0; n < w.n; ++n) {
      cpu::dequantise_row(type, w.source.data() + static_cast<std::size_t>(n) * cpu::row_bytes(type, w.k),
                          w.k, row.data());
      for (int i = 0; i < w.k; ++i)
        BOOST_TEST(row[i] == static_cast<float>(w.value[n * w.k + i]),
                   name_of(type) << " row " << n << " element " << i << ": " << row[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_unpacked_row_is_the_source_row) {
  Random random(2);
  for (const Type type : types())
    for (const int k : {96, 75}) {
      if (cpu::quantised(type) && k % 32 != 0) continue;
      Weights w(type, 41, k, random);  // the last panel is not full
      std::vector<float> row(k), source(k);
      for (int n = 0; n < w.n; ++n) {
        cpu::dequantise_row(type, w.source.data() + static_cast<std::size_t>(n) * cpu::row_bytes(type, k), k,
                            source.data());
        cpu::unpack_row(w.packed(), n, row.data());
        BOOST_TEST(same_bits(row.data(), source.data(), row.size()), name_of(type) << " row " << n);
      }
    }
}

BOOST_AUTO_TEST_CASE(panels_are_no_larger_than_the_source) {
  for (const Type type : types()) {
    BOOST_TEST(cpu::packed_bytes(type, 64, 576) == 64 * cpu::row_bytes(type, 576), name_of(type));
    BOOST_TEST(cpu::packed_bytes(type, 17, 64) == 32 * cpu::row_bytes(type, 64), name_of(type));
    BOOST_TEST(cpu::panel_bytes(type, 96) % 64 == 0u);
  }
}

// Every half against its definition, through a row of one column each.
BOOST_AUTO_TEST_CASE(every_half_is_widened_exactly) {
  std::vector<std::uint16_t> halves(65536);
  for (int i = 0; i < 65536; ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> wide(65536);
  cpu::dequantise_row(Type::f16, halves.data(), 65536, wide.data());
  for (int i = 0; i < 65536; ++i) {
    const int exponent = i >> 10 & 31, fraction = i & 1023;
    if (exponent == 31) {
      BOOST_TEST((fraction == 0 ? std::isinf(wide[i]) : std::isnan(wide[i])));
    } else {
      const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                       : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
      BOOST_TEST(wide[i] == (i >> 15 != 0 ? -size : size));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
