// Reading plugin.toml. Invariant: a Manifest that is handed out has been checked whole, so nobody checks it
// again.
#include "policy/manifest.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/suggest.hpp"
#include "policy/option_spec.hpp"
#include "policy/table_reader.hpp"

namespace serveloop::policy {
namespace {

constexpr std::size_t kMostNames = 1024;  // reasons, gauges
constexpr std::size_t kLongestName = 64;

constexpr std::array<const char*, 4> kKinds = {"scheduler", "eviction", "preemption", "precision"};
constexpr std::array<const char*, 3> kSwaps = {"events", "state", "none"};

Status check_names(const TableReader& table, const char* key, const std::vector<std::string>& names) {
  if (names.size() > kMostNames) {
    return fail(table.named(key), "at most " + std::to_string(kMostNames), std::to_string(names.size()));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!is_name(names[i]))
      return fail(table.named(key), "names of letters, digits, '-', '_', '.'", names[i]);
    if (std::find(names.begin(), names.begin() + i, names[i]) != names.begin() + i) {
      return fail(table.named(key), "each name once", "'" + names[i] + "' twice");
    }
  }
  return {};
}

Status check_identity(const TableReader& table, const Manifest& m) {
  if (!is_name(m.id)) {
    return fail(table.named("id"), "up to 64 letters, digits, '-', '_', '.'", "'" + m.id + "'");
  }
  const auto printable = [](char c) { return c > 0x20 && c < 0x7f; };
  if (m.version.empty() || m.version.size() > kLongestName ||
      !std::all_of(m.version.begin(), m.version.end(), printable)) {
    return fail(table.named("version"), "a version such as 0.1.0", "'" + m.version + "'");
  }
  if (!m.library.ends_with(".so") || m.library.find('/') != std::string::npos) {
    return fail(table.named("library"), "the name of an object (*.so) beside the manifest",
                "'" + m.library + "'");
  }
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!m.sha256.empty() && (m.sha256.size() != 64 || !std::all_of(m.sha256.begin(), m.sha256.end(), hex))) {
    return fail(table.named("sha256"), "64 lower-case hex digits", "'" + m.sha256 + "'");
  }
  if (m.gate && m.kind != Kind::scheduler) {
    return fail(table.named("gate"), "kind = \"scheduler\" where gate = true", name_of(m.kind));
  }
  return {};
}

Status read_abi(const toml::Value& table, Manifest& m) {
  TableReader abi(table, "abi");
  if (Status status = abi.known({"major", "minor_min"}); !status) return status;
  abi.integer("major", &m.abi_major, Need::required);
  abi.integer("minor_min", &m.abi_minor_min, Need::optional);
  return abi.status();
}

Status read_options(const toml::Value& table, Manifest& m) {
  if (!table.is_table()) return fail(table.named("options"), "a table", table.describe());
  for (const toml::Entry& entry : table.entries()) {
    Result<OptionSpec> spec = read_option_spec(entry.key, entry.value);
    if (!spec) return tl::unexpected(spec.error());
    m.options.push_back(std::move(*spec));
  }
  return {};
}

Status read_top(TableReader& table, Manifest& m) {
  std::string kind, swap = "events";
  table.text("id", &m.id, Need::required);
  table.choice("kind", &kind, kKinds, Need::required);
  table.text("version", &m.version, Need::required);
  table.text("license", &m.license, Need::optional);
  table.text("summary", &m.summary, Need::optional);
  table.text("library", &m.library, Need::optional);
  table.text("sha256", &m.sha256, Need::optional);
  table.choice("swap", &swap, kSwaps, Need::optional);
  table.boolean("gate", &m.gate, Need::optional);
  table.texts("reasons", &m.reasons, Need::optional);
  table.texts("gauges", &m.gauges, Need::optional);
  if (!table.status()) return table.status();
  m.kind = *kind_named(kind);
  m.swap = static_cast<SwapClass>(std::find(kSwaps.begin(), kSwaps.end(), swap) - kSwaps.begin());
  if (m.library.empty()) m.library = m.id + ".so";
  if (Status status = check_identity(table, m); !status) return status;
  if (Status status = check_names(table, "reasons", m.reasons); !status) return status;
  return check_names(table, "gauges", m.gauges);
}

Result<Manifest> read_document(const toml::Value& document, const std::string& file) {
  Manifest m;
  m.file = file;
  m.folder = std::filesystem::path(file).parent_path().string();
  if (m.folder.empty()) m.folder = ".";
  TableReader table(document, "", file);
  if (Status status = table.known({"id", "kind", "version", "license", "summary", "library", "sha256", "abi",
                                   "swap", "reasons", "gauges", "gate", "options"});
      !status) {
    return tl::unexpected(status.error());
  }
  if (Status status = read_top(table, m); !status) return tl::unexpected(status.error());
  const toml::Value* abi = document.find("abi");
  if (abi == nullptr) return fail(table.named("abi"), "a table with `major`", "nothing");
  if (Status status = read_abi(*abi, m); !status) return tl::unexpected(status.error());
  if (const toml::Value* options = document.find("options")) {
    if (Status status = read_options(*options, m); !status) return tl::unexpected(status.error());
  }
  return m;
}

}  // namespace

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= kLongestName && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), fits);
}

const char* name_of(Kind kind) { return kKinds[static_cast<std::size_t>(kind) - 1]; }

std::optional<Kind> kind_named(std::string_view name) {
  const auto at = std::find(kKinds.begin(), kKinds.end(), name);
  if (at == kKinds.end()) return std::nullopt;
  return static_cast<Kind>(at - kKinds.begin() + 1);
}

const char* name_of(SwapClass swap) { return kSwaps[static_cast<std::size_t>(swap)]; }

const OptionSpec* Manifest::option(std::string_view name) const {
  const auto at =
      std::find_if(options.begin(), options.end(), [&](const OptionSpec& o) { return o.name == name; });
  return at == options.end() ? nullptr : &*at;
}

Result<Manifest> read_manifest(const std::string& file) {
  Result<toml::Value> document = toml::parse_file(file);
  if (!document) return tl::unexpected(document.error());
  return read_document(*document, file);
}

Result<Manifest> parse_manifest(std::string_view text, const std::string& file) {
  Result<toml::Value> document = toml::parse(text, file);
  if (!document) return tl::unexpected(document.error());
  return read_document(*document, file);
}

}  // namespace serveloop::policy
