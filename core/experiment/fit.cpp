// Each step is a row of five terms over its time; the model is right where coefficients times terms are 1. All that a
// solution needs is in the 5 x 5 matrix of the rows' weighted products.
#include "experiment/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

namespace serveloop::experiment {
namespace {

constexpr std::size_t kTerms = 5;
using Terms = std::array<double, kTerms>;
constexpr std::array<const char*, kTerms> kNames = {
    "step_fixed_us", "decode_sequence_us", "decode_context_ns", "prefill_token_us", "prefill_context_ns"};

// Of a column's length, what must be left of it beside those before it: 1 %, squared.
constexpr double kLeastApart = 1e-4;
constexpr double kHuber = 1.345;  // 95 % of least squares' efficiency on normal noise
constexpr double kMadToSigma = 1.4826;
constexpr int kMostIterations = 100;

Terms terms_of(const MeasuredStep& s) {
  return {1, static_cast<double>(s.decodes), static_cast<double>(s.decode_context),
          static_cast<double>(s.prefill_tokens), s.prefill_pairs};
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
      if (i == j && !(sum > 0)) return std::nullopt;
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

// The best of all sets whose solution has no negative coefficient. The constrained optimum is one of them: it is the plain
// least squares of its own positive set. A solution x explains x . b of the rows' squares.
Terms solve_non_negative(const Products& p) {
  Terms best{};
  double most = 0;
  for (unsigned set = 1; set < 1u << kTerms; ++set) {
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

// Can each coefficient be told from those before it?
Status check_apart(std::span<const Terms> rows) {
  std::vector<Terms> left(rows.begin(), rows.end());
  for (std::size_t j = 0; j < kTerms; ++j) {
    double whole = 0, rest = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      whole += rows[r][j] * rows[r][j];
      rest += left[r][j] * left[r][j];
    }
    const std::string what = fmt::format("calibration: {}", kNames[j]);
    if (!(whole > 0)) return fail(what, "steps that depend on it", fmt::format("none of {}", rows.size()));
    if (rest < kLeastApart * whole)
      return fail(
          what, "steps that tell it from the coefficients before it", "none that do",
          "larger engine.max_sequences, token_budget, context_tokens or kv_memory give more kinds of steps");
    for (std::size_t k = j + 1; k < kTerms; ++k) {  // Gram and Schmidt, modified
      double along = 0;
      for (const Terms& row : left) along += row[j] * row[k];
      for (Terms& row : left) row[k] -= along / rest * row[j];
    }
  }
  return {};
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

Terms solve_robustly(std::span<const Terms> rows) {
  std::vector<double> weights(rows.size(), 1.0), errors(rows.size()), sizes(rows.size());
  Terms x = solve_non_negative(products_of(rows, weights));
  for (int i = 0; i < kMostIterations; ++i) {
    for (std::size_t r = 0; r < rows.size(); ++r) sizes[r] = errors[r] = std::abs(error_of(rows[r], x));
    const double bound = std::max(kHuber * kMadToSigma * median(sizes), 1e-9);
    for (std::size_t r = 0; r < rows.size(); ++r) weights[r] = errors[r] > bound ? bound / errors[r] : 1.0;
    const Terms next = solve_non_negative(products_of(rows, weights));
    double change = 0;
    for (std::size_t j = 0; j < kTerms; ++j)
      change = std::max(change, std::abs(next[j] - x[j]) / std::max({next[j], x[j], 1e-12}));
    x = next;
    if (change < 1e-9) break;
  }
  return x;
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
  out.spread = median(values);
  return out;
}

// How far each step is from the median step of its group, relative to that.
std::vector<double> distances_in_groups(std::span<const MeasuredStep> steps) {
  std::map<std::uint32_t, std::vector<double>> groups;
  for (const MeasuredStep& s : steps) groups[s.group].push_back(static_cast<double>(s.ns));
  std::map<std::uint32_t, double> middles;
  for (auto& [group, times] : groups) middles[group] = median(times);
  std::vector<double> out;
  out.reserve(steps.size());
  for (const MeasuredStep& s : steps)
    out.push_back(std::abs(static_cast<double>(s.ns) / middles[s.group] - 1));
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
  const std::vector<double> distances = distances_in_groups(steps);
  std::array<std::vector<double>, kStepKinds + 1> errors, apart;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const MeasuredStep& s = steps[i];
    const double model =
        sl_predict_step_ns(&cost, s.decodes, s.decode_context, s.prefill_tokens, s.prefill_pairs);
    for (const std::size_t kind : {static_cast<std::size_t>(s.kind()), kStepKinds}) {
      errors[kind].push_back(model / static_cast<double>(s.ns) - 1);
      apart[kind].push_back(distances[i]);
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
  std::vector<Terms> rows;
  rows.reserve(steps.size());
  for (const MeasuredStep& s : steps) {
    if (s.ns == 0) return fail(fmt::format("calibration: step {}", rows.size()), "a time above 0", "0 ns");
    Terms row = terms_of(s);
    for (double& term : row) term /= static_cast<double>(s.ns);
    rows.push_back(row);
  }
  if (Status apart = check_apart(rows); !apart) return tl::unexpected(apart.error());
  const Terms x = solve_robustly(rows);
  sl_cost cost{};
  cost.struct_size = sizeof cost;
  cost.step_fixed_ns = x[0];
  cost.decode_sequence_ns = x[1];
  cost.decode_context_ns = x[2];
  cost.prefill_token_ns = x[3];
  cost.prefill_context_ns = x[4];
  return residuals_of(cost, steps);
}

}  // namespace serveloop::experiment
