// Right files: every value type, versions, alignments.
#include <boost/test/unit_test.hpp>

#include "model/gguf.hpp"
#include "tiny.hpp"

using namespace serveloop::model;
using namespace serveloop::model::test;

namespace {

std::string line_of(const auto& result) { return result ? "no error" : result.error().message(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(gguf_files)

BOOST_AUTO_TEST_CASE(every_value_type_reads_back) {
  GgufWriter file;
  file.number("a.u8", kU8, std::uint8_t{200});
  file.number("a.i8", kI8, std::int8_t{-100});
  file.number("a.u16", kU16, std::uint16_t{60000});
  file.number("a.i16", kI16, std::int16_t{-30000});
  file.u32("a.u32", 4'000'000'000u);
  file.number("a.i32", kI32, std::int32_t{2'000'000'000});
  file.f32("a.f32", 0.1f);
  file.number("a.yes", kBool, std::uint8_t{1});
  file.text("a.text", "wörld");
  file.text("a.empty", "");
  file.number("a.u64", kU64, UINT64_MAX);
  file.number("a.i64", kI64, INT64_MIN);
  file.number("a.f64", kF64, 0.1);
  file.array("b.i16", kI16, std::vector<std::int16_t>{-1, 2, -3});
  file.array("b.u64", kU64, std::vector<std::uint64_t>{7, INT64_MAX});
  file.array("b.bool", kBool, std::vector<std::uint8_t>{1, 0, 1});
  file.array("b.f32", kF32, std::vector<float>{0.5f, -2.0f});
  file.array("b.none", kF64, std::vector<double>{});
  file.texts("b.text", {"x", "", std::string("y\0z", 3)});
  for (const std::uint32_t version : {2u, 3u}) {
    file.version = version;
    const Bytes bytes = file.finish();
    const auto read = gguf::File::parse(bytes, "x.gguf");
    BOOST_REQUIRE_MESSAGE(read.has_value(), line_of(read));
    BOOST_TEST(read->version() == version);
    BOOST_TEST(read->keys().size() == 19u);
    BOOST_TEST(read->whole("a.u8", 0, UINT64_MAX).value() == 200u);
    BOOST_TEST(read->whole("a.u16", 0, UINT64_MAX).value() == 60000u);
    BOOST_TEST(read->whole("a.u32", 0, UINT64_MAX).value() == 4'000'000'000u);
    BOOST_TEST(read->whole("a.i32", 0, UINT64_MAX).value() == 2'000'000'000u);
    BOOST_TEST(read->whole("a.u64", 0, UINT64_MAX).value() == UINT64_MAX);
    BOOST_TEST(line_of(read->whole("a.i8", 0, 9)) ==
               "x.gguf: key 'a.i8': expected an integer from 0 to 9, found -100");
    BOOST_TEST(line_of(read->whole("a.i16", 0, 9)) ==
               "x.gguf: key 'a.i16': expected an integer from 0 to 9, found -30000");
    BOOST_TEST(line_of(read->whole("a.i64", 0, 9)) ==
               "x.gguf: key 'a.i64': expected an integer from 0 to 9, found -9223372036854775808");
    BOOST_TEST(line_of(read->whole("a.u8", 0, 9)) ==
               "x.gguf: key 'a.u8': expected an integer from 0 to 9, found 200");
    BOOST_TEST(line_of(read->whole("a.yes", 0, 9)) ==
               "x.gguf: key 'a.yes': expected an integer from 0 to 9, found bool");
    BOOST_TEST(line_of(read->whole("b.u64", 0, 9)) ==
               "x.gguf: key 'b.u64': expected an integer from 0 to 9, found an array of u64");
    BOOST_TEST(line_of(read->whole("c", 0, 9)) ==
               "x.gguf: key 'c': expected an integer from 0 to 9, found no such key");
    BOOST_TEST(read->number("a.f32").value() == double{0.1f});
    BOOST_TEST(read->number("a.f64").value() == 0.1);
    BOOST_TEST(read->flag("a.yes").value());
    BOOST_TEST(read->text("a.text").value() == "wörld");
    BOOST_TEST(read->text("a.empty").value() == "");
    BOOST_TEST(line_of(read->text("a.u8")) == "x.gguf: key 'a.u8': expected a string, found u8");
    BOOST_TEST(read->wholes("b.i16").value() == (std::vector<std::int64_t>{-1, 2, -3}),
               boost::test_tools::per_element());
    BOOST_TEST(read->wholes("b.u64").value() == (std::vector<std::int64_t>{7, INT64_MAX}),
               boost::test_tools::per_element());
    BOOST_TEST(read->wholes("b.bool").value() == (std::vector<std::int64_t>{1, 0, 1}),
               boost::test_tools::per_element());
    BOOST_TEST(line_of(read->wholes("b.f32")) ==
               "x.gguf: key 'b.f32': expected an array of integers, found an array of f32");
    BOOST_TEST(read->numbers("b.f32").value() == (std::vector<float>{0.5f, -2.0f}),
               boost::test_tools::per_element());
    BOOST_TEST(read->find("b.none")->count == 0u);
    const auto texts = read->texts("b.text").value();
    BOOST_REQUIRE_EQUAL(texts.size(), 3u);
    BOOST_TEST(texts[0] == "x");
    BOOST_TEST(texts[1] == "");
    BOOST_TEST(texts[2] == std::string_view("y\0z", 3));
  }
}

BOOST_AUTO_TEST_CASE(tensors_lie_where_the_file_says) {
  for (const std::uint64_t alignment : {8u, 32u, 256u}) {
    GgufWriter file;
    file.alignment = alignment;
    file.u32("general.alignment", static_cast<std::uint32_t>(alignment));
    add_matrix(file, "m", 3, 64, 3);
    add_vector(file, "v", 5);
    file.tensor("cube", {3, 2, 5, 1}, 0, content("cube", 120, true));
    file.tensor("k", {256}, 12, content("k", 144, false));  // Q4_K: read over, refused when used
    const Bytes bytes = file.finish();
    const auto read = gguf::File::parse(bytes, "x.gguf");
    BOOST_REQUIRE_MESSAGE(read.has_value(), line_of(read));
    BOOST_TEST(read->alignment() == alignment);
    BOOST_TEST(read->tensor("w") == nullptr);
    for (const WrittenTensor& tensor : file.tensors) {
      const gguf::TensorInfo* info = read->tensor(tensor.name);
      BOOST_REQUIRE(info != nullptr);
      BOOST_TEST(static_cast<std::size_t>(info->bytes.data() - bytes.data()) == file.data_at + tensor.offset);
      BOOST_TEST(info->bytes.size() == tensor.data.size());
      BOOST_TEST(std::memcmp(info->bytes.data(), tensor.data.data(), tensor.data.size()) == 0);
    }
    const Tensor matrix = gguf::as_matrix(*read->tensor("m"), "x.gguf").value();
    BOOST_TEST(matrix.rows == 3u);
    BOOST_TEST(matrix.cols == 64u);
    BOOST_TEST(gguf::as_matrix(*read->tensor("v"), "x.gguf")->rows == 1u);
    BOOST_TEST(line_of(gguf::as_matrix(*read->tensor("cube"), "x.gguf")) ==
               "x.gguf: tensor 'cube': expected at most two dimensions, found 4");
    BOOST_TEST(line_of(gguf::as_matrix(*read->tensor("k"), "x.gguf")) ==
               "x.gguf: tensor 'k': expected one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, found Q4_K");
  }
}

BOOST_AUTO_TEST_CASE(gaps_and_any_order_are_right) {
  GgufWriter file;
  add_vector(file, "a", 8);
  add_vector(file, "b", 8);
  file.tensors[0].offset = 320;
  file.tensors[1].offset = 64;
  const Bytes bytes = file.finish();
  const auto read = gguf::File::parse(bytes, "x.gguf");
  BOOST_REQUIRE_MESSAGE(read.has_value(), line_of(read));
  BOOST_TEST(std::memcmp(read->tensor("a")->bytes.data(), file.tensors[0].data.data(), 32) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
