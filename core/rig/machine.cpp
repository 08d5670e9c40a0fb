#include "rig/machine.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace serveloop::rig {

unsigned usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
}

std::uint64_t available_memory() {
  std::ifstream in("/proc/meminfo");
  for (std::string key, unit; in >> key;) {
    std::uint64_t kib = 0;
    if (key == "MemAvailable:" && in >> kib) return kib * 1024;
    std::getline(in, unit);
  }
  return 0;
}

}  // namespace serveloop::rig
