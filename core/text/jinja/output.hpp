// Where text goes: the rendered prompt, or what a macro or block captures. Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

class Output {
 public:
  // The prompt itself has a limit of its own; captured text counts as a value.
  Output(Run& run, bool captured) : run_(run), captured_(captured) {}

  Done append(std::string_view text) {
    JINJA_CHECK(run_.budget.spend_bytes(text.size()));
    if (captured_) {
      JINJA_CHECK(run_.budget.room_for(text.size()));
      charge_.grow(run_.budget, text.size());
    } else if (text.size() > run_.budget.limits().output_bytes - bytes_.size()) {
      return fault("the prompt takes more than " + std::to_string(run_.budget.limits().output_bytes) +
                   " bytes");
    }
    bytes_ += text;
    return {};
  }
  std::string take() { return std::move(bytes_); }

 private:
  Run& run_;
  bool captured_;
  std::string bytes_;
  Charge charge_;
};

}  // namespace serveloop::text::jinja
