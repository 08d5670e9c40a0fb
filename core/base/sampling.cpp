#include "base/sampling.hpp"

#include <fmt/format.h>

#include <cmath>

namespace serveloop {

namespace {

Status between(const char* what, double value, double least, double most, bool open_below = false) {
  if (value <= most && (open_below ? value > least : value >= least)) return {};
  return fail(what, fmt::format("{} {} and at most {}", open_below ? "above" : "at least", least, most),
              fmt::format("{}", value));
}

}  // namespace

Status check_sampling(const Sampling& s) {
  for (const Status& good :
       {between("temperature", s.temperature, 0, 100), between("top_p", s.top_p, 0, 1, true),
        between("min_p", s.min_p, 0, 1), between("repetition_penalty", s.repetition, 0, 100, true),
        between("presence_penalty", s.presence, -100, 100),
        between("frequency_penalty", s.frequency, -100, 100)})
    if (!good) return good;
  if (s.alternatives && *s.alternatives > kMaxAlternatives)
    return fail("logprobs", fmt::format("at most {}", kMaxAlternatives), std::to_string(*s.alternatives));
  if (s.bias.size() > kMaxBiases)
    return fail("logit_bias", fmt::format("at most {} tokens", kMaxBiases), std::to_string(s.bias.size()));
  for (const TokenBias& b : s.bias)
    if (Status good = between("logit_bias", b.bias, -100, 100); !good) return good;
  if (s.stop_ids.size() > kMaxStopIds + kMaxModelEndIds)
    return fail("stop_token_ids", fmt::format("at most {} ids", kMaxStopIds),
                std::to_string(s.stop_ids.size()));
  return {};
}

}  // namespace serveloop
