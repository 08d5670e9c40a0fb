// The rows of requests and sequences: laid out at arrival, free again once their end was told.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "requests/manager.hpp"

namespace serveloop::requests {

std::uint64_t Manager::store(const void* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::uint64_t at = heap_.allocate(size);
  if (at != Heap::npos) std::memcpy(heap_.data() + at, bytes, size);
  return at;
}

void Manager::drop(std::uint64_t at, std::size_t size) {
  if (size > 0 && at != Heap::npos) heap_.release(at, size);
}

namespace {

std::uint64_t absolute(std::uint64_t arrival_ns, std::uint64_t relative_ns) {
  return relative_ns < SL_NEVER - arrival_ns ? arrival_ns + relative_ns : SL_NEVER;
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
  const std::size_t hint_bytes = spec.hints.size() * sizeof(sl_hint);
  const std::size_t retention_bytes = spec.retention.size() * sizeof(sl_retention);
  const std::uint64_t prompt_at = store(prompt.data(), prompt.size_bytes());
  const std::uint64_t hints_at = store(spec.hints.data(), hint_bytes);
  const std::uint64_t retention_at = store(spec.retention.data(), retention_bytes);
  if (prompt_at == Heap::npos || hints_at == Heap::npos || retention_at == Heap::npos) {
    drop(prompt_at, prompt.size_bytes());
    drop(hints_at, hint_bytes);
    drop(retention_at, retention_bytes);
    return fail("no room for the prompt", "free space in the table heap",
                std::to_string(heap_.used()) + " bytes used", "send fewer or shorter requests at a time");
  }
  const std::uint32_t index = free_requests_.back();
  free_requests_.pop_back();
  sl_request_row& request = requests_[index];
  request = {};
  fill(request, id, spec, labels);
  request.prompt_at = prompt_at;
  request.prompt_tokens = static_cast<std::uint32_t>(prompt.size());
  request.max_tokens = max_tokens;
  request.hints_at = hints_at;
  request.retention_at = retention_at;
  slots.clear();
  for (std::uint32_t fork = 0; fork < spec.n; ++fork)
    slots.push_back(lay_out_sequence(index, fork, !spec.sampling.stop_ids.empty()));
  return {};
}

Slot Manager::lay_out_sequence(std::uint32_t request, std::uint32_t fork, bool has_stops) {
  const Slot slot = free_slots_.back();
  free_slots_.pop_back();
  slot_count_ = std::max({slot_count_, slot + 1, request + 1});
  const sl_request_row& of = requests_[request];
  Sequence& sequence = sequences_[slot];
  Links& links = links_[slot];
  links.generation = links.generation == UINT32_MAX ? 1 : links.generation + 1;
  links.serial = next_serial_++;
  links.begun_step = UINT64_MAX;
  sequence.life = 0;
  sequence.planned = 0;
  checked_[slot].prompt_tokens = of.prompt_tokens;
  sequence.max_tokens = of.max_tokens;
  sequence.has_stops = has_stops;
  sequence.named_step = UINT64_MAX;
  sequence.longest_gap_ns = 0;
  sl_seq_row& row = seqs_[slot];
  row = {};
  row.id = (std::uint64_t{links.generation} << 32) | slot;
  row.request = request;
  row.fork = fork;
  row.node = SL_NONE;
  row.state = SL_WAITING;
  row.not_ready = SL_NOT_READY_UNGATED;
  row.tokens_left = of.prompt_tokens + of.max_tokens - 1;
  row.runnable = of.prompt_tokens;
  cold_[slot] = {};
  cold_[slot].wake_ns = cold_[slot].pause_until_ns = SL_NEVER;
  ++waiting_;
  live_push(slot);
  timers_.add({of.end_deadline_ns, row.id, Timer::deadline});
  event(SL_EV_ARRIVED, row.id);
  return slot;
}

void Manager::reclaim() {
  for (const Slot slot : ended_) {
    const std::uint32_t request = seqs_[slot].request;
    seqs_[slot] = {};
    tokens_.clear(sequences_[slot].generated);
    if (--requests_[request].live == 0) release_request(request);
    free_slots_.push_back(slot);
  }
  ended_.clear();
}

void Manager::release_request(std::uint32_t request) {
  sl_request_row& row = requests_[request];
  drop(row.prompt_at, std::size_t{row.prompt_tokens} * sizeof(Token));
  drop(row.hints_at, row.hints_count * sizeof(sl_hint));
  drop(row.retention_at, row.retention_count * sizeof(sl_retention));
  row = {};
  free_requests_.push_back(request);
}

}  // namespace serveloop::requests
