// The engine: the step loop over requests, KV and policies. Start reading at step.cpp: the loop fits one
// screen.
//
//   prepare.cpp  a request before the loop sees it
//   step.cpp     the nine parts of a step, in order
//   intake.cpp   1  messages: arrivals, cancellations, pauses, swaps
//   propose.cpp  2-3  mode, gates, scheduler: asks, and falls back
//   check.cpp    3  is a plan valid?
//   match.cpp    4  pins prefixes, counts what each entry needs
//   room.cpp     5-6  makes room: who yields, whose entries fall
//   evict.cpp    what leaves the cache
//   transfer.cpp between the tiers: swaps, prefetches, copies and their ends
//   submit.cpp   7  gives blocks, builds the batch
//   collect.cpp  8  tokens, ends, causes
//   reservation.cpp  contiguous extents in place of blocks, where that is asked for; kv_use.cpp, what is wasted
//   swap.cpp     hot swap: handover of state, the flip
//   fallback.cpp the linked-in policies
//   engine.cpp   construction; before it, precision_setup.cpp and precision_check.cpp
//   messages.cpp, records.cpp  messages and decisions as the step log's bytes
//   decisions.cpp  counts of decisions, for /metrics
//
// Threads: post() and prepare() from any thread; the rest belongs to the loop thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/mapping.hpp"
#include "engine/decisions.hpp"
#include "engine/flight.hpp"
#include "engine/kv_use.hpp"
#include "engine/messages.hpp"
#include "engine/options.hpp"
#include "engine/output.hpp"
#include "execute/executor.hpp"
#include "kv/cache.hpp"
#include "observe/causes.hpp"
#include "observe/step_log.hpp"
#include "requests/labels.hpp"
#include "requests/manager.hpp"

namespace serveloop::engine {

class Reservation;

// The policies in force; null: the linked-in fallback answers.
struct Policies {
  std::vector<std::shared_ptr<policy::Scheduler>> gates;
  std::shared_ptr<policy::Scheduler> scheduler;
  std::shared_ptr<policy::Eviction> eviction;
  std::shared_ptr<policy::Preemption> preemption;
  std::shared_ptr<policy::Precision> precision;
};

class Engine {
 public:
  // `log` may be null. The clock's readings and the executor's results are logged by whoever wraps them
  // (core/rig).
  static Result<std::unique_ptr<Engine>> create(const Options& options, requests::Labeler labeler,
                                                Policies policies, Clock& clock, execute::Executor& executor,
                                                Output& output, observe::StepLog* log);
  ~Engine();

  // [any thread] Checks a request and makes it ready for the loop; what the pool can never hold is refused
  // here. An error's `what` is the parameter as clients name it: "max_tokens".
  Result<std::shared_ptr<Arrival>> prepare(requests::RequestSpec spec);
  // [any thread] Queues a message. An arrival is refused when max_waiting sequences are queued or waiting.
  Status post(Message message);
  // The same without the bound: for a replay, whose messages passed it once, and for what cannot be refused.
  void inject(Message message);
  // What prepare() makes of a request, from a recorded one (which has its id and limits): prompt and hashes
  // made again.
  Result<std::shared_ptr<Arrival>> rebuild(Arrival recorded) const;

  std::uint64_t longest_request() const;  // [any thread] prompt + output, in tokens

  // One step. False: nothing to do until a message comes or `next_wake_ns` passes.
  bool step();
  std::uint64_t next_wake_ns() const;  // SL_NEVER if no timer runs
  bool busy() const;                   // sequences live, or steps in flight

  // ---- For tests, reports and replay.
  const Counters& counters() const { return counters_; }
  const Decisions& decisions() const { return decisions_; }
  const Mapping& mapping() const { return mapping_; }
  std::size_t table_bytes() const { return table_bytes_; }  // of the mapping; answer buffers lie behind
  const kv::Cache& cache() const { return *cache_; }
  const requests::Manager& requests() const { return *requests_; }
  const Policies& policies() const { return policies_; }
  const Heard& heard() const { return heard_; }
  KvUse kv_use();  // O(running)
  std::uint64_t steps() const { return step_; }
  const std::vector<std::string>& incidents() const {  // ejections, failed steps and swaps; the last ones
    return incidents_;
  }
  std::string audit(bool idle) const;

  // Lets a replay put a recorded answer in the place of a policy's. Called with the kind of item and the
  // bytes answered; returns the bytes to use.
  using Override = std::function<std::optional<std::span<const std::uint8_t>>(observe::Item)>;
  void set_override(Override override_answer) { override_ = std::move(override_answer); }

