// Truths of the cache: blocks and nodes by the tokens that their sequences know, and by what events told.
#include "truths.hpp"

namespace serveloop::test {

namespace {

kv::Key salt_of(const Scene& scene, const Witnessed& s) {
  const std::string& tenant = scene.asks[s.key.first].spec.tenant;
  return kv::make_salt(tenant.empty() ? "default" : tenant, "", 0, 0);
}

std::vector<kv::Key> keys_of(const Scene& scene, const Witnessed& s) {
  const Tokens known = scene.witness.known_tokens(s);
  std::vector<kv::Key> keys(known.size() / kBlockTokens);
  kv::hash_blocks(salt_of(scene, s), known, kBlockTokens, keys);
  return keys;
}

struct BlockCase {
  const Scene& scene;
  const Stories& stories;
  const Holders& holders;
  std::uint32_t block;
  const BlockStory* story;  // null: free or private

  std::uint32_t refs() const { return holders.count(block); }
  // A pin that was undone in the same step leaves no trace but this.
  std::uint64_t last_use(std::uint64_t read) const {
    if (story == nullptr) return 0;
    const Holders::Use use = holders.use(block);
    const bool undone = read > use.ns && scene.witness.falls().contains(read);
    return undone || (read >= use.earliest_ns && read <= use.ns) ? read : use.ns;
  }
  std::uint32_t flags() const {
    if (story == nullptr) return 0;
    return SL_BLOCK_FLAG_INDEXED | (scene.witness.filling(block, story->key) ? SL_BLOCK_FLAG_FILLING : 0);
  }
  std::uint32_t children() const {
    std::uint32_t count = 0;
    for (const auto& [other, its] : stories) count += story != nullptr && its.parent_key == story->key;
    return count;
  }
  std::uint32_t parent() const {
    if (story != nullptr)
      for (const auto& [other, its] : stories)
        if (its.key == story->parent_key) return other;
    return SL_NONE;
  }
  std::uint64_t node(std::uint64_t read) const {
    if (story == nullptr || read >= number(scene.view, ".nodes.count")) return SL_NONE;
    const std::string node = item(".nodes", read);
    const std::uint64_t top = number(scene.view, node + ".depth_blocks");
    const std::uint64_t end = top + number(scene.view, node + ".device_blocks");
    return story->depth >= top && story->depth < end ? read : SL_NONE;
  }
};

const Truth<BlockCase> kBlock[] = {
    TRUTH(key, c.story != nullptr ? c.story->key : 0),
    TRUTH(last_use_ns, c.last_use(read)),
    TRUTH(created_ns, c.story != nullptr ? c.story->created_ns : 0),
    TRUTH(node, c.node(read)),
    TRUTH(depth, c.story != nullptr ? c.story->depth : 0),
    TRUTH(refs, c.refs()),
    TRUTH(hits, c.story != nullptr ? c.story->hits : 0),
    TRUTH(tier, c.story != nullptr || c.refs() > 0 ? SL_TIER_DEVICE : SL_TIER_NONE),
    TRUTH(flags, c.flags()),
    TRUTH(cached_children, c.children()),
    TRUTH(parent, c.parent()),
    TRUTH(host_children, 0),
};

struct NodeCase {
  const Scene& scene;
  std::uint64_t node;
  std::uint32_t device = 0, filling = 0, waiting = 0, live = 0;  // counted
  std::uint64_t end = 0, children = 0;

