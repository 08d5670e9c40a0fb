#include "engine/messages.hpp"

#include <fmt/format.h>

#include <optional>

namespace serveloop::engine {

namespace {

using observe::Reader;
using observe::Writer;

template <class T>
void put_optional(Writer& out, const std::optional<T>& value) {
  out.u8(value.has_value());
  if (value) out.i64(static_cast<std::int64_t>(*value));
}

template <class T>
void get_optional(Reader& in, std::optional<T>& value) {
  if (in.u8() != 0) value = static_cast<T>(in.i64());
}

void put_tokens(Writer& out, const std::vector<requests::Token>& tokens) {
  out.u64(tokens.size());
  for (const requests::Token token : tokens) out.u64(token);
}

void get_tokens(Reader& in, std::vector<requests::Token>& tokens) {
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) tokens.push_back(in.u32());
}

template <class Row>
void put_rows(Writer& out, const std::vector<Row>& rows) {
  out.u64(rows.size());
  out.raw(rows.data(), rows.size() * sizeof(Row));
}

template <class Row>
void get_rows(Reader& in, std::vector<Row>& rows) {
  const std::uint64_t n = in.u64();
  if (n > in.left() / sizeof(Row)) return static_cast<void>(in.take(UINT64_MAX));
  rows.resize(n);
  in.raw(rows.data(), n * sizeof(Row));
}

void put_sampling(const Sampling& how, Writer& out) {
  out.raw(&how.seed, sizeof(how.seed));
  for (const float v : {how.temperature, how.top_p, how.min_p, how.repetition, how.presence, how.frequency})
    out.raw(&v, sizeof(v));
  out.u64(how.top_k);
  out.u64(how.min_tokens);
  put_optional(out, how.alternatives);
  put_tokens(out, how.stop_ids);
  put_rows(out, how.bias);
}

void get_sampling(Reader& in, Sampling& how) {
  in.raw(&how.seed, sizeof(how.seed));
  for (float* v : {&how.temperature, &how.top_p, &how.min_p, &how.repetition, &how.presence, &how.frequency})
    in.raw(v, sizeof(*v));
  how.top_k = in.u32();
  how.min_tokens = in.u32();
  get_optional(in, how.alternatives);
  get_tokens(in, how.stop_ids);
  get_rows(in, how.bias);
}

void put_spec(const requests::RequestSpec& spec, Writer& out) {
  put_tokens(out, spec.prompt);
  out.u64(spec.pieces.size());
  for (const requests::PromptPiece& piece : spec.pieces) {
    out.raw(&piece.seed, sizeof(piece.seed));
    out.u64(piece.tokens);
  }
  for (const std::uint64_t v :
       {spec.arrival_ns, std::uint64_t{spec.n}, spec.parent, std::uint64_t{spec.turn}, spec.ttft_deadline_ns,
        spec.tbt_target_ns, spec.end_deadline_ns, std::uint64_t{spec.predicted_p50},
        std::uint64_t{spec.predicted_p90}, std::uint64_t{spec.predicted_p99}})
    out.u64(v);
  put_sampling(spec.sampling, out);
  put_optional(out, spec.max_tokens);
  put_optional(out, spec.priority);
  for (const std::string* text :
       {&spec.key, &spec.tenant, &spec.category, &spec.session, &spec.program, &spec.cache_salt})
    out.text(*text);
  put_rows(out, spec.hints);
  put_rows(out, spec.retention);
}

void get_spec(Reader& in, requests::RequestSpec& spec) {
  get_tokens(in, spec.prompt);
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) {
    requests::PromptPiece piece;
    in.raw(&piece.seed, sizeof(piece.seed));
    piece.tokens = in.u32();
    spec.pieces.push_back(piece);
  }
  spec.arrival_ns = in.u64();
  spec.n = in.u32();
  spec.parent = in.u64();
  spec.turn = in.u32();
  for (std::uint64_t* v : {&spec.ttft_deadline_ns, &spec.tbt_target_ns, &spec.end_deadline_ns}) *v = in.u64();
  for (std::uint32_t* v : {&spec.predicted_p50, &spec.predicted_p90, &spec.predicted_p99}) *v = in.u32();
  get_sampling(in, spec.sampling);
  get_optional(in, spec.max_tokens);
  get_optional(in, spec.priority);
  for (std::string* text :
       {&spec.key, &spec.tenant, &spec.category, &spec.session, &spec.program, &spec.cache_salt})
    *text = in.text();
  get_rows(in, spec.hints);
  get_rows(in, spec.retention);
}

}  // namespace

void encode(const Message& message, Writer& out) {
  out.u8(static_cast<std::uint8_t>(message.what));
  out.u64(message.request);
  out.u64(message.a);
  out.u64(message.b);
  if (message.arrival != nullptr) {
    out.u64(message.arrival->id);
    out.u64(message.arrival->max_tokens);
    out.u64(message.arrival->ready_ns);
    out.u8(message.arrival->transient);
    put_spec(message.arrival->spec, out);
  }
  if (message.swap != nullptr) {
    out.u8(static_cast<std::uint8_t>(message.swap->kind));
    out.u8(message.swap->is_gate);
    out.u64(message.swap->gate);
    out.text(message.swap->plugin);
    out.text(message.swap->sha256);
  }
}

Result<Message> decode_message(Reader& in) {
  Message message;
  const std::uint8_t what = in.u8();
  if (what < 1 || what > static_cast<std::uint8_t>(Message::What::stop))
    return fail("damaged step log", "a message of kind 1 to 8", std::to_string(what));
  message.what = static_cast<Message::What>(what);
  message.request = in.u64();
  message.a = in.u64();
  message.b = in.u64();
  if (message.what == Message::What::arrive) {
    message.arrival = std::make_shared<Arrival>();
    message.arrival->id = in.u64();
    message.arrival->max_tokens = in.u32();
    message.arrival->ready_ns = in.u64();
    message.arrival->transient = in.u8() != 0;
    get_spec(in, message.arrival->spec);
  }
  if (message.what == Message::What::swap) {
    message.swap = std::make_shared<SwapOrder>();
    const std::uint8_t kind = in.u8();
    if (kind < SL_KIND_SCHEDULER || kind > SL_KIND_PREEMPTION)
      return fail("damaged step log", "a swap of a scheduler, eviction or preemption policy",
                  fmt::format("kind {}", kind));
    message.swap->kind = static_cast<policy::Kind>(kind);
    message.swap->is_gate = in.u8() != 0;
    message.swap->gate = in.u32();
    message.swap->plugin = in.text();
    message.swap->sha256 = in.text();
  }
  if (!in.ok() || !in.done())
    return fail("damaged step log", "a whole message", in.ok() ? "bytes behind it" : "its end");
  return message;
}

}  // namespace serveloop::engine
