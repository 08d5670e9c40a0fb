// Opening a plugin. Invariant: nothing of the object runs before its manifest and hash are right, and nothing
// of a Library is handed out before the handshake is.
#include "policy/library.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>

#define BOOST_DLL_USE_STD_FS
#include <boost/dll/shared_library.hpp>

#include "policy/object_file.hpp"

namespace serveloop::policy {
namespace {

#define SERVELOOP_END(type, field) (offsetof(type, field) + sizeof(type::field))

constexpr std::size_t kLongestText = 256;

std::string hex(std::uint64_t value) {
  std::array<char, 24> out{};
  std::snprintf(out.data(), out.size(), "0x%016llx", static_cast<unsigned long long>(value));
  return out.data();
}

std::string version_of(std::uint32_t major, std::uint32_t minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

// A field of the plugin's that should be a short text.
std::string text_of(const char* text) {
  return text == nullptr ? "(null)" : "'" + std::string(text, strnlen(text, kLongestText)) + "'";
}

// Bytes that a function table must have: those up to its kind's last required function.
std::size_t required_bytes(Kind kind) {
  switch (kind) {
    case Kind::scheduler: return SERVELOOP_END(sl_scheduler, plan);
    case Kind::eviction: return SERVELOOP_END(sl_eviction, evict);
    case Kind::preemption: return SERVELOOP_END(sl_preemption, preempt);
    case Kind::precision: return SERVELOOP_END(sl_precision, assign);
  }
  return SIZE_MAX;
}

// All kinds' tables open with struct_size and padding, then their one required function.
struct AnyFunctions {
  std::uint32_t struct_size, pad;
  void (*required)();
};
static_assert(offsetof(AnyFunctions, required) == offsetof(sl_scheduler, plan));
static_assert(offsetof(AnyFunctions, required) == offsetof(sl_eviction, evict));
static_assert(offsetof(AnyFunctions, required) == offsetof(sl_preemption, preempt));
static_assert(offsetof(AnyFunctions, required) == offsetof(sl_precision, assign));

// Copies a table that opens with its size in bytes; what the plugin's lacks stays zero.
void copy_sized(void* out, std::size_t size, const void* table) {
  std::uint32_t theirs = 0;
  std::memcpy(&theirs, table, sizeof(theirs));
  std::memcpy(out, table, std::min<std::size_t>(size, theirs));
}

Status refuse(const Manifest& manifest, const char* field, std::string expected, std::string found,
              std::string hint = {}) {
  return fail(manifest.library_path() + ": " + field, std::move(expected), std::move(found), std::move(hint));
}

// What the loader says, without the private copy's name.
std::string loader_text(std::string text, const std::string& opened, const std::string& library) {
  const std::string_view before = "dlerror system message: ";
  if (const auto at = text.find(before); at != std::string::npos) {
    text = text.substr(at + before.size());
    text = text.substr(0, text.rfind("):"));
  }
  for (auto at = text.find(opened); at != std::string::npos; at = text.find(opened))
    text.replace(at, opened.size(), library);
  return text;
}

Status check_manifest_abi(const Manifest& m) {
  if (m.abi_major == SL_ABI_MAJOR && m.abi_minor_min <= SL_ABI_MINOR) return {};
  return fail(m.file + ": abi", "a range that holds this host's " + version_of(SL_ABI_MAJOR, SL_ABI_MINOR),
              "major " + std::to_string(m.abi_major) + ", minor_min " + std::to_string(m.abi_minor_min));
}

Status check_functions(const sl_plugin& plugin, const Manifest& m) {
  if (plugin.functions == nullptr) return refuse(m, "functions", "a function table", "null");
  std::uint32_t size = 0;
  std::memcpy(&size, plugin.functions, sizeof(size));
  if (size < required_bytes(m.kind)) {
    return refuse(m, "functions.struct_size", "at least " + std::to_string(required_bytes(m.kind)),
                  std::to_string(size));
  }
  if (static_cast<const AnyFunctions*>(plugin.functions)->required == nullptr) {
    return refuse(m, "functions", std::string("the ") + name_of(m.kind) + "'s first function", "null");
  }
  if (plugin.create == nullptr) return refuse(m, "create", "a function", "null");
  if (plugin.destroy == nullptr) return refuse(m, "destroy", "a function", "null");
  return {};
}

}  // namespace

struct Library::Object {
  boost::dll::shared_library loaded;
};

Status check_handshake(const sl_plugin& plugin, const Manifest& m) {
  if (plugin.magic != SL_MAGIC) return refuse(m, "magic", hex(SL_MAGIC), hex(plugin.magic));
  if (plugin.struct_size < SERVELOOP_END(sl_plugin, extension)) {
    return refuse(m, "struct_size", "at least " + std::to_string(SERVELOOP_END(sl_plugin, extension)),
                  std::to_string(plugin.struct_size));
  }
  if (plugin.abi_major != SL_ABI_MAJOR) {
    return refuse(m, "abi_major", std::to_string(SL_ABI_MAJOR), std::to_string(plugin.abi_major));
  }
  if (plugin.abi_minor > SL_ABI_MINOR) {
    return refuse(m, "abi_minor", "at most " + std::to_string(SL_ABI_MINOR),
                  std::to_string(plugin.abi_minor));
  }
  if (SL_ABI_MAJOR == 0 && plugin.stamp != SL_ABI_STAMP) {
    return refuse(m, "stamp", hex(SL_ABI_STAMP), hex(plugin.stamp), "build it against this host's SDK");
  }
  if (plugin.kind != static_cast<std::uint32_t>(m.kind)) {
    const bool known = plugin.kind >= SL_KIND_SCHEDULER && plugin.kind <= SL_KIND_PRECISION;
    return refuse(m, "kind", std::string(name_of(m.kind)) + " as its manifest says",
                  known ? name_of(static_cast<Kind>(plugin.kind)) : std::to_string(plugin.kind));
  }
  if (text_of(plugin.id) != "'" + m.id + "'") {
    return refuse(m, "id", "'" + m.id + "' as its manifest says", text_of(plugin.id));
  }
  if (text_of(plugin.version) != "'" + m.version + "'") {
    return refuse(m, "version", "'" + m.version + "' as its manifest says", text_of(plugin.version));
  }
  return check_functions(plugin, m);
}

Library::Library(Manifest manifest, std::string sha256)
    : manifest_(std::move(manifest)), sha256_(std::move(sha256)) {}
Library::~Library() = default;

namespace {

struct Checked {
  std::vector<std::uint8_t> bytes;
  std::string sha256;
};

Result<Checked> read_checked(const Manifest& manifest, bool require_hash) {
  if (Status status = check_manifest_abi(manifest); !status) return tl::unexpected(status.error());
  if (require_hash && manifest.sha256.empty()) {
    return fail(manifest.file + ": sha256", "the object's hash, as for every plugin on the search path",
                "nothing", "seal it, or set policy.allow_unsigned = true");
  }
  Result<std::vector<std::uint8_t>> bytes = read_object(manifest.library_path());
  if (!bytes) return tl::unexpected(bytes.error());
  std::string sha256 = sha256_hex(*bytes);
  if (!manifest.sha256.empty() && manifest.sha256 != sha256) {
    return fail(manifest.file + ": sha256 of " + manifest.library, manifest.sha256, sha256);
  }
  return Checked{std::move(*bytes), std::move(sha256)};
}

}  // namespace

Status Library::check(const Manifest& manifest, bool require_hash) {
  const Result<Checked> checked = read_checked(manifest, require_hash);
  return checked ? Status() : Status(tl::unexpected(checked.error()));
}

Result<std::shared_ptr<const Library>> Library::open(Manifest manifest, bool require_hash) {
  Result<Checked> checked = read_checked(manifest, require_hash);
  if (!checked) return tl::unexpected(checked.error());
  const Result<std::string> copy = private_copy(checked->bytes, checked->sha256, manifest.library);
  if (!copy) return tl::unexpected(copy.error());
  const std::shared_ptr<Library> library(new Library(std::move(manifest), std::move(checked->sha256)));
  if (Status status = library->load(*copy); !status) return tl::unexpected(status.error());
  return library;
}

Status Library::load(const std::string& path) {
  using boost::dll::load_mode::rtld_local;
  using boost::dll::load_mode::rtld_now;
  opened_path_ = path;
  object_ = std::make_unique<Object>();
  try {
    object_->loaded.load(path, rtld_now | rtld_local);
    if (!object_->loaded.has(SL_PLUGIN_SYMBOL)) {
      return refuse(manifest_, SL_PLUGIN_SYMBOL, "an exported symbol", "none",
                    "close the plugin with SERVELOOP_SCHEDULER, _EVICTION, _PREEMPTION or _PRECISION");
    }
    plugin_ = &object_->loaded.get<const sl_plugin>(SL_PLUGIN_SYMBOL);
  } catch (const std::exception& error) {
    return fail(manifest_.library_path(), "an object that can be loaded",
                loader_text(error.what(), path, manifest_.library_path()));
  }
  return check_handshake(*plugin_, manifest_);
}

void Library::copy_functions(void* out, std::size_t size) const { copy_sized(out, size, plugin_->functions); }

bool Library::copy_extension(const char* id, void* out, std::size_t size) const {
  if (plugin_->extension == nullptr) return false;
  try {
    const void* table = plugin_->extension(id);
    if (table == nullptr) return false;
    copy_sized(out, size, table);
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace serveloop::policy
