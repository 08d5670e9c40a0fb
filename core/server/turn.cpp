#include "server/turn.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace serveloop::server {

namespace asio = boost::asio;

void Turn::answer(std::function<Response()> make) {
  asio::post(hub_.io, [self = shared_from_this(), make = std::move(make)] {
    if (self->current()) self->connection_->send_made(make);
  });
}

void Turn::stream(Response head, std::shared_ptr<Body> body) {
  asio::post(hub_.io, [self = shared_from_this(), head = std::move(head), body = std::move(body)] {
    if (self->current()) self->connection_->begin_stream(head, body);
  });
}

void Turn::more() {
  hub_.wakeups.add(hub_.io, [self = shared_from_this()] {
    if (self->current()) self->connection_->pump();
  });
}

void Turn::on_gone(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      on_gone_ = std::move(call);
      return;
    }
  }
  call();
  asio::post(hub_.io, [self = shared_from_this()] {
    if (self->current()) self->connection_->close();
  });
}

bool Turn::gone() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    call = std::exchange(on_gone_, nullptr);
  }
  if (call) call();
  return call != nullptr;
}

void Turn::done() {
  std::function<void()> call;  // goes after the lock: it may be the last to hold what it calls
  const std::lock_guard lock(mutex_);
  call = std::exchange(on_gone_, nullptr);
}

}  // namespace serveloop::server
