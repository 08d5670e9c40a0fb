// What the loop told of a request and no socket took yet: tokens and texts, 16 bytes and its text a token, no JSON. So a
// slow reader costs memory in proportion to the tokens it asked for, and the loop's thread does no formatting.
// The loop appends, the I/O thread takes all at once.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "service/receiver.hpp"

namespace serveloop::server {

struct Ended {
  std::uint32_t choice = 0;
  service::Finish finish = service::Finish::stop;
  std::string stop_string;
  std::optional<std::uint32_t> stop_token;
  std::uint32_t output_tokens = 0;
  std::optional<engine::Finished> finished;
};

struct Told {
  struct Item {
    std::uint32_t choice = 0, token = 0, text_bytes = 0;
    std::uint16_t logprobs = 0;
    bool end = false;  // the next of `ends`; text_bytes: what was held back
  };
  std::vector<Item> items;
  std::string text;                    // of all items, one behind the other
  std::vector<TokenLogprob> logprobs;  // likewise
  std::vector<Ended> ends;
  void clear();
};

class Outbox {
 public:
  // `choice` is of all prompts of the request. True: the reader slept and has to be woken, once. [loop thread]
  bool add(const service::Piece& piece, std::uint32_t choice);
  bool add(const service::End& end, std::uint32_t choice);
  // Replaces `told` by all there is; false, and the reader counts as asleep, if that is nothing. [I/O thread]
  bool take(Told& told);

 private:
  std::mutex mutex_;
  Told told_;
  bool asleep_ = false;
};

}  // namespace serveloop::server
