#include "engine/records.hpp"

#include <cstring>

namespace serveloop::engine {

namespace {

bool is_next_decode(const sl_entry& e, sl_seq next) {
  return e.seq == next && e.verb == SL_RUN && e.tokens == 1 && e.reason == 0 && e.drafts == 0 &&
         e.blocks == 0 && e.arg == 0;
}

tl::unexpected<Error> damaged(const char* what) {
  return fail("damaged step log", what, "other bytes", "was it written by another build?");
}

}  // namespace

void encode_plan(std::span<const sl_entry> entries, std::span<const std::uint32_t> running,
                 const requests::Manager& requests, observe::Writer& out) {
  out.u64(entries.size());
  std::size_t i = 0, next = 0;
  while (i < entries.size()) {
    const std::size_t from = i;
    while (i < entries.size() && next < running.size() &&
           is_next_decode(entries[i], requests.row(running[next]).id))
      ++i, ++next;
    out.u64(i - from);
    if (i == entries.size()) break;
    const sl_entry& e = entries[i++];
    for (const std::uint64_t v : {std::uint64_t{SL_SEQ_SLOT(e.seq)}, std::uint64_t{SL_SEQ_GENERATION(e.seq)},
                                  std::uint64_t{e.verb}, std::uint64_t{e.reason}, std::uint64_t{e.tokens},
                                  std::uint64_t{e.drafts}, std::uint64_t{e.blocks}, e.arg})
      out.u64(v);
    if (next < running.size() && e.seq == requests.row(running[next]).id) ++next;
  }
}

Result<std::uint32_t> decode_plan(observe::Reader& in, std::span<const std::uint32_t> running,
                                  const requests::Manager& requests, std::span<sl_entry> entries) {
  const std::uint64_t count = in.u64();
  if (!in.ok() || count > entries.size()) return damaged("a plan's entries");
  std::size_t i = 0, next = 0;
  while (i < count) {
    for (std::uint64_t run = in.u64(); run > 0; --run) {
      if (i == count || next == running.size()) return damaged("a run of running sequences");
      entries[i++] = {requests.row(running[next++]).id, SL_RUN, 0, 1, 0, 0, 0};
    }
    if (i == count) break;
    sl_entry& e = entries[i++];
    const std::uint64_t slot = in.u64();
    e.seq = (in.u64() << 32) | slot;
    e.verb = static_cast<std::uint16_t>(in.u64());
    e.reason = static_cast<std::uint16_t>(in.u64());
    e.tokens = in.u32();
    e.drafts = in.u32();
    e.blocks = in.u32();
    e.arg = in.u64();
    if (!in.ok()) return damaged("a plan's entry");
    if (next < running.size() && e.seq == requests.row(running[next]).id) ++next;
  }
  return static_cast<std::uint32_t>(count);
}

void encode_rows(std::span<const sl_victim> victims, observe::Writer& out) {
  out.u64(victims.size());
  for (const sl_victim& v : victims) {
    out.raw(&v.key, sizeof(v.key));
    out.u64(v.block);
    out.u64(v.to);
    out.u64(v.reason);
  }
}

void encode_rows(std::span<const sl_yield> yields, observe::Writer& out) {
  out.u64(yields.size());
  for (const sl_yield& y : yields) {
    out.raw(&y.seq, sizeof(y.seq));
    out.u64(y.mode);
    out.u64(y.reason);
    out.u64(y.keep_blocks);
  }
}

Result<std::uint32_t> decode_rows(observe::Reader& in, std::span<sl_victim> victims) {
  const std::uint64_t count = in.u64();
  if (count > victims.size()) return damaged("victims");
  for (std::size_t i = 0; i < count; ++i) {
    in.raw(&victims[i].key, sizeof(victims[i].key));
    victims[i].block = in.u32();
    victims[i].to = static_cast<std::uint16_t>(in.u64());
    victims[i].reason = static_cast<std::uint16_t>(in.u64());
  }
  if (!in.ok()) return damaged("victims");
  return static_cast<std::uint32_t>(count);
}

Result<std::uint32_t> decode_rows(observe::Reader& in, std::span<sl_yield> yields) {
  const std::uint64_t count = in.u64();
  if (count > yields.size()) return damaged("yields");
  for (std::size_t i = 0; i < count; ++i) {
    in.raw(&yields[i].seq, sizeof(yields[i].seq));
    yields[i].mode = static_cast<std::uint16_t>(in.u64());
    yields[i].reason = static_cast<std::uint16_t>(in.u64());
    yields[i].keep_blocks = in.u32();
  }
  if (!in.ok()) return damaged("yields");
  return static_cast<std::uint32_t>(count);
}

void encode_end(const Finished& end, observe::Writer& out) {
  for (const std::uint64_t v : {end.request,
                                std::uint64_t{end.fork},
                                std::uint64_t{end.finish},
                                std::uint64_t{end.reason},
                                std::uint64_t{end.tenant},
                                std::uint64_t{end.prompt_tokens},
                                std::uint64_t{end.output_tokens},
                                std::uint64_t{end.hit_tokens},
                                std::uint64_t{end.recomputed_tokens},
                                std::uint64_t{end.preemptions},
                                end.arrival_ns,
                                end.admitted_ns,
                                end.first_token_ns,
                                end.last_token_ns,
                                end.end_ns,
                                end.service_ns,
                                end.longest_gap_ns,
                                std::uint64_t{end.preempted_by},
                                std::uint64_t{end.preempt_reason},
                                end.preempted_for,
                                std::uint64_t{end.evicted_tokens},
                                end.blocked_by})
    out.u64(v);
  out.i64(end.priority_rule);
  for (const std::int64_t cause : end.causes) out.i64(cause);
}

Finished decode_end(observe::Reader& in) {
  Finished end;
  end.request = in.u64();
  for (std::uint32_t* v : {&end.fork, &end.finish, &end.reason, &end.tenant, &end.prompt_tokens,
                           &end.output_tokens, &end.hit_tokens, &end.recomputed_tokens, &end.preemptions})
    *v = in.u32();
  for (std::uint64_t* v : {&end.arrival_ns, &end.admitted_ns, &end.first_token_ns, &end.last_token_ns,
                           &end.end_ns, &end.service_ns, &end.longest_gap_ns})
    *v = in.u64();
  end.preempted_by = in.u32();
  end.preempt_reason = in.u32();
  end.preempted_for = in.u64();
  end.evicted_tokens = in.u32();
  end.blocked_by = in.u64();
  end.priority_rule = static_cast<std::int32_t>(in.i64());
  for (std::int64_t& cause : end.causes) cause = in.i64();
  return end;
}

}  // namespace serveloop::engine
