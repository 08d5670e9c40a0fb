#include "experiment/ab/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiment/ab/interval.hpp"
#include "experiment/ab/paired.hpp"
#include "experiment/ab/student.hpp"

namespace serveloop::experiment::ab {

namespace {

bool known(double value) { return !std::isnan(value); }

void settle(Difference& d) {
  if (!d.why.empty())
    d.verdict = Verdict::too_little_data;
  else if (d.low > 0 || d.high < 0)
    d.verdict = (d.low > 0) != d.metric->lower_is_better ? Verdict::better : Verdict::worse;
  else
    d.verdict = Verdict::no_difference;
}

std::string few(std::uint64_t found, const char* what, std::uint64_t least) {
  return fmt::format("{} {}; {} are needed", found, what, least);
}

// One arm beside the baseline.
class ArmComparer {
 public:
  ArmComparer(std::span<const Pairs> runs, const Timeline& timeline,
              const std::vector<const Metric*>& metrics, const CompareOptions& options)
      : runs_(runs),
        timeline_(timeline),
        metrics_(metrics),
        options_(options),
        paired_(runs, timeline, metrics) {
    weights_.assign(timeline.bins(), 1);
    paired_.evaluate(weights_, whole_);
  }

  const Paired::Values& whole() const { return whole_; }

  // By metrics of sequences; the others stay empty.
  std::vector<Difference> differences() {
    resample();
    if (options_.real_time) each_repeat();
    std::vector<Difference> out(metrics_.size());
    for (std::size_t i = 0; i < metrics_.size(); ++i) out[i] = difference(i);
    return out;
  }

 private:
  void resample() {
    differences_.assign(metrics_.size(), {});
    ratios_.assign(metrics_.size(), {});
    Paired::Values drawn;
    for (std::uint32_t k = 0; k < options_.resamples; ++k) {
      timeline_.draw(k, weights_);
      paired_.evaluate(weights_, drawn);
      for (std::size_t i = 0; i < metrics_.size(); ++i) {
        const double a = drawn.baseline[i], b = drawn.arm[i];
        if (!known(a) || !known(b)) continue;
        differences_[i].push_back(b - a);
        if (a > 0) ratios_[i].push_back(100 * (b - a) / a);
      }
    }
  }

  void each_repeat() {
    repeats_.assign(metrics_.size(), {});
    std::fill(weights_.begin(), weights_.end(), 1);
    Paired::Values of_run;
    for (std::size_t run = 0; run < runs_.size(); ++run) {
      Paired(runs_.subspan(run, 1), timeline_, metrics_).evaluate(weights_, of_run);
      for (std::size_t i = 0; i < metrics_.size(); ++i)
        if (const double d = of_run.arm[i] - of_run.baseline[i]; known(d)) repeats_[i].push_back(d);
    }
  }

  // Beyond each end of the interval: less than half of what the confidence leaves, since few blocks spread too little.
  double tail() const {
    const double blocks = static_cast<double>(timeline_.blocks()),
                 runs = static_cast<double>(timeline_.runs());
    const double freedom = std::max(1.0, blocks - runs);
    return normal_tail(std::sqrt(blocks / freedom) *
                       student_t(options_.confidence, static_cast<unsigned>(freedom)));
  }

  Difference difference(std::size_t i) {
    Difference d;
    d.metric = metrics_[i];
    if (d.metric->quantity == nullptr) return d;
    d.baseline = whole_.baseline[i], d.value = whole_.arm[i];
    d.difference = d.value - d.baseline;
    d.compared = paired_.compared(i);
    d.why = too_little(i);
    if (d.why.empty()) set_intervals(i, d);
    if (d.baseline > 0) d.percent = 100 * d.difference / d.baseline;
    settle(d);
    return d;
  }

  void set_intervals(std::size_t i, Difference& d) {
    Interval of_difference = middle(differences_[i], tail()), of_ratio = middle(ratios_[i], tail());
    if (options_.real_time) {
      const Interval moods = by_student(repeats_[i], options_.confidence, kLeastRepeats);
      of_difference = {std::min(of_difference.low, moods.low), std::max(of_difference.high, moods.high)};
      of_ratio = {std::min(of_ratio.low, 100 * moods.low / d.baseline),
                  std::max(of_ratio.high, 100 * moods.high / d.baseline)};
    }
    d.low = of_difference.low, d.high = of_difference.high;
    if (d.baseline > 0) d.percent_low = of_ratio.low, d.percent_high = of_ratio.high;
  }

