#include "experiment/trail.hpp"

namespace serveloop::experiment {

namespace {

std::vector<const policy::Instance*> instances(const engine::Policies& p) {
  std::vector<const policy::Instance*> all;
  for (const auto& gate : p.gates) all.push_back(gate.get());
  for (const policy::Instance* one : {static_cast<const policy::Instance*>(p.scheduler.get()),
                                      static_cast<const policy::Instance*>(p.eviction.get()),
                                      static_cast<const policy::Instance*>(p.preemption.get()),
                                      static_cast<const policy::Instance*>(p.precision.get())})
    all.push_back(one);
  return all;
}

std::string name_of(const policy::Instance* instance) {
  return instance == nullptr ? "linked-in" : instance->id();
}

}  // namespace

PolicyTrail::PolicyTrail(const engine::Policies& policies) : now_(instances(policies)) {
  for (const policy::Instance* instance : now_) texts_.push_back(name_of(instance));
}

void PolicyTrail::note(const engine::Policies& policies) {
  const std::vector<const policy::Instance*> next = instances(policies);
  for (std::size_t i = 0; i < now_.size(); ++i)
    if (next[i] != now_[i]) texts_[i] += " -> " + name_of(next[i]);
  now_ = next;
}

}  // namespace serveloop::experiment
