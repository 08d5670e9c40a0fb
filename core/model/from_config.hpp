// From a Hugging Face config.json (of transformers 4 or 5) to an Architecture: LlamaForCausalLM,
// MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Gemma3ForCausalLM. What an architecture or a field
// asks for and is not computed here is refused by name. Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "model/architecture.hpp"

namespace serveloop::model {

// Checked (see check()). `source` opens each error.
Result<Architecture> architecture_from_config_json(std::string_view text, const std::string& source);

Result<Architecture> load_config_json(const std::string& path);

}  // namespace serveloop::model
