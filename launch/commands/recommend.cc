// cohort recommend: lists of items for every user of a shop, from its logs (lifecycle/recommend.h).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "launch/commands/commands.h"
#include "launch/commands/partition_options.h"
#include "lifecycle/recommend.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct CommandOptions {
  RecommendOptions recommend;
  std::string at = "end", pairs, candidates;
  PartitionOptions partitions;
};

std::string Line(const char* format, auto... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  return std::string(line) + "\n";
}

std::string ToText(const RecommendReport& report) {
  std::string text = ToText(report.findings);
  text += std::to_string(report.acts) + " events of " + std::to_string(report.users) + " users with " +
          std::to_string(report.items) + " items; weights from " + std::to_string(report.choices) +
          " choices (" + report.target + ") of " + report.learned_at + " to " + report.at + "; lists as of " +
          report.at + "\n";
  text += Line("%-22s %10s %16s", "score", "weight", "reason of (%)");
  std::uint64_t places = 0;
  for (const std::uint64_t count : report.reasons) places += count;
  for (std::size_t f = 0; f < report.features.size(); ++f) {
    text +=
        Line("%-22s %10.4f %16.1f", report.features[f].c_str(), report.weights[f],
             places > 0 ? 100.0 * static_cast<double>(report.reasons[f]) / static_cast<double>(places) : 0.0);
  }
  if (!report.recall.empty()) {
    text += Line("%-22s %10s", "approximate search", "recall (%)");
    for (const auto& [name, share] : report.recall) text += Line("%-22s %10.1f", name.c_str(), 100 * share);
  }
  const bool truth = !report.quality.empty() && report.quality[0].true_share;
  if (report.judged_users > 0) {
    text += "judged by what " + std::to_string(report.judged_users) + " users chose until " + report.until +
            ", full ranking; distance, exposure and items over " + std::to_string(report.lists) +
            " lists (single recommenders: over those judged)\n";
  } else {
    text += "nobody has chosen anything since: nothing to judge by\n";
  }
  const std::string top = "@" + std::to_string(report.top);
  text += Line("%-15s %9s %9s %9s %9s %7s%s", "lists", ("NDCG" + top).c_str(), ("HR" + top).c_str(),
               "distance", "exposure", "items", truth ? "   of the oracle's: purchases   tastes" : "");
  for (const ListQuality& quality : report.quality) {
    if (report.judged_users == 0 && quality.items == 0)
      continue;  // single recommenders are made to be judged
    const auto judged = [&](double value) {
      return report.judged_users > 0 ? Line("%9.4f", value) : Line("%9s", "-");
    };
    std::string line = Line("%-15s", quality.name.c_str());
    line.pop_back();
    for (const double value : {quality.ndcg, quality.hit_rate}) line += " " + judged(value), line.pop_back();
    line += Line(" %9.4f %9.4f %7.0f", quality.distance, quality.group_exposure, quality.items);
    line.pop_back();
    text += line + (truth ? Line("                     %8.1f %% %6.1f %%", 100 * *quality.true_share,
                                 100 * *quality.true_taste_share)
                          : "\n");
  }
  return text;
}

Json ToJson(const RecommendReport& report) {
  Json weights = Json::object(), lists = Json::object(), dropped = Json::object(), recall = Json::object();
  for (const auto& [name, share] : report.recall) recall[name] = share;
  for (const auto& [key, finding] : report.findings) dropped[FindingName(key.first)] = finding.count;
  for (std::size_t f = 0; f < report.features.size(); ++f)
    weights[report.features[f]] = {{"weight", report.weights[f]}, {"reasons", report.reasons[f]}};
  const std::string top = "@" + std::to_string(report.top);
  for (const ListQuality& quality : report.quality) {
    Json list = {
        {"distance", quality.distance}, {"exposure", quality.group_exposure}, {"items", quality.items}};
    if (report.judged_users > 0) {
      list["ndcg" + top] = quality.ndcg;
      list["hr" + top] = quality.hit_rate;
    }
    if (quality.true_share) {
      list["share_of_oracle"] = *quality.true_share;
      list["share_of_oracle_tastes"] = *quality.true_taste_share;
    }
    lists[quality.name] = std::move(list);
  }
  return {{"status", "done"},
          {"users", report.users},
          {"items", report.items},
          {"events", report.acts},
          {"lists", report.lists},
          {"learned_at", report.learned_at},
          {"at", report.at},
          {"until", report.until},
          {"target", report.target},
          {"choices", report.choices},
          {"judged_users", report.judged_users},
          {"group_items", report.group_items},
          {"exposure_held", report.exposure_held},
          {"features", std::move(weights)},
          {"spread", report.spread},
          {"recall", std::move(recall)},
          {"quality", std::move(lists)},
          {"dropped", std::move(dropped)},
          {"warnings", report.warnings},
          {"seconds", report.seconds}};
}

