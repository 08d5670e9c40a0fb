// Fits the cost model of <serveloop/cost.h> to steps that ran.
//
// Least squares of the relative error, since steps span three orders of magnitude. No coefficient is negative (Lawson
// and Hanson, Solving Least Squares Problems, 1974): six coefficients are few enough to try all 64 sets of positive
// ones. Steps that something else held up weigh less (Huber, Robust Estimation of a Location Parameter, 1964, by weights
// that are iterated). The overlap is not linear: it is searched, with a fit of the others at each. Thread-safe: pure
// functions.
#pragma once

#include <serveloop/cost.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.hpp"

namespace serveloop::experiment {

enum class StepKind : std::uint8_t { decode, prefill, mixed };
inline constexpr std::size_t kStepKinds = 3;
const char* name_of(StepKind kind);

// What the device did in a step, in the cost model's terms, and how long it took.
struct MeasuredStep {
  std::uint32_t group = 0;  // steps of equal work share one
  std::uint32_t decodes = 0;
  std::uint64_t decode_context = 0;  // KV tokens that they read
  std::uint32_t prefill_tokens = 0;
  double prefill_pairs = 0;               // sl_chunk_pairs() of its chunks
  std::uint32_t chunks = 0, sampled = 0;  // rows that prefill, rows that yield a token: not in the model
  std::uint64_t ns = 0;

  StepKind kind() const {
    return prefill_tokens == 0 ? StepKind::decode : decodes == 0 ? StepKind::prefill : StepKind::mixed;
  }
};

// Of some steps, relative to the time measured: 0.01 is 1 %.
struct Residuals {
  std::size_t steps = 0;
  double bias = 0;             // median of (model - measured) / measured
  double median = 0, p95 = 0;  // of its absolute value
  // Median distance of a step from the median step of its group: what no model can explain. Over groups of two and more;
  // none where there is no such group.
  std::optional<double> spread;
};

struct CostFit {
  sl_cost cost{};  // without swap
  std::array<Residuals, kStepKinds> by_kind;
  Residuals all;
};

inline constexpr std::size_t kLeastSteps = 20;

// Fails where the steps are too few, or do not tell two coefficients apart; the error names one of them, as calibration
// files do. Three are not asked for: prefill_step and overlap are 0 where steps do not tell them, and a decoded token's
// arithmetic is that of a prompt's (or none, where nothing overlaps: then it is a part of decode_sequence).
Result<CostFit> fit_cost(std::span<const MeasuredStep> steps);

// Of any cost model on any steps.
CostFit residuals_of(const sl_cost& cost, std::span<const MeasuredStep> steps);

}  // namespace serveloop::experiment
