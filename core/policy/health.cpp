#include "policy/health.hpp"

#include <algorithm>

namespace serveloop::policy {

void Health::refused(std::uint16_t reason) {
  ++refusals_;
  ++consecutive_;
  debt_ += rule_.forgive_calls;
  const auto at =
      std::find_if(by_reason_.begin(), by_reason_.end(), [&](const auto& r) { return r.first == reason; });
  if (at == by_reason_.end())
    by_reason_.emplace_back(reason, 1);
  else
    ++at->second;
}

std::uint64_t Health::refusals(std::uint16_t reason) const {
  for (const auto& [code, count] : by_reason_) {
    if (code == reason) return count;
  }
  return 0;
}

}  // namespace serveloop::policy
