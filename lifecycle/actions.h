// ACTIONS.toml: what a shop can do for its users, what it costs, and within which limits. docs/strategy.md has every key.
#ifndef COHORT_LIFECYCLE_ACTIONS_H_
#define COHORT_LIFECYCLE_ACTIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "lifecycle/assignment.h"
#include "lifecycle/event_time.h"
#include "lifecycle/experiment.h"

namespace cohort {

struct Action {
  std::string name;
  std::string where;  // path:line:column, for errors
  std::string arm;    // of the experiment; default: the name
  double cost = 0;
  double cap = kNoLimit;            // most users
  std::vector<std::string> stages;  // empty: any
  std::string consent;  // a column of [users], 1, true or yes where the user agreed; empty: none is needed
  std::optional<double> assumed;  // of [rules]: the share of risk x value that it is taken to save
};

struct ActionsFile {
  std::string path;
  std::string data;            // a dataset
  Split split = Split::kTest;  // whose users get actions
  double budget = kNoLimit;
  double holdout = 0, exploration = 0;  // shares of the users
  std::string key_file;                 // of the draw of both
  std::uint64_t seed = 1;
  struct Effects {
    std::string where;  // of [experiment]
    ExperimentOptions experiment;
    std::vector<std::string> without;
  };
  std::optional<Effects> effects;
  struct Rules {
    std::string scores, risk, value;  // a file with a column `id`, and two of its columns
  };
  std::optional<Rules> rules;  // when there is no experiment
  struct Users {
    std::string file, id, stage, group;
  };
  std::optional<Users> users;
  double least_ratio = 0;  // fairness between groups
  struct Contacts {
    std::string file, user, time, arm;
    std::vector<std::string> ignore;  // arms that are no contact
    TimeFormat time_format;
    Time now = 0;
    int within_days = 0, most = 0;
  };
  std::optional<Contacts> contacts;
  std::vector<Action> actions;
};

// Reads and checks. Paths are relative to the file. Errors name line and column.
Result<ActionsFile> LoadActions(const std::string& path);

// Columns of a CSV file by a column of ids.
struct UserTable {
  std::unordered_map<std::string, std::vector<std::string>> cells;  // in the order asked for
};
// kInvalidInput: no such column, an id twice.
Result<UserTable> ReadUserTable(const std::string& path, const std::string& id,
                                const std::vector<std::string>& columns);

// All lines of some users, in the order of the file.
struct UserLines {
  std::vector<std::string> columns;
  std::map<std::string, std::vector<std::vector<std::string>>> of;  // by user; a cell per column
};
// `columns`: none means all that the header has. kInvalidInput: no such column.
Result<UserLines> ReadUserLines(const std::string& path, const std::string& id,
                                const std::vector<std::string>& users, std::vector<std::string> columns = {});

// By user: contacts within the window before `now`.
Result<std::unordered_map<std::string, int>> CountContacts(const ActionsFile::Contacts& contacts);

// Uniform in [0, 1) by user and purpose: the same for ever, for whoever has the key, and not to be guessed without it.
double KeyedShare(const std::string& key, const std::string& purpose, const std::string& user);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_ACTIONS_H_
