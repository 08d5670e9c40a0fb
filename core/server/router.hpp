// Path and method -> who answers; what is none gets OpenAI's error shape. Set up once, then read by any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/errors.hpp"
#include "server/http.hpp"

namespace serveloop::server {

class Router {
 public:
  // A path that ends in '/' stands for all paths below it.
  void add(Method method, std::string path, Handler handler);
  // The same for what is answered at once.
  void add(Method method, std::string path, std::function<ApiResult<Response>(Request&)> answer);

  // HEAD is answered as GET. Never throws: a failure is an answer, too.
  void operator()(Request request, const std::shared_ptr<Exchange>& exchange) const;

 private:
  struct Route {
    Method method;
    std::string path;
    Handler handler;
  };
  void dispatch(Request request, const std::shared_ptr<Exchange>& exchange) const;
  std::vector<Route> routes_;
};

}  // namespace serveloop::server
