// Whatever a scheduler answers: no crash, no lost block, causes that sum, and the right tokens for everyone
// (law 1).
#include "small_engine.hpp"

using namespace serveloop;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const std::uint8_t shape = bytes.next();
  const std::uint32_t lag = shape % 2, host_blocks = shape / 2 % 16, blocks = 7 + bytes.next() % 32;
  const auto plan = [&bytes](const fuzz::SmallEngine& small, observe::Writer& out) {
    if (bytes.spent()) return false;
    const auto& requests = small.engine().requests();
    const std::vector<requests::Slot> live = requests.live_slots();
    const std::uint64_t count = bytes.next() % 7;
    out.u64(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t which = bytes.number();
      const sl_seq seq =
          which < 200 && !live.empty() ? requests.row(live[which % live.size()]).id : which * 0x100000001u;
      out.u64(0);  // no run of decodes
      out.u64(SL_SEQ_SLOT(seq));
      out.u64(SL_SEQ_GENERATION(seq));
      const std::uint8_t verb = bytes.next();
      out.u64(verb < 200 ? 1 + verb % 9 : verb);
      out.u64(bytes.next());    // reason
      out.u64(bytes.number());  // tokens
      out.u64(0);               // drafts
      out.u64(bytes.number());  // blocks
      out.u64(bytes.number());  // arg
    }
    return true;
  };
  fuzz::SmallEngine small(blocks, host_blocks, lag, observe::Item::plan, plan);
  small.run();
  return 0;
}
