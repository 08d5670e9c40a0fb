// Where the loop's tokens become text: one stream a choice, stop strings matched, receivers told.
//
// Thread safety: as tagged; what is not is called by the loop.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/output.hpp"
#include "service/receiver.hpp"
#include "service/text.hpp"
#include "service/totals.hpp"
#include "text/detokenizer.hpp"
#include "text/stops.hpp"

namespace serveloop::service {

// What a request's text is made with.
struct StreamOptions {
  std::uint32_t choices = 1;
  std::shared_ptr<const text::StopSet> stops;  // null: none
  std::vector<text::Token> stop_ids;           // whose own text is not part of the answer
  std::uint32_t min_tokens = 0;                // stop strings count from there on
  bool skip_special = true;
};

class Outlet final : public engine::Output {
 public:
  // `text` may be null: then there is none. `stop` tells the loop that a choice came to a stop string.
  using Stop = std::function<void(std::uint64_t request, std::uint32_t fork)>;
  Outlet(const Text* text, Stop stop) : text_(text), stop_(std::move(stop)) {}

  // [any thread] Before the request is posted to the loop.
  // False: abandoned already.
  bool open(std::uint64_t request, StreamOptions options, std::shared_ptr<Receiver> receiver);
  void close(std::uint64_t request);  // [any thread] it was not posted after all

  void tokens(std::span<const engine::Delivered> tokens) override;
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;
  // [loop] Nothing more comes: what is open ends with an error.
  void abandon();
  const Totals& totals() const { return totals_; }                                // [loop]
  void each_open(const std::function<void(std::uint64_t request)>& visit) const;  // [any thread]
  std::size_t open_requests() const;                                              // [any thread]

 private:
  // One choice's way from tokens to text.
  struct Choice {
    std::optional<text::Detokenizer> detokenizer;
    std::optional<text::StopMatcher> matcher;
    std::uint32_t tokens = 0;
    bool stopped = false, ended = false;
  };
  struct Stream {
    StreamOptions options;
    std::shared_ptr<Receiver> receiver;
    std::vector<Choice> choices;
    std::uint32_t left = 0;  // choices that have not ended
  };
  std::shared_ptr<Stream> find(std::uint64_t request) const;
  void take(Stream& stream, const engine::Delivered& token);
  void finish_all(Stream& stream, const engine::Finished& finished,
                  std::span<const requests::Token> generated);
  void finish(Stream& stream, std::uint32_t fork, const engine::Finished& finished,
              std::span<const requests::Token> generated);
  void flush(Choice& choice);

  const Text* text_;
  Stop stop_;
  Totals totals_;
  mutable std::mutex mutex_;  // guards streams_ and abandoned_
  std::unordered_map<std::uint64_t, std::shared_ptr<Stream>> streams_;
  bool abandoned_ = false;
  std::string piece_, kept_;  // the loop's: a token's text under way
};

}  // namespace serveloop::service
