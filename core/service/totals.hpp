// Counts over all requests, for /metrics. The loop thread's.
#pragma once

#include <map>
#include <string>

#include "engine/output.hpp"
#include "service/snapshot.hpp"

namespace serveloop::service {

class Totals {
 public:
  void token(const engine::Delivered& token);
  void end(const engine::Finished& end);
  void fill(Snapshot& snapshot) const;

 private:
  std::map<std::uint32_t, std::uint64_t> finished_;  // by SL_FINISH_*
  TimeHistogram first_token_, between_tokens_, end_to_end_, queue_, prefill_, decode_;
};

}  // namespace serveloop::service
