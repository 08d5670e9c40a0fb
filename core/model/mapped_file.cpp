// The descriptor is closed at once; the mapping keeps the file.
#include "model/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace serveloop::model {

Result<MappedFile> MappedFile::open(const std::string& path) {
  const auto refuse = [&](const char* found) { return fail(path, "a readable file", found); };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO would block
  if (fd < 0) return refuse(std::strerror(errno));
  struct stat state = {};
  void* base = MAP_FAILED;
  const char* problem = nullptr;
  if (::fstat(fd, &state) == 0 && S_ISREG(state.st_mode) && state.st_size > 0)
    base = ::mmap(nullptr, static_cast<std::size_t>(state.st_size), PROT_READ, MAP_SHARED, fd, 0);
  else if (state.st_mode != 0)
    problem = S_ISREG(state.st_mode)   ? "an empty one"
              : S_ISDIR(state.st_mode) ? "a folder"
                                       : "no regular file";
  if (base == MAP_FAILED && problem == nullptr) problem = std::strerror(errno);
  ::close(fd);
  if (problem != nullptr) return refuse(problem);
  return MappedFile({static_cast<const std::byte*>(base), static_cast<std::size_t>(state.st_size)});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace serveloop::model
