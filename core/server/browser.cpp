#include "server/browser.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

namespace serveloop::server {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

bool is_port(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_address(int family, const std::string& text) {
  in6_addr address{};  // large enough for both families
  return ::inet_pton(family, text.c_str(), &address) == 1;
}

bool is_local_name(std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const std::size_t end = bracketed ? host.find(']') : host.find(':');
  if (bracketed && end == host.npos) return false;
  const std::string name = lower(host.substr(bracketed ? 1 : 0, bracketed ? end - 1 : end));
  const std::string_view rest = end == host.npos ? "" : host.substr(bracketed ? end + 1 : end);
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return false;
  if (bracketed) return is_address(AF_INET6, name);
  return name == "localhost" || name.ends_with(".localhost") || is_address(AF_INET, name);
}

}  // namespace

ApiStatus check_host(std::string_view host) {
  if (is_local_name(host)) return {};
  return refuse(403,
                "Host: expected localhost or an address, found another name; this server listens on its own "
                "machine alone, and a proxy in front of it has to send Host: localhost",
                "forbidden_host");
}

ApiStatus check_json_type(const Request& request) {
  std::string type = lower(request.content_type.substr(0, request.content_type.find(';')));
  type.erase(std::remove(type.begin(), type.end(), ' '), type.end());
  if (type == "application/json" || type.ends_with("+json")) return {};
  if (type.empty() && request.origin.empty()) return {};
  return refuse(415, "Content-Type: expected application/json, found " + (type.empty() ? "none" : type),
                "unsupported_media_type");
}

}  // namespace serveloop::server
