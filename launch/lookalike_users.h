// Who a shop's users are to `cohort lookalike`: which ids are customers, who of them is wanted, what they are worth and what they cost.
#ifndef COHORT_LAUNCH_LOOKALIKE_USERS_H_
#define COHORT_LAUNCH_LOOKALIKE_USERS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/dataset.h"
#include "common/secret_key.h"
#include "common/status.h"
#include "lifecycle/lookalike_model.h"
#include "lifecycle/prospect_list.h"

namespace cohort {

// The ids that a dataset knows, and the logs that it was made of.
class CustomerIds {
 public:
  // `shop`: SHOP.toml, or empty. With it everybody in its logs is a customer, and where it has a user_key, an id is looked for as its
  // pseudonym too (docs/privacy.md). Reads the ids of all splits, and the logs once.
  static Result<CustomerIds> Read(DatasetReader& data, const std::string& shop,
                                  const std::string& data_directory);

  // Whether it is a customer's. Row numbers, which stand for ids in a dataset without, are nobody's.
  bool Contains(const std::string& id) const;
  // How the dataset names the user; empty: it does not know them.
  std::string NameOf(const std::string& id) const;
  // Whether all names are what a user_key makes of ids, and there is none to make them of others.
  bool hidden() const { return hidden_; }

 private:
  std::unordered_set<std::string> names_, logged_;  // of the dataset's rows; of the logs, as they have them
  std::optional<SecretKey> key_;
  bool has_id_ = false, hidden_ = false;
};

struct WantedOptions {
  std::string data;  // path, for errors
  Split split = Split::kTest;
  std::string
      by;  // what a user is worth: a prediction of `scores`, else a label or numeric feature; empty: nothing
  std::string scores;  // of `cohort score`, of the same split
  std::string ids;     // a CSV file: whose ids are in its first column are wanted
  double top = 0.1;    // without `ids`: this share of the users is, the best by `by`
};

// What users have of one attribute.
struct UserValues {
  bool any = false;           // whether somebody has it
  float least = 0, most = 0;  // of numbers
  std::unordered_map<Key, float>
      categories;  // their inputs: by frequency from 1 on; those too rare for a number of their own share 0
};

// One entry per user of the split, ascending by id. A user with several rows is worth their mean; of attributes that differ between them the
// greatest stands.
struct LookalikeCrowd {
  LookalikeUsers users;
  std::vector<UserValues> values;  // by attribute
  std::vector<float> worth;        // empty without `by`
  double threshold = 0;            // the least worth of those who are wanted; NaN: they were named
  std::uint64_t wanted_count = 0;
  std::uint64_t without_worth = 0;  // users left out: `by` is not known of them
  std::uint64_t not_found = 0;      // ids of the file whom the split does not have
};

// At least so many of both are needed.
inline constexpr std::uint64_t kLeastWanted = 50;

// kInvalidInput: no such column, file or id; too few wanted users or others.
Result<LookalikeCrowd> ReadCrowd(DatasetReader& data, const WantedOptions& options,
                                 const std::vector<Attribute>& attributes, const CustomerIds& customers);

// What users cost, by the key of a categorical feature; means over the users, all splits together.
struct GroupCosts {
  static constexpr std::uint64_t kLeastUsers = 20;  // of a group: below, all users' mean stands for it
  struct Group {
    double mean = 0;
    std::uint64_t users = 0;
  };
  Group all;
  std::map<Key, Group> groups;
  double Of(Key key) const;
};
// `cost`: a label or numeric feature; `by`: a categorical feature, or empty: one group. kInvalidInput: no such column; nobody has a cost.
Result<GroupCosts> ReadCosts(DatasetReader& data, const std::string& cost, const std::string& by);

}  // namespace cohort

#endif  // COHORT_LAUNCH_LOOKALIKE_USERS_H_
