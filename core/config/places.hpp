// Where a configuration's keys were stated, so that an error that comes up long after reading names the place, too.
//
// The convention: an error about a key opens with the key ("engine.lag", "workload.trace: day.csv:3: TIMESTAMP"), and
// whoever shows it to the user lets placed() put the file and line, or the option, in front. Thread safety: plain
// values.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "base/toml.hpp"

namespace serveloop::config {

class Places {
 public:
  Places() = default;  // of a configuration made in code: nothing is known
  // `folder`: what relative paths of the file count from.
  Places(toml::Value document, std::string folder);

  // Opens an error: "run.toml:3:1: engine.lag", "--set engine.lag=9"; where nobody stated the key, the place of the
  // table around it, or the file alone.
  std::string named(const std::string& key) const;
  bool states(const std::string& key) const;           // by a value, not by a table above it
  bool of_command_line(const std::string& key) const;  // stated by an option
  // The first key, this one or one below it, that an option states; empty: none.
  std::string command_line_key(const std::string& key) const;
  // The error about a key: with the key in front, unless a place of this configuration is there.
  tl::unexpected<Error> under(const std::string& key, Error error) const;
  // The error with its place in front: that of the key which it opens with, else the file's name; as it is where it
  // has one already. A file that is missing ("none at PATH") by a relative path: adds what such paths count from.
  Error placed(Error error) const;

  // No part of what a configuration says.
  friend bool operator==(const Places&, const Places&) { return true; }

 private:
  bool has_place(const Error& error) const;
  std::string hint(const std::string& key) const;

  std::shared_ptr<const toml::Value> document_;
  std::string folder_;
};

}  // namespace serveloop::config
