#include "execute/cuda/kernel_bench.hpp"

#include <algorithm>

#include "execute/cuda/kernel_limits.hpp"
#include "execute/cuda/kernel_step.hpp"
#include "execute/cuda/pass.hpp"
#include "execute/cuda/supported.hpp"
#include "kernels/cuda/attention_step.hpp"

namespace serveloop::execute::cuda {

namespace {

namespace device = kernels::cuda;

class Bench {
 public:
  Bench(const model::Architecture& a, const KernelSizes& sizes, const KernelProgress& progress)
      : a_(a), sizes_(sizes), progress_(progress) {}

  Result<KernelReport> run(const std::string& products_cache) {
    const auto put_in = [](auto& to, auto made) -> Status {
      if (!made) return tl::unexpected(made.error());
      to = std::move(*made);
      return {};
    };
    if (Status good = put_in(report_.device, find_device()); !good) return tl::unexpected(good.error());
    if (Status good = check_architecture(a_); !good) return tl::unexpected(good.error());
    int current = 0;
    for (const cudaError_t error :
         {cudaGetDevice(&current),
          cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, current)})
      if (Status good = check(error, "device"); !good) return tl::unexpected(good.error());
    Result<KernelData> data = KernelData::create(a_, sizes_);
    if (!data) return tl::unexpected(data.error());
    if (Status good = put_in(report_.limits, measure_limits(data->random)); !good)
      return tl::unexpected(good.error());
    const std::uint32_t most =
        sizes_.decodes.empty() ? 1 : *std::max_element(sizes_.decodes.begin(), sizes_.decodes.end());
    Result<Products> products = Products::plan(a_, std::max(most, sizes_.chunk_tokens),
                                               Pass::logit_rows(most), products_cache, report_.note);
    if (!products) return tl::unexpected(products.error());
    steps_ = sizes_.decodes.size() + (sizes_.chunk_tokens > 0 ? 2 : 0);
    for (const std::uint32_t sequences : sizes_.decodes)
      if (Status good = decode(*data, *products, sequences); !good) return tl::unexpected(good.error());
    if (Status good = prefill(*data, *products); !good) return tl::unexpected(good.error());
    return std::move(report_);
  }

 private:
  Status decode(const KernelData& data, const Products& products, std::uint32_t sequences) {
    if (!go_on()) return {};
    const Result<KernelRows> rows = data.decodes(sequences);
    if (!rows) return tl::unexpected(rows.error());
    device::SamplingRow greedy;
    greedy.temperature = 0.0f;
    DeviceMemory<device::SamplingRow> requests;
    if (Status good = put(requests, std::vector<device::SamplingRow>(sequences, greedy)); !good) return good;
    const KernelStep step(a_, data, products, *rows);
    std::vector<KernelCase> cases = {step.norm(), step.qkv(), step.rope(),
                                     step.decode_attention(sizes_.keys)};
    if (device::takes_step_attention(static_cast<int>(a_.head_dim), static_cast<int>(a_.kv_heads),
                                     rows->tokens, std::uint64_t{sequences} * sizes_.keys, processors_))
      cases.push_back(step.step_attention(sizes_.keys));
    cases.push_back(step.output());
    cases.push_back(step.gate_up());
    if (!step.gates()) cases.push_back(step.gate());
    cases.push_back(step.down());
    if (sequences == Pass::logit_rows(sequences)) {  // a pass takes no more at once
      cases.push_back(step.head());
      cases.push_back(step.sample(requests.get()));
    }
    return measure(data, "decode", sequences, cases);
  }

  Status prefill(const KernelData& data, const Products& products) {
    if (sizes_.chunk_tokens == 0 || !go_on()) return {};
    const std::uint32_t tokens = sizes_.chunk_tokens;
    const Result<KernelRows> first = data.chunk(tokens);
    if (!first) return tl::unexpected(first.error());
    const KernelStep step(a_, data, products, *first);
    std::vector<KernelCase> cases = {
        step.norm(), step.qkv(), step.rope(), step.prefill_attention(tokens), step.output(), step.gate_up()};
    if (!step.gates()) cases.push_back(step.gate());
    cases.push_back(step.down());
    if (Status good = measure(data, "prefill", tokens, cases); !good) return good;
    if (!go_on()) return {};
    const Result<KernelRows> later = data.chunk(tokens + sizes_.keys);
    if (!later) return tl::unexpected(later.error());
    const KernelStep after(a_, data, products, *later);
    return measure(data, "prefill", tokens, {after.prefill_attention(tokens + sizes_.keys)});
  }

  Status measure(const KernelData& data, const char* step, std::uint32_t tokens,
                 const std::vector<KernelCase>& cases) {
    for (const KernelCase& one : cases) {
      if (Status good = data.renew_activations(); !good) return good;
      const Result<double> us = time_us(one.launch, one.launches);
      if (!us) return tl::unexpected(us.error());
      report_.times.push_back({step, one.kernel, tokens, one.keys, *us, one.bytes, one.flops});
    }
    return {};
  }

  // Before each step.
  bool go_on() {
    if (report_.whole && progress_)
      report_.whole = progress_(static_cast<double>(done_++) / static_cast<double>(steps_));
    return report_.whole;
  }

  const model::Architecture& a_;
  const KernelSizes& sizes_;
  const KernelProgress& progress_;
  KernelReport report_;
  int processors_ = 0;
  std::size_t steps_ = 1, done_ = 0;
};

}  // namespace

Result<KernelReport> measure_kernels(const model::Architecture& architecture, const KernelSizes& sizes,
                                     const std::string& products_cache, const KernelProgress& progress) {
  return Bench(architecture, sizes, progress).run(products_cache);
}

}  // namespace serveloop::execute::cuda
