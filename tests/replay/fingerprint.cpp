#include "fingerprint.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>

namespace serveloop::test {

namespace {

constexpr std::size_t kPage = 4096, kLine = 64;

// The answer buffers are laid out last (engine.cpp): entries, gauges, victims, yields, candidates, handover
// events.
std::size_t answer_bytes(const engine::Options& o) {
  const std::size_t slots = requests::Options{o.max_waiting, o.max_sequences}.slots();
  std::size_t sum = 0;
  for (const std::size_t bytes :
       {slots * sizeof(sl_entry), std::size_t{64} * sizeof(sl_gauge), o.kv_blocks * sizeof(sl_victim),
        slots * sizeof(sl_yield), slots * sizeof(sl_candidate), 8 * slots * sizeof(sl_event)})
    sum += (bytes + kLine - 1) / kLine * kLine;
  return sum;
}

}  // namespace

// Reads through the file, and only where it has data: the mapping is mostly reserved.
Fingerprint fingerprint(const engine::Engine& engine, const engine::Options& options, bool tables_only) {
  const Mapping& mapping = engine.mapping();
  const std::size_t end = mapping.used() - (tables_only ? answer_bytes(options) : 0);
  Fingerprint pages;
  std::array<char, kPage> page;
  off_t at = 0;
  while ((at = lseek(mapping.fd(), at, SEEK_DATA)) >= 0 && static_cast<std::size_t>(at) < end) {
    const off_t hole = lseek(mapping.fd(), at, SEEK_HOLE);
    for (; at < hole && static_cast<std::size_t>(at) < end; at += kPage) {
      const std::size_t size = std::min(kPage, end - static_cast<std::size_t>(at));
      if (pread(mapping.fd(), page.data(), size, at) != static_cast<ssize_t>(size))
        throw std::runtime_error("pread");
      if (std::any_of(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(size),
                      [](char c) { return c != 0; }))
        pages[static_cast<std::size_t>(at)] = XXH3_64bits(page.data(), size);
    }
  }
  return pages;
}

std::string difference(const Fingerprint& a, const Fingerprint& b) {
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (left == a.end() && right == b.end()) return {};
  const std::size_t at =
      std::min(left == a.end() ? SIZE_MAX : left->first, right == b.end() ? SIZE_MAX : right->first);
  return fmt::format("the mapping differs in the page at {}", at);
}

}  // namespace serveloop::test
