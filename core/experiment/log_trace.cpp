#include "experiment/log_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "engine/records.hpp"
#include "kv/types.hpp"
#include "observe/step_log.hpp"
#include "requests/whole_prompt.hpp"
#include "rig/log_header.hpp"
#include "rig/settings.hpp"

namespace serveloop::experiment {

namespace {

// Names in order of first sight, from 1 on.
class Numbers {
 public:
  std::uint64_t of(const std::string& name) {
    return name.empty() ? 0 : numbers_.try_emplace(name, numbers_.size() + 1).first->second;
  }

 private:
  std::unordered_map<std::string, std::uint64_t> numbers_;
};

// Ids of prompts' blocks: equal where all tokens up to the block's end are. Numbered in order of first sight, so that an id
// tells nothing of what it stands for.
class BlockIds {
 public:
  explicit BlockIds(std::uint32_t block_tokens) : block_tokens_(block_tokens) {}
  std::vector<BlockRun> of(std::span<const requests::Token> prompt) {
    std::vector<BlockRun> runs;
    for (kv::Key above = 0; !prompt.empty();) {
      const std::size_t tokens = std::min<std::size_t>(block_tokens_, prompt.size());
      above = kv::hash_block(above, prompt.first(tokens));
      append_block(runs, ids_.try_emplace(above, ids_.size()).first->second);
      prompt = prompt.subspan(tokens);
    }
    return runs;
  }

 private:
  std::uint32_t block_tokens_;
  std::unordered_map<kv::Key, std::uint64_t> ids_;
};

class Requests {
 public:
  Requests(const config::Config& config, const rig::DeviceFacts& facts)
      : facts_(facts), labeler_(rig::labeler(config)), blocks_(config.engine.block_tokens) {}

  Status take(const observe::StepRecord& record) {
    for (const observe::StepRecord::Entry& item : record.items) {
      observe::Reader in(item.bytes);
      if (item.tag == observe::Item::message) {
        const Result<engine::Message> message = engine::decode_message(in);
        if (!message) return tl::unexpected(message.error());
        if (message->arrival == nullptr) continue;
        if (Status arrived = arrive(*message->arrival); !arrived) return arrived;
      } else if (item.tag == observe::Item::ended) {
        const engine::Finished end = engine::decode_end(in);
        if (!in.ok())
          return fail(fmt::format("step {}: item 'ended'", record.step), "a whole one", "its end");
        if (const auto found = places_.find(end.request); found != places_.end()) {
          TraceRow& row = rows_[found->second];
          row.output_tokens = std::max(row.output_tokens, end.output_tokens);
        }
      }
    }
    return {};
  }

  // Those that got a token, numbered anew.
  Result<Trace> done(std::uint32_t block_tokens) {
    Trace trace;
    trace.block_tokens = block_tokens;
    std::unordered_map<std::uint64_t, std::uint64_t> numbers;  // by the engine's id
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i].output_tokens == 0) {
        ++trace.unanswered;
        continue;
      }
      RowLabels& labels = labels_[i];
      numbers.emplace(labels.id, trace.rows.size());
      labels.id = trace.rows.size();
      const auto parent = labels.parent ? numbers.find(*labels.parent) : numbers.end();
      labels.parent = parent == numbers.end() ? std::nullopt : std::optional(parent->second);
      rows_[i].labels = static_cast<std::uint32_t>(trace.rows.size());
      trace.rows.push_back(std::move(rows_[i]));
      trace.labels.push_back(std::move(labels));
    }
    if (trace.rows.empty())
      return fail("requests", "at least one that got a token",
                  fmt::format("{} that got none", trace.unanswered));
    settle(trace.rows);
    return trace;
  }

 private:
  Status arrive(const engine::Arrival& arrival) {
    const requests::RequestSpec& spec = arrival.spec;
    const std::uint32_t prompt_tokens = spec.prompt_tokens();
    if (prompt_tokens == 0 || prompt_tokens > facts_.context_tokens)
      return fail("damaged step log", fmt::format("prompts of 1 to {} tokens", facts_.context_tokens),
                  std::to_string(prompt_tokens));
    if (!places_.emplace(arrival.id, rows_.size()).second)
      return fail("damaged step log", "a request once", fmt::format("request {} twice", arrival.id));
    TraceRow row;
    row.arrival_ns = spec.arrival_ns;
    row.prompt_tokens = prompt_tokens;
    row.blocks = blocks_.of(requests::whole_prompt(spec, facts_.vocabulary));
    rows_.push_back(std::move(row));
    labels_.push_back(labels_of(arrival));
    return {};
  }

  RowLabels labels_of(const engine::Arrival& arrival) {
    const requests::RequestSpec& spec = arrival.spec;
    RowLabels labels;
    labels.id = arrival.id;
    if (spec.parent != 0) labels.parent = spec.parent;
    labels.session = sessions_.of(spec.session);
    labels.program = programs_.of(spec.program);
    labels.cache_salt = salts_.of(spec.cache_salt);
    labels.turn = spec.turn;
    labels.n = spec.n;
    labels.tenant = labeler_.tenant_name_of(spec);  // a key names one, too
    if (labels.tenant == "default") labels.tenant.clear();
    labels.category = spec.category;
    labels.priority = spec.priority;
    labels.ttft_deadline_ns = spec.ttft_deadline_ns;
    labels.tbt_target_ns = spec.tbt_target_ns;
    labels.end_deadline_ns = spec.end_deadline_ns;
    labels.predicted_p50 = spec.predicted_p50;
    labels.predicted_p90 = spec.predicted_p90;
    labels.predicted_p99 = spec.predicted_p99;
    labels.hints = spec.hints;
    labels.retention = spec.retention;
    return labels;
  }

  rig::DeviceFacts facts_;
  requests::Labeler labeler_;
  BlockIds blocks_;
  Numbers sessions_, programs_, salts_;
  std::vector<TraceRow> rows_;
  std::vector<RowLabels> labels_;                          // of rows_; id and parent are the engine's
  std::unordered_map<std::uint64_t, std::size_t> places_;  // in rows_, by the engine's id
};

Result<Trace> read(const std::string& path) {
  const auto reader = observe::LogReader::open(path);
  if (!reader) return tl::unexpected(reader.error());
  const Result<rig::LogHeader> header = rig::decode_log_header((*reader)->header());
  if (!header) return tl::unexpected(header.error());
  const Result<config::Config> config = config::parse(header->config_toml, "the log's configuration", "/");
  if (!config) return tl::unexpected(config.error());
  Requests requests(*config, header->facts);
  observe::StepRecord record;
  while (true) {
    const Result<bool> more = (*reader)->next(record);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return requests.done(config->engine.block_tokens);
    if (Status taken = requests.take(record); !taken) return tl::unexpected(taken.error());
  }
}

}  // namespace

Result<Trace> trace_of_log(const std::string& path) {
  Result<Trace> trace = read(path);
  if (trace || trace.error().what.find(path) != std::string::npos) return trace;
  return about(path, trace.error());
}

}  // namespace serveloop::experiment
