#include "fingerprint.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>

namespace serveloop::test {

namespace {

constexpr std::size_t kPage = 4096;

}  // namespace

// Reads through the file, and only where it has data: the mapping is mostly reserved.
Fingerprint fingerprint(const engine::Engine& engine, bool tables_only) {
  const Mapping& mapping = engine.mapping();
  const std::size_t end = tables_only ? engine.table_bytes() : mapping.used();
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
