#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/virtual_clock.hpp"
#include "observe/step_log.hpp"

namespace serveloop::observe::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

struct Path {
  std::string path =
      (std::filesystem::temp_directory_path() / ("test-step-log-" + std::to_string(getpid()))).string();
  ~Path() { std::filesystem::remove(path); }
};

// Three steps of one item each.
Bytes written(bool finished) {
  const Path file;
  {
    auto log = *LogWriter::create(file.path, bytes_of("header"));
    for (std::uint64_t step = 0; step < 3; ++step) {
      log->begin_step(step);
      log->item(Item::plan, bytes_of("plan " + std::to_string(step)));
      log->end_step();
    }
    if (finished) BOOST_REQUIRE(log->finish(bytes_of("summary")));
  }
  std::ifstream in(file.path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Read {
  std::string error;
  std::size_t steps = 0;
  bool complete = false;
};

Read read(const Bytes& bytes) {
  Read out;
  auto reader = LogReader::over(bytes);
  if (!reader) return {reader.error().message()};
  StepRecord step;
  while (true) {
    const Result<bool> more = (*reader)->next(step);
    if (!more) {
      out.error = more.error().message();
      return out;
    }
    if (!*more) break;
    BOOST_CHECK_EQUAL(step.step, out.steps++);
  }
  out.complete = (*reader)->complete();
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(step_log)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  const Bytes bytes = written(true);
  auto reader = *LogReader::over(bytes);
  BOOST_CHECK(Bytes(reader->header().begin(), reader->header().end()) == bytes_of("header"));
  StepRecord step;
  for (std::uint64_t k = 0; k < 3; ++k) {
    BOOST_REQUIRE(*reader->next(step));
    BOOST_CHECK_EQUAL(step.step, k);
    BOOST_REQUIRE_EQUAL(step.items.size(), 1u);
    BOOST_CHECK(step.items[0].tag == Item::plan);
    BOOST_CHECK_EQUAL(step.items[0].bytes.size(), 6u);
  }
  BOOST_CHECK(!*reader->next(step));
  BOOST_CHECK(reader->complete());
  BOOST_CHECK_EQUAL(reader->summary().size(), 7u);
  BOOST_CHECK(!*reader->next(step));
}

BOOST_AUTO_TEST_CASE(cut_off_anywhere_it_has_its_whole_steps) {
  const Bytes bytes = written(true);
  std::size_t last_steps = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Read got = read({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
    if (size < 5 + 8) {  // magic, version, header record
      BOOST_CHECK_NE(got.error, "");
      continue;
    }
    BOOST_CHECK_EQUAL(got.error, "");
    BOOST_CHECK(!got.complete);
    BOOST_CHECK_GE(got.steps, last_steps);
    last_steps = got.steps;
  }
  BOOST_CHECK_EQUAL(last_steps, 3u);
  BOOST_CHECK_EQUAL(read(written(false)).steps, 3u);
  BOOST_CHECK(!read(written(false)).complete);
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_is_read_or_refused) {
  const Bytes bytes = written(true);
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      Bytes flipped = bytes;
      flipped[at] ^= static_cast<std::uint8_t>(1 << bit);
      auto reader = LogReader::over(flipped);
      StepRecord step;
      for (int steps = 0; reader && steps < 5; ++steps)
        if (const Result<bool> more = (*reader)->next(step); !more || !*more) break;
    }
}

BOOST_AUTO_TEST_CASE(what_is_not_a_log_says_so) {
  BOOST_CHECK_EQUAL(read(bytes_of("GIF89a...")).error,
                    "not a step log: expected a file that begins with SLOG, found other bytes");
  Bytes newer = written(true);
  newer[4] = 9;
  BOOST_CHECK_EQUAL(
      read(newer).error,
      "step log of another version: expected 5, found 9; read it with the release that wrote it");
  Bytes record = written(true);
  record[5] = 7;
  BOOST_CHECK_EQUAL(read(record).error, "damaged step log at byte 5: expected record type 1 to 3, found 7");
  Bytes huge = {'S', 'L', 'O', 'G', kLogVersion, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  BOOST_CHECK_EQUAL(read(huge).error,
                    "damaged step log at byte 5: expected a whole record, found the end of the file");
  BOOST_CHECK(!LogReader::open("/nonexistent/log"));
  BOOST_CHECK(!LogReader::open("/"));
}

BOOST_AUTO_TEST_CASE(a_path_that_cannot_be_written) {
  const auto log = LogWriter::create("/nonexistent/folder/x.slog", {});
  BOOST_REQUIRE(!log);
  BOOST_CHECK(log.error().message().find("/nonexistent/folder/x.slog") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_recording_clock_notes_differences) {
  struct Notes : StepLog {
    std::vector<Bytes> items;
    void begin_step(std::uint64_t) override {}
    void item(Item tag, std::span<const std::uint8_t> bytes) override {
      BOOST_CHECK(tag == Item::clock);
      items.emplace_back(bytes.begin(), bytes.end());
    }
    void end_step() override {}
  } notes;
  VirtualClock inner;
  RecordingClock clock(inner, notes);
  clock.wait_until(5);
  BOOST_CHECK_EQUAL(clock.now_ns(), 5u);
  clock.wait_until(12);
  BOOST_CHECK_EQUAL(clock.now_ns(), 12u);
  BOOST_CHECK(notes.items == (std::vector<Bytes>{{5}, {7}}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::observe::test
