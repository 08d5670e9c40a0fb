// Invariants: ready list = waiting or reserved sequences with not_ready == 0; running_[at(s).running_at] == s for running
// sequences; holders_ = sequences that hold blocks and do not run; a slot is reused only after its end was told.
#include "requests/manager.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace serveloop::requests {

namespace {
constexpr std::uint32_t kReserve = 512;  // output tokens that a sequence has room for from its admission
}

static_assert(sizeof(sl_seq_row) == 64, "the hot row is one cache line");

Manager::Manager(Mapping& mapping, const Options& options)
    : capacity_(options.slots()),
      seqs_(mapping.lay_out_resident<sl_seq_row>(capacity_)),
      cold_(mapping.lay_out_resident<sl_seq_cold_row>(capacity_)),
      requests_(mapping.lay_out_resident<sl_request_row>(capacity_)),
      running_(mapping.lay_out<std::uint32_t>(std::size_t{2} * options.max_sequences + 1)),
      events_(mapping.lay_out<sl_event>(std::size_t{8} * capacity_ + 4096 + options.node_events)),
      event_capacity_(8 * capacity_ + 4096 + options.node_events),
      heap_(mapping, options.heap_bytes) {
  sequences_.resize(capacity_);
  links_.resize(capacity_);
  for (Slot slot = capacity_; slot-- > 0;) {
    free_slots_.push_back(slot);
    free_requests_.push_back(slot);
  }
}

std::uint64_t Manager::store(const void* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::uint64_t at = heap_.allocate(size);
  if (at != Heap::npos) std::memcpy(heap_.data() + at, bytes, size);
  return at;
}

namespace {

std::uint64_t absolute(std::uint64_t arrival_ns, std::uint64_t relative_ns) {
  return relative_ns == SL_NEVER ? SL_NEVER : arrival_ns + relative_ns;
}

// A client's name as a number: FNV-1a, so that it is the same in every run. 0 stays "none".
std::uint64_t hash_name(const std::string& name) {
  if (name.empty()) return 0;
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash | 1;
}

void fill(sl_request_row& row, std::uint64_t id, const RequestSpec& spec, const Labels& labels) {
  row.request = id;
  row.arrival_ns = spec.arrival_ns;
  row.ttft_deadline_ns = absolute(spec.arrival_ns, spec.ttft_deadline_ns);
  row.tbt_target_ns = spec.tbt_target_ns;
  row.end_deadline_ns = absolute(spec.arrival_ns, spec.end_deadline_ns);
  row.session = hash_name(spec.session);
  row.program = hash_name(spec.program);
  row.parent = spec.parent;
  row.hints_count = static_cast<std::uint32_t>(spec.hints.size());
  row.retention_count = static_cast<std::uint32_t>(spec.retention.size());
  row.tenant = labels.tenant;
  row.tenant_weight_milli = labels.tenant_weight_milli;
  row.priority = labels.priority;
  row.service_class = labels.service_class;
  row.category = labels.category;
  row.turn = spec.turn;
  row.predicted_p50 = spec.predicted_p50;
  row.predicted_p90 = spec.predicted_p90;
  row.predicted_p99 = spec.predicted_p99;
  row.adapter = 0;
  row.n = row.live = spec.n;
}

}  // namespace

Status Manager::arrive(std::uint64_t id, const RequestSpec& spec, std::span<const Token> prompt,
                       std::uint32_t max_tokens, const Labels& labels, std::vector<Slot>& slots) {
  assert(room(spec.n) && !prompt.empty() && max_tokens > 0);
  const std::uint64_t prompt_at = store(prompt.data(), prompt.size_bytes());
  if (prompt_at == Heap::npos)
    return fail("no room for the prompt", "free space in the table heap", std::to_string(heap_.used()) + " bytes used",
                "send fewer or shorter requests at a time");
  const std::uint32_t index = free_requests_.back();
  free_requests_.pop_back();
  sl_request_row& request = requests_[index];
  request = {};
  fill(request, id, spec, labels);
  request.prompt_at = prompt_at;
  request.prompt_tokens = static_cast<std::uint32_t>(prompt.size());
  request.max_tokens = max_tokens;
  request.hints_at = store(spec.hints.data(), spec.hints.size() * sizeof(sl_hint));
  request.retention_at = store(spec.retention.data(), spec.retention.size() * sizeof(sl_retention));
  slots.clear();
  for (std::uint32_t fork = 0; fork < spec.n; ++fork) {
    const Slot slot = free_slots_.back();
    free_slots_.pop_back();
    slot_count_ = std::max({slot_count_, slot + 1, index + 1});
    Sequence& sequence = sequences_[slot];
    Links& links = links_[slot];
    links.generation = links.generation == UINT32_MAX ? 1 : links.generation + 1;
    links.serial = next_serial_++;
    links.begun_step = UINT64_MAX;
    sequence.life = 0;
    sequence.planned = 0;
    sequence.prompt_tokens = request.prompt_tokens;
    sequence.max_tokens = max_tokens;
    sequence.has_stops = !spec.stop_ids.empty();
    sequence.named_step = UINT64_MAX;
    sequence.longest_gap_ns = 0;
    sequence.generated.clear();
    sl_seq_row& row = seqs_[slot];
    row = {};
    row.id = (std::uint64_t{links.generation} << 32) | slot;
    row.request = index;
    row.fork = fork;
    row.node = SL_NONE;
    row.state = SL_WAITING;
    row.not_ready = SL_NOT_READY_UNGATED;
    row.tokens_left = request.prompt_tokens + max_tokens - 1;
    row.runnable = request.prompt_tokens;
    cold_[slot] = {};
    cold_[slot].wake_ns = cold_[slot].pause_until_ns = SL_NEVER;
    ++waiting_;
    ++live_;
    timers_.add({request.end_deadline_ns, row.id, Timer::deadline});
    event(SL_EV_ARRIVED, row.id);
    slots.push_back(slot);
  }
  return {};
}