 private:
  Engine(const Options&, requests::Labeler, Policies, Clock&, execute::Executor&, Output&, observe::StepLog*,
         Mapping);

  // prepare.cpp
  void hash(Arrival& arrival) const;
  Status check(const requests::RequestSpec& spec) const;
  Status check_ids(const requests::RequestSpec& spec) const;
  // step.cpp
  bool work_to_plan() const;
  void finish_step();
  // intake.cpp
  void take_messages();
  void take(const Message& message);
  void take_arrival(Arrival& arrival);
  void take_timers();
  void pause(Slot slot, std::uint64_t until_ns);
  void end_sequence(Slot slot, std::uint32_t finish, std::uint16_t reason);
  void for_request(std::uint64_t request, const std::function<void(Slot)>& act);
  // propose.cpp
  void choose_mode();
  void ask_gates();
  void ask_scheduler();
  void publish_view();
  void take_node_events();
  void note_preemption();
  void forget_heard_events();
  std::uint16_t ask_plan(observe::Item item, policy::Scheduler* policy, bool gate);
  template <class Policy, class Encode, class Decode, class Call>
  std::uint16_t ask(observe::Item item, Policy* policy, sl_out& out, Encode&& encode, Decode&& decode,
                    Call&& call);
  std::uint16_t check_gauges(const sl_out& gauges, std::size_t names) const;
  void log_gauges(std::uint32_t count);
  void apply_park_verbs(std::span<const sl_entry> entries, requests::Holder who);
  template <class Instance>
  void refused(policy::Kind kind, Instance& instance, std::uint16_t reason);
  template <class Instance>
  bool eject_if_failing(policy::Kind kind, std::shared_ptr<Instance>& which);
  void let_go(requests::Holder who);
  // check.cpp
  std::uint16_t check_entry(const sl_entry& entry, bool gate) const;
  std::uint16_t check_plan(std::span<const sl_entry> entries, bool gate);
  std::uint32_t next_stamp();
  bool could_run() const;
  // match.cpp
  void begin_match(std::size_t most_staged);
  void match();
  void stage(const sl_entry& entry, std::uint32_t index);
  bool stage_decode(const sl_entry& entry, std::uint32_t index);
  bool has_extent(Slot slot, std::uint32_t index);
  void stage_prefill(Staged& staged, std::uint32_t limit_tokens);
  std::uint32_t unfilled_from(Slot slot) const;
  void pin(Slot slot, std::uint32_t limit_blocks);
  void release_to(Slot slot, std::uint32_t keep);
  void fell(Staged& staged, std::uint16_t reason);
  static observe::State state_of_fallen(const sl_seq_row& r, std::uint16_t reason);
  void fall_unplaced(Slot slot, std::uint32_t entry, std::uint16_t reason);
  void find_top_holders();
  void blame_holders(Slot slot);
  // room.cpp
  void make_room();
  bool preempt_for(std::size_t in_need, std::uint32_t need);
  std::size_t entry_in_need() const;
  std::uint64_t need_up_to(std::size_t index) const;
  std::uint16_t check_yields(std::span<const sl_yield> yields);
  bool gives_up_blocks(std::span<const sl_yield> yields) const;
  std::uint32_t kept_blocks(Slot slot, std::uint32_t wanted) const;
  void list_candidates(std::size_t in_need, bool shared);
  bool admits_before(std::size_t in_need) const;
  bool drop_admissions(std::size_t from, std::size_t to, std::uint16_t reason);
  void yield(Slot slot, Yield how);
  void note_yield(Slot slot, const Yield& how, std::uint32_t had_tokens);
  void fall_from_tail();
  // evict.cpp
  // Returns the device blocks that are free now or once they are copied.
  std::uint32_t evict(std::uint32_t need, std::uint32_t host_need = 0);
  std::uint16_t ask_who_leaves(std::uint32_t need, std::uint32_t host_need, sl_out& victims);
  void evict_ahead();
  bool short_soon(std::uint64_t need) const;
  std::uint32_t needs_soon() const;
  std::uint32_t decodes_need_soon() const;
  std::uint32_t yields_need() const;
  bool make_host_room(std::uint32_t blocks);
  // transfer.cpp
  bool in_transit(Slot slot) const;
  observe::State waiting_state(Slot slot) const;
  void settle_waiting(Slot slot);
  void count_host_copies();
  void settle_swapped();
  std::uint32_t confirmed_blocks(Slot slot) const;
  std::uint32_t swappable(Slot slot) const;
  bool swap_out(Slot slot);
  std::uint32_t confirmed(Slot slot) const;
  void stage_bring_in(const sl_entry& entry, std::uint32_t index);
  std::uint32_t bring_in_limit(Slot slot, const sl_entry& entry) const;
  void commit_bring_in(Staged& staged);
  void hold(Slot slot, std::uint32_t blocks, std::uint32_t tokens);
  void count_brought_in(Slot slot);
  void give_up_copy(Slot slot, std::uint32_t had);
  void copy_lost(Slot slot);
  void take_transfers();
  void list_copies();
  void collect_copies(const execute::Collected& done);
  // submit.cpp
  void submit();
  bool decodes_fit() const;
  void submit_decodes();
  InFlight begin_batch(std::size_t most_rows);
  void end_batch(InFlight flight);
  void add_decode(Slot slot, InFlight& flight);
  void commit(Staged& staged, InFlight& flight);
  void commit_prefill(const Staged& staged, InFlight& flight);
  bool give_blocks(Staged& staged);
  void begin_row(Slot slot);
  std::uint64_t keys_of_decodes() const;
  void encode_chunks(const InFlight& flight, observe::Writer& out) const;
  void send_table(Slot slot);
  void send_edits();
  void settle_unnamed(std::size_t rows);
  void watch_progress();
  // collect.cpp
  void collect();
  // Inline: of that one file, and called for each row of a step.
  inline void prefetch(const Buffer<RowInFlight>& rows, std::size_t at) const;
  void prefetch_fills(const InFlight& flight, std::size_t next) const;
  void bill_the_living(const InFlight& flight);
  void deliver();
  inline void collect_row(std::uint64_t step, const RowInFlight& row, Token token, std::uint64_t share_ns,
                          std::span<const TokenLogprob> logprobs);
  inline void take_token(Slot slot, Token token, bool kept, std::span<const TokenLogprob> logprobs);
  bool is_stop(const sl_seq_row& r, Token token) const;
  void index_whole_blocks(Slot slot, std::uint32_t computed_before);
  void close_slot(InFlight& flight, const execute::Collected& done);
  void fail_step(InFlight& flight, const execute::Collected& done);
  void all_recompute();
  void close_idle_slot();
  // swap.cpp
  void note_block_events();
  std::int32_t hear(policy::Scheduler& scheduler, const sl_view& view);
  void swap_hears();
  void tell(std::uint16_t kind, sl_seq subject, std::uint64_t a, std::uint64_t b);
  void start_swap(const std::shared_ptr<SwapOrder>& order);
  void begin_swap();
  void continue_swaps();
  bool continue_swap();
  bool finish_swap();
  void hand_over_sequences();
  bool hand_over_state();
  bool told(const sl_event& event) const;

