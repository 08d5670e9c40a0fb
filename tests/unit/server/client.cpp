#include "client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <utility>

namespace serveloop::server::test {
namespace {

constexpr int kPatienceMs = 5000;

int connected(int family, const sockaddr* address, socklen_t size) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, address, size) != 0) throw std::runtime_error("cannot connect");
  return fd;
}

}  // namespace

Client::Client(const std::string& url) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fd_ = connected(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

Client Client::local(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return Client(connected(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

Client::~Client() { close(); }

void Client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Client::shut_down_sending() { ::shutdown(fd_, SHUT_WR); }

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the server closed: what it said is still to be read
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Client::post(std::string_view path, std::string_view body, std::string_view headers) {
  send("POST " + std::string(path) +
       " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
       std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" + std::string(body));
}

Answer Client::get(std::string_view path) {
  send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  return receive();
}

bool Client::more() {
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, kPatienceMs) <= 0) throw std::runtime_error("nothing came for 5 s");
  char bytes[65536];
  const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
  if (got <= 0) return false;
  read_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

std::string Client::take(std::size_t bytes) {
  while (read_.size() < bytes)
    if (!more()) throw std::runtime_error("the server closed");
  std::string taken = read_.substr(0, bytes);
  read_.erase(0, bytes);
  return taken;
}

std::string Client::receive_until(std::string_view text) {
  std::size_t at = 0, seen = 0;
  while ((at = read_.find(text, seen)) == std::string::npos) {
    seen = read_.size() < text.size() ? 0 : read_.size() - text.size();
    if (!more()) throw std::runtime_error("the server closed");
  }
  return take(at + text.size());
}

Answer Client::receive(bool head_only) {
  Answer answer;
  answer.head = receive_until("\r\n\r\n");
  answer.status = std::stoi(answer.head.substr(9, 3));
  const std::size_t length = answer.head.find("Content-Length: ");
  if (head_only) return answer;
  if (length != std::string::npos) {
    answer.body = take(std::stoul(answer.head.substr(length + 16)));
  } else if (answer.head.find("Transfer-Encoding: chunked") != std::string::npos) {
    for (;;) {
      const std::size_t bytes = std::stoul(receive_until("\r\n"), nullptr, 16);
      answer.body += take(bytes);
      take(2);
      if (bytes == 0) break;
    }
  } else {
    while (more()) continue;
    answer.body = std::exchange(read_, "");
  }
  return answer;
}

std::string Client::rest() {
  while (more()) continue;
  return std::exchange(read_, "");
}

std::size_t Client::skip(std::size_t bytes) {
  std::string taken(bytes, 0);
  const ssize_t got = ::recv(fd_, taken.data(), taken.size(), 0);
  return got <= 0 ? 0 : static_cast<std::size_t>(got);
}

bool Client::closed() {
  try {
    while (more()) continue;
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

}  // namespace serveloop::server::test
