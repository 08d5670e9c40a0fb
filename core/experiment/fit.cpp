// Each step is a row of six terms over its time; the model is right where coefficients times terms are 1. All that a
// solution needs is in the 6 x 6 matrix of the rows' weighted products. With an overlap, one of two terms of each row
// counts in part: which, the coefficients found last say.
#include "experiment/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <vector>

namespace serveloop::experiment {
namespace {

constexpr std::size_t kTerms = 6;
using Terms = std::array<double, kTerms>;
enum Term : std::size_t { kFixed, kSequence, kContext, kToken, kPairs, kPrefillStep };
constexpr std::size_t kAsked = kPrefillStep;  // the terms before it must be told apart
constexpr std::array<const char*, kTerms> kNames = {"step_fixed_us",      "decode_sequence_us",
                                                    "decode_context_ns",  "prefill_token_us",
                                                    "prefill_context_ns", "prefill_step_us"};

// Of a column's length, what must be left of it beside those before it: 1 %, squared.
constexpr double kLeastApart = 1e-4;
constexpr double kLeastPivot = 1e-10;  // of a column's square: less is rounding
constexpr double kHuber = 1.345;       // 95 % of least squares' efficiency on normal noise
constexpr double kMadToSigma = 1.4826;
constexpr int kMostIterations = 100;
constexpr int kOverlaps = 20;  // searched from 0 to 1, then around the best
constexpr int kFineOverlaps = 5;
constexpr double kLeastGain = 1e-3;  // that an overlap must bring over a plain sum

// Decoded tokens count among the tokens where they share the weights.
std::vector<Terms> terms_of(std::span<const MeasuredStep> steps, bool decodes_are_tokens) {
  std::vector<Terms> rows;
  rows.reserve(steps.size());
  for (const MeasuredStep& s : steps) {
    Terms row{1,
              static_cast<double>(s.decodes),
              static_cast<double>(s.decode_context),
              static_cast<double>(s.prefill_tokens) + (decodes_are_tokens ? s.decodes : 0.0),
              s.prefill_pairs,
              s.prefill_tokens > 0 ? 1.0 : 0.0};
    for (double& term : row) term /= static_cast<double>(s.ns);
    rows.push_back(row);
  }
  return rows;
}

// What is left of a row's terms where `overlap` of the shorter of two is hidden.
Terms hidden(Terms row, const Terms& x, double overlap) {
  const bool weights_longer = x[kFixed] * row[kFixed] >= x[kToken] * row[kToken];
  row[weights_longer ? kToken : kFixed] *= 1 - overlap;
  return row;
}

struct Products {
  std::array<Terms, kTerms> a{};  // sums of row[i] row[j]
  Terms b{};                      // sums of row[i] 1
};

Products products_of(std::span<const Terms> rows, std::span<const double> weights) {
  Products p;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t i = 0; i < kTerms; ++i) {
      const double x = weights[r] * rows[r][i];
      p.b[i] += x;
      for (std::size_t j = 0; j < kTerms; ++j) p.a[i][j] += x * rows[r][j];
    }
  return p;
}

// Least squares with the terms of `set` alone, by a Cholesky decomposition; none where it is not definite.
std::optional<Terms> solve(const Products& p, unsigned set) {
  std::array<Terms, kTerms> l{};
  Terms x{};
  for (std::size_t j = 0; j < kTerms; ++j) {
    if ((set >> j & 1) == 0) continue;
    for (std::size_t i = j; i < kTerms; ++i) {
      if ((set >> i & 1) == 0) continue;
      double sum = p.a[i][j];
      for (std::size_t k = 0; k < j; ++k) sum -= l[i][k] * l[j][k];
      if (i == j && !(sum > kLeastPivot * p.a[j][j])) return std::nullopt;
      l[i][j] = i == j ? std::sqrt(sum) : sum / l[j][j];
    }
    x[j] = p.b[j];
    for (std::size_t k = 0; k < j; ++k) x[j] -= l[j][k] * x[k];
    x[j] /= l[j][j];
  }
  for (std::size_t j = kTerms; j-- > 0;) {
    if ((set >> j & 1) == 0) continue;
    for (std::size_t k = j + 1; k < kTerms; ++k) x[j] -= l[k][j] * x[k];
    x[j] /= l[j][j];
  }
  return x;
}

// The best of all sets of `allowed` terms whose solution has no negative coefficient. The constrained optimum is one of
// them: it is the plain least squares of its own positive set. A solution x explains x . b of the rows' squares.
Terms solve_non_negative(const Products& p, unsigned allowed) {
  Terms best{};
  double most = 0;
  for (unsigned set = 1; set < 1u << kTerms; ++set) {
    if ((set & ~allowed) != 0) continue;
    const std::optional<Terms> x = solve(p, set);
    if (!x || std::any_of(x->begin(), x->end(), [](double c) { return c < 0; })) continue;
    double explained = 0;
    for (std::size_t i = 0; i < kTerms; ++i) explained += (*x)[i] * p.b[i];
    if (explained <= most) continue;
    most = explained;
    best = *x;
  }
  return best;
}

struct Apart {
  std::size_t first = kTerms;  // the first term that cannot be told from those before it
  bool occurs = true;          // where it is in any step at all
};

Apart apart(std::span<const Terms> rows) {
  std::vector<Terms> left(rows.begin(), rows.end());
  for (std::size_t j = 0; j < kTerms; ++j) {
    double whole = 0, rest = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      whole += rows[r][j] * rows[r][j];
      rest += left[r][j] * left[r][j];
    }
    if (!(whole > 0) || rest < kLeastApart * whole) return {j, whole > 0};
    for (std::size_t k = j + 1; k < kTerms; ++k) {  // Gram and Schmidt, modified
      double along = 0;
      for (const Terms& row : left) along += row[j] * row[k];
      for (Terms& row : left) row[k] -= along / rest * row[j];
    }
  }
  return {};
}

