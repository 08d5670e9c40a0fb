#include "server/auth.hpp"

#include <sodium/crypto_hash_sha256.h>
#include <sodium/utils.h>

#include <optional>

namespace serveloop::server {
namespace {

constexpr std::size_t kMostKeyBytes = 4096;

std::array<unsigned char, 32> digest_of(std::string_view key) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(key.data()), key.size());
  return digest;
}

// What follows "Bearer " (the scheme in any case, RFC 9110).
std::optional<std::string_view> bearer(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() <= kScheme.size() || value.size() > kMostKeyBytes) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i)
    if ((static_cast<unsigned char>(value[i]) | 0x20) != static_cast<unsigned char>(kScheme[i]))
      return std::nullopt;
  value.remove_prefix(kScheme.size());
  const std::size_t from = value.find_first_not_of(' ');
  if (from == std::string_view::npos) return std::nullopt;
  return value.substr(from, value.find_last_not_of(' ') - from + 1);
}

ApiError unauthorized(std::string message) {
  return {401, std::move(message), "", "invalid_api_key", {{"WWW-Authenticate", "Bearer"}}};
}

}  // namespace

Keys::Keys(const std::map<std::string, config::Tenant>& tenants) {
  for (const auto& [id, tenant] : tenants)
    for (const std::string& key : tenant.keys) entries_.push_back({digest_of(key), id});
}

ApiResult<Caller> Keys::identify(std::string_view authorization) const {
  const std::optional<std::string_view> key = bearer(authorization);
  if (!required()) return Caller{std::string(key.value_or("")), ""};
  if (!key)
    return tl::unexpected(unauthorized("an API key is required: send it as `Authorization: Bearer KEY`"));
  const Digest digest = digest_of(*key);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_)  // all of them, always
    if (sodium_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
  if (found == nullptr) return tl::unexpected(unauthorized("the API key is not known here"));
  return Caller{std::string(*key), found->tenant};
}

}  // namespace serveloop::server
