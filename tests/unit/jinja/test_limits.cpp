// Hostile templates: each ends soon, in a text or in one line that says what was too much.
#include <boost/test/unit_test.hpp>
#include <chrono>

#include "golden.hpp"

using namespace golden;
namespace jinja = serveloop::text::jinja;

namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

Result<std::string> limited(const std::string& source, jinja::Limits limits = {},
                            const Conversation& conversation = {}) {
  ChatTemplate::Options options;
  options.limits = limits;
  auto made = ChatTemplate::create(source, std::move(options));
  if (!made) return tl::unexpected(made.error());
  return made->render(conversation);
}

// Fails, with `part` in a one-line message, in less than the seconds that even a sanitized build takes.
void refused(const std::string& source, std::string_view part, jinja::Limits limits = {}) {
  const auto start = std::chrono::steady_clock::now();
  const auto result = limited(source, limits);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const std::string shown = source.substr(0, 80);
  BOOST_REQUIRE_MESSAGE(!result, shown + ": no error");
  const std::string message = result.error().message();
  BOOST_TEST(message.find(part) != std::string::npos, shown + ": " + message);
  BOOST_TEST(message.find('\n') == std::string::npos);
  BOOST_TEST(message.size() < 400);
  BOOST_TEST(took.count() < 60, shown + " took " + std::to_string(took.count()) + " s");
}

constexpr std::string_view kWork = "units of work", kValues = "values take more", kDeep = "deep";
constexpr std::string_view kLong = "prompt takes more";

