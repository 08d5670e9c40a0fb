// serveloop generate: one prompt, one answer, streamed to standard output.
#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <mutex>
#include <optional>

#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "cli/output.hpp"
#include "rig/device.hpp"
#include "service/service.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{
    "serveloop generate [--config FILE] [--model PATH] --prompt TEXT [options]",
    "Lets a model answer one prompt and prints the answer while it comes. A model with a chat template is "
    "asked in\n"
    "a chat's form, unless --raw is given. A model without a vocabulary takes token ids and prints token "
    "ids.",
    "examples\n"
    "  serveloop generate --model build/models/SmolLM2-135M-Instruct.Q4_1.gguf --prompt 'What is the capital "
    "of "
    "France?'\n"
    "  echo 'Once upon a time' | serveloop generate --config configs/serve.toml --prompt - --raw "
    "--temperature 0.8\n"
    "  serveloop generate --model tiny/config.json --random-weights 1 --tokens 5,6,7 --max-tokens 8\n\n"
    "Exit code 0: an answer; 1: it ended with an error; 2: bad input; 130: interrupted.\n"};

struct Options {
  std::string config, prompt, system, tokens;
  std::vector<std::string> overrides, stops;
  ModelOptions model;
  std::int64_t max_tokens = 256;
  Sampling sampling;
  bool raw = false, ignore_eos = false, stats = false;
};

// Prints what comes, and tells the main thread of the end.
class Printer final : public service::Receiver {
 public:
  explicit Printer(bool ids) : ids_(ids) {}
  void piece(const service::Piece& piece) override {
    if (ids_)
      fmt::print("{}{}", first_ ? "" : ",", piece.token);
    else
      std::fwrite(piece.text.data(), 1, piece.text.size(), stdout);
    std::fflush(stdout);
    if (first_) first_token_ = std::chrono::steady_clock::now();
    first_ = false;
  }
  void end(const service::End& end) override {
    std::fwrite(end.text.data(), 1, end.text.size(), stdout);
    const std::lock_guard lock(mutex_);
    finish_ = end.finish;
    finished_ = *end.finished;
    done_.notify_all();
  }
  // Waits a little; the finish once there is one.
  std::optional<service::Finish> wait() {
    std::unique_lock lock(mutex_);
    done_.wait_for(lock, std::chrono::milliseconds(50), [&] { return finish_.has_value(); });
    return finish_;
  }
  const engine::Finished& finished() const { return finished_; }
  std::chrono::steady_clock::time_point first_token() const { return first_token_; }

 private:
  const bool ids_;
  bool first_ = true;
  std::mutex mutex_;
  std::condition_variable done_;
  std::optional<service::Finish> finish_;
  engine::Finished finished_;
  std::chrono::steady_clock::time_point first_token_;
};

Result<std::vector<requests::Token>> parse_ids(const std::string& text) {
  std::vector<requests::Token> ids;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, end - at);
    std::size_t used = 0;
    unsigned long value = 0;
    try {
      value = std::stoul(word, &used);
    } catch (const std::exception&) {
    }
    if (used == 0 || used != word.size() || word[0] == '-' || value > UINT32_MAX)
      return fail("--tokens", "token ids with commas between them", "'" + word + "'");
    ids.push_back(static_cast<requests::Token>(value));
    at = end + 1;
  }
  return ids;
}

Result<std::string> chat_text(const text::ChatTemplate& chat, const Options& options) {
  using text::jinja::Value;
  std::vector<Value> messages;
  const auto add = [&](const char* role, const std::string& content) {
    messages.push_back(Value::dict({{"role", Value::text(role)}, {"content", Value::text(content)}}));
  };
  if (!options.system.empty()) add("system", options.system);
  add("user", options.prompt);
  text::Conversation conversation;
  conversation.messages = Value::list(std::move(messages));
  return chat.render(conversation);
}

Result<std::vector<requests::Token>> prompt_ids(const service::Text* text, const Options& options) {
  if (!options.tokens.empty()) return parse_ids(options.tokens);
  if (text == nullptr) return fail("--prompt", "--tokens: this model has no vocabulary", "text");
  text::EncodeOptions encode;
  std::string prompt = options.prompt;
  if (text->chat_template && !options.raw) {
    Result<std::string> rendered = chat_text(*text->chat_template, options);
    if (!rendered) return tl::unexpected(rendered.error());
    prompt = std::move(*rendered);
    encode = {text::Recognise::all, false};
  }
  Result<text::Encoded> encoded = text->tokenizer->encode(prompt, encode);
  if (!encoded) return tl::unexpected(encoded.error());
  return std::move(encoded->tokens);
}

// Without a file: the defaults, small enough to start at once.
Result<config::Config> configuration(const Options& options) {
  std::vector<config::Override> overrides{"engine.executor=cpu"};
  if (options.config.empty())
    for (const char* small : {"engine.max_sequences=4", "engine.max_waiting=64", "engine.token_budget=512"})
      overrides.emplace_back(small);
  overrides.insert(overrides.end(), options.overrides.begin(), options.overrides.end());
  add_overrides(options.model, overrides);
  Result<config::Config> config =
      options.config.empty() ? config::parse("", "", std::filesystem::current_path().string(), overrides)
                             : config::load(options.config, overrides);
  if (!config) return config;
  const std::string folder = options.config.empty() ? "configs" : config::folder_of(options.config);
  if (Status found = rig::resolve_calibration(*config, folder); !found)
    return tl::unexpected(config->places.placed(found.error()));
  return config;
}

