// Equal to jinja2: small templates by feature, and conversations under models' own templates.
#include <boost/test/unit_test.hpp>
#include <map>

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

void check_conversations(const std::string& file, const std::string& templates,
                         std::size_t expected_templates) {
  std::vector<Conversation> conversations;
  std::map<std::string, std::string> sources;
  std::size_t compared = 0;
  for (const Value& record : read_lines(file)) {
    if (record.as_dict().find("messages") != nullptr) {
      conversations.push_back(conversation_of(record));
      continue;
    }
    const std::string name = text_of(record, "template");
    if (!sources.contains(name)) sources[name] = read_text(templates + name + ".jinja");
    BOOST_REQUIRE_MESSAGE(!sources[name].empty(), "no template " + name);
    const auto of = static_cast<std::size_t>(record.as_dict().find("of")->as_int());
    const std::string differs = difference(record, rendered(sources[name], conversations.at(of)));
    BOOST_CHECK_MESSAGE(differs.empty(), name << " of conversation " << of << ": " << differs);
    ++compared;
  }
  BOOST_TEST(conversations.size() == 200);
  BOOST_TEST(sources.size() >= expected_templates);
  BOOST_TEST(compared > 200);
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
