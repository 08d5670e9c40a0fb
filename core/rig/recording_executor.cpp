#include "rig/recording_executor.hpp"

namespace serveloop::rig {

void encode(const execute::Collected& done, observe::Writer& out) {
  out.u64(done.step);
  out.u64(done.device_start_ns);
  out.u64(done.device_end_ns - done.device_start_ns);
  out.u64(done.decode_ns);
  out.u8(done.failed);
  out.text(done.why);
  out.u64(done.tokens.size());
  for (const std::uint32_t token : done.tokens) out.u64(token);
  out.u64(done.copies_ended);
  out.u64(done.copies_failed.size());
  for (const std::uint64_t copy : done.copies_failed) out.u64(copy);
}

execute::Collected decode_collected(observe::Reader& in, CollectedParts& parts) {
  execute::Collected done;
  done.step = in.u64();
  done.device_start_ns = in.u64();
  done.device_end_ns = done.device_start_ns + in.u64();
  done.decode_ns = in.u64();
  done.failed = in.u8() != 0;
  done.why = in.text();
  parts.tokens.clear();
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) parts.tokens.push_back(in.u32());
  done.tokens = parts.tokens;
  done.copies_ended = in.u64();
  parts.copies_failed.clear();
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) parts.copies_failed.push_back(in.u64());
  done.copies_failed = parts.copies_failed;
  return done;
}

execute::Collected RecordingExecutor::collect() {
  execute::Collected done = inner_.collect();
  scratch_.clear();
  encode(done, scratch_);
  log_.item(observe::Item::collected, scratch_.bytes());
  return done;
}

}  // namespace serveloop::rig
