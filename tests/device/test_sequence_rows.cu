// Inputs of a step made from rows, by runs that go with the launch and by runs that are on the device, and sampled tokens
// on their way back to rows and host: against the same on the host, and nothing beside them written.
#include <algorithm>
#include <random>

#include "check.cuh"
#include "kernels/cuda/sequence_rows.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

constexpr int most_rows = 300, positions = 50, entries = 4, slots = 3;
constexpr std::int32_t untouched = -77;
using Ints = std::vector<std::int32_t>;

struct World {
  Ints tokens = Ints(most_rows * positions);
  std::vector<RowSampling> how = std::vector<RowSampling>(most_rows);
  Buffer<std::int32_t> device_tokens, table{most_rows * entries};
  Buffer<RowSampling> device_how;
  Buffer<std::int32_t> words{12 * most_rows * positions};
  Buffer<SamplingRow> sampling{most_rows};
  StepInputs inputs;

  World() : device_tokens(most_rows * positions), device_how(most_rows) {
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(mix(i) % 1000);
    for (int row = 0; row < most_rows; ++row) {
      how[row].how.seed = row + 1000;
      how[row].how.mask = row % 3 == 0 ? row : -1;
      how[row].prompt_tokens = row % 20;
      how[row].min_tokens = row % 7;
    }
    device_tokens.put(tokens);
    device_how.put(how);
    std::int32_t** parts[] = {&inputs.id,
                              &inputs.position,
                              &inputs.table_row,
                              &inputs.chunk_start,
                              &inputs.chunk_position,
                              &inputs.chunk_row,
                              &inputs.sample_position,
                              &inputs.sample_token,
                              &inputs.sample_row,
                              &inputs.slot};
    for (std::size_t i = 0; i < std::size(parts); ++i) *parts[i] = words.get() + i * most_rows * positions;
    inputs.sampling = sampling.get();
  }
  SequenceRows rows() const {
    return {device_tokens.get(), positions, table.get(), entries, device_how.get()};
  }
  Ints take(const std::int32_t* from, int size) const {
    Ints out(size);
    require(cudaMemcpy(out.data(), from, size * sizeof(std::int32_t), cudaMemcpyDeviceToHost), "inputs");
    return out;
  }
};

// Decodes first, some of nobody; then chunks, of which some sample.
std::vector<StepRun> some_runs(int decodes, int chunks, std::mt19937& random) {
  std::vector<StepRun> runs;
  int first = 0, sample = 0;
  for (int i = 0; i < decodes + chunks; ++i) {
    const bool nobody = i < decodes && i % 5 == 4;
    const int tokens = i < decodes ? 1 : 1 + static_cast<int>(random() % 9);
    const int start = nobody ? 0 : static_cast<int>(random() % (positions - tokens));
    runs.push_back({nobody ? -1 : i, start, tokens, first, i < decodes || random() % 2 == 0 ? sample++ : -1});
    first += tokens;
  }
  std::shuffle(runs.begin(), runs.begin() + decodes, random);
  return runs;
}

void expect(const World& w, const std::int32_t* got, const Ints& expected, const std::string& what) {
  check(w.take(got, static_cast<int>(expected.size())) == expected, what);
}

void test_prepare(World& w, int decodes, int chunks, int slot) {
  std::mt19937 random(decodes * 1000 + chunks);
  const std::vector<StepRun> runs = some_runs(decodes, chunks, random);
  int tokens = 0, samples = 0;
  for (const StepRun& run : runs) tokens += run.tokens, samples += run.sample >= 0 ? 1 : 0;
  const std::string what = std::to_string(decodes) + " decodes and " + std::to_string(chunks) + " chunks: ";
  Ints id(tokens + 1, untouched), position = id, table_row = id, places(samples + 1, untouched),
                                  rows = places, from = places, chunk_position(chunks + 1, untouched),
                                  chunk_row = chunk_position, chunk_start(chunks + 2, untouched);
  std::vector<SamplingRow> how(samples);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const StepRun& run = runs[i];
    const bool nobody = run.row < 0;
    for (int t = 0; t < run.tokens; ++t) {
      id[run.first + t] = nobody ? -1 : w.tokens[run.row * positions + run.start + t];
      position[run.first + t] = nobody ? -1 : run.start + t;
      table_row[run.first + t] = nobody ? 0 : run.row;
    }
    if (run.sample >= 0) {
      const int next = run.start + run.tokens;
      places[run.sample] = nobody ? -1 : next;
      rows[run.sample] = run.row;
      from[run.sample] = run.first + run.tokens - 1;
      if (!nobody) {
        how[run.sample] = w.how[run.row].how;
        if (next - w.how[run.row].prompt_tokens >= w.how[run.row].min_tokens) how[run.sample].mask = -1;
      }
    }
  }
  for (int i = 0; i < chunks; ++i) {
    const StepRun& run = runs[decodes + i];
    chunk_start[i] = run.first - decodes;
    chunk_start[i + 1] = run.first + run.tokens - decodes;
    chunk_position[i] = run.start;
    chunk_row[i] = run.row;
  }
  const Buffer<StepRun> staged(runs);
  const bool few = static_cast<int>(runs.size()) <= most_passed_runs;
  require(cudaMemset(w.words.get(), 0, w.words.size() * 4), "clear");
  for (std::int32_t* part :
       {w.inputs.id, w.inputs.position, w.inputs.table_row, w.inputs.chunk_start, w.inputs.chunk_position,
        w.inputs.chunk_row, w.inputs.sample_position, w.inputs.sample_token, w.inputs.sample_row}) {
    const Ints nothing(most_rows * positions, untouched);
    require(cudaMemcpy(part, nothing.data(), nothing.size() * 4, cudaMemcpyHostToDevice), "clear");
  }
  require(
      prepare_step({runs.data(), static_cast<int>(runs.size()), decodes, few ? nullptr : staged.get(), slot},
                   w.rows(), w.inputs, nullptr));
  require(cudaDeviceSynchronize(), "prepare");
  expect(w, w.inputs.id, id, what + "ids");
  expect(w, w.inputs.position, position, what + "positions");
  expect(w, w.inputs.table_row, table_row, what + "table rows");
  expect(w, w.inputs.sample_position, places, what + "positions of samples");
  expect(w, w.inputs.sample_row, rows, what + "rows of samples");
  expect(w, w.inputs.sample_token, from, what + "tokens of samples");
  expect(w, w.inputs.slot, {slot}, what + "slot");
  if (chunks > 0) expect(w, w.inputs.chunk_start, chunk_start, what + "chunks' first rows");
  expect(w, w.inputs.chunk_position, chunk_position, what + "chunks' positions");
  expect(w, w.inputs.chunk_row, chunk_row, what + "chunks' rows");
  std::vector<SamplingRow> got(most_rows);
  require(cudaMemcpy(got.data(), w.sampling.get(), got.size() * sizeof(SamplingRow), cudaMemcpyDeviceToHost),
          "how");
  bool good = true;
  for (int i = 0; i < samples; ++i)
    if (places[i] >= 0) good = good && got[i].seed == how[i].seed && got[i].mask == how[i].mask;
  check(good, what + "how they sample");
}

