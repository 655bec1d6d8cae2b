// cohort pseudonyms: who stands behind the pseudonyms of a shop's users, for those who may know it.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "common/atomic_file.h"
#include "common/csv_cell.h"
#include "common/secret_key.h"
#include "launch/commands/commands.h"
#include "launch/user_logs.h"
#include "lifecycle/shop_schema.h"

namespace cohort {
namespace {

struct PseudonymsOptions {
  std::string shop, data_directory, out;
  std::vector<std::string> users;
};

Status ShowPseudonyms(const PseudonymsOptions& options, Console& console) {
  if (options.users.empty() == options.out.empty())
    return Refused("expected either --user ID (printed) or --out TABLE.csv (everybody in the logs)");
  COHORT_ASSIGN_OR_RETURN(const ShopSchema schema, LoadShopSchema(options.shop, options.data_directory));
  if (schema.user_key.empty())
    return Refused(options.shop +
                   ": users go by their ids: [shop] has no user_key = \"FILE\" (docs/privacy.md)");
  COHORT_ASSIGN_OR_RETURN(const SecretKey key, SecretKey::ReadOrMake(schema.user_key));
  nlohmann::ordered_json json{{"status", "done"}};
  if (!options.users.empty()) {
    for (const std::string& user : options.users) {
      const std::string pseudonym = ToHex(key.Digest(user));
      console.Print(pseudonym + "  " + user);
      json["pseudonyms"][user] = pseudonym;
    }
    console.SetJson(json.dump());
    return {};
  }
  std::set<std::string, std::less<>> users;
  COHORT_RETURN_IF_ERROR(VisitUsers(schema, [&](std::string_view user) {
    if (!users.contains(user)) users.emplace(user);
  }));
  std::string table = "user,pseudonym\n";
  for (const std::string& user : users) {
    AppendCsvCell(user, &table);
    table += "," + ToHex(key.Digest(user)) + "\n";
  }
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.out, table, FileReaders::kOwner));
  console.Print("wrote " + options.out + ": " + std::to_string(users.size()) +
                " users, for its owner alone; who has it knows who is behind every result");
  json["users"] = users.size();
  json["out"] = options.out;
  console.SetJson(json.dump());
  return {};
}

}  // namespace

void AddPseudonyms(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<PseudonymsOptions>();
  CLI::App* command = app.add_subcommand(
      "pseudonyms", "the pseudonyms that stand for users' ids where SHOP.toml has a user_key");
  command->add_option("shop", options->shop, "SHOP.toml, with user_key in [shop]")->required();
  command->add_option("--user", options->users, "the id of a user; may be given several times")->take_all();
  command->add_option("--out", options->out, "write TABLE.csv: user, pseudonym, of everybody in the logs")
      ->type_name(kOutputType);
  command->add_option("--data-dir", options->data_directory,
                      "what the file names in it are relative to (default: its own directory)");
  command->add_flag("--overwrite")->description("replace a table that is there");
  commands[command] = [options](Console& console) { return ShowPseudonyms(*options, console); };
}

}  // namespace cohort
