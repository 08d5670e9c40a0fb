// Path and method -> who answers; what is none gets OpenAI's error shape. Set up once, then read by any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/errors.hpp"
#include "server/http.hpp"

namespace serveloop::server {

class Router {
 public:
  // A path that ends in '/' stands for all paths below it.
  void add(Method method, std::string path, Handler handler);
  // The same for what is answered at once.
  using Answer = std::function<ApiResult<Response>(Request&)>;
  void add(Method method, std::string path, Answer answer);
  // And for what takes so little that the I/O thread answers it itself: it has to block on nothing.
  void add_quick(Method method, std::string path, Answer answer);

  // HEAD is answered as GET. Never throws: a failure is an answer, too.
  void operator()(Request request, const std::shared_ptr<Exchange>& exchange) const;
  bool is_quick(const Request& request) const;

 private:
  struct Route {
    Method method;
    std::string path;
    Handler handler;
    bool quick = false;
    bool matches(std::string_view asked) const;
  };
  void dispatch(Request request, const std::shared_ptr<Exchange>& exchange) const;
  std::vector<Route> routes_;
};

}  // namespace serveloop::server
