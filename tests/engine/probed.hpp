// A run under memory pressure with probe plugins in each place, and with all that a client and an operator may
// do. After each call of a probe, all that it read is held against the truths (truths.hpp).
#pragma once

#include "truths.hpp"

namespace serveloop::test {

class Probed {
 public:
  // `silent`: clients state nothing beside their prompts.
  Probed(std::uint32_t lag, bool silent);
  Probed(const Probed&) = delete;
  // Until all have ended. `seen`: which fields were ever filled.
  void run(Seen& seen);

 private:
  bool step(std::size_t i);  // false: nothing is left to do
  void act(std::size_t i);   // what clients and the operator do before step i
  void pause(std::size_t ask, std::uint64_t until_ns);
  void resume(std::size_t ask);
  void swap(policy::Kind kind, const char* plugin);

  // ---- probed_calls.cpp: after a policy was asked, before anything of its answer took effect.
  void asked(const engine::Policies& p);
  void chosen(const Facts& facts);  // the precision mode: first of all
  void planned(const Facts& facts);
  void name_arrivals(const Facts& view);
  void evicted(const Facts& facts);
  void preempted(const Facts& facts);
  void check_need(const Facts& facts, const Facts& view);
  void committed();  // the plan took effect: blocks were given and hung in
  void follow(const Facts& call, const std::string& name, const Scene& at);
  // ---- After the step.
  void noted(const Facts& facts);
  void check_notes(const engine::Policies& before);
  void check_block_handover(const Facts& facts);
  void check_handover(const Facts& facts);
  Scene scene(const Facts& view, bool amid) const;

  Setting setting_;
  std::vector<Ask> asks_;
  bool silent_;
  World world_;
  Witness witness_;
  Seen* seen_ = nullptr;
  Facts choose_view_, plan_view_;
  std::vector<sl_seq> plan_;
  Stories stories_;
  Holders holders_;
  std::set<std::uint32_t> committed_;  // blocks in the tree when this step's plan had taken effect
  std::uint64_t epoch_ = 0, swaps_ = 0, mode_ = 0;
  bool chosen_ = false;  // in this step
  std::vector<engine::Policies> kept_;
  Calls calls_;
  int choices_ = 0, plans_ = 0, evictions_ = 0, preemptions_ = 0, needs_ = 0;
};

}  // namespace serveloop::test
