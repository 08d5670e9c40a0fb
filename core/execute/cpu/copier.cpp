#include "execute/cpu/copier.hpp"

#include <serveloop/rows.h>

#include <system_error>
#include <utility>

namespace serveloop::execute::cpu {

Result<std::unique_ptr<Copier>> Copier::create(const KvCache& device, const KvCache& host) {
  std::unique_ptr<Copier> out(new Copier(device, host));
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
    const BlockCopy copy = queue_.front();
    queue_.pop_front();
    lock.unlock();
    const bool moved = (!watch_ || watch_(copy)) && move(copy);
    lock.lock();
    if (!moved) failed_.push_back(ended_);
    ++ended_;
    ended_one_.notify_one();
  }
}

bool Copier::move(const BlockCopy& copy) const {
  const KvCache* from = cache_of(copy.from_tier, copy.from);
  const KvCache* to = cache_of(copy.to_tier, copy.to);
  if (from == nullptr || to == nullptr) return false;
  from->copy(copy.from, *to, copy.to);
  return true;
}

const KvCache* Copier::cache_of(std::uint8_t tier, std::uint32_t block) const {
  const KvCache* cache = tier == SL_TIER_DEVICE ? &device_ : tier == SL_TIER_HOST ? &host_ : nullptr;
  return cache != nullptr && block < cache->blocks() ? cache : nullptr;
}

}  // namespace serveloop::execute::cpu