std::string ToText(const CandidateReport& report) {
  std::string text = ToText(report.findings) + std::to_string(report.rows) + " candidates of " +
                     std::to_string(report.users) + " users as of " + report.at + "; sources by weights of " +
                     report.learned_at + " to " + report.at;
  if (report.until == report.at) return text + "; labels are not known yet\n";
  text += "; until " + report.until;
  for (const auto& [name, count] : report.labels)
    text += std::string(&name == &report.labels[0].first ? ": " : ", ") + name + " " + std::to_string(count);
  return text + "\n";
}

Json ToJson(const CandidateReport& report, const std::string& out) {
  Json labels = Json::object(), dropped = Json::object();
  for (const auto& [key, finding] : report.findings) dropped[FindingName(key.first)] = finding.count;
  for (const auto& [name, count] : report.labels) labels[name] = count;
  return {{"status", "done"},
          {"candidates", report.rows},
          {"users", report.users},
          {"learned_at", report.learned_at},
          {"at", report.at},
          {"until", report.until},
          {"labels", std::move(labels)},
          {"dropped", std::move(dropped)},
          {"warnings", report.warnings},
          {"out", out}};
}

Status Run(CommandOptions options, Console& console) {
  RecommendOptions& recommend = options.recommend;
  if (options.at == "train") recommend.at = RecommendAt::kTrain;
  if (options.at == "valid") recommend.at = RecommendAt::kValid;
  if (options.at == "test") recommend.at = RecommendAt::kTest;
  const auto progress = [&](const std::string& line) { console.Progress(line); };
  if (!options.pairs.empty()) {
    COHORT_ASSIGN_OR_RETURN(const std::uint64_t pairs, WritePairs(recommend, options.pairs, progress));
    console.Print("wrote " + std::to_string(pairs) + " pairs to " + options.pairs);
    console.SetJson(Json{{"status", "done"}, {"pairs", pairs}, {"out", options.pairs}}.dump());
    return {};
  }
  if (!options.candidates.empty()) {
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Partitions> partitions,
                            options.partitions.Start(options.candidates, console));
    COHORT_ASSIGN_OR_RETURN(const CandidateReport report,
                            WriteCandidates(recommend, options.candidates, *partitions, progress));
    for (const std::string& warning : report.warnings) console.Note("warning: " + warning);
    console.Print(ToText(report) + "wrote " + options.candidates);
    console.SetJson(ToJson(report, options.candidates).dump(-1, ' ', false, Json::error_handler_t::replace));
    return {};
  }
  if (recommend.out.empty())
    return {ErrorCode::kInvalidInput, "--out FILE.csv is missing: where to write the lists"};
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Partitions> partitions,
                          options.partitions.Start(recommend.out, console));
  COHORT_ASSIGN_OR_RETURN(const RecommendReport report, Recommend(recommend, *partitions, progress));
  for (const std::string& warning : report.warnings) console.Note("warning: " + warning);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f", report.seconds);
  console.Print(ToText(report) + "wrote " + std::to_string(report.lists) + " lists to " + recommend.out +
                " in " + seconds + " s");
  console.SetJson(ToJson(report).dump(-1, ' ', false, Json::error_handler_t::replace));
  return {};
}

}  // namespace

