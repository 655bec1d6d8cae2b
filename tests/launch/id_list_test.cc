#include "launch/id_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/subprocess.h"

namespace cohort::id_list_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class IdList : public ::testing::Test {
 protected:
  // Of a list among the users u1 to u9.
  Status Visit(const std::string& text) {
    ids_.clear();
    return VisitIdList(
        folder_.Write("ids.csv", text), [](const std::string& id) { return id.size() == 2 && id[0] == 'u'; },
        [&](const CsvReader&, const std::string& id) -> Status {
          ids_.push_back(id);
          return {};
        });
  }

  testing::TemporaryFolder folder_;
  std::vector<std::string> ids_;
};

TEST_F(IdList, IsTheFirstColumnBehindAHeader) {
  ASSERT_TRUE(Visit("user,age\nu1,20\nstranger,30\n").ok());
  EXPECT_THAT(ids_, ElementsAre("u1", "stranger"));
}

TEST_F(IdList, WithoutAHeaderIsRefused) {
  for (const std::string first : {"u1", "4711"}) {
    const Status status = Visit(first + "\nu2\n");
    EXPECT_EQ(status.exit_code(), 2);
    EXPECT_THAT(status.text(),
                HasSubstr("ids.csv:1: \"" + first + "\" is an id, where the header is expected"));
    EXPECT_TRUE(ids_.empty());
  }
}

TEST_F(IdList, SaysWhatIsWrong) {
  EXPECT_THAT(Visit("").text(), HasSubstr("ids.csv: no id; expected a header"));
  EXPECT_THAT(Visit("user\n").text(), HasSubstr("ids.csv: no id; expected a header"));
  EXPECT_THAT(Visit("id;age\nu1;20\n").text(), HasSubstr("ids.csv:1: the ids do not stand alone; the cells"));
  EXPECT_THAT(Visit("id,id\nu1,u2\n").text(), HasSubstr("ids.csv:1: more than one column \"id\""));
}

}  // namespace
}  // namespace cohort::id_list_test
