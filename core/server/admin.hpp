// The admin listener's endpoints: which policies are in force, and changing one while the engine runs. Whoever reaches
// the socket may do all of it. Any thread.
#pragma once

#include "server/backend.hpp"
#include "server/router.hpp"

namespace serveloop::server {

// The backend outlives the router.
Router admin_routes(Backend& backend);

}  // namespace serveloop::server
