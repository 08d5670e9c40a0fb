// What a probe read, as text: one line a field, `path value`, with every field of every row that reached it
// through the ABI.
//
// Paths are the headers' own names: `plan.view.seqs[3].computed 17`. Tables: `<path>.count n` and
// `<path>.stride n`, then every row, the free ones too. A prompt is one line of its tokens, separated by
// spaces. Numbers of type double are written with 17 digits. Addresses are left out: they are no facts.
#pragma once

#include <serveloop/ext/state.h>

#include <algorithm>
#include <concepts>
#include <cstdio>
#include <cstring>
#include <serveloop/cpp/plugin.hpp>
#include <serveloop/cpp/view.hpp>
#include <string>
#include <string_view>

namespace probe {

class Text {
 public:
  void clear() { text_.clear(); }
  const std::string& str() const { return text_; }

  void line(const std::string& at, std::string_view field, std::string_view value) {
    text_ += at;
    if (!at.empty() && !field.empty()) text_ += '.';
    ((text_ += field) += ' ') += value;
    text_ += '\n';
  }
  template <std::integral Number>
  void line(const std::string& at, std::string_view field, Number value) {
    line(at, field, std::string_view(std::to_string(value)));
  }
  void line(const std::string& at, std::string_view field, double value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    line(at, field, std::string_view(digits));
  }

