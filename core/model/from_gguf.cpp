// Reading goes on after an error and keeps the first one, so that the reader is a list of fields. Lists are made only
// after their length was checked: all have one entry a layer.
#include "model/from_gguf.hpp"

#include <fmt/format.h>

#include <cmath>
#include <unordered_set>

#include "model/dequantise.hpp"

namespace serveloop::model {
namespace {

constexpr const char* kRopeDivisors = "rope_freqs.weight";
constexpr std::uint32_t kGemma3Period = 6;        // five local layers, then a global one
constexpr std::uint32_t kGemma3LayersOf27B = 62;  // the one size whose scale is not of its heads' size

class Reader {
 public:
  Reader(const gguf::File& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }
  const gguf::Value* find(std::string_view name) const { return file_.find(key(name)); }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::uint32_t size(std::string_view name, std::uint32_t most, std::uint32_t least = 1) {
    return static_cast<std::uint32_t>(keep(file_.whole(key(name), least, most)));
  }
  std::uint32_t size_or(std::string_view name, std::uint32_t most, std::uint32_t absent) {
    return has(name) ? size(name, most, 0) : absent;
  }
  // A number, or one a layer, all alike.
  std::uint32_t even_size(std::string_view name, std::uint32_t most, std::uint32_t layers) {
    const gguf::Value* value = find(name);
    if (value == nullptr || !value->array) return size(name, most);
    const std::vector<std::int64_t> sizes = one_each(name, layers);
    for (const std::int64_t one : sizes)
      if (one != sizes[0] || one < 1 || one > most) {
        refuse(name, fmt::format("one number of 1 to {} for all layers", most), std::to_string(one));
        return 1;
      }
    return sizes.empty() ? 1 : static_cast<std::uint32_t>(sizes[0]);
  }
  std::vector<std::int64_t> one_each(std::string_view name, std::uint64_t layers) {
    return keep(file_.wholes(key(name), {layers, layers}));
  }
  double number(std::string_view name) { return keep(file_.number(key(name))); }
  double number_or(std::string_view name, double absent) { return has(name) ? number(name) : absent; }
  std::string_view text_or(std::string_view name, std::string_view absent) {
    return has(name) ? keep(file_.text(key(name))) : absent;
  }
  void refuse(std::string_view name, std::string expected, std::string found) {
    if (status_)
      status_ =
          fail(fmt::format("{}: key '{}'", file_.source(), key(name)), std::move(expected), std::move(found));
  }
  const Status& status() const { return status_; }