  std::uint64_t of(std::uint64_t which, const char* field) const {
    return number(scene.view, item(".nodes", which) + field);
  }
  bool used() const { return node == 0 || of(node, ".parent") != SL_NONE; }
  // Something keeps it: a sequence, a block, or a fork of paths.
  std::uint64_t parent(std::uint64_t read) const {
    const bool kept = live > 0 || device > 0 || children > 1;
    return node == 0 || (read != SL_NONE && !kept) ? SL_NONE : read;
  }
  std::uint64_t depth() const {
    if (node == 0 || !used()) return 0;
    const std::uint64_t above = of(node, ".parent");
    return of(above, ".depth_blocks") + of(above, ".edge_blocks");
  }
  // Where a path ends is checked with its sequence; where none goes on, the edge ends with its blocks.
  std::uint64_t edge(std::uint64_t read) const {
    if (node == 0 || !used()) return 0;
    return live == 0 && children == 0 ? device : std::max<std::uint64_t>({read, device, 1});
  }
};

const Truth<NodeCase> kNode[] = {
    TRUTH(parent, c.parent(read)),
    TRUTH(depth_blocks, c.depth()),
    TRUTH(edge_blocks, c.edge(read)),
    TRUTH(device_blocks, c.device),
    TRUTH(host_blocks, 0),
    TRUTH(filling, c.filling),
    TRUTH(waiting, c.waiting),
    TRUTH(live, c.live),
};

struct BlockEventCase {
  const Scene& scene;
  const Stories& stories;
  const BlockStory* story;           // before the event
  const std::vector<kv::Key>* path;  // of the sequence that caused it; null: nobody did
  kv::Key salt;
  std::uint64_t kind, depth, request, request_row;

