#include "experiment/rows.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string_view>

namespace serveloop::experiment {

namespace {

double ratio(double a, double b) { return b > 0 ? a / b : kNone; }

// A counter of the engine's.
Row counted(const char* label, const char* key, std::uint64_t engine::Counters::*what) {
  return {label, key, [what](const Summary& s) { return static_cast<double>(s.counters.*what); }};
}

// One decision by reason, whichever policy took it: "  recompute: still_filling".
void add_decided(const std::vector<Summary>& runs, const char* label, std::string_view decision,
                 std::vector<Row>& rows) {
  std::set<std::string> reasons;
  for (const Summary& run : runs)
    for (const engine::Decision& d : run.decisions)
      if (d.decision == decision) reasons.insert(d.reason);
  for (const std::string& reason : reasons)
    rows.push_back({fmt::format("{}: {}", label, reason), "", [decision, reason](const Summary& s) {
                      double sum = 0;
                      for (const engine::Decision& d : s.decisions)
                        if (d.decision == decision && d.reason == reason) sum += static_cast<double>(d.count);
                      return sum;
                    }});
}

std::vector<Row> work_rows() {
  using S = const Summary&;
  return {
      {"requests completed", "completed", [](S s) { return static_cast<double>(s.completed); }, true},
      {"  rejected", "rejected", [](S s) { return static_cast<double>(s.rejected); }},
      {"  cancelled", "cancelled", [](S s) { return static_cast<double>(s.cancelled); }},
      {"  past their deadline", "deadline", [](S s) { return static_cast<double>(s.deadline); }},
      {"  failed", "failed", [](S s) { return static_cast<double>(s.failed); }},
      {"  dropped", "dropped", [](S s) { return static_cast<double>(s.dropped); }, true},
      {"  unfinished", "unfinished", [](S s) { return static_cast<double>(s.unfinished); }},
      {"time of the run, s", "seconds", [](S s) { return s.seconds; }, true},
      {"first token p50, ms", "first_token_p50_ms", [](S s) { return s.first_token.p50; }, true},
      {"first token p90, ms", "first_token_p90_ms", [](S s) { return s.first_token.p90; }, true},
      {"first token p99, ms", "first_token_p99_ms", [](S s) { return s.first_token.p99; }, true},
      {"between tokens p50, ms", "between_tokens_p50_ms", [](S s) { return s.between_p50; }, true},
      {"between tokens p90, ms", "between_tokens_p90_ms", [](S s) { return s.between_p90; }, true},
      {"between tokens p99, ms", "between_tokens_p99_ms", [](S s) { return s.between_p99; }, true},
      {"longest gap of a request p99, ms", "longest_gap_p99_ms", [](S s) { return s.longest_gap_p99; }, true},
      {"  longest of all, ms", "longest_gap_ms", [](S s) { return s.longest_gap; }, true},
      {"end to end p50, ms", "end_to_end_p50_ms", [](S s) { return s.end_to_end.p50; }, true},
      {"end to end p90, ms", "end_to_end_p90_ms", [](S s) { return s.end_to_end.p90; }, true},
      {"end to end p99, ms", "end_to_end_p99_ms", [](S s) { return s.end_to_end.p99; }, true},
      {"deadlines met, %", "deadlines_met_percent",
       [](S s) {
         return 100 * ratio(static_cast<double>(s.goodput.met), static_cast<double>(s.goodput.stated));
       }},
      {"goodput, requests/s that met theirs", "goodput_per_s",
       [](S s) {
         return s.goodput.stated == 0 ? kNone : ratio(static_cast<double>(s.goodput.met), s.seconds);
       }},
      {"fairness among tenants, %", "fairness_percent", [](S s) { return 100 * s.fairness; }},
      {"output tokens/s", "output_tokens_per_s",
       [](S s) { return ratio(static_cast<double>(s.counters.output_tokens), s.seconds); }, true},
      {"steps", "steps", [](S s) { return static_cast<double>(s.counters.steps); }, true},
      {"rows a batch, mean", "batch_rows_mean",
       [](S s) {
         return ratio(static_cast<double>(s.counters.batch_rows), static_cast<double>(s.counters.steps));
       },
       true},
      {"sequences running, mean", "running_mean", [](S s) { return s.pool.running(); }, true},
      {"KV pool held, mean %", "kv_held_percent", [](S s) { return 100 * s.pool.held(); }, true},
      {"  without KV in it, % of the pool", "kv_unfilled_percent",
       [](S s) { return 100 * s.pool.unfilled(); }, true},
      {"KV pool free in pieces too small, mean %", "kv_fragmented_percent",
       [](S s) { return 100 * s.pool.fragmented(); }},
      {"device busy, %", "device_busy_percent",
       [](S s) { return 100 * ratio(static_cast<double>(s.counters.device_ns) * 1e-9, s.seconds); }, true},
      {"prefix hit tokens, % of prompt", "prefix_hit_percent",
       [](S s) {
         return 100 * ratio(static_cast<double>(s.counters.hit_tokens),
                            static_cast<double>(s.counters.lookup_tokens));
       },
       true},
  };
}

// Of sessions and programs. Those of a kind that no run had are left out.
std::vector<Row> chain_rows() {
  const auto row = [](const char* label, const char* key, bool programs,
                      double (*value)(const ChainFigures&)) {
    return Row{label, key, [=](const Summary& s) {
                 return s.chains && s.chains->programs == programs ? value(*s.chains) : kNone;
               }};
  };
  using C = const ChainFigures&;
  const auto completed = [](C c) { return static_cast<double>(c.completed); };
  const auto broken = [](C c) { return static_cast<double>(c.broken); };
  return {
      row("sessions completed", "sessions_completed", false, completed),
      row("  ended early", "sessions_ended_early", false, broken),
      row("programs completed", "programs_completed", true, completed),
      row("  ended early", "programs_ended_early", true, broken),
      row("program p50, ms", "program_p50_ms", true, [](C c) { return c.time.p50; }),
      row("program p90, ms", "program_p90_ms", true, [](C c) { return c.time.p90; }),
      row("program mean, ms", "program_mean_ms", true, [](C c) { return c.mean_ms; }),
      row("program p99, ms", "program_p99_ms", true, [](C c) { return c.time.p99; }),
  };
}

// Who gave up blocks, and what that cost.
std::vector<Row> yield_rows(const std::vector<Summary>& runs) {
  using S = const Summary&;
  std::vector<Row> rows = {
      {"preemptions", "preemptions", [](S s) { return static_cast<double>(s.counters.preemptions); }, true}};
  add_decided(runs, "  recompute", "recompute", rows);
  add_decided(runs, "  swap", "swap", rows);
  add_decided(runs, "  keep", "keep", rows);
  rows.insert(rows.end(), {
                              {"recomputed tokens", "recomputed_tokens",
                               [](S s) { return static_cast<double>(s.counters.recomputed_tokens); }, true},
                              {"evicted blocks", "evicted_blocks",
                               [](S s) { return static_cast<double>(s.counters.evicted_blocks); }, true},
                              counted("  computed again within 60 s", "regretted_evictions",
                                      &engine::Counters::regretted_evictions),
                          });
  return rows;
}

// Whom a gate or the scheduler held back.
std::vector<Row> held_rows(const std::vector<Summary>& runs) {
  std::vector<Row> rows;
  add_decided(runs, "held by a policy", "park", rows);
  add_decided(runs, "rejected by a policy", "reject", rows);
  return rows;
}

// What moved between device and host memory, and what could not.
std::vector<Row> host_rows() {
  using C = engine::Counters;
  return {
      counted("blocks demoted to host memory", "demoted_blocks", &C::demoted_blocks),
      counted("blocks brought back from there", "brought_in_blocks", &C::brought_in_blocks),
      counted("  of them by prefetch", "prefetched_blocks", &C::prefetched_blocks),
      counted("blocks dropped from there", "host_dropped_blocks", &C::host_dropped_blocks),
      counted("blocks in transit at once, most", "most_in_transit_blocks", &C::most_in_transit),
      counted("failed copies of blocks", "failed_block_copies", &C::copies_failed),
      counted("moves refused, host memory full", "host_full", &C::host_full),
      counted("moves refused, no host memory", "no_host_tier", &C::no_host_tier),
      counted("sequences swapped out", "swapped_out", &C::swapped_out),
      counted("  their blocks that moved", "swapped_out_blocks", &C::swapped_out_blocks),
      counted("  swapped in", "swapped_in", &C::swapped_in),
      counted("  lost, so computed again", "copies_lost", &C::copies_lost),
  };
}

std::vector<Row> policy_rows() {
  using S = const Summary&;
  return {
      {"answers taken by the fallback", "fallbacks",
       [](S s) {
         double sum = 0;
         for (const auto& [what, count] : s.counters.fallbacks) sum += static_cast<double>(count);
         return sum;
       },
       true},
      {"policies ejected", "ejected", [](S s) { return static_cast<double>(s.counters.ejected); }},
      {"hot swaps", "hot_swaps", [](S s) { return static_cast<double>(s.counters.swaps); }},
      {"failed steps", "failed_steps", [](S s) { return static_cast<double>(s.counters.failed_steps); }},
      {"host time of a step, us", "host_us_per_step",
       [](S s) { return 1e6 * ratio(s.host_seconds, static_cast<double>(s.counters.steps)); }},
      {"wall time, s", "wall_seconds", [](S s) { return s.wall_seconds; }, true},
  };
}

}  // namespace

std::vector<Row> rows_of(const std::vector<Summary>& runs) {
  std::vector<Row> all = work_rows();
  for (std::vector<Row> more : {chain_rows(), yield_rows(runs), host_rows(), held_rows(runs), policy_rows()})
    for (Row& row : more) all.push_back(std::move(row));
  for (std::size_t i = 0; i < observe::kCauses; ++i) {
    const char* name = observe::name_of(static_cast<observe::Cause>(i));
    all.push_back(
        {fmt::format("time in {}, %", name), fmt::format("cause_{}_percent", name), [i](const Summary& s) {
           return 100 * ratio(static_cast<double>(s.causes[i]), static_cast<double>(observe::sum(s.causes)));
         }});
  }
  return all;
}

}  // namespace serveloop::experiment
