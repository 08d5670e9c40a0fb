#include "server/metrics_text.hpp"

#include <fmt/format.h>
#include <serveloop/reasons.h>

#include <map>

#include "policy/manifest.hpp"
#include "policy/reasons.hpp"
#include "server/exposition.hpp"

namespace serveloop::server {
namespace {

using service::Snapshot;

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }
std::uint32_t used_blocks(const Snapshot& s) {
  const std::uint32_t spare = s.kv_free + s.kv_cached + s.in_transit;
  return s.kv_blocks > spare ? s.kv_blocks - spare : 0;
}
double kv_use(const Snapshot& s) {
  return s.kv_blocks == 0 ? 0 : static_cast<double>(used_blocks(s)) / static_cast<double>(s.kv_blocks);
}
std::uint64_t wide(std::uint32_t value) { return value; }

void requests(Exposition& out, const Snapshot& s) {
  out.metric("serveloop_sequences", "gauge", "Sequences by state.");
  out.value(wide(s.running), {{"state", "running"}});
  out.value(wide(s.waiting), {{"state", "waiting"}});
  out.counter("serveloop_requests_arrived_total", "Requests that came to the loop.", s.counters.arrived);
  out.counter("serveloop_requests_refused_total", "Of these, those that found no sequence slot.",
              s.counters.refused);
  out.metric("serveloop_sequences_finished_total", "counter", "Sequences that ended, by finish reason.");
  for (const auto& [reason, count] : s.finished) out.value(count, {{"reason", reason}});
  out.counter("serveloop_preemptions_total", "Sequences that had to yield.", s.counters.preemptions);
  out.histogram("serveloop_queue_seconds", "From arrival to admission.", s.queue);
  out.histogram("serveloop_prefill_seconds", "From admission to the first token.", s.prefill);
  out.histogram("serveloop_decode_seconds", "From the first token to the last.", s.decode);
  out.histogram("serveloop_first_token_seconds", "From arrival to the first token.", s.first_token);
  out.histogram("serveloop_inter_token_seconds", "Between two tokens of a sequence.", s.between_tokens);
  out.histogram("serveloop_request_seconds", "From arrival to the end, of those that gave a token.",
                s.end_to_end);
}

void tokens(Exposition& out, const Snapshot& s) {
  const engine::Counters& c = s.counters;
  out.counter("serveloop_prompt_tokens_total", "Tokens of prompts.", c.prompt_tokens);
  out.counter("serveloop_output_tokens_total", "Tokens generated.", c.output_tokens);
  out.counter("serveloop_lookup_tokens_total",
              "Prompt tokens that were looked up in the prefix cache, once a sequence.", c.lookup_tokens);
  out.counter("serveloop_hit_tokens_total", "Of these, those that it held.", c.hit_tokens);
  out.counter("serveloop_computed_tokens_total", "Tokens run through the model.", c.computed_tokens);
  out.counter("serveloop_recomputed_tokens_total", "Of these, those that had been computed before.",
              c.recomputed_tokens);
  out.counter("serveloop_void_tokens_total", "Tokens sampled for a sequence that had ended.", c.void_tokens);
}

void cache(Exposition& out, const Snapshot& s) {
  out.metric("serveloop_kv_blocks", "gauge",
             "Device blocks of the KV pool by state; cached ones are held by nobody.");
  out.value(wide(used_blocks(s)), {{"state", "used"}});
  out.value(wide(s.kv_cached), {{"state", "cached"}});
  out.value(wide(s.kv_free), {{"state", "free"}});
  out.value(wide(s.in_transit), {{"state", "in_transit"}});
  out.metric("serveloop_host_kv_blocks", "gauge", "Blocks of the KV tier in host memory, by state.");
  const std::uint32_t host_spare = s.host_free + s.host_cached + s.host_in_transit;
  out.value(wide(s.host_blocks > host_spare ? s.host_blocks - host_spare : 0), {{"state", "used"}});
  out.value(wide(s.host_cached), {{"state", "cached"}});
  out.value(wide(s.host_free), {{"state", "free"}});
  out.value(wide(s.host_in_transit), {{"state", "in_transit"}});
  out.gauge("serveloop_kv_block_tokens", "Tokens of a block.", wide(s.block_tokens));
  out.gauge("serveloop_kv_use_ratio", "Blocks in use of all; 1 is full.", kv_use(s));
  out.counter("serveloop_evicted_blocks_total", "Device blocks dropped from the prefix cache.",
              s.counters.evicted_blocks);
  out.counter("serveloop_regretted_evictions_total",
              "Evicted blocks whose content was computed again within 60 s.", s.counters.regretted_evictions);
}

// What moved between device and host memory, and what could not.
void host_tier(Exposition& out, const Snapshot& s) {
  const engine::Counters& c = s.counters;
  out.counter("serveloop_demoted_blocks_total", "Cached blocks moved to host memory.", c.demoted_blocks);
  out.counter("serveloop_brought_in_blocks_total", "Blocks moved from host memory to the device.",
              c.brought_in_blocks);
  out.counter("serveloop_prefetched_blocks_total", "Of these, those that a prefetch moved.",
              c.prefetched_blocks);
  out.counter("serveloop_host_dropped_blocks_total", "Cached blocks dropped from host memory.",
              c.host_dropped_blocks);
  out.metric(
      "serveloop_host_refused_total", "counter",
      "Demotions, a block each, and swaps, a sequence each, that became drops and recomputes, by reason.");
  out.value(c.host_full, {{"reason", policy::reason_name(SL_REASON_HOST_FULL)}});
  out.value(c.no_host_tier, {{"reason", policy::reason_name(SL_REASON_NO_HOST_TIER)}});
  out.metric(
      "serveloop_swapped_sequences_total", "counter",
      "Sequences whose KV moved, by direction; lost: it could not be brought back, and was computed again.");
  out.value(c.swapped_out, {{"direction", "out"}});
  out.value(c.swapped_in, {{"direction", "in"}});
  out.value(c.copies_lost, {{"direction", "lost"}});
  out.counter("serveloop_swapped_out_blocks_total", "Blocks of swapped sequences that moved to host memory.",
              c.swapped_out_blocks);
  out.counter("serveloop_block_copies_total", "Blocks copied between device and host memory.", c.copies);
  out.counter("serveloop_failed_block_copies_total", "Of these, those that failed.", c.copies_failed);
}

void steps(Exposition& out, const Snapshot& s) {
  const engine::Counters& c = s.counters;
  out.counter("serveloop_steps_total", "Steps of the loop.", c.steps);
  out.metric("serveloop_batch_rows", "histogram", "Rows of a step's batch.");
  out.powers_of_two(c.batch_sizes, c.batch_rows);
  out.counter("serveloop_device_seconds_total", "Time in which the device computed.", seconds(c.device_ns));
  out.counter("serveloop_empty_plans_total", "Plans that named nobody.", c.empty_plans);
  out.counter("serveloop_failed_steps_total", "Steps that the executor failed.", c.failed_steps);
}

void policies(Exposition& out, const Snapshot& s) {
  out.metric(
      "serveloop_decisions_total", "counter",
      "Decisions by the plugin that took them, and why; a swap that became a recompute counts as that.");
  for (const engine::Decision& d : s.decisions)
    out.value(d.count, {{"plugin", d.plugin}, {"decision", d.decision}, {"reason", d.reason}});
  out.metric("serveloop_fell_total", "counter", "Entries of plans that could not be placed, by reason.");
  for (const auto& [reason, count] : s.counters.fell)
    out.value(count, {{"reason", policy::reason_name(reason)}});
  out.metric("serveloop_fallbacks_total", "counter",
             "Answers of policies that were not used, by kind and reason.");
  for (const auto& [of, count] : s.counters.fallbacks)
    out.value(count, {{"kind", policy::name_of(static_cast<policy::Kind>(of.first))},
                      {"reason", policy::reason_name(of.second)}});
  out.counter("serveloop_policy_swaps_total", "Policies changed while running.", s.counters.swaps);
  out.counter("serveloop_ejected_total", "Policies thrown out.", s.counters.ejected);
  out.metric("serveloop_policy_info", "gauge", "The policies in force.");
  for (const service::PolicyInForce& p : s.policies)
    out.value(std::uint64_t{1}, {{"kind", p.kind}, {"place", p.place}, {"id", p.id}, {"version", p.version}});
}

void http_side(Exposition& out, const HttpCounts& http) {
  out.metric("serveloop_http_requests_total", "counter", "HTTP requests by the status of their answer.");
  for (const auto& [status, count] : http.all()) out.value(count, {{"code", fmt::format("{}", status)}});
  out.gauge("serveloop_http_connections", "Open connections.", http.connections.load());
}

// vLLM's word for it.
std::string_view vllm_finish(std::string_view reason) {
  return reason == "stop" || reason == "length" || reason == "error" ? reason : "abort";
}

void vllm(Exposition& out, const Snapshot& s, const std::string& model) {
  const Labels labels{{"engine", "0"}, {"model_name", model}};
  const engine::Counters& c = s.counters;
  out.gauge("vllm:num_requests_running", "Alias: sequences running.", wide(s.running), labels);
  out.gauge("vllm:num_requests_waiting", "Alias: sequences waiting.", wide(s.waiting), labels);
  out.gauge("vllm:kv_cache_usage_perc", "Alias of serveloop_kv_use_ratio.", kv_use(s), labels);
  out.gauge("vllm:cache_config_info", "Alias: the KV pool.", std::uint64_t{1},
            {{"block_size", fmt::format("{}", s.block_tokens)},
             {"num_gpu_blocks", fmt::format("{}", s.kv_blocks)},
             {"engine", "0"},
             {"model_name", model}});
  out.counter("vllm:prompt_tokens_total", "Alias of serveloop_prompt_tokens_total.", c.prompt_tokens, labels);
  out.counter("vllm:generation_tokens_total", "Alias of serveloop_output_tokens_total.", c.output_tokens,
              labels);
  out.counter("vllm:prefix_cache_queries_total", "Alias of serveloop_lookup_tokens_total.", c.lookup_tokens,
              labels);
  out.counter("vllm:prefix_cache_hits_total", "Alias of serveloop_hit_tokens_total.", c.hit_tokens, labels);
  out.counter("vllm:num_preemptions_total", "Alias of serveloop_preemptions_total.", c.preemptions, labels);
  std::map<std::string_view, std::uint64_t> finished;
  for (const auto& [reason, count] : s.finished) finished[vllm_finish(reason)] += count;
  out.metric("vllm:request_success_total", "counter", "Alias of serveloop_sequences_finished_total.");
  for (const auto& [reason, count] : finished)
    out.value(count, {{"engine", "0"}, {"finished_reason", reason}, {"model_name", model}});
  out.summed("vllm:iteration_tokens_total", "Tokens computed a step; sum and count alone.", c.computed_tokens,
             c.steps, labels);
  out.histogram("vllm:time_to_first_token_seconds", "Alias of serveloop_first_token_seconds.", s.first_token,
                labels);
  out.histogram("vllm:inter_token_latency_seconds", "Alias of serveloop_inter_token_seconds.",
                s.between_tokens, labels);
  out.histogram("vllm:e2e_request_latency_seconds", "Alias of serveloop_request_seconds.", s.end_to_end,
                labels);
  out.histogram("vllm:request_queue_time_seconds", "Alias of serveloop_queue_seconds.", s.queue, labels);
  out.histogram("vllm:request_prefill_time_seconds", "Alias of serveloop_prefill_seconds.", s.prefill,
                labels);
  out.histogram("vllm:request_decode_time_seconds", "Alias of serveloop_decode_seconds.", s.decode, labels);
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, const service::Info& info, const HttpCounts& http) {
  Exposition out;
  requests(out, snapshot);
  tokens(out, snapshot);
  cache(out, snapshot);
  host_tier(out, snapshot);
  steps(out, snapshot);
  policies(out, snapshot);
  http_side(out, http);
  vllm(out, snapshot, info.model);
  return out.take();
}

}  // namespace serveloop::server