  std::uint64_t key(std::uint64_t read) const {
    if (story != nullptr) return story->key;
    return path != nullptr && depth < path->size() ? (*path)[depth] : ~read;
  }
  std::uint64_t parent_key(std::uint64_t read) const {
    if (story != nullptr) return story->parent_key;
    if (path == nullptr || depth > path->size()) return ~read;
    return depth == 0 ? salt : (*path)[depth - 1];
  }
  // Told of as cached before anything else; MOVED never.
  bool kind_is_right() const {
    if (kind == SL_BLOCK_HIT || kind == SL_BLOCK_IDLE || kind == SL_BLOCK_GONE) return story != nullptr;
    return kind == SL_BLOCK_INSERTED && story == nullptr;
  }
  std::uint64_t children(std::uint64_t read) const {
    if (story == nullptr) return 0;
    if (kind == SL_BLOCK_GONE) return read;  // told before any of an answer's blocks left
    std::uint64_t count = 0;
    for (const auto& [block, its] : stories) count += its.parent_key == story->key ? 1 : 0;
    return count;
  }
};

const Truth<BlockEventCase> kBlockEvent[] = {
    TRUTH(key, c.key(read)),
    TRUTH(parent_key, c.parent_key(read)),
    TRUTH(request, c.kind == SL_BLOCK_GONE ? 0
                   : c.path != nullptr     ? c.request
                                           : ~read),
    TRUTH(block, read),  // by which it is followed: its row is checked
    TRUTH(depth, c.story != nullptr ? c.story->depth : c.depth),
    TRUTH(kind, c.kind_is_right() ? read : 0),
    TRUTH(tier, SL_TIER_DEVICE),
    TRUTH(flags, 0),
    TRUTH(reason, c.kind == SL_BLOCK_GONE ? c.story->leaves_for : 0u),
    TRUTH(cached_children, c.children(read)),
    TRUTH(node, read < number(c.scene.view, ".nodes.count") ? read : SL_NONE),
    TRUTH(from, 0),
    TRUTH(request_row, c.kind == SL_BLOCK_GONE ? SL_NONE : c.request_row),
};

}  // namespace

void Holders::look(const World& world, std::uint64_t now_ns) {
  std::map<std::uint32_t, std::set<sl_seq>> held;
  for (const requests::Slot slot : world.engine().requests().live_slots())
    for (const kv::BlockId block : world.engine().cache().table(slot))
      held[block].insert(world.engine().requests().row(slot).id);
  for (std::uint32_t block = 0; block < world.limits().blocks[0]; ++block) {
    const std::set<sl_seq>& before = now_[block];
    const std::set<sl_seq>& after = held[block];
    if (before == after) continue;
    const bool ends_alone = std::includes(before.begin(), before.end(), after.begin(), after.end()) &&
                            std::all_of(before.begin(), before.end(), [&](sl_seq seq) {
                              return after.contains(seq) || !world.engine().requests().alive(seq);
                            });
    uses_[block] = {now_ns, ends_alone ? uses_[block].earliest_ns : now_ns};
  }
  now_ = std::move(held);
}

void Holders::begin(std::uint32_t block, std::uint64_t now_ns) {
  Use& use = uses_[block];
  use = {std::max(use.ns, now_ns), std::max(use.earliest_ns, now_ns)};
}

Holders::Use Holders::use(std::uint32_t block) const {
  const auto found = uses_.find(block);
  return found == uses_.end() ? Use{} : found->second;
}

std::uint32_t Holders::count(std::uint32_t block) const {
  const auto found = now_.find(block);
  return found == now_.end() ? 0 : static_cast<std::uint32_t>(found->second.size());
}

void check_blocks(const Scene& scene, const Stories& stories, const Holders& holders) {
  BOOST_REQUIRE_EQUAL(number(scene.view, ".blocks.count"), scene.setting.blocks);
  for (std::uint32_t block = 0; block < scene.setting.blocks; ++block) {
    const auto found = stories.find(block);
    const BlockCase c{scene, stories, holders, block, found == stories.end() ? nullptr : &found->second};
    check_row<BlockCase>(scene.view, item(".blocks", block), c, kBlock);
  }
}

void check_nodes(const Scene& scene, const Stories& stories) {
  std::vector<NodeCase> nodes;
  for (std::uint64_t i = 0; i < number(scene.view, ".nodes.count"); ++i) nodes.push_back({scene, i});
  for (const NodeCase& node : nodes)
    if (node.node != 0 && node.used()) ++nodes.at(node.of(node.node, ".parent")).children;
  for (const auto& [block, story] : stories) {
    NodeCase& node = nodes.at(number(scene.view, item(".blocks", block) + ".node"));
    ++node.device;
    node.filling += scene.witness.filling(block, story.key) ? 1 : 0;
  }
  for (const auto& [key, s] : scene.witness.sequences()) {
    if (s.ended || scene.witness.path_blocks(s) == 0) continue;
    NodeCase& node = nodes.at(number(scene.view, item(".seqs", SL_SEQ_SLOT(s.id)) + ".node"));
    ++node.live;
    node.waiting += s.state() == SL_WAITING || s.state() == SL_RESERVED ? 1 : 0;
  }
  for (const NodeCase& node : nodes) check_row<NodeCase>(scene.view, item(".nodes", node.node), node, kNode);
}

void follow_block_events(const Facts& call, const std::string& at, const Scene& scene, Stories& stories,
                         const std::function<std::uint64_t(std::uint32_t)>& created_ns) {
  BOOST_REQUIRE_EQUAL(number(call, at + ".stride"), sizeof(sl_block_event));
  for (std::uint64_t i = 0; i < number(call, at + ".count"); ++i) {
    const std::string event = item(at, i);
    const auto block = static_cast<std::uint32_t>(number(call, event + ".block"));
    const std::uint64_t kind = number(call, event + ".kind"), request = number(call, event + ".request"),
                        depth = number(call, event + ".depth"), key = number(call, event + ".key");
    std::vector<kv::Key> path;
    kv::Key salt = 0;
    std::uint32_t request_row = SL_NONE;
    for (const auto& [who, s] : scene.witness.sequences()) {
      if (s.request != request) continue;
      path = keys_of(scene, s), salt = salt_of(scene, s), request_row = s.request_row;
      if (depth < path.size() && path[depth] == key) break;  // else another fork's
    }
    const auto found = stories.find(block);
    const BlockEventCase c{scene,
                           stories,
                           found == stories.end() ? nullptr : &found->second,
                           salt == 0 ? nullptr : &path,
                           salt,
                           kind,
                           depth,
                           request,
                           request_row};
    check_row<BlockEventCase>(call, event, c, kBlockEvent);
    if (kind == SL_BLOCK_INSERTED)
      stories[block] = {key, number(call, event + ".parent_key"), created_ns(block),
                        static_cast<std::uint32_t>(depth), 0};
    if (kind == SL_BLOCK_HIT) ++stories.at(block).hits;
    if (kind == SL_BLOCK_GONE) stories.erase(block);
  }
}

}  // namespace serveloop::test
