// All of it runs on the I/O thread.
//
// Invariants: at most one write is pending; `turn_` is the request that is being answered, and whoever holds an older
// one talks to nobody; `out_` holds at most a whole answer, or a head and one portion of a stream.
#include "server/connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "server/guarded.hpp"
#include "server/head.hpp"
#include "server/request_reader.hpp"
#include "server/turn.hpp"

namespace serveloop::server {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

namespace {

constexpr std::chrono::milliseconds kLinger{2000};  // for a client to read why it is being closed

}  // namespace

class Connection final : public TurnTaker, public RequestTaker {
 public:
  Connection(Socket socket, Hub& hub)
      : whole_(hub.whole.lock()),
        hub_(hub),
        socket_(std::move(socket)),
        reader_(socket_, hub, *this),
        deadline_(hub.io) {}

  void start() {
    hub_.open.insert(self());
    ++hub_.counts.connections;
    if (hub_.open.size() > hub_.limits.connections)
      return refuse(ApiError{503, "too many connections", "", "too_many_connections", retry_after_1s()});
    reader_.next();
  }
  void close_if_idle() {
    if (reader_.idle()) close();
  }
  void close() override {
    if (std::exchange(closed_, true)) return;
    const std::shared_ptr<Connection> kept = self();
    const std::shared_ptr<Turn> turn = std::exchange(turn_, nullptr);
    source_.reset();
    reader_.stop();
    disarm();
    ErrorCode ignored;
    socket_.close(ignored);
    --hub_.counts.connections;
    hub_.open.erase(kept);
    if (turn == nullptr) return;
    turn->gone();
    turn->done();
  }

 private:
  std::shared_ptr<Connection> self() { return std::static_pointer_cast<Connection>(shared_from_this()); }

  // ---- Time.
  void arm(std::chrono::milliseconds after) override {
    deadline_.expires_after(after);
    // A wait that is over may still be queued when it is cancelled: its number tells.
    deadline_.async_wait([self = self(), number = ++armed_](const ErrorCode& error) {
      if (!error && self->armed_ == number) self->close();
    });
  }
  void disarm() {
    ++armed_;
    deadline_.cancel();
  }

  // ---- What the reader brings.
  void take(Incoming in) override {
    disarm();
    keep_alive_ = in.keep_alive;
    chunked_ = in.http_1_1;
    head_only_ = in.request.method == Method::head;
    request_id_ = in.request.id;
    turn_ = std::make_shared<Turn>(self(), hub_);
    if (reader_.ended()) turn_->gone();  // it came ahead, and then its side was shut down
    reader_.watch();
    if (hub_.router.is_quick(in.request)) return hub_.router(std::move(in.request), turn_);
    // Nobody works for a connection that closed meanwhile.
    asio::post(hub_.workers,
               [&router = hub_.router, in = std::move(in), waiting = std::weak_ptr<Turn>(turn_)]() mutable {
                 if (const std::shared_ptr<Turn> turn = waiting.lock()) router(std::move(in.request), turn);
               });
  }
  void refuse(const ApiError& error) override {
    keep_alive_ = false;
    send(to_response(error));
  }
  void ended() override {
    if (turn_ != nullptr && turn_->gone()) close();
  }

  // ---- Answering.
  bool in(const Turn& turn) const override { return turn_.get() == &turn; }

  void send(const Response& response) override {
    hub_.counts.add(response.status);
    keep_alive_ = keep_alive_ && !hub_.closing;
    out_ = head_text(response, request_id_, keep_alive_, response.body.size());
    if (!head_only_) out_ += response.body;
    write();
  }

  void begin_stream(const Response& head, std::shared_ptr<Body> body) override {
    hub_.counts.add(head.status);
    keep_alive_ = keep_alive_ && chunked_ && !hub_.closing;
    out_ = head_text(head, request_id_, keep_alive_, std::nullopt, chunked_);
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

  // Writes `out_`. A client has so long for each portion of it, however many bytes at one time it takes.
  void write() {
    written_ = portion_from_ = 0;
    arm(hub_.limits.write_pause);
    write_some();
  }

  void write_some() {
    writing_ = true;
    socket_.async_write_some(asio::buffer(out_.data() + written_, out_.size() - written_),
                             [self = self()](const ErrorCode& error, std::size_t bytes) {
                               self->writing_ = false;
                               guarded(*self, [&] { self->on_written(error, bytes); });
                             });
  }

  void on_written(const ErrorCode& error, std::size_t bytes) {
    if (closed_) return;
    if (error) return close();
    written_ += bytes;
    if (written_ < out_.size()) {
      if (written_ - portion_from_ >= hub_.limits.portion_bytes) {
        portion_from_ = written_;
        arm(hub_.limits.write_pause);
      }
      return write_some();
    }
    disarm();
    out_.clear();
    source_ != nullptr ? pump() : answered();
  }

  void answered() {
    if (turn_ != nullptr) turn_->done();
    turn_.reset();
    head_only_ = false;
    request_id_.clear();
    if (keep_alive_ && !reader_.spent() && !hub_.closing) return reader_.next();
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    if (reader_.ended()) return close();
    arm(kLinger);
    reader_.drain();
  }

  const std::shared_ptr<void> whole_;  // an engine may hold an answer, and so this, longer than the server
  Hub& hub_;
  Socket socket_;
  RequestReader reader_;
  asio::steady_timer deadline_;
  std::uint64_t armed_ = 0;
  std::shared_ptr<Turn> turn_;
  std::shared_ptr<Body> source_;
  std::string request_id_, out_, portion_;
  std::size_t written_ = 0, portion_from_ = 0;  // of out_; the client took all up to the second in time
  bool keep_alive_ = true, chunked_ = true, head_only_ = false;
  bool writing_ = false, closed_ = false;
};

void start_connection(Socket socket, Hub& hub) {
  const auto connection = std::make_shared<Connection>(std::move(socket), hub);
  guarded(*connection, [&] { connection->start(); });
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