void AddRecommend(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<CommandOptions>();
  RecommendOptions& recommend = options->recommend;
  CLI::App* command = app.add_subcommand("recommend",
                                         "lists of items for every user, from the logs of a shop, each item "
                                         "with its reason (docs/recommend.md)");
  command->add_option("SHOP", recommend.shop, "SHOP.toml: the logs of a shop (docs/shop.md)")->required();
  command->add_option("--out", recommend.out, "the file to write: user,rank,item,score,reason")
      ->type_name(kOutputType);
  command->add_option("--top", recommend.top, "items of a list, 1 to 1000 (default: 10)");
  command
      ->add_option(
          "--at", options->at,
          "the moment: end (default: after all events), or the test, valid or last train snapshot, to "
          "judge lists by what came after")
      ->check(CLI::IsMember({"end", "test", "valid", "train"}));
  command->add_option("--data-dir", recommend.data_directory,
                      "what file names in SHOP.toml are relative to (default: its own directory)");
  command->add_option("--model", recommend.model,
                      "a run of kind two_tower, trained on what was before the moment (see --write-pairs)");
  command->add_option(
      "--learn-model", recommend.learn_model,
      "the same, trained on what was before the snapshot before: the weights are learned with its scores");
  command->add_option(
      "--ranker", recommend.ranker,
      "scores of the moment's candidates by a model of several tasks (see --write-candidates)");
  command->add_option(
      "--learn-ranker", recommend.learn_ranker,
      "the same, of the candidates of the snapshot before: the weights are learned with them");
  command
      ->add_option("--segment", recommend.segment,
                   "attributes of [users], separated by commas: what is popular is counted by their values "
                   "(default: none)")
      ->delimiter(',');
  command->add_flag("--skip-bought", recommend.skip_bought, "leave out what the user has bought");
  command->add_option("--unavailable", recommend.unavailable,
                      "CSV with a column item: items that are not shown");
  command->add_option("--diversity", recommend.diversity,
                      "0 (default) to 1: how much likeness to items above counts against an item (maximal "
                      "marginal relevance)");
  command
      ->add_option(
          "--try-diversity", recommend.try_diversity,
          "values of --diversity, separated by commas, whose lists are judged as well: to choose one, with "
          "--at valid")
      ->delimiter(',');
  CLI::Option* exposure = command->add_option(
      "--exposure", recommend.exposure,
      "share of all exposure, 0 (default) to 0.5, that the tenth of items that fewest users "
      "took has at least");
  command
      ->add_option("--new-days", recommend.new_days,
                   "with --exposure: of the items that came within so many days, instead")
      ->needs(exposure);
  command->add_option("--exact-items", recommend.exact_items,
                      "so many items are all looked at for every user; of more, candidates are found by "
                      "approximate search, and the report has its recall (default: 20000)");
  command->add_option("--seed", recommend.seed, "of the items drawn to learn the weights (default: 1)");
  command->add_option("--truth", recommend.truth,
                      "truth/ of a generated shop: how near the lists come to the best ones");
  CLI::Option* pairs = command->add_option(
      "--write-pairs", options->pairs,
      "instead of lists: write user,item,label of what was before the moment, to train a factorisation on");
  CLI::Option* candidates = command->add_option(
      "--write-candidates", options->candidates,
      "instead of lists: write what each source names for every user as of the moment, with all scores and "
      "what users did until the next snapshot, to train a model of several tasks on, or to score by one");
  for (const char* of_lists : {"--out", "--top", "--ranker", "--learn-ranker", "--diversity",
                               "--try-diversity", "--exposure", "--new-days", "--truth", "--write-pairs"})
    candidates->excludes(command->get_option(of_lists));
  for (const char* of_lists : {"--out", "--top", "--model", "--learn-model", "--ranker", "--learn-ranker",
                               "--segment", "--skip-bought", "--unavailable", "--diversity",
                               "--try-diversity", "--exposure", "--new-days", "--exact-items", "--seed", "--truth"})
    pairs->excludes(command->get_option(of_lists));
  options->partitions.AddTo(*command);
  pairs->excludes(command->get_option("--workers"));
  pairs->type_name(kOutputType);
  candidates->type_name(kOutputType);
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Run(*options, console); };
}

}  // namespace cohort