void Manager::event(std::uint16_t kind, sl_seq subject, std::uint64_t a, std::uint64_t b, std::uint32_t node) {
  if (event_count_ == event_capacity_) return;  // only after calls that failed in a row and so kept theirs
  events_[event_count_++] = {kind, 0, node, subject, a, b};
}

void Manager::update_ready(Slot slot, bool front) {
  const sl_seq_row& row = seqs_[slot];
  const bool ready = (row.state == SL_WAITING || row.state == SL_RESERVED) && row.not_ready == 0;
  if (ready && !links_[slot].in_ready) ready_push(slot, front);
  if (!ready && links_[slot].in_ready) ready_remove(slot);
}

void Manager::clear_not_ready(Slot slot, std::uint16_t bits, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  if ((row.not_ready & bits) == 0) return;
  row.not_ready = static_cast<std::uint16_t>(row.not_ready & ~bits);
  if (row.not_ready != 0) return;
  cold_[slot].ready_ns = now_ns;
  cold_[slot].wake_ns = SL_NEVER;
  update_ready(slot, false);
  if (row.state == SL_WAITING || row.state == SL_RESERVED) event(SL_EV_READY, row.id);
}

void Manager::park(Slot slot, std::uint16_t bit, std::uint64_t wake_ns, std::uint16_t reason) {
  // Gates that park an arrival in turn combine: the latest wake time counts.
  if ((seqs_[slot].not_ready & SL_NOT_READY_UNGATED) != 0 && (seqs_[slot].not_ready & bit) != 0)
    wake_ns = std::max(wake_ns, cold_[slot].wake_ns);
  seqs_[slot].not_ready |= bit;
  cold_[slot].wake_ns = wake_ns;
  update_ready(slot, false);
  timers_.add({wake_ns, seqs_[slot].id, Timer::wake});
  event(SL_EV_PARKED, seqs_[slot].id, wake_ns, reason);
}

void Manager::admit(Slot slot, std::uint32_t row, std::uint32_t hit_tokens, std::uint64_t now_ns) {
  Sequence& sequence = sequences_[slot];
  ready_remove(slot);
  set_holder(slot, false);
  seqs_[slot].state = SL_RUNNING;
  sequence.row = row;
  compact_running();
  links_[slot].running_at = running_count_;
  running_[running_count_++] = slot;
  ++running_live_;
  --waiting_;
  if (cold_[slot].admitted_ns == 0) {
    cold_[slot].admitted_ns = now_ns;
    sequence.generated.reserve(std::min(sequence.max_tokens, kReserve));
  }
  event(SL_EV_ADMITTED, seqs_[slot].id, hit_tokens);
}

void Manager::reserve(Slot slot) {
  seqs_[slot].state = SL_RESERVED;
  set_holder(slot, true);
}

void Manager::stop_running(Slot slot) {
  Sequence& sequence = sequences_[slot];
  running_[links_[slot].running_at] = SL_NONE;
  links_[slot].running_at = SL_NONE;
  sequence.row = SL_NONE;
  running_dirty_ = true;
  --running_live_;
  ++waiting_;
}

void Manager::compact_running() {
  if (!running_dirty_) return;
  std::uint32_t to = 0;
  for (std::uint32_t from = 0; from < running_count_; ++from) {
    const Slot slot = running_[from];
    if (slot == SL_NONE) continue;
    running_[to] = slot;
    links_[slot].running_at = to++;
  }
  std::fill(running_ + to, running_ + running_count_, 0);
  running_count_ = to;
  running_dirty_ = false;
}

