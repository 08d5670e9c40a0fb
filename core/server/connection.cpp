// The one file that knows the HTTP library. All of it runs on the I/O thread.
//
// Invariants: at most one read and one write are pending; `turn_` is the request that is being answered, and whoever
// holds an older one talks to nobody; `out_` holds at most a whole answer, or a head and one portion of a stream.
#include "server/connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "server/body_lease.hpp"
#include "server/errors.hpp"
#include "server/head.hpp"
#include "server/turn.hpp"

namespace serveloop::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using ErrorCode = boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kPipelinedBytes = std::size_t{64} << 10;  // read ahead of the answer under way
constexpr std::chrono::milliseconds kLinger{2000};              // for a client to read why it is being closed

std::string string_of(beast::string_view text) { return {text.data(), text.size()}; }

Method method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get: return Method::get;
    case http::verb::head: return Method::head;
    case http::verb::post: return Method::post;
    case http::verb::put: return Method::put;
    default: return Method::other;
  }
}

ApiError error_of(const ErrorCode& error) {
  if (error == http::error::body_limit) return {413, "the request's body is too large"};
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return {431, "the request's header is too large"};
  return {400, "this is no HTTP request: " + error.message()};
}

}  // namespace

class Connection final : public TurnTaker, public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, Hub& hub)
      : whole_(hub.whole.lock()), socket_(std::move(socket)), hub_(hub), deadline_(hub.io) {}

  void start() {
    hub_.open.insert(shared_from_this());
    ++hub_.counts.connections;
    if (hub_.open.size() > hub_.limits.connections)
      return refuse(
          ApiError{503, "too many connections", "", "too_many_connections", {{"Retry-After", "1"}}});
    read_header();
  }
  void close_if_idle() {
    if (state_ == State::header) close();
  }
  void close() override {
    if (state_ == State::closed) return;
    if (const std::shared_ptr<Turn> turn = std::exchange(turn_, nullptr)) turn->gone();
    state_ = State::closed;
    source_.reset();
    disarm();
    ErrorCode ignored;
    socket_.close(ignored);
    --hub_.counts.connections;
    hub_.open.erase(shared_from_this());
  }

 private:
  enum class State : std::uint8_t { header, body, answering, lingering, closed };

  // ---- Time.
  void arm(std::chrono::milliseconds after) {
    deadline_.expires_after(after);
    // A wait that is over may still be queued when it is cancelled: its number tells.
    deadline_.async_wait([self = shared_from_this(), number = ++armed_](const ErrorCode& error) {
      if (!error && self->armed_ == number) self->close();
    });
  }
  void disarm() {
    ++armed_;
    deadline_.cancel();
  }

  // ---- Reading a request.
  void read_header() {
    state_ = State::header;
    parser_.emplace();
    parser_->header_limit(hub_.limits.header_bytes);
    parser_->body_limit(hub_.limits.body_bytes);
    lease_ = std::make_shared<BodyLease>(hub_.body_bytes);
    arm(hub_.limits.header);
    http::async_read_header(socket_, buffer_, *parser_,
                            [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                              if (self->state_ == State::header) self->on_header(error);
                            });
  }

  void on_header(const ErrorCode& error) {
    if (error) return refuse(error);
    state_ = State::body;
    body_until_ = Clock::now() + hub_.limits.body;
    if (parser_->is_done()) return dispatch();
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) return send_continue();
    read_body();
  }

  void send_continue() {
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    written_ = 0;
    write();
  }

  void read_body() {
    arm(hub_.limits.body_pause);
    http::async_read_some(socket_, buffer_, *parser_,
                          [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                            if (self->state_ == State::body) self->on_body(error);
                          });
  }

  void on_body(const ErrorCode& error) {
    if (error) return refuse(error);
    if (!lease_->hold(parser_->get().body().size(), hub_.limits.all_bodies_bytes))
      return refuse(ApiError{503, "too many bytes of requests at one time", "", "", {{"Retry-After", "1"}}});
    if (Clock::now() > body_until_) return close();
    if (parser_->is_done()) return dispatch();
    read_body();
  }

  void refuse(const ErrorCode& error) {
    const bool ended = error == http::error::end_of_stream || error == http::error::partial_message ||
                       error.category() != http::make_error_code(http::error::end_of_stream).category();
    if (ended) return close();  // the client, or the network
    refuse(error_of(error));
  }
  void refuse(const ApiError& error) {
    state_ = State::answering;
    keep_alive_ = false;
    send(to_response(error));
  }

  void dispatch() {
    state_ = State::answering;
    disarm();
    auto message = parser_->release();
    parser_.reset();
    keep_alive_ = message.keep_alive();
    chunked_ = message.version() >= 11;
    Request request;
    request.method = method_of(message.method());
    head_only_ = request.method == Method::head;
    request.authorization = string_of(message[http::field::authorization]);
    request.content_type = string_of(message[http::field::content_type]);
    request.id = request_id(string_of(message["X-Request-ID"]));
    request_id_ = request.id;
    std::optional<std::string> path = decoded_path(string_of(message.target()));
    if (!path) return refuse(ApiError{400, "the request's target is no path"});
    request.path = std::move(*path);
    request.body = std::move(message.body());
    turn_ = std::make_shared<Turn>(shared_from_this(), hub_);
    if (ended_) turn_->gone();  // it came ahead, and then its side was shut down
    watch();
    asio::post(hub_.workers,
               [&handler = hub_.handler, request = std::move(request), turn = turn_,
                lease = std::exchange(lease_, nullptr)]() mutable { handler(std::move(request), turn); });
  }

  // ---- Watching the client while an answer is in the making, and lingering.
  void watch() {
    if (reading_ || ended_ || buffer_.size() >= kPipelinedBytes) return;
    reading_ = true;
    socket_.async_read_some(buffer_.prepare(4096),
                            [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
                              self->reading_ = false;
                              self->on_watched(error, bytes);
                            });
  }

  void on_watched(const ErrorCode& error, std::size_t bytes) {
    if (state_ == State::closed) return;
    if (state_ == State::lingering) return error ? close() : watch();  // what it sends is of no interest
    buffer_.commit(bytes);
    if (error && error != asio::error::eof && error != asio::error::operation_aborted) return close();
    ended_ = ended_ || error == asio::error::eof;
    if (state_ == State::header) return ended_ && buffer_.size() == 0 ? close() : read_header();
    if (!ended_) return watch();
    if (turn_ != nullptr && turn_->gone()) close();
  }

  // ---- Answering.
  bool in(const Turn& turn) const override { return turn_.get() == &turn; }

  void send_made(const std::function<Response()>& make) override {
    try {
      send(make());
    } catch (const std::exception& error) {
      send(to_response({500, error.what()}));
    }
  }

  void send(const Response& response) {
    hub_.counts.add(response.status);
    keep_alive_ = keep_alive_ && !hub_.closing;
    out_ = head_text(response, request_id_, keep_alive_, response.body.size());
    if (!head_only_) out_ += response.body;
    written_ = 0;
    write();
  }

  void begin_stream(const Response& head, std::shared_ptr<Body> body) override {
    hub_.counts.add(head.status);
    keep_alive_ = keep_alive_ && chunked_ && !hub_.closing;
    out_ = head_text(head, request_id_, keep_alive_, std::nullopt, chunked_);
    written_ = 0;
    source_ = std::move(body);
    pump();
  }

  // Writes the next portion, unless one is being written.
  void pump() override {
    if (writing_ || source_ == nullptr) return;
    portion_.clear();
    const bool more = source_->pull(portion_, hub_.limits.portion_bytes);
    if (!portion_.empty()) append_portion();
    if (!more) {
      source_.reset();
      if (chunked_) out_ += "0\r\n\r\n";
    }
    if (!out_.empty()) return write();
    if (!more) answered();
  }

  void append_portion() {
    if (chunked_)
      append_chunk(out_, portion_);
    else
      out_ += portion_;
  }

  void write() {
    writing_ = true;
    arm(hub_.limits.write_pause);
    socket_.async_write_some(asio::buffer(out_.data() + written_, out_.size() - written_),
                             [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
                               self->writing_ = false;
                               self->on_written(error, bytes);
                             });
  }

  void on_written(const ErrorCode& error, std::size_t bytes) {
    if (state_ == State::closed) return;
    if (error) return close();
    written_ += bytes;
    if (written_ < out_.size()) return write();
    disarm();
    out_.clear();
    written_ = 0;
    if (state_ == State::body) return read_body();  // that was 100 Continue
    source_ != nullptr ? pump() : answered();
  }

  void answered() {
    if (turn_ != nullptr) turn_->done();
    turn_.reset();
    head_only_ = false;
    request_id_.clear();
    ErrorCode ignored;
    if (keep_alive_ && !ended_ && !hub_.closing) {
      state_ = State::header;
      if (!reading_) return read_header();
      if (buffer_.size() > 0) socket_.cancel(ignored);  // a request came ahead
      return arm(hub_.limits.header);                   // the watch that is pending goes on with it
    }
    state_ = State::lingering;
    socket_.shutdown(Socket::shutdown_send, ignored);
    if (ended_) return close();
    buffer_.clear();
    arm(kLinger);
    watch();
  }

  const std::shared_ptr<void> whole_;  // an engine may hold an answer, and so this, longer than the server
  Socket socket_;
  Hub& hub_;
  asio::steady_timer deadline_;
  std::uint64_t armed_ = 0;
  beast::flat_buffer buffer_{2 * kPipelinedBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::shared_ptr<BodyLease> lease_;
  Clock::time_point body_until_;
  State state_ = State::header;
  std::shared_ptr<Turn> turn_;
  std::shared_ptr<Body> source_;
  std::string request_id_, out_, portion_;
  std::size_t written_ = 0;
  bool keep_alive_ = true, chunked_ = true, head_only_ = false;
  bool reading_ = false, writing_ = false;
  bool ended_ = false;  // the client sends no more
};

void start_connection(Socket socket, Hub& hub) {
  std::make_shared<Connection>(std::move(socket), hub)->start();
}

namespace {
template <class Act>
void each(Hub& hub, Act&& act) {
  const std::vector<std::shared_ptr<Connection>> open(hub.open.begin(), hub.open.end());
  for (const std::shared_ptr<Connection>& connection : open) act(*connection);
}
}  // namespace

void close_idle(Hub& hub) {
  each(hub, [](Connection& connection) { connection.close_if_idle(); });
}
void close_all(Hub& hub) {
  each(hub, [](Connection& connection) { connection.close(); });
}

}  // namespace serveloop::server
