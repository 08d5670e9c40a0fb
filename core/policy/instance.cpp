// Making, failing, saving. Invariant: no exception of a plugin leaves this file or kinds.hpp.
#include "policy/instance.hpp"

#include <cstdio>
#include <exception>
#include <functional>

#include "policy/kinds.hpp"
#include "policy/reasons.hpp"

namespace serveloop::policy {
namespace {

constexpr std::uint64_t kLongestFailure = 512;  // bytes of a failed call's text
constexpr std::uint32_t kMostSaved = 1u << 30;  // bytes of one instance's state

std::string text_of_current_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

std::string status_name(std::int32_t status) {
  switch (status) {
    case SL_ERROR: return "error";
    case SL_EXCEPTION: return "exception";
    case SL_BAD_OPTION: return "bad option";
    case SL_BAD_STATE: return "bad state";
    default: return "status " + std::to_string(status);
  }
}

// Reads bytes from a plugin function that may ask for more room.
Result<std::vector<std::uint8_t>> read_bytes(const std::function<std::int32_t(sl_out*)>& call,
                                             const std::string& what) {
  std::vector<std::uint8_t> bytes(4096);
  for (int attempt = 0; attempt < 3; ++attempt) {
    sl_out out{bytes.data(), 1, static_cast<std::uint32_t>(bytes.size()), 0, 0};
    std::int32_t status = SL_EXCEPTION;
    try {
      status = call(&out);
    } catch (...) {
      return fail(what, "bytes", "exception: " + text_of_current_exception());
    }
    if (status < 0) return fail(what, "bytes", status_name(status));
    if (out.count > kMostSaved) return fail(what, "at most 1 GiB", std::to_string(out.count) + " bytes");
    const bool whole = out.count <= bytes.size();
    bytes.resize(out.count);
    if (whole) return bytes;
  }
  return fail(what, "a size that stays", "one that grows at each call");
}

}  // namespace

Result<Instance::Made> Instance::make(std::shared_ptr<const Library> library, CheckedOptions options,
                                      const Limits& limits, bool is_gate) {
  std::array<char, 512> error{};
  sl_create in{};
  in.struct_size = sizeof(in);
  in.kind = static_cast<std::uint32_t>(library->manifest().kind);
  in.options = options.table();
  in.seed = limits.seed;
  in.sequence_slots = limits.sequence_slots;
  in.blocks[0] = limits.blocks[0], in.blocks[1] = limits.blocks[1];
  in.block_tokens = limits.block_tokens, in.token_budget = limits.token_budget;
  in.max_sequences = limits.max_sequences, in.lag = limits.lag;
  in.is_gate = is_gate ? 1 : 0;
  in.cost = &limits.cost;
  in.error = error.data(), in.error_capacity = error.size();

  void* self = nullptr;
  std::int32_t status = SL_EXCEPTION;
  std::string why;
  try {
    status = library->plugin().create(&in, &self);
    error.back() = '\0';
    why = error.data();
  } catch (...) {
    why = text_of_current_exception();
  }
  if (status < 0) {
    const Manifest& m = library->manifest();
    return fail(m.file + ": " + name_of(m.kind) + " '" + m.id + "' refused to start", "",
                status_name(status) + (why.empty() ? "" : ": " + why));
  }
  return Made{std::move(library), self, options.effective(), is_gate};
}

Instance::Instance(Made made)
    : library_(std::move(made.library)),
      self_(made.self),
      options_(std::move(made.options)),
      is_gate_(made.is_gate) {
  if (!library_->extension(SL_EXT_STATE, &state_) || state_.save == nullptr || state_.load == nullptr)
    state_ = {};
  if (!library_->extension(SL_EXT_DUMP, &dump_)) dump_ = {};
  if (!library_->extension(SL_EXT_ERROR, &error_)) error_ = {};
}

Instance::~Instance() {
  try {
    library_->plugin().destroy(self_);
  } catch (...) {  // its memory may leak; the engine goes on
  }
}

void Instance::refused(std::uint16_t reason, std::uint32_t bad, const void* row) {
  health_.refused(reason);
  if (asked_ == 0 || reason == SL_REASON_CALL_FAILED)
    return;  // that answer's status tells, or it was no answer
  Answered& last = last_[(asked_ - 1) % last_.size()];
  last.reason = reason;
  if (bad >= last.count) return;
  last.bad = bad;
  std::memcpy(last.bad_row.data(), row, std::min(last.stride, Answered::kRowBytes));
}

std::string Instance::reason_name(std::uint16_t code) const { return policy::reason_name(code, &manifest()); }

std::int32_t Instance::caught() noexcept {
  last_failure_ = "exception: " + text_of_current_exception();
  return SL_EXCEPTION;
}

std::int32_t Instance::failed(std::int32_t status) noexcept {
  if (status == kOverflow) status = SL_ERROR;  // ours alone
  const std::string why = told_failure();
  last_failure_ = status_name(status) + (why.empty() ? "" : ": " + why);
  return status;
}

std::string Instance::told_failure() noexcept {
  if (error_.last == nullptr) return {};
  try {
    const sl_text text = error_.last(self_);
    if (text.data == nullptr) return {};
    return Error{std::string(text.data, std::min<std::uint64_t>(text.size, kLongestFailure)), {}, {}, {}}
        .message();
  } catch (...) {
    return text_of_current_exception();
  }
}

std::int32_t Instance::overflowed(std::int32_t status) noexcept {
  if (status < 0) return status;
  last_failure_ = "more rows than the buffer's capacity";
  return kOverflow;
}

Result<std::vector<std::uint8_t>> Instance::save() {
  if (state_.save == nullptr) return fail("state of '" + id() + "'", "extension " SL_EXT_STATE, "none");
  return read_bytes([&](sl_out* out) { return state_.save(self_, out); }, "state of '" + id() + "'");
}

Status Instance::load(std::span<const std::uint8_t> bytes) {
  const std::string what = "state of '" + id() + "'";
  if (state_.load == nullptr) return fail(what, "extension " SL_EXT_STATE, "none");
  try {
    const std::int32_t status = state_.load(self_, bytes.data(), bytes.size());
    if (status < 0) return fail(what, "state it can load", status_name(status));
  } catch (...) {
    return fail(what, "state it can load", "exception: " + text_of_current_exception());
  }
  return {};
}

std::string Instance::dump() {
  if (dump_.dump == nullptr) return {};
  const Result<std::vector<std::uint8_t>> text =
      read_bytes([&](sl_out* out) { return dump_.dump(self_, out); }, "dump");
  return text ? std::string(text->begin(), text->end()) : text.error().message();
}

Result<bool> hand_over_state(Instance& before, Instance& next) {
  if (before.state_schema() == 0 || before.state_schema() != next.state_schema()) return false;
  const Result<std::vector<std::uint8_t>> bytes = before.save();
  if (!bytes) return tl::unexpected(bytes.error());
  if (Status status = next.load(*bytes); !status) return tl::unexpected(status.error());
  return true;
}

}  // namespace serveloop::policy