  // Why there is no verdict; empty: there is.
  std::string too_little(std::size_t i) const {
    const double p = metrics_[i]->percentile;
    const std::uint64_t compared = paired_.compared(i);
    const auto least = std::max<std::uint64_t>(
        kLeastSequences,
        p == 0 ? 0 : static_cast<std::uint64_t>(std::ceil(kLeastBeyond / (1 - p / 100) - 1e-9)));
    if (compared < least) return few(compared, "requests", least);
    if (options_.real_time && runs_.size() < kLeastRepeats)
      return few(runs_.size(), runs_.size() == 1 ? "repeat in real time" : "repeats in real time",
                 kLeastRepeats);
    if (timeline_.blocks() < kLeastBlocks)
      return fmt::format("{} blocks of {:.3g} s; {} are needed", timeline_.blocks(), timeline_.block_s(),
                         kLeastBlocks);
    if (timeline_.fewest_blocks() < kLeastBlocksARun)
      return fmt::format("a run of {} blocks of {:.3g} s; {} are needed", timeline_.fewest_blocks(),
                         timeline_.block_s(), kLeastBlocksARun);
    if (p == 0) return {};
    const std::size_t tail_blocks = paired_.tail_blocks(i, whole_);
    if (tail_blocks >= kLeastTailBlocks) return {};
    return fmt::format("those beyond it lie in {} of the blocks; {} are needed", tail_blocks,
                       kLeastTailBlocks);
  }

  std::span<const Pairs> runs_;
  const Timeline& timeline_;
  const std::vector<const Metric*>& metrics_;
  const CompareOptions& options_;
  Paired paired_;
  Paired::Values whole_;
  std::vector<std::uint32_t> weights_;
  std::vector<std::vector<double>> differences_, ratios_;  // by metric, a value a resample
  std::vector<std::vector<double>> repeats_;               // by metric, a difference a run
};

double figure_of(const RunResult& run, const std::string& key) {
  const auto found = run.figures.find(key);
  return found == run.figures.end() ? kNone : found->second;
}

double mean_figure(const ArmRuns& arm, const std::string& key) {
  double sum = 0;
  for (const RunResult& run : arm.runs) sum += figure_of(run, key);
  return sum / static_cast<double>(arm.runs.size());
}

// By a figure of runs as wholes. In virtual time runs of one stream of arrivals are one value.
Difference compare_figure(const Metric& metric, const ArmRuns& baseline, const ArmRuns& arm,
                          const std::vector<std::size_t>& streams, const CompareOptions& options) {
  Difference d;
  d.metric = &metric;
  d.baseline = mean_figure(baseline, metric.key), d.value = mean_figure(arm, metric.key);
  d.difference = d.value - d.baseline;
  d.compared = arm.runs.size();
  std::vector<double> sums(arm.runs.size(), 0.0), counts(arm.runs.size(), 0.0);
  for (std::size_t i = 0; i < arm.runs.size(); ++i) {
    const std::size_t at = options.real_time ? i : streams[i];
    sums[at] += figure_of(arm.runs[i], metric.key) - figure_of(baseline.runs[i], metric.key);
    ++counts[at];
  }
  std::vector<double> values;
  for (std::size_t i = 0; i < sums.size(); ++i)
    if (counts[i] > 0) values.push_back(sums[i] / counts[i]);
  const Interval interval = by_student(values, options.confidence, kLeastRepeats);
  d.low = interval.low, d.high = interval.high;
  if (d.baseline > 0) {
    d.percent = 100 * d.difference / d.baseline;
    d.percent_low = 100 * d.low / d.baseline, d.percent_high = 100 * d.high / d.baseline;
  }
  if (values.size() < kLeastRepeats)
    d.why =
        few(values.size(), values.size() == 1 ? "stream of arrivals" : "streams of arrivals", kLeastRepeats);
  settle(d);
  return d;
}

// How its sequences ended, and which ended well in one of the two alone.
void count_outcomes(const std::vector<Pairs>& runs, ArmComparison& arm) {
  for (const Pairs& pairs : runs)
    for (const Pair& pair : pairs) {
      const bool here = pair.arm != nullptr && pair.arm->outcome == Outcome::completed;
      const bool there = pair.baseline != nullptr && pair.baseline->outcome == Outcome::completed;
      if (pair.arm == nullptr)
        ++arm.unfinished;
      else
        ++arm.outcomes[static_cast<std::size_t>(pair.arm->outcome)];
      arm.only_here += here && !there;
      arm.only_baseline += there && !here;
    }
}

std::vector<const Metric*> asked_metrics(const CompareOptions& options) {
  std::vector<const Metric*> out;
  for (const Metric& metric : metrics())
    if ((options.metrics.empty() && !metric.only_if_asked) ||
        std::find(options.metrics.begin(), options.metrics.end(), metric.key) != options.metrics.end())
      out.push_back(&metric);
  return out;
}

// Leaves out metrics that say nothing of any arm.
void drop_dull(Comparison& comparison) {
  std::vector<bool> dull;
  for (std::size_t i = 0; i < comparison.metrics.size(); ++i)
    dull.push_back(std::all_of(comparison.arms.begin(), comparison.arms.end(), [&](const ArmComparison& arm) {
      const double value = arm.metrics[i].value;
      return !known(value) || value == comparison.metrics[i]->left_out_where;
    }));
  const auto drop = [&](auto& list) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < dull.size(); ++i)
      if (!dull[i]) list[kept++] = list[i];
    list.resize(kept);
  };
  drop(comparison.metrics);
  for (ArmComparison& arm : comparison.arms) drop(arm.metrics);
}

