// Any bytes are a GGUF file, or one line that says what is wrong: keys, tensors, and what a model makes of them.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "model/dequantise.hpp"
#include "model/from_gguf.hpp"
#include "model/memory_plan.hpp"
#include "model/op_keys.hpp"

namespace model = serveloop::model;

namespace {

// Whether it is there; an error is one line.
bool there(const auto& result) {
  if (result) return true;
  const std::string line = result.error().message();
  if (line.empty() || line.find('\n') != std::string::npos) std::abort();
  return false;
}

void read_keys(const model::gguf::File& file) {
  for (const model::gguf::Key& key : file.keys()) {
    if (file.find(key.name) != &key.value) std::abort();
    there(file.whole(key.name, 0, 100));
    there(file.number(key.name));
    there(file.flag(key.name));
    there(file.text(key.name));
    there(file.wholes(key.name));
    there(file.numbers(key.name));
    there(file.texts(key.name));
  }
}

// The first and the last row of every tensor that can be computed with.
void read_tensors(const model::gguf::File& file) {
  std::vector<float> row;
  for (const model::gguf::TensorInfo& info : file.tensors()) {
    if (file.tensor(info.name) != &info) std::abort();
    const auto tensor = model::gguf::as_matrix(info, "f");
    if (!there(tensor)) continue;
    if (tensor->bytes() != info.bytes.size()) std::abort();
    row.resize(tensor->cols);
    model::dequantise_row(*tensor, 0, row.data());
    model::dequantise_row(*tensor, tensor->rows - 1, row.data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = model::gguf::File::parse(std::as_bytes(std::span(data, size)), "f");
  if (!there(file)) return 0;
  read_keys(*file);
  read_tensors(*file);
  const auto architecture = model::architecture_from_gguf(*file);
  if (!there(architecture)) return 0;
  if (!model::check(*architecture, "f")) std::abort();
  if (model::op_keys(*architecture, {}).size() != 2 + 9 * architecture->layers.size()) std::abort();
  there(model::vocabulary_from_gguf(*file, architecture->vocabulary));
  const auto weights = model::weights_from_gguf(*file, *architecture);
  if (there(weights) && model::weight_bytes(*weights, *architecture).total > size) std::abort();
  return 0;
}
