// The `serveloop` object: what requests of this engine carry beyond OpenAI's. Its unknown keys are errors, since nobody
// else's server would ignore them for a reason.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/suggest.hpp"
#include "server/openai/parameters.hpp"

namespace serveloop::server::openai {
namespace {

constexpr std::size_t kMostHints = 64;
constexpr std::int64_t kMostPriority = 1'000'000;     // as in [[priority.rule]]
constexpr double kMostMs = 1000.0 * 3600 * 24 * 365;  // a year

const std::vector<std::string> kKnown{"priority",         "tenant",           "deadline_ms",
                                      "ttft_deadline_ms", "session",          "program",
                                      "category",         "predicted_tokens", "hints"};

void read_deadline(Fields& in, const char* key, std::uint64_t& deadline_ns) {
  double ms = 0;
  if (!in.number(key, 0, kMostMs, ms)) return;
  if (ms <= 0) return in.refuse(key, fmt::format("serveloop.{}: expected more than 0", key));
  deadline_ns = static_cast<std::uint64_t>(std::max(1.0, std::floor(ms * 1e6)));
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
  read_deadline(own, "deadline_ms", spec.end_deadline_ns);
  read_deadline(own, "ttft_deadline_ms", spec.ttft_deadline_ns);
  read_predictions(own, spec);
  read_hints(own, spec.hints);
  if (!status) in.refuse(status.error().parameter, status.error().message);
}

}  // namespace serveloop::server::openai
