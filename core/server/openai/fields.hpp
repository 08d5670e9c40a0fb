// Typed reading of a JSON object's fields. The first error of all readers that share a status stays, and names its
// parameter with its place ("serveloop.priority"). An absent field and null leave the value as it was. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/errors.hpp"
#include "server/json.hpp"

namespace serveloop::server::openai {

class Fields {
 public:
  // Both outlive it. `place`: what precedes a key's name, "serveloop.".
  Fields(const Json& object, std::string place, ApiStatus& status)
      : object_(object), place_(std::move(place)), status_(status) {}

  const Json* find(const char* key) const;  // null: absent or null
  bool well() const { return status_.has_value(); }

  void flag(const char* key, bool& value);
  // Bounds are inclusive. True where the field was there and right, as of those below.
  bool whole(const char* key, std::int64_t min, std::int64_t max, std::int64_t& value);
  bool whole(const char* key, std::int64_t min, std::int64_t max, std::uint32_t& value);
  bool number(const char* key, double min, double max, double& value);
  bool number(const char* key, double min, double max, float& value);
  bool text(const char* key, std::size_t max_bytes, std::string& value);
  // A list of whole numbers from 0 to `most`.
  bool ids(const char* key, std::size_t max_count, std::uint32_t most, std::vector<std::uint32_t>& values);
  const Json::Object* object(const char* key);
  const Json::Array* array(const char* key);

  void refuse(const std::string& key, std::string message, std::string code = {});
  void wrong(const std::string& key, const std::string& expected, const Json& found);

 private:
  const Json& object_;
  std::string place_;
  ApiStatus& status_;
};

// Whole numbers from 0 to `most`; nothing: `values` is not such a list.
std::optional<std::vector<std::uint32_t>> ids_of(const Json::Array& values, std::uint32_t most);

}  // namespace serveloop::server::openai
