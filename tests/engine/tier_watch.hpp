// Who knows what is in host memory without reading a table: by the copies that the executor got and gave back, by the
// events of blocks, and by what probes answered. Requires that no copy fails.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "truths.hpp"

namespace serveloop::test {

class TierWatch {
 public:
  explicit TierWatch(World& world, std::uint32_t device_blocks);
  TierWatch(const TierWatch&) = delete;

  // What one has in host memory, first block first, and how many of its copies have not ended, each way.
  struct Away {
    bool swapped = false;
    std::vector<std::uint32_t> host;
    std::uint32_t leaving = 0, arriving = 0;
  };
  // An event that a scheduler must be told.
  struct Due {
    std::uint16_t kind;
    sl_seq seq;
    std::uint64_t blocks, tier;
    bool operator==(const Due&) const = default;
  };
  struct Cached {
    std::uint64_t key, parent_key;
  };
  struct Counts {
    int out = 0, in = 0, prefetched = 0, demoted = 0, promoted = 0, fewer = 0;
  };

  // ---- What was read, in the order of the calls.
  // The preemption policy answered: `movable` of each one's blocks are to go to host memory.
  void yields(const std::map<sl_seq, std::uint32_t>& movable);
  // Holds the block events at `at` against what it knows, and takes them in.
  void hear_blocks(const Facts& call, const std::string& at);
  // Holds a view's events of transfers against those due.
  void hear_transfers(const Facts& view);
  // Each sequence that swapped moved as much as it could.
  void end_step();
  // Each MOVED to the host had its copy, and each copy out its MOVED or was of one who yielded.
  void end() const;

  // ---- Truths, where the executor has got all copies.
  bool all_sent() const;
  std::uint16_t tier_of(std::uint32_t block) const {
    return block < device_blocks_ ? SL_TIER_DEVICE : SL_TIER_HOST;
  }
  const Away& away(sl_seq seq) const;
  bool copying(std::uint32_t block) const;
  std::uint32_t in_transit(std::uint16_t tier) const;
  bool held_in_host(std::uint32_t block) const;  // as some sequence's copy
  bool in_a_table(std::uint32_t block) const;
  const std::map<std::uint32_t, Cached>& cached() const { return cached_; }  // by block: all in the tree
  // Cached blocks directly below `block` in a tier.
  std::uint32_t children(std::uint32_t block, std::uint16_t tier) const;
  // Of a holder's blocks, how many a swap would move: from its end those that it alone holds and that have nothing but its
  // own below them, as far as they hold confirmed KV.
  std::uint32_t movable(const Facts& view, std::uint32_t slot) const;
  const Counts& counts() const { return counts_; }

 private:
  struct Pending {
    std::uint32_t from, to;  // as policies name them: host blocks behind device blocks
    sl_seq seq;              // 0: nobody's
    bool out() const { return from < to; }
  };
  void submitted(const execute::Batch& batch);
  void collected(const execute::Collected& done);
  void ended(const Pending& copy);
  void leaves_host(std::uint32_t block);
  sl_seq holder_of(std::uint32_t block) const;

  World& world_;
  std::uint32_t device_blocks_;
  std::map<std::uint32_t, sl_seq> yielding_;  // device block -> who moves it out in this step
  std::map<sl_seq, std::uint32_t> to_move_, moved_;
  std::map<sl_seq, Away> away_;
  std::deque<Pending> pending_;
  std::uint64_t copies_ended_ = 0;
  std::vector<Due> due_;
  std::map<std::uint32_t, Cached> cached_;
  // Host blocks that got a copy, before that was told: never, of private ones.
  std::set<std::uint32_t> untold_;
  // MOVED and copies out that have not met.
  std::set<std::pair<std::uint32_t, std::uint32_t>> moves_, copies_;
  bool submitted_ = false;  // in this step
  Counts counts_;
};

}  // namespace serveloop::test
