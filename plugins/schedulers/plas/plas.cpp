// Program-level attained service (Luo et al., Autellix, 2025): calls of the programs that have had the least device time go
// first, so that short programs end soon, whatever the lengths of their calls.
#include <list>
#include <serveloop/cpp/feedback_plan.hpp>
#include <serveloop/cpp/state.hpp>
#include <unordered_map>

namespace {

// Device time by program. The programs whose calls ended longest ago are forgotten beyond `most`.
class Programs {
 public:
  explicit Programs(std::size_t most) : most_(most) {}
  uint64_t service_ns(uint64_t program) const {
    const auto found = at_.find(program);
    return found == at_.end() ? 0 : found->second->service_ns;
  }
  void add(uint64_t program, uint64_t service_ns) {
    const auto found = at_.find(program);
    if (found != at_.end()) {
      found->second->service_ns += service_ns;
      recent_.splice(recent_.end(), recent_, found->second);
      return;
    }
    if (recent_.size() == most_) {
      at_.erase(recent_.front().program);
      recent_.pop_front();
    }
    at_[program] = recent_.insert(recent_.end(), {program, service_ns});
  }
  std::size_t size() const { return recent_.size(); }
  struct Service {
    uint64_t program, service_ns;
  };
  const std::list<Service>& by_age() const { return recent_; }

 private:
  std::size_t most_;
  std::list<Service> recent_;  // whose last call ended longest ago first
  std::unordered_map<uint64_t, std::list<Service>::iterator> at_;
};

class Plas {
 public:
  static constexpr uint64_t kSchema = 0x706c61732d707201;  // "plas-pr", 1

  explicit Plas(const sl::Setup& setup)
      : programs_(static_cast<std::size_t>(setup.integer("programs"))), feedback_(setup, kMoreServed) {}
  static const void* extension(const char* id) { return sl::state_extension<Plas>(id); }

  void note(const sl::View& view) {
    account(view);
    feedback_.hear(view, LevelOf{programs_, feedback_.levels()});
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    account(view);
    feedback_.write(view, plan, LevelOf{programs_, feedback_.levels()});
    plan.gauge(kWaiting, static_cast<double>(feedback_.waiting()));
    plan.gauge(kPreempted, feedback_.preempted());
    plan.gauge(kPrograms, static_cast<double>(programs_.size()));
  }

  void save(sl::StateWriter& out) const {
    for (const Programs::Service& of : programs_.by_age()) out.put(of);
  }
  void load(sl::StateReader& in) {
    while (!in.done()) {
      const auto of = in.get<Programs::Service>();
      programs_.add(of.program, of.service_ns);
    }
  }

 private:
  static constexpr uint16_t kMoreServed =
      SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1, kPrograms = 2;

  // What a call that ended was served for is its program's.
  void account(const sl::View& view) {
    for (const sl_event& event : view.events()) {
      const sl_seq_row* seq = event.kind == SL_EV_ENDED ? view.find(event.subject) : nullptr;
      if (seq == nullptr || view.request(*seq).program == 0) continue;
      programs_.add(view.request(*seq).program, view.cold(*seq).service_ns);
    }
  }

  // By what the calls of its program that have ended were served for, and by what it was itself.
  struct LevelOf {
    const Programs& programs;
    const sl::Levels& levels;
    uint32_t operator()(const sl::View& view, const sl_seq_row& seq) const {
      const uint64_t program = view.request(seq).program;
      const uint64_t earlier_ns = program == 0 ? 0 : programs.service_ns(program);
      return levels.after(static_cast<double>(earlier_ns + view.cold(seq).service_ns));
    }
  };

  Programs programs_;
  sl::FeedbackPlan feedback_;
};

}  // namespace

SERVELOOP_SCHEDULER(Plas, "plas", "0.1.0");
