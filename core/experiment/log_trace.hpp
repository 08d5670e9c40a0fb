// A step log as a trace: what arrived, when, how much was generated, and which prompts share which prefix, as ids of
// blocks. No token of a prompt is in it, nor a client's own name of a session, a program or a cache; keys are left out.
//
// A prompt's output is what was really generated, the longest of its sequences. One that was cancelled, cut by its deadline
// or still under way at the log's end counts with the tokens it had got by then; one that had got none is left out and
// counted. Thread-safe.
#pragma once

#include <string>

#include "base/result.hpp"
#include "experiment/traces.hpp"

namespace serveloop::experiment {

// Fails where the file is no step log of this version, holds a malformed byte or no request that got a token.
Result<Trace> trace_of_log(const std::string& path);

}  // namespace serveloop::experiment
