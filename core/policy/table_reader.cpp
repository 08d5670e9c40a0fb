#include "policy/table_reader.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/suggest.hpp"

namespace serveloop::policy {

TableReader::TableReader(const toml::Value& table, std::string path, std::string file)
    : table_(table), path_(std::move(path)), file_(std::move(file)) {}

std::string TableReader::named(std::string_view key) const {
  if (const toml::Value* value = table_.find(key)) return value->named(full(key));
  const std::string at = table_.place();
  return (path_.empty() || at.empty() ? (file_.empty() ? at : file_) : at) + ": " + full(key);
}

Status TableReader::known(const std::vector<std::string>& keys) const {
  if (!table_.is_table()) return fail(table_.named(path_), "a table", table_.describe());
  for (const toml::Entry& entry : table_.entries()) {
    if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
    return fail(named(entry.key), path_.empty() ? "a key of a manifest" : "a key of [" + path_ + "]",
                "unknown key '" + entry.key + "'", did_you_mean(entry.key, keys));
  }
  return {};
}

const toml::Value* TableReader::get(std::string_view key, Need need, const char* expected) {
  if (!status_) return nullptr;
  const toml::Value* value = table_.find(key);
  if (value == nullptr && need == Need::required) status_ = fail(named(key), expected, "nothing");
  return value;
}

template <class T>
void TableReader::take(Result<T> result, T* out) {
  if (result)
    *out = std::move(*result);
  else
    status_ = tl::unexpected(result.error());
}

void TableReader::text(std::string_view key, std::string* out, Need need) {
  if (const toml::Value* value = get(key, need, "a string")) take(value->as_string(full(key)), out);
}

void TableReader::texts(std::string_view key, std::vector<std::string>* out, Need need) {
  if (const toml::Value* value = get(key, need, "an array of strings"))
    take(value->as_strings(full(key)), out);
}

void TableReader::choice(std::string_view key, std::string* out, std::span<const char* const> choices,
                         Need need) {
  const std::vector<std::string> names(choices.begin(), choices.end());
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "one of " : ", ") + name;
  const toml::Value* value = get(key, need, list.c_str());
  if (value == nullptr) return;
  take(value->as_string(full(key)), out);
  if (status_ && std::find(names.begin(), names.end(), *out) == names.end()) {
    const std::string near = nearest(*out, names);
    status_ = fail(named(key), list, "'" + *out + "'", near.empty() ? "" : "did you mean '" + near + "'?");
  }
}

void TableReader::boolean(std::string_view key, bool* out, Need need) {
  if (const toml::Value* value = get(key, need, "true or false")) take(value->as_bool(full(key)), out);
}

void TableReader::integer(std::string_view key, std::uint32_t* out, Need need) {
  const toml::Value* value = get(key, need, "an integer");
  if (value == nullptr) return;
  const Result<std::int64_t> number = value->as_integer(full(key));
  if (!number) {
    status_ = tl::unexpected(number.error());
  } else if (*number < 0 || *number > std::numeric_limits<std::uint32_t>::max()) {
    status_ = fail(named(key), "an integer from 0 to 4294967295", std::to_string(*number));
  } else {
    *out = static_cast<std::uint32_t>(*number);
  }
}

}  // namespace serveloop::policy
