#include "server/head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "server/random_bits.hpp"

namespace serveloop::server {
namespace {

constexpr std::size_t kMostId = 128;

const char* reason(unsigned status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    default: return "Unknown";
  }
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string head_text(const Response& response, std::string_view request_id, bool keep_alive,
                      std::optional<std::size_t> content_bytes, bool chunked) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\nServer: serveloop\r\nDate: {}\r\nContent-Type: {}\r\n",
                                response.status, reason(response.status), date_now(), response.content_type);
  const auto line = [&](std::string_view name, std::string_view value) {
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  };
  if (content_bytes) line("Content-Length", std::to_string(*content_bytes));
  if (!content_bytes && chunked) line("Transfer-Encoding", "chunked");
  if (!request_id.empty()) line("X-Request-ID", request_id);
  for (const auto& [name, value] : response.headers) line(name, value);
  line("Connection", keep_alive ? "keep-alive" : "close");
  return out + "\r\n";
}

void append_chunk(std::string& out, std::string_view bytes) {
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
  out += bytes;
  out += "\r\n";
}

std::string random_id() { return fmt::format("{:016x}{:08x}", random_bits(), random_bits() >> 32); }

std::string request_id(std::string_view from_client) {
  const bool sound =
      !from_client.empty() && from_client.size() <= kMostId &&
      std::all_of(from_client.begin(), from_client.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return sound ? std::string(from_client) : random_id();
}

std::optional<std::string> decoded_path(std::string_view target) {
  if (const std::size_t scheme = target.find("://"); !target.starts_with('/') && scheme != target.npos) {
    const std::size_t path = target.find('/', scheme + 3);  // the absolute form, as to a proxy
    target = path == target.npos ? "/" : target.substr(path);
  }
  if (!target.starts_with('/')) return std::nullopt;
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    const int high = i + 2 < target.size() ? hex_value(target[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(target[i + 2]) : -1;
    if (low < 0) return std::nullopt;
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return path;
}

}  // namespace serveloop::server
