// The state after any text is the longest end of it that begins a stop string: so exactly that end may still
// become one, and its text can be read from the stop string that it begins.
#include "text/stops.hpp"

#include <fmt/format.h>

#include "text/utf8.hpp"

namespace serveloop::text {

Result<StopSet> StopSet::create(std::vector<std::string> stops) {
  if (stops.size() > kMaxStops)
    return fail("stop", fmt::format("at most {} strings", kMaxStops), std::to_string(stops.size()));
  for (std::size_t i = 0; i < stops.size(); ++i) {
    const std::string name = fmt::format("stop[{}]", i);
    if (stops[i].empty() || stops[i].size() > kMaxStopBytes)
      return fail(name, fmt::format("1 to {} bytes", kMaxStopBytes), std::to_string(stops[i].size()));
    if (const std::size_t valid = valid_prefix(stops[i]); valid != stops[i].size())
      return fail(name, "UTF-8", fmt::format("a wrong byte at offset {}", valid));
  }
  return StopSet(std::move(stops));
}

StopSet::StopSet(std::vector<std::string> stops) : stops_(std::move(stops)) {
  trie_ = Trie(std::vector<std::string_view>(stops_.begin(), stops_.end()));
  fail_.resize(trie_.size(), Trie::kRoot);
  ends_.resize(trie_.size(), Trie::kNone);
  for (std::uint32_t state = 0; state < trie_.size(); ++state) {  // shorter ones come first
    const Trie::Node& node = trie_[state];
    ends_[state] = node.key != Trie::kNone ? node.key : ends_[fail_[state]];
    for (std::uint32_t i = 0; i < node.children; ++i) {
      const std::uint32_t child = node.first_child + i;
      if (state != Trie::kRoot) fail_[child] = next(fail_[state], trie_[child].byte);
    }
  }
}

std::uint32_t StopSet::next(std::uint32_t state, std::uint8_t byte) const {
  for (;; state = fail_[state]) {
    const std::uint32_t child = trie_.child(state, byte);
    if (child != Trie::kRoot || state == Trie::kRoot) return child;
  }
}

std::string_view StopSet::held(std::uint32_t state) const {
  if (state == Trie::kRoot) return {};
  return std::string_view(stops_[trie_[state].below]).substr(0, trie_[state].depth);
}

bool StopMatcher::push(std::string_view text, std::string& out) {
  if (stop_) return true;
  const std::string_view held = stops_->held(state_);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (state_ == Trie::kRoot) {
      i = stops_->trie_.skip(text, i);
      if (i == text.size()) break;
    }
    state_ = stops_->next(state_, static_cast<std::uint8_t>(text[i]));
    const std::uint32_t which = stops_->ends_[state_];
    if (which == Trie::kNone) continue;
    deliver(held, text, held.size() + i + 1 - stops_->stops_[which].size(), out);
    stop_ = Stop{which, delivered_};
    state_ = Trie::kRoot;
    return true;
  }
  deliver(held, text, held.size() + text.size() - held_bytes(), out);
  return false;
}

void StopMatcher::finish(std::string& out) {
  const std::string_view held = stops_->held(state_);
  deliver(held, {}, held.size(), out);
  state_ = Trie::kRoot;
}

// The first `bytes` of held and text.
void StopMatcher::deliver(std::string_view held, std::string_view text, std::size_t bytes, std::string& out) {
  const std::size_t first = std::min(bytes, held.size());
  out.append(held.substr(0, first));
  out.append(text.substr(0, bytes - first));
  delivered_ += bytes;
}

}  // namespace serveloop::text
