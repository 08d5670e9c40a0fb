// Invariant: an answer begins only once all prompts are submitted, so that a refusal of the last one can still be told
// by its status; what comes before is kept in the outbox.
#include "server/generation.hpp"

#include <utility>

#include "server/openai/whole.hpp"

namespace serveloop::server {
namespace {

ApiError error_of(service::Finish finish) {
  if (finish == service::Finish::rejected)
    return {429, "the request was refused: too many are waiting, or a policy refused it; try again later", "",
            "rate_limit_exceeded", retry_after_1s()};
  return {500, "the request failed in the engine; its log tells more", "", "engine_error"};
}

}  // namespace

ApiError to_api_error(const service::Refusal& refusal) {
  using Why = service::Refusal::Why;
  const std::string message = refusal.error.message();
  switch (refusal.why) {
    case Why::full: return {429, message, "", "rate_limit_exceeded", retry_after_1s()};
    case Why::closing: return {503, message, "", "service_unavailable", retry_after_1s()};
    default: return {400, message, refusal.parameter};
  }
}

class Generation::Part final : public service::Receiver {
 public:
  Part(std::shared_ptr<Generation> whole, std::uint32_t first_choice)
      : whole_(std::move(whole)), first_choice_(first_choice) {}
  void piece(const service::Piece& piece) override { whole_->heard(piece, first_choice_ + piece.choice); }
  void end(const service::End& end) override { whole_->heard(end, first_choice_ + end.choice); }

 private:
  const std::shared_ptr<Generation> whole_;
  const std::uint32_t first_choice_;
};

Generation::Generation(Backend& backend, std::shared_ptr<Exchange> exchange, openai::Shape shape)
    : backend_(backend),
      exchange_(std::move(exchange)),
      shape_(std::move(shape)),
      chunks_(shape_),
      running_(shape_.choices()) {}

void Generation::run(std::vector<service::Ask> asks) {
  exchange_->on_gone([self = shared_from_this()] { self->cancel(); });
  for (std::size_t i = 0; i < asks.size(); ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (gone_) return;
    }
    const auto submitted = submit(std::move(asks[i]), static_cast<std::uint32_t>(i) * shape_.n);
    if (!submitted) return refused(to_api_error(submitted.error()));
    bool late = false;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(*submitted);
      late = gone_;
    }
    if (late) return backend_.cancel(*submitted);
  }
  const std::lock_guard lock(mutex_);
  submitted_ = true;
  act(next(false));
}

// What throws leaves none of this request's prompts running.
tl::expected<std::uint64_t, service::Refusal> Generation::submit(service::Ask ask,
                                                                 std::uint32_t first_choice) {
  try {
    return backend_.submit(std::move(ask), std::make_shared<Part>(shared_from_this(), first_choice));
  } catch (...) {
    cancel();
    throw;
  }
}

void Generation::refused(const ApiError& error) {
  cancel();
  exchange_->respond(to_response(error));
}

void Generation::cancel() {
  std::vector<std::uint64_t> requests;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    requests = requests_;
  }
  for (const std::uint64_t request : requests) backend_.cancel(request);
}

void Generation::heard(const service::Piece& piece, std::uint32_t choice) {
  const bool wake = outbox_.add(piece, choice);
  const std::lock_guard lock(mutex_);
  anything_ = true;
  act(next(wake));
}

void Generation::heard(const service::End& end, std::uint32_t choice) {
  const bool wake = outbox_.add(end, choice);
  const bool bad = end.finish == service::Finish::rejected || end.finish == service::Finish::error;
  const std::lock_guard lock(mutex_);
  --running_;
  if (bad)
    failed_ = end.finish;
  else
    anything_ = true;
  act(next(wake));
}

Generation::Next Generation::next(bool wake) {
  if (!submitted_ || gone_ || settled_) return Next::nothing;
  if (begun_) return wake ? Next::more : Next::nothing;
  if (anything_ && shape_.delivery.stream) {
    begun_ = true;
    return Next::begin;
  }
  if (running_ > 0) return Next::nothing;
  settled_ = true;
  return anything_ ? Next::whole : Next::failure;
}

void Generation::act(Next next) {
  switch (next) {
    case Next::nothing: return;
    case Next::more: return exchange_->more();
    case Next::begin:
      return exchange_->stream({200, "text/event-stream; charset=utf-8", {{"Cache-Control", "no-cache"}}, {}},
                               shared_from_this());
    case Next::whole: return exchange_->answer([self = shared_from_this()] { return self->whole(); });
    case Next::failure: return exchange_->respond(to_response(error_of(failed_)));
  }
}

bool Generation::pull(std::string& out, std::size_t room) {
  const std::size_t full = out.size() + room;
  while (out.size() < full) {
    if (cursor_.item == told_.items.size()) {
      cursor_ = {};
      if (!outbox_.take(told_)) return true;
    }
    if (!chunks_.append(out, told_, cursor_)) return false;
  }
  return true;
}

Response Generation::whole() {
  outbox_.take(told_);
  return {200, "application/json", {}, openai::whole_answer(shape_, told_)};
}

}  // namespace serveloop::server
