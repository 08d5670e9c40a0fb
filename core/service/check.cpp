#include "service/check.hpp"

#include <fmt/format.h>

#include "engine/output.hpp"
#include "rig/rig.hpp"
#include "service/text.hpp"

namespace serveloop::service {

namespace {

std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

// How many requests of so many tokens fit at once. The last token sampled needs no KV.
std::uint64_t fit(const engine::Options& o, std::uint64_t tokens) {
  const std::uint64_t blocks = (std::max<std::uint64_t>(tokens - 1, 1) + o.block_tokens - 1) / o.block_tokens;
  return std::min<std::uint64_t>(o.kv_blocks / blocks, o.max_sequences);
}

std::string sequences(const engine::Options& o, std::uint64_t longest) {
  constexpr std::uint64_t kUsual = 1024;
  std::string out = fmt::format("at most {} at once; {} of {} tokens, the longest", o.max_sequences,
                                fit(o, longest), longest);
  if (longest > kUsual) out += fmt::format("; {} of {} tokens", fit(o, kUsual), kUsual);
  return out;
}

}  // namespace

Result<std::string> check(const config::Config& config) {
  config::Config quiet = config;
  quiet.observe.log.clear();
  Result<std::unique_ptr<rig::Rig>> loaded = rig::Rig::load(quiet);
  if (!loaded) return tl::unexpected(loaded.error());
  rig::Rig& rig = **loaded;
  if (!rig.device.model)
    return fail("engine.executor", "cpu, which computes a model", "'" + config.engine.executor + "'");
  const rig::LoadedModel& model = *rig.device.model;
  std::string text = "no vocabulary: token ids in and out";
  if (model.vocabulary && !Text::reads(*model.vocabulary)) {
    text = "a vocabulary of kind '" + model.vocabulary->model + "', not read yet: token ids in and out";
  } else if (model.vocabulary) {
    const Result<Text> made = Text::create(*model.vocabulary);
    if (!made) return tl::unexpected(made.error());
    text = fmt::format("{} tokens, {}", made->tokenizer->size(),
                       made->chat_template ? "with a chat template" : "no chat template");
  }
  engine::Output nobody;
  if (Status started = rig.start(nobody); !started) return tl::unexpected(started.error());
  const engine::Options& o = rig.options;
  const std::uint64_t pool = std::uint64_t{o.kv_blocks} * model.kv_block_bytes;
  const std::uint64_t longest = rig.engine->longest_request();
  std::string out;
  const auto line = [&](const char* what, const std::string& value) {
    out += fmt::format("{:<10} {}\n", what, value);
  };
  line("model", model.description);
  line("text", text);
  line("weights", mebibytes(model.weight_bytes));
  line("KV pool", fmt::format("{}: {} blocks of {} tokens, {} bytes a token", mebibytes(pool), o.kv_blocks,
                              o.block_tokens, model.kv_block_bytes / o.block_tokens));
  if (o.host_kv_blocks > 0)
    line("host tier",
         fmt::format("{}: {} blocks", mebibytes(o.host_kv_blocks * model.kv_block_bytes), o.host_kv_blocks));
  line("context", fmt::format("{} tokens; the longest request {}{}", o.context_tokens, longest,
                              longest < o.context_tokens ? ", which fills the KV pool" : ""));
  line("sequences", sequences(o, longest));
  for (const rig::PluginMark& mark : rig.header.plugins)
    line(mark.kind.c_str(), fmt::format("{} {}", mark.id, mark.version));
  return out;
}

}  // namespace serveloop::service
