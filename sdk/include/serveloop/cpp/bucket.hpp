// A token bucket (Turner, *New directions in communications*, IEEE Communications Magazine, 1986) in integers, so that
// every time it gives is exact.
//
// A level counts billionths of a token of a tenant of weight 1: at r tokens a second it grows by r a nanosecond. It may
// be negative, a debt. All stays within 63 bits where a burst is at most 1e9 tokens, a rate as many a second.
#pragma once

#include <serveloop/base.h>

#include <algorithm>
#include <cstdint>
#include <deque>

namespace sl {

struct Bucket {
  int64_t level;
  uint64_t at_ns;  // when it stood at that
};

class BucketRate {
 public:
  static constexpr int64_t kToken = 1'000'000'000;  // in levels
  static constexpr int64_t kMost = 4 * kToken * kToken;
  BucketRate(int64_t tokens_per_second, int64_t burst_tokens)
      : per_ns_(static_cast<uint64_t>(tokens_per_second)), burst_(burst_tokens * kToken) {}
  int64_t burst() const { return burst_; }  // the level when full

  // Lets it fill until `now_ns`; nothing where that is in its past.
  void fill(Bucket& bucket, uint64_t now_ns) const {
    if (now_ns <= bucket.at_ns) return;
    const uint64_t passed = now_ns - bucket.at_ns;
    const bool full = passed >= wait_ns(burst_ - bucket.level);
    bucket = {full ? burst_ : bucket.level + static_cast<int64_t>(passed * per_ns_), now_ns};
  }
  // The first nanosecond from at_ns on in which the level is `level` or more. Requires level <= burst().
  uint64_t reaches(const Bucket& bucket, int64_t level) const {
    constexpr uint64_t kLatest = SL_NEVER / 2 - 1;
    return std::min(bucket.at_ns, kLatest) + std::min(wait_ns(level - bucket.level), kLatest);
  }
  // Takes what one that passes costs, at the price of a debt.
  static void take(Bucket& bucket, int64_t cost) { bucket.level = std::max(bucket.level - cost, -kMost); }
  // What `tokens` cost a tenant of that weight, rounded up; at most kMost.
  static int64_t cost(uint64_t tokens, uint32_t weight_milli) {
    const uint64_t weight = std::max(1u, weight_milli), whole = tokens * 1000 / weight;
    if (whole >= static_cast<uint64_t>(kMost / kToken)) return kMost;
    const uint64_t rest = tokens * 1000 % weight * uint64_t{kToken};
    return static_cast<int64_t>(whole * uint64_t{kToken} + (rest + weight - 1) / weight);
  }

 private:
  uint64_t wait_ns(int64_t missing) const {
    return missing <= 0 ? 0 : (static_cast<uint64_t>(missing) + per_ns_ - 1) / per_ns_;
  }
  uint64_t per_ns_;
  int64_t burst_;
};

// One bucket and who waits for it, in order: each passes once the bucket has what it costs, or is full where that is less.
// The head's wake time is exact. Those behind it have the one that is exact if nobody before them leaves: never too early,
// and set right when they come to the head. So whoever comes or goes costs O(1).
class BucketQueue {
 public:
  struct Held {
    sl_seq seq;  // SL_NO_SEQ: left
    int64_t cost;
    uint64_t wake_ns;
  };
  explicit BucketQueue(const Bucket& bucket) : bucket_(bucket), tail_(bucket) {}
  const Bucket& bucket() const { return bucket_; }
  const std::deque<Held>& queue() const { return queue_; }
  uint32_t waiting() const { return waiting_; }

  // Pays for one that comes, where nobody waits and the bucket has it.
  bool pay(const BucketRate& rate, int64_t cost, uint64_t now_ns) {
    if (!queue_.empty()) return false;
    rate.fill(bucket_, now_ns);
    tail_ = bucket_;
    if (bucket_.level < need(rate, cost)) return false;
    rate.take(bucket_, cost);
    return true;
  }
  // Else it waits. Returns its ticket.
  uint64_t join(const BucketRate& rate, sl_seq seq, int64_t cost, uint64_t now_ns) {
    return restore({seq, cost, next(rate, tail_, cost, now_ns)});
  }
  // One that waited in another queue, of another rate: settle(all) comes next. Returns its ticket.
  uint64_t restore(const Held& held) {
    queue_.push_back(held);
    ++waiting_;
    return first_ + queue_.size() - 1;
  }
  // Null: it passed or left.
  const Held* find(uint64_t ticket) const {
    if (ticket < first_ || ticket - first_ >= queue_.size()) return nullptr;
    const Held& held = queue_[ticket - first_];
    return held.seq == SL_NO_SEQ ? nullptr : &held;
  }
  // One that find() has goes without paying.
  void leave(uint64_t ticket) {
    queue_[ticket - first_].seq = SL_NO_SEQ;
    --waiting_;
  }
  // One that find() has woke up: it pays, and all before it, whose time has come too.
  void wake(const BucketRate& rate, uint64_t ticket) {
    while (first_ <= ticket) pass_head(rate, queue_.front().wake_ns);
  }
  // After some left: lets go of whom the bucket pays for now, by release(seq), and tells the next one's time where it is
  // another, by again(seq, wake_ns). `all`: everybody's, for another rate.
  template <class Release, class Again>
  void settle(const BucketRate& rate, uint64_t now_ns, bool all, Release&& release, Again&& again) {
    while (!queue_.empty()) {
      const Held head = queue_.front();
      if (head.seq != SL_NO_SEQ) {
        if (rate.reaches(bucket_, need(rate, head.cost)) > now_ns) break;
        release(head.seq);
      }
      pass_head(rate, now_ns);
    }
    Bucket tail = bucket_;
    for (Held& held : queue_) {
      if (held.seq == SL_NO_SEQ) continue;
      const uint64_t wake_ns = next(rate, tail, held.cost, now_ns);
      if (wake_ns != held.wake_ns) again(held.seq, held.wake_ns = wake_ns);
      if (!all) return;
    }
    tail_ = tail;
  }

 private:
  static int64_t need(const BucketRate& rate, int64_t cost) { return std::min(cost, rate.burst()); }
  static uint64_t next(const BucketRate& rate, Bucket& tail, int64_t cost, uint64_t now_ns) {
    rate.fill(tail, std::max(now_ns, rate.reaches(tail, need(rate, cost))));
    rate.take(tail, cost);
    return tail.at_ns;
  }
  void pass_head(const BucketRate& rate, uint64_t at_ns) {
    const Held head = queue_.front();
    queue_.pop_front();
    ++first_;
    if (head.seq == SL_NO_SEQ) return;
    rate.fill(bucket_, at_ns);
    rate.take(bucket_, head.cost);
    --waiting_;
  }
  Bucket bucket_, tail_;  // after those that passed; once all that wait have passed
  std::deque<Held> queue_;
  uint64_t first_ = 0;  // the head's ticket
  uint32_t waiting_ = 0;
};

}  // namespace sl
