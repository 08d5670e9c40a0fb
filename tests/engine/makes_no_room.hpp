// Which of the shipped schedulers look for room before they let anybody in.
#pragma once

#include <string_view>

namespace serveloop::test {

// Under these who waits enters only where its prompt has room: what yields does so for tokens to come, which is not often in one run.
inline bool makes_no_room(std::string_view scheduler) {
  return scheduler == "srpt" || scheduler == "edf" || scheduler == "lars" || scheduler == "mlfq" ||
         scheduler == "plas";
}

}  // namespace serveloop::test
