// A stream's events: what was told of a request, as server-sent events (WHATWG HTML, section 9.2) of OpenAI's chunks.
// One event a token that completes a text, or each token where ids or log-probabilities are asked for; one for each
// choice's end; then the usage, if asked for, and [DONE]. The I/O thread's.
#pragma once

#include <string>
#include <vector>

#include "server/openai/tally.hpp"

namespace serveloop::server::openai {

class Chunks {
 public:
  explicit Chunks(const Shape& shape);  // outlives it

  // Appends item `at` of what was told, and moves on. False: that was the last of the whole stream.
  struct Cursor {
    std::size_t item = 0, text = 0, logprob = 0, end = 0;
  };
  bool append(std::string& out, const Told& told, Cursor& at);

 private:
  struct Choice {
    bool begun = false;
    std::uint32_t tokens = 0;
    std::uint64_t offset = 0;  // characters
  };
  void begin(std::string& out, std::uint32_t choice);
  void token(std::string& out, const Told::Item& item, std::string_view text,
             std::span<const TokenLogprob> logprobs);
  void end(std::string& out, const Ended& ended, std::string_view text);
  void last(std::string& out);
  void open(std::string& out, std::uint32_t choice) const;
  void text_of(std::string& out, std::string_view text) const;
  void logprobs_of(std::string& out, const Told::Item& item, std::span<const TokenLogprob> logprobs,
                   std::uint64_t offset) const;
  void close(std::string& out) const;
  void usage(std::string& out) const;

  const Shape& shape_;
  std::string head_;  // `data: {"id":...,"model":...,"choices":[`
  std::vector<Choice> choices_;
  std::uint32_t open_choices_;
  Tally tally_;
};

}  // namespace serveloop::server::openai