void test_feed_back(World& w, int samples, int slot) {
  const std::string what = std::to_string(samples) + " samples: ";
  const int vocabulary = 9, stride = most_rows;
  Ints position(samples), row(samples), token(samples), tokens = w.tokens, bad(samples, untouched);
  std::vector<float> logits(samples * vocabulary, -INFINITY);
  std::int32_t* host = nullptr;  // [slots][2][stride]
  require(cudaMallocHost(&host, slots * 2 * stride * sizeof(std::int32_t)), "host memory");
  std::fill_n(host, slots * 2 * stride, untouched);
  Ints on_host(host, host + slots * 2 * stride);
  for (int i = 0; i < samples; ++i) {
    position[i] = i % 6 == 5 ? -1 : i % 11 == 3 ? positions : i % positions;
    row[i] = samples - 1 - i;
    token[i] = i % vocabulary;
    if (i % 4 != 1) logits[i * vocabulary + token[i]] = 0.5f;
    if (position[i] < 0) continue;
    bad[i] = i % 4 == 1 ? 1 : 0;
    if (position[i] < positions) tokens[row[i] * positions + position[i]] = token[i];
    on_host[slot * 2 * stride + i] = token[i];
    on_host[slot * 2 * stride + stride + i] = bad[i];
  }
  Buffer<std::int32_t> device_bad(Ints(samples, untouched));
  const Buffer<std::int32_t> device_token(token);
  const Buffer<float> device_logits(logits);
  w.device_tokens.put(w.tokens);
  const auto put = [&](std::int32_t* to, const Ints& from) {
    require(cudaMemcpy(to, from.data(), from.size() * sizeof(std::int32_t), cudaMemcpyHostToDevice),
            "inputs");
  };
  put(w.inputs.sample_position, position);
  put(w.inputs.sample_row, row);
  put(w.inputs.slot, {slot});
  FeedBack back{device_token.get(), device_logits.get(), vocabulary, device_bad.get(), samples};
  require(feed_back(back, w.inputs, w.rows(), nullptr));  // to nobody on the host
  require(cudaDeviceSynchronize(), "feed back");
  check(std::all_of(host, host + slots * 2 * stride, [](std::int32_t x) { return x == untouched; }),
        what + "host, unasked");
  w.device_tokens.put(w.tokens);
  back.host_token = host;
  back.host_bad = host + stride;
  back.slot_stride = 2 * stride;
  require(feed_back(back, w.inputs, w.rows(), nullptr));
  require(cudaDeviceSynchronize(), "feed back");
  check(w.device_tokens.take() == tokens, what + "tokens of rows");
  check(device_bad.take() == bad, what + "bad");
  check(Ints(host, host + slots * 2 * stride) == on_host, what + "on the host");
  w.device_tokens.put(w.tokens);
  cudaFreeHost(host);
}

}  // namespace

int main() {
  World w;
  for (const auto& [decodes, chunks] : {std::pair{1, 0},
                                        {7, 0},
                                        {0, 1},
                                        {0, 6},
                                        {5, 3},
                                        {127, 1},
                                        {128, 0},
                                        {128, 1},
                                        {129, 0},
                                        {200, 90},
                                        {0, 300},
                                        {300, 0}})
    test_prepare(w, decodes, chunks, (decodes + chunks) % slots);
  for (const int samples : {1, 5, 127, 128, 129, 300}) test_feed_back(w, samples, samples % slots);
  const StepRun one{0, 0, 1, 0, 0};
  check(!prepare_step({&one, 1, 2}, w.rows(), w.inputs, nullptr).ok(), "more decodes than runs were taken");
  check(!prepare_step({&one, most_passed_runs + 1, 1}, w.rows(), w.inputs, nullptr).ok(),
        "many runs without a copy were taken");
  check(prepare_step({}, w.rows(), w.inputs, nullptr).ok(), "no runs were refused");
  return report("sequence rows");
}
