// A client on a plain socket: sends any bytes, reads answers as they come. Throws std::runtime_error after 5 s of silence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace serveloop::server::test {

struct Answer {
  int status = 0;
  std::string head;  // with the status line
  std::string body;  // chunks put together
};

class Client {
 public:
  explicit Client(const std::string& url);         // "http://127.0.0.1:1234"
  static Client local(const std::string& path);    // a local socket
  static Client of(int fd) { return Client(fd); }  // one that is connected; its own from now on
  Client(Client&& other) noexcept : fd_(other.fd_), read_(std::move(other.read_)) { other.fd_ = -1; }
  ~Client();

  void send(std::string_view bytes);
  void post(std::string_view path, std::string_view body, std::string_view headers = {});
  Answer get(std::string_view path);  // sends and receives
  Answer receive(bool head_only = false);
  std::string receive_until(std::string_view text);  // all bytes up to it and with it
  bool closed();                                     // the server closed, perhaps after more bytes
  std::string rest();                                // all bytes until the server closes
  std::size_t skip(std::size_t bytes);               // reads up to so many; 0: the server closed
  void shut_down_sending();
  void close();

 private:
  explicit Client(int fd) : fd_(fd) {}
  bool more();  // false: the other side has closed
  std::string take(std::size_t bytes);
  int fd_ = -1;
  std::string read_;  // and not taken
};

}  // namespace serveloop::server::test
