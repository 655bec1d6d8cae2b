#include "prepare/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace cohort::schema_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A whole schema with one part replaced.
struct Parts {
  std::string source = "[source]\nfiles = [\"a.csv\"]\n";
  std::string split = "";
  std::string feature = "[[feature]]\nname = \"x\"\ncolumn = \"x\"\ntype = \"numeric\"\n";
  std::string task = "[[task]]\nname = \"y\"\ncolumn = \"y\"\ntype = \"binary\"\n";
  std::string more = "";
  std::string Text() const { return source + split + feature + task + more; }
};

TEST(Schema, ReadsEveryKey) {
  auto schema = ParseSchema(R"(
[source]
files = ["a.csv", "/data/b.csv.gz"]
header = true
delimiter = "\t"
quote = ""
trim = false
missing = ["?", -999, ""]
[split]
test_files = ["t.csv"]
valid_rows_of_test = "odd"
hash_of = "user"
[id]
column = "user"
[weight]
column = "w"
[[feature]]
name = "age"
type = "numeric"
scale = "log1p"
bins = 32
clip = [0.001, 0.999]
[[feature]]
column = "tags"
type = "sequence"
separator = ";"
pooled = "sum"
max_length = 9
vocabulary = "city"
[[feature]]
name = "city"
column = 4
type = "categorical"
[[feature]]
name = "note"
type = "text"
ngrams = 3
[[feature]]
name = "image"
type = "vector"
length = 512
separator = " "
scale = "none"
[[task]]
name = "income"
column = "inc"
type = "binary"
positive = ["50000+.", 1]
negative = ["- 50000."]
[[task]]
name = "kind"
type = "multiclass"
classes = ["b", "a"]
[[task]]
name = "spend"
type = "value"
)",
                            "/dir/schema.toml", "");
  ASSERT_TRUE(schema) << schema.error().text();
  EXPECT_THAT(schema->files, ElementsAre("/dir/a.csv", "/data/b.csv.gz"));
  EXPECT_EQ(schema->csv.delimiter, '\t');
  EXPECT_EQ(schema->csv.quote, '\0');
  EXPECT_FALSE(schema->csv.trim);
  EXPECT_THAT(schema->missing, ElementsAre("?", "-999", ""));
  EXPECT_EQ(schema->split.kind, SplitSchema::Kind::kFiles);
  EXPECT_EQ(schema->split.valid_row_of_test, 1);
  EXPECT_EQ(schema->split.hash_of->name, "user");
  EXPECT_EQ(schema->id->name, "user");
  EXPECT_EQ(schema->weight->where, "/dir/schema.toml:16:10");
  ASSERT_EQ(schema->features.size(), 5u);
  EXPECT_EQ(schema->features[0].scale, NumericScale::kLog1p);
  EXPECT_EQ(schema->features[0].column.name, "age");
  EXPECT_EQ(schema->features[0].bins, 32u);
  EXPECT_THAT(*schema->features[0].clip, ElementsAre(0.001, 0.999));
  EXPECT_EQ(schema->features[1].name, "tags");
  EXPECT_TRUE(schema->features[1].sequence);
  EXPECT_EQ(schema->features[1].type, FeatureType::kBag);
  EXPECT_EQ(schema->features[1].pooling, Pooling::kSum);
  EXPECT_EQ(schema->features[1].separator, ";");
  EXPECT_EQ(schema->features[1].max_length, 9u);
  EXPECT_EQ(schema->features[1].vocabulary, "city");
  EXPECT_EQ(schema->features[2].column.number, 4);
  EXPECT_EQ(schema->features[3].type, FeatureType::kBag);
  EXPECT_EQ(schema->features[3].ngrams, 3u);
  EXPECT_EQ(schema->features[3].pooling, Pooling::kMean);
  EXPECT_EQ(schema->features[4].type, FeatureType::kVector);
  EXPECT_EQ(schema->features[4].length, 512u);
  EXPECT_EQ(schema->features[4].separator, " ");
  EXPECT_EQ(schema->features[4].scale, NumericScale::kNone);
  ASSERT_EQ(schema->tasks.size(), 3u);
  EXPECT_THAT(schema->tasks[0].positive, ElementsAre("50000+.", "1"));
  EXPECT_THAT(schema->tasks[1].classes, ElementsAre("b", "a"));
  EXPECT_EQ(schema->tasks[2].type, TaskType::kValue);

  schema = ParseSchema(Parts{}.Text(), "schema.toml", "/elsewhere");
  ASSERT_TRUE(schema) << schema.error().text();
  EXPECT_THAT(schema->files, ElementsAre("/elsewhere/a.csv"));
}

