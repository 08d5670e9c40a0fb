// An opened plugin object. Before it is opened, its manifest's ABI range and hash are checked; it is opened
// from a private copy in memory, named by its content, so that a replaced file gives the new code and an overwritten one
// cannot change running code. Then the handshake: a refusal names the field, what was expected and what was
// found. Thread safety: open() from any thread; a Library is immutable.
#pragma once

#include <serveloop/serveloop.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "policy/manifest.hpp"

namespace serveloop::policy {

class Library {
 public:
  // `require_hash`: the manifest must state the object's sha256. One that is stated must always be right.
  static Result<std::shared_ptr<const Library>> open(Manifest manifest, bool require_hash);
  // What open() checks before the object is opened: ABI range, existence, hash.
  static Status check(const Manifest& manifest, bool require_hash);
  ~Library();  // closes the object
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const Manifest& manifest() const { return manifest_; }
  const std::string& sha256() const { return sha256_; }
  const std::string& opened_path() const { return opened_path_; }
  const sl_plugin& plugin() const { return *plugin_; }

  // The plugin's function table, of the manifest's kind; functions newer than the plugin are null.
  template <class Functions>
  Functions functions() const {
    Functions out{};
    copy_functions(&out, sizeof(out));
    return out;
  }
  // An extension's table likewise; false where the plugin lacks it.
  template <class Functions>
  bool extension(const char* id, Functions* out) const {
    return copy_extension(id, out, sizeof(*out));
  }

 private:
  struct Object;  // the loader's handle
  Library(Manifest manifest, std::string sha256);
  Status load(const std::string& path);
  void copy_functions(void* out, std::size_t size) const;
  bool copy_extension(const char* id, void* out, std::size_t size) const;

  Manifest manifest_;
  std::string sha256_, opened_path_;
  std::unique_ptr<Object> object_;
  const sl_plugin* plugin_ = nullptr;
};

// The handshake alone. Does not check beyond `plugin.struct_size`.
Status check_handshake(const sl_plugin& plugin, const Manifest& manifest);

}  // namespace serveloop::policy
