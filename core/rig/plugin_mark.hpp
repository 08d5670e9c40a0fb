// A plugin's object, as logs and results name it. Plain values.
#pragma once

#include <string>

#include "policy/instance.hpp"

namespace serveloop::rig {

struct PluginMark {
  std::string kind, id, version, sha256;
  bool operator==(const PluginMark&) const = default;
};

inline PluginMark mark_of(const policy::Instance& i) {
  return {policy::name_of(i.kind()), i.id(), i.manifest().version, i.library().sha256()};
}

}  // namespace serveloop::rig
