// /metrics in Prometheus' text format: serveloop_* in base units, and the names by which load generators and gateways
// know vLLM's. A pure function of what it is given.
#pragma once

#include <string>

#include "server/http_counts.hpp"
#include "service/service.hpp"

namespace serveloop::server {

std::string metrics_text(const service::Snapshot& snapshot, const service::Info& info,
                         const HttpCounts& http);

}  // namespace serveloop::server
