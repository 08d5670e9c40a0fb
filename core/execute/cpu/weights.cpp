// Sizes first, one allocation, then every tensor to its place: panels are shared among the threads, so that each page
// is first touched by a thread that will stream it.
#include "execute/cpu/weights.hpp"

#include "model/dequantise.hpp"

namespace serveloop::execute::cpu {
namespace {

struct Place {
  model::Slot slot;
  model::Tensor from;
  std::size_t offset;
};

bool is_matrix(const model::Slot& slot) { return model::kind_of(slot.role) == model::RoleKind::matrix; }

void pack_share(const Place& place, std::uint8_t* to, const Pool& pool, unsigned worker) {
  const model::Tensor& from = place.from;
  const int n = static_cast<int>(from.rows), k = static_cast<int>(from.cols);
  const Share panels = pool.share(kernels::cpu::panels(n), worker);
  kernels::cpu::pack(kernel_type(from.type), from.data, n, k, to, static_cast<int>(panels.begin),
                     static_cast<int>(panels.end));
}

}  // namespace

kernels::cpu::Type kernel_type(model::Type type) {
  switch (type) {
    case model::Type::f32: return kernels::cpu::Type::f32;
    case model::Type::f16: return kernels::cpu::Type::f16;
    case model::Type::bf16: return kernels::cpu::Type::bf16;
    case model::Type::q8_0: return kernels::cpu::Type::q8_0;
    case model::Type::q4_0: return kernels::cpu::Type::q4_0;
    case model::Type::q4_1: return kernels::cpu::Type::q4_1;
  }
  return kernels::cpu::Type::f32;
}

Result<Weights> Weights::pack(const model::Model& model, Pool& pool) {
  std::vector<Place> places;
  Layout layout;
  const auto place = [&](const model::Slot& slot, const model::Tensor& from) {
    const std::size_t bytes =
        is_matrix(slot) ? kernels::cpu::packed_bytes(kernel_type(from.type), static_cast<int>(from.rows),
                                                     static_cast<int>(from.cols))
                        : from.values() * sizeof(float);
    places.push_back({slot, from, layout.add(bytes)});
  };
  for (const model::Slot& slot : model::slots(model.architecture))
    place(slot, model::at(model.weights, slot));

  auto pages = Pages::create(layout.bytes(), "packed weights");
  if (!pages) return tl::unexpected(pages.error());
  Weights out;
  out.pages_ = std::move(*pages);
  out.layers_.resize(model.architecture.layers.size() + 1);
  const auto work = [&](unsigned worker) noexcept {
    for (const Place& p : places) {
      std::uint8_t* to = out.pages_.data() + p.offset;
      if (is_matrix(p.slot))
        pack_share(p, to, pool, worker);
      else if (worker == 0)
        model::dequantise(p.from.type, p.from.data, p.from.values(), reinterpret_cast<float*>(to));
    }
  };
  pool.run(work);
  for (const Place& p : places) {
    Layer& layer = out.layers_[place_of(p.slot.layer)];
    const auto role = static_cast<std::size_t>(p.slot.role);
    const std::uint8_t* at = out.pages_.data() + p.offset;
    if (is_matrix(p.slot))
      layer.matrix[role] = {kernel_type(p.from.type), static_cast<int>(p.from.rows),
                            static_cast<int>(p.from.cols), at};
    else
      layer.vector[role] = reinterpret_cast<const float*>(at);
  }
  if (model.architecture.tied_embeddings) {
    auto& outside = out.layers_[place_of(kOutside)].matrix;
    outside[static_cast<std::size_t>(model::Role::lm_head)] =
        outside[static_cast<std::size_t>(model::Role::embedding)];
  }
  return out;
}

}  // namespace serveloop::execute::cpu
