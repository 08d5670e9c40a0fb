// What a client hears of its request. Called on the loop thread: must not block, and should take well below 10 us.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/sampling.hpp"
#include "engine/output.hpp"

namespace serveloop::service {

// One token of one choice. Views hold for the call.
struct Piece {
  std::uint32_t choice = 0;  // 0 .. n - 1
  std::uint32_t token = 0;
  std::string_view text;  // whole characters that it completed; empty while stop strings may begin
  // Its own, then the alternatives, likeliest first; empty: not asked for.
  std::span<const TokenLogprob> logprobs;
};

enum class Finish : std::uint8_t { stop, length, cancelled, deadline, rejected, error };

struct End {
  std::uint32_t choice = 0;
  Finish finish = Finish::stop;
  std::string_view text;                       // what was held back
  std::string_view stop_string;                // the one that stopped it, or empty
  std::optional<std::uint32_t> stop_token;     // likewise
  std::uint32_t output_tokens = 0;             // that count: none after a stop
  const engine::Finished* finished = nullptr;  // times and causes
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void piece(const Piece& piece) = 0;
  virtual void end(const End& end) = 0;  // once for each choice, after its last piece
};

}  // namespace serveloop::service
