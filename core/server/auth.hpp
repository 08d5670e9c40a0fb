// API keys: which tenant a bearer key names. Holds digests only; a comparison takes the same time wherever keys differ.
// Immutable; any thread.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "server/errors.hpp"

namespace serveloop::server {

struct Caller {
  std::string key;     // as presented; empty: none
  std::string tenant;  // that the key names; empty: none
};

class Keys {
 public:
  explicit Keys(const std::map<std::string, config::Tenant>& tenants);

  bool required() const { return !entries_.empty(); }  // some tenant has keys
  // Of an Authorization header's value. 401 where a key is required and there is none, or an unknown one.
  ApiResult<Caller> identify(std::string_view authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    Digest digest;
    std::string tenant;
  };
  std::vector<Entry> entries_;
};

}  // namespace serveloop::server
