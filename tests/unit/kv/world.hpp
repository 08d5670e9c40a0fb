// A small engine of random decisions around a Cache, and a model of what the cache must hold.
//
// The model is a map from full token paths to blocks. An "executor" keeps, per block, what was written into
// each of its slots: a hash of all tokens up to there. Every step reads back all slots below the tokens it
// computes, so that a wrong hit, a block given away too early or a missing table edit shows as a wrong slot.
// Copies to and from the host run at any time between their step and the one that tells of their end.
#pragma once

#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rig.hpp"

namespace serveloop::kv::test {

using Path = std::vector<std::uint64_t>;  // salt, then tokens

class World {
 public:
  struct Setup {
    std::uint64_t seed = 1;
    std::uint32_t blocks = 96, slots = 24, lag = 0, host_blocks = 0;
  };
  explicit World(const Setup& setup);

  void operate();          // one random operation; a step is one
  void finish();           // ends every sequence and collects every step
  std::string verify();    // the audit, and the model against the tables; empty when they agree
  std::uint64_t digest();  // of all tables and events so far

  Rig rig;
  std::string broken;  // first violation found on the way
  struct Counts {
    std::uint32_t steps, hits, planned_hits, taken, evicted, preempted, cancelled, failed, splits, transient,
        settled;
    std::uint32_t demoted, not_demoted, host_dropped, swapped, no_swap, swapped_in, prefetched, pending,
        broken, arrived, cut, lost, out_failed, replaced, ended_in_flight;
  } counts{};

 private:
  struct Seq {
    bool live = false, transient = false, waiting = false;
    Key salt = 0;
    std::uint32_t fork = 0, life = 0, prompt = 0;
    std::vector<Token> tokens;            // known
    std::vector<BlockId> executor;        // its table as the edits tell it
    std::uint32_t computed = 0;           // submitted
    std::uint32_t path = 0, indexed = 0;  // blocks
    std::uint32_t counted = 0;            // of its table, blocks that ran or were told as hits
    // Its host copy: positions host_from .. host_end - 1; those of the tree name it as holder, the others:
    struct Private {
      BlockId block;
      bool copying;
    };
    std::map<std::uint32_t, Private> host;
    std::uint32_t host_from = 0, host_end = 0;  // equal: it has none
    std::uint32_t saved = 0;                    // tokens that had KV then
    std::deque<bool> arriving;                  // the last of its table; true: it goes into the tree

    std::uint32_t held() const { return static_cast<std::uint32_t>(executor.size()); }
    bool swapped() const { return host_from < host_end; }
  };
  struct Row {
    Slot slot;
    std::uint32_t life, before, after;
  };
  struct Flight {
    std::uint64_t step;
    std::vector<Row> rows;
  };
  struct Entry {
    Slot slot;
    std::uint32_t limit, planned, tokens;
  };
  struct Cached {
    BlockId block;
    std::uint32_t refs;
    std::uint64_t filling;  // step; 0 = filled
    bool transient;
    bool on_host = false, copying = false, written = false;  // written: by its copy
    Slot holder = SL_NONE;
  };
  struct Moving {
    Copy copy;
    bool ran = false, fails = false;
  };

  std::uint32_t pick(std::uint32_t below) {
    return std::uniform_int_distribution<std::uint32_t>(0, below - 1)(random_);
  }
  void fail(const std::string& what) {
    if (broken.empty()) broken = what;
  }
  void want(bool holds, const char* what) {
    if (!holds) fail(what);
  }
  void arrive();
  void cancel(Slot slot);
  void yield(Slot slot, std::uint32_t keep);
  void step();
  Entry stage(Slot slot);
  bool make_room(std::uint32_t need, const std::vector<Entry>& entries);
  void evict(std::uint32_t need);
  std::vector<sl_victim> name_leaves(std::uint32_t need, std::uint32_t host);
  bool commit(const Entry& entry, Flight& flight);
  void collect(bool may_fail);
  void compute(Seq& seq, Slot slot, std::uint32_t tokens);
  void model_pin(Seq& seq, Slot slot, std::uint32_t limit);
  void model_settle(Seq& seq, Slot slot, std::uint32_t end, std::uint32_t filled_end);
  void model_release(Seq& seq, std::uint32_t keep);
  void model_fail(std::uint64_t step);
  void drain();
  // Two tiers (world_host.cpp, model_host.cpp).
  bool swap(Slot slot);
  void come_back(Slot slot);
  void run_copies(std::uint32_t most);
  void end_copies(std::uint32_t most);
  void model_ended_out(const Moving& moving);
  void model_ended_in(const Moving& moving);
  void model_arrived(Seq& seq);
  void check_transfers();
  std::pair<std::uint32_t, std::uint32_t> model_movable(const Seq& seq, std::uint32_t blocks);
  void model_swap(Seq& seq, Slot slot, std::uint32_t from, std::uint32_t end);
  BringIn model_plan(Seq& seq, std::uint32_t limit);
  void model_bring(Seq& seq, Slot slot, std::uint32_t from, std::uint32_t to, std::uint32_t limit);
  void model_forget(Seq& seq, Slot slot);
  void model_lose(Slot slot);
  std::uint32_t model_drop_below(const Path& top);  // returns the host blocks that left
  void model_sweep();
  Evicted model_apply(std::vector<sl_victim> victims);
  bool model_outgoing(Slot slot) const;
  bool waits_for_copies(const Seq& seq) const { return seq.swapped() || !seq.arriving.empty(); }
  std::map<Path, Cached>::iterator find_block(BlockId block);
  void take_copies();
  Path path_of(const Seq& seq, std::uint32_t block) const;  // of the tokens up to the end of a block
  Cached* cached(const Seq& seq, std::uint32_t block);
  std::uint64_t slot_value(const Seq& seq, std::uint32_t position) const;

  Setup setup_;
  std::mt19937_64 random_;
  std::vector<Seq> seqs_;
  std::vector<Flight> flights_;
  std::map<Path, Cached> cached_;
  std::map<BlockId, bool> told_;      // as the block events tell it: block -> idle
  std::deque<Moving> moving_;         // listed, not told as ended
  std::map<BlockId, BlockId> moved_;  // of the copies of the last call: from -> to
  std::uint32_t handed_ = 0;          // of them, the first so many went out with a step
  std::uint64_t ended_ = 0;
  std::vector<Transfer> expected_;
  std::vector<std::vector<std::uint64_t>> written_;  // per block and slot
  std::uint64_t digest_ = 0, requests_ = 0;
};

}  // namespace serveloop::kv::test
