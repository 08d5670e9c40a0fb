// Copies blocks between the tiers of KV, on a thread of its own beside the passes.
//
// How a block moves the executor says; a copy reads what steps before it wrote, so begin() is called when those have ended.
// Copies end in the order in which they began. Thread safety: begin by one thread, the others by one thread; those two may
// differ.
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

#include "execute/executor.hpp"

namespace serveloop::execute {

class Copier {
 public:
  // On the copies' thread: moves these and returns when they have moved, with a 1 in `moved` for each that did; all are 0 before.
  // What names a block that is not there does not move, and touches nothing.
  using Move = std::function<void(std::span<const BlockCopy> copies, std::span<std::uint8_t> moved)>;

  // Up to `at_once` copies go into one call of `move`. Fails where there can be no thread.
  static Result<std::unique_ptr<Copier>> create(std::size_t at_once, Move move);
  ~Copier();

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
  Copier(std::size_t at_once, Move move) : at_once_(at_once), move_(std::move(move)) {}
  void serve();
  // Of those at hand: moves what the watcher lets pass.
  void move_some();

  const std::size_t at_once_;
  const Move move_;
  std::mutex mutex_;  // guards all below, but for what serve() has at hand and calls of watch_
  std::condition_variable to_do_, ended_one_;
  std::deque<BlockCopy> queue_;
  std::uint64_t begun_ = 0, ended_ = 0, told_ = 0;
  std::vector<std::uint64_t> failed_;
  Watch watch_;
  bool stop_ = false;
  std::vector<BlockCopy> at_hand_;
  std::vector<std::uint8_t> moved_;  // of those
  std::thread thread_;
};

}  // namespace serveloop::execute
