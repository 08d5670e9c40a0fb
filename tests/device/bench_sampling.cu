// sample() beside the time that reading the logits takes at the read bandwidth of the same run.
#include <cstring>

#include "kernels/cuda/sampling.hpp"
#include "timing.cuh"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Request {
  const char* name;
  SamplingRow row;
  int history;  // tokens seen
};

void measure(int vocabulary, int rows, const Request& request, double bandwidth) {
  const Buffer<bf16> logits(static_cast<std::size_t>(rows) * vocabulary);
  fill(logits.get(), logits.size(), 1, 3.0f);
  const int capacity = 4096;
  std::vector<SamplingRow> row(rows, request.row);
  std::vector<TokenCount> seen(static_cast<std::size_t>(rows) * capacity);
  std::vector<std::int32_t> size(rows, request.history), position(rows, 1000);
  for (int r = 0; r < rows; ++r) {
    row[r].seed = r;
    if (request.history == 0) continue;
    row[r].history = r;
    for (int i = 0; i < request.history; ++i) seen[static_cast<std::size_t>(r) * capacity + i] = {i * 7, 1};
  }
  const Buffer<SamplingRow> requests(row);
  const Buffer<TokenCount> history(seen);
  const Buffer<std::int32_t> sizes(size), positions(position), token(rows), alternative(rows * 20);
  const Buffer<float> logprob(rows), alternative_logprob(rows * 20);
  SamplingJob job;
  job.logits = logits.get();
  job.logits_stride = vocabulary;
  job.rows = rows;
  job.vocabulary = vocabulary;
  job.row = requests.get();
  job.position = positions.get();
  job.history = history.get();
  job.history_size = sizes.get();
  job.history_capacity = capacity;
  job.token = token.get();
  job.logprob = logprob.get();
  job.alternative = alternative.get();
  job.alternative_logprob = alternative_logprob.get();
  const double us = time_us([&](cudaStream_t stream, int) { require(sample(job, stream)); }, 8, 9);
  std::printf("%6d tokens, %3d rows, %-34s %8.2f us (the read: %6.2f us)\n", vocabulary, rows, request.name,
              us, 2.0 * rows * vocabulary / bandwidth);
}

}  // namespace

int main() {
  const double bandwidth = read_bandwidth(std::size_t{2} << 30);
  SamplingRow greedy, plain, chat, peaked, penalties, logprobs;
  greedy.temperature = 0.0f;
  chat.temperature = 0.7f, chat.top_k = 50, chat.top_p = 0.9f;
  peaked.temperature = 1.0f, peaked.min_p = 0.05f;
  penalties.temperature = 0.7f, penalties.repetition = 1.1f, penalties.frequency = 0.2f;
  logprobs.temperature = 0.0f, logprobs.alternatives = 5;
  const Request requests[] = {{"greedy", greedy, 0},
                              {"temperature", plain, 0},
                              {"min-p", peaked, 0},
                              {"top-k 50, top-p 0.9", chat, 0},
                              {"temperature, 1,000 penalties", penalties, 1000},
                              {"greedy, 5 log-probabilities", logprobs, 0}};
  for (const int vocabulary : {49152, 128256, 151936})
    for (const int rows : {1, 16, 64, 256})
      for (const Request& request : requests) measure(vocabulary, rows, request, bandwidth);
  return 0;
}
