// The report on an instance, for whoever has to find out why it was ejected.
#include <array>
#include <cinttypes>
#include <cstdio>

#include "policy/instance.hpp"

namespace serveloop::policy {
namespace {

constexpr std::uint32_t kMostRows = 8;  // of one answer
constexpr std::array<const char*, 10> kVerbs = {"?",        "run",     "admit", "reserve", "swap_in",
                                                "prefetch", "preempt", "park",  "release", "reject"};
constexpr std::array<const char*, 3> kYields = {"recompute", "swap", "keep"};
constexpr std::array<const char*, 3> kTiers = {"device", "host", "none"};

template <std::size_t N>
std::string named(const std::array<const char*, N>& names, std::uint64_t code) {
  return code < N ? names[code] : "?" + std::to_string(code);
}

std::string seq_text(sl_seq seq) {
  return "seq " + std::to_string(SL_SEQ_SLOT(seq)) + "/" + std::to_string(SL_SEQ_GENERATION(seq));
}

template <class Row>
Row row_at(const Answered& answer, std::uint32_t i) {
  Row row{};
  if (i == answer.bad)
    std::memcpy(&row, answer.bad_row.data(),
                std::min<std::size_t>({sizeof(row), answer.stride, Answered::kRowBytes}));
  else
    std::memcpy(&row, answer.rows.data() + std::size_t{i} * answer.stride,
                std::min<std::size_t>(sizeof(row), answer.stride));
  return row;
}

std::string row_text(const Instance& instance, const Answered& answer, std::uint32_t i) {
  const auto because = [&](std::uint16_t reason) {
    return reason == 0 ? "" : ", " + instance.reason_name(reason);
  };
  switch (instance.kind()) {
    case Kind::scheduler: {
      const auto e = row_at<sl_entry>(answer, i);
      return named(kVerbs, e.verb) + " " + seq_text(e.seq) + ", tokens " + std::to_string(e.tokens) +
             ", blocks " + std::to_string(e.blocks) + ", arg " + std::to_string(e.arg) + because(e.reason);
    }
    case Kind::eviction: {
      const auto v = row_at<sl_victim>(answer, i);
      return "block " + std::to_string(v.block) + " to " + named(kTiers, v.to) + because(v.reason);
    }
    case Kind::preemption: {
      const auto y = row_at<sl_yield>(answer, i);
      return named(kYields, y.mode) + " " + seq_text(y.seq) + ", keep " + std::to_string(y.keep_blocks) +
             because(y.reason);
    }
    case Kind::precision: {
      const auto p = row_at<sl_op_plan>(answer, i);
      return "weight dtype " + std::to_string(p.weight.dtype) + ", input dtype " +
             std::to_string(p.input.dtype) + because(p.reason);
    }
  }
  return {};
}

std::string answer_text(const Instance& instance, const Answered& answer) {
  std::string out = "  step " + std::to_string(answer.step) + ": " + std::to_string(answer.count) + " rows";
  if (answer.status < 0) out += ", status " + std::to_string(answer.status);
  const std::string why = answer.reason == 0 ? "" : "refused: " + instance.reason_name(answer.reason);
  if (!why.empty()) out += ", " + why;
  const std::uint32_t shown = std::min(answer.kept, kMostRows);
  const auto row = [&](std::uint32_t i) {
    return row_text(instance, answer, i) +
           (i == answer.bad ? "  <- row " + std::to_string(i) + " " + why : "");
  };
  for (std::uint32_t i = 0; i < shown; ++i) out += "\n    " + row(i);
  if (answer.count > shown) out += "\n    ... and " + std::to_string(answer.count - shown) + " more";
  if (answer.bad != kNoRow && answer.bad >= shown) out += ", among them\n    " + row(answer.bad);
  return out + "\n";
}

}  // namespace

std::string Instance::report() {
  std::string out = std::string(name_of(kind())) + " '" + id() + "' " + manifest().version +
                    (is_gate_ ? " (gate)" : "") + ", " + manifest().library_path() + "\n";
  out += "calls " + std::to_string(health_.calls()) + ", refused " + std::to_string(health_.refusals()) +
         ", refused in a row " + std::to_string(health_.consecutive()) + "\n";
  for (const auto& [reason, count] : health_.by_reason()) {
    out += "  " + reason_name(reason) + ": " + std::to_string(count) + "\n";
  }
  if (!last_failure_.empty()) out += "last failure: " + last_failure_ + "\n";
  if (const std::string own = dump(); !own.empty()) out += "its own account:\n" + own + "\n";
  const std::uint64_t kept = std::min<std::uint64_t>(asked_, last_.size());
  if (kept > 0) out += "last answers:\n";
  for (std::uint64_t i = asked_ - kept; i < asked_; ++i) out += answer_text(*this, last_[i % last_.size()]);
  return out;
}

}  // namespace serveloop::policy
