// Nanoseconds of the cache's hot calls: median over rounds. One line each; no verdict.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "rig.hpp"

namespace serveloop::kv::test {
namespace {

constexpr std::uint32_t kTokens = 16;

struct Stopwatch {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  double ns() const {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  }
};

struct Series {
  std::vector<double> ns;
  void add(double total, std::size_t calls) { ns.push_back(total / static_cast<double>(calls)); }
  void print(const char* name, std::uint32_t running) {
    std::sort(ns.begin(), ns.end());
    fmt::print("{:<44} {:>6} {:>8.1f} ns  (p99 {:.1f})\n", name, running, ns[ns.size() / 2],
               ns[ns.size() * 99 / 100]);
  }
};

void drain(Rig& rig) {
  rig.cache.clear_block_events();
  rig.cache.node_events().clear();
  rig.cache.edits().clear();
}

struct Decode {
  Series extend, generated, release;
};

// Sequences of own prompts decode; in each step a sixteenth of them complete a block. Then all is evicted.
void decode(Rig& rig, std::uint32_t running, Decode& out) {
  for (Slot slot = 0; slot < running; ++slot) {
    rig.bind(slot, text(slot + 1, 16, kTokens));
    rig.prefill(slot, 16);
    drain(rig);
  }
  const std::vector<Token> block = text(7, 1, kTokens);
  for (std::uint32_t step = 0; step < 16 * 96; ++step) {
    const std::uint32_t index = 16 + step / 16, from = running / 16 * (step % 16), to = from + running / 16;
    Stopwatch a;
    for (Slot slot = from; slot < to; ++slot) rig.cache.extend(slot, index + 1);
    out.extend.add(a.ns(), to - from);
    Stopwatch b;
    for (Slot slot = from; slot < to; ++slot) rig.cache.index_generated(slot, index, block, step);
    out.generated.add(b.ns(), to - from);
    drain(rig);
  }
  for (Slot slot = 0; slot < running; ++slot) {
    const std::size_t blocks = rig.cache.table(slot).size();
    Stopwatch c;
    rig.cache.release(slot, 0, 9999);
    out.release.add(c.ns(), blocks);
    rig.cache.unbind(slot);
    drain(rig);
  }
  rig.cache.apply(rig.cache.fallback_victims(rig.evictable()));
  drain(rig);
}

void decode(std::uint32_t running) {
  Rig rig({running * 128, 0, kTokens, running, 0});
  for (const char* what : {"fresh", "used"}) {  // fresh: the process has not touched the cells' memory yet
    Decode out;
    decode(rig, running, out);
    fmt::print("{} memory\n", what);
    out.extend.print("extend, one block", running);
    out.generated.print("index_generated", running);
    out.release.print("release, a block of 112", running);
  }
}

void prefixes(std::uint32_t running, std::uint32_t blocks) {
  Options options{blocks + 4 * running, 0, kTokens, running, 0};
  Rig rig(options);
  Series hang, bind, miss, hit, drop;
  for (Slot slot = 0; slot < running; ++slot) {
    const auto tokens = text(1, blocks, kTokens) + text(slot + 2, 4, kTokens);
    const auto keys = rig.keys(tokens);
    Stopwatch a;
    rig.cache.bind(slot, slot + 1, kSalt, tokens, keys, false);
    (slot == 0 ? hang : bind).add(a.ns(), blocks);
    drain(rig);
  }
  Stopwatch none;
  for (Slot slot = 0; slot < running; ++slot) rig.cache.pin_prefix(slot, blocks, 1);
  miss.add(none.ns(), running);
  rig.prefill(0, blocks);
  drain(rig);
  for (Slot slot = 1; slot < running; ++slot) {
    Stopwatch b;
    rig.cache.pin_prefix(slot, blocks, 2);
    hit.add(b.ns(), blocks);
    drain(rig);
  }
  for (Slot slot = 0; slot < running; ++slot) {
    Stopwatch c;
    rig.cache.release(slot, 0, 3);
    drop.add(c.ns(), blocks);
    drain(rig);
  }
  bind.print("bind to a shared prefix, a block", running);
  miss.print("pin_prefix that finds nothing, a call", running);
  hit.print("pin_prefix, a block hit", running);
  drop.print("release of a shared prefix, a block", running);
}

}  // namespace
}  // namespace serveloop::kv::test

int main() {
  for (const std::uint32_t running : {256u, 1024u, 4096u}) serveloop::kv::test::decode(running);
  serveloop::kv::test::prefixes(1024, 256);
}
