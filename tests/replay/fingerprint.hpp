// The shared mapping's bytes, by page: what policies could read.
#pragma once

#include <map>
#include <string>

#include "engine/engine.hpp"

namespace serveloop::test {

using Fingerprint = std::map<std::size_t, std::uint64_t>;  // offset of a page that is not all zeros -> hash

// `tables_only`: without the buffers that policies answer into, which hold what a policy wrote and nobody
// used.
Fingerprint fingerprint(const engine::Engine& engine, bool tables_only);
// Empty if equal, else where they first differ.
std::string difference(const Fingerprint& a, const Fingerprint& b);

}  // namespace serveloop::test
