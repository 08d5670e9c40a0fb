// Damaged logs: one clear error or a stated difference, whatever the bytes; never a crash, never a hang.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <functional>
#include <limits>

#include "../sanitized.hpp"
#include "base/hash.hpp"
#include "experiment/replay.hpp"
#include "stage.hpp"

namespace serveloop::test {
namespace {

using experiment::ReplayResult;

std::string file_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A log with every kind of message, and a path to put spoilt ones.
struct Log {
  TempFolder folder;
  std::string bytes, path = folder.path("spoilt.slog");
  std::uint64_t steps = 0;
  std::size_t first_step = 0;  // offset
  rig::LogHeader header;

  explicit Log(std::uint32_t lag = 1) {
    Scene scene;
    scene.lag = lag;
    scene.blocks = 24;
    scene.max_waiting = 32;
    scene.max_sequences = 4;
    scene.token_budget = 32;
    scene.gates = {"hold"};
    scene.gate_options["hold_us"] = 500;
    scene.log = "run.slog";
    Stage stage(scene);
    script_mixed_load(stage, 4, 8);
    stage.run();
    stage.finish_log();
    bytes = file_of(stage.log_path());
    steps = stage.engine().steps();
    const auto reader = *observe::LogReader::open(stage.log_path());
    header = *rig::decode_log_header(reader->header());
    first_step = [&] {  // behind the header and its size
      observe::Writer payload, size;
      encode(header, payload);
      size.u64(payload.size());
      return 6 + size.size() + payload.size();
    }();
  }
  Result<ReplayResult> replay(const std::string& spoilt, bool recorded_answers = false) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << spoilt;
    experiment::ReplayOptions options;
    options.recorded_answers = recorded_answers;
    Result<ReplayResult> result = experiment::replay(path, options);
    if (!result) {
      BOOST_CHECK_NE(result.error().message(), "");
      BOOST_CHECK(result.error().message().find('\n') == std::string::npos);
    }
    return result;
  }
  // The log with another header, or with one item's bytes changed.
  std::string with_header(const rig::LogHeader& other) const {
    observe::Writer payload, out;
    encode(other, payload);
    out.raw("SLOG", 4);
    out.u8(observe::kLogVersion);
    out.u8(1);
    out.u64(payload.size());
    out.raw(payload.bytes().data(), payload.size());
    return std::string(reinterpret_cast<const char*>(out.bytes().data()), out.size()) +
           bytes.substr(first_step);
  }
};

// Offset of the `nth` item of that kind in the log, with its size.
std::pair<std::size_t, std::size_t> item_at(const std::string& log, observe::Item tag, int nth,
                                            std::uint64_t& step) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(log.data());
  const auto reader = *observe::LogReader::over({data, log.size()});
  observe::StepRecord record;
  while (*reader->next(record))
    for (const auto& item : record.items)
      if (item.tag == tag && nth-- == 0) {
        step = record.step;
        return {static_cast<std::size_t>(item.bytes.data() - data), item.bytes.size()};
      }
  BOOST_FAIL("no such item");
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(damage)

BOOST_AUTO_TEST_CASE(one_altered_byte_of_a_decision_is_named) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const Log log(lag);
    std::uint64_t step = 0;
    for (const auto tag :
         {observe::Item::plan, observe::Item::gate, observe::Item::evict, observe::Item::preempt,
          observe::Item::ended, observe::Item::memory, observe::Item::batch}) {
      const auto [at, size] = item_at(log.bytes, tag, tag == observe::Item::plan ? 12 : 0, step);
      std::string spoilt = log.bytes;
      spoilt[at + size - 1] ^= 1;
      const Result<ReplayResult> result = log.replay(spoilt);
      if (!result) BOOST_FAIL(result.error().message());
      BOOST_REQUIRE_MESSAGE(result->difference, observe::name_of(tag));
      BOOST_CHECK_EQUAL(result->difference->step, step);
      BOOST_CHECK_EQUAL(result->difference->what, observe::name_of(tag));
      BOOST_CHECK_NE(result->difference->recorded, "");
      BOOST_CHECK_NE(result->difference->replayed, "");
      BOOST_CHECK(result->difference->context.find(observe::name_of(tag)) != std::string::npos);
    }
  }
}

