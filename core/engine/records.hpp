// How the loop's messages and decisions look in the step log (docs/STEP_LOG.md). Pure: bytes depend on the
// values alone.
#pragma once

#include <serveloop/eviction.h>
#include <serveloop/preemption.h>

#include <span>

#include "engine/messages.hpp"
#include "engine/output.hpp"
#include "observe/codec.hpp"
#include "requests/manager.hpp"

namespace serveloop::engine {

// A plan: a count, then runs. Most entries of a decode step are "the next running sequence runs one token": a
// run of n of those takes one number.
void encode_plan(std::span<const sl_entry> entries, std::span<const std::uint32_t> running,
                 const requests::Manager& requests, observe::Writer& out);
// Fills `entries` from the front; returns the count, or an error where the bytes are no plan that fits.
Result<std::uint32_t> decode_plan(observe::Reader& in, std::span<const std::uint32_t> running,
                                  const requests::Manager& requests, std::span<sl_entry> entries);

void encode_rows(std::span<const sl_victim> victims, observe::Writer& out);
void encode_rows(std::span<const sl_yield> yields, observe::Writer& out);
Result<std::uint32_t> decode_rows(observe::Reader& in, std::span<sl_victim> victims);
Result<std::uint32_t> decode_rows(observe::Reader& in, std::span<sl_yield> yields);

void encode_end(const Finished& end, observe::Writer& out);
Finished decode_end(observe::Reader& in);

}  // namespace serveloop::engine
