// Plays a trace of block ids through an eviction plugin that is alone with a cache, and prints how many blocks were hit.
//   play_trace PLUGIN keys|prefix BLOCKS TRACE [OPTION=VALUE]...
// TRACE, as eviction_traces.py writes it: first the tokens of a block and the cost model's prefill figures, in ns; then a request a line,
//   AT_NS ID... [| FROM_TOKEN TO_TOKEN PRIORITY DURATION_NS]...
// when it comes, its blocks' ids in the order of its prompt, and the ranges that it wants kept. The clock stands at AT_NS until the
// next request. The two readings: eviction_model.py, which plays the same.
#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "policy/host.hpp"

namespace serveloop::test {

namespace {

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "play_trace: {}\n", why);
  std::exit(2);
}

struct Request {
  std::uint64_t at_ns = 0;
  std::vector<std::uint64_t> path;
  std::vector<sl_retention> keeps;
};
struct Trace {
  std::uint32_t block_tokens = 0;
  sl_cost cost{};
  std::vector<Request> requests;
};

// The device's blocks, what is cached in them, and the policy that says who leaves.
class Cache {
 public:
  Cache(const policy::Choice& choice, std::uint32_t blocks, const Trace& trace)
      : rows_(blocks), cost_(trace.cost) {
    policy::SearchOptions search;
    search.folders = {SERVELOOP_BUILD_PLUGINS};
    policy::Limits limits;
    limits.blocks[SL_TIER_DEVICE] = blocks;
    limits.block_tokens = trace.block_tokens;
    limits.sequence_slots = 1;
    auto loaded = policy::Host(search).load_eviction(choice, limits);
    if (!loaded) stop(loaded.error().message());
    policy_ = *loaded;
    for (std::uint32_t block = blocks; block-- > 0;) free_.push_back(block);
    victims_.resize(blocks);
    view_.struct_size = sizeof(view_);
    view_.block_tokens = limits.block_tokens;
    view_.cost = &cost_;
    view_.requests = {requests_, sizeof(sl_request_row), kRequestRows};
    view_.tier[SL_TIER_DEVICE].total = blocks;
  }

  std::uint32_t free() const { return static_cast<std::uint32_t>(free_.size()); }
  bool cached(std::uint64_t id) const { return places_.contains(id); }

  // All that follows is of this request, and at its time. Rows of requests are used again, as in the engine.
  void begin(const Request& request) {
    view_.now_ns = request.at_ns;
    request_row_ = static_cast<std::uint32_t>(++request_ % kRequestRows);
    sl_request_row& row = requests_[request_row_] = {};
    row.request = request_;
    row.retention_at = keeps_.size() * sizeof(sl_retention);
    row.retention_count = static_cast<std::uint32_t>(request.keeps.size());
    keeps_.insert(keeps_.end(), request.keeps.begin(), request.keeps.end());
    view_.heap = reinterpret_cast<const std::uint8_t*>(keeps_.data());
  }

  void hit(std::uint64_t id) {
    sl_block_row& row = rows_[places_.at(id)];
    ++row.refs;
    ++row.hits;
    row.last_use_ns = view_.now_ns;
    tell(SL_BLOCK_HIT, places_.at(id));
  }
  // A new block, in use. `above`: the id of the block it continues; 0: none.
  void insert(std::uint64_t id, std::uint64_t above, std::uint32_t depth) {
    const std::uint32_t block = free_.back();
    free_.pop_back();
    places_[id] = block;
    sl_block_row& row = rows_[block];
    row = {};
    row.key = id;
    row.depth = depth;
    row.refs = 1;
    row.created_ns = row.last_use_ns = view_.now_ns;
    row.tier = SL_TIER_DEVICE;
    row.flags = SL_BLOCK_FLAG_INDEXED;
    row.parent = above == 0 ? SL_NONE : places_.at(above);
    if (above != 0) ++rows_[row.parent].cached_children;
    tell(SL_BLOCK_INSERTED, block);
  }
  void idle(std::uint64_t id) {
    sl_block_row& row = rows_[places_.at(id)];
    --row.refs;
    row.last_use_ns = view_.now_ns;
    tell(SL_BLOCK_IDLE, places_.at(id));
  }
  void evict(std::uint32_t need) {
    sl_evict_in in = input();
    in.need[SL_TIER_DEVICE] = in.ahead[SL_TIER_DEVICE] = need;
    sl_out victims{victims_.data(), sizeof(sl_victim), static_cast<std::uint32_t>(victims_.size()), 0, 0};
    sl_out gauges{gauges_, sizeof(sl_gauge), 8, 0, 0};
    if (policy_->evict(in, victims, gauges) != SL_OK) stop(policy_->last_failure());
    events_.clear();
    if (victims.count != need) stop(fmt::format("{} victims, {} needed", victims.count, need));
    for (std::uint32_t i = 0; i < victims.count; ++i) drop(victims_[i]);
    for (std::uint32_t i = 0; i < victims.count; ++i)
      if (rows_[victims_[i].block].cached_children > 0)
        stop(fmt::format("block {} left before one below it", victims_[i].block));
  }
  void note() {
    if (policy_->note(input()) != SL_OK) stop(policy_->last_failure());
    events_.clear();
  }

