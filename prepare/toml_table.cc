#include "prepare/toml_table.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "common/nearest.h"
#include "common/toml_guard.h"

#include <toml++/toml.h>

namespace cohort {
namespace {

const toml::table& AsTable(const void* table) { return *static_cast<const toml::table*>(table); }

std::string Place(const std::string& path, const toml::source_region& region) {
  return path + ":" + std::to_string(region.begin.line) + ":" + std::to_string(region.begin.column);
}

template <typename Value>
std::string Shown(const Value& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// A scalar's text as a cell of a CSV file would have it.
std::optional<std::string> CellText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return Shown(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

void AddLeaves(const toml::table& table, const std::string& path, const std::string& prefix,
               std::vector<TomlTable::Leaf>* leaves) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* within = node.as_table()) {
      AddLeaves(*within, path, name + ".", leaves);
      continue;
    }
    std::ostringstream value;
    node.visit([&](const auto& each) { value << toml::toml_formatter(each); });
    leaves->push_back({name, value.str(), Place(path, node.source())});
  }
}

void AddTexts(const toml::node& node, std::vector<std::string>* texts) {
  if (const auto* text = node.as_string()) texts->push_back(text->get());
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& each : *list) AddTexts(each, texts);
  }
  if (const toml::table* table = node.as_table()) {
    for (const auto& [key, each] : *table) AddTexts(each, texts);
  }
}

}  // namespace

struct TomlDocument::Content {
  toml::table root;
};

TomlDocument::TomlDocument(std::string path, std::unique_ptr<Content> content)
    : path_(std::move(path)), content_(std::move(content)) {}
TomlDocument::~TomlDocument() = default;

Result<std::unique_ptr<TomlDocument>> TomlDocument::Parse(const std::string& text, const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(toml::parse_result parsed,
                          ParseGuarded(text, path, [](std::string_view toml, const std::string& name) {
                            return toml::parse(toml, name);
                          }));
  if (!parsed) {
    return InvalidInput(Place(path, parsed.error().source()) +
                        ": not valid TOML: " + std::string(parsed.error().description()));
  }
  auto content = std::make_unique<Content>();
  content->root = std::move(parsed).table();
  return std::unique_ptr<TomlDocument>(new TomlDocument(path, std::move(content)));
}

TomlTable TomlDocument::root() { return TomlTable(this, &content_->root, "the file"); }

std::vector<std::string> TomlDocument::Texts() const {
  std::vector<std::string> texts;
  AddTexts(content_->root, &texts);
  return texts;
}

void TomlDocument::Fail(const std::string& where, const std::string& text) {
  if (status_.ok()) status_ = Status(ErrorCode::kInvalidInput, where + ": " + text);
}

bool TomlTable::Has(const char* key) const { return exists() && AsTable(table_).contains(key); }

std::string TomlTable::Where(const char* key) const {
  if (!exists()) return document_->path_;
  const toml::node* node = key == nullptr ? nullptr : AsTable(table_).get(key);
  const toml::source_region& region = node == nullptr ? AsTable(table_).source() : node->source();
  return region.begin.line == 0 ? document_->path_ : Place(document_->path_, region);
}

void TomlTable::Fail(const char* key, const std::string& text) const { document_->Fail(Where(key), text); }

void TomlTable::AllowOnly(const std::vector<std::string>& known) const { AllowOnly(known, std::string()); }

void TomlTable::AllowOnly(const std::vector<std::string>& known, InputFileKind kind) const {
  std::string hint;
  for (const auto& [key, node] : AsTable(table_)) {
    if (hint.empty() && std::find(known.begin(), known.end(), key.str()) == known.end())
      hint = OtherKindOfFile(key.str(), kind);
  }
  AllowOnly(known, hint);
}

void TomlTable::AllowOnly(const std::vector<std::string>& known, const std::string& hint) const {
  if (!exists()) return;
  for (const auto& [key, node] : AsTable(table_)) {
    const std::string name(key.str());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    document_->Fail(Place(document_->path_, key.source()), "unknown key \"" + name + "\" in " + what_ +
                                                               DidYouMean(name, known) +
                                                               " (known: " + Join(known) + ")" + hint);
  }
}

void TomlTable::Forbid(const char* key, const std::string& why) const {
  if (Has(key)) Fail(key, std::string("\"") + key + "\" makes no sense here: " + why);
}

TomlTable TomlTable::Table(const char* key) const {
  const std::string what = std::string("[") + key + "]";
  if (!Has(key)) return TomlTable(document_, nullptr, what);
  const toml::table* table = AsTable(table_).get(key)->as_table();
  if (table == nullptr)
    Fail(key, std::string("\"") + key + "\" must be a table: write " + what + " on a line of its own");
  return TomlTable(document_, table, what);
}

