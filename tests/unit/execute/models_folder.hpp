// Weight files that the repository does not hold: in SERVELOOP_MODELS, else in build/models, where `./dev model` puts them.
#pragma once

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace serveloop::execute::cpu::test {

inline std::string models_folder() {
  const char* named = std::getenv("SERVELOOP_MODELS");
  return named != nullptr && *named != '\0' ? named : SERVELOOP_DEFAULT_MODELS;
}

inline constexpr const char* kSmollm2 = "SmolLM2-135M-Instruct.Q4_1.gguf";
inline std::string smollm2_path() { return models_folder() + "/" + kSmollm2; }

// A precondition: where the file is not, the case or suite is skipped and says so. True, too, where the model is needed, as
// `./dev test --all` says: the case then fails for want of it.
inline boost::test_tools::assertion_result smollm2_is_there(boost::unit_test::test_unit_id unit) {
  const bool there =
      std::filesystem::exists(smollm2_path()) || std::getenv("SERVELOOP_NEED_MODEL") != nullptr;
  if (!there)
    fmt::print(stderr,
               "{} is skipped: {} is not in {}; bring it by ./dev model, or name its folder in "
               "SERVELOOP_MODELS\n",
               boost::unit_test::framework::get(unit, boost::unit_test::TUT_ANY).full_name(), kSmollm2,
               models_folder());
  return there;
}

}  // namespace serveloop::execute::cpu::test
