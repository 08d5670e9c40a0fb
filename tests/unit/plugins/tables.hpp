// A shipped plugin from the build tree, and the tables that it reads, laid out by hand.
#pragma once

#include <serveloop/serveloop.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../need.hpp"
#include "policy/host.hpp"

namespace serveloop::test {

using policy::Choice;

inline policy::Host build_host() {
  policy::SearchOptions options;
  options.folders = {SERVELOOP_BUILD_PLUGINS};
  return policy::Host(options);
}

inline policy::Limits limits(std::uint32_t device_blocks = 100, std::uint32_t host_blocks = 0) {
  policy::Limits l;
  l.sequence_slots = 64;
  l.blocks[SL_TIER_DEVICE] = device_blocks;
  l.blocks[SL_TIER_HOST] = host_blocks;
  l.block_tokens = 16;
  l.token_budget = 256;
  l.max_sequences = 8;
  return l;
}

template <class Row>
sl_table table_over(const std::vector<Row>& rows) {
  return {rows.data(), sizeof(Row), static_cast<std::uint32_t>(rows.size())};
}

class Tables {
 public:
  explicit Tables(const policy::Limits& limits) {
    view_.struct_size = sizeof(view_);
    view_.block_tokens = limits.block_tokens;
    view_.token_budget = limits.token_budget;
    view_.max_sequences = limits.max_sequences;
    for (const int tier : {SL_TIER_DEVICE, SL_TIER_HOST}) {
      view_.tier[tier].total = limits.blocks[tier];
      blocks.resize(blocks.size() + limits.blocks[tier]);
    }
    cost.struct_size = sizeof(cost);
    cost.prefill_token_ns = 1000;
    cost.swap_fixed_ns = 1000;
    cost.swap_block_ns = 1000;
    nodes.push_back({SL_NONE, 0, 0, 0, 0, 0, 0, 0});
    seqs.reserve(limits.sequence_slots);  // rows stay where add() gave them
  }

  // A sequence in the next slot, of a request of its own.
  sl_seq_row& add(std::uint16_t state, std::uint32_t prompt_tokens = 32, std::uint32_t max_tokens = 32) {
    const auto slot = static_cast<std::uint32_t>(seqs.size());
    sl_request_row request{};
    request.request = slot + 1;
    request.arrival_ns = slot;
    request.prompt_tokens = prompt_tokens;
    request.max_tokens = max_tokens;
    request.tenant_weight_milli = 1000;
    request.n = request.live = 1;
    requests.push_back(request);
    sl_seq_row row{};
    row.id = (std::uint64_t{1} << 32) | slot;
    row.request = slot;
    row.node = SL_NONE;
    row.state = state;
    row.runnable = state == SL_RUNNING ? 1 : prompt_tokens;
    row.tokens_left = prompt_tokens + max_tokens;
    seqs.push_back(row);
    cold.push_back({});
    return seqs.back();
  }
  sl_seq id(std::uint32_t slot) const { return seqs[slot].id; }

  void event(std::uint16_t kind, sl_seq subject, std::uint64_t a = 0, std::uint16_t flags = 0) {
    events.push_back({kind, flags, SL_NONE, subject, a, 0});
  }

  // The view of now; running sequences are those in that state, by slot.
  const sl_view& view() {
    running.clear();
    view_.waiting = 0;
    for (std::uint32_t slot = 0; slot < seqs.size(); ++slot)
      if (seqs[slot].state == SL_RUNNING)
        running.push_back(slot);
      else
        ++view_.waiting;
    view_.running_count = static_cast<std::uint32_t>(running.size());
    view_.seqs = table_over(seqs);
    view_.seqs_cold = table_over(cold);
    view_.requests = table_over(requests);
    view_.nodes = table_over(nodes);
    view_.blocks = table_over(blocks);
    view_.running = table_over(running);
    view_.events = table_over(events);
    view_.cost = &cost;
    return view_;
  }
  sl_view& raw() { return view_; }

  std::vector<sl_seq_row> seqs;
  std::vector<sl_seq_cold_row> cold;
  std::vector<sl_request_row> requests;
  std::vector<sl_node_row> nodes;
  std::vector<sl_block_row> blocks;
  std::vector<std::uint32_t> running;
  std::vector<sl_event> events;
  sl_cost cost{};

 private:
  sl_view view_{};
};

// Buffers for an answer of up to 256 rows.
template <class Row>
struct Buffers {
  std::vector<Row> rows = std::vector<Row>(256);
  std::vector<sl_gauge> gauge_rows = std::vector<sl_gauge>(8);
  sl_out out{rows.data(), sizeof(Row), 256, 0, 0};
  sl_out gauges{gauge_rows.data(), sizeof(sl_gauge), 8, 0, 0};
  std::vector<Row> answer() const { return {rows.begin(), rows.begin() + out.count}; }
  double gauge(std::uint32_t name) const {
    for (std::uint32_t i = 0; i < gauges.count; ++i)
      if (gauge_rows[i].name == name) return gauge_rows[i].value;
    throw std::runtime_error("no gauge " + std::to_string(name));
  }
};

// A plan by a scheduler or gate. The events count as told.
inline std::vector<sl_entry> plan_of(policy::Scheduler& scheduler, Tables& tables) {
  Buffers<sl_entry> b;
  if (scheduler.plan(tables.view(), b.out, b.gauges) != SL_OK)
    throw std::runtime_error(scheduler.last_failure());
  tables.events.clear();
  return b.answer();
}

}  // namespace serveloop::test
