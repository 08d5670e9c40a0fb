// The step log, version 5 (docs/STEP_LOG.md): everything that went into the loop and everything that it
// decided, in order.
//
//   file   := "SLOG" u8(version) record*
//   record := u64(type) u64(size) payload          types: header, step, end
//   a step's payload is a sequence of items:  u8(tag) u64(size) bytes, in the order in which they happened
//
// The loop speaks to one of two implementations: a writer, or a replay that holds each item against a
// recorded one. The loop thread's.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "observe/codec.hpp"

namespace serveloop::observe {

inline constexpr std::uint8_t kLogVersion = 5;

enum class Record : std::uint8_t { header = 1, step = 2, end = 3 };

enum class Item : std::uint8_t {
  clock = 1,  // a reading, as the difference from the one before
  message,    // taken in: arrival, cancel, pause, resume, swap, ...
  mode,       // precision mode
  gate,       // a gate's answer
  plan,       // the scheduler's answer
  evict,      // the eviction policy's answer
  preempt,    // the preemption policy's answer
  refused,    // the answer before it was refused: the linked-in policy's took its place
  fell,       // an entry could not be placed
  batch,      // what was submitted
  collected,  // device times and tokens
  ended,      // a sequence's end with its causes
  memory,     // at the step's end
  preempted,  // a sequence yielded: by whom, for whom
  chunks,     // whose prefill is in the batch
  gauges,     // what the policy whose answer went before wants to see plotted
};

const char* name_of(Item item);

class StepLog {
 public:
  virtual ~StepLog() = default;
  virtual void begin_step(std::uint64_t step) = 0;
  virtual void item(Item tag, std::span<const std::uint8_t> bytes) = 0;
  virtual void end_step() = 0;
};

// Writes a file, whole steps at a time.
class LogWriter final : public StepLog {
 public:
  static Result<std::unique_ptr<LogWriter>> create(const std::string& path,
                                                   std::span<const std::uint8_t> header);
  ~LogWriter() override;
  void begin_step(std::uint64_t step) override;
  void item(Item tag, std::span<const std::uint8_t> bytes) override;
  void end_step() override;
  // Writes the end record and closes. Fails if the disk did.
  Status finish(std::span<const std::uint8_t> summary);

 private:
  explicit LogWriter(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  void record(Record type, std::span<const std::uint8_t> payload);
  std::FILE* file_;
  std::string path_;
  Writer step_, frame_;
};

struct StepRecord {
  std::uint64_t step = 0;
  struct Entry {
    Item tag;
    std::span<const std::uint8_t> bytes;
  };
  std::vector<Entry> items;
};

// Reads a file, mapped into memory. Every malformed byte is an error that names its offset.
class LogReader {
 public:
  static Result<std::unique_ptr<LogReader>> open(const std::string& path);
  // The same over bytes in memory that outlive it.
  static Result<std::unique_ptr<LogReader>> over(std::span<const std::uint8_t> bytes);
  ~LogReader();
  std::span<const std::uint8_t> header() const { return header_; }
  // The next step; false at the end record, or where the writer was cut off (then after the last whole step,
  // and complete() stays false).
  Result<bool> next(StepRecord& step);
  bool complete() const { return complete_; }  // the end record was seen
  std::span<const std::uint8_t> summary() const { return summary_; }

 private:
  explicit LogReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  Status start();
  // Sets cut_off_ where the record begins in the file and does not end in it.
  Result<Record> frame(std::span<const std::uint8_t>& payload);
  std::span<const std::uint8_t> bytes_, header_, summary_;
  std::size_t at_ = 0;
  void* mapped_ = nullptr;
  bool complete_ = false, cut_off_ = false;
};

// A clock that notes each reading in the log.
class RecordingClock final : public Clock {
 public:
  RecordingClock(Clock& inner, StepLog& log) : inner_(inner), log_(log) {}
  std::uint64_t now_ns() override;
  void charge(Phase phase, std::uint32_t rows) override { inner_.charge(phase, rows); }
  void wait_until(std::uint64_t at_ns) override { inner_.wait_until(at_ns); }

 private:
  Clock& inner_;
  StepLog& log_;
  std::uint64_t last_ = 0;
  Writer scratch_;
};

}  // namespace serveloop::observe