TEST(Schema, TimesMayBeNumbersTextsOrDates) {
  Parts parts;
  parts.split = "[split]\ntime = \"t\"\ntest_from = 2011-10-01\nvalid_from = \"2011-09-01\"\n";
  auto schema = ParseSchema(parts.Text(), "s.toml", "");
  ASSERT_TRUE(schema) << schema.error().text();
  EXPECT_EQ(schema->split.kind, SplitSchema::Kind::kTime);
  EXPECT_EQ(schema->split.test_from.text, "2011-10-01");
  parts.split = "[split]\ntime = \"t\"\ntest_from = 20111001\n";
  EXPECT_EQ(ParseSchema(parts.Text(), "s.toml", "")->split.test_from.number, 20111001);
}

TEST(Schema, ErrorsNamePlaceAndMend) {
  struct Case {
    Parts parts;
    const char* expected;
  };
  auto source = [](const char* text) { return Parts{.source = text}; };
  auto split = [](const char* text) { return Parts{.split = std::string("[split]\n") + text}; };
  auto feature = [](const char* text) { return Parts{.feature = std::string("[[feature]]\n") + text}; };
  auto task = [](const char* text) { return Parts{.task = std::string("[[task]]\n") + text}; };
  const std::vector<Case> cases = {
      {source("[source]\nfiles = [\"a.csv\"\n"), "s.toml:3:1: not valid TOML"},
      {source("[source]\nfiles = [\"a.csv\"]\nfiles = []\n"), "not valid TOML"},
      {source("[source]\nfiles = [\"a.csv\"]\n[[,feature]]\n"),
       "s.toml:3:3: the name of a table was expected"},
      {source(""), "[source] is missing"},
      {source("source = 3\n"), "must be a table"},
      {source("[source]\n"), "needs files"},
      {source("[source]\nfiles = []\n"), "s.toml:2:9: \"files\" names no file"},
      {source("[source]\nfiles = \"a.csv\"\n"), "must be a list"},
      {source("[source]\nfiles = [\"a.csv\", \"a.csv\"]\n"), "named twice"},
      {source("[source]\nfiles = [[1]]\n"), "texts and numbers only"},
      {source("[source]\nfiles = [\"\"]\n"), "empty file name"},
      {source("[source]\nfiles = [\"a.csv\"]\ndelimeter = \";\"\n"),
       "s.toml:3:1: unknown key \"delimeter\" in [source]; did you mean \"delimiter\"?"},
      {source("[source]\nfiles = [\"a.csv\"]\ndelimiter = \"::\"\n"), "must be one byte"},
      {source("[source]\nfiles = [\"a.csv\"]\ndelimiter = \"\"\n"), "must be one byte"},
      {source("[source]\nfiles = [\"a.csv\"]\ndelimiter = 3\n"), "must be a text"},
      {source("[source]\nfiles = [\"a.csv\"]\nquote = \",\"\n"), "the same byte"},
      {source("[source]\nfiles = [\"a.csv\"]\nheader = \"yes\"\n"), "must be true or false"},
      {source("[source]\nfiles = [\"a.csv\"]\nheader = false\n"), "columns are numbers from 0"},
      {split("tset = 0.1\n"), "did you mean \"test\"?"},
      {split("test = 1.5\n"), "must be a number from 0 to"},
      {split("test = \"x\"\n"), "must be a number"},
      {split("test = 0.6\nvalid = 0.5\n"), "leave no rows to train on"},
      {split("test_files = [\"t.csv\"]\ntest = 0.1\n"), "\"test\" makes no sense here"},
      {split("test_files = [\"a.csv\"]\n"), "named twice"},
      {split("test_files = [\"t.csv\"]\ntime = \"t\"\n"), "makes no sense here"},
      {split("test_files = [\"t.csv\"]\nvalid_files = [\"v.csv\"]\nvalid = 0.1\n"), "makes no sense here"},
      {split("test_files = [\"t.csv\"]\nvalid_rows_of_test = \"evn\"\n"), "did you mean \"even\"?"},
      {split("valid_rows_of_test = \"even\"\n"), "there are no test_files"},
      {split("valid_files = [\"v.csv\"]\nvalid_rows_of_test = \"even\"\n"), "there are no test_files"},
      {split("time = \"t\"\n"), "needs test_from"},
      {split("test_from = 3\n"), "there is no time column"},
      {split("time = \"t\"\ntest_from = \"1.10.2011\"\n"), "is not a date like"},
      {split("time = \"t\"\ntest_from = 3\nvalid_from = \"2011-10-01\"\n"),
       "both be numbers or both be dates"},
      {split("time = \"t\"\ntest_from = 3\nvalid_from = 4\n"), "must lie before test_from"},
      {split("time = \"t\"\ntest_from = 3\ntest = 0.1\n"), "makes no sense here"},
      {split("hash_of = true\n"), "must be a text or a number"},
      {feature("name = \"x\"\n"), "feature \"x\" needs a type"},
      {feature("type = \"numeric\"\n"), "needs a name and a column"},
      {feature("column = 3\ntype = \"numeric\"\n"), "its column is a number"},
      {feature("name = \"\"\ntype = \"numeric\"\n"), "empty column name"},
      {feature("name = \"a\\nb\"\ntype = \"numeric\"\n"), "control characters"},
      {feature("name = \"x\"\ncolumn = -1\ntype = \"numeric\"\n"), "whole number from 0"},
      {feature("name = \"x\"\ncolumn = 1.5\ntype = \"numeric\"\n"), "whole number from 0"},
      {feature("name = \"x\"\ntype = \"numerical\"\n"), "did you mean \"numeric\"?"},
      {feature("name = \"x\"\ntype = \"numeric\"\nscale = \"log\"\n"), "unknown scale \"log\""},
      {feature("name = \"x\"\ntype = \"numeric\"\nbins = 1\n"), "whole number from 2 to 1024"},
      {feature("name = \"x\"\ntype = \"numeric\"\nbins = 3.5\n"), "whole number from 2 to 1024"},
      {feature("name = \"x\"\ntype = \"numeric\"\nclip = [0.9, 0.1]\n"), "[low, high]"},
      {feature("name = \"x\"\ntype = \"numeric\"\nclip = [0.9]\n"), "[low, high]"},
      {feature("name = \"x\"\ntype = \"numeric\"\nclip = \"no\"\n"), "list of numbers"},
      {feature("name = \"x\"\ntype = \"numeric\"\npooled = \"sum\"\n"), "only bags, sequences and texts"},
      {feature("name = \"x\"\ntype = \"categorical\"\nbins = 3\n"), "only numeric features"},
      {feature("name = \"x\"\ntype = \"bag\"\nseparator = \"\"\n"), "empty separator"},
      {feature("name = \"x\"\ntype = \"bag\"\npooled = \"max\"\n"), "unknown pooled \"max\""},
      {feature("name = \"x\"\ntype = \"bag\"\nmax_length = 9\n"), "only sequences"},
      {feature("name = \"x\"\ntype = \"vector\"\n"), "vector \"x\" needs a length"},
      {feature("name = \"x\"\ntype = \"vector\"\nlength = 0\n"), "whole number from 1 to 8192"},
      {feature("name = \"x\"\ntype = \"vector\"\nlength = 3\nscale = \"log1p\"\n"),
       "unknown scale \"log1p\""},
      {feature("name = \"x\"\ntype = \"bag\"\nlength = 3\n"), "only vectors"},
      {feature("name = \"x\"\ntype = \"vector\"\nlength = 3\nbins = 4\n"), "only numeric features"},
      {feature("name = \"x\"\ntype = \"text\"\nngrams = 9\n"), "whole number from 1 to 4"},
      {feature("name = \"x\"\ntype = \"text\"\nseparator = \",\"\n"), "only bags, sequences and vectors"},
      {feature("name = \"x\"\ntype = \"bag\"\nngrams = 2\n"), "only texts"},
      {feature("name = \"x\"\ntype = \"sequence\"\nmax_length = 0\n"), "whole number from 1 to 4096"},
      {feature("name = \"x\"\ntype = \"numeric\"\nvocabulary = \"x\"\n"), "only categorical features"},
      {feature("name = \"x\"\ntype = \"bag\"\nvocabulary = \"x\"\n"), "has a vocabulary of its own"},
      {feature("name = \"item\"\ntype = \"categorical\"\n[[feature]]\nname = \"x\"\ntype = "
               "\"bag\"\nvocabulary = \"itme\"\n"),
       "did you mean \"item\"?"},
      {feature("name = \"x\"\ntype = \"numeric\"\n[[feature]]\nname = \"x\"\ntype = \"numeric\"\n"),
       "is there already"},
      {Parts{.feature = ""}, "no [[feature]]"},
      {Parts{.feature = "[feature]\nname = \"x\"\n"}, "must be a list of tables"},
      {Parts{.task = ""}, "no [[task]]"},
      {task("name = \"y\"\n"), "task \"y\" needs a type"},
      {task("name = \"y z\"\ntype = \"binary\"\n"), "letters, digits"},
      {task("name = \"y\"\ntype = \"binry\"\n"), "did you mean \"binary\"?"},
      {task("name = \"y\"\ntype = \"binary\"\npositive = []\n"), "no row could be positive"},
      {task("name = \"y\"\ntype = \"binary\"\nnegative = [\"0\"]\n"), "needs \"positive\""},
      {task("name = \"y\"\ntype = \"binary\"\npositive = [1]\nnegative = [1]\n"),
       "cannot be positive and negative"},
      {task("name = \"y\"\ntype = \"regression\"\npositive = [1]\n"), "only binary tasks"},
      {task("name = \"y\"\ntype = \"binary\"\nclasses = [\"a\", \"b\"]\n"), "only multiclass tasks"},
      {task("name = \"y\"\ntype = \"multiclass\"\nclasses = [\"a\", \"a\"]\n"), "two or more different"},
      {task("name = \"y\"\ntype = \"hazard\"\nperiods = 12\n"),
       "task \"y\" needs event: the column that says"},
      {task("name = \"y\"\ntype = \"hazard\"\nevent = \"e\"\n"), "task \"y\" needs periods"},
      {task("name = \"y\"\ntype = \"hazard\"\nevent = \"e\"\nperiods = 1\n"), "whole number from 2 to 120"},
      {task("name = \"y\"\ntype = \"hazard\"\nevent = \"e\"\nperiods = 121\n"), "whole number from 2 to 120"},
      {task("name = \"y\"\ntype = \"hazard\"\nevent = 1.5\nperiods = 2\n"), "whole number from 0"},
      {task("name = \"y\"\ntype = \"binary\"\nperiods = 12\n"), "only hazard tasks have it"},
      {task("name = \"y\"\ntype = \"binary\"\nevent = \"e\"\n"), "only hazard tasks have it"},
      {task("name = \"y\"\ntype = \"binary\"\n[[task]]\nname = \"y\"\ntype = \"value\"\n"),
       "is there already"},
      {Parts{.more = "[id]\n"}, "[id] needs column"},
      {Parts{.more = "[id]\nname = \"x\"\n"}, "unknown key \"name\" in [id]"},
      {Parts{.more = "[cluster]\n[train]\n"}, "this looks like a run file, of `cohort train`"},
      {Parts{.more = "[features]\n"}, "did you mean \"feature\"?"},
  };
  for (const Case& c : cases) {
    auto schema = ParseSchema(c.parts.Text(), "s.toml", "");
    ASSERT_FALSE(schema) << c.parts.Text();
    EXPECT_EQ(schema.error().code(), ErrorCode::kInvalidInput);
    EXPECT_THAT(schema.error().text(), HasSubstr(c.expected)) << c.parts.Text();
    EXPECT_THAT(schema.error().text(), HasSubstr("s.toml"));
  }
  EXPECT_EQ(LoadSchema("/no/such/schema.toml").error().code(), ErrorCode::kInvalidInput);
}

