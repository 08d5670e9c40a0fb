// A request and its answer as plain values, and the seam between connections and those who answer. Knows no socket.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace serveloop::server {

enum class Method : std::uint8_t { get, head, post, put, other };

struct Request {
  Method method = Method::other;
  std::string path;  // decoded, without the query
  std::string body;
  std::string authorization;  // these three are headers' values, empty where absent
  std::string content_type;
  std::string origin;  // the web page's that sends it
  std::string id;      // X-Request-ID, the client's where it is sound, else one made here
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  Headers headers;
  std::string body;
};

// A body that comes in portions. Called on the I/O thread.
class Body {
 public:
  virtual ~Body() = default;
  // Appends what there is, up to about `room` bytes more; false once all is told.
  virtual bool pull(std::string& out, std::size_t room) = 0;
};

// One request while it is being answered. Any thread; none of it blocks. The first of respond(), answer() and stream()
// counts; what comes after that, or after the client went away, has no effect.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void respond(Response response) = 0;
  // The same for an answer that takes long to write: `make` runs on a worker's thread.
  virtual void answer(std::function<Response()> make) = 0;
  // `head` has no body; `body` is asked after each more(), and whenever the socket took what it gave.
  virtual void stream(Response head, std::shared_ptr<Body> body) = 0;
  virtual void more() = 0;
  // Called once, on the I/O thread or at once, if the client goes away before it has its whole answer.
  virtual void on_gone(std::function<void()> gone) = 0;
};

// Answers a request, perhaps later. Called on workers' threads, several at one time.
using Handler = std::function<void(Request, std::shared_ptr<Exchange>)>;

}  // namespace serveloop::server
