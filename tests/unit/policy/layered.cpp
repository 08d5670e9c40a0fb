// A policy of the C++ layer, whose calls throw.
#include <serveloop/cpp/scheduler.hpp>

namespace {

class Layered {
 public:
  explicit Layered(const sl::Setup& setup) : behave_(setup.text("behave")) {}
  void plan(const sl::View&, sl::Plan&) {
    if (behave_ == "throw an int") throw 3;
    if (behave_ == "throw at length") throw std::runtime_error(std::string(100000, 'x'));
    std::vector<int>().at(behave_.size());
  }
  void note(const sl::View&) { throw std::runtime_error("thrown by note"); }

 private:
  std::string behave_;
};

}  // namespace

SERVELOOP_SCHEDULER(Layered, "probe", "1.0.0");
