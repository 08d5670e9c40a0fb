// Files that a subcommand writes: none over another or over what is read, and none half written. The main thread's.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace serveloop::cli {

struct NamedPath {
  std::string what;  // "--json", "[observe] log of a.toml"
  std::string path;  // empty: none
};
// Fails where an output is also an input or another output, by whatever name. Devices and pipes are no files
// in that sense.
Status check_distinct(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs);

// A file that appears whole or not at all: written beside its place, then renamed. What is no plain file (a
// device, a pipe) is written in place.
class OutputFile {
 public:
  // `option`: that names the path, "--json".
  static Result<OutputFile> create(const std::string& option, const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // without commit(), nothing is left
  Status commit(const std::string& content);

 private:
  OutputFile(std::FILE* file, std::string path, std::string temporary)
      : file_(file), path_(std::move(path)), temporary_(std::move(temporary)) {}
  std::FILE* file_;
  std::string path_, temporary_;  // temporary_ is empty where path_ itself is written
};

// Did all that was printed on standard output arrive? If not, says so in one line, once.
bool stdout_arrived();

}  // namespace serveloop::cli
