// All rows of a table: weights and state as floats, by key.
#ifndef COHORT_TESTS_SUPPORT_ROWS_OF_H_
#define COHORT_TESTS_SUPPORT_ROWS_OF_H_

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "server/embedding_table.h"

namespace cohort {

inline std::map<Key, std::vector<float>> AllRowsOf(const EmbeddingTable& table) {
  std::map<Key, std::vector<float>> rows;
  for (const Key key : table.SortedKeys()) {
    std::vector<float>& row = rows[key];
    row.resize(table.optimizer().row_floats());
    const Status status = table.CopyRows({&key, 1}, row.data());
    EXPECT_TRUE(status.ok()) << status.text();
  }
  return rows;
}

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_ROWS_OF_H_
