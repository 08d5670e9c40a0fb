// Where weight files are that the repository does not hold: SERVELOOP_MODELS, else build/models, where `./dev model` puts
// them.
#pragma once

#include <cstdlib>
#include <string>

namespace serveloop::execute::cpu::test {

inline std::string models_folder() {
  const char* named = std::getenv("SERVELOOP_MODELS");
  return named != nullptr && *named != '\0' ? named : SERVELOOP_DEFAULT_MODELS;
}

}  // namespace serveloop::execute::cpu::test
