#include "server/hub.hpp"

#include <boost/asio/post.hpp>

namespace serveloop::server {

void Wakeups::add(boost::asio::io_context& io, std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  if (tasks_.size() > 1) return;
  boost::asio::post(io, [this] {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard taking(mutex_);
      tasks.swap(tasks_);
    }
    for (const std::function<void()>& run : tasks) run();
  });
}

}  // namespace serveloop::server