TEST(Schema, BindsColumnsOfAFile) {
  struct Case {
    Parts parts;
    std::vector<std::string> header;
    const char* expected;  // nullptr: binds
    bool labels_may_be_absent = false;
  };
  const std::string hazard = "[[task]]\nname = \"y\"\ntype = \"hazard\"\nevent = \"e\"\nperiods = 3\n";
  const std::string by_number = "[[feature]]\nname = \"x\"\ncolumn = 1\ntype = \"numeric\"\n";
  const std::vector<Case> cases = {
      {Parts{}, {"x", "y"}, nullptr},
      {Parts{}, {"y", "z", "x"}, nullptr},
      {Parts{}, {"X", "y"}, "s.toml:5:10: column \"x\" is not in the header of f.csv; did you mean \"X\"?"},
      {Parts{}, {"x;y"}, "is the delimiter right?"},
      {Parts{}, {"x", "y", "x"}, "more than once"},
      {Parts{}, {"x"}, "column \"y\" is not in the header"},
      {Parts{}, {"x", "z"}, nullptr, true},
      {Parts{.feature = by_number}, {"y", "x"}, nullptr},
      {Parts{.task = hazard}, {"x", "y", "e"}, nullptr},
      {Parts{.task = hazard}, {"x", "y"}, "column \"e\" is not in the header"},
      {Parts{.task = hazard}, {"x", "y"}, nullptr, true},
      {Parts{.task = hazard, .more = "[[feature]]\nname = \"e\"\ntype = \"numeric\"\n"},
       {"x", "y", "e"},
       "is the label of task \"y\"; it may not be a feature"},
      {Parts{.task = hazard, .more = "[[task]]\nname = \"e\"\ntype = \"binary\"\n"},
       {"x", "y", "e"},
       "one task only"},
      {Parts{.feature = by_number}, {"x", "y"}, "is the label of task \"y\"; it may not be a feature"},
      {Parts{.feature = by_number}, {"y"}, "column 1 does not exist: f.csv has 1 columns"},
      {Parts{.more = "[[task]]\nname = \"z\"\ncolumn = \"y\"\ntype = \"value\"\n"},
       {"x", "y"},
       "one task only"},
      {Parts{.more = "[weight]\ncolumn = \"x\"\n"}, {"x", "y"}, "is the weight"},
      {Parts{.more = "[weight]\ncolumn = \"y\"\n"}, {"x", "y"}, "the weight's column is the label"},
      {Parts{.more = "[group]\ncolumn = \"x\"\n"}, {"x", "y"}, nullptr},
      {Parts{.more = "[group]\ncolumn = \"y\"\n"}, {"x", "y"}, "the group's column is the label"},
      {Parts{.more = "[group]\ncolumn = \"u\"\n"}, {"x", "y"}, "column \"u\" is not in the header"},
      {Parts{.more = "[id]\ncolumn = \"x\"\n"}, {"x", "y"}, nullptr},
      {Parts{.more = "[id]\ncolumn = \"u\"\n"}, {"x", "y"}, "column \"u\" is not in the header"},
      {Parts{.more = "[[feature]]\nname = \"x2\"\ncolumn = \"x\"\ntype = \"categorical\"\n"},
       {"x", "y"},
       nullptr},
  };
  for (const Case& c : cases) {
    auto schema = ParseSchema(c.parts.Text(), "s.toml", "");
    ASSERT_TRUE(schema) << schema.error().text();
    auto binding = BindColumns(*schema, "f.csv", c.header.size(), c.header, c.labels_may_be_absent);
    if (c.expected == nullptr) {
      ASSERT_TRUE(binding) << binding.error().text();
      continue;
    }
    ASSERT_FALSE(binding) << c.parts.Text();
    EXPECT_THAT(binding.error().text(), HasSubstr(c.expected));
  }
}

// The schemas shipped with the sources must be right.
TEST(Schema, ExamplesParse) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(COHORT_SOURCE_DIR "/launch/examples")) {
    for (const char* name : {"schema.toml", "lifetime.toml"}) {
      const std::string path = entry.path() / name;
      if (!std::filesystem::exists(path)) continue;
      ++found;
      auto schema = LoadSchema(path, "/data");
      EXPECT_TRUE(schema) << schema.error().text();
    }
  }
  EXPECT_GE(found, 4);
}

}  // namespace
}  // namespace cohort::schema_test
