// Conversions, held against the definition of the formats in real numbers.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <sstream>

#include "gguf_writer.hpp"
#include "model/dequantise.hpp"
#include "model/numbers.hpp"

using namespace serveloop::model;

namespace {

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// IEEE 754: (-1)^sign 2^(exponent - 15) 1.fraction, subnormal 2^-14 0.fraction.
double f16_by_definition(std::uint32_t bits) {
  const std::uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, int(exponent) - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numbers)

BOOST_AUTO_TEST_CASE(every_f16_widens_exactly) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = from_f16(static_cast<std::uint16_t>(bits));
    const std::uint32_t fraction = bits & 1023;
    if ((bits >> 10 & 31) != 31) {
      BOOST_REQUIRE_EQUAL(static_cast<double>(value), f16_by_definition(bits));
      BOOST_REQUIRE_EQUAL(std::signbit(value), (bits & 0x8000) != 0);  // of zeros too
    } else if (fraction == 0) {
      BOOST_REQUIRE(std::isinf(value) && std::signbit(value) == ((bits & 0x8000) != 0));
    } else {
      BOOST_REQUIRE_EQUAL(bits_of(value), (bits & 0x8000) << 16 | 0x7f800000u | fraction << 13);
    }
    if ((bits & 0x7fff) <= 0x7c00)
      BOOST_REQUIRE_EQUAL(to_f16(value), bits);
    else
      BOOST_REQUIRE(std::isnan(from_f16(to_f16(value))));
  }
}

BOOST_AUTO_TEST_CASE(every_bf16_comes_back) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = from_bf16(static_cast<std::uint16_t>(bits));
    BOOST_REQUIRE_EQUAL(bits_of(value), bits << 16);
    if ((bits & 0x7fff) <= 0x7f80)
      BOOST_REQUIRE_EQUAL(to_bf16(value), bits);
    else
      BOOST_REQUIRE(std::isnan(from_bf16(to_bf16(value))));
  }
}

// Between two neighbours: below the middle down, above it up, in it to the even one.
BOOST_AUTO_TEST_CASE(narrowing_rounds_to_nearest_even) {
  const auto middle_of = [](float low, float high) {
    return static_cast<float>((double{low} + double{high}) / 2);
  };
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = from_f16(static_cast<std::uint16_t>(bits)),
                high = from_f16(static_cast<std::uint16_t>(bits + 1));
    const float middle = middle_of(low, high);
    BOOST_REQUIRE_EQUAL(to_f16(middle), (bits & 1) == 0 ? bits : bits + 1);
    BOOST_REQUIRE_EQUAL(to_f16(std::nextafterf(middle, low)), bits);
    BOOST_REQUIRE_EQUAL(to_f16(std::nextafterf(middle, high)), bits + 1);
    BOOST_REQUIRE_EQUAL(to_f16(-middle), 0x8000 | ((bits & 1) == 0 ? bits : bits + 1));
  }
  BOOST_TEST(to_f16(65519.99f) == 0x7bff);
  BOOST_TEST(to_f16(65520.0f) == 0x7c00);
  BOOST_TEST(to_f16(1e30f) == 0x7c00);
  BOOST_TEST(to_f16(1e-30f) == 0);
  for (std::uint32_t bits = 0; bits < 0x7f7f; ++bits) {
    const std::uint32_t middle = bits << 16 | 0x8000u;
    BOOST_REQUIRE_EQUAL(to_bf16(std::bit_cast<float>(middle)), (bits & 1) == 0 ? bits : bits + 1);
    BOOST_REQUIRE_EQUAL(to_bf16(std::bit_cast<float>(middle - 1)), bits);
    BOOST_REQUIRE_EQUAL(to_bf16(std::bit_cast<float>(middle + 1)), bits + 1);
  }
  BOOST_TEST(to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  BOOST_TEST(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(dequantising)

// tests/golden/dequantise.txt: what the PyPI package gguf makes of the same bytes.
BOOST_AUTO_TEST_CASE(equals_the_golden_values) {
  std::ifstream golden(GOLDEN_FOLDER "/dequantise.txt");
  std::size_t seen = 0;
  for (std::string line; std::getline(golden, line); ++seen) {
    std::istringstream words(line);
    std::string name, hex, expected;
    words >> name >> hex >> expected;
    std::size_t type = 0;
    while (type < kTypes && kTypeInfo[type].name != name) ++type;
    BOOST_REQUIRE_LT(type, kTypes);
    test::Bytes bytes(1);  // one more in front: data need not be aligned
    for (std::size_t i = 0; i < hex.size(); i += 2)
      bytes.push_back(std::byte(std::stoul(hex.substr(i, 2), nullptr, 16)));
    const TypeInfo& how = kTypeInfo[type];
    const std::uint64_t values = (bytes.size() - 1) / how.block_bytes * how.block_values;
    std::vector<float> out(values);
    dequantise(static_cast<Type>(type), bytes.data() + 1, values, out.data());
    BOOST_REQUIRE_EQUAL(expected.size(), 9 * values - 1);
    for (std::size_t i = 0; i < values; ++i)
      BOOST_REQUIRE_EQUAL(bits_of(out[i]), std::stoul(expected.substr(9 * i, 8), nullptr, 16));
  }
  BOOST_TEST(seen == kTypes);
}

BOOST_AUTO_TEST_CASE(rows_follow_each_other) {
  test::Bytes bytes(3 * 2 * 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i % 61);
  const Tensor tensor{Type::q4_1, 3, 64, bytes.data()};
  BOOST_TEST(tensor.bytes() == bytes.size());
  BOOST_TEST(tensor.values() == 192u);
  float all[192], row[64];
  dequantise(Type::q4_1, bytes.data(), 192, all);
  for (std::uint32_t r = 0; r < 3; ++r) {
    dequantise_row(tensor, r, row);
    for (int i = 0; i < 64; ++i) BOOST_REQUIRE_EQUAL(bits_of(row[i]), bits_of(all[64 * r + i]));
  }
}

BOOST_AUTO_TEST_SUITE_END()
