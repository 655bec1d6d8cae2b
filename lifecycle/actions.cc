#include "lifecycle/actions.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <span>
#include <utility>

#include "common/atomic_file.h"
#include "common/input_file.h"
#include "common/random.h"
#include "prepare/csv_reader.h"
#include "prepare/toml_table.h"

namespace cohort {
namespace {

constexpr std::size_t kMostFileBytes = 1 << 20;
constexpr double kMostMoney = 1e12;

class ActionsReader {
 public:
  ActionsReader(TomlDocument* document, const std::string& path) : document_(document) { file_.path = path; }

  Result<ActionsFile> Read() {
    const TomlTable root = document_->root();
    root.AllowOnly({"data", "split", "budget", "holdout", "exploration", "key_file", "seed", "experiment",
                    "rules", "users", "fairness", "contacts", "action"},
                   InputFileKind::kActions);
    file_.data = Path(root, "data", true);
    file_.split = static_cast<Split>(root.Choice("split", {"train", "valid", "test"}, 2));
    file_.budget = root.Number("budget", kNoLimit, 0, kMostMoney);
    file_.holdout = root.Number("holdout", 0, 0, 0.9);
    file_.exploration = root.Number("exploration", 0, 0, 0.9);
    file_.key_file = Path(root, "key_file", false);
    if ((file_.holdout > 0 || file_.exploration > 0) && file_.key_file.empty())
      root.Fail(nullptr,
                "holdout and exploration are drawn by a keyed hash of the user: name a key_file with a "
                "secret of 16 "
                "characters or more");
    file_.seed = static_cast<std::uint64_t>(root.Integer("seed", 1, 0, std::int64_t{1} << 62));
    if (root.Has("experiment") == root.Has("rules"))
      root.Fail(
          nullptr,
          "write [experiment], from which the effects of the actions are learnt, or, without one, [rules]");
    if (const TomlTable table = root.Table("experiment"); table.exists()) ReadExperiment(table);
    if (const TomlTable table = root.Table("rules"); table.exists()) {
      table.AllowOnly({"scores", "risk", "value"});
      file_.rules = {Path(table, "scores", true), Needed(table, "risk"), Needed(table, "value")};
    }
    if (const TomlTable table = root.Table("users"); table.exists()) {
      table.AllowOnly({"file", "id", "stage", "group"});
      file_.users = {Path(table, "file", true), Needed(table, "id"), table.Text("stage", ""),
                     table.Text("group", "")};
    }
    if (const TomlTable table = root.Table("fairness"); table.exists()) {
      table.AllowOnly({"least_ratio"});
      file_.least_ratio = table.Number("least_ratio", 0.8, 0, 1);
      if (!file_.users || file_.users->group.empty())
        table.Fail(nullptr, "[fairness] needs the column group of [users]");
    }
    if (const TomlTable table = root.Table("contacts"); table.exists()) ReadContacts(table);
    const std::vector<TomlTable> actions = root.Tables("action");
    if (actions.empty()) root.Fail(nullptr, "no [[action]]");
    for (const TomlTable& table : actions) ReadAction(table);
    if (!document_->status().ok()) return tl::unexpected<Status>(document_->status());
    return std::move(file_);
  }

 private:
  std::string Needed(const TomlTable& table, const char* key) {
    if (!table.Has(key)) table.Fail(nullptr, table.what() + " needs \"" + key + "\"");
    return table.Text(key, "");
  }
  std::string Path(const TomlTable& table, const char* key, bool needed) {
    const std::string path = needed ? Needed(table, key) : table.Text(key, "");
    if (path.empty() || std::filesystem::path(path).is_absolute()) return path;
    return (std::filesystem::path(DirectoryOf(file_.path)) / path).lexically_normal().string();
  }

  void ReadExperiment(const TomlTable& table) {
    table.AllowOnly({"arm", "control", "outcome", "link", "without"});
    ActionsFile::Effects effects;
    effects.where = table.Where();
    effects.experiment = {Needed(table, "arm"), Needed(table, "control"), Needed(table, "outcome"),
                          std::nullopt};
    if (table.Has("link"))
      effects.experiment.link = static_cast<Link>(table.Choice("link", {"identity", "logit", "log"}, 0));
    if (table.Has("without")) effects.without = table.Texts("without");
    file_.effects = std::move(effects);
  }

