// Between submit and collect. What a step enqueues is bracketed by two events, also where it fails half-way: its staging
// must not be written again before the device has read it.
#include "execute/cuda/cuda_executor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace serveloop::execute::cuda {

void CudaExecutor::fail_job(Job& job, const Error& error) {
  if (std::exchange(job.failed, true)) return;
  Error with_step = error;
  with_step.what = fmt::format("step {}: {}", job.step, error.what);
  job.why = with_step.message();
}

void CudaExecutor::submit(const Batch& batch) {
  assert(submitted_ - collected_ <= options_.lag);
  Job& to = job(submitted_++);
  to.step = batch.step;
  to.submitted_ns = clock_.now_ns();
  to.decodes = batch.decodes;
  to.prefill_tokens = batch.prefill_tokens;
  to.enqueued = to.failed = false;
  to.why.clear();
  to.rows.assign(batch.rows.begin(), batch.rows.end());
  to.copies.assign(batch.copies.begin(), batch.copies.end());
  if (submitted_ - collected_ == 1) begin_copies(to);
  if (batch.mode >= modes_.size() || modes_[batch.mode].empty()) {
    fail_job(to, {fmt::format("precision mode {}", batch.mode), "a mode that was applied", {}, {}});
  } else if (Status good = enqueue(to, batch); !good) {
    fail_job(to, good.error());
  }
  if (rows_) rows_->count(to.rows);
  if (!to.enqueued) return;
  if (Status good = to.end.record(stream_); !good) fail_job(to, good.error());
}

Status CudaExecutor::enqueue(Job& job, const Batch& batch) {
  const auto changes = rows_->edit(batch.begins, batch.changes);
  if (!changes) return tl::unexpected(changes.error());
  const Status can_run = rows_->check(job.rows);
  if (Status good = edit(job, batch.begins, *changes, can_run ? job.rows : std::span<const BatchRow>());
      !good)
    return good;
  if (!can_run || job.rows.empty()) return can_run;
  if (Status good = pass(job); !good) {
    pass_->recover(stream_).map_error([](const Error&) {});  // the first error is the one to hear of
    return good;
  }
  if (!job.wants_logprobs) return {};
  return cuda::check(cudaMemcpyAsync(on_host(job).words, sampled_.get(), sampled_.bytes(),
                                     cudaMemcpyDeviceToHost, stream_.get()),
                     "sampled tokens");
}

// Sequences that begin, and block tables; also the runs of the pass where they are many, since all that goes to the
// device goes in one copy.
Status CudaExecutor::edit(Job& job, std::span<const Begin> begins,
                          std::span<const kernels::cuda::TableEdit> changes, std::span<const BatchRow> rows) {
  job.staging.clear();
  begins_.clear();
  known_.clear();
  for (const Begin& begin : begins) {
    const auto first = static_cast<std::int32_t>(known_.size());
    known_.insert(known_.end(), begin.prompt.begin(), begin.prompt.end());
    known_.insert(known_.end(), begin.generated.begin(), begin.generated.end());
    alternatives_[begin.row] =
        begin.sampling->alternatives ? static_cast<std::int32_t>(*begin.sampling->alternatives) : -1;
    begins_.push_back({static_cast<std::int32_t>(begin.row), first,
                       static_cast<std::int32_t>(known_.size()) - first,
                       sampling_.stage(begin, job.staging)});
  }
  job.layout.make(rows, pass_->most_items());
  if (options_.graphs && job.layout.is_plain())
    job.layout.pad(DecodeGraphs::size_for(
        job.layout.size.decodes, static_cast<int>(std::min(options_.max_sequences, options_.token_budget))));
  PassSize& size = job.layout.size;
  size.in_one = size.decodes > 0 && size.chunks == 0 && pass_->goes_in_one(size.decodes, job.layout.keys);
  ask_logprobs(job);
  const std::size_t first = job.staging.add(std::span<const kernels::cuda::RowBegin>(begins_));
  const std::size_t known = job.staging.add(std::span<const std::int32_t>(known_));
  const std::size_t table = job.staging.add(changes);
  const std::vector<kernels::cuda::StepRun>& runs = job.layout.runs;
  if (runs.size() > kernels::cuda::most_passed_runs)
    job.layout.place = job.staging.add(std::span<const kernels::cuda::StepRun>(runs));

  job.enqueued = true;
  if (Status good = job.start.record(stream_); !good) return good;
  if (Status good = job.staging.send(stream_); !good) return good;
  if (Status good = sampling_.send(job.staging, stream_); !good) return good;
  const kernels::cuda::RowEdits edits{job.staging.at<kernels::cuda::RowBegin>(first),
                                      static_cast<int>(begins_.size()),
                                      job.staging.at<kernels::cuda::TableEdit>(table),
                                      static_cast<int>(changes.size()), job.staging.at<std::int32_t>(known)};
  return cuda::check(kernels::cuda::edit_rows(edits, row_memory_.rows(), stream_.get()), "rows");
}

