// What `simulate` and `bench` share: a column a configuration, in a table.
#pragma once

#include "cli/command.hpp"

namespace serveloop::cli {

struct RunKind {
  Help help;
  bool real;            // on an executor that computes a model, in real time
  const char* seconds;  // of the progress bar: "s simulated"
};

int run_configurations(const Arguments& arguments, const RunKind& kind);

}  // namespace serveloop::cli
