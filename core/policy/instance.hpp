// Instances of plugins: what the engine calls. Each call costs an indirect call, a check of the buffer's
// count and a copy of the answer's first rows for the report; what a function throws becomes a status, what
// it does to its buffers' other fields is undone. Content is the engine's to check; it tells `health()` how
// an answer fared.
//
// Threads: [step] calls, health() and report() belong to one thread at a time; create and destruction to any.
#pragma once

#include <serveloop/serveloop.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/health.hpp"
#include "policy/library.hpp"
#include "policy/options.hpp"

namespace serveloop::policy {

// What a new instance is told of its engine.
struct Limits {
  std::uint64_t seed = 0;
  std::uint32_t sequence_slots = 0;  // capacity of the seqs table
  std::uint32_t blocks[2] = {0, 0};  // by tier
  std::uint32_t block_tokens = 0, token_budget = 0, max_sequences = 0, lag = 0;
  sl_cost cost{};
};

// A status beside the ABI's: more rows than the buffer has.
inline constexpr std::int32_t kOverflow = -100;
// Why an answer with that status is refused: SL_REASON_NONE, SL_REASON_CALL_FAILED or SL_REASON_OVERFLOW.
inline std::uint16_t reason_of(std::int32_t status) {
  if (status >= 0) return SL_REASON_NONE;
  return status == kOverflow ? SL_REASON_OVERFLOW : SL_REASON_CALL_FAILED;
}

inline constexpr std::uint32_t kNoRow = UINT32_MAX;

// The first rows of an answer, as written, and the one that broke a rule.
struct Answered {
  static constexpr std::uint32_t kBytes = 1024, kRowBytes = 64;
  std::uint64_t step = 0;
  std::int32_t status = 0;
  std::uint32_t count = 0, stride = 0, kept = 0;  // rows
  alignas(8) std::array<std::byte, kBytes> rows;
  std::uint16_t reason = 0;  // why it was refused: SL_REASON_*
  std::uint32_t bad = kNoRow;
  alignas(8) std::array<std::byte, kRowBytes> bad_row;
};

class Instance {
 public:
  virtual ~Instance();  // destroys the plugin's object, then lets go of the library
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  Kind kind() const { return manifest().kind; }
  const std::string& id() const { return manifest().id; }
  const Manifest& manifest() const { return library_->manifest(); }
  const Library& library() const { return *library_; }
  const toml::Value& options() const { return options_; }  // defaults filled in
  bool is_gate() const { return is_gate_; }
  std::string reason_name(std::uint16_t code) const;
  // One line on the last call that failed: "exception: vector::_M_range_check"; empty while none has.
  const std::string& last_failure() const { return last_failure_; }

  Health& health() { return health_; }
  const Health& health() const { return health_; }
  // The last answer was refused. `bad`: its row that broke the rule, which lies at `row`; kNoRow where no single one did.
  void refused(std::uint16_t reason, std::uint32_t bad = kNoRow, const void* row = nullptr);
  // Text for a person: kind, id, counts by reason, last failure, the plugin's own dump, its last answers.
  // [control]
  std::string report();

  // Saved state, [control]. A schema of 0 means that it has none to save.
  std::uint64_t state_schema() const { return state_.schema; }
  Result<std::vector<std::uint8_t>> save();
  Status load(std::span<const std::uint8_t> bytes);

 protected:
  struct Made {
    std::shared_ptr<const Library> library;
    void* self;
    toml::Value options;
    bool is_gate;
  };
  static Result<Made> make(std::shared_ptr<const Library> library, CheckedOptions options,
                           const Limits& limits, bool is_gate);
  explicit Instance(Made made);

  // Calls, and sees that `rows` and `gauges` come back whole and within their capacity.
  template <class Call>
  std::int32_t ask(std::uint64_t step, sl_out& rows, sl_out& gauges, Call&& call) {
    rows.count = gauges.count = 0;
    const sl_out rows_given = rows, gauges_given = gauges;
    std::int32_t status = tell(call);
    const std::uint32_t counts[2] = {rows.count, gauges.count};
    rows = rows_given, gauges = gauges_given;
    rows.count = counts[0], gauges.count = counts[1];
    if (rows.count > rows.capacity || gauges.count > gauges.capacity) [[unlikely]]
      status = overflowed(status);
    keep(step, status, rows);
    return status;
  }
  // Calls a function that answers nothing but a status.
  template <class Call>
  std::int32_t tell(Call&& call) {
    health_.called();
    std::int32_t status;
    try {
      status = call();
      if (status < 0) [[unlikely]]
        status = failed(status);
    } catch (...) {
      status = caught();
    }
    return status;
  }
  void* self() const { return self_; }

 private:
  std::int32_t caught() noexcept;  // inside a catch block
  std::int32_t failed(std::int32_t status) noexcept;
  std::int32_t overflowed(std::int32_t status) noexcept;
  void keep(std::uint64_t step, std::int32_t status, const sl_out& rows) {
    Answered& last = last_[asked_++ % last_.size()];
    last.step = step, last.status = status, last.count = rows.count, last.stride = rows.stride;
    last.reason = 0, last.bad = kNoRow;
    const std::uint32_t room = rows.stride == 0 ? 0 : Answered::kBytes / rows.stride;
    last.kept = std::min({rows.count, rows.capacity, room});
    if (last.kept > 0) std::memcpy(last.rows.data(), rows.base, std::size_t{last.kept} * last.stride);
  }
  std::string told_failure() noexcept;  // by its serveloop.error/1
  std::string dump();

  std::shared_ptr<const Library> library_;
  void* self_;
  toml::Value options_;
  bool is_gate_;
  Health health_;
  sl_state state_{};
  sl_dump dump_{};
  sl_error error_{};
  std::uint64_t asked_ = 0;
  std::array<Answered, 4> last_;
  std::string last_failure_;
};

}  // namespace serveloop::policy
