// ProspectList: people outside of the shop, as a CSV file has them: an id and what else is known of each; and which of that a
// dataset knows of its users too.
//
// A column is the attribute of a feature of the same name, or of user_NAME (what [users] of SHOP.toml says, docs/shop.md). Of a shop's
// dataset only those of user_... are taken by themselves: whatever else it knows of a user came of what they did there, which nobody
// has done yet who is on such a list. Other features are taken when they are named.
#ifndef COHORT_LIFECYCLE_PROSPECT_LIST_H_
#define COHORT_LIFECYCLE_PROSPECT_LIST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"

namespace cohort {

// What both sides know.
struct Attribute {
  std::string feature, column;  // its names in the dataset and in the list
  bool numeric = false;
  std::size_t place = 0;   // the column of the dataset's rows, among those of its type
  std::string vocabulary;  // whose keys its values have
};

struct ProspectList {
  std::vector<Attribute> attributes;
  std::vector<std::string> ids;                  // ascending, each once
  std::vector<std::vector<std::string>> values;  // by attribute: the texts of its cells, each once
  std::vector<std::uint32_t> cells;  // (prospects, attributes): the place among the attribute's values
  std::vector<std::string>
      lacking;  // features that the list might have had: it has no column, or nothing in it
  std::vector<std::string> behaviour;  // columns with the name of a feature that was not named
  std::vector<std::string> unused;     // all other columns
  std::uint64_t records = 0;
  std::uint64_t without_id = 0, customers = 0;  // of them, left out
  std::uint64_t repeated =
      0;  // an id that is there already: the first record in the order of their text stays
  std::uint64_t contradicted = 0;  // of these, with other attributes than those that stay
  std::string contradicted_id;     // the first id of such a record

  std::uint32_t ValueOf(std::size_t prospect, std::size_t attribute) const {
    return cells[prospect * attributes.size() + attribute];
  }
  const std::string& Cell(std::size_t prospect, std::size_t attribute) const {
    return values[attribute][ValueOf(prospect, attribute)];
  }
};

struct ProspectOptions {
  std::string path, id = "id";          // the file, and its column of ids
  std::vector<std::string> attributes;  // features by name; none: all user_... that the list has
};

// `is_customer`: of an id. kInvalidInput, with file, line and column: no such column or feature, two columns for one, a cell that is no number
// where one is due, rows of another length; no attribute that both have; nobody left.
Result<ProspectList> ReadProspects(const ProspectOptions& options, const DatasetInfo& info,
                                   const std::function<bool(const std::string&)>& is_customer);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_PROSPECT_LIST_H_
