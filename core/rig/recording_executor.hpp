// What an executor brings, in the step log. The loop thread's.
#pragma once

#include <vector>

#include "execute/executor.hpp"
#include "observe/step_log.hpp"

namespace serveloop::rig {

class RecordingExecutor final : public execute::Executor {
 public:
  RecordingExecutor(execute::Executor& inner, observe::StepLog& log) : inner_(inner), log_(log) {}
  void submit(const execute::Batch& batch) override { inner_.submit(batch); }
  execute::Collected collect() override;
  std::span<const sl_op_key> op_keys() const override { return inner_.op_keys(); }
  Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) override {
    return inner_.apply(mode, plans);
  }
  std::span<const sl_op_plan> effective(std::uint32_t mode) const override { return inner_.effective(mode); }

 private:
  execute::Executor& inner_;
  observe::StepLog& log_;
  observe::Writer scratch_;
};

// Without log-probabilities: nothing that the loop decides depends on them.
void encode(const execute::Collected& done, observe::Writer& out);
// What a decoded result points to.
struct CollectedParts {
  std::vector<std::uint32_t> tokens;
  std::vector<std::uint64_t> copies_failed;
};
execute::Collected decode_collected(observe::Reader& in, CollectedParts& parts);

}  // namespace serveloop::rig