Status CudaExecutor::pass(Job& job) {
  const StepLayout& layout = job.layout;
  const bool staged = layout.runs.size() > kernels::cuda::most_passed_runs;
  const kernels::cuda::StepRuns runs{
      layout.runs.data(), static_cast<int>(layout.runs.size()), layout.size.decodes,
      staged ? job.staging.at<kernels::cuda::StepRun>(layout.place) : nullptr, job.slot};
  if (Status good = cuda::check(
          kernels::cuda::prepare_step(runs, row_memory_.rows(), row_memory_.inputs(), stream_.get()),
          "a step's inputs");
      !good)
    return good;
  const auto enqueue = [&] {
    return pass_->enqueue(layout.size, row_memory_.rows(), row_memory_.inputs(), sampling_,
                          {sampled_.get(), options_.max_sequences, on_host_.get()}, stream_);
  };
  if (!options_.graphs || !layout.is_plain()) return enqueue();
  return graphs_.launch({layout.size.decodes, layout.size.in_one}, stream_, enqueue);
}

void CudaExecutor::begin_copies(Job& job) {
  if (copier_) copier_->begin(job.copies);
  job.copies.clear();
}

void CudaExecutor::ask_logprobs(Job& job) {
  job.wants_logprobs = false;
  job.alternatives.assign(job.rows.size(), -1);
  for (std::size_t i = 0; i < job.rows.size(); ++i) {
    if (!job.rows[i].samples || job.rows[i].row >= alternatives_.size()) continue;
    job.alternatives[i] = alternatives_[job.rows[i].row];
    job.wants_logprobs |= job.alternatives[i] >= 0;
  }
}

Collected CudaExecutor::collect() {
  assert(collected_ < submitted_);
  Job& oldest = job(collected_++);
  bool waited = false;
  if (oldest.enqueued) {
    waited = cudaEventQuery(oldest.end.get()) == cudaErrorNotReady;
    if (waited) cudaGetLastError();  // it was kept as an error
    if (Status good = cuda::check(cudaEventSynchronize(oldest.end.get()), "device"); !good)
      fail_job(oldest, good.error());
  }
  Collected out;
  out.step = oldest.step;
  place_in_time(oldest, waited, out);
  oldest.tokens.assign(oldest.rows.size(), 0);
  oldest.logprobs.clear();
  if (!oldest.failed)
    if (Status good = take(oldest); !good) fail_job(oldest, good.error());
  if (oldest.failed) std::fill(oldest.tokens.begin(), oldest.tokens.end(), 0);
  out.failed = oldest.failed;
  out.why = oldest.why;
  out.decode_ns =
      decode_time_.of(oldest.decodes, oldest.prefill_tokens, out.device_end_ns - out.device_start_ns);
  out.tokens = oldest.tokens;
  if (!oldest.failed) out.logprobs = oldest.logprobs;
  if (collected_ < submitted_) begin_copies(job(collected_));  // all steps before it have ended
  if (copier_) {
    if (oldest.rows.empty()) copier_->wait_for_one();
    copier_->tell(out, copies_failed_);
  }
  return out;
}

void CudaExecutor::place_in_time(Job& job, bool waited, Collected& out) {
  const std::uint64_t now = clock_.now_ns();
  out.device_start_ns = out.device_end_ns = now;
  if (!job.enqueued || job.failed) return timeline_.forget();
  const Result<Timeline::Step> step = timeline_.place(job.start, job.end, job.submitted_ns, waited, now);
  if (!step) return fail_job(job, step.error());
  out.device_start_ns = step->start_ns;
  out.device_end_ns = step->end_ns;
}

Status CudaExecutor::take(Job& job) {
  const SampledTokens sampled = on_host(job);
  if (job.wants_logprobs) job.logprobs.resize(job.rows.size());
  for (std::size_t i = 0; i < job.rows.size(); ++i) {
    if (job.layout.sample[i] < 0) continue;
    const auto at = static_cast<std::size_t>(job.layout.sample[i]);
    if (sampled.bad()[at] != 0)
      return fail(fmt::format("logits of row {} at position {}", job.rows[i].row,
                              std::uint64_t{job.rows[i].start} + job.rows[i].tokens - 1),
                  "a number above minus infinity", "none",
                  "the weights are broken, or too large for the precision plan");
    job.tokens[i] = static_cast<std::uint32_t>(sampled.token()[at]);
    if (job.alternatives[i] >= 0) take_logprobs(job, i, at);
  }
  return {};
}

void CudaExecutor::take_logprobs(Job& job, std::size_t row, std::size_t sample) {
  const SampledTokens sampled = on_host(job);
  std::vector<TokenLogprob>& out = job.logprobs[row];
  out.clear();
  out.push_back({job.tokens[row], sampled.logprob()[sample]});
  const auto count = std::min<std::size_t>({static_cast<std::size_t>(job.alternatives[row]),
                                            SampledTokens::kAlternatives, architecture_.vocabulary});
  for (std::size_t i = sample * SampledTokens::kAlternatives;
       i < sample * SampledTokens::kAlternatives + count; ++i)
    out.push_back({static_cast<std::uint32_t>(sampled.alternative()[i]), sampled.alternative_logprob()[i]});
}

}  // namespace serveloop::execute::cuda
