// What one connection could not do (memory, mostly) ends that connection, and nobody else's. [I/O thread]
#pragma once

#include <spdlog/spdlog.h>

#include <exception>

namespace serveloop::server {

// Runs `act`; an exception out of it is logged, and closes `connection`.
template <class Connection, class Act>
void guarded(Connection& connection, Act&& act) {
  try {
    act();
  } catch (const std::exception& error) {
    SPDLOG_ERROR("a connection is closed: {}", error.what());
    connection.close();
  }
}

}  // namespace serveloop::server