 private:
  std::string text_;
};

// One line for each named field of `row`.
#define PROBE_FIELD(name) out.line(at, #name, row.name);

inline void dump(Text& out, const std::string& at, const sl_request_row& row) {
  PROBE_FIELD(request)
  PROBE_FIELD(arrival_ns)
  PROBE_FIELD(ttft_deadline_ns)
  PROBE_FIELD(tbt_target_ns)
  PROBE_FIELD(end_deadline_ns)
  PROBE_FIELD(prompt_at)
  PROBE_FIELD(hints_at)
  PROBE_FIELD(retention_at)
  PROBE_FIELD(session)
  PROBE_FIELD(program)
  PROBE_FIELD(parent)
  PROBE_FIELD(prompt_tokens)
  PROBE_FIELD(max_tokens)
  PROBE_FIELD(hints_count)
  PROBE_FIELD(retention_count)
  PROBE_FIELD(tenant)
  PROBE_FIELD(tenant_weight_milli)
  PROBE_FIELD(priority)
  PROBE_FIELD(service_class)
  PROBE_FIELD(category)
  PROBE_FIELD(turn)
  PROBE_FIELD(predicted_p50)
  PROBE_FIELD(predicted_p90)
  PROBE_FIELD(predicted_p99)
  PROBE_FIELD(adapter)
  PROBE_FIELD(n)
  PROBE_FIELD(live)
}

inline void dump(Text& out, const std::string& at, const sl_hint& row) {
  PROBE_FIELD(key)
  PROBE_FIELD(value)
}

inline void dump(Text& out, const std::string& at, const sl_retention& row) {
  PROBE_FIELD(from_token)
  PROBE_FIELD(to_token)
  PROBE_FIELD(priority)
  PROBE_FIELD(tier)
  PROBE_FIELD(duration_ns)
}

inline void dump(Text& out, const std::string& at, const sl_seq_row& row) {
  PROBE_FIELD(id)
  PROBE_FIELD(request)
  PROBE_FIELD(fork)
  PROBE_FIELD(node)
  PROBE_FIELD(state)
  PROBE_FIELD(not_ready)
  PROBE_FIELD(computed)
  PROBE_FIELD(in_flight_min)
  PROBE_FIELD(in_flight_max)
  PROBE_FIELD(generated)
  PROBE_FIELD(tokens_left)
  PROBE_FIELD(blocks_device)
  PROBE_FIELD(blocks_host)
  PROBE_FIELD(high_water)
  PROBE_FIELD(preemptions)
  PROBE_FIELD(runnable)
}

inline void dump(Text& out, const std::string& at, const sl_seq_cold_row& row) {
  PROBE_FIELD(ready_ns)
  PROBE_FIELD(admitted_ns)
  PROBE_FIELD(first_token_ns)
  PROBE_FIELD(last_token_ns)
  PROBE_FIELD(service_ns)
  PROBE_FIELD(last_step)
  PROBE_FIELD(wake_ns)
  PROBE_FIELD(pause_until_ns)
}

inline void dump(Text& out, const std::string& at, const sl_node_row& row) {
  PROBE_FIELD(parent)
  PROBE_FIELD(depth_blocks)
  PROBE_FIELD(edge_blocks)
  PROBE_FIELD(device_blocks)
  PROBE_FIELD(host_blocks)
  PROBE_FIELD(filling)
  PROBE_FIELD(waiting)
  PROBE_FIELD(live)
}

inline void dump(Text& out, const std::string& at, const sl_block_row& row) {
  PROBE_FIELD(key)
  PROBE_FIELD(last_use_ns)
  PROBE_FIELD(created_ns)
  PROBE_FIELD(node)
  PROBE_FIELD(depth)
  PROBE_FIELD(refs)
  PROBE_FIELD(hits)
  PROBE_FIELD(tier)
  PROBE_FIELD(flags)
  PROBE_FIELD(cached_children)
  PROBE_FIELD(parent)
  PROBE_FIELD(host_children)
}

inline void dump(Text& out, const std::string& at, const sl_event& row) {
  PROBE_FIELD(kind)
  PROBE_FIELD(flags)
  PROBE_FIELD(node)
  PROBE_FIELD(subject)
  PROBE_FIELD(a)
  PROBE_FIELD(b)
}

inline void dump(Text& out, const std::string& at, const sl_block_event& row) {
  PROBE_FIELD(key)
  PROBE_FIELD(parent_key)
  PROBE_FIELD(request)
  PROBE_FIELD(block)
  PROBE_FIELD(depth)
  PROBE_FIELD(kind)
  PROBE_FIELD(tier)
  PROBE_FIELD(flags)
  PROBE_FIELD(reason)
  PROBE_FIELD(cached_children)
  PROBE_FIELD(node)
  PROBE_FIELD(from)
  PROBE_FIELD(request_row)
}

inline void dump(Text& out, const std::string& at, const sl_candidate& row) {
  PROBE_FIELD(seq)
  PROBE_FIELD(frees)
  PROBE_FIELD(recompute_tokens)
  PROBE_FIELD(plan_rank)
  PROBE_FIELD(can)
  PROBE_FIELD(recompute_ns)
  PROBE_FIELD(swap_ns)
}

inline void dump(Text& out, const std::string& at, const sl_tier& row) {
  PROBE_FIELD(total)
  PROBE_FIELD(free)
  PROBE_FIELD(evictable)
  PROBE_FIELD(in_transit)
}

inline void dump(Text& out, const std::string& at, const sl_cost& row) {
  PROBE_FIELD(struct_size)
  PROBE_FIELD(step_fixed_ns)
  PROBE_FIELD(decode_sequence_ns)
  PROBE_FIELD(decode_context_ns)
  PROBE_FIELD(prefill_token_ns)
  PROBE_FIELD(prefill_context_ns)
  PROBE_FIELD(swap_fixed_ns)
  PROBE_FIELD(swap_block_ns)
  PROBE_FIELD(prefill_step_ns)
  PROBE_FIELD(decode_token_ns)
  PROBE_FIELD(overlap)
}

inline void dump(Text& out, const std::string& at, const uint32_t& row) { out.line(at, "", row); }

template <class Row>
void dump_rows(Text& out, const std::string& at, const sl_table& table) {
  out.line(at, "count", table.count);
  out.line(at, "stride", table.stride);
  const sl::Rows<Row> rows(table);
  for (uint32_t i = 0; i < table.count; ++i) dump(out, at + "[" + std::to_string(i) + "]", rows[i]);
}

// What a live request's row points to.
inline void dump_heap(Text& out, const std::string& at, const sl::View& view, const sl_request_row& request) {
  std::string tokens;
  for (const uint32_t token : view.prompt(request))
    tokens += (tokens.empty() ? "" : " ") + std::to_string(token);
  out.line(at, "prompt", tokens);
  std::size_t i = 0;
  for (const sl_hint& hint : view.hints(request)) dump(out, at + ".hints[" + std::to_string(i++) + "]", hint);
  i = 0;
  for (const sl_retention& range : view.retention(request))
    dump(out, at + ".retention[" + std::to_string(i++) + "]", range);
}

inline void dump_view(Text& out, const std::string& at, const sl::View& view) {
  const sl_view& row = view.raw();
  PROBE_FIELD(struct_size)
  PROBE_FIELD(epoch)
  PROBE_FIELD(step)
  PROBE_FIELD(now_ns)
  PROBE_FIELD(seed)
  PROBE_FIELD(last_step_ns)
  PROBE_FIELD(lag)
  PROBE_FIELD(block_tokens)
  PROBE_FIELD(token_budget)
  PROBE_FIELD(max_sequences)
  PROBE_FIELD(mode)
  PROBE_FIELD(waiting)
  PROBE_FIELD(running_count)
  PROBE_FIELD(gates)
  dump(out, at + ".tier[0]", row.tier[SL_TIER_DEVICE]);
  dump(out, at + ".tier[1]", row.tier[SL_TIER_HOST]);
  dump_rows<sl_seq_row>(out, at + ".seqs", row.seqs);
  dump_rows<sl_seq_cold_row>(out, at + ".seqs_cold", row.seqs_cold);
  dump_rows<sl_request_row>(out, at + ".requests", row.requests);
  dump_rows<sl_node_row>(out, at + ".nodes", row.nodes);
  dump_rows<sl_block_row>(out, at + ".blocks", row.blocks);
  dump_rows<uint32_t>(out, at + ".running", row.running);
  dump_rows<sl_event>(out, at + ".events", row.events);
  const auto requests = view.requests();
  for (uint32_t i = 0; i < row.requests.count; ++i)
    if (requests[i].live > 0) dump_heap(out, at + ".requests[" + std::to_string(i) + "]", view, requests[i]);
  dump(out, at + ".cost", *row.cost);
}

inline void dump_option(Text& out, const std::string& at, const sl_option& row) {
  out.line(at, "name", std::string_view(row.name.data, row.name.size));
  PROBE_FIELD(type)
  PROBE_FIELD(integer)
  PROBE_FIELD(number)
  out.line(at, "text", std::string_view(row.text.data, row.text.size));
}

inline void dump_create(Text& out, const sl::Setup& setup) {
  const std::string at = "create";
  const sl_create& row = *setup.operator->();
  PROBE_FIELD(struct_size)
  PROBE_FIELD(kind)
  PROBE_FIELD(seed)
  PROBE_FIELD(sequence_slots)
  out.line(at, "blocks[0]", row.blocks[SL_TIER_DEVICE]);
  out.line(at, "blocks[1]", row.blocks[SL_TIER_HOST]);
  PROBE_FIELD(block_tokens)
  PROBE_FIELD(token_budget)
  PROBE_FIELD(max_sequences)
  PROBE_FIELD(lag)
  PROBE_FIELD(is_gate)
  PROBE_FIELD(error_capacity)
  out.line(at, "options.count", row.options.count);
  out.line(at, "options.stride", row.options.stride);
  const sl::Rows<sl_option> options(row.options);
  for (uint32_t i = 0; i < row.options.count; ++i)
    dump_option(out, "create.options[" + std::to_string(i) + "]", options[i]);
  dump(out, "create.cost", *row.cost);
}

#undef PROBE_FIELD

// The extension's table for a policy with `std::string account() const`.
template <class Policy>
const void* dump_extension(const char* id) {
  static constexpr sl_dump kTable{sizeof(sl_dump), 0, [](void* self, sl_out* text) -> int32_t {
                                    const std::string all = static_cast<const Policy*>(self)->account();
                                    if (text->capacity > 0)
                                      std::memcpy(text->base, all.data(),
                                                  std::min<std::size_t>(all.size(), text->capacity));
                                    text->count = static_cast<uint32_t>(all.size());
                                    return SL_OK;
                                  }};
  return std::strcmp(id, SL_EXT_DUMP) == 0 ? &kTable : nullptr;
}

}  // namespace probe