  std::uint64_t now() { return now_ns_ = clock_.now_ns(); }
  void mark(Phase phase, std::uint32_t rows);
  void incident(std::string what);
  static constexpr std::uint16_t kHeld = SL_NOT_READY_GATE | SL_NOT_READY_PARKED;
  static constexpr std::uint32_t kGauges = 64;              // a call's gauges
  static constexpr std::size_t kAhead = 8;                  // rows prefetched
  static constexpr std::uint32_t kGiveUpAfter = 4;          // failed steps in a row
  static constexpr std::uint32_t kSequencesPerSlice = 128;  // of a handover
  static constexpr std::size_t kIncidents = 256;            // kept: the last ones
  void transition(Slot slot, observe::State state) {
    if (requests_->at(slot).planned != static_cast<std::uint8_t>(state)) enter(slot, state);
  }
  void enter(Slot slot, observe::State state);
  sl_seq_row& row(Slot slot) { return requests_->row(slot); }
  std::uint32_t known_tokens(Slot slot) const;
  bool last_block_full(const sl_seq_row& r) const { return covered(r) >= r.blocks_device << block_shift_; }
  bool fills_block(std::uint32_t tokens) const { return (tokens & (options_.block_tokens - 1)) == 0; }
  Life& life(Slot slot) { return lives_[slot]; }
  template <class Encode>
  void log(observe::Item item, Encode&& encode);