BOOST_AUTO_TEST_CASE(truncation_at_every_seventh_byte) {
  const Log log;
  BOOST_REQUIRE_LT(log.bytes.size(), 30'000u);
  constexpr std::size_t kStride = kUnderAsan ? 49 : 7;
  std::size_t errors = 0, headless = 0;
  std::uint64_t last = 0;
  for (std::size_t size = (log.bytes.size() - 1) % kStride; size < log.bytes.size(); size += kStride) {
    headless += size < log.first_step ? 1 : 0;
    const Result<ReplayResult> result = log.replay(log.bytes.substr(0, size));
    if (!result) {
      ++errors;
      continue;
    }
    BOOST_CHECK(!result->difference);
    BOOST_CHECK(!result->complete);
    BOOST_CHECK_GE(result->steps, last);
    last = result->steps;
  }
  BOOST_CHECK_EQUAL(errors, headless);
  BOOST_CHECK_GE(last + 1, log.steps);  // the longest piece may end within the last step
}

BOOST_AUTO_TEST_CASE(flipped_bits) {
  const Log log;
  std::size_t errors = 0, differences = 0;
  for (std::size_t at = 0; at < log.bytes.size(); at += kUnderAsan ? 25 : 3) {
    std::string spoilt = log.bytes;
    spoilt[at] = static_cast<char>(spoilt[at] ^ (1 << mix(at, 1) % 8));
    const Result<ReplayResult> result = log.replay(spoilt, at % 2 == 0);
    if (!result)
      ++errors;
    else if (result->difference)
      ++differences;
  }
  BOOST_TEST_MESSAGE(errors << " errors, " << differences << " differences");
  BOOST_CHECK_GT(errors, 50u);
  BOOST_CHECK_GT(differences, 50u);
}

BOOST_AUTO_TEST_CASE(runs_of_hostile_bytes) {
  const Log log;
  for (std::size_t at = log.first_step; at + 12 < log.bytes.size(); at += kUnderAsan ? 205 : 41)
    for (const char fill : {'\xff', '\0', '\x7f'}) {
      std::string spoilt = log.bytes;
      spoilt.replace(at, 10, std::string(9, fill) + '\1');
      log.replay(spoilt, at % 2 == 0);
    }
}

BOOST_AUTO_TEST_CASE(headers_that_do_not_fit) {
  const Log log;
  BOOST_CHECK(!log.replay(log.with_header(log.header))->difference);
  const auto refusal = [&](const std::function<void(rig::LogHeader&)>& change) {
    rig::LogHeader header = log.header;
    change(header);
    const auto result = log.replay(log.with_header(header));
    return result ? std::string("accepted") : result.error().message();
  };
  const auto expect = [](const std::string& line, const std::string& part) {
    BOOST_CHECK_MESSAGE(line.find(part) != std::string::npos, part << " is not in " << line);
  };
  expect(refusal([](auto& h) { h.abi_stamp = "0000000000000000"; }),
         "the log was written under another ABI: expected stamp ");
  expect(refusal([](auto& h) { h.plugins[0].sha256 = std::string(64, '0'); }),
         "scheduler 'hold' is not the build that wrote the log: expected sha256 0000");
  expect(refusal([](auto& h) { h.plugins.pop_back(); }), "the log names other plugins");
  expect(refusal([](auto& h) { h.config_toml = "[engine]\nlagg = 1\n"; }),
         "unknown key 'engine.lagg'; did you mean 'lag'?");
  expect(refusal([](auto& h) { h.facts.kv_blocks = 0; }), "1 to 100,000,000 blocks");
  expect(refusal([](auto& h) { h.facts.cost.step_fixed_ns = -1; }), "damaged step log: expected costs");
  expect(refusal([](auto& h) { h.facts.cost.prefill_token_ns = std::numeric_limits<double>::quiet_NaN(); }),
         "expected costs");
  expect(refusal([](auto& h) { h.facts.cost.overlap = 1.5; }), "an overlap of 0 to 1");
}

BOOST_AUTO_TEST_CASE(another_version_and_no_log) {
  const Log log;
  std::string newer = log.bytes;
  newer[4] = 6;
  BOOST_CHECK(log.replay(newer).error().message().ends_with(
      ": step log of another version: expected 5, found 6; read it with the release that wrote it"));
  BOOST_CHECK(!log.replay("not a log at all"));
  BOOST_CHECK(!log.replay(""));
  BOOST_CHECK(!experiment::replay(log.folder.path("missing.slog"), {}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
