// The table of keys: everything but [workload].
#include "config/schema.hpp"

#include "config/calibration.hpp"
#include "config/config.hpp"

namespace serveloop::config {
namespace {

constexpr double kMaxU32 = 4294967295.0;

template <auto Member>
void* part(void* root, const std::string&) {
  return &(static_cast<Config*>(root)->*Member);
}

template <auto Member>
void* policy_part(void* root, const std::string&) {
  return &(static_cast<Config*>(root)->policy.*Member);
}

template <class Map>
std::vector<std::pair<std::string, void*>> records_of(Map& map) {
  std::vector<std::pair<std::string, void*>> out;
  for (auto& [id, record] : map) out.emplace_back(id, &record);
  return out;
}

Section model_section() {
  return {"model",
          Repeat::once,
          "The model that is served; `engine.executor = \"cpu\"` and `\"cuda\"` read it.",
          "",
          part<&Config::model>,
          no_records,
          {special<&Model::path>("path", Kind::path,
                                 "Weights: a GGUF file, or a folder that holds one. With `random_weights` a "
                                 "`config.json`, or a folder that holds one."),
           number<&Model::random_weights>("random_weights", 0, kMost, "",
                                          "Seed: draw weights from it instead of reading them.")}};
}

Section engine_section() {
  return {
      "engine",
      Repeat::once,
      "The step loop and what it runs on.",
      "",
      part<&Config::engine>,
      no_records,
      {choice<&Engine::executor>(
           "executor", "simulated|hash|null|cpu|cuda",
           "What runs the batches: `simulated` takes the time that a calibration says; in "
           "`hash` each token depends on every KV slot read; `null` takes no time; `cpu` computes "
           "the model of `[model]`, in real time; so does `cuda`, on a Hopper GPU."),
       number<&Engine::threads>("threads", 0, 4096, "threads",
                                "Threads that compute, of the CPU executor, at most; 0 = one a core. "
                                "Fewer do while others keep the cores busy. With `cuda`, those that read "
                                "the weights."),
       number<&Engine::token_budget>("token_budget", 1, 1 << 20, "tokens",
                                     "Most tokens computed in one step."),
       number<&Engine::max_sequences>("max_sequences", 1, 65536, "sequences",
                                      "Most sequences running at once."),
       number<&Engine::context_tokens>(
           "context_tokens", 2, 1 << 24, "tokens",
           "Longest prompt plus output that a sequence may have; unset: the model's positions, "
           "or 131072 without a model."),
       number<&Engine::block_tokens>("block_tokens", 1, 4096, "tokens",
                                     "Tokens of one KV block, a power of two."),
       special<&Engine::kv_memory_bytes>(
           "kv_memory", Kind::bytes,
           "Size of the KV pool, within the bounds of `kv_blocks`. Not together with it; with neither, the "
           "calibration or the device says."),
       number<&Engine::kv_blocks>("kv_blocks", 1, kMostKvBlocks, "blocks",
                                  "Size of the KV pool, counted in blocks."),
       special<&Engine::host_kv_memory_bytes>(
           "host_kv_memory", Kind::bytes,
           "Host memory for KV blocks that leave the device and come back: swapped sequences, demoted cached "
           "blocks. 0: no host tier."),
       plain<&Engine::prefix_cache>("prefix_cache",
                                    "Share the KV of equal prompt prefixes between requests."),
       choice<&Engine::kv_reservation>("kv_reservation",
                                       "paged|contiguous_max|contiguous_power_of_two|contiguous_exact",
                                       "What of the pool a sequence takes at its start. `paged`: the blocks "
                                       "that it needs, as it needs them. The "
                                       "others, in simulations alone, are what paging replaced: one "
                                       "contiguous extent, first fit, as long as "
                                       "`context_tokens`; as the prompt and the power of two above its "
                                       "`max_tokens`; or as both exactly. They need "
                                       "`prefix_cache = false` and no host tier."),
       number<&Engine::lag>("lag", 0, 1, "steps", "Steps that the host plans ahead of the device."),
       plain<&Engine::deterministic>(
           "deterministic", "A request's tokens do not depend on what it is batched with, bit for bit."),
       number<&Engine::max_waiting>("max_waiting", 1, 1 << 24, "sequences",
                                    "Most sequences that wait; a request beyond them is refused."),
       number<&Engine::bypass_steps>(
           "bypass_steps", 1, 1000000, "steps",
           "After so many steps in a row in which a policy starved work that fits, the "
           "built-in policy takes the step."),
       number<&Engine::seed>(
           "seed", 0, kMost, "",
           "What policies get as `seed`, for choices by chance. Requests carry seeds of their "
           "own, which `workload.seed` draws.")}};
}

std::vector<Key> plugin_keys() {
  return {
      special<&PluginChoice::plugin>(
          "plugin", Kind::named,
          "The plugin: its id, looked for in the search path, or a path to its folder "
          "or object."),
      plain<&PluginChoice::options>("options", "The plugin's own options; its manifest lists them."),
      choice<&PluginChoice::isolation>("isolation", "inline|process",
                                       "`inline`: in the engine's process. `process`: in one of its own (not "
                                       "available in this version).")};
}

std::vector<Section> policy_sections() {
  const auto gates = [](void* root) { return records_of(static_cast<Config*>(root)->policy.gate); };
  const auto add_gate = [](void* root, const std::string& id) -> void* {
    return &static_cast<Config*>(root)->policy.gate[id];
  };
  return {
      {"policy",
       Repeat::once,
       "Which policies decide. Each table below takes a plugin's id in its place, too: "
       "`scheduler = \"sarathi\"`.",
       "",
       part<&Config::policy>,
       no_records,
       {plain<&Policy::gates>("gates", "Ids of the gates, in the order they are asked before the scheduler."),
        special<&Policy::search>("search", Kind::path,
                                 "Folders with plugins, looked into after `SERVELOOP_PLUGIN_PATH`."),
        plain<&Policy::allow_unsigned>(
            "allow_unsigned", "Load plugins found in the search path whose manifest states no sha256."),
        number<&Policy::deadline_us>(
            "deadline_us", 0, 60e6, "µs",
            "Longest time of a policy call. Not available in this version: 0 only.")}},
      {"policy.gate", Repeat::by_id,
       "A gate named in `policy.gates`; without this table its plugin is its id. In a file the table of a "
       "gate that `policy.gates` leaves out waits until it is named there; with `--set`, or without "
       "`policy.gates`, it is an error.",
       "plugin", add_gate, gates, plugin_keys()},
      {"policy.scheduler", Repeat::once, "What runs next.", "plugin", policy_part<&Policy::scheduler>,
       no_records, plugin_keys()},
      {"policy.eviction", Repeat::once, "What leaves the cache.", "plugin", policy_part<&Policy::eviction>,
       no_records, plugin_keys()},
      {"policy.preemption", Repeat::once, "Who yields when evicting is not enough.", "plugin",
       policy_part<&Policy::preemption>, no_records, plugin_keys()},
      {"policy.precision", Repeat::once, "In what numbers.", "plugin", policy_part<&Policy::precision>,
       no_records, plugin_keys()},
  };
}

std::vector<Section> service_sections() {
  return {
      {"server",
       Repeat::once,
       "The HTTP listener of `serveloop serve`: docs/HTTP.md.",
       "",
       part<&Config::server>,
       no_records,
       {plain<&Server::host>("host", "Address to listen on, or a name that has one."),
        number<&Server::port>("port", 0, 65535, "", "Port; 0 = any free one.")}},
      {"admin",
       Repeat::once,
       "The listener of `serveloop serve` that changes policies: docs/HTTP.md.",
       "",
       part<&Config::admin>,
       no_records,
       {special<&Admin::socket>("socket", Kind::path,
                                "Unix socket, made for its owner alone; empty = no admin listener.")}},
      {"observe",
       Repeat::once,
       "What is written down.",
       "",
       part<&Config::observe>,
       no_records,
       {special<&Observe::log>("log", Kind::path, "File of the step log (`*.slog`); empty = none."),
        choice<&Observe::log_level>("log_level", "trace|debug|info|warn|error|off",
                                    "Least level of messages on the terminal.")}},
      {"simulated",
       Repeat::once,
       "The simulated executor.",
       "",
       part<&Config::simulated>,
       no_records,
       {special<&Simulated::calibration>(
           "calibration", Kind::named,
           "Cost model: the name of a file in `configs/calibrations`, or a path. Empty: "
           "`h100-llama3.1-8b`, or `cpu-smollm2-135m` for the CPU executor, whose policies ask it.")}},
  };
}

std::vector<Section> intake_sections() {
  const auto tenants = [](void* root) { return records_of(static_cast<Config*>(root)->tenants); };
  const auto add_tenant = [](void* root, const std::string& id) -> void* {
    return &static_cast<Config*>(root)->tenants[id];
  };
  const auto rules = [](void* root) {
    std::vector<std::pair<std::string, void*>> out;
    for (PriorityRule& rule : static_cast<Config*>(root)->rules) out.emplace_back("", &rule);
    return out;
  };
  const auto add_rule = [](void* root, const std::string&) -> void* {
    return &static_cast<Config*>(root)->rules.emplace_back();
  };
  return {
      {"tenants",
       Repeat::by_id,
       "Who requests belong to.",
       "",
       add_tenant,
       tenants,
       {plain<&Tenant::keys>("keys", "API keys that name this tenant."),
        number<&Tenant::weight>("weight", 0.001, 1e6, "",
                                "Its share among tenants, for policies that are fair.")}},
      {"priority.rule",
       Repeat::list,
       "Rules that give requests without a priority theirs: the first whose every condition holds. Errors "
       "and "
       "`--set priority.rule.0.priority=5` count them from 0.",
       "",
       add_rule,
       rules,
       {plain<&PriorityRule::name>("name", "What the log calls the rule; by default its place, `rule 1`."),
        plain<&PriorityRule::key>("key", "Condition: the request's API key."),
        plain<&PriorityRule::tenant>("tenant", "Condition: its tenant."),
        plain<&PriorityRule::category>("category", "Condition: its category."),
        number<&PriorityRule::min_prompt_tokens>("min_prompt_tokens", 0, kMaxU32, "tokens",
                                                 "Condition: a prompt of at least so many."),
        number<&PriorityRule::max_prompt_tokens>("max_prompt_tokens", 0, kMaxU32, "tokens",
                                                 "Condition: a prompt of at most so many."),
        number<&PriorityRule::priority>("priority", -1000000, 1000000, "",
                                        "The priority; higher goes first."),
        number<&PriorityRule::service_class>("class", 0, 65535, "",
                                             "The service class, for policies that know it.")}},
  };
}

void append(Schema& schema, std::vector<Section> sections) {
  for (Section& section : sections) schema.push_back(std::move(section));
}

}  // namespace

const Schema& config_schema() {
  static const Schema schema = [] {
    Schema all;
    append(all, {model_section(), engine_section()});
    append(all, policy_sections());
    append(all, service_sections());
    append(all, intake_sections());
    append(all, workload_sections());
    return all;
  }();
  return schema;
}

const Schema& calibration_schema() {
  static const auto self = [](void* root, const std::string&) { return root; };
  static const Schema schema = {
      {"",
       Repeat::once,
       "",
       "",
       self,
       no_records,
       {plain<&Calibration::name>("name", "Its name; by default the file's."),
        plain<&Calibration::device>("device", "The device and model that it stands for."),
        plain<&Calibration::source>("source", "Where its figures come from."),
        number<&Calibration::step_fixed_us>("step_fixed_us", 0, 1e9, "µs", "Once a step."),
        number<&Calibration::decode_sequence_us>("decode_sequence_us", 0, 1e9, "µs",
                                                 "A sequence that decodes."),
        number<&Calibration::decode_context_ns>("decode_context_ns", 0, 1e9, "ns",
                                                "A KV token read by a decode."),
        number<&Calibration::prefill_token_us>("prefill_token_us", 0, 1e9, "µs", "A prompt token computed."),
        number<&Calibration::prefill_context_ns>("prefill_context_ns", 0, 1e9, "ns",
                                                 "A pair of a prompt token and a token it attends to."),
        number<&Calibration::prefill_step_us>("prefill_step_us", 0, 1e9, "µs",
                                              "Once a step that computes prompt tokens. May be left out: 0."),
        number<&Calibration::decode_token_us>(
            "decode_token_us", 0, 1e9, "µs",
            "A sequence that decodes, of the arithmetic that shares the weights. May be left out: 0."),
        number<&Calibration::overlap>(
            "overlap", 0, 1, "",
            "How much of the shorter of `step_fixed_us` and the tokens' arithmetic the "
            "longer hides. May be left out: 0, a plain sum."),
        number<&Calibration::kv_bytes_per_token>("kv_bytes_per_token", 1, 1 << 30, "bytes",
                                                 "KV of a token in all layers."),
        special<&Calibration::kv_memory_bytes>("kv_memory", Kind::bytes,
                                               "The KV pool where `[engine]` states none."),
        number<&Calibration::swap_gb_per_s>("swap_gb_per_s", 0.001, 1e6, "GB/s",
                                            "Copies between device and host, each way; 10^9 bytes a second."),
        number<&Calibration::host_step_us>("host_step_us", 0, 1e9, "µs",
                                           "The engine's own work: once a step."),
        number<&Calibration::host_sequence_us>("host_sequence_us", 0, 1e9, "µs",
                                               "The engine's own work: a running sequence."),
        number<&Calibration::policy_us>("policy_us", 0, 1e9, "µs",
                                        "The engine's own work: a policy call.")}}};
  return schema;
}

}  // namespace serveloop::config
