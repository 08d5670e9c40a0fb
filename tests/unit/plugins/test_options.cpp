// Each option has its bounds in the manifest: a value on them is taken, one beyond them is refused with its name.
#include <boost/test/unit_test.hpp>

#include "tables.hpp"

namespace serveloop::test {

namespace {

Status loads(const policy::Host& host, const policy::Manifest& m, const std::string& option,
             toml::Value value) {
  const Choice choice{m.id, toml::Table{{option, std::move(value)}}};
  const auto status = [](auto loaded) -> Status {
    if (!loaded) return tl::unexpected(loaded.error());
    return {};
  };
  switch (m.kind) {
    case policy::Kind::eviction: return status(host.load_eviction(choice, limits()));
    case policy::Kind::preemption: return status(host.load_preemption(choice, limits()));
    default: return status(m.gate ? host.load_gate(choice, limits()) : host.load_scheduler(choice, limits()));
  }
}

void check_bounds(const policy::Host& host, const policy::Manifest& m, const policy::OptionSpec& spec) {
  const auto taken = [&](toml::Value value) {
    BOOST_TEST(bool(loads(host, m, spec.name, std::move(value))));
  };
  const auto refused = [&](toml::Value value) {
    const Status status = loads(host, m, spec.name, std::move(value));
    BOOST_REQUIRE(!status);
    BOOST_TEST(status.error().message().find(spec.name) != std::string::npos);
  };
  switch (spec.type) {
    case policy::OptionType::integer: {
      BOOST_REQUIRE(spec.min && spec.max);
      const auto low = static_cast<std::int64_t>(*spec.min), high = static_cast<std::int64_t>(*spec.max);
      taken(low), taken(high), refused(low - 1), refused(high + 1), refused("many");
      break;
    }
    case policy::OptionType::number:
      BOOST_REQUIRE(spec.min && spec.max);
      taken(*spec.min), taken(*spec.max), refused(*spec.min - 0.01), refused(*spec.max + 0.01);
      break;
    case policy::OptionType::boolean: taken(true), taken(false), refused("yes"); break;
    case policy::OptionType::text:
      for (const std::string& choice : spec.choices) taken(choice);
      refused("none of them");
      break;
    default: BOOST_ERROR("an option of a type that is not looked at");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_AUTO_TEST_CASE(each_has_bounds) {
  const policy::Host host = build_host();
  std::size_t checked = 0;
  for (const char* id : {"fcfs",
                         "sarathi",
                         "priority",
                         "srpt",
                         "edf",
                         "lars",
                         "mlfq",
                         "plas",
                         "shed",
                         "token-bucket",
                         "lru",
                         "slru",
                         "lfu",
                         "gdsf",
                         "sieve",
                         "s3fifo",
                         "arc",
                         "retention",
                         "least-progress",
                         "most-blocks",
                         "swap",
                         "cost",
                         "vtc",
                         "lpm",
                         "dlpm",
                         "static",
                         "prefill-first",
                         "memory-aware",
                         "composed"})
    BOOST_TEST_CONTEXT(id) {
      const auto library = need(host.open(id));
      for (const policy::OptionSpec& spec : library->manifest().options) BOOST_TEST_CONTEXT(spec.name) {
          check_bounds(host, library->manifest(), spec);
          ++checked;
        }
    }
  BOOST_TEST(checked >= 45u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
