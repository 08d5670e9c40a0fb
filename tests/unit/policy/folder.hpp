// A folder of plugins that a test makes and takes away again.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "policy/host.hpp"

namespace serveloop::policy::testing {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string path = (fs::temp_directory_path() / "test-policy-XXXXXX").string();
    path_ = mkdtemp(path.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& inner = {}) const { return (path_ / inner).string(); }

  // A plugin's folder with a manifest and a build of the probe ("" = no object).
  std::string plugin(const std::string& inner, const std::string& manifest,
                     const std::string& probe = "probe_good") const {
    fs::create_directories(path_ / inner);
    std::ofstream(path_ / inner / "plugin.toml") << manifest;
    if (!probe.empty()) object(inner + "/probe.so", probe);
    return path(inner);
  }
  void object(const std::string& inner, const std::string& probe) const {
    fs::remove(path_ / inner);
    fs::copy_file(fs::path(PROBE_FOLDER) / (probe + ".so"), path_ / inner);
  }

 private:
  fs::path path_;
};

// A manifest that fits probe_good; `extra` keys go to its top level, `tables` behind them.
inline std::string manifest_text(const std::string& extra = {}, const std::string& tables = {},
                                 const std::string& kind = "scheduler", const std::string& id = "probe") {
  return "id = \"" + id + "\"\nkind = \"" + kind + "\"\nversion = \"1.0.0\"\nlibrary = \"probe.so\"\n" +
         "reasons = [\"first\", \"second\"]\n" + extra + "\n[abi]\nmajor = 0\n" + tables + "\n" +
         "[options.behave]\ntype = \"text\"\ndefault = \"well\"\n";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The error's line, for a check that must not fail.
template <class T>
std::string why(const Result<T>& result) {
  return result ? std::string() : result.error().message();
}

// Search in one folder only.
inline SearchOptions only(const std::string& folder, bool allow_unsigned = true) {
  return {{folder}, allow_unsigned, false};
}

inline Choice choice(const std::string& plugin, const std::string& behave = {}) {
  Choice out{plugin, {}};
  if (!behave.empty()) out.options["behave"] = behave;
  return out;
}

// Answer buffers and a view to call with.
struct Buffers {
  sl_entry entries[4]{};
  sl_gauge gauge_rows[2]{};
  sl_out rows{entries, sizeof(sl_entry), 4, 0, 0};
  sl_out gauges{gauge_rows, sizeof(sl_gauge), 2, 0, 0};
  sl_view view{};
};

}  // namespace serveloop::policy::testing