std::vector<TomlTable> TomlTable::Tables(const char* key) const {
  std::vector<TomlTable> tables;
  if (!Has(key)) return tables;
  const std::string what = std::string("[[") + key + "]]";
  const toml::array* array = AsTable(table_).get(key)->as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    Fail(key, std::string("\"") + key + "\" must be a list of tables: write " + what + " before each");
    return tables;
  }
  for (const toml::node& node : *array) {
    tables.push_back(
        TomlTable(document_, node.as_table(), what + " number " + std::to_string(tables.size() + 1)));
  }
  return tables;
}

std::string TomlTable::Text(const char* key, const std::string& otherwise) const {
  if (!Has(key)) return otherwise;
  if (const auto* text = AsTable(table_).get(key)->as_string()) return text->get();
  Fail(key, std::string("\"") + key + "\" must be a text in quotes");
  return otherwise;
}

bool TomlTable::Flag(const char* key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  if (const auto* flag = AsTable(table_).get(key)->as_boolean()) return flag->get();
  Fail(key, std::string("\"") + key + "\" must be true or false");
  return otherwise;
}

double TomlTable::Number(const char* key, double otherwise, double least, double most) const {
  if (!Has(key)) return otherwise;
  std::optional<double> number = AsTable(table_).get(key)->value<double>();
  if (number && *number >= least && *number <= most) return *number;
  Fail(key, std::string("\"") + key + "\" must be a number from " + Shown(least) + " to " + Shown(most) +
                (number ? ", found " + Shown(*number) : ""));
  return otherwise;
}

std::int64_t TomlTable::Integer(const char* key, std::int64_t otherwise, std::int64_t least,
                                std::int64_t most) const {
  if (!Has(key)) return otherwise;
  const auto* number = AsTable(table_).get(key)->as_integer();
  if (number != nullptr && number->get() >= least && number->get() <= most) return number->get();
  Fail(key,
       std::string("\"") + key + "\" must be a whole number from " + Shown(least) + " to " + Shown(most));
  return otherwise;
}

std::size_t TomlTable::Choice(const char* key, const std::vector<std::string>& choices,
                              std::size_t otherwise) const {
  if (!Has(key)) return otherwise;
  const std::string chosen = Text(key, choices[otherwise]);
  auto found = std::find(choices.begin(), choices.end(), chosen);
  if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  Fail(key, "unknown " + std::string(key) + " \"" + chosen + "\"" + DidYouMean(chosen, choices) +
                " (known: " + Join(choices) + ")");
  return otherwise;
}

std::optional<TomlScalar> TomlTable::Scalar(const char* key) const {
  if (!Has(key)) return std::nullopt;
  const toml::node& node = *AsTable(table_).get(key);
  TomlScalar scalar;
  if (const auto* text = node.as_string()) {
    scalar.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    scalar.is_integer = scalar.is_number = true;
    scalar.integer = integer->get();
    scalar.number = static_cast<double>(integer->get());
  } else if (const auto* number = node.as_floating_point()) {
    scalar.is_number = true;
    scalar.number = number->get();
  } else if (const auto* date = node.as_date()) {
    scalar.text = Shown(date->get());
  } else if (const auto* moment = node.as_date_time()) {
    scalar.text = Shown(moment->get());
  } else {
    Fail(key, std::string("\"") + key + "\" must be a text or a number");
    return std::nullopt;
  }
  return scalar;
}

std::vector<std::string> TomlTable::Texts(const char* key) const {
  std::vector<std::string> texts;
  if (!Has(key)) return texts;
  const toml::array* array = AsTable(table_).get(key)->as_array();
  if (array == nullptr) {
    Fail(key, std::string("\"") + key + "\" must be a list, like [\"a\", \"b\"]");
    return texts;
  }
  for (const toml::node& node : *array) {
    std::optional<std::string> text = CellText(node);
    if (!text) {
      Fail(key, std::string("\"") + key + "\" may hold texts and numbers only");
      return texts;
    }
    texts.push_back(*text);
  }
  return texts;
}

std::vector<double> TomlTable::Numbers(const char* key) const {
  std::vector<double> numbers;
  if (!Has(key)) return numbers;
  const toml::array* array = AsTable(table_).get(key)->as_array();
  if (array != nullptr) {
    for (const toml::node& node : *array) {
      if (std::optional<double> number = node.value<double>()) numbers.push_back(*number);
    }
  }
  if (array == nullptr || numbers.size() != array->size()) {
    Fail(key, std::string("\"") + key + "\" must be a list of numbers");
  }
  return numbers;
}

std::vector<TomlTable::Leaf> TomlTable::Leaves() const {
  std::vector<Leaf> leaves;
  if (exists()) AddLeaves(AsTable(table_), document_->path_, "", &leaves);
  return leaves;
}

}  // namespace cohort
