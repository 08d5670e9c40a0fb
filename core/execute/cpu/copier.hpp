// Copies blocks between the device's cache and the host's, on a thread of its own beside the passes.
//
// A copy reads what steps before it wrote: begin() is called by whoever computes, when those have ended. Copies end in
// the order in which they began. Thread safety: begin by one thread, the others by one thread; those two may differ.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "execute/cpu/kv_cache.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute::cpu {

class Copier {
 public:
  // Both caches have equal layouts and outlive it. Fails where there can be no thread.
  static Result<std::unique_ptr<Copier>> create(const KvCache& device, const KvCache& host);
  ~Copier();

  // A copy that names a block beyond its cache fails and touches nothing.
  void begin(std::span<const BlockCopy> copies);
  // For experiments: called on the copies' thread before each copy, in their order. It may take its time; a copy for which
  // it answers false fails. Set while none is pending.
  using Watch = std::function<bool(const BlockCopy&)>;
  void watch(Watch watch);
  // What has ended since the start, into `done`. `failed` holds what `done` points to.
  void tell(Collected& done, std::vector<std::uint64_t>& failed);
  // Waits until one more than the last tell() told has ended, if one is pending.
  void wait_for_one();

 private:
  Copier(const KvCache& device, const KvCache& host) : device_(device), host_(host) {}
  void serve();
  bool move(const BlockCopy& copy) const;
  const KvCache* cache_of(std::uint8_t tier, std::uint32_t block) const;

  const KvCache& device_;
  const KvCache& host_;
  std::mutex mutex_;  // guards all below, but for calls of watch_
  std::condition_variable to_do_, ended_one_;
  std::deque<BlockCopy> queue_;
  std::uint64_t begun_ = 0, ended_ = 0, told_ = 0;
  std::vector<std::uint64_t> failed_;
  Watch watch_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace serveloop::execute::cpu
