// Reads a connection: one request after the other, bounded in bytes and in time; and, while an answer is in the making,
// whether the client is still there. The one door to the HTTP library. All of it on the I/O thread.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <chrono>
#include <memory>

#include "server/body_lease.hpp"
#include "server/errors.hpp"
#include "server/hub.hpp"

namespace serveloop::server {

struct Incoming {
  Request request;
  std::shared_ptr<BodyLease> lease;  // until the body is parsed
  bool keep_alive = true;            // the client wishes it
  bool http_1_1 = true;              // it understands chunks
};

// The connection that is read, as its reader sees it. Each read that is pending keeps it.
class RequestTaker : public std::enable_shared_from_this<RequestTaker> {
 public:
  virtual ~RequestTaker() = default;
  // Has it close after that time, unless it is armed anew or disarmed before.
  virtual void arm(std::chrono::milliseconds after) = 0;
  virtual void take(Incoming incoming) = 0;
  // What came is no request, or not one for this server. Nothing behind it can be read.
  virtual void refuse(const ApiError& error) = 0;
  virtual void ended() = 0;  // the client sends no more, while its answer is under way
  virtual void close() = 0;  // the client or the network has
};

class RequestReader {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  // All three outlive it.
  RequestReader(Socket& socket, Hub& hub, RequestTaker& taker);
  ~RequestReader();

  void next();   // reads a request, then calls take() or refuse(); or close()
  void watch();  // reads ahead while a request is answered: calls ended(), or close()
  void drain();  // drops what comes until the client closes: close()
  void stop();   // calls nobody any more

  bool idle() const { return state_ == State::header; }  // waits for a request
  bool ended() const { return ended_; }                  // the client sends no more
  // No further request can be read: there is none, or more came ahead than is kept.
  bool spent() const { return ended_ || overrun_; }

 private:
  enum class State : std::uint8_t { none, header, body, watching, draining, stopped };
  using ErrorCode = boost::system::error_code;
  template <class Then>
  auto then(Then act);
  void read_header();
  void on_header(const ErrorCode& error);
  ApiStatus check_head() const;
  void send_continue();
  void read_body();
  void on_body(const ErrorCode& error);
  void give();
  void read_ahead();
  void on_ahead(const ErrorCode& error, std::size_t bytes);
  void refuse(const ErrorCode& error);
  void refuse(const ApiError& error);

  struct Parsing;
  Socket& socket_;
  Hub& hub_;
  RequestTaker& taker_;
  const std::unique_ptr<Parsing> parsing_;
  std::shared_ptr<BodyLease> lease_;
  std::chrono::steady_clock::time_point body_until_;
  State state_ = State::none;
  bool ahead_ = false;    // a read of read_ahead() is pending
  bool ended_ = false;    // the client sends no more
  bool overrun_ = false;  // more came ahead than is kept
};

}  // namespace serveloop::server
