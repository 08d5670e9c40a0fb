// Reads the keys of one TOML table into variables; the first error stays and the rest of the reads do
// nothing. Thread safety: plain value; refers to the table it reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"

namespace serveloop::policy {

enum class Need : bool { optional = false, required = true };

class TableReader {
 public:
  // `path` names the table in errors ("options.chunk"; empty for the document), `file` the document's source.
  TableReader(const toml::Value& table, std::string path, std::string file = {});

  // Refuses a value that is no table, and keys that are none of `keys` (names the nearest).
  Status known(const std::vector<std::string>& keys) const;

  void text(std::string_view key, std::string* out, Need need);
  void texts(std::string_view key, std::vector<std::string>* out, Need need);
  void choice(std::string_view key, std::string* out, std::span<const char* const> choices, Need need);
  void boolean(std::string_view key, bool* out, Need need);
  void integer(std::string_view key, std::uint32_t* out, Need need);

  const Status& status() const { return status_; }
  // Opens an error about a key: its place where it is there, else the table's.
  std::string named(std::string_view key) const;

 private:
  const toml::Value* get(std::string_view key, Need need, const char* expected);
  std::string full(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  }
  template <class T>
  void take(Result<T> result, T* out);

  const toml::Value& table_;
  std::string path_, file_;
  Status status_;
};

}  // namespace serveloop::policy
