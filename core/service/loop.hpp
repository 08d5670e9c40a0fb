// The loop thread: steps the engine while there is something to do, sleeps else, runs what others ask for between steps.
//
// Thread safety: all but run() from any thread. The engine is touched by this thread alone, but for post().
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "engine/engine.hpp"

namespace serveloop::service {

class Loop {
 public:
  Loop(engine::Engine& engine, Clock& clock) : engine_(engine), clock_(clock) {}
  ~Loop() { stop(); }
  // `ended` is called on the loop thread, last of all.
  void start(std::function<void()> ended) {
    thread_ = std::thread([this, ended = std::move(ended)] {
      run();
      ended();
    });
  }
  // Ends after the step at hand. Tasks that were not run by then are dropped.
  void stop();

  Status post(engine::Message message);
  // Runs `task` between two steps and returns its end. False: the loop has ended. Not from the loop thread.
  bool call(const std::function<void(engine::Engine&)>& task);
  bool running() const;

 private:
  struct Task {
    const std::function<void(engine::Engine&)>* run;
    bool done = false, dropped = false;
  };
  void run();
  void run_tasks();
  void rest();
  void drop_tasks();

  engine::Engine& engine_;
  Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable wake_, task_done_;
  bool woken_ = false, stop_ = false, ended_ = false;
  std::vector<Task*> tasks_;
  std::thread thread_;
};

}  // namespace serveloop::service
