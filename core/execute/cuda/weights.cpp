// Places first, one allocation, then tensor by tensor through two pinned buffers: one is filled while the other travels.
// A place is a multiple of 128 elements, but parts of one matrix follow each other without gaps.
#include "execute/cuda/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/dequantise.hpp"
#include "model/numbers.hpp"

namespace serveloop::execute::cuda {
namespace {

using model::Role;

constexpr std::size_t kAlign = 128;  // elements
constexpr std::uint64_t kPiece = std::uint64_t{4}
                                 << 20;  // elements on their way at once: whole blocks of any type

struct Place {
  model::Slot slot;
  std::size_t offset;  // elements
};

bool follows(Role role) {
  return role == Role::k || role == Role::v || role == Role::k_bias || role == Role::v_bias ||
         role == Role::up;
}

std::uint64_t values_of(const model::Slot& slot) { return std::uint64_t{slot.rows} * slot.cols; }

// q, k, v; q_bias, k_bias, v_bias; gate, up: slots() has the parts of one matrix in a row.
std::vector<Place> places_of(const model::Architecture& a, std::size_t& elements) {
  std::vector<Place> places;
  elements = 0;
  for (const model::Slot& slot : model::slots(a)) {
    if (!follows(slot.role)) elements = (elements + kAlign - 1) / kAlign * kAlign;
    places.push_back({slot, elements});
    elements += values_of(slot);
  }
  return places;
}

// Distances of the norms' weights, less the offset, from BF16, added up.
double lost(const model::Model& model, float offset) {
  double sum = 0;
  std::vector<float> values;
  for (const model::Slot& slot : model::slots(model.architecture)) {
    if (model::kind_of(slot.role) != model::RoleKind::norm) continue;
    const model::Tensor& from = model::at(model.weights, slot);
    values.resize(from.values());
    model::dequantise(from.type, from.data, from.values(), values.data());
    for (const float value : values) {
      const float stored = value - offset;
      sum += std::fabs(static_cast<double>(value) - offset - model::from_bf16(model::to_bf16(stored)));
    }
  }
  return sum;
}

class Uploader {
 public:
  Status open() {
    if (Status good = stream_.open(); !good) return good;
    for (Half& half : halves_) {
      if (Status good = half.pinned.make(kPiece, "weights on their way"); !good) return good;
      if (Status good = half.sent.open(); !good) return good;
    }
    return {};
  }

  // Less `offset`, as BF16.
  Status send(const model::Tensor& from, float offset, __nv_bfloat16* to) {
    const model::TypeInfo& type = model::info(from.type);
    for (std::uint64_t first = 0; first < from.values(); first += kPiece) {
      const std::uint64_t count = std::min(kPiece, from.values() - first);
      Half& half = halves_[next_ ^= 1];
      if (Status good = check(cudaEventSynchronize(half.sent.get()), "weights"); !good) return good;
      convert(from.type, from.data + first / type.block_values * type.block_bytes, count, offset,
              half.pinned.get());
      if (Status good = check(cudaMemcpyAsync(to + first, half.pinned.get(), count * sizeof(std::uint16_t),
                                              cudaMemcpyHostToDevice, stream_.get()),
                              "weights");
          !good)
        return good;
      if (Status good = half.sent.record(stream_); !good) return good;
    }
    return {};
  }
  Status finish() const { return stream_.wait(); }

 private:
  struct Half {
    PinnedMemory<std::uint16_t> pinned;
    Event sent;
  };

  void convert(model::Type type, const std::byte* from, std::uint64_t count, float offset,
               std::uint16_t* to) {
    if (type == model::Type::bf16 && offset == 0) {
      std::memcpy(to, from, count * sizeof(std::uint16_t));
      return;
    }
    values_.resize(count);
    model::dequantise(type, from, count, values_.data());
    for (std::uint64_t i = 0; i < count; ++i) to[i] = model::to_bf16(values_[i] - offset);
  }

  Stream stream_;
  Half halves_[2];
  std::size_t next_ = 0;
  std::vector<float> values_;
};

const __nv_bfloat16*& field_of(LayerWeights& layer, Role role) {
  switch (role) {
    case Role::attention_norm: return layer.attention_norm;
    case Role::q: return layer.qkv;
    case Role::q_bias: return layer.qkv_bias;
    case Role::q_norm: return layer.q_norm;
    case Role::k_norm: return layer.k_norm;
    case Role::o: return layer.o;
    case Role::post_attention_norm: return layer.post_attention_norm;
    case Role::ffn_norm: return layer.ffn_norm;
    case Role::gate: return layer.gate_up;
    case Role::down: return layer.down;
    default: return layer.post_ffn_norm;
  }
}

}  // namespace

Result<Weights> Weights::upload(const model::Model& model) {
  std::size_t elements = 0;
  const std::vector<Place> places = places_of(model.architecture, elements);
  Weights out;
  if (Status good = out.memory_.make(elements, "weights"); !good) return tl::unexpected(good.error());
  out.layers_.resize(model.architecture.layers.size());
  out.norm_offset_ = lost(model, 1) < lost(model, 0) ? 1.0f : 0.0f;
  Uploader uploader;
  if (Status good = uploader.open(); !good) return tl::unexpected(good.error());
  for (const auto& [slot, offset] : places) {
    const bool norm = model::kind_of(slot.role) == model::RoleKind::norm;
    __nv_bfloat16* to = out.memory_.get() + offset;
    if (Status good = uploader.send(model::at(model.weights, slot), norm ? out.norm_offset_ : 0.0f, to);
        !good)
      return tl::unexpected(good.error());
    if (follows(slot.role)) continue;
    if (slot.role == Role::embedding)
      out.embedding_ = to;
    else if (slot.role == Role::final_norm)
      out.final_norm_ = to;
    else if (slot.role == Role::lm_head)
      out.lm_head_ = to;
    else
      field_of(out.layers_[static_cast<std::size_t>(slot.layer)], slot.role) = to;
  }
  if (model.architecture.tied_embeddings) out.lm_head_ = out.embedding_;
  if (Status good = uploader.finish(); !good) return tl::unexpected(good.error());
  return out;
}

}  // namespace serveloop::execute::cuda