 private:
  template <class T>
  T keep(Result<T> result) {
    if (result) return *std::move(result);
    if (status_) status_ = tl::unexpected(result.error());
    return T();
  }
  const gguf::File& file_;
  std::string_view prefix_;
  Status status_;
};

void read_sizes(Reader& in, Architecture& a, std::uint32_t& layers) {
  layers = in.size("block_count", kMostLayers);
  a.hidden = in.size("embedding_length", kMostFeatures);
  a.intermediate = in.even_size("feed_forward_length", kMostFeatures, layers);
  a.max_positions = in.size("context_length", kMostPositions);
  a.q_heads = in.even_size("attention.head_count", kMostFeatures, layers);
  a.kv_heads = in.has("attention.head_count_kv")
                   ? in.even_size("attention.head_count_kv", kMostFeatures, layers)
                   : a.q_heads;
  a.head_dim = a.q_heads == 0 ? 0 : a.hidden / a.q_heads;
  if (in.has("attention.key_length")) a.head_dim = in.size("attention.key_length", kMostHeadDim);
  a.norm_eps = static_cast<float>(in.number("attention.layer_norm_rms_epsilon"));
  a.attention_scale = static_cast<float>(1.0 / std::sqrt(double(a.head_dim)));
  // What would change the pass and is not computed here.
  for (const char* same : {"attention.value_length", "rope.dimension_count"})
    if (const std::uint32_t size = in.size_or(same, kMostFeatures, a.head_dim); size != a.head_dim)
      in.refuse(same, fmt::format("{}, the head size", a.head_dim), std::to_string(size));
  if (const std::uint32_t experts = in.size_or("expert_count", UINT32_MAX, 0); experts != 0)
    in.refuse("expert_count", "0 (mixtures of experts are not supported)", std::to_string(experts));
}

void read_rope(Reader& in, Architecture& a) {
  Rope& rope = a.ropes[0];
  rope.theta = in.number_or("rope.freq_base", 10000.0);
  const std::string_view type = in.text_or("rope.scaling.type", "none");
  double factor = in.number_or("rope.scaling.factor", 0.0);
  if (factor == 0.0) factor = in.number_or("rope.scale_linear", 0.0);  // the key's older name
  if (type == "linear" || (type == "none" && !in.has("rope.scaling.type") && factor != 0.0)) {
    rope.scaling = RopeScaling::linear;
    rope.factor = factor == 0.0 ? 1.0 : factor;
  } else if (type != "none") {
    in.refuse("rope.scaling.type", "none or linear", fmt::format("'{}'", type.substr(0, 40)));
  }
  a.ropes[1] = rope;
}

// One window for all layers, where the file has one.
void read_windows(Reader& in, Architecture& a) {
  const std::uint32_t window = in.size_or("attention.sliding_window", kMostPositions, 0);
  for (Layer& layer : a.layers) layer.window = window;
}

void read_gemma3(Reader& in, Architecture& a) {
  a.gate = Gate::gelu_tanh;
  a.qk_norm = a.post_norms = true;
  a.embedding_scale = gemma_embedding_scale(a.hidden);
  if (a.layers.size() == kGemma3LayersOf27B && a.q_heads != 0) {
    const std::uint32_t share = a.hidden / a.q_heads;
    a.attention_scale = static_cast<float>(1.0 / std::sqrt(double(share)));
  }
  a.attention_soft_cap = static_cast<float>(in.number_or("attn_logit_softcapping", 0.0));
  a.logit_soft_cap = static_cast<float>(in.number_or("final_logit_softcapping", 0.0));
  a.ropes[1] = Rope{.theta = in.number_or("rope.freq_base_swa", 10000.0), .divisors = {}};

  const std::uint32_t window = in.size_or("attention.sliding_window", kMostPositions, 0);
  if (window == 0) return;
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  const auto set = [&](std::size_t i, bool local) {
    if (local) a.layers[i] = {window, RopeKind::local};
  };
  const gguf::Value* pattern = in.find(kPattern);
  if (pattern != nullptr && pattern->array) {
    const std::vector<std::int64_t> local = in.one_each(kPattern, a.layers.size());
    for (std::size_t i = 0; i < local.size(); ++i) set(i, local[i] != 0);
    return;
  }
  const std::uint32_t period = pattern == nullptr ? kGemma3Period : in.size(kPattern, kMostLayers);
  for (std::size_t i = 0; i < a.layers.size() && period != 0; ++i) set(i, (i + 1) % period != 0);
}

struct Family {
  const char* name;
  void (*read)(Reader&, Architecture&);
};
constexpr Family kFamilies[] = {
    {"llama",
     [](Reader& in, Architecture& a) {
       a.rope_pairs = RopePairs::neighbours;
       read_windows(in, a);
     }},
    {"qwen2", [](Reader& in, Architecture& a) { read_windows(in, a); }},
    {"qwen3",
     [](Reader& in, Architecture& a) {
       a.qk_norm = true;
       read_windows(in, a);
     }},
    {"gemma3", read_gemma3},
};

// What the tensors alone tell.
Status read_tensors(const gguf::File& file, Architecture& a) {
  const auto embedding = file.tensor("token_embd.weight");
  if (embedding == nullptr)
    return fail(file.source() + ": tensor 'token_embd.weight'", "the embedding", "no such tensor");
  if (embedding->size[1] > kMostVocabulary)
    return fail(file.source() + ": tensor 'token_embd.weight'",
                fmt::format("at most {} rows", kMostVocabulary), std::to_string(embedding->size[1]));
  a.vocabulary = static_cast<std::uint32_t>(embedding->size[1]);
  a.tied_embeddings = file.tensor("output.weight") == nullptr;
  a.qkv_bias = file.tensor("blk.0.attn_q.bias") != nullptr;
  const auto divisors = file.tensor(kRopeDivisors);
  if (divisors == nullptr) return {};
  if (divisors->storage->type != Type::f32 || divisors->dimensions != 1 ||
      divisors->size[0] != a.head_dim / 2)
    return fail(fmt::format("{}: tensor '{}'", file.source(), kRopeDivisors),
                fmt::format("F32 [{}]", a.head_dim / 2),
                fmt::format("{} [{}]", divisors->storage->name, divisors->size[0]));
  a.ropes[0].divisors.resize(a.head_dim / 2);
  dequantise(Type::f32, divisors->bytes.data(), a.head_dim / 2, a.ropes[0].divisors.data());
  return {};
}

}  // namespace

Result<Architecture> architecture_from_gguf(const gguf::File& file) {
  const auto family = file.text("general.architecture");
  if (!family) return tl::unexpected(family.error());
  if (file.find("split.count") != nullptr)
    if (const auto parts = file.whole("split.count", 0, 1); !parts)
      return fail(file.source(), "a model in one file", "one part of several", "join the parts first");
  std::string known;
  for (const Family& one : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(one.name);
    if (*family != one.name) continue;
    Reader in(file, *family);
    Architecture a;
    a.family = *family;
    std::uint32_t layers = 0;
    read_sizes(in, a, layers);
    if (!in.status()) return tl::unexpected(in.status().error());
    a.layers.resize(layers);
    read_rope(in, a);
    one.read(in, a);
    if (!in.status()) return tl::unexpected(in.status().error());
    if (Status good = read_tensors(file, a); !good) return tl::unexpected(good.error());
    if (Status good = check(a, file.source()); !good) return tl::unexpected(good.error());
    return a;
  }
  return fail(file.source() + ": general.architecture", "one of " + known,
              fmt::format("'{}'", family->substr(0, 40)));
}

Result<Weights> weights_from_gguf(const gguf::File& file, const Architecture& architecture) {
  Weights weights;
  weights.layers.resize(architecture.layers.size());
  std::unordered_set<const gguf::TensorInfo*> used = {file.tensor(kRopeDivisors)};
  for (const Slot& slot : slots(architecture)) {
    const std::string name = gguf_name(slot);
    const auto refuse = [&](std::string expected, std::string found) {
      return fail(fmt::format("{}: tensor '{}'", file.source(), name), std::move(expected), std::move(found));
    };
    const gguf::TensorInfo* info = file.tensor(name);
    if (info == nullptr) return refuse(fmt::format("[{}, {}]", slot.rows, slot.cols), "no such tensor");
    const auto tensor = gguf::as_matrix(*info, file.source());
    if (!tensor) return tl::unexpected(tensor.error());
    if (tensor->rows != slot.rows || tensor->cols != slot.cols)
      return refuse(fmt::format("[{}, {}]", slot.rows, slot.cols),
                    fmt::format("[{}, {}]", tensor->rows, tensor->cols));
    if (kind_of(slot.role) != RoleKind::matrix && model::info(tensor->type).block_values != 1)
      return refuse("F32, F16 or BF16 for a vector", model::info(tensor->type).name);
    at(weights, slot) = *tensor;
    used.insert(info);
  }
  for (const gguf::TensorInfo& info : file.tensors())
    if (!used.contains(&info))
      return fail(fmt::format("{}: tensor '{}'", file.source(), info.name.substr(0, 80)),
                  fmt::format("only what {} has", architecture.family), "one more",
                  "the file needs more than is computed here");
  if (architecture.tied_embeddings) weights.lm_head = weights.embedding;
  return weights;
}

}  // namespace serveloop::model
