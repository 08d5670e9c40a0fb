// A small engine for fuzzers: linked-in policies, the hash executor, virtual time, and a fixed set of
// requests whose right tokens are known.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/virtual_clock.hpp"
#include "engine/engine.hpp"
#include "execute/hash.hpp"

namespace serveloop::fuzz {

// Bytes of the input as numbers; zeros when they are spent.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool spent() const { return at_ == end_; }
  std::uint8_t next() { return spent() ? 0 : *at_++; }
  std::uint64_t number() {  // mostly small, now and then any
    const std::uint8_t first = next();
    if (first < 250) return first;
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | next();
    return value;
  }

 private:
  const std::uint8_t *at_, *end_;
};

class SmallEngine final : public engine::Output {
 public:
  using Answer = std::function<bool(const SmallEngine&, observe::Writer&)>;  // false: nothing more to say
  // `item` is answered by `answer` while it has something to say, then by the fallback.
  SmallEngine(std::uint32_t blocks, std::uint32_t host_blocks, std::uint32_t lag, observe::Item item,
              Answer answer);
  // Runs all requests to their ends. Aborts where tokens are wrong, a block is lost or nothing moves.
  void run();
  engine::Engine& engine() const { return *engine_; }

  bool wants_tokens() const override { return true; }
  void tokens(std::span<const engine::Delivered> tokens) override;
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;

 private:
  friend const std::vector<std::vector<requests::Token>>& reference();
  void post(std::size_t request);
  void check() const;
  VirtualClock clock_;
  std::unique_ptr<execute::HashExecutor> executor_;
  std::unique_ptr<engine::Engine> engine_;
  observe::Item item_;
  Answer answer_;
  observe::Writer said_;
  std::vector<std::vector<requests::Token>> outputs_;
  std::vector<std::uint32_t> finish_;
};

}  // namespace serveloop::fuzz
