// One request's side of an exchange: brings what any thread says of it to its connection on the I/O thread. What is
// said after the connection went on to another request, or closed, reaches nobody.
#pragma once

#include <mutex>

#include "server/hub.hpp"

namespace serveloop::server {

class Turn;

// What a connection does for the turn that it is in. [I/O thread]
class TurnTaker {
 public:
  virtual ~TurnTaker() = default;
  virtual bool in(const Turn& turn) const = 0;
  virtual void send(const Response& response) = 0;
  virtual void begin_stream(const Response& head, std::shared_ptr<Body> body) = 0;
  virtual void pump() = 0;  // of the stream that has begun
  virtual void close() = 0;
};

class Turn final : public Exchange, public std::enable_shared_from_this<Turn> {
 public:
  // The connection keeps the hub.
  Turn(std::shared_ptr<TurnTaker> connection, Hub& hub) : connection_(std::move(connection)), hub_(hub) {}

  void respond(Response response) override;
  void answer(std::function<Response()> make) override;
  void stream(Response head, std::shared_ptr<Body> body) override;
  void more() override;
  void on_gone(std::function<void()> call) override;

  // [I/O thread] The client went away, or sends no more. True: somebody worked for it, and was told.
  bool gone();
  void done();  // it has its answer, or its connection closed

 private:
  template <class Act>
  auto at_connection(Act act);
  bool answers();  // requires mutex_
  const std::shared_ptr<TurnTaker> connection_;
  Hub& hub_;
  std::mutex mutex_;
  std::function<void()> on_gone_;
  bool answered_ = false;
  bool gone_ = false, over_ = false;  // over: done
};

}  // namespace serveloop::server
