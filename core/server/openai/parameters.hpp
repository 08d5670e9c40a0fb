// The parameters that the bodies share. One thread.
#pragma once

#include "server/openai/fields.hpp"
#include "server/openai/request.hpp"

namespace serveloop::server::openai {

inline constexpr std::size_t kMostNameBytes = 256;  // of a tenant, a session, a hint, a salt

void read_model(Fields& in, const Model& model);
// Sampling, limits, stops, stream and the `serveloop` object; not log-probabilities, which differ.
void read_common(Fields& in, const Model& model, Common& common);
// Of the `serveloop` object: labels, deadlines, predictions, hints, retention.
void read_extensions(Fields& in, requests::RequestSpec& spec);
// messages, tools, documents and what else a chat template gets.
void read_conversation(Fields& in, text::Conversation& conversation);
// A prompt in any of its four forms.
void read_prompts(Fields& in, const Model& model, std::vector<Prompt>& prompts);
// A hint's key as policies see it: FNV-1a of its name, the lowest bit set so that none is 0.
std::uint64_t hint_key(std::string_view name);

}  // namespace serveloop::server::openai