void print_stats(const Printer& printer, std::chrono::steady_clock::time_point begun) {
  const engine::Finished& f = printer.finished();
  const auto ms = [](std::uint64_t ns) { return static_cast<double>(ns) * 1e-6; };
  const double decode_ms = ms(f.last_token_ns - f.first_token_ns);
  fmt::print(stderr,
             "{} prompt tokens ({} cached), {} output tokens; first token after {:.1f} ms ({:.1f} ms from "
             "the program's "
             "start), then {:.1f} tokens/s\n",
             f.prompt_tokens, f.hit_tokens, f.output_tokens, ms(f.first_token_ns - f.arrival_ns),
             std::chrono::duration<double, std::milli>(printer.first_token() - begun).count(),
             decode_ms > 0 ? (f.output_tokens - 1) * 1000.0 / decode_ms : 0.0);
}

void describe(po::options_description& described, Options& o) {
  described.add_options()("config", po::value(&o.config), "a configuration (TOML); without: defaults")(
      "set", po::value(&o.overrides)->composing(), kSetHelp);
  add_model_options(described, o.model);
  described.add_options()("prompt", po::value(&o.prompt), "the prompt; - reads standard input")(
      "system", po::value(&o.system), "a system message before it")("tokens", po::value(&o.tokens),
                                                                    "the prompt as token ids: 1,2,3")(
      "raw", po::bool_switch(&o.raw), "the prompt as it stands, without the chat template")(
      "max-tokens", po::value(&o.max_tokens), "most output tokens (256)")(
      "temperature", po::value(&o.sampling.temperature), "0: the likeliest token, always (0)")(
      "top-p", po::value(&o.sampling.top_p), "of the likeliest tokens, those that hold this share (1)")(
      "top-k", po::value(&o.sampling.top_k), "of the likeliest tokens, so many; 0: all (0)")(
      "min-p", po::value(&o.sampling.min_p), "tokens of at least this share of the likeliest one's (0)")(
      "repetition-penalty", po::value(&o.sampling.repetition), "(1)")(
      "seed", po::value(&o.sampling.seed), "of the draws (0)")("stop", po::value(&o.stops)->composing(),
                                                               "ends before this text; may be repeated")(
      "ignore-eos", po::bool_switch(&o.ignore_eos), "goes on past the model's end tokens")(
      "stats", po::bool_switch(&o.stats), "prints speed and counts on standard error");
}

Status check(const Options& o) {
  if (o.prompt.empty() && o.tokens.empty()) return fail("--prompt", "a prompt, or --tokens", "none");
  if (o.max_tokens < 1 || o.max_tokens > UINT32_MAX)
    return fail("--max-tokens", fmt::format("1 to {}", UINT32_MAX), std::to_string(o.max_tokens));
  if (!o.prompt.empty() && !o.tokens.empty()) return fail("--tokens", "one of --prompt and --tokens", "both");
  return {};
}

}  // namespace

int generate(const Arguments& arguments) {
  const auto begun = std::chrono::steady_clock::now();
  Options options;
  po::options_description described("options");
  describe(described, options);
  int status = kOk;
  if (!parse(arguments, described, {}, kHelp, status)) return status;
  if (Status good = check(options); !good) return bad_input(good.error());
  if (options.prompt == "-") options.prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  Result<config::Config> config = configuration(options);
  if (!config) return bad_input(config.error());
  set_log_level(options.config.empty() ? "warn" : config->observe.log_level);
  Result<std::unique_ptr<service::Service>> service = service::Service::start(*config);
  if (!service) return bad_input(config->places.placed(service.error()));
  Result<std::vector<requests::Token>> prompt = prompt_ids((*service)->text(), options);
  if (!prompt) return bad_input(prompt.error());

  service::Ask ask;
  ask.spec.prompt = std::move(*prompt);
  const std::uint64_t room =
      (*service)->info().longest_request -
      std::min<std::uint64_t>((*service)->info().longest_request, ask.spec.prompt.size());
  ask.spec.max_tokens = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(room, 1, static_cast<std::uint64_t>(options.max_tokens)));
  ask.spec.sampling = options.sampling;
  ask.stops = options.stops;
  ask.ignore_eos = options.ignore_eos;
  const auto printer = std::make_shared<Printer>((*service)->text() == nullptr);
  catch_interrupts();
  const auto request = (*service)->submit(std::move(ask), printer);
  if (!request) return bad_input(request.error().error);
  std::optional<service::Finish> finish;
  for (bool cancelled = false; !finish; finish = printer->wait())
    if (interrupted() != 0 && !std::exchange(cancelled, true)) (*service)->cancel(*request);
  fmt::print("\n");
  stdout_arrived();
  if (options.stats) print_stats(*printer, begun);
  if (interrupted() != 0) return 128 + interrupted();
  return *finish == service::Finish::stop || *finish == service::Finish::length ? kOk : kNegative;
}

}  // namespace serveloop::cli