  void ReadContacts(const TomlTable& table) {
    table.AllowOnly({"file", "user", "time", "time_format", "arm", "ignore", "now", "within_days", "most"});
    ActionsFile::Contacts contacts;
    contacts.file = Path(table, "file", true);
    contacts.user = Needed(table, "user"), contacts.time = Needed(table, "time"),
    contacts.arm = table.Text("arm", "");
    if (table.Has("ignore")) contacts.ignore = table.Texts("ignore");
    if (!contacts.ignore.empty() && contacts.arm.empty())
      table.Fail("ignore", "\"ignore\" lists arms: name the column \"arm\"");
    if (const auto format = TimeFormat::Parse(table.Text("time_format", "iso"))) {
      contacts.time_format = *format;
    } else {
      table.Fail("time_format", "expected iso, unix, unix_ms or a pattern such as %d/%m/%Y");
    }
    if (const auto now = TimeFormat().Read(Needed(table, "now"))) {
      contacts.now = *now;
    } else {
      table.Fail("now", "expected " + TimeFormat().Expected());
    }
    contacts.within_days = static_cast<int>(table.Integer("within_days", 30, 1, 3650));
    contacts.most = static_cast<int>(table.Integer("most", 1, 1, 1000));
    file_.contacts = std::move(contacts);
  }

  void ReadAction(const TomlTable& table) {
    table.AllowOnly({"name", "arm", "cost", "cap", "stages", "consent", "assumed"});
    Action action;
    action.name = Needed(table, "name");
    action.where = table.Where();
    action.arm = table.Text("arm", action.name);
    action.cost = table.Number("cost", 0, 0, kMostMoney);
    if (table.Has("cap")) action.cap = static_cast<double>(table.Integer("cap", 0, 0, std::int64_t{1} << 40));
    if (table.Has("stages")) action.stages = table.Texts("stages");
    action.consent = table.Text("consent", "");
    if (!action.stages.empty() && (!file_.users || file_.users->stage.empty()))
      table.Fail("stages", "\"stages\" needs the column stage of [users]");
    if (!action.consent.empty() && !file_.users) table.Fail("consent", "\"consent\" is a column of [users]");
    if (file_.rules) {
      if (!table.Has("assumed"))
        table.Fail(nullptr,
                   "without an experiment an action needs \"assumed\": the share of risk x value that it is "
                   "taken to save");
      action.assumed = table.Number("assumed", 0, 0, 1);
      table.Forbid("arm", "without an experiment there are no arms");
    } else {
      table.Forbid("assumed", "effects come from the experiment");
    }
    for (const Action& other : file_.actions) {
      if (other.name == action.name) table.Fail("name", "the action \"" + action.name + "\" is there twice");
      if (file_.effects && other.arm == action.arm)
        table.Fail(nullptr, "the actions \"" + other.name + "\" and \"" + action.name +
                                "\" are the same arm \"" + action.arm + "\"");
    }
    file_.actions.push_back(std::move(action));
  }

  TomlDocument* document_;
  ActionsFile file_;
};

Result<std::vector<std::string>> ReadHeader(CsvReader& csv, const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const bool any, csv.Next());
  if (!any) return InvalidInput(path + ": the file is empty; expected a header");
  return std::vector<std::string>(csv.cells().begin(), csv.cells().end());
}

// Reads a file whose header has the columns asked for; their places in each record.
Status ForEachRow(const std::string& path, const std::vector<std::string>& columns,
                  const std::function<Status(const CsvReader&, std::span<const std::size_t>)>& row) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, {}));
  COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> header, ReadHeader(*csv, path));
  std::vector<std::size_t> places;
  for (const std::string& column : columns) {
    COHORT_ASSIGN_OR_RETURN(places.emplace_back(), csv->Column(column));
  }
  while (true) {
    COHORT_ASSIGN_OR_RETURN(const bool more, csv->Next());
    if (!more) return {};
    if (csv->cells().size() != header.size())
      return {ErrorCode::kInvalidInput, csv->Where() + ": " + std::to_string(csv->cells().size()) +
                                            " cells, where the header has " + std::to_string(header.size())};
    COHORT_RETURN_IF_ERROR(row(*csv, places));
  }
}

}  // namespace