Status check_asked(const Apart& found, std::size_t steps) {
  if (found.first >= kAsked) return {};
  const std::string what = fmt::format("calibration: {}", kNames[found.first]);
  if (!found.occurs) return fail(what, "steps that depend on it", fmt::format("none of {}", steps));
  return fail(
      what, "steps that tell it from the coefficients before it", "none that do",
      "larger engine.max_sequences, token_budget, context_tokens or kv_memory give more kinds of steps");
}

double error_of(const Terms& row, const Terms& x) {
  double sum = -1;
  for (std::size_t i = 0; i < kTerms; ++i) sum += row[i] * x[i];
  return sum;
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Solution {
  Terms x{};
  double overlap = 0;
  double loss = 0;  // mean size of the relative error: steps that were held up do not rule it
};

// The best of the solutions that the iteration comes by: with an overlap it may go round in circles.
Solution solve_robustly(std::span<const Terms> rows, unsigned allowed, double overlap) {
  std::vector<double> weights(rows.size(), 1.0), errors(rows.size()), sizes(rows.size());
  std::vector<Terms> kept(rows.begin(), rows.end());
  Terms x = solve_non_negative(products_of(kept, weights), allowed);
  Solution best{x, overlap, std::numeric_limits<double>::infinity()};
  for (int i = 0; i < kMostIterations; ++i) {
    double loss = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      kept[r] = hidden(rows[r], x, overlap);
      sizes[r] = errors[r] = std::abs(error_of(kept[r], x));
      loss += errors[r] / static_cast<double>(rows.size());
    }
    if (loss < best.loss) best.x = x, best.loss = loss;
    const double bound = std::max(kHuber * kMadToSigma * median(sizes), 1e-9);
    for (std::size_t r = 0; r < rows.size(); ++r) weights[r] = errors[r] > bound ? bound / errors[r] : 1.0;
    const Terms next = solve_non_negative(products_of(kept, weights), allowed);
    double change = 0;
    for (std::size_t j = 0; j < kTerms; ++j)
      change = std::max(change, std::abs(next[j] - x[j]) / std::max({next[j], x[j], 1e-12}));
    x = next;
    if (change < 1e-9) break;
  }
  return best;
}

// Where steps do not tell an overlap, there is none.
Solution search_overlap(std::span<const MeasuredStep> steps, unsigned allowed) {
  const Solution plain = solve_robustly(terms_of(steps, false), allowed, 0);
  const std::vector<Terms> rows = terms_of(steps, true);
  Solution best;
  best.loss = std::numeric_limits<double>::infinity();
  const auto try_at = [&](int hundredths) {
    if (hundredths < 1 || hundredths > 100) return;
    const Solution s = solve_robustly(rows, allowed, hundredths / 100.0);
    if (s.loss < best.loss) best = s;
  };
  constexpr int kStride = 100 / kOverlaps;
  for (int i = 1; i <= kOverlaps; ++i) try_at(i * kStride);
  const int middle = static_cast<int>(std::lround(best.overlap * 100));
  for (int i = 1; i < kFineOverlaps; ++i) try_at(middle - i), try_at(middle + i);
  return best.loss < plain.loss * (1 - kLeastGain) - 1e-9 ? best : plain;
}

