// The one file that knows the HTTP library.
//
// Invariants: at most one read is pending; a watch that is pending when the next request is due goes over into it.
#include "server/request_reader.hpp"

#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "server/browser.hpp"
#include "server/guarded.hpp"
#include "server/head.hpp"

namespace serveloop::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kAheadBytes = std::size_t{64}
                                    << 10;  // kept of what comes ahead of the answer under way

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

ApiError error_of(const boost::system::error_code& error) {
  if (error == http::error::body_limit) return {413, "the request's body is too large"};
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return {431, "the request's header is too large"};
  return {400, "this is no HTTP request: " + error.message()};
}

}  // namespace

struct RequestReader::Parsing {
  beast::flat_buffer buffer{2 * kAheadBytes};
  std::optional<http::request_parser<http::string_body>> parser;
};

RequestReader::RequestReader(Socket& socket, Hub& hub, RequestTaker& taker)
    : socket_(socket), hub_(hub), taker_(taker), parsing_(std::make_unique<Parsing>()) {}

RequestReader::~RequestReader() = default;

// What follows a read or a write, as its handler: keeps the connection until then.
template <class Then>
auto RequestReader::then(Then act) {
  return [this, kept = taker_.shared_from_this(), act](const ErrorCode& error, std::size_t bytes) {
    if (state_ != State::stopped) guarded(taker_, [&] { act(*this, error, bytes); });
  };
}

// ---- A request.

void RequestReader::next() {
  state_ = State::header;
  if (!ahead_) return read_header();
  taker_.arm(hub_.limits.header);
  ErrorCode ignored;
  if (parsing_->buffer.size() > 0) socket_.cancel(ignored);  // one came ahead; else the watch goes on with it
}

void RequestReader::read_header() {
  auto& parser = parsing_->parser.emplace();
  parser.header_limit(hub_.limits.header_bytes);
  parser.body_limit(hub_.limits.body_bytes);
  lease_ = std::make_shared<BodyLease>(hub_.body_bytes);
  taker_.arm(hub_.limits.header);
  http::async_read_header(
      socket_, parsing_->buffer, parser,
      then([](RequestReader& self, const ErrorCode& error, std::size_t) { self.on_header(error); }));
}

void RequestReader::on_header(const ErrorCode& error) {
  if (error) return refuse(error);
  if (const ApiStatus sound = check_head(); !sound) return refuse(sound.error());
  state_ = State::body;
  body_until_ = Clock::now() + hub_.limits.body;
  if (parsing_->parser->is_done()) return give();
  if (beast::iequals(parsing_->parser->get()[http::field::expect], "100-continue")) return send_continue();
  read_body();
}

// What the library lets through. Another coding than "chunked" alone would leave the body's end unknown, and its bytes
// would be read as the next request (RFC 9112, section 6.3). A request names one host (section 3.2).
ApiStatus RequestReader::check_head() const {
  const auto& head = parsing_->parser->get();
  const auto codings = head.count(http::field::transfer_encoding);
  if (codings > 0 && (codings > 1 || head.version() < 11 ||
                      !beast::iequals(head[http::field::transfer_encoding], "chunked")))
    return server::refuse(501, "Transfer-Encoding: only chunked, once, and of HTTP/1.1, is supported");
  const auto hosts = head.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && head.version() >= 11))
    return server::refuse(400, "expected one Host header, found " + std::to_string(hosts));
  if (hub_.loopback && hosts == 1) return check_host(string_of(head[http::field::host]));
  return {};
}

void RequestReader::send_continue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  taker_.arm(hub_.limits.write_pause);
  asio::async_write(socket_, asio::buffer(kContinue),
                    then([](RequestReader& self, const ErrorCode& error, std::size_t) {
                      error ? self.taker_.close() : self.read_body();
                    }));
}

void RequestReader::read_body() {
  taker_.arm(hub_.limits.body_pause);
  http::async_read_some(
      socket_, parsing_->buffer, *parsing_->parser,
      then([](RequestReader& self, const ErrorCode& error, std::size_t) { self.on_body(error); }));
}

void RequestReader::on_body(const ErrorCode& error) {
  if (error) return refuse(error);
  if (!lease_->hold(parsing_->parser->get().body().size(), hub_.limits.all_bodies_bytes))
    return refuse(ApiError{503, "too many bytes of requests at one time", "", "", retry_after_1s()});
  if (Clock::now() > body_until_) return taker_.close();
  if (parsing_->parser->is_done()) return give();
  read_body();
}

void RequestReader::give() {
  auto message = parsing_->parser->release();
  parsing_->parser.reset();
  Incoming in;
  in.keep_alive = message.keep_alive();
  in.http_1_1 = message.version() >= 11;
  in.request.method = method_of(message.method());
  in.request.authorization = string_of(message[http::field::authorization]);
  in.request.content_type = string_of(message[http::field::content_type]);
  in.request.origin = string_of(message[http::field::origin]);
  in.request.id = request_id(string_of(message["X-Request-ID"]));
  std::optional<std::string> path = decoded_path(string_of(message.target()));
  if (!path) return refuse(ApiError{400, "the request's target is no path"});
  in.request.path = std::move(*path);
  in.request.body = std::move(message.body());
  in.lease = std::exchange(lease_, nullptr);
  state_ = State::none;
  taker_.take(std::move(in));
}

void RequestReader::refuse(const ErrorCode& error) {
  const bool ended = error == http::error::end_of_stream || error == http::error::partial_message ||
                     error.category() != http::make_error_code(http::error::end_of_stream).category();
  if (ended) return taker_.close();  // the client, or the network
  refuse(error_of(error));
}

void RequestReader::refuse(const ApiError& error) {
  state_ = State::none;
  taker_.refuse(error);
}

// ---- While an answer is in the making, and after the last one.

void RequestReader::watch() {
  state_ = State::watching;
  if (!ended_) read_ahead();
}

void RequestReader::drain() {
  state_ = State::draining;
  parsing_->buffer.clear();
  read_ahead();
}

void RequestReader::stop() { state_ = State::stopped; }

void RequestReader::read_ahead() {
  if (ahead_) return;
  ahead_ = true;
  socket_.async_read_some(parsing_->buffer.prepare(4096),
                          then([](RequestReader& self, const ErrorCode& error, std::size_t bytes) {
                            self.ahead_ = false;
                            self.on_ahead(error, bytes);
                          }));
}

void RequestReader::on_ahead(const ErrorCode& error, std::size_t bytes) {
  if (state_ == State::draining) return error ? taker_.close() : read_ahead();
  // Nobody has so much to send ahead: it is dropped, so that the client's end is still seen; this answer is the last.
  overrun_ = overrun_ || (state_ == State::watching && parsing_->buffer.size() + bytes > kAheadBytes);
  if (!overrun_) parsing_->buffer.commit(bytes);
  if (error && error != asio::error::eof && error != asio::error::operation_aborted) return taker_.close();
  ended_ = ended_ || error == asio::error::eof;
  if (state_ == State::header) return ended_ && parsing_->buffer.size() == 0 ? taker_.close() : read_header();
  ended_ ? taker_.ended() : read_ahead();
}

}  // namespace serveloop::server
