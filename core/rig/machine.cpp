#include "rig/machine.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace serveloop::rig {

namespace fs = std::filesystem;

namespace {

// The number behind `key` in lines of "key number ...".
std::optional<std::uint64_t> field(const fs::path& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string word, rest; in >> word;) {
    std::uint64_t value = 0;
    if (word == key && in >> value) return value;
    std::getline(in, rest);
  }
  return {};
}

std::optional<std::uint64_t> number(const fs::path& file) {  // "max" is none
  std::uint64_t value = 0;
  if (std::ifstream in(file); in >> value) return value;
  return {};
}

// What the tightest of this process's control groups leaves; 0: unknown, or no bound. Cached files give way.
std::uint64_t group_room(const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  fs::path group = mount;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("0::/")) group = mount / line.substr(4);
  std::optional<std::uint64_t> room;
  for (;; group = group.parent_path()) {
    const auto most = number(group / "memory.max"), used = number(group / "memory.current");
    if (most && used) {
      const std::uint64_t held =
          *used - std::min(*used, field(group / "memory.stat", "inactive_file").value_or(0));
      const std::uint64_t left = *most > held ? *most - held : 1;
      room = std::min(room.value_or(left), left);
    }
    if (group == mount || group == group.parent_path()) return room.value_or(0);
  }
}

}  // namespace

unsigned usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
}

std::string processor_name(const fs::path& root) {
  std::ifstream in(root / "proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
    if (line.starts_with("model name") && line.find(':') != std::string::npos && value != std::string::npos)
      return line.substr(value);
  }
  struct utsname system {};
  return ::uname(&system) == 0 ? system.machine : "unknown";
}

std::uint64_t available_memory(const fs::path& root) {
  const std::uint64_t system = field(root / "proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  const std::uint64_t group = group_room(root);
  return system == 0 ? group : group == 0 ? system : std::min(system, group);
}

Status check_room(const char* what, std::uint64_t bytes, const char* hint) {
  const std::uint64_t available = available_memory();
  if (available == 0 || bytes <= available) return {};
  constexpr double kMega = 1024 * 1024;
  return fail("the model does not fit into memory",
              fmt::format("{} of at most {:.0f} MiB", what, static_cast<double>(available) / kMega),
              fmt::format("{:.0f} MiB", static_cast<double>(bytes) / kMega), hint);
}

}  // namespace serveloop::rig
