// Whatever an eviction policy answers: no crash, no lost block, and the right tokens for everyone (law 1).
#include "small_engine.hpp"

using namespace serveloop;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const std::uint8_t shape = bytes.next();
  const std::uint32_t lag = shape % 2, host_blocks = shape / 2 % 8, blocks = 7 + bytes.next() % 8;
  const auto victims = [&bytes](const fuzz::SmallEngine& small, observe::Writer& out) {
    if (bytes.spent()) return false;
    const sl_table table = small.engine().cache().block_table();
    const auto* rows = static_cast<const sl_block_row*>(table.base);
    const std::uint64_t count = bytes.next() % 9;
    out.u64(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t block = bytes.number();
      const std::uint64_t key = block < table.count ? rows[block].key + (bytes.next() < 8) : bytes.number();
      out.raw(&key, sizeof(key));
      out.u64(block);
      out.u64(bytes.next() % 4);  // tier
      out.u64(bytes.next());      // reason
    }
    return true;
  };
  fuzz::SmallEngine small(blocks, host_blocks, lag, observe::Item::evict, victims);
  small.run();
  return 0;
}
