#include "server/openai/fields.hpp"

#include <fmt/format.h>

#include <cmath>

namespace serveloop::server::openai {

const Json* Fields::find(const char* key) const {
  const Json* found = object_.find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

void Fields::refuse(const std::string& key, std::string message, std::string code) {
  if (status_) status_ = server::refuse(place_ + key, std::move(message), std::move(code));
}

void Fields::wrong(const std::string& key, const std::string& expected, const Json& found) {
  refuse(key, fmt::format("{}{}: expected {}, found {}", place_, key, expected, found.describe()));
}

void Fields::flag(const char* key, bool& value) {
  const Json* found = find(key);
  if (found == nullptr) return;
  if (const bool* flag = found->as_bool())
    value = *flag;
  else
    wrong(key, "true or false", *found);
}

bool Fields::whole(const char* key, std::int64_t min, std::int64_t max, std::int64_t& value) {
  const Json* found = find(key);
  if (found == nullptr) return false;
  const std::optional<std::int64_t> number = found->as_integer();
  if (!number || *number < min || *number > max) {
    wrong(key, fmt::format("a whole number from {} to {}", min, max), *found);
    return false;
  }
  value = *number;
  return true;
}

bool Fields::whole(const char* key, std::int64_t min, std::int64_t max, std::uint32_t& value) {
  std::int64_t wide = 0;
  if (!whole(key, min, max, wide)) return false;
  value = static_cast<std::uint32_t>(wide);
  return true;
}

bool Fields::number(const char* key, double min, double max, double& value) {
  const Json* found = find(key);
  if (found == nullptr) return false;
  const std::optional<double> number = found->as_number();
  if (!number || !(*number >= min && *number <= max)) {  // NaN is in no range
    wrong(key, fmt::format("a number from {} to {}", min, max), *found);
    return false;
  }
  value = *number;
  return true;
}

bool Fields::number(const char* key, double min, double max, float& value) {
  double wide = 0;
  if (!number(key, min, max, wide)) return false;
  value = static_cast<float>(wide);
  return true;
}

bool Fields::text(const char* key, std::size_t max_bytes, std::string& value) {
  const Json* found = find(key);
  if (found == nullptr) return false;
  const std::string* text = found->as_string();
  if (text == nullptr || text->size() > max_bytes) {
    wrong(key, fmt::format("a string of at most {} bytes", max_bytes), *found);
    return false;
  }
  value = *text;
  return true;
}

std::optional<std::vector<std::uint32_t>> ids_of(const Json::Array& values, std::uint32_t most) {
  std::vector<std::uint32_t> ids;
  ids.reserve(values.size());
  for (const Json& value : values) {
    const std::optional<std::int64_t> id = value.as_integer();
    if (!id || *id < 0 || *id > most) return std::nullopt;
    ids.push_back(static_cast<std::uint32_t>(*id));
  }
  return ids;
}

bool Fields::ids(const char* key, std::size_t max_count, std::uint32_t most,
                 std::vector<std::uint32_t>& values) {
  const Json::Array* list = array(key);
  if (list == nullptr) return false;
  std::optional<std::vector<std::uint32_t>> ids;
  if (list->size() <= max_count) ids = ids_of(*list, most);
  if (!ids) {
    refuse(key,
           fmt::format("{}{}: expected at most {} whole numbers from 0 to {}", place_, key, max_count, most));
    return false;
  }
  values = std::move(*ids);
  return true;
}

const Json::Object* Fields::object(const char* key) {
  const Json* found = find(key);
  if (found == nullptr) return nullptr;
  if (found->as_object() == nullptr) wrong(key, "an object", *found);
  return found->as_object();
}

const Json::Array* Fields::array(const char* key) {
  const Json* found = find(key);
  if (found == nullptr) return nullptr;
  if (found->as_array() == nullptr) wrong(key, "an array", *found);
  return found->as_array();
}

}  // namespace serveloop::server::openai
