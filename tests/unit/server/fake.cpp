#include "fake.hpp"

#include <stdexcept>

namespace serveloop::server::test {

using service::Finish;

FakeEngine::FakeEngine(const service::Text* text, std::chrono::microseconds step)
    : text_(text), step_(step), thread_([this] { loop(); }) {}

FakeEngine::~FakeEngine() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

tl::expected<std::uint64_t, service::Refusal> FakeEngine::submit(
    service::Ask ask, std::shared_ptr<service::Receiver> receiver) {
  if (before_submit_) before_submit_();
  std::unique_lock lock(mutex_);
  if (refusal_ && asks_.size() >= accepts_) {
    lock.unlock();
    if (accepts_ > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the accepted ones speak first
    return tl::unexpected(*refusal_);
  }
  asks_.push_back(ask);
  running_[next_] = {std::move(ask), std::move(receiver)};
  changed_.notify_all();
  return next_++;
}

void FakeEngine::cancel(std::uint64_t request) {
  const std::lock_guard lock(mutex_);
  cancelled_.insert(request);
  to_cancel_.insert(request);
  changed_.notify_all();
}

tl::expected<void, service::SwapRefusal> FakeEngine::swap(const service::SwapAsk& ask) {
  const std::unique_lock lock(swap_mutex_, std::try_to_lock);  // as the service
  if (!lock.owns_lock())
    return tl::unexpected(service::SwapRefusal{true, {"swap", "one at a time", "another", ""}});
  if (during_swap_) during_swap_();
  swaps_.push_back(ask);
  return swap_answer_;
}

service::Snapshot FakeEngine::snapshot() {
  if (snapshot_fails_) throw std::runtime_error("no snapshot");
  return snapshot_;
}

std::vector<service::Ask> FakeEngine::asks() {
  const std::lock_guard lock(mutex_);
  return asks_;
}

std::size_t FakeEngine::running() {
  const std::lock_guard lock(mutex_);
  return running_.size();
}

std::set<std::uint64_t> FakeEngine::cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

bool FakeEngine::wait_for(const std::function<bool()>& what) {
  for (int i = 0; i < 1000; ++i) {
    if (what()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

void FakeEngine::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !running_.empty(); });
    if (step_.count() > 0) changed_.wait_for(lock, step_, [&] { return ending_; });
    for (auto at = running_.begin(); at != running_.end();) {
      Running one = at->second;
      const std::uint64_t id = at->first;
      const bool cancel = ending_ || to_cancel_.count(id) > 0;
      lock.unlock();  // as the service: receivers are told without a lock
      if (cancel) end(id, one, Finish::cancelled);
      const bool goes_on = !cancel && step(id, one);
      lock.lock();
      if (goes_on)
        (at++)->second.told = one.told;
      else
        at = running_.erase(at);
    }
    if (ending_ && running_.empty()) return;
  }
}

bool FakeEngine::step(std::uint64_t id, Running& one) {
  const auto& spec = one.ask.spec;
  if (bad_end_) return end(id, one, *bad_end_), false;
  if (one.told >= stop_after_) return end(id, one, Finish::stop), false;
  const std::uint32_t token = spec.prompt[one.told % spec.prompt.size()];
  std::string text;
  if (text_ != nullptr && token < 128) text = std::string(1, static_cast<char>(token));
  std::vector<TokenLogprob> logprobs;
  if (spec.sampling.alternatives) {
    logprobs.push_back({token, -0.5F});
    for (std::uint32_t i = 0; i < *spec.sampling.alternatives; ++i)
      logprobs.push_back({97 + i, -1.0F - static_cast<float>(i)});
  }
  for (std::uint32_t choice = 0; choice < spec.n; ++choice)
    one.receiver->piece({choice, token, text, logprobs});
  if (++one.told < spec.max_tokens.value_or(64)) return true;
  end(id, one, Finish::length);
  return false;
}

void FakeEngine::end(std::uint64_t id, const Running& one, Finish finish) {
  engine::Finished finished;
  finished.request = id;
  finished.hit_tokens = 2;
  finished.arrival_ns = 1'000'000;
  finished.admitted_ns = 2'000'000;
  finished.first_token_ns = 4'000'000;
  finished.last_token_ns = 8'000'000;
  finished.end_ns = 9'000'000;
  finished.preemptions = 1;
  finished.causes[static_cast<std::size_t>(observe::Cause::host_policy)] = 1'500'000;
  for (std::uint32_t choice = 0; choice < one.ask.spec.n; ++choice) {
    service::End end;
    end.choice = choice;
    end.finish = finish;
    if (finish == Finish::stop) end.stop_string = "!";
    end.output_tokens = one.told;
    finished.fork = choice;
    end.finished = &finished;
    one.receiver->end(end);
  }
}

void FakeExchange::respond(Response response) {
  answer([response = std::move(response)] { return response; });
}

void FakeExchange::answer(std::function<Response()> make) {
  const std::lock_guard lock(mutex_);
  if (!make_ && body_ == nullptr) make_ = std::move(make);
  changed_.notify_all();
}

void FakeExchange::stream(Response head, std::shared_ptr<Body> body) {
  const std::lock_guard lock(mutex_);
  if (make_ || body_ != nullptr) throw std::logic_error("answered twice");
  head_ = std::move(head);
  body_ = std::move(body);
  more_ = true;
  changed_.notify_all();
}

void FakeExchange::more() {
  const std::lock_guard lock(mutex_);
  more_ = true;
  changed_.notify_all();
}

void FakeExchange::on_gone(std::function<void()> gone) {
  const std::lock_guard lock(mutex_);
  gone_ = std::move(gone);
}

void FakeExchange::go_away() {
  std::function<void()> gone;
  {
    const std::lock_guard lock(mutex_);
    gone = std::exchange(gone_, nullptr);
  }
  gone();
}

Response FakeExchange::wait(std::size_t room) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!changed_.wait_for(lock, std::chrono::seconds(5), [&] { return make_ || more_; }))
      throw std::runtime_error("no answer within 5 s");
    if (make_) {
      const auto make = make_;
      lock.unlock();
      return let_go(make());
    }
    more_ = false;
    const std::shared_ptr<Body> body = body_;
    lock.unlock();
    for (;;) {
      const std::size_t before = head_.body.size();
      if (!body->pull(head_.body, room)) return let_go(head_);
      if (head_.body.size() == before) break;
    }
    lock.lock();
  }
}

// As a connection does after its answer: whoever gave it holds this exchange.
Response FakeExchange::let_go(Response answer) {
  const std::lock_guard lock(mutex_);
  make_ = nullptr;
  gone_ = nullptr;
  body_ = nullptr;
  return answer;
}

}  // namespace serveloop::server::test
