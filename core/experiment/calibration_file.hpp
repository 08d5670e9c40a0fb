// What `serveloop bench --calibrate` leaves: a calibration's name, its file and a list of its steps. Thread-safe: pure
// functions.
#pragma once

#include <span>
#include <string>

#include "config/calibration.hpp"
#include "experiment/fit.hpp"
#include "experiment/step_plan.hpp"

namespace serveloop::experiment {

// Where and how the steps ran: what a file says in comments.
struct CalibrationNotes {
  std::string command;  // may hold anything; what is not printable ASCII comes out as '?'
  std::string date;     // "2026-11-27"
  std::string processor, instruction_set, model, format, precision;
  std::string host_from;  // the calibration whose figures for the host it takes over
  unsigned threads = 0;   // that compute; 0: a GPU does
  unsigned cores = 0;
  double load = 0;  // load average before the first step
  std::uint32_t rounds = 0;
  StepLimits limits{};
};

// The same of a calibration whose step costs were fitted again, to the steps of logs.
struct RefitNotes {
  std::string command, date, base;  // the name of the calibration whose other figures it takes over
};

// "intel-xeon-processor-2.50ghz-smollm2-135m-instruct-q4_1-2-threads": lower case, and nothing that a shell minds.
std::string calibration_name(const CalibrationNotes& notes);

// Lines of a table, each begun with `indent`: residuals by kind of step, in percent.
std::string residual_table(const CostFit& fit, const std::string& indent);

// The whole file. Fails where it would not be read back as `calibration`.
Result<std::string> calibration_text(const config::Calibration& calibration, const CostFit& fit,
                                     const CalibrationNotes& notes);
Result<std::string> calibration_text(const config::Calibration& calibration, const CostFit& fit,
                                     const RefitNotes& notes);

// CSV: a line a step, with its terms, its time and what the model says.
std::string steps_csv(const sl_cost& cost, std::span<const MeasuredStep> steps);

}  // namespace serveloop::experiment
