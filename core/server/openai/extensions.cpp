// The `serveloop` object: what requests of this engine carry beyond OpenAI's. Its unknown keys are errors, since nobody
// else's server would ignore them for a reason.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/suggest.hpp"
#include "server/openai/parameters.hpp"

namespace serveloop::server::openai {
namespace {

constexpr std::size_t kMostHints = 64, kMostRanges = 64;
constexpr std::int64_t kMostPriority = 1'000'000;     // as in [[priority.rule]]
constexpr double kMostMs = 1000.0 * 3600 * 24 * 365;  // a year

const std::vector<std::string> kKnown{"priority",         "tenant",  "deadline_ms", "ttft_deadline_ms",
                                      "tbt_target_ms",    "session", "program",     "category",
                                      "predicted_tokens", "hints",   "retention"};
const std::vector<std::string> kKnownOfRange{"from_token", "to_token", "priority", "duration_ms"};

void read_ms(Fields& in, const char* key, std::uint64_t& ns, const std::string& place = "serveloop") {
  double ms = 0;
  if (!in.number(key, 0, kMostMs, ms)) return;
  if (ms <= 0) return in.refuse(key, fmt::format("{}.{}: expected more than 0", place, key));
  ns = static_cast<std::uint64_t>(std::max(1.0, std::floor(ms * 1e6)));
}

// A number, or {"p50": ..., "p90": ..., "p99": ...}.
void read_predictions(Fields& in, requests::RequestSpec& spec) {
  const Json* given = in.find("predicted_tokens");
  if (given == nullptr) return;
  if (given->as_object() == nullptr) {
    in.whole("predicted_tokens", 0, UINT32_MAX, spec.predicted_p50);
    return;
  }
  ApiStatus status;
  Fields points(*given, "serveloop.predicted_tokens.", status);
  points.whole("p50", 0, UINT32_MAX, spec.predicted_p50);
  points.whole("p90", 0, UINT32_MAX, spec.predicted_p90);
  points.whole("p99", 0, UINT32_MAX, spec.predicted_p99);
  if (!status) in.refuse("predicted_tokens", status.error().message);
}

void read_hints(Fields& in, std::vector<sl_hint>& hints) {
  const Json::Object* given = in.object("hints");
  if (given == nullptr) return;
  if (given->size() > kMostHints)
    return in.refuse(
        "hints", fmt::format("serveloop.hints: expected at most {}, found {}", kMostHints, given->size()));
  for (const auto& [name, value] : *given) {
    if (name.empty() || name.size() > kMostNameBytes)
      return in.refuse("hints",
                       fmt::format("serveloop.hints: expected names of 1 to {} bytes", kMostNameBytes));
    const std::optional<double> number = value.as_number();
    if (!number) return in.wrong("hints." + name, "a number", value);
    hints.push_back({hint_key(name), *number});
  }
}

void read_range(const Json& given, const std::string& place, Fields& in, sl_retention& range) {
  const Json::Object* object = given.as_object();
  if (object == nullptr) return in.wrong("retention", "a list of objects", given);
  for (const auto& member : *object) {
    const std::string key = member.key.substr(0, kMostNameBytes);
    if (std::find(kKnownOfRange.begin(), kKnownOfRange.end(), key) == kKnownOfRange.end())
      return in.refuse("retention",
                       fmt::format("{}: unknown key '{}'; {}", place, key, did_you_mean(key, kKnownOfRange)));
  }
  ApiStatus status;
  Fields own(given, place + ".", status);
  own.whole("from_token", 0, UINT32_MAX, range.from_token);
  own.whole("to_token", 1, UINT32_MAX, range.to_token);
  if (own.find("priority") == nullptr)
    own.refuse("priority", place + ".priority: expected a whole number, found none");
  own.whole("priority", 0, 100, range.priority);
  read_ms(own, "duration_ms", range.duration_ns, place);
  if (range.from_token >= range.to_token)
    own.refuse("to_token", fmt::format("{}.to_token: expected more than from_token = {}, found {}", place,
                                       range.from_token, range.to_token));
  if (!status) in.refuse("retention", status.error().message);
}

void read_retention(Fields& in, std::vector<sl_retention>& ranges) {
  const Json::Array* given = in.array("retention");
  if (given == nullptr) return;
  if (given->size() > kMostRanges)
    return in.refuse("retention", fmt::format("serveloop.retention: expected at most {} ranges, found {}",
                                              kMostRanges, given->size()));
  for (std::size_t i = 0; i < given->size() && in.well(); ++i) {
    ranges.push_back({0, UINT32_MAX, 0, SL_TIER_DEVICE, SL_NEVER});
    read_range((*given)[i], fmt::format("serveloop.retention[{}]", i), in, ranges.back());
  }
}

}  // namespace

std::uint64_t hint_key(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash | 1;
}

void read_extensions(Fields& in, requests::RequestSpec& spec) {
  const Json::Object* given = in.object("serveloop");
  if (given == nullptr) return;
  for (const auto& member : *given)
    if (std::find(kKnown.begin(), kKnown.end(), member.key) == kKnown.end())
      return in.refuse("serveloop." + member.key.substr(0, kMostNameBytes),
                       fmt::format("serveloop: unknown key '{}'; {}", member.key.substr(0, kMostNameBytes),
                                   did_you_mean(member.key, kKnown)));
  ApiStatus status;
  Fields own(*in.find("serveloop"), "serveloop.", status);
  std::int64_t priority = 0;
  if (own.whole("priority", -kMostPriority, kMostPriority, priority))
    spec.priority = static_cast<std::int32_t>(priority);
  own.text("tenant", kMostNameBytes, spec.tenant);
  own.text("session", kMostNameBytes, spec.session);
  own.text("program", kMostNameBytes, spec.program);
  own.text("category", kMostNameBytes, spec.category);
  read_ms(own, "deadline_ms", spec.end_deadline_ns);
  read_ms(own, "ttft_deadline_ms", spec.ttft_deadline_ns);
  read_ms(own, "tbt_target_ms", spec.tbt_target_ns);
  read_predictions(own, spec);
  read_hints(own, spec.hints);
  read_retention(own, spec.retention);
  if (!status) in.refuse(status.error().parameter, status.error().message);
}

}  // namespace serveloop::server::openai
