// A request before the loop sees it: checked, its prompt made whole and hashed. Of any thread.
#include <fmt/format.h>

#include "engine/engine.hpp"
#include "requests/whole_prompt.hpp"

namespace serveloop::engine {

namespace {

constexpr std::uint32_t kMaxSequencesPerRequest = 128;

}  // namespace

Status Engine::check(const requests::RequestSpec& spec) const {
  const std::uint64_t prompt = spec.prompt_tokens();
  if (prompt == 0) return fail("prompt", "at least 1 token", "0 tokens");
  if (spec.n == 0 || spec.n > kMaxSequencesPerRequest)
    return fail("n", fmt::format("1 to {}", kMaxSequencesPerRequest), std::to_string(spec.n));
  if (spec.n > options_.max_waiting)
    return fail("n",
                fmt::format("at most engine.max_waiting = {}, as many as may wait", options_.max_waiting),
                std::to_string(spec.n));
  if (spec.max_tokens && *spec.max_tokens == 0) return fail("max_tokens", "at least 1", "0");
  const std::uint64_t longest = longest_request();
  const bool by_pool = longest < options_.context_tokens;
  if (prompt + spec.max_tokens.value_or(1) > longest)
    return fail(prompt < longest ? "max_tokens" : "prompt",
                fmt::format("prompt + max_tokens of at most {} ({})", longest,
                            by_pool ? "the KV pool alone" : "engine.context_tokens"),
                fmt::format("{} + {}", prompt, spec.max_tokens.value_or(1)),
                by_pool ? "raise engine.kv_memory, or ask for fewer tokens" : "ask for fewer tokens");
  if (Status good = check_sampling(spec.sampling); !good) return good;
  return check_ids(spec);
}

Status Engine::check_ids(const requests::RequestSpec& spec) const {
  const std::uint32_t ids = options_.vocabulary;
  const auto below = [&](const char* what, Token token) -> Status {
    if (ids == 0 || token < ids) return {};
    return fail(what, fmt::format("token ids below {}", ids), std::to_string(token));
  };
  for (const Token token : spec.prompt)
    if (Status good = below("prompt", token); !good) return good;
  for (const TokenBias& bias : spec.sampling.bias)
    if (Status good = below("logit_bias", bias.token); !good) return good;
  for (const Token token : spec.sampling.stop_ids)
    if (Status good = below("stop_token_ids", token); !good) return good;
  return {};
}

// KV is needed for every token but the last one sampled.
std::uint64_t Engine::longest_request() const {
  return std::min<std::uint64_t>(std::uint64_t{options_.kv_blocks} * options_.block_tokens + 1,
                                 options_.context_tokens);
}

Result<std::shared_ptr<Arrival>> Engine::prepare(requests::RequestSpec spec) {
  if (Status good = check(spec); !good) return tl::unexpected(good.error());
  spec.key = requests::mask_key(spec.key);  // nothing past this door knows the key itself
  auto arrival = std::make_shared<Arrival>();
  arrival->id = next_id_.fetch_add(1);
  arrival->max_tokens =
      spec.max_tokens.value_or(static_cast<std::uint32_t>(longest_request() - spec.prompt_tokens()));
  arrival->prompt = requests::whole_prompt(spec, options_.vocabulary);
  arrival->ready_ns = spec.arrival_ns;
  arrival->transient = !options_.prefix_cache;
  arrival->spec = std::move(spec);
  hash(*arrival);
  return arrival;
}

// The tenant's salt keeps one tenant's cache hits from telling another what it asked.
void Engine::hash(Arrival& arrival) const {
  const requests::RequestSpec& spec = arrival.spec;
  arrival.salt = kv::make_salt(labeler_.tenant_name_of(spec), spec.cache_salt, options_.numerics,
                               arrival.transient ? arrival.id : 0);
  arrival.keys.resize(arrival.prompt.size() / options_.block_tokens);
  kv::hash_blocks(arrival.salt, arrival.prompt, options_.block_tokens, arrival.keys);
}

Result<std::shared_ptr<Arrival>> Engine::rebuild(Arrival recorded) const {
  if (Status good = check(recorded.spec); !good) return tl::unexpected(good.error());
  if (recorded.max_tokens == 0 ||
      recorded.spec.prompt_tokens() + std::uint64_t{recorded.max_tokens} > longest_request())
    return fail("damaged step log", "a request that the pool can hold",
                fmt::format("{} output tokens", recorded.max_tokens));
  auto arrival = std::make_shared<Arrival>(std::move(recorded));
  arrival->prompt = requests::whole_prompt(arrival->spec, options_.vocabulary);
  hash(*arrival);
  return arrival;
}

}  // namespace serveloop::engine
