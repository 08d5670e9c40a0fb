// What machine this is and how much of its memory this process may take, from files as Linux has them.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "rig/machine.hpp"

namespace serveloop::service::test {

namespace {

namespace fs = std::filesystem;

class Machine {
 public:
  explicit Machine(const std::string& name) : root_(fs::path(TEMP_FOLDER) / "machines" / name) {
    fs::remove_all(root_);
    write("proc/meminfo",
          "MemTotal:  9000 kB\nMemFree: 1 kB\nMemAvailable:    4096 kB\nHugePages_Total: 0\n");
  }
  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::uint64_t available() const { return rig::available_memory(root_); }
  std::string processor() const { return rig::processor_name(root_); }

 private:
  fs::path root_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(machine)

BOOST_AUTO_TEST_CASE(without_control_groups_the_system_decides) {
  const Machine machine("plain");
  BOOST_TEST(machine.available() == 4096u * 1024);
  machine.write("proc/meminfo", "nothing known\n");
  BOOST_TEST(machine.available() == 0u);
}

BOOST_AUTO_TEST_CASE(the_tightest_group_decides) {
  const Machine machine("groups");
  machine.write("proc/self/cgroup", "0::/a/b\n");
  machine.write("sys/fs/cgroup/a/b/memory.max", "max\n");
  machine.write("sys/fs/cgroup/a/b/memory.current", "500\n");
  BOOST_TEST(machine.available() == 4096u * 1024);
  machine.write("sys/fs/cgroup/a/memory.max", "10000\n");
  machine.write("sys/fs/cgroup/a/memory.current", "9000\n");
  machine.write("sys/fs/cgroup/a/memory.stat", "anon 7000\ninactive_file 1500\nactive_file 500\n");
  BOOST_TEST(machine.available() == 2500u);  // cached files give way
  machine.write("sys/fs/cgroup/a/b/memory.max", "2000\n");
  BOOST_TEST(machine.available() == 1500u);
  machine.write("sys/fs/cgroup/a/b/memory.current", "2100\n");
  BOOST_TEST(machine.available() == 1u);  // not 0, which says unknown
}

// In a container /proc names the group of the host, and the mount is the container's own.
BOOST_AUTO_TEST_CASE(a_group_that_is_not_there_gives_way_to_those_above) {
  const Machine machine("container");
  machine.write("proc/self/cgroup", "12:memory:/old\n0::/host/pod\n");
  machine.write("sys/fs/cgroup/memory.max", "3000\n");
  machine.write("sys/fs/cgroup/memory.current", "1000\n");
  BOOST_TEST(machine.available() == 2000u);
}

BOOST_AUTO_TEST_CASE(a_processor_has_a_name) {
  const Machine machine("processor");
  const std::string architecture = machine.processor();  // no file says more
  BOOST_TEST(!architecture.empty());
  machine.write("proc/cpuinfo",
                "processor\t: 0\nmodel\t\t: 85\nmodel name\t: A (R) Processor: 2 GHz\nmodel name\t: B\n");
  BOOST_TEST(machine.processor() == "A (R) Processor: 2 GHz");
  machine.write("proc/cpuinfo", "model name\t:\nmodel name\n");
  BOOST_TEST(machine.processor() == architecture);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::service::test
