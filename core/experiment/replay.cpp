#include "experiment/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <tuple>
#include <unordered_set>

#include "experiment/replay_policies.hpp"
#include "experiment/replay_script.hpp"
#include "experiment/shown.hpp"
#include "rig/planned_swap.hpp"
#include "rig/rig.hpp"

namespace serveloop::experiment {

namespace {

using observe::Item;

Difference explain(const Differs& d, const Script& script, const engine::Engine& engine) {
  Difference out;
  out.step = script.record.step;
  out.what = observe::name_of(d.tag == Item{} ? d.recorded_tag : d.tag);
  std::tie(out.recorded, out.replayed) = show_both({d.recorded_tag, d.recorded}, {d.tag, d.replayed}, engine);
  const engine::Counters& c = engine.counters();
  out.context = fmt::format(
      "{} running, {} waiting, {} free and {} evictable blocks; {} preemptions and {} evicted blocks so far; "
      "the step's items:",
      engine.requests().running_count(), engine.requests().waiting_count(),
      engine.cache().tier(SL_TIER_DEVICE).free, engine.cache().tier(SL_TIER_DEVICE).evictable, c.preemptions,
      c.evicted_blocks);
  for (const auto& item : script.record.items)
    if (item.tag != Item::clock) out.context += fmt::format(" {}", observe::name_of(item.tag));
  return out;
}

Status check_builds(const rig::LogHeader& header, const engine::Policies& policies,
                    const config::Config& config) {
  if (header.abi_stamp != fmt::format("{:016x}", SL_ABI_STAMP))
    return fail("the log was written under another ABI", "stamp " + fmt::format("{:016x}", SL_ABI_STAMP),
                header.abi_stamp, "replay it with the build that wrote it");
  const rig::LogHeader now = rig::log_header(config, header.facts, policies, header.op_keys);
  if (header.plugins.size() != now.plugins.size())
    return fail("the log names other plugins than its configuration", std::to_string(now.plugins.size()),
                std::to_string(header.plugins.size()));
  for (std::size_t i = 0; i < header.plugins.size(); ++i)
    if (!(header.plugins[i] == now.plugins[i]))
      return fail(fmt::format("{} '{}' is not the build that wrote the log", header.plugins[i].kind,
                              header.plugins[i].id),
                  "sha256 " + header.plugins[i].sha256, now.plugins[i].sha256,
                  "compare all the same with --any-build");
  return {};
}

// The plugin of a recorded swap.
Status load_again(engine::Message& message, std::uint64_t step, const policy::Host& host,
                  const policy::Limits& limits, bool any_build) {
  Result<policy::Choice> choice = rig::recorded_choice(message.swap->plugin);
  if (!choice) return tl::unexpected(choice.error());
  rig::PlannedSwap recorded;
  recorded.kind = message.swap->kind;
  recorded.is_gate = message.swap->is_gate;
  recorded.gate = message.swap->gate;
  recorded.choice = std::move(*choice);
  auto order = rig::load_swap(recorded, host, limits);
  if (!order) return tl::unexpected(order.error());
  if (!any_build && (*order)->sha256 != message.swap->sha256)
    return fail(fmt::format("'{}', swapped in at step {}, is not the build that wrote the log",
                            message.swap->plugin, step),
                "sha256 " + message.swap->sha256, (*order)->sha256, "compare all the same with --any-build");
  message.swap = *order;
  return {};
}

// Takes what the loop is about to read: a step's messages come first in its record.
Status post_messages(const observe::StepRecord& record, engine::Engine& engine, const policy::Host& host,
                     const policy::Limits& limits, bool any_build, std::unordered_set<std::uint64_t>& seen) {
  for (const auto& item : record.items) {
    if (item.tag != Item::message) continue;
    observe::Reader in(item.bytes);
    Result<engine::Message> message = engine::decode_message(in);
    if (!message) return tl::unexpected(message.error());
    if (message->arrival != nullptr) {
      const engine::Arrival& a = *message->arrival;
      if (a.spec.arrival_ns > ScriptClock::kLongest || a.ready_ns > ScriptClock::kLongest ||
          a.ready_ns < a.spec.arrival_ns)
        return fail("damaged step log", "an arrival before it was ready",
                    fmt::format("{} and {} ns", a.spec.arrival_ns, a.ready_ns));
      if (!seen.insert(message->arrival->id).second)
        return fail("damaged step log", "a request once",
                    fmt::format("request {} twice", message->arrival->id));
      auto arrival = engine.rebuild(std::move(*message->arrival));
      if (!arrival) return tl::unexpected(arrival.error());
      message->arrival = *arrival;
    }
    if (message->swap != nullptr)
      if (Status loaded = load_again(*message, record.step, host, limits, any_build); !loaded) return loaded;
    engine.inject(std::move(*message));
  }
  return {};
}

// To the log's end or the first difference.
Status run_steps(observe::LogReader& reader, engine::Engine& engine, Script& script,
                 const std::function<Status(const observe::StepRecord&)>& post, const ReplayOptions& options,
                 ReplayResult& result) {
  while (true) {
    const Result<bool> more = reader.next(script.record);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return {};
    if (Status posted = post(script.record); !posted) return posted;
    try {
      engine.step();
    } catch (const Differs& d) {
      result.difference = explain(d, script, engine);
      return {};
    } catch (const Damaged& d) {
      return fail(fmt::format("damaged step log at step {}", script.record.step), d.expected, d.found);
    } catch (const std::exception& e) {  // memory, most likely
      return fail(fmt::format("the replay stopped at step {}", script.record.step),
                  "a log that this machine can run", e.what());
    }
    ++result.steps;
    if (options.each_step) options.each_step(engine);
    if (options.progress && result.steps % 4096 == 0) options.progress(result.steps);
  }
}

Result<ReplayResult> replay_file(const std::string& path, const ReplayOptions& options) {
  const auto begun = std::chrono::steady_clock::now();
  auto reader = observe::LogReader::open(path);
  if (!reader) return tl::unexpected(reader.error());
  Result<rig::LogHeader> header = rig::decode_log_header((*reader)->header());
  if (!header) return tl::unexpected(header.error());
  const Result<config::Config> recorded = config::parse(header->config_toml, path, "/");
  if (!recorded) return tl::unexpected(recorded.error());
  const auto overrides = overrides_of(options);
  if (!overrides) return tl::unexpected(overrides.error());
  const Result<config::Config> config = config::parse(header->config_toml, path, "/", *overrides);
  if (!config) return tl::unexpected(config.error());
  ReplayResult result;
  result.replaced = replaced(recorded->policy, config->policy, options);
  const engine::Options engine_opts = rig::engine_options(*config, header->facts);
  const policy::Host host = rig::plugin_host(*config);
  auto precision = rig::load_precision(*config, host, header->facts.cost);
  if (!precision) return tl::unexpected(config->places.placed(precision.error()));
  Result<engine::Policies> policies = rig::load_policies(*config, host, engine_opts, *precision);
  if (!policies) return tl::unexpected(config->places.placed(policies.error()));
  const bool others = !result.replaced.empty();
  if (!options.any_build && !others)
    if (Status same = check_builds(*header, *policies, *config); !same) return tl::unexpected(same.error());

  Script script;
  script.other_policies = others;
  ScriptClock clock(script);
  ScriptExecutor executor(script, header->op_keys);
  engine::Output discard;
  auto engine = engine::Engine::create(engine_opts, rig::labeler(*config), std::move(*policies), clock,
                                       executor, discard, &script);
  if (!engine) return tl::unexpected(engine.error());
  if (options.recorded_answers) (*engine)->set_override([&](Item tag) { return script.peek(tag); });

  const auto post = [&,
                     seen = std::unordered_set<std::uint64_t>()](const observe::StepRecord& record) mutable {
    return post_messages(record, **engine, host, rig::limits(engine_opts), options.any_build || others, seen);
  };
  if (Status ran = run_steps(**reader, **engine, script, post, options, result); !ran)
    return tl::unexpected(ran.error());
  result.idle = result.steps - std::min(result.steps, (*engine)->counters().steps);
  result.decisions = script.decisions;
  result.complete = (*reader)->complete() || result.difference.has_value();
  result.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return result;
}

}  // namespace

std::string Difference::text() const {
  return fmt::format("first difference at step {}: {}\n  recorded: {}\n  replayed: {}\n  context: {}", step,
                     what, recorded, replayed, context);
}

Result<ReplayResult> replay(const std::string& path, const ReplayOptions& options) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return fail(fmt::format("'{}' is not a step log", path),
                "a file that `serveloop bench`, `--log` or `[observe] log` wrote", "a folder");
  Result<ReplayResult> result = replay_file(path, options);
  if (result || result.error().what.find(path) != std::string::npos || result.error().what.starts_with("--"))
    return result;
  Error error = result.error();
  error.what = path + ": " + error.what;
  return tl::unexpected(error);
}

}  // namespace serveloop::experiment