 private:
  sl_evict_in input() {
    sl_tier& tier = view_.tier[SL_TIER_DEVICE];
    tier.free = free();
    tier.evictable = static_cast<std::uint32_t>(rows_.size()) - free();
    view_.blocks = {rows_.data(), sizeof(sl_block_row), static_cast<std::uint32_t>(rows_.size())};
    sl_evict_in in{};
    in.view = &view_;
    in.events = {events_.data(), sizeof(sl_block_event), static_cast<std::uint32_t>(events_.size())};
    return in;
  }
  void drop(const sl_victim& victim) {
    sl_block_row& row = rows_[victim.block];
    if (row.key != victim.key || row.refs > 0 || (row.flags & SL_BLOCK_FLAG_INDEXED) == 0)
      stop(fmt::format("block {} may not leave", victim.block));
    tell(SL_BLOCK_GONE, victim.block);
    if (row.parent != SL_NONE) --rows_[row.parent].cached_children;
    places_.erase(row.key);
    free_.push_back(victim.block);
    row.flags = 0;
  }
  void tell(std::uint16_t kind, std::uint32_t block) {
    sl_block_event event{};
    event.key = rows_[block].key;
    event.block = block;
    event.depth = rows_[block].depth;
    event.kind = kind;
    event.tier = kind == SL_BLOCK_GONE ? SL_TIER_NONE : SL_TIER_DEVICE;
    event.request = request_;
    event.request_row = request_row_;
    events_.push_back(event);
  }

  std::shared_ptr<policy::Eviction> policy_;
  std::vector<sl_block_row> rows_;
  static constexpr std::uint32_t kRequestRows = 4;
  sl_request_row requests_[kRequestRows]{};
  std::uint64_t request_ = 0;  // id
  std::uint32_t request_row_ = 0;
  std::vector<sl_retention> keeps_;  // of all requests so far: the view's heap
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::uint64_t, std::uint32_t> places_;
  std::vector<sl_block_event> events_;
  std::vector<sl_victim> victims_;
  sl_gauge gauges_[8]{};
  sl_cost cost_;
  sl_view view_{};
};

// Each block by itself. One block more than `blocks` holds the one that comes while another leaves for it.
std::uint64_t play_keys(Cache& cache, const std::vector<Request>& requests) {
  std::uint64_t hits = 0;
  for (const Request& request : requests) {
    cache.begin(request);
    for (const std::uint64_t id : request.path) {
      if (cache.cached(id)) {
        ++hits;
        cache.hit(id);
      } else {
        cache.insert(id, 0, 0);
        if (cache.free() == 0) cache.evict(1);
      }
      cache.idle(id);
      cache.note();
    }
  }
  return hits;
}

std::uint64_t play_prefixes(Cache& cache, const std::vector<Request>& requests) {
  std::uint64_t hits = 0;
  for (const Request& request : requests) {
    const std::vector<std::uint64_t>& path = request.path;
    cache.begin(request);
    std::size_t matched = 0;
    for (; matched < path.size() && cache.cached(path[matched]); ++matched) cache.hit(path[matched]);
    hits += matched;
    const auto missing = static_cast<std::uint32_t>(path.size() - matched);
    if (missing > cache.free()) cache.evict(missing - cache.free());
    for (std::size_t i = matched; i < path.size(); ++i)
      cache.insert(path[i], i == 0 ? 0 : path[i - 1], static_cast<std::uint32_t>(i));
    for (std::size_t i = path.size(); i-- > 0;) cache.idle(path[i]);
    cache.note();
  }
  return hits;
}

Request read_request(const std::string& line) {
  Request request;
  std::istringstream parts(line);
  std::string part;
  std::getline(parts, part, '|');
  std::istringstream words(part);
  if (!(words >> request.at_ns)) stop(fmt::format("'{}' has no time", line));
  for (std::uint64_t id; words >> id;) request.path.push_back(id + 1);  // 0 is no key
  while (std::getline(parts, part, '|')) {
    sl_retention& keep = request.keeps.emplace_back();
    std::istringstream range(part);
    if (!(range >> keep.from_token >> keep.to_token >> keep.priority >> keep.duration_ns))
      stop(fmt::format("'{}' is not FROM_TOKEN TO_TOKEN PRIORITY DURATION_NS", part));
  }
  return request;
}

Trace read(const char* file) {
  std::ifstream in(file);
  Trace trace;
  trace.cost.struct_size = sizeof(trace.cost);
  std::string line;
  if (!(in >> trace.block_tokens >> trace.cost.prefill_token_ns >> trace.cost.prefill_context_ns) ||
      !std::getline(in, line))
    stop(fmt::format("'{}' does not begin with a block's tokens and the costs of a prefill", file));
  while (std::getline(in, line)) trace.requests.push_back(read_request(line));
  return trace;
}

toml::Value value_of(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return toml::Value(text);
  if (text.find('.') == std::string::npos) return toml::Value(static_cast<std::int64_t>(number));
  return toml::Value(number);
}

int play(int argc, char** argv) {
  if (argc < 5) stop("usage: play_trace PLUGIN keys|prefix BLOCKS TRACE [OPTION=VALUE]...");
  const std::string plugin = argv[1], reading = argv[2];
  const auto blocks = static_cast<std::uint32_t>(std::stoul(argv[3]));
  toml::Table options;
  for (int i = 5; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) stop(fmt::format("'{}' is not OPTION=VALUE", word));
    options.push_back({word.substr(0, equals), value_of(word.substr(equals + 1))});
  }
  const Trace trace = read(argv[4]);
  Cache cache({plugin, std::move(options)}, reading == "keys" ? blocks + 1 : blocks, trace);
  fmt::print("{}\n",
             reading == "keys" ? play_keys(cache, trace.requests) : play_prefixes(cache, trace.requests));
  return 0;
}

}  // namespace

}  // namespace serveloop::test

int main(int argc, char** argv) { return serveloop::test::play(argc, argv); }
