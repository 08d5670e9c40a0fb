// Walking the search path. Invariant: folders are visited in name order, so that every machine finds the same
// plugin.
#include "policy/search.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>

#include "base/joined.hpp"
#include "base/suggest.hpp"

namespace serveloop::policy {
namespace {

namespace fs = std::filesystem;

constexpr int kDepth = 3;                   // folders below a place
constexpr std::size_t kMostFolders = 4096;  // of one place, against a search path that names half a disk

std::string abi_folder() { return std::to_string(SL_ABI_MAJOR); }

std::string beside_program() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? std::string() : (program.parent_path() / "plugins").string();
}

void add_standard_places(std::vector<std::string>& places) {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    places.push_back(std::string(home) + "/.local/lib/serveloop/plugins/" + abi_folder());
  }
  places.push_back(SERVELOOP_LIBDIR "/serveloop/plugins/" + abi_folder());
  if (std::string beside = beside_program(); !beside.empty()) places.push_back(std::move(beside));
}

void add_environment(std::vector<std::string>& places) {
  const char* path = std::getenv("SERVELOOP_PLUGIN_PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) places.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// The folders of `folder` in name order; none where it can't be read.
std::vector<fs::path> folders_in(const fs::path& folder, std::size_t* budget) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end && *budget > 0; at.increment(error)) {
    std::error_code ignored;
    if (at->path().filename().string().starts_with('.') || !at->is_directory(ignored)) continue;
    out.push_back(at->path());
    --*budget;
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Calls `visit(file)` for each plugin.toml until it returns true.
bool walk(const fs::path& folder, int depth, std::size_t* budget,
          const std::function<bool(const std::string&)>& visit) {
  std::error_code ignored;
  const fs::path file = folder / "plugin.toml";
  if (fs::is_regular_file(file, ignored)) return visit(file.string());
  if (depth == 0) return false;
  for (const fs::path& inner : folders_in(folder, budget)) {
    if (walk(inner, depth - 1, budget, visit)) return true;
  }
  return false;
}

void walk_all(const std::vector<std::string>& places, const std::function<bool(const std::string&)>& visit) {
  for (const std::string& place : places) {
    std::size_t budget = kMostFolders;
    if (walk(place, kDepth, &budget, visit)) return;
  }
}

Result<Found> find_by_path(const std::string& plugin) {
  const fs::path path(plugin);
  std::error_code error;
  if (!fs::exists(path, error))
    return fail("plugin '" + plugin + "'", "a folder, plugin.toml or object", "no such file");
  fs::path file = path;
  if (fs::is_directory(path, error))
    file = path / "plugin.toml";
  else if (path.extension() != ".toml")
    file = path.parent_path() / "plugin.toml";
  if (!fs::is_regular_file(file, error)) {
    return fail("plugin '" + plugin + "'", "its manifest " + file.string(), "no such file");
  }
  Result<Manifest> manifest = read_manifest(file.string());
  if (!manifest) return tl::unexpected(manifest.error());
  if (path.extension() == ".so" && !fs::is_directory(path, error) && path.filename() != manifest->library) {
    return fail(file.string() + ": library", path.filename().string(), manifest->library,
                "an object has its policy's id as its name: rename it, or state library = \"" +
                    path.filename().string() + "\" in the manifest");
  }
  return Found{std::move(*manifest), true};
}

Status check_kind(const Manifest& manifest, Kind kind) {
  if (manifest.kind == kind) return {};
  return fail(manifest.file + ": plugin '" + manifest.id + "' is of the wrong kind", name_of(kind),
              name_of(manifest.kind));
}

}  // namespace

Search::Search(SearchOptions options) : options_(std::move(options)) {
  if (options_.standard_places) add_environment(places_);
  places_.insert(places_.end(), options_.folders.begin(), options_.folders.end());
  if (options_.standard_places) add_standard_places(places_);
}

bool Search::is_path(std::string_view plugin) { return plugin.find('/') != std::string_view::npos; }

Result<Found> Search::find(const std::string& plugin, Kind kind) const {
  if (!is_path(plugin)) return find_by_id(plugin, &kind);
  Result<Found> found = find_by_path(plugin);
  if (!found) return found;
  if (Status status = check_kind(found->manifest, kind); !status) return tl::unexpected(status.error());
  return found;
}

Result<Found> Search::find(const std::string& plugin) const {
  return is_path(plugin) ? find_by_path(plugin) : find_by_id(plugin, nullptr);
}

Result<Found> Search::find_by_id(const std::string& id, const Kind* kind) const {
  std::optional<Found> found;
  std::optional<Error> broken;  // a folder of that name whose manifest can't be read
  std::set<std::string> ids;
  walk_all(places_, [&](const std::string& file) {
    Result<Manifest> manifest = read_manifest(file);
    if (!manifest) {
      if (!broken && fs::path(file).parent_path().filename() == id) broken = manifest.error();
      return broken.has_value();
    }
    if (kind == nullptr || manifest->kind == *kind) ids.insert(manifest->id);
    if (manifest->id == id) found = Found{std::move(*manifest), false};
    return found.has_value();
  });
  if (broken) return tl::unexpected(*broken);
  if (found) {
    const Status status = kind == nullptr ? Status() : check_kind(found->manifest, *kind);
    if (!status) return tl::unexpected(status.error());
    return std::move(*found);
  }
  const std::vector<std::string> names(ids.begin(), ids.end());
  const std::string what = kind == nullptr ? "plugin" : name_of(*kind);
  const std::string near = nearest(id, names);
  std::error_code ignored;
  const bool folder = id == "." || id == ".." || fs::exists(fs::path(id) / "plugin.toml", ignored);
  if (folder || id.ends_with(".so") || id.ends_with(".toml")) {
    return fail(what + " '" + id + "' not found", "an id, or a path, which holds a '/'", "",
                std::string("for the ") + (folder ? "folder" : "file") + " write '" +
                    (id == "." || id == ".." ? id + "/'" : "./" + id + "'"));
  }
  return fail(
      what + " '" + id + "' not found", "one of: " + joined(names, "(none found)"), "",
      (near.empty() ? "" : "did you mean '" + near + "'? ") + ("looked in: " + joined(places_, "(nowhere)")));
}

std::vector<Listed> Search::list() const {
  std::vector<Listed> out;
  std::set<std::string> ids, files;
  walk_all(places_, [&](const std::string& file) {
    std::error_code ignored;
    if (!files.insert(fs::weakly_canonical(file, ignored).string()).second) return false;
    Result<Manifest> manifest = read_manifest(file);
    const bool shadowed = manifest && !ids.insert(manifest->id).second;
    out.push_back({file, std::move(manifest), shadowed, {}});
    return false;
  });
  return out;
}

}  // namespace serveloop::policy
