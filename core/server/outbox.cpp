#include "server/outbox.hpp"

#include <utility>

namespace serveloop::server {

void Told::clear() {
  items.clear();
  text.clear();
  logprobs.clear();
  ends.clear();
}

bool Outbox::add(const service::Piece& piece, std::uint32_t choice) {
  const std::lock_guard lock(mutex_);
  told_.items.push_back({choice, piece.token, static_cast<std::uint32_t>(piece.text.size()),
                         static_cast<std::uint16_t>(piece.logprobs.size()), false});
  told_.text += piece.text;
  told_.logprobs.insert(told_.logprobs.end(), piece.logprobs.begin(), piece.logprobs.end());
  return std::exchange(asleep_, false);
}

bool Outbox::add(const service::End& end, std::uint32_t choice) {
  Ended ended{choice, end.finish, std::string(end.stop_string), end.stop_token, end.output_tokens, {}};
  if (end.finished != nullptr) ended.finished = *end.finished;
  const std::lock_guard lock(mutex_);
  told_.items.push_back({choice, 0, static_cast<std::uint32_t>(end.text.size()), 0, true});
  told_.text += end.text;
  told_.ends.push_back(std::move(ended));
  return std::exchange(asleep_, false);
}

bool Outbox::take(Told& told) {
  told.clear();
  const std::lock_guard lock(mutex_);
  std::swap(told, told_);
  asleep_ = told.items.empty();
  return !asleep_;
}

}  // namespace serveloop::server
