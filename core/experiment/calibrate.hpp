// From a configuration to a calibration: its model on its executor, steps of all kinds, the fit, and a file's text.
// Thread safety: one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "experiment/calibration_file.hpp"
#include "experiment/fit.hpp"
#include "experiment/step_runner.hpp"
#include "rig/rig.hpp"

namespace serveloop::experiment {

struct Calibrated {
  config::Calibration calibration;
  CostFit fit;  // of the calibration's rounded figures
  std::vector<MeasuredStep> steps;
  std::string text;  // of the file
};

class Calibrator {
 public:
  // Loads model, policies and precision; runs nothing. Requires that [simulated] calibration is a path
  // (rig::resolve_calibration). Fails where the executor computes no model in real time. `command`: for the file.
  static Result<Calibrator> load(const config::Config& config, const std::string& command,
                                 const rig::Progress& progress = nullptr);
  // Of the machine, the model, its format and the threads.
  std::string name() const { return calibration_name(notes_); }
  // Takes minutes. `name`: of the calibration in its file.
  Result<Calibrated> run(const std::string& name, const StepRunOptions& options);

 private:
  std::unique_ptr<rig::Rig> rig_;
  config::Calibration base_;  // whose figures for the host are taken over
  CalibrationNotes notes_;
};

// `base` with step costs that fit these steps, which ran under a load (steps_of_log). `command`: for the file.
Result<Calibrated> refit(const config::Calibration& base, const std::string& name,
                         std::vector<MeasuredStep> steps, const std::string& command);

}  // namespace serveloop::experiment
