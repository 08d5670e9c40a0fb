#include "execute/cuda/kernel_data.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "execute/cuda/kernel_limits.hpp"
#include "kernels/cuda/limits.hpp"
#include "kernels/cuda/rope.hpp"

namespace serveloop::execute::cuda {

namespace {

namespace device = kernels::cuda;

constexpr const char* kWhat = "kernels' inputs";
constexpr std::size_t kPastCache = std::size_t{100}
                                   << 20;  // elements that take turns: 200 MB, four L2 caches
constexpr float kWeightDeviation = 0.02f;

// As many of them as pass the cache by, as far as there is room.
Turns turns(const __nv_bfloat16* first, std::size_t room, std::size_t size) {
  const std::size_t wanted = kPastCache / size + 1, there = std::max<std::size_t>(room / size, 1);
  return {first, size, static_cast<int>(std::min(wanted, there))};
}

}  // namespace

Result<KernelData> KernelData::create(const model::Architecture& architecture, const KernelSizes& sizes) {
  KernelData data(architecture, sizes);
  if (Status good = data.take_memory(); !good) return tl::unexpected(good.error());
  if (Status good = data.fill(); !good) return tl::unexpected(good.error());
  return data;
}

std::uint32_t KernelData::most_sequences() const {
  return sizes_->decodes.empty() ? 1 : *std::max_element(sizes_->decodes.begin(), sizes_->decodes.end());
}

std::uint32_t KernelData::most_tokens() const { return std::max(sizes_->chunk_tokens, most_sequences()); }

// Of K alone.
std::size_t KernelData::cache_elements(std::uint32_t sequences, std::uint32_t keys) const {
  const std::size_t blocks = (std::size_t{keys} + sizes_->block_tokens - 1) / sizes_->block_tokens;
  return sequences * blocks * sizes_->block_tokens * a_->kv_features();
}

Status KernelData::take_memory() {
  const std::size_t qkv = std::size_t{a_->q_features()} + 2 * std::size_t{a_->kv_features()};
  const std::size_t widest = std::max({qkv, std::size_t{a_->hidden}, 2 * std::size_t{a_->intermediate}});
  const std::uint32_t most_keys = sizes_->keys + sizes_->chunk_tokens;
  const std::size_t caches =
      2 * std::max(cache_elements(most_sequences(), sizes_->keys), cache_elements(1, most_keys));
  const std::size_t largest = std::size_t{a_->hidden} * std::max<std::size_t>(a_->vocabulary, widest);
  if (Status good = random.make(std::max({kLimitElements, caches, 2 * largest}), kWhat); !good) return good;
  if (Status good = vector.make(widest, kWhat); !good) return good;
  if (Status good = x.make(most_tokens() * widest, kWhat); !good) return good;
  if (Status good = y.make(most_tokens() * widest, kWhat); !good) return good;
  if (Status good = logits.make(std::size_t{most_sequences()} * a_->vocabulary, kWhat); !good) return good;
  if (Status good = token.make(most_tokens(), kWhat); !good) return good;
  return angles.make(std::size_t{most_keys} * a_->head_dim / 2, kWhat);
}

Status KernelData::fill() {
  std::mt19937_64 random_id(1);
  std::vector<std::int32_t> id(most_tokens());
  for (std::int32_t& one : id) one = static_cast<std::int32_t>(random_id() % a_->vocabulary);
  if (Status good = put(ids, id); !good) return good;
  if (Status good =
          check(device::fill_random(random.get(), random.size(), 1, kWeightDeviation, nullptr), kWhat);
      !good)
    return good;
  if (Status good = check(device::fill_random(vector.get(), vector.size(), 3, 1.0f, nullptr), kWhat); !good)
    return good;
  if (Status good = renew_activations(); !good) return good;
  DeviceMemory<double> frequencies;
  if (Status good = put(frequencies, model::rope_frequencies(a_->ropes[0], a_->head_dim)); !good) return good;
  if (Status good = check(
          device::fill_rope_table(frequencies.get(), static_cast<int>(sizes_->keys + sizes_->chunk_tokens),
                                  static_cast<int>(a_->head_dim), angles.get(), nullptr),
          kWhat);
      !good)
    return good;
  return check(cudaDeviceSynchronize(), kWhat);
}

Status KernelData::renew_activations() const {
  for (const DeviceMemory<__nv_bfloat16>* activations : {&x, &y})
    if (Status good =
            check(device::fill_random(activations->get(), activations->size(), 2, 1.0f, nullptr), kWhat);
        !good)
      return good;
  return check(cudaDeviceSynchronize(), kWhat);
}

Turns KernelData::weights(std::size_t n, std::size_t k) const {
  return turns(random.get(), random.size(), n * k);
}

Status KernelData::tables(KernelRows& rows, std::uint32_t sequences, std::uint32_t keys) const {
  const std::size_t size = cache_elements(sequences, keys), half = random.size() / 2 / 8 * 8;
  rows.k = turns(random.get(), half, size);
  rows.v = turns(random.get() + half, half, size);
  rows.blocks = static_cast<int>((keys + sizes_->block_tokens - 1) / sizes_->block_tokens);
  std::vector<std::int32_t> ids(sequences * static_cast<std::size_t>(rows.blocks));
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
  return put(rows.block_table, ids);
}

Result<KernelRows> KernelData::decodes(std::uint32_t sequences) const {
  KernelRows rows;
  rows.tokens = static_cast<int>(sequences);
  const auto last = static_cast<std::int32_t>(sizes_->keys - 1);
  std::vector<std::int32_t> row(sequences);
  std::iota(row.begin(), row.end(), 0);
  rows.items = rows.tokens * device::attention_items(last, 0);
  const Status done[] = {
      tables(rows, sequences, sizes_->keys), put(rows.position, std::vector<std::int32_t>(sequences, last)),
      put(rows.table_row, row),
      rows.plan_words.make(device::attention_plan_words(rows.tokens, rows.items), kWhat),
      rows.workspace.make(device::attention_workspace_bytes(attention(), rows.tokens, rows.items), kWhat)};
  for (const Status& good : done)
    if (!good) return tl::unexpected(good.error());
  for (const device::Status& started :
       {device::clear_attention_workspace(rows.workspace.get(), rows.workspace.bytes(), nullptr),
        device::plan_attention(rows.asking(), 0, rows.plan(), nullptr)})
    if (Status good = check(started, kWhat); !good) return tl::unexpected(good.error());
  if (Status good = check(cudaDeviceSynchronize(), kWhat); !good) return tl::unexpected(good.error());
  return rows;
}

Result<KernelRows> KernelData::chunk(std::uint32_t keys) const {
  KernelRows rows;
  rows.tokens = static_cast<int>(sizes_->chunk_tokens);
  std::vector<std::int32_t> position(sizes_->chunk_tokens);
  std::iota(position.begin(), position.end(), static_cast<std::int32_t>(keys - sizes_->chunk_tokens));
  for (const Status& good : {tables(rows, 1, keys), put(rows.position, position),
                             put(rows.table_row, std::vector<std::int32_t>(position.size(), 0)),
                             put(rows.chunk_start, {0, rows.tokens})})
    if (!good) return tl::unexpected(good.error());
  return rows;
}

device::AttentionShape KernelData::attention() const {
  return {static_cast<int>(a_->q_heads),
          static_cast<int>(a_->kv_heads),
          static_cast<int>(a_->head_dim),
          static_cast<int>(sizes_->block_tokens),
          a_->attention_scale,
          a_->attention_soft_cap,
          0};
}

}  // namespace serveloop::execute::cuda
