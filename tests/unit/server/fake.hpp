// An engine and an exchange without sockets or models: what the server's tests drive.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "server/backend.hpp"
#include "server/http.hpp"

namespace serveloop::server::test {

// Echoes: the token after token t of a choice's life is the prompt's, over and over. A thread of its own is its loop:
// one token a choice in each step.
class FakeEngine final : public Backend {
 public:
  explicit FakeEngine(const service::Text* text,
                      std::chrono::microseconds step = std::chrono::microseconds(0));
  ~FakeEngine() override;

  tl::expected<std::uint64_t, service::Refusal> submit(service::Ask ask,
                                                       std::shared_ptr<service::Receiver> receiver) override;
  void cancel(std::uint64_t request) override;
  const service::Info& info() const override { return info_; }
  const service::Text* text() const override { return text_; }
  bool healthy() const override { return healthy_; }
  service::Snapshot snapshot() override;
  std::vector<service::PolicyInForce> policies() override { return policies_; }
  tl::expected<void, service::SwapRefusal> swap(const service::SwapAsk& ask) override;

  // For the tests.
  std::vector<service::Ask> asks();
  std::size_t running();
  std::set<std::uint64_t> cancelled();
  bool wait_for(const std::function<bool()>& what);  // up to 5 s

  service::Info info_{"small", 7, 257, 4096, 64};
  bool healthy_ = true;
  service::Snapshot snapshot_;
  std::vector<service::PolicyInForce> policies_;
  std::vector<service::SwapAsk> swaps_;
  tl::expected<void, service::SwapRefusal> swap_answer_;
  std::function<void()> during_swap_, before_submit_;  // may block
  std::atomic<bool> snapshot_fails_{false};
  std::size_t accepts_ = 0;                  // submits before it refuses
  std::optional<service::Refusal> refusal_;  // of the next submit and all that follow
  std::optional<service::Finish> bad_end_;   // every choice ends so, at once
  std::uint32_t stop_after_ = UINT32_MAX;    // tokens, then Finish::stop with stop string "!"

 private:
  struct Running {
    service::Ask ask;
    std::shared_ptr<service::Receiver> receiver;
    std::uint32_t told = 0;  // tokens of each choice
  };
  void loop();
  bool step(std::uint64_t id, Running& one);
  void end(std::uint64_t id, const Running& one, service::Finish finish);

  const service::Text* text_;
  const std::chrono::microseconds step_;
  std::mutex mutex_, swap_mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Running> running_;
  std::vector<service::Ask> asks_;
  std::set<std::uint64_t> cancelled_, to_cancel_;
  std::uint64_t next_ = 1;
  bool ending_ = false;
  std::thread thread_;
};

// Holds threads up until it is opened; not for ever, so that a failed test ends.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    opened_.wait_for(lock, std::chrono::seconds(20), [&] { return open_; });
    --waiting_;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  std::size_t waiting_ = 0;
  bool open_ = false;
};

// Opens a gate at a scope's end, before what was declared earlier ends.
struct Opener {
  explicit Opener(Gate& of) : gate(of) {}
  Opener(const Opener&) = delete;
  ~Opener() { gate.open(); }
  Gate& gate;
};

// Runs what an I/O thread would when told to.
class FakeExchange final : public Exchange {
 public:
  void respond(Response response) override;
  void answer(std::function<Response()> make) override;
  void stream(Response head, std::shared_ptr<Body> body) override;
  void more() override;
  void on_gone(std::function<void()> gone) override;

  void go_away();
  // Waits for the whole answer, pulling `room` bytes at one time.
  Response wait(std::size_t room = 1 << 16);

 private:
  Response let_go(Response answer);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<Response()> make_;
  std::function<void()> gone_;
  Response head_;
  std::shared_ptr<Body> body_;
  bool more_ = false;
};

}  // namespace serveloop::server::test
