#include "service/outlet.hpp"

#include <serveloop/events.h>
#include <serveloop/reasons.h>

#include <algorithm>

namespace serveloop::service {

namespace {

Finish finish_of(std::uint32_t finish) {
  switch (finish) {
    case SL_FINISH_STOP: return Finish::stop;
    case SL_FINISH_LENGTH: return Finish::length;
    case SL_FINISH_CANCELLED: return Finish::cancelled;
    case SL_FINISH_DEADLINE: return Finish::deadline;
    case SL_FINISH_REJECTED: return Finish::rejected;
    default: return Finish::error;
  }
}

bool holds(const std::vector<text::Token>& ids, text::Token id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

bool Outlet::open(std::uint64_t request, StreamOptions options, std::shared_ptr<Receiver> receiver) {
  auto stream = std::make_shared<Stream>();
  stream->options = std::move(options);
  stream->receiver = std::move(receiver);
  stream->left = stream->options.choices;
  stream->choices.resize(stream->options.choices);
  for (Choice& choice : stream->choices) {
    if (text_ == nullptr) continue;
    choice.detokenizer.emplace(*text_->tokenizer, stream->options.skip_special);
    if (stream->options.stops != nullptr) choice.matcher.emplace(*stream->options.stops);
  }
  const std::lock_guard lock(mutex_);
  if (abandoned_) return false;
  streams_.emplace(request, std::move(stream));
  return true;
}

void Outlet::close(std::uint64_t request) {
  const std::lock_guard lock(mutex_);
  streams_.erase(request);
}

std::size_t Outlet::open_requests() const {
  const std::lock_guard lock(mutex_);
  return streams_.size();
}

void Outlet::each_open(const std::function<void(std::uint64_t)>& visit) const {
  std::vector<std::uint64_t> open;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [request, stream] : streams_) open.push_back(request);
  }
  for (const std::uint64_t request : open) visit(request);
}

void Outlet::abandon() {
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
  }
  each_open([this](std::uint64_t request) {
    engine::Finished end;
    end.request = request;
    end.finish = SL_FINISH_ERROR;
    if (const std::shared_ptr<Stream> stream = find(request)) finish_all(*stream, end, {});
    close(request);
  });
}

std::shared_ptr<Outlet::Stream> Outlet::find(std::uint64_t request) const {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(request);
  return found == streams_.end() ? nullptr : found->second;
}

void Outlet::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& token : tokens) {
    totals_.token(token);
    if (const std::shared_ptr<Stream> stream = find(token.request)) take(*stream, token);
  }
}

void Outlet::take(Stream& stream, const engine::Delivered& token) {
  Choice& choice = stream.choices[token.fork];
  if (choice.stopped) return;  // sampled before the loop heard of the stop
  ++choice.tokens;
  piece_.clear();
  if (choice.detokenizer &&
      !(holds(stream.options.stop_ids, token.token) && choice.tokens > stream.options.min_tokens)) {
    kept_.clear();
    choice.detokenizer->push(token.token, kept_);
    if (choice.matcher && choice.tokens > stream.options.min_tokens)
      choice.stopped = choice.matcher->push(kept_, piece_);
    else
      piece_.swap(kept_);
  }
  stream.receiver->piece({token.fork, token.token, piece_, token.logprobs});
  if (choice.stopped) stop_(token.request, token.fork);
}

void Outlet::finished(const engine::Finished& finished, std::span<const requests::Token> generated) {
  totals_.end(finished);
  const std::shared_ptr<Stream> stream = find(finished.request);
  if (stream == nullptr) return;
  if (finished.finish == SL_FINISH_REJECTED && finished.reason == SL_REASON_QUEUE_FULL)
    finish_all(*stream, finished, generated);  // no choice found a slot: one call for all
  else
    finish(*stream, finished.fork, finished, generated);
  if (stream->left == 0) close(finished.request);
}

void Outlet::finish_all(Stream& stream, const engine::Finished& finished,
                        std::span<const requests::Token> generated) {
  for (std::uint32_t fork = 0; fork < stream.options.choices; ++fork)
    if (!stream.choices[fork].ended) finish(stream, fork, finished, generated);
}

void Outlet::finish(Stream& stream, std::uint32_t fork, const engine::Finished& finished,
                    std::span<const requests::Token> generated) {
  Choice& choice = stream.choices[fork];
  choice.ended = true;
  --stream.left;
  End end;
  end.choice = fork;
  end.finish = finish_of(finished.finish);
  end.output_tokens = choice.tokens;
  end.finished = &finished;
  piece_.clear();
  if (choice.detokenizer && !choice.stopped) flush(choice);
  end.text = piece_;
  if (choice.stopped) {
    end.finish = Finish::stop;
    end.stop_string = stream.options.stops->stops()[choice.matcher->stop()->which];
  } else if (end.finish == Finish::stop && !generated.empty()) {
    end.stop_token = generated.back();
  }
  stream.receiver->end(end);
}

// What was held back: half a character, the beginning of a stop string.
void Outlet::flush(Choice& choice) {
  kept_.clear();
  choice.detokenizer->finish(kept_);
  if (!choice.matcher) return piece_.swap(kept_);
  choice.stopped = choice.matcher->push(kept_, piece_);
  if (!choice.stopped) choice.matcher->finish(piece_);
}

}  // namespace serveloop::service