// The pairs of each arm, the baseline's with itself among them: a list a run.
Result<std::vector<std::vector<Pairs>>> pair_up(const std::vector<ArmRuns>& arms, std::size_t baseline,
                                                double warmup_s) {
  std::vector<std::vector<Pairs>> all;
  for (const ArmRuns& arm : arms) {
    std::vector<Pairs> runs;
    for (std::size_t i = 0; i < arm.runs.size(); ++i) {
      Result<Pairs> pairs = pairs_of(arms[baseline].runs[i], arm.runs[i], warmup_s);
      if (!pairs) return tl::unexpected(pairs.error());
      if (pairs->empty())
        return fail("ab.warmup_s", "requests that arrive after it", fmt::format("none in repeat {}", i + 1));
      runs.push_back(std::move(*pairs));
    }
    all.push_back(std::move(runs));
  }
  return all;
}

}  // namespace

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::better: return "better";
    case Verdict::worse: return "worse";
    case Verdict::no_difference: return "no difference found";
    case Verdict::too_little_data: return "too little data";
  }
  return "";
}

Result<Comparison> compare(const std::vector<ArmRuns>& arms, std::size_t baseline,
                           const CompareOptions& options) {
  auto paired = pair_up(arms, baseline, options.warmup_s);
  if (!paired) return tl::unexpected(paired.error());
  const std::vector<std::size_t> streams = streams_of(arms[baseline].runs);
  const Timeline timeline = timeline_of(*paired, streams, options.block_s);
  Comparison comparison;
  comparison.baseline = baseline;
  comparison.options = options;
  comparison.metrics = asked_metrics(options);
  comparison.block_s = timeline.block_s(), comparison.blocks = timeline.blocks();
  comparison.repeats = streams.size(), comparison.streams = timeline.runs();
  for (const Pairs& pairs : (*paired)[baseline]) comparison.sequences += pairs.size();
  for (std::size_t i = 0; i < arms.size(); ++i) {
    ArmComparison arm;
    arm.name = arms[i].name;
    count_outcomes((*paired)[i], arm);
    ArmComparer comparer((*paired)[i], timeline, comparison.metrics, options);
    arm.metrics = i == baseline ? std::vector<Difference>(comparison.metrics.size()) : comparer.differences();
    for (std::size_t m = 0; m < comparison.metrics.size(); ++m) {
      const Metric& metric = *comparison.metrics[m];
      if (metric.quantity == nullptr)
        arm.metrics[m] = compare_figure(metric, arms[baseline], arms[i], streams, options);
      else if (i == baseline)
        arm.metrics[m].metric = &metric, arm.metrics[m].value = comparer.whole().arm[m];
    }
    comparison.arms.push_back(std::move(arm));
  }
  if (options.metrics.empty()) drop_dull(comparison);
  return comparison;
}

}  // namespace serveloop::experiment::ab
