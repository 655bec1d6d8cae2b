// A TOML file read table by table with checks. toml++ itself stays inside toml_table.cc.
#ifndef COHORT_PREPARE_TOML_TABLE_H_
#define COHORT_PREPARE_TOML_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/input_file_kind.h"
#include "common/status.h"

namespace cohort {

class TomlTable;

// A parsed file. The first error found while its tables are read is kept, so that reading is a list of plain
// calls and one look at status() at the end. Outlives its tables.
class TomlDocument {
 public:
  // `path` names the text in errors.
  static Result<std::unique_ptr<TomlDocument>> Parse(const std::string& text, const std::string& path);
  ~TomlDocument();
  TomlTable root();
  // Every text in it, in lists and in tables too.
  std::vector<std::string> Texts() const;
  const Status& status() const { return status_; }
  void Fail(const std::string& where, const std::string& text);

 private:
  friend class TomlTable;
  struct Content;
  TomlDocument(std::string path, std::unique_ptr<Content> content);

  std::string path_;
  std::unique_ptr<Content> content_;
  Status status_;
};

// One value that may be a text or a number. A date counts as its text (ISO 8601).
struct TomlScalar {
  bool is_integer = false;
  bool is_number = false;  // also of integers
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
};

// Reads the keys of one table; an absent table reads as an empty one. Every reader returns the default when
// the key is absent and reports a value of another type or outside its range.
class TomlTable {
 public:
  bool exists() const { return table_ != nullptr; }
  const std::string& what() const { return what_; }  // "[source]", for errors
  bool Has(const char* key) const;
  // "path:line:column" of a key's value, or of the table.
  std::string Where(const char* key = nullptr) const;
  void Fail(const char* key, const std::string& text) const;
  // Reports keys that are not among these, with the nearest known one.
  void AllowOnly(const std::vector<std::string>& known) const;
  // Of the root of a file of this kind: says so if it looks like one of another kind.
  void AllowOnly(const std::vector<std::string>& known, InputFileKind kind) const;
  // Reports `key` when it is there: it makes no sense, and why.
  void Forbid(const char* key, const std::string& why) const;

  TomlTable Table(const char* key) const;
  std::vector<TomlTable> Tables(const char* key) const;  // [[key]]

  std::string Text(const char* key, const std::string& otherwise) const;
  bool Flag(const char* key, bool otherwise) const;
  double Number(const char* key, double otherwise, double least, double most) const;
  std::int64_t Integer(const char* key, std::int64_t otherwise, std::int64_t least, std::int64_t most) const;
  std::size_t Choice(const char* key, const std::vector<std::string>& choices, std::size_t otherwise) const;
  std::optional<TomlScalar> Scalar(const char* key) const;
  // A list of texts; numbers and truth values count as their texts.
  std::vector<std::string> Texts(const char* key) const;
  std::vector<double> Numbers(const char* key) const;
  // Every value of the table and of those within it, by its name from here ("train.epochs"), as TOML text; lists are values.
  struct Leaf {
    std::string name, value;
    std::string where;  // "path:line:column"
  };
  std::vector<Leaf> Leaves() const;

 private:
  friend class TomlDocument;
  void AllowOnly(const std::vector<std::string>& known, const std::string& hint) const;
  TomlTable(TomlDocument* document, const void* table, std::string what)
      : document_(document), table_(table), what_(std::move(what)) {}

  TomlDocument* document_;
  const void* table_;  // a toml::table of the document
  std::string what_;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_TOML_TABLE_H_
