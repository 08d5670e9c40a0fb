#include "experiment/ab/pairs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiment/ab/block_length.hpp"

namespace serveloop::experiment::ab {

namespace {

constexpr double kBins = 256;        // of the longest run, where the results say how long a block is
constexpr double kLeastInABin = 4;   // pairs, on average
constexpr double kBinsOfABlock = 8;  // where the user says so: blocks may begin at any of them
constexpr double kMostBins = 65536;  // of a run

auto key_of(const SequenceResult& s) { return std::pair(s.request, s.fork); }

// One that was refused at once has no length.
Status same_request(const Pair& pair) {
  const std::uint32_t a = pair.baseline->prompt_tokens, b = pair.arm->prompt_tokens;
  if (a == b || a == 0 || b == 0) return {};
  return fail(fmt::format("request {}", pair.baseline->request), "the same prompt in both arms",
              fmt::format("{} tokens in the baseline, {} in the other", a, b));
}

// Of a latency, its mean in each bin of a stream, over all runs that meet it; where a bin holds none, that of all.
using Latency = double (*)(const Pair& pair);
std::vector<double> series_of(const std::vector<Pairs>& runs, const std::vector<std::size_t>& streams,
                              const Timeline& timeline, std::size_t stream, Latency latency) {
  const std::size_t bins = timeline.bins_of(stream);
  std::vector<double> sums(bins, 0.0), counts(bins, 0.0);
  double all = 0, count = 0;
  for (std::size_t run = 0; run < runs.size(); ++run) {
    if (streams[run] != stream) continue;
    for (const Pair& pair : runs[run]) {
      if (!pair.completed_in_both()) continue;
      const std::size_t bin = pair.bin - timeline.first_bin(stream);
      const double value = latency(pair);
      sums[bin] += value, all += value;
      ++counts[bin], ++count;
    }
  }
  for (std::size_t bin = 0; bin < bins; ++bin)
    sums[bin] = counts[bin] > 0 ? sums[bin] / counts[bin] : count > 0 ? all / count : 0;
  return sums;
}

double number(std::uint64_t ns) { return static_cast<double>(ns); }

// Of the difference alone: what moves both arms alike does not move it.
constexpr Latency kLatencies[] = {
    [](const Pair& p) { return number(p.arm->first_token_ns) - number(p.baseline->first_token_ns); },
    [](const Pair& p) { return number(p.arm->end_ns) - number(p.baseline->end_ns); },
};

void set_bins(std::vector<std::vector<Pairs>>& arms, const std::vector<std::size_t>& streams,
              const Timeline& timeline) {
  for (std::vector<Pairs>& runs : arms)
    for (std::size_t run = 0; run < runs.size(); ++run)
      for (Pair& pair : runs[run]) pair.bin = timeline.bin_at(streams[run], pair.at_s);
}

// In bins of the timeline, whose block is not looked at.
double wanted_block(const std::vector<std::vector<Pairs>>& arms, const std::vector<std::size_t>& streams,
                    const Timeline& timeline) {
  double longest = 1;
  for (const std::vector<Pairs>& runs : arms)
    for (const Latency latency : kLatencies) {
      std::vector<std::vector<double>> series;
      for (std::size_t stream = 0; stream < timeline.runs(); ++stream)
        series.push_back(series_of(runs, streams, timeline, stream, latency));
      longest = std::max(longest, block_length(series));
    }
  return std::ceil(longest);
}

}  // namespace

Result<Pairs> pairs_of(const RunResult& baseline, const RunResult& arm, double warmup_s) {
  Pairs pairs;
  auto a = baseline.sequences.begin(), b = arm.sequences.begin();
  while (a != baseline.sequences.end() || b != arm.sequences.end()) {
    Pair pair;
    const bool with_a =
        b == arm.sequences.end() || (a != baseline.sequences.end() && key_of(*a) <= key_of(*b));
    const bool with_b =
        a == baseline.sequences.end() || (b != arm.sequences.end() && key_of(*b) <= key_of(*a));
    if (with_a) pair.baseline = &*a++;
    if (with_b) pair.arm = &*b++;
    if (with_a && with_b)
      if (Status same = same_request(pair); !same)
        return about(fmt::format("arm '{}', repeat {}", arm.arm, arm.repeat), same.error());
    const SequenceResult& first = with_a ? *pair.baseline : *pair.arm;
    pair.at_s = static_cast<double>(first.begun_ns) * 1e-9 - warmup_s;
    if (pair.at_s >= 0) pairs.push_back(pair);
  }
  return pairs;
}

std::vector<std::size_t> streams_of(const std::vector<RunResult>& runs) {
  const auto alike = [](const SequenceResult& a, const SequenceResult& b) {
    return key_of(a) == key_of(b) && a.begun_ns == b.begun_ns &&
           (a.prompt_tokens == b.prompt_tokens || a.prompt_tokens == 0 || b.prompt_tokens == 0);
  };
  std::vector<std::size_t> streams, firsts;  // firsts: a run of each stream
  for (std::size_t run = 0; run < runs.size(); ++run) {
    std::size_t stream = 0;
    for (; stream < firsts.size(); ++stream) {
      const auto &a = runs[firsts[stream]].sequences, &b = runs[run].sequences;
      if (std::equal(a.begin(), a.end(), b.begin(), b.end(), alike)) break;
    }
    if (stream == firsts.size()) firsts.push_back(run);
    streams.push_back(stream);
  }
  return streams;
}

Timeline timeline_of(std::vector<std::vector<Pairs>>& arms, const std::vector<std::size_t>& streams,
                     std::optional<double> block_s) {
  std::vector<double> spans(*std::max_element(streams.begin(), streams.end()) + 1, 0.0);
  std::vector<double> counts(spans.size(), 0.0);  // of pairs in a run of each stream
  for (std::size_t run = 0; run < streams.size(); ++run) {
    counts[streams[run]] = static_cast<double>(arms.front()[run].size());
    for (const std::vector<Pairs>& runs : arms)
      for (const Pair& pair : runs[run]) spans[streams[run]] = std::max(spans[streams[run]], pair.at_s);
  }
  const double sum = std::accumulate(spans.begin(), spans.end(), 0.0);
  const double count = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double longest = std::max(*std::max_element(spans.begin(), spans.end()), 1e-9);
  if (block_s) {
    const double bin_s = std::max(*block_s / kBinsOfABlock, longest / kMostBins);
    const double bins = std::clamp(std::round(*block_s / bin_s), 1.0, kBinsOfABlock);
    const Timeline timeline(spans, bin_s, static_cast<std::uint32_t>(bins));
    set_bins(arms, streams, timeline);
    return timeline;
  }
  const double bin_s = std::max(longest / kBins, kLeastInABin * sum / std::max(1.0, count));
  const Timeline fine(spans, bin_s, 1);
  set_bins(arms, streams, fine);
  return Timeline(spans, bin_s,
                  static_cast<std::uint32_t>(std::min(wanted_block(arms, streams, fine), kMostBins)));
}

}  // namespace serveloop::experiment::ab
