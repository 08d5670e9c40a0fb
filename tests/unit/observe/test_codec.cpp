#include <boost/test/unit_test.hpp>
#include <limits>

#include "observe/codec.hpp"

namespace serveloop::observe::test {

BOOST_AUTO_TEST_SUITE(codec)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  const std::uint64_t unsigned_values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
  const std::int64_t signed_values[] = {0, -1, 1, -64, 64, INT64_MIN, INT64_MAX};
  Writer out;
  for (const std::uint64_t v : unsigned_values) out.u64(v);
  for (const std::int64_t v : signed_values) out.i64(v);
  out.f64(-0.5);
  out.text("text");
  out.text("");
  out.u8(255);
  Reader in(out.bytes());
  for (const std::uint64_t v : unsigned_values) BOOST_CHECK_EQUAL(in.u64(), v);
  for (const std::int64_t v : signed_values) BOOST_CHECK_EQUAL(in.i64(), v);
  BOOST_CHECK_EQUAL(in.f64(), -0.5);
  BOOST_CHECK_EQUAL(in.text(), "text");
  BOOST_CHECK_EQUAL(in.text(), "");
  BOOST_CHECK_EQUAL(in.u8(), 255);
  BOOST_CHECK(in.ok() && in.done());
}

BOOST_AUTO_TEST_CASE(a_reader_never_passes_its_end) {
  Writer out;
  out.text("some text that is cut");
  for (std::size_t size = 0; size < out.size(); ++size) {
    Reader in(out.bytes().first(size));
    BOOST_CHECK_EQUAL(in.text(), "");
    BOOST_CHECK(!in.ok());
    BOOST_CHECK_EQUAL(in.u64(), 0u);
    BOOST_CHECK_EQUAL(in.take(1).size(), 0u);
  }
}

BOOST_AUTO_TEST_CASE(hostile_numbers) {
  const std::uint8_t endless[12] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  Reader in(endless);
  in.u64();
  BOOST_CHECK(!in.ok());
  Writer huge;
  huge.u64(UINT64_MAX);
  Reader text(huge.bytes());
  BOOST_CHECK_EQUAL(text.text(), "");
  BOOST_CHECK(!text.ok());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::observe::test
