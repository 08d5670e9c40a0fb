#include "observe/step_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace serveloop::observe {

namespace {
constexpr char kMagic[4] = {'S', 'L', 'O', 'G'};
}

const char* name_of(Item item) {
  static constexpr const char* kNames[] = {"?",     "clock",   "message",   "mode",   "gate",  "plan",
                                           "evict", "preempt", "refused",   "fell",   "batch", "collected",
                                           "ended", "memory",  "preempted", "chunks", "gauges"};
  const auto index = static_cast<std::size_t>(item);
  return index < std::size(kNames) ? kNames[index] : "?";
}

Result<std::unique_ptr<LogWriter>> LogWriter::create(const std::string& path,
                                                     std::span<const std::uint8_t> header) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr)
    return fail(fmt::format("cannot write the step log '{}'", path), "a path that can be created",
                std::strerror(errno));
  std::setvbuf(file, nullptr, _IOFBF, 1 << 20);
  std::unique_ptr<LogWriter> log(new LogWriter(file, path));
  std::fwrite(kMagic, 1, sizeof(kMagic), file);
  std::fputc(kLogVersion, file);
  log->record(Record::header, header);
  return log;
}

LogWriter::~LogWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

void LogWriter::record(Record type, std::span<const std::uint8_t> payload) {
  frame_.clear();
  frame_.u64(static_cast<std::uint64_t>(type));
  frame_.u64(payload.size());
  std::fwrite(frame_.bytes().data(), 1, frame_.size(), file_);
  if (!payload.empty()) std::fwrite(payload.data(), 1, payload.size(), file_);
}

void LogWriter::begin_step(std::uint64_t step) {
  step_.clear();
  step_.u64(step);
}

void LogWriter::item(Item tag, std::span<const std::uint8_t> bytes) {
  step_.u8(static_cast<std::uint8_t>(tag));
  step_.u64(bytes.size());
  step_.raw(bytes.data(), bytes.size());
}

void LogWriter::end_step() { record(Record::step, step_.bytes()); }

Status LogWriter::finish(std::span<const std::uint8_t> summary) {
  record(Record::end, summary);
  const bool bad = std::ferror(file_) != 0;
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (bad || !closed)
    return fail(fmt::format("cannot write the step log '{}'", path_), "space on its disk",
                std::strerror(errno));
  return {};
}

Result<std::unique_ptr<LogReader>> LogReader::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return fail(fmt::format("cannot read the step log '{}'", path),
                "a file that `serveloop bench`, `--log` or `[observe] log` wrote", std::strerror(error));
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  void* mapped = size == 0 ? MAP_FAILED : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (mapped == MAP_FAILED)
    return fail(fmt::format("'{}' is not a step log", path), "at least a header", "an empty file");
  std::unique_ptr<LogReader> reader(new LogReader({static_cast<const std::uint8_t*>(mapped), size}));
  reader->mapped_ = mapped;
  if (Status ok = reader->start(); !ok) return tl::unexpected(ok.error());
  return reader;
}

Result<std::unique_ptr<LogReader>> LogReader::over(std::span<const std::uint8_t> bytes) {
  std::unique_ptr<LogReader> reader(new LogReader(bytes));
  if (Status ok = reader->start(); !ok) return tl::unexpected(ok.error());
  return reader;
}

LogReader::~LogReader() {
  if (mapped_ != nullptr) ::munmap(mapped_, bytes_.size());
}

Status LogReader::start() {
  if (bytes_.size() < 5 || std::memcmp(bytes_.data(), kMagic, 4) != 0)
    return fail("not a step log", "a file that begins with SLOG", "other bytes");
  if (bytes_[4] != kLogVersion)
    return fail("step log of another version", std::to_string(kLogVersion), std::to_string(bytes_[4]),
                "read it with the release that wrote it");
  at_ = 5;
  const Result<Record> type = frame(header_);
  if (!type) return tl::unexpected(type.error());
  if (*type != Record::header) return fail("damaged step log", "a header record first", "another record");
  return {};
}

Result<Record> LogReader::frame(std::span<const std::uint8_t>& payload) {
  Reader reader(bytes_.subspan(at_));
  const std::uint64_t type = reader.u64();
  if (reader.ok() && (type < 1 || type > 3))
    return fail(fmt::format("damaged step log at byte {}", at_), "record type 1 to 3", std::to_string(type));
  payload = reader.take(reader.u64());
  if (!reader.ok()) {
    cut_off_ = true;
    return fail(fmt::format("damaged step log at byte {}", at_), "a whole record", "the end of the file");
  }
  at_ = bytes_.size() - reader.left();
  return static_cast<Record>(type);
}

Result<bool> LogReader::next(StepRecord& step) {
  step.items.clear();
  if (at_ == bytes_.size() || complete_) return false;
  std::span<const std::uint8_t> payload;
  const std::size_t from = at_;
  const Result<Record> type = frame(payload);
  if (cut_off_) return false;
  if (!type) return tl::unexpected(type.error());
  if (*type == Record::header)
    return fail(fmt::format("damaged step log at byte {}", from), "a step", "a second header");
  if (*type == Record::end) {
    summary_ = payload;
    complete_ = true;
    return false;
  }
  Reader reader(payload);
  step.step = reader.u64();
  while (!reader.done()) {
    const std::uint8_t tag = reader.u8();
    const std::span<const std::uint8_t> bytes = reader.take(reader.u64());
    if (!reader.ok() || tag < 1 || tag > static_cast<std::uint8_t>(Item::gauges))
      return fail(fmt::format("damaged step log in the step at byte {}", from), "whole items",
                  fmt::format("item {}", tag));
    step.items.push_back({static_cast<Item>(tag), bytes});
  }
  return true;
}

std::uint64_t RecordingClock::now_ns() {
  const std::uint64_t now = inner_.now_ns();
  scratch_.clear();
  scratch_.u64(now - last_);
  log_.item(Item::clock, scratch_.bytes());
  last_ = now;
  return now;
}

}  // namespace serveloop::observe