jinja::Limits small(std::uint64_t fuel, std::size_t value_bytes = 1 << 20) {
  jinja::Limits limits;
  limits.fuel = fuel;
  limits.value_bytes = value_bytes;
  limits.output_bytes = 1 << 20;
  return limits;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(limits)

BOOST_AUTO_TEST_CASE(work) {
  const std::string loops = repeated("{% for x in range(1000) %}", 6) + repeated("{% endfor %}", 6);
  refused(loops, kWork, small(100'000));
  refused(
      "{% macro m(n) %}{{ m(n) if n > 400 }}{% for i in range(100000) %}{% endfor %}{% endmacro %}{{ m(1) }}",
      kWork, small(50'000, 16 << 20));
  refused("{% set s = 'a' * 100000 %}{% for i in range(100000) %}{{ s.find('b') }}{% endfor %}", kWork,
          small(1'000'000, 16 << 20));
  refused("{% for i in range(100000) %}{% set x = (range(9000)|list) == (range(9000)|list) %}{% endfor %}",
          kWork, small(1'000'000, 16 << 20));
  BOOST_TEST(limited("{% for x in range(100) %}{{ x }}{% endfor %}", small(1'000)).has_value());
}

BOOST_AUTO_TEST_CASE(memory_of_values) {
  refused("{{ ('a' * 1000000000)|length }}", kValues);
  refused("{{ 'a' * 9223372036854775807 }}", kValues);
  refused("{{ ([1] * 9223372036854775807)|length }}", kValues, small(1'000'000));
  refused(
      "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor "
      "%}",
      kValues, small(20'000'000));
  refused("{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
          kValues, small(10'000'000));
  refused(
      "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% "
      "endfor %}",
      kValues, small(20'000'000));
  refused("{% set a = 'a' * 100000 %}{{ a.replace('', a)|length }}", kValues, small(10'000'000));
  refused("{{ 'a'.center(900000000) }}{{ 'a'.zfill(9223372036854775807) }}", kValues);
  refused("{{ 'a'|indent(900000000) }}", kValues);
  refused("{{ [1]|tojson(indent=900000000) }}", kValues);
  refused("{{ [1]|batch(900000000, 0)|list }}", "more", small(10'000'000));
  refused("{{ '%999999999d' % 1 }}", "width");
  refused("{{ '{:999999999}'.format(1) }}", "width");
  refused("{{ range(1000000000000) }}", "range() of more than 100000");
  refused("{{ range(-9223372036854775807, 9223372036854775807) }}", "range() of more than 100000");
  refused("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ns.l + [i] %}{% endfor %}",
          "more", small(100'000'000, 1 << 20));
  // Captured text inside captured text.
  refused(repeated("{% set x %}", 60) + "{{ 'a' * 100000 }}" + repeated("{{ x }}{% endset %}{{ x ~ x }}", 60),
          kValues, small(10'000'000));
}

// Each is small; what is alive at one time is not.
BOOST_AUTO_TEST_CASE(values_add_up) {
  const std::string few = "{% set ns = namespace(l=[]) %}{% set x = {} %}{% for i in range(400) %}";
  for (const char* each :
       {"{% set v = [1] * 100 %}", "{% set v = 'a' * 2000 ~ i %}", "{% set v = range(100) %}",
        "{% set v = {'a': i, 'b': 2, 'c': 3, 'd': 4, 'e': 5, 'f': 6, 'g': 7, 'h': 8, 'i': 9, 'j': 10} %}",
        "{% set v = namespace(a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8) %}",
        "{% set v %}{{ 'a' * 2000 }}{% endset %}",
        "{% for j in range(10) %}{% set k = 1 %}{% macro v() %}{% endmacro %}{% endfor %}{% set v = 1 %}",
        "{% set v = cycler(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20) %}"}) {
    const std::string source = few + each + "{% set ns.l = ns.l + [v] %}{% endfor %}{{ ns.l|length }}";
    refused(source, kValues, small(10'000'000, 250'000));
    BOOST_TEST(limited(source, small(10'000'000, 64 << 20)).value_or("") == "400");
  }
  refused(
      "{% for i in range(100) %}{% set x %}" + repeated("{{ 'a' * 1000 }}", 300) + "{% endset %}{% endfor %}",
      kValues, small(10'000'000, 250'000));
}

BOOST_AUTO_TEST_CASE(memory_is_given_back) {
  const std::string keeps =
      "{% set ns = namespace(s='') %}{% for i in range(1000) %}{% set ns.s = 'a' * 100000 %}{% endfor %}{{ "
      "ns.s|length }}";
  BOOST_TEST(limited(keeps, small(10'000'000)).value() == "100000");
  const std::string cyclic =
      "{% set ns = namespace() %}{% set ns.me = [ns] %}{% macro m() %}{% endmacro %}{% set ns.m = m %}x";
  for (int i = 0; i < 100; ++i) BOOST_TEST(limited(cyclic).value() == "x");
}

// Values that share their parts: small to hold, exponential to print, compare or write.
BOOST_AUTO_TEST_CASE(shared_parts) {
  const std::string shared =
      "{% set ns = namespace(a=['x'], b=['x']) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set "
      "ns.b = [ns.b, ns.b] %}{% endfor %}";
  for (const char* use :
       {"{{ ns.a }}", "{{ ns.a|tojson }}", "{{ ns.a == ns.b }}", "{{ ns.a < ns.b }}", "{{ ns.a in [ns.b] }}",
        "{{ ns.a|string|length }}", "{{ '%s' % (ns.a,) }}", "{{ [ns.a]|join }}"})
    refused(shared + use, "more", small(1'000'000));
}

BOOST_AUTO_TEST_CASE(output) {
  jinja::Limits limits;
  limits.output_bytes = 1000;
  refused("{% for i in range(200) %}123456{% endfor %}", kLong, limits);
  refused("{{ 'a' * 1001 }}", kLong, limits);
  BOOST_TEST(limited("{{ 'a' * 1000 }}", limits).value().size() == 1000);
  refused("{% set s = 'a' * 100000 %}{% for i in range(100000) %}{{ s }}{% endfor %}", kLong);
}

BOOST_AUTO_TEST_CASE(depth_of_templates) {
  struct Nest {
    const char *before, *opens, *inside, *closes, *after;
  };
  for (const Nest& nest : std::initializer_list<Nest>{{"{{ ", "(", "1", ")", " }}"},
                                                      {"{{ ", "[", "1", "]", " }}"},
                                                      {"{{ ", "{'a':", "1", "}", "}}"},
                                                      {"{{ ", "-", "1", "", " }}"},
                                                      {"{{ ", "not ", "1", "", " }}"},
                                                      {"{{ ", "1 if 1 else ", "1", "", " }}"},
                                                      {"{{ ", "a[", "1", "]", " }}"},
                                                      {"{{ ", "a[1:", "1", "]", " }}"},
                                                      {"{{ ", "a(", "1", ")", " }}"},
                                                      {"{{ ", "a(b=", "1", ")", " }}"},
                                                      {"{{ ", "1|f(", "1", ")", " }}"},
                                                      {"{{ ", "1 is eq(", "1", ")", " }}"},
                                                      {"{{ ", "1 is eq [", "1", "]", " }}"},
                                                      {"{% for ", "(", "x", ")", " in y %}{% endfor %}"},
                                                      {"", "{% if 1 %}", "", "{% endif %}", ""},
                                                      {"", "{% for x in y %}", "", "{% endfor %}", ""},
                                                      {"", "{% macro m() %}", "", "{% endmacro %}", ""},
                                                      {"", "{% set x %}", "", "{% endset %}", ""}}) {
    const auto nested = [&](std::size_t times) {
      return nest.before + repeated(nest.opens, times) + nest.inside + repeated(nest.closes, times) +
             nest.after;
    };
    refused(nested(5000), kDeep);
    refused(nested(5000).substr(0, 10000), "");
    const auto few = limited(nested(30));  // may fail, but not for its depth
    BOOST_TEST((few || few.error().message().find(kDeep) == std::string::npos));
  }
}

BOOST_AUTO_TEST_CASE(long_chains) {
  for (const char* link : {"+1", ".a", "[0]", "|abs", " or 0", " and 1", "*1", "**1", "|default(1)", "()"})
    refused("{{ 0" + repeated(link, 20000) + " }}", "", small(100'000));
  BOOST_TEST(limited("{{ 1" + repeated("~1", 20000) + " }}").value().size() == 20001);
  BOOST_TEST(limited("{{ 1" + repeated("==1", 20000) + " }}").value() == "True");
  BOOST_TEST(limited("{{ [" + repeated("1,", 20000) + "]|length }}").value() == "20000");
  BOOST_TEST(limited("{% if 0 %}" + repeated("{% elif 0 %}", 10000) + "{% else %}x{% endif %}").value() ==
             "x");
  BOOST_TEST(limited("{{ 0" + repeated("+1", 200) + " }}").value() == "200");
}

BOOST_AUTO_TEST_CASE(depth_of_evaluation) {
  refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", kDeep);
  refused(
      "{% macro m() %}{% if 1 %}{% for x in [1] %}{% set y %}{{ m() ~ '' }}{% endset %}{{ y }}{% endfor %}{% "
      "endif %}{% endmacro %}{{ m() }}",
      kDeep);
  refused("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", kDeep);
  refused("{% set m = ['map'] * 600 %}{{ ['a']|map(*m)|list }}", kDeep);
  refused("{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}",
          kDeep);
  refused("{% set ns = namespace(d={}) %}{% for i in range(1000) %}{% set ns.d = {'a': ns.d} %}{% endfor %}",
          kDeep);
  refused("{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}", "holds itself");
  // A chain of namespaces, each in a list of its own: no list knows how deep it is.
  const std::string chain =
      "{% set h = namespace() %}{% for i in range(50000) %}{% set n = namespace() %}{% set l = [n] %}{% set "
      "n.next = h.last %}{% set h.last = l %}{% endfor %}";
  BOOST_TEST(limited(chain + "x").value() == "x");
  refused(chain + "{{ h }}", "holds itself");
}

BOOST_AUTO_TEST_CASE(depth_of_what_the_caller_gives) {
  Value deep = Value::list({});
  for (int i = 0; i < 150; ++i) deep = Value::list({deep});
  Conversation conversation;
  conversation.messages = deep;
  const auto result = limited("{{ messages }}", {}, conversation);
  BOOST_REQUIRE(!result);
  BOOST_TEST(result.error().message().find("deep") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(size_of_the_template) {
  refused(repeated(" ", jinja::kMaxTemplateBytes + 1), "bytes; at most");
  BOOST_TEST(limited(repeated("a", jinja::kMaxTemplateBytes)).value().size() == jinja::kMaxTemplateBytes);
}

// Long inputs of which a careless reader would look at each part again and again.
BOOST_AUTO_TEST_CASE(nothing_is_quadratic) {
  const std::size_t n = 50000;
  for (const std::string& source :
       {repeated("{# ", n), repeated("{{ '", n), repeated("{% raw %}", n / 2),
        repeated("{%", n) + repeated(" ", n), "{% raw %}" + repeated("{% endraw ", n / 2),
        repeated("\n", n) + "{{ 1 }}" + repeated("\n", n), "{{ " + repeated("1_", n) + " }}",
        "{{ '" + repeated("\\", n) + "' }}"}) {
    const auto result = limited(source);
    BOOST_TEST((result.has_value() || !result.error().message().empty()));
  }
  const std::string many = "{% set s = ('ab' * 50000) %}";
  BOOST_TEST(limited(many + "{{ s.replace('a', 'c').count('c') }}").value() == "50000");
  BOOST_TEST(limited(many + "{{ s.split('a')|length }}", small(10'000'000, 64 << 20)).value() == "50001");
  BOOST_TEST(limited("{{ ('a' * 100000).find('a' * 50000 ~ 'b') }}").value() == "-1");
  BOOST_TEST(limited("{{ ('a' * 100000).rfind('b' ~ 'a' * 50000) }}").value() == "-1");
  BOOST_TEST(limited("{{ ('a' * 200000).rfind('a' * 100000) }}").value() == "100000");
  BOOST_TEST(limited("{{ ('a' * 100000).rsplit('b' ~ 'a' * 50000)|length }}").value() == "1");
  std::string keys;
  for (std::size_t i = 0; i < 20000; ++i) keys += "'" + std::to_string(i) + "':1,";
  BOOST_TEST(limited("{{ {" + keys + "}|length }}").value() == "20000");
}

BOOST_AUTO_TEST_SUITE_END()
