#include "service/loop.hpp"

#include <serveloop/base.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

namespace serveloop::service {

void Loop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Status Loop::post(engine::Message message) {
  if (Status posted = engine_.post(std::move(message)); !posted) return posted;
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
  return {};
}

bool Loop::call(const std::function<void(engine::Engine&)>& run) {
  Task task{&run};
  std::unique_lock lock(mutex_);
  if (ended_) return false;
  tasks_.push_back(&task);
  woken_ = true;
  wake_.notify_one();
  task_done_.wait(lock, [&] { return task.done || task.dropped; });
  return task.done;
}

bool Loop::running() const {
  const std::lock_guard lock(mutex_);
  return !ended_;
}

void Loop::run() {
  try {
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        if (stop_) break;
        woken_ = false;
      }
      run_tasks();
      if (!engine_.step()) rest();
    }
  } catch (const std::exception& error) {
    spdlog::critical("the loop ended: {}", error.what());
  }
  drop_tasks();
}

void Loop::run_tasks() {
  std::unique_lock lock(mutex_);
  while (!tasks_.empty()) {
    Task* task = tasks_.front();
    tasks_.erase(tasks_.begin());
    lock.unlock();
    try {
      (*task->run)(engine_);
    } catch (...) {  // the loop ends; who waits goes on
      lock.lock();
      task->dropped = true;
      task_done_.notify_all();
      throw;
    }
    lock.lock();
    task->done = true;
    task_done_.notify_all();
  }
}

// Nothing to do until a message comes or a timer runs out.
void Loop::rest() {
  const std::uint64_t wake_ns = engine_.next_wake_ns(), now_ns = clock_.now_ns();
  std::unique_lock lock(mutex_);
  const auto woken = [&] { return woken_ || stop_; };
  if (wake_ns == SL_NEVER)
    wake_.wait(lock, woken);
  else if (wake_ns > now_ns)
    wake_.wait_for(
        lock, std::chrono::nanoseconds(std::min<std::uint64_t>(wake_ns - now_ns, 3'600'000'000'000)), woken);
}

void Loop::drop_tasks() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (Task* task : std::exchange(tasks_, {})) task->dropped = true;
  task_done_.notify_all();
}

}  // namespace serveloop::service
