// Keys of blocks that have left the cache, oldest first: the memory of policies that ask whether a block comes again.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

namespace sl {

// O(1) each. Memory: about 80 bytes a key. Nothing depends on the map's order.
class Ghosts {
 public:
  uint32_t size() const { return static_cast<uint32_t>(keys_.size()); }
  void push(uint64_t key) {
    erase(key);
    places_[key] = keys_.insert(keys_.end(), key);
  }
  bool erase(uint64_t key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return false;
    keys_.erase(found->second);
    places_.erase(found);
    return true;
  }
  void pop() {  // the oldest
    if (!keys_.empty()) erase(keys_.front());
  }

 private:
  std::list<uint64_t> keys_;
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> places_;
};

}  // namespace sl