  Options options_;
  requests::Labeler labeler_;
  Policies policies_;
  Clock& clock_;
  execute::Executor& executor_;
  Output& output_;
  observe::StepLog* log_;
  Mapping mapping_;
  std::unique_ptr<requests::Manager> requests_;
  std::unique_ptr<kv::Cache> cache_;
  std::unique_ptr<Reservation> reservation_;  // null: paged
  std::vector<Life> lives_;
  observe::Ledger ledger_;
  Counters counters_;
  Decisions decisions_;
  const policy::Instance* planned_by_ = nullptr;  // the plan in force; null: the fallback
  Override override_;
  std::vector<std::string> incidents_;

  // Answer buffers, in the mapping.
  std::size_t table_bytes_ = 0;
  sl_entry* entries_;
  sl_gauge* gauges_;
  sl_victim* victims_;
  sl_yield* yields_;
  sl_candidate* candidates_;
  sl_event* handover_events_;
  std::uint32_t block_shift_ = 0;  // log2 of block_tokens
  std::uint32_t entry_capacity_, candidate_count_ = 0;

  // This step, and what goes on from one to the next (epoch_, heard_, counts in a row).
  std::uint64_t step_ = 0, now_ns_ = 0, last_step_ns_ = 0;
  std::uint32_t mode_ = 0, modes_ = 1, epoch_ = 0, failed_in_a_row_ = 0;
  sl_view view_{};
  std::uint32_t plan_count_ = 0;
  std::uint32_t bad_row_ = policy::kNoRow;  // of the answer at hand: which row broke a rule
  std::uint32_t plan_stamp_ = 0;
  bool plan_frees_ = false;    // it has verbs beside run and admit
  bool plan_decodes_ = false;  // all its entries are decodes
  Buffer<Staged> staged_;
  std::vector<Transition> transitions_;
  std::uint64_t need_ = 0;  // blocks, of all staged entries
  std::uint32_t placed_tokens_ = 0, admitting_ = 0;
  bool exhausted_memory_ = false, exhausted_slots_ = false;
  bool swapped_lack_memory_ = false;      // someone waits to come back, and there is no room
  std::vector<Fell> fell_, fell_before_;  // in this step, in the one before
  std::uint64_t holders_step_ = UINT64_MAX;
  std::vector<TopHolder> top_holders_;  // of holders_step_: who holds most blocks, the first first
  std::uint32_t empty_in_a_row_ = 0, bypassed_in_a_row_ = 0;
  bool idle_ = false;
  Heard heard_;
  std::vector<Slot> ungated_;  // arrived this step, gates not asked yet

  // The batch and what is in flight.
  std::vector<Sampling> samplings_;  // by request row
  std::vector<execute::Begin> begins_;
  std::deque<std::vector<Token>> resumed_;  // the tokens that begins_ points to
  std::vector<execute::TableChange> changes_;
  std::vector<execute::BlockCopy> copies_;
  std::deque<bool> copies_out_;     // of copies not ended: does it leave the device?
  std::uint64_t copies_ended_ = 0;  // since the start
  std::uint32_t leaving_ = 0;       // device blocks that will be free once they are copied
  std::vector<sl_seq> swapped_;     // those that have a host copy, and some that had one
  Buffer<execute::BatchRow> batch_;
  std::vector<std::uint32_t> free_rows_;
  std::deque<InFlight> in_flight_;
  std::vector<InFlight> spare_;  // with their vectors' memory
  std::vector<Delivered> delivered_;
  bool wants_tokens_ = false;
  std::vector<Token> block_;
  observe::Writer scratch_;

  // Hot swap under way.
  struct Swap;
  struct SwapDeleter {
    void operator()(Swap* swap) const;
  };
  std::unique_ptr<Swap, SwapDeleter> swap_;
  std::deque<std::shared_ptr<SwapOrder>> swaps_;  // behind it
  std::uint32_t slice_left_ = 0;                  // sequences that a swap may still tell of in this step

  std::unordered_map<std::uint64_t, std::vector<Slot>> by_request_;
  std::atomic<std::uint64_t> next_id_{1};
  std::mutex inbox_mutex_;
  std::vector<Message> inbox_, taken_;
  std::uint32_t inbox_sequences_ = 0;  // of arrivals queued
  std::uint32_t known_waiting_ = 0;    // the loop's count, as post() sees it
};

template <class Encode>
void Engine::log(observe::Item item, Encode&& encode) {
  if (log_ == nullptr) return;
  scratch_.clear();
  encode(scratch_);
  log_->item(item, scratch_.bytes());
}

inline std::uint32_t Engine::known_tokens(Slot slot) const {
  return requests_->request_of(slot).prompt_tokens + requests_->row(slot).generated;
}

}  // namespace serveloop::engine
