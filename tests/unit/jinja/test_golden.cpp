// Equal to jinja2: small templates by feature, and conversations under models' own templates.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <map>
#include <set>

#include "golden.hpp"

using namespace golden;

namespace {

Conversation conversation_of(const Value& record) {
  const auto& fields = record.as_dict();
  Conversation conversation;
  conversation.messages = *fields.find("messages");
  if (const Value* tools = fields.find("tools")) conversation.tools = *tools;
  conversation.add_generation_prompt = fields.find("add_generation_prompt")->as_bool();
  if (const Value* extra = fields.find("extra"))
    for (const auto& [name, value] : extra->as_dict().entries)
      conversation.extra.emplace_back(name.as_bytes(), value);
  conversation.now = now();
  return conversation;
}

// make_golden.py's hashed().
std::string hashed(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", value);
}

// `record`: a hash of the text, or the error. Empty where the rendering is what it says.
std::string difference_from_short(const Value& record, const Result<std::string>& rendering) {
  if (record.is(Kind::dict)) return difference(record, rendering);
  const std::string_view expected = record.as_bytes();
  if (!rendering) return fmt::format("expected a text, found the error {}", rendering.error().message());
  if (hashed(*rendering) == expected) return "";
  return fmt::format("expected a text of hash {}, found <<{}>>", expected, *rendering);
}

void check_conversations(const std::string& file, const std::string& templates,
                         std::size_t expected_templates) {
  std::vector<Conversation> conversations;
  std::map<std::string, std::string> sources;
  std::map<std::string, std::set<std::size_t>> compared;  // conversations of each template
  for (const Value& record : read_lines(file)) {
    if (record.as_dict().find("messages") != nullptr) {
      conversations.push_back(conversation_of(record));
      continue;
    }
    const std::string name = text_of(record, "template");
    if (!sources.contains(name)) sources[name] = read_text(templates + name + ".jinja");
    BOOST_REQUIRE_MESSAGE(!sources[name].empty(), "no template " + name);
    const auto check = [&](std::size_t of, const std::string& differs) {
      BOOST_CHECK_MESSAGE(differs.empty(),
                          name << " of conversation " << of << ": " << differs
                               << "\njinja2's: python3 tests/golden/jinja/make_golden.py show " << templates
                               << name << ".jinja " << of);
      compared[name].insert(of);
    };
    if (const Value* first = record.as_dict().find("first")) {
      const std::vector<Value>& shorts = first->as_list().items;
      for (std::size_t of = 0; of < shorts.size(); ++of)
        check(of, difference_from_short(shorts[of], rendered(sources[name], conversations.at(of))));
    } else {
      const auto of = static_cast<std::size_t>(record.as_dict().find("of")->as_int());
      check(of, difference(record, rendered(sources[name], conversations.at(of))));
    }
  }
  BOOST_TEST(conversations.size() == 200);
  BOOST_TEST(compared.size() >= expected_templates);
  for (const auto& [name, which] : compared) BOOST_TEST(which.size() == 200, name << ": all conversations");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(equal_to_jinja2)

BOOST_AUTO_TEST_CASE(snippets) {
  const auto records = read_lines(folder() + "snippets.jsonl");
  BOOST_REQUIRE(records.size() > 700);
  Conversation context;
  for (const auto& [name, value] : records[0].as_dict().entries)
    context.extra.emplace_back(name.as_bytes(), value);
  context.now = now();
  for (std::size_t i = 1; i < records.size(); ++i) {
    const std::string source = text_of(records[i], "template");
    const std::string differs = difference(records[i], rendered(source, context));
    BOOST_CHECK_MESSAGE(differs.empty(), source << "\n  " << differs);
  }
}

BOOST_AUTO_TEST_CASE(models_own_templates) {
  check_conversations(folder() + "conversations.jsonl", folder() + "templates/", 16);
}

// Another folder's templates, which cannot be stored here: `make_golden.py DIR OUT`, then
// SERVELOOP_JINJA_TEMPLATES=DIR/ SERVELOOP_JINJA_GOLDEN=OUT.
BOOST_AUTO_TEST_CASE(further_templates) {
  const char* file = std::getenv("SERVELOOP_JINJA_GOLDEN");
  const char* templates = std::getenv("SERVELOOP_JINJA_TEMPLATES");
  if (file != nullptr && templates != nullptr) check_conversations(file, templates, 1);
}

BOOST_AUTO_TEST_SUITE_END()