Residuals summarise(std::span<const double> errors, std::span<const double> distances) {
  Residuals out;
  out.steps = errors.size();
  if (errors.empty()) return out;
  std::vector<double> values(errors.begin(), errors.end());
  out.bias = median(values);
  for (double& v : values) v = std::abs(v);
  std::sort(values.begin(), values.end());
  out.median = values[values.size() / 2];
  out.p95 = values[std::min(values.size() - 1, values.size() * 95 / 100)];
  values.assign(distances.begin(), distances.end());
  if (!values.empty()) out.spread = median(values);
  return out;
}

// How far each step is from the median step of its group, relative to that; none where it is alone in it.
std::vector<std::optional<double>> distances_in_groups(std::span<const MeasuredStep> steps) {
  std::map<std::uint32_t, std::vector<double>> groups;
  for (const MeasuredStep& s : steps) groups[s.group].push_back(static_cast<double>(s.ns));
  std::map<std::uint32_t, double> middles;
  for (auto& [group, times] : groups)
    if (times.size() > 1) middles[group] = median(times);
  std::vector<std::optional<double>> out(steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (const auto middle = middles.find(steps[i].group); middle != middles.end())
      out[i] = std::abs(static_cast<double>(steps[i].ns) / middle->second - 1);
  return out;
}

}  // namespace

const char* name_of(StepKind kind) {
  switch (kind) {
    case StepKind::decode: return "decode";
    case StepKind::prefill: return "prefill";
    case StepKind::mixed: return "mixed";
  }
  return "?";
}

CostFit residuals_of(const sl_cost& cost, std::span<const MeasuredStep> steps) {
  const std::vector<std::optional<double>> distances = distances_in_groups(steps);
  std::array<std::vector<double>, kStepKinds + 1> errors, apart;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const MeasuredStep& s = steps[i];
    const double model =
        sl_predict_step_ns(&cost, s.decodes, s.decode_context, s.prefill_tokens, s.prefill_pairs);
    for (const std::size_t kind : {static_cast<std::size_t>(s.kind()), kStepKinds}) {
      errors[kind].push_back(model / static_cast<double>(s.ns) - 1);
      if (distances[i]) apart[kind].push_back(*distances[i]);
    }
  }
  CostFit out;
  out.cost = cost;
  for (std::size_t kind = 0; kind < kStepKinds; ++kind)
    out.by_kind[kind] = summarise(errors[kind], apart[kind]);
  out.all = summarise(errors[kStepKinds], apart[kStepKinds]);
  return out;
}

Result<CostFit> fit_cost(std::span<const MeasuredStep> steps) {
  if (steps.size() < kLeastSteps)
    return fail("calibration: steps", fmt::format("at least {}", kLeastSteps), std::to_string(steps.size()));
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i].ns == 0) return fail(fmt::format("calibration: step {}", i), "a time above 0", "0 ns");
  const Apart found = apart(terms_of(steps, false));
  if (Status asked = check_asked(found, steps.size()); !asked) return tl::unexpected(asked.error());
  const unsigned all = (1u << kTerms) - 1;
  const Solution s = search_overlap(steps, found.first == kPrefillStep ? all & ~(1u << kPrefillStep) : all);
  sl_cost cost{};
  cost.struct_size = sizeof cost;
  cost.step_fixed_ns = s.x[kFixed];
  cost.decode_sequence_ns = s.x[kSequence];
  cost.decode_context_ns = s.x[kContext];
  cost.prefill_token_ns = s.x[kToken];
  cost.prefill_context_ns = s.x[kPairs];
  cost.prefill_step_ns = s.x[kPrefillStep];
  cost.decode_token_ns = s.overlap > 0 ? s.x[kToken] : 0;
  cost.overlap = s.overlap;
  return residuals_of(cost, steps);
}

}  // namespace serveloop::experiment
