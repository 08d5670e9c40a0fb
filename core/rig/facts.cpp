#include "rig/facts.hpp"

#include <fmt/format.h>

#include <initializer_list>

#include "config/config.hpp"

namespace serveloop::rig {

namespace {

constexpr double kMostNs = 1e15;
constexpr std::uint32_t kMostContext = 1u << 24;

// Every number of the cost and the host model, in order.
template <class Facts, class Visit>
void each_cost(Facts& f, Visit&& visit) {
  for (auto* v : {&f.cost.step_fixed_ns, &f.cost.decode_sequence_ns, &f.cost.decode_context_ns,
                  &f.cost.prefill_token_ns, &f.cost.prefill_context_ns, &f.cost.swap_fixed_ns,
                  &f.cost.swap_block_ns, &f.cost.prefill_step_ns, &f.cost.decode_token_ns, &f.cost.overlap,
                  &f.host.tokens.fixed_ns, &f.host.tokens.row_ns, &f.host.policy.fixed_ns,
                  &f.host.policy.row_ns, &f.host.other.fixed_ns, &f.host.other.row_ns})
    visit(*v);
}

}  // namespace

void encode(const DeviceFacts& facts, observe::Writer& out) {
  each_cost(facts, [&](const double& v) { out.raw(&v, sizeof(v)); });
  for (const std::uint32_t v :
       {facts.kv_blocks, facts.host_kv_blocks, facts.context_tokens, facts.vocabulary})
    out.u64(v);
  out.raw(&facts.numerics, sizeof(facts.numerics));
}

Result<DeviceFacts> decode_facts(observe::Reader& in) {
  DeviceFacts facts;
  facts.cost.struct_size = sizeof(sl_cost);
  each_cost(facts, [&](double& v) { in.raw(&v, sizeof(v)); });
  for (std::uint32_t* v : {&facts.kv_blocks, &facts.host_kv_blocks, &facts.context_tokens, &facts.vocabulary})
    *v = in.u32();
  in.raw(&facts.numerics, sizeof(facts.numerics));
  if (!in.ok()) return fail("damaged step log", "a whole header", "its end");
  Status good;
  each_cost(facts, [&](const double& v) {
    if (!(v >= 0 && v < kMostNs))
      good = fail("damaged step log", "costs of 0 to 1e15 ns", fmt::format("{}", v));
  });
  if (!good) return tl::unexpected(good.error());
  if (facts.cost.overlap > 1)
    return fail("damaged step log", "an overlap of 0 to 1", fmt::format("{}", facts.cost.overlap));
  if (facts.kv_blocks == 0 || facts.kv_blocks > config::kMostKvBlocks ||
      facts.host_kv_blocks > config::kMostKvBlocks || facts.context_tokens < 2 ||
      facts.context_tokens > kMostContext)
    return fail("damaged step log", "1 to 100,000,000 blocks and a context of up to 2^24 tokens",
                fmt::format("{} and {}", facts.kv_blocks, facts.context_tokens));
  return facts;
}

}  // namespace serveloop::rig
