// Finds plugins: by id along the search path, or by path.
//
// The search path, first match wins: SERVELOOP_PLUGIN_PATH (separated by ':'), `[policy] search`,
// ~/.local/lib/serveloop/plugins/<abi>, $libdir/serveloop/plugins/<abi>, `plugins` beside the program. Each
// folder is searched three levels deep for folders that hold a plugin.toml. Thread safety: immutable after
// construction; reads the file system at each call.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/manifest.hpp"

namespace serveloop::policy {

struct SearchOptions {
  std::vector<std::string> folders;  // `[policy] search`
  bool allow_unsigned = false;       // plugins on the search path need no sha256
  bool standard_places = true;       // false: `folders` alone
};

// A plugin.toml that was found. By path it may be unsigned: whoever writes the path vouches for it.
struct Found {
  Manifest manifest;
  bool by_path = false;
};

// One row of `serveloop plugin list`.
struct Listed {
  std::string file;  // its plugin.toml
  Result<Manifest> manifest;
  bool shadowed = false;         // an earlier one has the same id
  std::optional<Error> problem;  // with a good manifest: why it cannot be loaded; Host::list() sets it
};

class Search {
 public:
  explicit Search(SearchOptions options = {});

  // A name with a '/' is a path: a plugin's folder, its manifest or its object.
  static bool is_path(std::string_view plugin);

  // Finds a plugin of that kind. The error lists the ids of the kind that were found, and where it looked; or
  // says which kind the plugin is of.
  Result<Found> find(const std::string& plugin, Kind kind) const;
  // Of any kind.
  Result<Found> find(const std::string& plugin) const;

  std::vector<Listed> list() const;
  const std::vector<std::string>& places() const { return places_; }
  bool allow_unsigned() const { return options_.allow_unsigned; }

 private:
  Result<Found> find_by_id(const std::string& id, const Kind* kind) const;

  SearchOptions options_;
  std::vector<std::string> places_;
};

}  // namespace serveloop::policy
