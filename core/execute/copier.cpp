#include "execute/copier.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace serveloop::execute {

Result<std::unique_ptr<Copier>> Copier::create(std::size_t at_once, Move move) {
  std::unique_ptr<Copier> out(new Copier(std::max<std::size_t>(at_once, 1), std::move(move)));
  try {
    out->thread_ = std::thread([copier = out.get()] { copier->serve(); });
  } catch (const std::system_error& error) {
    return fail("a thread for copies between device and host memory", "one more thread", error.what(),
                "raise the limit of threads, or set engine.host_kv_memory = 0");
  }
  return out;
}

Copier::~Copier() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  to_do_.notify_one();
  thread_.join();
}

void Copier::begin(std::span<const BlockCopy> copies) {
  if (copies.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    queue_.insert(queue_.end(), copies.begin(), copies.end());
    begun_ += copies.size();
  }
  to_do_.notify_one();
}

void Copier::watch(Watch watch) {
  const std::lock_guard lock(mutex_);
  watch_ = std::move(watch);
}

void Copier::tell(Collected& done, std::vector<std::uint64_t>& failed) {
  const std::lock_guard lock(mutex_);
  failed.clear();
  failed.swap(failed_);
  done.copies_ended = told_ = ended_;
  done.copies_failed = failed;
}

void Copier::wait_for_one() {
  std::unique_lock lock(mutex_);
  ended_one_.wait(lock, [&] { return ended_ > told_ || begun_ == told_; });
}

void Copier::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    to_do_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const auto count = static_cast<std::ptrdiff_t>(std::min(at_once_, queue_.size()));
    at_hand_.assign(queue_.begin(), queue_.begin() + count);
    queue_.erase(queue_.begin(), queue_.begin() + count);
    lock.unlock();
    move_some();
    lock.lock();
    for (const std::uint8_t moved : moved_) {
      if (moved == 0) failed_.push_back(ended_);
      ++ended_;
    }
    ended_one_.notify_one();
  }
}

void Copier::move_some() {
  moved_.assign(at_hand_.size(), 0);
  if (!watch_) return move_(at_hand_, moved_);
  for (std::size_t i = 0; i < at_hand_.size(); ++i)
    if (watch_(at_hand_[i])) move_(std::span(at_hand_).subspan(i, 1), std::span(moved_).subspan(i, 1));
}

}  // namespace serveloop::execute