Result<ActionsFile> LoadActions(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMostFileBytes));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<TomlDocument> document, TomlDocument::Parse(text, path));
  return ActionsReader(document.get(), path).Read();
}

Result<UserTable> ReadUserTable(const std::string& path, const std::string& id,
                                const std::vector<std::string>& columns) {
  UserTable table;
  std::vector<std::string> wanted = {id};
  wanted.insert(wanted.end(), columns.begin(), columns.end());
  const Status status =
      ForEachRow(path, wanted, [&](const CsvReader& csv, std::span<const std::size_t> places) -> Status {
        std::vector<std::string> cells;
        for (std::size_t i = 1; i < places.size(); ++i) cells.emplace_back(csv.cells()[places[i]]);
        const std::string user(csv.cells()[places[0]]);
        if (!table.cells.emplace(user, std::move(cells)).second)
          return {ErrorCode::kInvalidInput,
                  csv.Where(places[0]) + ": \"" + user + "\" is there already; expected one row a user"};
        return {};
      });
  if (!status.ok()) return tl::unexpected<Status>(status);
  return table;
}

Result<UserLines> ReadUserLines(const std::string& path, const std::string& id,
                                const std::vector<std::string>& users, std::vector<std::string> columns) {
  if (columns.empty()) {
    COHORT_RETURN_IF_ERROR(CheckRegularFile(path));  // it is read twice
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, {}));
    COHORT_ASSIGN_OR_RETURN(columns, ReadHeader(*csv, path));
  }
  UserLines lines{.columns = columns, .of = {}};
  for (const std::string& user : users) lines.of[user];
  columns.insert(columns.begin(), id);
  const Status status =
      ForEachRow(path, columns, [&](const CsvReader& csv, std::span<const std::size_t> places) -> Status {
        const auto user = lines.of.find(std::string(csv.cells()[places[0]]));
        if (user == lines.of.end()) return {};
        std::vector<std::string>& cells = user->second.emplace_back();
        for (std::size_t i = 1; i < places.size(); ++i) cells.emplace_back(csv.cells()[places[i]]);
        return {};
      });
  if (!status.ok()) return tl::unexpected<Status>(status);
  return lines;
}

Result<std::unordered_map<std::string, int>> CountContacts(const ActionsFile::Contacts& contacts) {
  std::unordered_map<std::string, int> counts;
  std::vector<std::string> wanted = {contacts.user, contacts.time};
  if (!contacts.arm.empty()) wanted.push_back(contacts.arm);
  const Status status = ForEachRow(
      contacts.file, wanted, [&](const CsvReader& csv, std::span<const std::size_t> places) -> Status {
        const std::string_view cell = csv.cells()[places[1]];
        const std::optional<Time> time = contacts.time_format.Read(cell);
        if (!time)
          return {ErrorCode::kInvalidInput, csv.Where(places[1]) + ": \"" + std::string(cell) + "\" is not " +
                                                contacts.time_format.Expected()};
        if (*time < contacts.now - contacts.within_days * kDay || *time >= contacts.now) return {};
        if (places.size() > 2 && std::find(contacts.ignore.begin(), contacts.ignore.end(),
                                           csv.cells()[places[2]]) != contacts.ignore.end())
          return {};
        ++counts[std::string(csv.cells()[places[0]])];
        return {};
      });
  if (!status.ok()) return tl::unexpected<Status>(status);
  return counts;
}

double KeyedShare(const std::string& key, const std::string& purpose, const std::string& user) {
  // XXH3 takes a secret of 136 bytes or more: that of the key's hashes.
  std::array<std::uint64_t, 24> secret{};
  for (std::size_t i = 0; i < secret.size(); ++i)
    secret[i] = Mix64(XXH3_64bits_withSeed(key.data(), key.size(), i + 1));
  const std::string text = purpose + '\0' + user;
  return UniformDouble(Mix64(XXH3_64bits_withSecret(text.data(), text.size(), secret.data(), sizeof secret)));
}

}  // namespace cohort
