#include "experiment/log_steps.hpp"

#include <fmt/format.h>

#include <cmath>
#include <deque>
#include <map>
#include <tuple>
#include <utility>

#include "observe/step_log.hpp"
#include "rig/log_header.hpp"
#include "rig/recording_executor.hpp"

namespace serveloop::experiment {
namespace {

std::int64_t within_2_percent(double value) {
  return value < 1 ? -1 : static_cast<std::int64_t>(std::log(value) / std::log(1.02));
}

class Steps {
 public:
  Status take(const observe::StepRecord& record) {
    for (const observe::StepRecord::Entry& item : record.items) {
      observe::Reader in(item.bytes);
      switch (item.tag) {
        case observe::Item::batch: batch(record.step, in); break;
        case observe::Item::chunks: chunks(in); break;
        case observe::Item::collected: collected(in); break;
        default: continue;
      }
      if (!in.ok())
        return fail(fmt::format("step {}: item '{}'", record.step, observe::name_of(item.tag)), "a whole one",
                    "one that ends early");
    }
    return {};
  }
  std::vector<MeasuredStep> done() {
    group_alike(done_);
    return std::move(done_);
  }

 private:
  struct Flight {
    std::uint64_t step;
    MeasuredStep what;
  };

  void batch(std::uint64_t step, observe::Reader& in) {
    const std::uint64_t rows = in.u64();
    MeasuredStep what;
    what.decodes = in.u32();
    what.prefill_tokens = in.u32();
    in.u64(), in.u64();  // changes of tables, copies
    what.decode_context = in.u64();
    what.chunks = static_cast<std::uint32_t>(rows) - what.decodes;
    flying_.push_back({step, what});
  }
  void chunks(observe::Reader& in) {
    for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) {
      in.u64();  // whose
      const std::uint32_t start = in.u32(), tokens = in.u32();
      in.u64();  // of them computed before
      if (!flying_.empty()) flying_.back().what.prefill_pairs += sl_chunk_pairs(start, tokens);
    }
  }
  void collected(observe::Reader& in) {
    const execute::Collected end = rig::decode_collected(in, parts_);
    while (!flying_.empty() && flying_.front().step < end.step) flying_.pop_front();
    if (flying_.empty() || flying_.front().step != end.step) return;
    MeasuredStep what = flying_.front().what;
    flying_.pop_front();
    if (end.failed || end.device_end_ns <= end.device_start_ns) return;
    if (what.decodes == 0 && what.prefill_tokens == 0) return;  // copies alone
    what.ns = end.device_end_ns - end.device_start_ns;
    done_.push_back(what);
  }

  std::deque<Flight> flying_;
  rig::CollectedParts parts_;
  std::vector<MeasuredStep> done_;
};

}  // namespace

void group_alike(std::vector<MeasuredStep>& steps) {
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::int64_t, std::int64_t>, std::uint32_t> groups;
  for (MeasuredStep& s : steps) {
    const std::tuple work(s.decodes, s.prefill_tokens,
                          within_2_percent(static_cast<double>(s.decode_context)),
                          within_2_percent(s.prefill_pairs));
    s.group = groups.try_emplace(work, static_cast<std::uint32_t>(groups.size())).first->second;
  }
}

Result<LogSteps> steps_of_log(const std::string& path) {
  const auto reader = observe::LogReader::open(path);
  if (!reader) return tl::unexpected(reader.error());
  Result<rig::LogHeader> header = rig::decode_log_header((*reader)->header());
  if (!header) return tl::unexpected(header.error());
  Steps steps;
  observe::StepRecord record;
  while (true) {
    const Result<bool> more = (*reader)->next(record);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return LogSteps{steps.done(), std::move(header->config_toml), (*reader)->complete()};
    if (Status taken = steps.take(record); !taken) return tl::unexpected(taken.error());
  }
}

}  // namespace serveloop::experiment
