// Invariant: nothing is queued for a turn that is over. A queued task keeps the turn, which keeps the connection, which
// keeps the queue: once nobody runs it any more, they would keep each other for ever. Turns are over before the queues
// end (server.cpp), and what is queued before is run.
#include "server/turn.hpp"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <utility>

#include "server/errors.hpp"
#include "server/guarded.hpp"

namespace serveloop::server {

namespace asio = boost::asio;

namespace {

Response made(const std::function<Response()>& make) {
  try {
    return make();
  } catch (const std::exception& error) {
    SPDLOG_ERROR("an answer failed: {}", error.what());
    return to_response(failed_to_answer());
  }
}

}  // namespace

// A task for the I/O thread: `act` of the connection, if it is still in this turn.
template <class Act>
auto Turn::at_connection(Act act) {
  return [self = shared_from_this(), act = std::move(act)] {
    TurnTaker& connection = *self->connection_;
    if (connection.in(*self)) guarded(connection, [&] { act(connection); });
  };
}

bool Turn::answers() { return !over_ && !std::exchange(answered_, true); }

void Turn::respond(Response response) {
  const std::lock_guard lock(mutex_);
  if (!answers()) return;
  asio::post(hub_.io, at_connection([response = std::move(response)](TurnTaker& c) { c.send(response); }));
}

void Turn::answer(std::function<Response()> make) {
  const std::lock_guard lock(mutex_);
  if (!answers()) return;
  asio::post(hub_.workers, [self = shared_from_this(), make = std::move(make)] {
    {
      const std::lock_guard before(self->mutex_);
      if (self->over_) return;
    }
    Response response = made(make);
    const std::lock_guard after(self->mutex_);
    if (self->over_) return;
    asio::post(self->hub_.io,
               self->at_connection([response = std::move(response)](TurnTaker& c) { c.send(response); }));
  });
}

void Turn::stream(Response head, std::shared_ptr<Body> body) {
  const std::lock_guard lock(mutex_);
  if (!answers()) return;
  asio::post(hub_.io, at_connection([head = std::move(head), body = std::move(body)](TurnTaker& c) {
               c.begin_stream(head, body);
             }));
}

void Turn::more() {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  hub_.wakeups.add(hub_.io, at_connection([](TurnTaker& c) { c.pump(); }));
}

void Turn::on_gone(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      if (!over_) on_gone_ = std::move(call);
      return;
    }
    if (!over_) asio::post(hub_.io, at_connection([](TurnTaker& c) { c.close(); }));
  }
  call();
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
  over_ = true;
  call = std::exchange(on_gone_, nullptr);
}

}  // namespace serveloop::server
