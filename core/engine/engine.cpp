#include "engine/engine.hpp"

#include <fmt/format.h>

#include <bit>
#include <new>

#include "engine/precision_setup.hpp"
#include "engine/reservation.hpp"

namespace serveloop::engine {

namespace {

// Address space for all tables: pages cost nothing until they are written.
std::size_t mapping_bytes(const Options& o, const requests::Options& r) {
  const std::size_t slots = r.slots();
  const std::size_t blocks = std::size_t{o.kv_blocks} + o.host_kv_blocks;
  return (std::size_t{1} << 28) + slots * 2048 + blocks * 1024 + r.heap_bytes;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const Options& options, requests::Labeler labeler,
                                               Policies policies, Clock& clock, execute::Executor& executor,
                                               Output& output, observe::StepLog* log) {
  if (options.kv_blocks == 0 || options.max_sequences == 0 || options.token_budget == 0 || options.lag > 1)
    return fail("engine options out of range",
                "kv_blocks, max_sequences and token_budget of at least 1, lag 0 or 1",
                fmt::format("{}, {}, {}, {}", options.kv_blocks, options.max_sequences, options.token_budget,
                            options.lag));
  if (!std::has_single_bit(options.block_tokens))
    return fail("engine.block_tokens", "a power of two", std::to_string(options.block_tokens));
  if (options.kv_reservation != KvReservation::paged && (options.prefix_cache || options.host_kv_blocks > 0))
    return fail("engine options: contiguous reservation", "no prefix cache and no host tier",
                options.prefix_cache ? "a prefix cache" : "a host tier");
  const requests::Options sizes{options.max_waiting, options.max_sequences};
  Result<Mapping> mapping = Mapping::create(mapping_bytes(options, sizes));
  if (!mapping) return tl::unexpected(mapping.error());
  std::unique_ptr<Engine> engine;
  try {
    engine.reset(new Engine(options, std::move(labeler), std::move(policies), clock, executor, output, log,
                            std::move(*mapping)));
  } catch (const std::bad_alloc&) {
    return fail("cannot lay out the engine's tables", "memory for them",
                fmt::format("{} KV blocks, {} waiting", options.kv_blocks, options.max_waiting),
                "lower engine.kv_memory or engine.max_waiting");
  }
  if (engine->policies_.precision != nullptr) {
    const Result<std::uint32_t> modes =
        set_up_precision(*engine->policies_.precision, executor, options.deterministic);
    if (!modes) return tl::unexpected(modes.error());
    engine->modes_ = *modes;
  }
  return engine;
}

Engine::Engine(const Options& options, requests::Labeler labeler, Policies policies, Clock& clock,
               execute::Executor& executor, Output& output, observe::StepLog* log, Mapping mapping)
    : options_(options),
      labeler_(std::move(labeler)),
      policies_(std::move(policies)),
      clock_(clock),
      executor_(executor),
      output_(output),
      log_(log),
      mapping_(std::move(mapping)),
      ledger_(0) {
  options_.cost.struct_size = sizeof(sl_cost);
  block_shift_ = static_cast<std::uint32_t>(std::countr_zero(options.block_tokens));
  heard_.gates.resize(policies_.gates.size());
  requests::Options sizes{options.max_waiting, options.max_sequences};
  sizes.node_events = 4 * (sizes.slots() + options.kv_blocks +
                           options.host_kv_blocks);  // two nodes for each at most, changed and gone
  requests_ = std::make_unique<requests::Manager>(mapping_, sizes);
  cache_ = std::make_unique<kv::Cache>(mapping_, kv::Options{options.kv_blocks, options.host_kv_blocks,
                                                             options.block_tokens, sizes.slots(), 0});
  if (options.kv_reservation != KvReservation::paged)
    reservation_ = std::make_unique<Reservation>(options, longest_request(), sizes.slots());
  const std::uint32_t slots = sizes.slots();
  entry_capacity_ = slots;
  table_bytes_ = mapping_.used();
  entries_ = mapping_.lay_out<sl_entry>(entry_capacity_);
  gauges_ = mapping_.lay_out<sl_gauge>(kGauges);
  victims_ = mapping_.lay_out<sl_victim>(std::size_t{options.kv_blocks} + options.host_kv_blocks);
  yields_ = mapping_.lay_out<sl_yield>(slots);
  candidates_ = mapping_.lay_out<sl_candidate>(slots);
  handover_events_ = mapping_.lay_out<sl_event>(requests_->event_capacity() + 5 * kSequencesPerSlice);
  lives_.resize(slots);
  samplings_.resize(slots);
  for (std::uint32_t row = options.max_sequences; row-- > 0;) free_rows_.push_back(row);
}

Engine::~Engine() = default;

std::string Engine::audit(bool idle) const {
  if (std::string bad = cache_->audit(idle); !bad.empty()) return bad;
  for (const Slot slot :
       requests_->live_slots()) {  // what is in the tree has its KV, or gets it by a step in flight
    const std::uint32_t tokens = covered(requests_->row(slot));
    if (!in_transit(slot) && cache_->indexed(slot) * options_.block_tokens > tokens)
      return fmt::format("slot {}: {} blocks in the tree, {} tokens computed", slot, cache_->indexed(slot),
                         tokens);
  }
  if (!idle) return {};
  if (requests_->live_count() != 0) return fmt::format("{} sequences live at idle", requests_->live_count());
  if (free_rows_.size() != options_.max_sequences)
    return fmt::format("{} executor rows free at idle", free_rows_.size());
  return {};
}

}  // namespace serveloop::engine