void Manager::preempt(Slot slot, std::uint16_t reason, sl_seq for_seq, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_RUNNING) stop_running(slot);
  if (row.state != SL_PAUSED) row.state = SL_WAITING;
  ++sequences_[slot].life;
  ++row.preemptions;
  cold_[slot].ready_ns = now_ns;
  update_ready(slot, true);
  event(SL_EV_PREEMPTED, row.id, reason, for_seq);
}

void Manager::pause(Slot slot, std::uint64_t until_ns) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_RUNNING) {
    stop_running(slot);
    set_holder(slot, true);
  }
  row.state = SL_PAUSED;
  row.not_ready |= SL_NOT_READY_PAUSED;
  cold_[slot].pause_until_ns = until_ns;
  update_ready(slot, false);
  event(SL_EV_PAUSED, row.id, until_ns);
}

void Manager::resume(Slot slot, bool holds_blocks, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  row.state = holds_blocks ? SL_RESERVED : SL_WAITING;
  row.not_ready = static_cast<std::uint16_t>(row.not_ready & ~SL_NOT_READY_PAUSED);
  cold_[slot].pause_until_ns = SL_NEVER;
  cold_[slot].ready_ns = now_ns;
  update_ready(slot, true);
  event(SL_EV_RESUMED, row.id, holds_blocks ? 1 : 0);
}

void Manager::end(Slot slot, std::uint32_t finish, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_RUNNING) stop_running(slot);
  if (links_[slot].in_ready) ready_remove(slot);
  set_holder(slot, false);
  row.state = SL_ENDED;
  cold_[slot].last_token_ns = std::max(cold_[slot].last_token_ns, now_ns);
  --waiting_;
  --live_;
  ended_.push_back(slot);
  event(SL_EV_ENDED, row.id, finish, row.generated);
}

void Manager::reclaim() {
  for (const Slot slot : ended_) {
    const std::uint32_t request = seqs_[slot].request;
    seqs_[slot] = {};
    if (sequences_[slot].generated.capacity() > 4096) std::vector<Token>().swap(sequences_[slot].generated);
    if (--requests_[request].live == 0) release_request(request);
    free_slots_.push_back(slot);
  }
  ended_.clear();
}

void Manager::release_request(std::uint32_t request) {
  sl_request_row& row = requests_[request];
  heap_.release(row.prompt_at, std::size_t{row.prompt_tokens} * sizeof(Token));
  if (row.hints_count > 0) heap_.release(row.hints_at, row.hints_count * sizeof(sl_hint));
  if (row.retention_count > 0) heap_.release(row.retention_at, row.retention_count * sizeof(sl_retention));
  row = {};
  free_requests_.push_back(request);
}

void Manager::set_holder(Slot slot, bool holds) {
  std::uint32_t& at = links_[slot].holder_at;
  if (holds == (at != SL_NONE)) return;
  if (holds) {
    at = static_cast<std::uint32_t>(holders_.size());
    holders_.push_back(slot);
    return;
  }
  const Slot last = holders_.back();
  holders_[at] = last;
  links_[last].holder_at = at;
  holders_.pop_back();
  at = SL_NONE;
}

void Manager::ready_push(Slot slot, bool front) {
  Links& links = links_[slot];
  links.in_ready = true;
  links.ready_prev = front ? SL_NONE : ready_tail_;
  links.ready_next = front ? ready_head_ : SL_NONE;
  (links.ready_prev == SL_NONE ? ready_head_ : links_[links.ready_prev].ready_next) = slot;
  (links.ready_next == SL_NONE ? ready_tail_ : links_[links.ready_next].ready_prev) = slot;
  ++ready_count_;
}

void Manager::ready_remove(Slot slot) {
  Links& links = links_[slot];
  if (!links.in_ready) return;
  (links.ready_prev == SL_NONE ? ready_head_ : links_[links.ready_prev].ready_next) = links.ready_next;
  (links.ready_next == SL_NONE ? ready_tail_ : links_[links.ready_next].ready_prev) = links.ready_prev;
  links.in_ready = false;
  links.ready_prev = links.ready_next = SL_NONE;
  --ready_count_;
}

std::vector<Slot> Manager::live_slots() const {
  std::vector<Slot> slots;
  for (Slot slot = 0; slot < slot_count_; ++slot)
    if (seqs_[slot].state != SL_FREE && seqs_[slot].state != SL_ENDED) slots.push_back(slot);
  std::sort(slots.begin(), slots.end(),
            [&](Slot a, Slot b) { return links_[a].serial < links_[b].serial; });
  return slots;
}

}  // namespace serveloop::requests
