// Tensors of a random model start on cache lines of one mapping of zeroed memory.
#include "model/model.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

#include "model/from_gguf.hpp"
#include "model/mapped_file.hpp"
#include "model/random_weights.hpp"

namespace serveloop::model {
namespace {

constexpr std::uint64_t kLine = 64;
constexpr std::uint64_t kChunk = std::uint64_t{1} << 20;  // values that a thread takes at a time

std::uint64_t lines(std::uint64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

Result<std::shared_ptr<std::byte>> memory(std::uint64_t bytes) {
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    return fail("memory for random weights", fmt::format("{} bytes", bytes), std::strerror(errno));
  return std::shared_ptr<std::byte>(static_cast<std::byte*>(base),
                                    [bytes](std::byte* at) { ::munmap(at, bytes); });
}

struct Chunk {
  const Slot* slot;
  std::uint64_t first;
  std::span<std::uint16_t> out;
};

void fill(const std::vector<Chunk>& chunks, const Architecture& architecture, std::uint64_t seed,
          unsigned threads) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < chunks.size(); i = next++)
      fill_random(*chunks[i].slot, architecture, seed, chunks[i].first, chunks[i].out);
  };
  std::vector<std::jthread> others;
  others.reserve(threads);
  try {
    for (unsigned i = 1; i < std::min<std::size_t>(threads, chunks.size()); ++i) others.emplace_back(work);
  } catch (const std::system_error&) {  // fewer threads do the same work
  }
  work();
}

}  // namespace

Result<Model> load_gguf(const std::string& path) {
  auto opened = MappedFile::open(path);
  if (!opened) return tl::unexpected(opened.error());
  const auto mapping = std::make_shared<const MappedFile>(*std::move(opened));
  const auto file = gguf::File::parse(mapping->bytes(), path);
  if (!file) return tl::unexpected(file.error());
  auto architecture = architecture_from_gguf(*file);
  if (!architecture) return tl::unexpected(architecture.error());
  auto weights = weights_from_gguf(*file, *architecture);
  if (!weights) return tl::unexpected(weights.error());
  Model model{*std::move(architecture), *std::move(weights), std::nullopt, mapping};
  if (file->find("tokenizer.ggml.tokens") != nullptr) {
    auto vocabulary = vocabulary_from_gguf(*file, model.architecture.vocabulary);
    if (!vocabulary) return tl::unexpected(vocabulary.error());
    model.vocabulary = *std::move(vocabulary);
  }
  return model;
}

Result<Model> random_model(Architecture architecture, std::uint64_t seed, unsigned threads) {
  const std::vector<Slot> all = slots(architecture);
  std::uint64_t bytes = 0;  // at most (2 + 7 layers) 2^44 values: below 2^64
  for (const Slot& slot : all) bytes += lines(std::uint64_t{2} * slot.rows * slot.cols);
  auto storage = memory(bytes);
  if (!storage) return tl::unexpected(storage.error());
  Model model{std::move(architecture), {}, std::nullopt, *storage};
  model.weights.layers.resize(model.architecture.layers.size());
  std::vector<Chunk> chunks;
  std::byte* place = storage->get();
  for (const Slot& slot : all) {
    Tensor& tensor = at(model.weights, slot) = {Type::bf16, slot.rows, slot.cols, place};
    auto* const values = reinterpret_cast<std::uint16_t*>(place);
    for (std::uint64_t first = 0; first < tensor.values(); first += kChunk)
      chunks.push_back({&slot, first, {values + first, std::min(kChunk, tensor.values() - first)}});
    place += lines(tensor.bytes());
  }
  if (model.architecture.tied_embeddings) model.weights.lm_head = model.weights.embedding;
  fill(chunks, model.architecture, seed, threads);
  return model;
}

}  // namespace serveloop::model
