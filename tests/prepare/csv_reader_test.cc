#include "prepare/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "common/random.h"

namespace cohort::csv_reader_test {
namespace {

using ::testing::HasSubstr;
using Rows = std::vector<std::vector<std::string>>;

class CsvReaderTest : public ::testing::Test {
 protected:
  CsvReaderTest()
      : path_(std::filesystem::temp_directory_path() / ("cohort_csv_test." + std::to_string(::getpid()))) {}
  ~CsvReaderTest() override { std::filesystem::remove(path_); }

  void Write(const std::string& content) const { std::ofstream(path_, std::ios::binary) << content; }
  static std::string Gzip(const std::string& content) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(deflateBound(&stream, content.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }
  Result<Rows> Read(const CsvOptions& options = {}) const {
    COHORT_ASSIGN_OR_RETURN(auto reader, CsvReader::Open(path_, options));
    Rows rows;
    for (;;) {
      COHORT_ASSIGN_OR_RETURN(bool more, reader->Next());
      if (!more) return rows;
      rows.emplace_back(reader->cells().begin(), reader->cells().end());
    }
  }

  std::string path_;
};

TEST_F(CsvReaderTest, Cells) {
  struct Case {
    const char* name;
    std::string content;
    Rows expected;
    CsvOptions options = {};
  };
  const std::vector<Case> cases = {
      {"plain", "a,b\n1,2\n", {{"a", "b"}, {"1", "2"}}},
      {"no last line end", "a,b\n1,2", {{"a", "b"}, {"1", "2"}}},
      {"empty file", "", {}},
      {"only line ends", "\n\r\n\n", {}},
      {"CRLF", "a,b\r\n1,2\r\n", {{"a", "b"}, {"1", "2"}}},
      {"CRLF, no last LF", "a,b\r\n1,2\r", {{"a", "b"}, {"1", "2"}}},
      {"quoted, then CR at the end", "a,\"b\"\r", {{"a", "b"}}},
      {"blank lines", "a,b\n\n1,2\n   \n3,4\n", {{"a", "b"}, {"1", "2"}, {"3", "4"}}},
      {"empty cells", ",\n,,\n", {{"", ""}, {"", "", ""}}},
      {"empty last cell at the end", "a,", {{"a", ""}}},
      {"byte order mark",
       "\xEF\xBB\xBF"
       "a,b\n",
       {{"a", "b"}}},
      {"byte order mark before a quote", "\xEF\xBB\xBF\"a\",b\n", {{"a", "b"}}},
      {"trim", "  a\t, b c ,\t\n", {{"a", "b c", ""}}},
      {"no trim", " a, b ", {{" a", " b "}}, {.trim = false}},
      {"quoted", "\"a\",\"b c\"\n", {{"a", "b c"}}},
      {"quoted delimiter", "\"a,b\",c\n", {{"a,b", "c"}}},
      {"quoted line ends", "\"a\nb\r\nc\",d\ne,f\n", {{"a\nb\r\nc", "d"}, {"e", "f"}}},
      {"doubled quotes", "\"say \"\"hi\"\"\",\"\"\"\"\n", {{"say \"hi\"", "\""}}},
      {"quoted nothing", "\"\",a\n\"\"\n", {{"", "a"}, {""}}},
      {"blanks around quotes", " \"a \" ,b\n", {{"a ", "b"}}},
      {"quote inside a cell", "5\" nail,b\"\"c\n", {{"5\" nail", "b\"\"c"}}},
      {"quote after blanks without trim", " \"a\",b\n", {{" \"a\"", "b"}}, {.trim = false}},
      {"quotes off", "\"a,b\"\n", {{"\"a", "b\""}}, {.quote = '\0'}},
      {"other quote", "'a,b',\"c\n", {{"a,b", "\"c"}}, {.quote = '\''}},
      {"tab", "a\tb c\t\n", {{"a", "b c", ""}}, {.delimiter = '\t'}},
      {"tab and quotes", "\"a\"\t\"b\tc\"\t\"\"\n", {{"a", "b\tc", ""}}, {.delimiter = '\t'}},
      {"semicolon", "a;b,c\n", {{"a", "b,c"}}, {.delimiter = ';'}},
      {"not UTF-8", "\xE9,\xFF\n", {{"\xE9", "\xFF"}}},
      {"CR inside", "a\rb,c\n", {{"a\rb", "c"}}},
      {"one column", "a\nb\n", {{"a"}, {"b"}}},
  };
  for (const Case& c : cases) {
    Write(c.content);
    auto rows = Read(c.options);
    ASSERT_TRUE(rows) << c.name << ": " << rows.error().text();
    EXPECT_EQ(*rows, c.expected) << c.name;
    Write(Gzip(c.content));
    rows = Read(c.options);
    ASSERT_TRUE(rows) << c.name << ": " << rows.error().text();
    EXPECT_EQ(*rows, c.expected) << c.name << ", as gzip";
  }
}

TEST_F(CsvReaderTest, Errors) {
  struct Case {
    const char* name;
    std::string content;
    const char* place;
    const char* text;
    CsvOptions options = {};
  };
  const std::string line(1000, 'x');
  const std::vector<Case> cases = {
      {"unterminated", "a,b\nc,\"d\ne,f\n", ":2:3:", "never closed"},
      {"unterminated at the end", "a,\"", ":1:3:", "never closed"},
      {"text after a quote", "a,b\n\"c\nd\"e,f\n", ":3:3:", "text after a closing quote"},
      {"text after a quote that may be a cell", "\"a\";\"b\"\n",
       ":1:4:", "the cells seem to be separated by \";\"; expected \",\""},
      {"HDF5", "\x89HDF\r\n\x1a\n and so on", ":1:1:", "the file is HDF5, no text; expected a CSV file"},
      {"CR after a quote", "\"a\"\rb\n", ":1:4:", "text after a closing quote"},
      {"NUL", std::string("a,b\nc,d\0e\n", 10), ":2:4:", "NUL"},
      {"quoted NUL", std::string("a,\"b\0c\"\n", 8), ":1:5:", "NUL"},
      {"UTF-16",
       std::string("\xFF\xFE"
                   "a\0",
                   4),
       ":1:1:", "UTF-16"},
      {"long cell", "a,b\nc," + line + "\n", ":2:3:", "limit", {.max_cell_bytes = 999}},
      {"long cell at the end", "a,b\nc," + line, ":2:3:", "limit", {.max_cell_bytes = 999}},
      {"long quoted cell", "a,\"" + line + "\"\n", ":1:3:", "limit", {.max_cell_bytes = 999}},
      {"too many cells", "a,b\n,,,,,\n", ":2:1:", "6 cells", {.max_cells = 5}},
      {"endless cell", std::string(1 << 20, 'x'), ":1:1:", "limit", {.max_cell_bytes = 1 << 16}},
      {"endless record", std::string(1 << 20, ','), ":1:1:", "record", {.max_record_bytes = 1 << 18}},
  };
  for (const Case& c : cases) {
    Write(c.content);
    auto rows = Read(c.options);
    ASSERT_FALSE(rows) << c.name;
    EXPECT_EQ(rows.error().code(), ErrorCode::kInvalidInput) << c.name;
    EXPECT_THAT(rows.error().text(), HasSubstr(path_ + c.place)) << c.name;
    EXPECT_THAT(rows.error().text(), HasSubstr(c.text)) << c.name;
  }
  std::filesystem::remove(path_);
  EXPECT_THAT(Read().error().text(), HasSubstr("No such file"));
  EXPECT_EQ(Read().error().code(), ErrorCode::kInvalidInput);
  auto directory = CsvReader::Open(std::filesystem::temp_directory_path(), {});
  EXPECT_THAT(directory.error().text(), HasSubstr("is a folder; expected a regular file"));
}

TEST_F(CsvReaderTest, TellsWhatMayBeWrong) {
  const auto other = [&](const std::string& content, const CsvOptions& options = {}) {
    Write(content);
    const auto reader = CsvReader::Open(path_, options);
    EXPECT_TRUE(*(*reader)->Next());
    return (*reader)->OtherDelimiter();
  };
  EXPECT_EQ(other("id;age\n"), "; the cells seem to be separated by \";\"; expected \",\"");
  EXPECT_EQ(other("id\tage\n"), "; the cells seem to be separated by tabs; expected \",\"");
  EXPECT_EQ(other("id\n"), "");
  EXPECT_EQ(other("id,a;b\n"), "");
  EXPECT_EQ(other("id;age\n", {.delimiter = ';'}), "");
  std::filesystem::remove(path_);
  EXPECT_EQ(CsvReader::Open(path_, {}).error().text(), path_ + ": cannot open: No such file or directory");
  EXPECT_THAT(CsvReader::OpenNamed(path_, {}).error().text(),
              HasSubstr("No such file or directory; file names are relative to the file that names them"));
}

TEST_F(CsvReaderTest, ColumnsAreFoundByName) {
  const auto column = [&](const std::string& content, const std::string& name) -> Result<std::size_t> {
    Write(content);
    const auto reader = CsvReader::Open(path_, {});
    (void)(*reader)->Next();
    return (*reader)->Column(name);
  };
  EXPECT_EQ(*column("id,age,id2\n", "age"), 1u);
  EXPECT_EQ(*column("age,id,age\n", "id"), 1u) << "what is not asked for may be there twice";
  EXPECT_EQ(column("id,age\n", "ages").error().text(),
            path_ + ":1: no column \"ages\"; did you mean \"age\"?");
  EXPECT_EQ(column("id;age\n", "id").error().text(),
            path_ + ":1: no column \"id\"; the cells seem to be separated by \";\"; expected \",\"");
  EXPECT_EQ(column("id,age,id\n", "id").error().text(),
            path_ + ":1: more than one column \"id\"; leave one of them");
  EXPECT_EQ(column("", "id").error().text(),
            path_ + ":1: the file is empty; expected a header with the column \"id\"");
}

TEST_F(CsvReaderTest, Gzip) {
  const std::string one = Gzip("a,b\n1,"), two = Gzip("2\n");
  const Rows expected{{"a", "b"}, {"1", "2"}};
  Write(one + two);
  EXPECT_EQ(*Read(), expected) << "two members";
  Write(one + Gzip("") + two + std::string(1000, '\0'));
  EXPECT_EQ(*Read(), expected) << "an empty member, and padding";
  Write(one + two.substr(0, two.size() - 3));
  EXPECT_THAT(Read().error().text(), HasSubstr("at byte " + std::to_string(one.size() + two.size() - 3)));
  EXPECT_THAT(Read().error().text(), HasSubstr("ends in the middle"));
  for (std::size_t size = 3; size < one.size(); ++size) {
    Write(one.substr(0, size));
    EXPECT_EQ(Read().error().code(), ErrorCode::kInvalidInput) << size;
  }
  std::string damaged = one + two;
  damaged[one.size() + two.size() - 6] ^= 1;  // the checksum
  Write(damaged);
  EXPECT_THAT(Read().error().text(), HasSubstr("damaged"));
  Write(one + two + "text");
  EXPECT_THAT(Read().error().text(), HasSubstr("damaged"));
  EXPECT_EQ(Read().error().code(), ErrorCode::kInvalidInput);
}

TEST_F(CsvReaderTest, PlacesOfCells) {
  Write("a,b\n\"x\ny\"\"z\",  cd\n\ne,f\n");
  auto reader = CsvReader::Open(path_, {});
  ASSERT_TRUE(reader);
  ASSERT_TRUE(*(*reader)->Next());
  ASSERT_TRUE(*(*reader)->Next());
  EXPECT_EQ((*reader)->line(), 2u);
  EXPECT_EQ((*reader)->Where(0), path_ + ":2:2");
  EXPECT_EQ((*reader)->Where(1), path_ + ":3:9");
  ASSERT_TRUE(*(*reader)->Next());
  EXPECT_EQ((*reader)->Where(), path_ + ":5");
  EXPECT_EQ((*reader)->raw(), "e,f");
}

// Random records larger and smaller than the scanner's blocks and the buffer: what is written is read back, so no place in a
// block or buffer is special.
TEST_F(CsvReaderTest, RandomRecordsRoundTrip) {
  RandomStream random(7);
  for (int round = 0; round < 30; ++round) {
    Rows rows;
    std::string content;
    const std::uint64_t most = round % 3 == 0 ? 3000 : 20;
    while (content.size() < 700000) {
      std::vector<std::string> cells;
      for (std::uint64_t i = 0, count = 1 + random.Below(6); i < count; ++i) {
        std::string cell;
        for (std::uint64_t j = 0, size = random.Below(most); j < size; ++j)
          cell += "ab,\"\n\r "[random.Below(7)];
        // Written plain when it may be: quoting is needed for special characters and outer blanks.
        const bool plain =
            cell.find_first_of(",\"\n\r ") == std::string::npos && !(cell.empty() && count == 1);
        std::string quoted = "\"";
        for (char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
        content += (i == 0 ? "" : ",") + (plain ? cell : quoted + "\"");
        cells.push_back(cell);
      }
      content += random.Below(2) == 0 ? "\n" : "\r\n";
      rows.push_back(cells);
    }
    Write(content);
    auto read = Read();
    ASSERT_TRUE(read) << read.error().text();
    ASSERT_TRUE(*read == rows) << "round " << round;
  }
}

// No bytes may crash the reader or make it loop.
TEST_F(CsvReaderTest, AnyBytesAreReadOrRefused) {
  RandomStream random(11);
  for (int round = 0; round < 300; ++round) {
    std::string content;
    for (std::uint64_t i = 0, size = random.Below(2000); i < size; ++i) {
      content +=
          random.Below(20) == 0 ? static_cast<char>(random.Below(256)) : "a,\"\n\r \t"[random.Below(7)];
    }
    Write(content);
    auto rows = Read({.max_cell_bytes = 100, .max_cells = 50});
    EXPECT_TRUE(rows || rows.error().code() == ErrorCode::kInvalidInput);
  }
}

}  // namespace
}  // namespace cohort::csv_reader_test
