// The folder in which `serveloop ab` keeps its runs: takes those that would come out again, adds those that come. The calling
// thread's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiment/ab/plan.hpp"

namespace serveloop::cli {

class KeptRuns {
 public:
  explicit KeptRuns(std::string folder) : folder_(std::move(folder)) {}

  Status make() const;  // the folder, if it is not there
  // The run's results, if they are there and would come out again.
  std::optional<experiment::ab::RunResult> find(const experiment::ab::Plan& plan,
                                                const experiment::ab::PlannedRun& run);
  Status keep(const experiment::ab::Plan& plan, const experiment::ab::PlannedRun& run,
              const experiment::ab::RunResult& result) const;
  Status write(const std::string& name, const std::string& content) const;  // whole or not at all
  void tell() const;  // on stderr: what of the folder was taken and what was not

 private:
  std::string path(const std::string& name) const;

  std::string folder_;
  std::vector<std::string> reused_, outdated_;  // files
};

}  // namespace serveloop::cli
