// One answer in the making, from the engine to its exchange: submits a request's prompts, hears of all its choices,
// and answers whole or as a stream. A client that goes away cancels what still runs.
//
// Threads: run() on a worker; the receivers on the loop's thread; a stream's pull() on the I/O thread, a whole answer is
// written on a worker.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "server/backend.hpp"
#include "server/errors.hpp"
#include "server/openai/chunks.hpp"
#include "server/outbox.hpp"

namespace serveloop::server {

ApiError to_api_error(const service::Refusal& refusal);

class Generation final : public Body, public std::enable_shared_from_this<Generation> {
 public:
  Generation(Backend& backend, std::shared_ptr<Exchange> exchange, openai::Shape shape);

  // One ask a prompt. Whatever comes of it reaches the exchange.
  void run(std::vector<service::Ask> asks);
  bool pull(std::string& out, std::size_t room) override;

 private:
  class Part;  // one prompt's receiver
  enum class Next { nothing, begin, more, whole, failure };
  void heard(const service::Piece& piece, std::uint32_t choice);
  void heard(const service::End& end, std::uint32_t choice);
  Next next(bool wake);  // requires mutex_
  void act(Next next);   // likewise
  tl::expected<std::uint64_t, service::Refusal> submit(service::Ask ask, std::uint32_t first_choice);
  void refused(const ApiError& error);
  void cancel();
  Response whole();

  Backend& backend_;
  const std::shared_ptr<Exchange> exchange_;
  const openai::Shape shape_;

  Outbox outbox_;
  openai::Chunks chunks_;  // from here to cursor_: whoever writes the answer
  Told told_;
  openai::Chunks::Cursor cursor_;

  std::mutex mutex_;
  std::vector<std::uint64_t> requests_;  // submitted
  std::uint32_t running_;                // choices that have not ended
  bool submitted_ = false;               // all of them
  bool gone_ = false;                    // the client, or the request was refused
  bool begun_ = false, settled_ = false;
  bool anything_ = false;  // was told that is worth an answer: a token, or an end that is no failure
  service::Finish failed_ = service::Finish::error;
};

}  // namespace serveloop::server
