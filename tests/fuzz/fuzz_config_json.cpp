// Any text is a config.json, or one line that says what is wrong; what is taken keeps the bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/from_config.hpp"
#include "model/memory_plan.hpp"

namespace model = serveloop::model;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto architecture = model::architecture_from_config_json(text, "c");
  if (!architecture) {
    const std::string line = architecture.error().message();
    if (line.empty() || line.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  if (!model::check(*architecture, "c")) std::abort();
  if (!model::weight_bytes(*architecture, model::Type::bf16)) std::abort();
  for (const model::Rope& rope : architecture->ropes)
    if (model::rope_frequencies(rope, architecture->head_dim).size() != architecture->head_dim / 2)
      std::abort();
  return 0;
}
