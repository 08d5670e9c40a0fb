#include "experiment/calibration_file.hpp"

#include <fmt/format.h>

#include <vector>

namespace serveloop::experiment {
namespace {

// A word of a file's name. Trade marks go; other characters become one '-'.
std::string slug(std::string text) {
  for (const char* mark : {"(R)", "(TM)", "(r)", "(tm)"})
    for (std::size_t at; (at = text.find(mark)) != std::string::npos;)
      text.erase(at, std::string(mark).size());
  std::string out;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_')
      out += c;
    else if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

std::string printable(std::string text) {
  for (char& c : text)
    if (c < 0x20 || c > 0x7e) c = '?';
  return text;
}

std::string counted(std::uint32_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string row(const std::string& name, const Residuals& r) {
  return fmt::format("{:<8}{:>7}{:>+9.2f} %{:>9.2f} %{:>9.2f} %{:>11}\n", name, r.steps, 100 * r.bias,
                     100 * r.median, 100 * r.p95, r.spread ? fmt::format("{:.2f} %", 100 * *r.spread) : "-");
}

// Each a line of the file, without its '#'.
std::vector<std::string> heading(const CalibrationNotes& n) {
  return {fmt::format(" {} on {}, fitted to steps that ran there:", n.model, n.processor), "   " + n.command,
          fmt::format(" {}; {}{}; weights mostly {}, precision {}; load average before: {:.2f}", n.date,
                      n.threads > 0
                          ? fmt::format("{} on {}, ", counted(n.threads, "thread"), counted(n.cores, "core"))
                          : "",
                      n.instruction_set, n.format, n.precision, n.load),
          ""};
}

std::vector<std::string> heading(const RefitNotes& n) {
  return {" " + n.base + ", its step costs fitted again to the steps of a log:", "   " + n.command,
          " " + n.date, ""};
}

constexpr const char* kOfTheTable =
    "# The error is the model's time for a step less the measured one, relative to that: bias is its "
    "median,\n"
    "# median and 95 % are percentiles of its size. spread: the median distance of a step from the median "
    "of\n"
    "# steps of equal work, which no model can explain; -: no two steps were.\n"
    "#\n";

std::vector<std::string> ending(const CalibrationNotes& n) {
  return {"",
          fmt::format(" {} of steps of up to {}, {}, contexts of up to {} tokens in {} of {}.",
                      counted(n.rounds, "round"), counted(n.limits.max_sequences, "sequence"),
                      counted(n.limits.token_budget, "token"), n.limits.context_tokens,
                      counted(touched_blocks(n.limits), "block"), n.limits.block_tokens),
          " swap_gb_per_s is that of blocks that the executor copies out or back, whichever is slower, "
          "beside no step.",
          " host_step_us, host_sequence_us and policy_us are those of " + n.host_from + ", not measured."};
}

std::vector<std::string> ending(const RefitNotes& n) {
  return {"", " All but the step costs is that of " + n.base + "."};
}

std::string comments(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += "#" + printable(line) + "\n";
  return out;
}

template <class Notes>
Result<std::string> text_of(const config::Calibration& calibration, const CostFit& fit, const Notes& notes) {
  const std::string text = comments(heading(notes)) + kOfTheTable + residual_table(fit, "#   ") +
                           comments(ending(notes)) + config::to_toml(calibration);
  const Result<config::Calibration> read = config::parse_calibration(text, "the calibration");
  if (!read) return tl::unexpected(read.error());
  if (*read != calibration)
    return fail("the calibration", "a file that reads back as it was written", "another");
  return text;
}

}  // namespace

std::string calibration_name(const CalibrationNotes& n) {
  std::string out = slug(n.processor) + "-" + slug(n.model);
  const std::string format = slug(n.format);
  if (!out.ends_with(format)) out += "-" + format;
  return n.threads > 0 ? out + "-" + slug(counted(n.threads, "thread")) : out;
}

std::string residual_table(const CostFit& fit, const std::string& indent) {
  std::string out = indent + fmt::format("{:<8}{:>7}{:>11}{:>11}{:>11}{:>11}\n", "steps", "number", "bias",
                                         "median", "95 %", "spread");
  for (std::size_t kind = 0; kind < kStepKinds; ++kind)
    if (fit.by_kind[kind].steps > 0)
      out += indent + row(name_of(static_cast<StepKind>(kind)), fit.by_kind[kind]);
  return out + indent + row("all", fit.all);
}

Result<std::string> calibration_text(const config::Calibration& calibration, const CostFit& fit,
                                     const CalibrationNotes& notes) {
  return text_of(calibration, fit, notes);
}

Result<std::string> calibration_text(const config::Calibration& calibration, const CostFit& fit,
                                     const RefitNotes& notes) {
  return text_of(calibration, fit, notes);
}

std::string steps_csv(const sl_cost& cost, std::span<const MeasuredStep> steps) {
  std::string out =
      "kind,group,decodes,decode_context,prefill_tokens,prefill_pairs,chunks,sampled,measured_ns,model_ns\n";
  for (const MeasuredStep& s : steps)
    out += fmt::format(
        "{},{},{},{},{},{},{},{},{},{:.0f}\n", name_of(s.kind()), s.group, s.decodes, s.decode_context,
        s.prefill_tokens, s.prefill_pairs, s.chunks, s.sampled, s.ns,
        sl_predict_step_ns(&cost, s.decodes, s.decode_context, s.prefill_tokens, s.prefill_pairs));
  return out;
}

}  // namespace serveloop::experiment
