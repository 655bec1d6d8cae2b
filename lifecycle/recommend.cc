#include "lifecycle/recommend.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "common/atomic_file.h"
#include "common/cbor.h"
#include "common/csv_cell.h"
#include "common/random.h"
#include "lifecycle/candidate_rows.h"
#include "lifecycle/list_quality.h"
#include "lifecycle/ranker_scores.h"
#include "lifecycle/recommend_input.h"
#include "lifecycle/recommendation_truth.h"
#include "lifecycle/recommender.h"
#include "prepare/csv_file.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kUsersOfPart = 256;
constexpr std::size_t kPromotable = 8;
constexpr double kChoiceL2 = 1;
constexpr std::size_t kLeastGainTop = 10;
constexpr std::size_t kUsersUnscored = 500;

// Null: `path` is empty.
Result<std::unique_ptr<RankerScores>> ReadRanker(const std::string& path, const ShopHistory& history,
                                                 std::vector<std::string>* warnings) {
  if (path.empty()) return nullptr;
  return RankerScores::Read(path, history, warnings);
}

// The items whose exposure is held.
std::vector<bool> GroupOf(const ShopHistory& history, const Recommender& recommender, int new_days) {
  const std::size_t items = history.items.size();
  std::vector<bool> group(items);
  if (new_days > 0) {
    std::vector<Time> first(items, recommender.now());
    for (const Act& act : history.acts) first[act.item] = std::min(first[act.item], act.time);
    for (std::uint32_t i = 0; i < items; ++i)
      group[i] = recommender.MayShow(i) && first[i] >= recommender.now() - new_days * kDay;
    return group;
  }
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < items; ++i) {
    if (recommender.MayShow(i)) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return recommender.tastes().OfItem(a).size() < recommender.tastes().OfItem(b).size();
  });
  for (std::size_t i = 0; i < order.size() / 10; ++i) group[order[i]] = true;
  return group;
}

// The weights, and what is said of them.
struct Learned {
  std::vector<std::vector<double>> source_weights;  // of each source by itself
  std::vector<double> weights;                      // of all
  std::vector<std::string> features;
  std::uint64_t choices = 0;
};

std::string ToBytes(const Learned& learned) {
  return ToCbor(Json{learned.source_weights, learned.weights, learned.features, learned.choices});
}
Result<Learned> LearnedFrom(const std::string& bytes) {
  Learned learned;
  COHORT_RETURN_IF_ERROR(FromCbor(bytes, [&](const Json& json) {
    json.at(0).get_to(learned.source_weights), json.at(1).get_to(learned.weights);
    json.at(2).get_to(learned.features), json.at(3).get_to(learned.choices);
  }));
  return learned;
}

Json ToJson(const std::vector<ListedItem>& items) {
  Json json = Json::array();
  for (const ListedItem& listed : items) json.push_back({listed.item, listed.probability, listed.feature});
  return json;
}
std::vector<ListedItem> ItemsFrom(const Json& json) {
  std::vector<ListedItem> items;
  for (const Json& each : json)
    items.push_back({.item = each.at(0).get<std::uint32_t>(),
                     .probability = each.at(1).get<float>(),
                     .feature = each.at(2).get<std::uint16_t>()});
  return items;
}

std::vector<std::uint32_t> ItemsOf(const RecommendationList& list) {
  std::vector<std::uint32_t> items;
  for (const ListedItem& listed : list.items) items.push_back(listed.item);
  return items;
}

std::string CsvCell(const std::string& text) {
  std::string cell;
  AppendCsvCell(text, &cell);
  return cell;
}

Status CheckOptions(const RecommendOptions& options) {
  const auto check = [](bool ok, const std::string& text) {
    return ok ? Status() : Status(ErrorCode::kInvalidInput, text);
  };
  COHORT_RETURN_IF_ERROR(
      check(options.top >= 1 && options.top <= 1000, "--top must be a whole number from 1 to 1000"));
  COHORT_RETURN_IF_ERROR(
      check(options.diversity >= 0 && options.diversity <= 1, "--diversity must be a number from 0 to 1"));
  for (const double diversity : options.try_diversity)
    COHORT_RETURN_IF_ERROR(
        check(diversity >= 0 && diversity <= 1, "--try-diversity must be numbers from 0 to 1"));
  COHORT_RETURN_IF_ERROR(
      check(options.try_diversity.empty() || options.at != RecommendAt::kEnd,
            "--try-diversity judges lists by what came after the moment: give --at valid, or test"));
  COHORT_RETURN_IF_ERROR(
      check(options.exposure >= 0 && options.exposure <= 0.5, "--exposure must be a share from 0 to 0.5"));
  COHORT_RETURN_IF_ERROR(check(options.new_days >= 0 && options.new_days <= 3650,
                               "--new-days must be a whole number from 0 to 3650"));
  COHORT_RETURN_IF_ERROR(
      check(options.model.empty() == options.learn_model.empty(),
            "--model and --learn-model go together: the weights are learned from scores as of an earlier "
            "snapshot, and a model that has seen what came after it would look better than it is"));
  COHORT_RETURN_IF_ERROR(check(options.model.empty() || options.model != options.learn_model,
                               "--model and --learn-model name the same run; train --learn-model on what was "
                               "before the snapshot before (--write-pairs)"));
  COHORT_RETURN_IF_ERROR(check(
      options.ranker.empty() == options.learn_ranker.empty(),
      "--ranker and --learn-ranker go together: the weights are learned with the scores of candidates of "
      "the snapshot before, and the lists are made with those of the moment"));
  COHORT_RETURN_IF_ERROR(check(options.ranker.empty() || options.ranker != options.learn_ranker,
                               "--ranker and --learn-ranker name the same file; score the candidates of the "
                               "snapshot before for --learn-ranker (--write-candidates)"));
  COHORT_RETURN_IF_ERROR(check(options.truth.empty() || options.at == RecommendAt::kTest,
                               "--truth is of the test snapshot: give --at test"));
  return {};
}

// Of each source by itself, from items drawn; then, with `blend`, of all together, among what the sources would name: the mixture of their
// scores, and of the likeliest weights of all features, that ranks the choices best.
Learned LearnWeights(Recommender& earlier, Time end, const RecommendOptions& options, bool blend,
                     const Recommender::Progress& progress) {
  Learned learned;
  Recommender::ChoiceOptions choice_options{
      .end = end, .skip_bought = options.skip_bought, .seed = options.seed};
  Choices choices = earlier.DrawChoices(choice_options, progress);
  learned.features = earlier.features();
  const std::size_t features = learned.features.size();
  std::vector<std::vector<double>>& source_weights = learned.source_weights;
  for (std::size_t source = 0; source < earlier.sources().size(); ++source) {
    std::vector<bool> used(features);
    for (std::size_t f = 0; f < features; ++f) used[f] = earlier.SourceOf(f) == source;
    source_weights.push_back(FitChoices(choices, used, kChoiceL2));
  }
  if (blend) {
    earlier.Index(source_weights, options.exact_items, progress);
    choice_options.among_candidates = true;
    choices = earlier.DrawChoices(choice_options, progress);
  }
  learned.choices = choices.size();
  if (!blend) return learned;
  std::vector<std::vector<double>> directions = source_weights;
  directions.push_back(FitChoices(choices, std::vector<bool>(features, true), kChoiceL2));
  const std::vector<double> shares =
      AscendGain(Project(choices, directions), std::max(options.top, kLeastGainTop));
  std::vector<double>& weights = learned.weights;
  weights.assign(features, 0);
  for (std::size_t k = 0; k < directions.size(); ++k) {
    for (std::size_t f = 0; f < features; ++f) weights[f] += shares[k] * directions[k][f];
  }
  // On the scale of log-odds.
  const double scale = FitChoices(Project(choices, {weights}), {true}, kChoiceL2)[0];
  for (double& weight : weights) weight *= scale > 0 ? scale : 1;
  return learned;
}

// By one process for all.
Result<Learned> LearnOnce(const RecommendInput& input, const RecommendOptions& options, bool blend,
                          Partitions& partitions, std::vector<std::string>* warnings,
                          const Recommender::Progress& progress) {
  const RecommendPeriods& periods = input.periods;
  const auto learn = [&]() -> Result<std::string> {
    COHORT_ASSIGN_OR_RETURN(std::unique_ptr<RankerScores> ranker,
                            ReadRanker(options.learn_ranker, input.history, warnings));
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Recommender> earlier,
                            input.Make(periods.learned_at, options.learn_model, std::move(ranker), progress));
    return ToBytes(LearnWeights(*earlier, periods.at, options, blend, progress));
  };
  COHORT_ASSIGN_OR_RETURN(const std::string bytes, partitions.Once("weights", learn));
  COHORT_ASSIGN_OR_RETURN(Learned learned, LearnedFrom(bytes));
  if (learned.choices == 0)
    return InvalidInput(options.shop + ": nobody who was there before " + TimeText(periods.learned_at) +
                        " has a " + EventKindName(input.target) + " from then on and before " +
                        TimeText(periods.at) +
                        " that any recommender would name: there is nothing to learn the weights from; "
                        "check [snapshots]");
  return learned;
}

Status CheckFeatures(const RecommendInput& input, const std::vector<std::string>& learned,
                     const Recommender& recommender) {
  if (recommender.features() == learned) return {};
  const auto only = [](const std::vector<std::string>& names, const std::vector<std::string>& others) {
    std::string text;
    for (const std::string& name : names) {
      if (std::find(others.begin(), others.end(), name) == others.end())
        text += (text.empty() ? "" : ", ") + name;
    }
    return text.empty() ? "none" : text;
  };
  return {ErrorCode::kInvalidInput,
          input.history.schema.path + ": only at the moment there are the scores " +
              only(recommender.features(), learned) + ", and only at the snapshot before (" +
              TimeText(input.periods.learned_at) + ") " + only(learned, recommender.features()) +
              "; expected the same fields of items and kinds of events at both, and the same columns of "
              "predictions in --ranker and --learn-ranker"};
}

std::vector<std::uint32_t> KnownUsers(const ShopHistory& history, const Recommender& recommender) {
  std::vector<std::uint32_t> users;
  for (std::uint32_t user = 0; user < history.users.size(); ++user) {
    if (recommender.Knows(user)) users.push_back(user);
  }
  return users;
}

// What the ranker has no scores of, among candidates of some users: it makes these the least likely ones. Empty: it has all.
std::string Unscored(const Recommender& recommender, const RankerScores& ranker,
                     const std::vector<std::uint32_t>& users, bool skip_bought) {
  std::size_t candidates = 0, unscored = 0;
  const std::size_t looked_at = std::min(kUsersUnscored, users.size());
  for (std::size_t k = 0; k < looked_at; ++k) {
    const std::uint32_t user = users[k * users.size() / looked_at];
    for (const std::uint32_t item :
         Recommender::Candidates(recommender.Nominate(user, skip_bought, Recommender::kCandidates))) {
      ++candidates;
      unscored += !ranker.Has(user, item);
    }
  }
  if (unscored == 0) return "";
  return "has no scores of " + std::to_string(unscored) + " of " + std::to_string(candidates) +
         " candidates of " + std::to_string(looked_at) +
         " users, and makes them the least likely; score all candidates of the same logs, moment and options "
         "(--write-candidates)";
}

// Without make and take. `users` outlive it.
PartitionedWork UserWork(const std::string& doing, const ShopHistory& history, const Recommender& recommender,
                         const std::vector<std::uint32_t>& users) {
  PartitionedWork work;
  work.doing = doing, work.noun = "users";
  work.count = users.size(), work.size = kUsersOfPart;
  work.name_of = [&](std::uint64_t number) { return history.users[users[number]]; };
  work.fingerprint = history.Fingerprint();
  if (users.empty()) return work;
  std::vector<std::uint32_t> all_items(history.items.size());
  std::iota(all_items.begin(), all_items.end(), 0);
  const Recommender::Scored scored = recommender.Score(users[0], std::move(all_items));
  for (const float score : scored.scores)  // the models are in the scores
    work.fingerprint = RandomBits(work.fingerprint, std::bit_cast<std::uint32_t>(score));
  return work;
}

Status WriteLists(const std::string& path, const ShopHistory& history, const Recommender& recommender,
                  const std::vector<std::uint32_t>& users, const std::vector<RecommendationList>& lists,
                  const Recommender::Progress& progress, RecommendReport* report) {
  COHORT_ASSIGN_OR_RETURN(CsvFile file, CsvFile::Create(path));
  file.Row({"user", "rank", "item", "score", "reason"});
  report->reasons.resize(report->features.size());
  for (std::size_t number = 0; number < users.size(); ++number) {
    const std::string user = CsvCell(history.users[users[number]]);
    for (std::size_t i = 0; i < lists[number].items.size(); ++i) {
      const ListedItem& listed = lists[number].items[i];
      ++report->reasons[listed.feature];
      file.Text(user).Whole(static_cast<std::int64_t>(i + 1)).Text(CsvCell(history.items[listed.item].name));
      file.Number(listed.probability).Text(CsvCell(recommender.Reason(users[number], listed))).EndRow();
    }
    if (number % 256 == 0)
      progress("writing: " + std::to_string(number) + " of " + std::to_string(users.size()) + " users");
  }
  COHORT_RETURN_IF_ERROR(file.Close());
  return file.Commit();
}

}  // namespace

Result<RecommendReport> Recommend(const RecommendOptions& options, Partitions& partitions,
                                  const std::function<void(const std::string&)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  COHORT_RETURN_IF_ERROR(CheckOptions(options));
  RecommendReport report;
  COHORT_ASSIGN_OR_RETURN(
      const std::unique_ptr<RecommendInput> input,
      RecommendInput::Read(options, DirectoryOf(options.out), &report.warnings, progress));
  const ShopHistory& history = input->history;
  const RecommendPeriods& periods = input->periods;
  report.top = options.top;
  report.users = history.users.size();
  report.items = history.items.size();
  report.acts = history.acts.size();
  report.findings = history.findings;
  report.learned_at = TimeText(periods.learned_at);
  report.at = TimeText(periods.at);
  report.until = TimeText(periods.until);
  report.target = EventKindName(input->target);
  std::optional<RecommendationTruth> truth;
  if (!options.truth.empty()) {
    COHORT_ASSIGN_OR_RETURN(truth, RecommendationTruth::Read(options.truth, history, periods.at));
  }

  COHORT_ASSIGN_OR_RETURN(Learned learned,
                          LearnOnce(*input, options, true, partitions, &report.warnings, progress));
  report.features = std::move(learned.features);
  report.weights = std::move(learned.weights);
  report.choices = learned.choices;

  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<RankerScores> ranker,
                          ReadRanker(options.ranker, history, &report.warnings));
  const RankerScores* const scores = ranker.get();
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Recommender> recommender,
                          input->Make(periods.at, options.model, std::move(ranker), progress));
  COHORT_RETURN_IF_ERROR(CheckFeatures(*input, report.features, *recommender));
  recommender->Index(std::move(learned.source_weights), options.exact_items, progress);
  const ItemLabels labels(history);
  const std::vector<bool> group = GroupOf(history, *recommender, options.new_days);
  std::vector<std::uint32_t> group_items;
  for (std::uint32_t item = 0; item < group.size(); ++item) {
    if (group[item]) group_items.push_back(item);
  }
  report.group_items = group_items.size();
  // Of each source by itself, all together, with each of try_diversity; re-ranked.
  std::vector<QualitySum> no_sums;
  for (const auto& source : recommender->sources())
    no_sums.emplace_back(source->name(), history.items.size());
  no_sums.emplace_back("blended", history.items.size());
  for (const double diversity : options.try_diversity) {
    char name[32];
    std::snprintf(name, sizeof name, "diversity %g", diversity);
    no_sums.emplace_back(name, history.items.size());
  }
  no_sums.emplace_back("re-ranked", history.items.size());
  const std::size_t blended = recommender->sources().size();
  const std::vector<std::uint32_t> users = KnownUsers(history, *recommender);
  COHORT_ASSIGN_OR_RETURN(const std::string spread, partitions.Once("spread", [&]() -> Result<std::string> {
    return ToCbor(Json{recommender->Spread(users, report.weights, options.skip_bought),
                       scores != nullptr ? Unscored(*recommender, *scores, users, options.skip_bought) : ""});
  }));
  std::string unscored;
  COHORT_RETURN_IF_ERROR(FromCbor(
      spread, [&](const Json& json) { json.at(0).get_to(report.spread), json.at(1).get_to(unscored); }));
  if (!unscored.empty()) report.warnings.push_back(options.ranker + ": " + unscored);
  if (recommender->approximate()) {
    COHORT_ASSIGN_OR_RETURN(const std::string recall, partitions.Once("recall", [&]() -> Result<std::string> {
      return ToCbor(Json(recommender->Recall(users, report.weights, options.skip_bought, options.top,
                                             options.seed, progress)));
    }));
    COHORT_RETURN_IF_ERROR(FromCbor(recall, [&](const Json& json) {
      for (std::size_t i = 0; i <= blended; ++i)
        report.recall.emplace_back(i < blended ? recommender->sources()[i]->name() : "blended",
                                   json.at(i).get<double>());
    }));
  }
  const ListOptions list_options{.top = options.top,
                                 .diversity = options.diversity,
                                 .spread = report.spread,
                                 .promotable = options.exposure > 0 ? kPromotable : 0,
                                 .group = group_items,
                                 .skip_bought = options.skip_bought};
  PartitionedWork work = UserWork("recommending", history, *recommender, users);
  if (scores != nullptr) work.fingerprint = RandomBits(work.fingerprint, scores->Fingerprint());
  work.make = [&](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    std::vector<QualitySum> sums = no_sums;
    Json lists = Json::array(), best_values = Json::array();
    for (std::uint64_t number = first; number < end; ++number) {
      const std::uint32_t user = users[number];
      const std::vector<std::uint32_t> chosen = recommender->Chosen(user, periods.until, options.skip_bought);
      RecommendationTruth::Value best;
      const bool true_value = truth && truth->Knows(user);
      if (true_value) best = truth->Of(user, truth->Best(user, options.top));
      best_values.push_back({best.taste, best.purchase});
      const auto judge = [&](std::size_t sum, const std::vector<std::uint32_t>& list) {
        sums[sum].Add(list, chosen, labels, group);
        if (true_value) sums[sum].AddTruth(truth->Of(user, list), best);
      };
      std::vector<std::vector<std::uint32_t>> nominated =
          recommender->Nominate(user, options.skip_bought, std::max(Recommender::kCandidates, options.top));
      const Recommender::Scored candidates = recommender->Score(user, Recommender::Candidates(nominated));
      if (truth || !chosen.empty()) {
        for (std::size_t source = 0; source < blended; ++source) {
          nominated[source].resize(std::min(options.top, nominated[source].size()));
          judge(source, nominated[source]);
        }
      }
      for (std::size_t i = 0; i <= options.try_diversity.size(); ++i) {
        const ListOptions only{.top = options.top,
                               .diversity = i == 0 ? 0 : options.try_diversity[i - 1],
                               .spread = report.spread};
        judge(blended + i, ItemsOf(recommender->List(user, candidates, report.weights, only, labels)));
      }
      const RecommendationList list =
          recommender->List(user, candidates, report.weights, list_options, labels);
      lists.push_back({ToJson(list.items), ToJson(list.promotable)});
    }
    Json sum_json = Json::array();
    for (const QualitySum& sum : sums) sum_json.push_back(sum.ToJson());
    return ToCbor(Json{std::move(lists), std::move(best_values), std::move(sum_json)});
  };
  std::vector<QualitySum> sums = no_sums;
  std::vector<RecommendationList> lists;  // of `users`; beside it, the values of the oracle's lists
  lists.reserve(users.size());
  std::vector<RecommendationTruth::Value> best;
  work.take = [&](const std::string& part) {
    return FromCbor(part, [&](const Json& json) {
      for (const Json& list : json.at(0)) lists.push_back({ItemsFrom(list.at(0)), ItemsFrom(list.at(1))});
      for (const Json& value : json.at(1))
        best.push_back({value.at(0).get<double>(), value.at(1).get<double>()});
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i].AddPart(json.at(2).at(i));
    });
  };
  COHORT_RETURN_IF_ERROR(partitions.Run(work));
  if (options.exposure > 0) report.exposure_held = HoldExposure(lists, group, options.exposure);
  if (!report.exposure_held) {
    const std::string none =
        options.new_days > 0 ? "no item came within --new-days" : "there are too few items";
    report.warnings.push_back(
        "the share of exposure is not held: " +
        (group_items.empty() ? none : "the lists have no more items of the group to take"));
  }
  const auto is_short = [&](const RecommendationList& list) { return list.items.size() < options.top; };
  if (const auto count = std::count_if(lists.begin(), lists.end(), is_short); count > 0)
    report.warnings.push_back(std::to_string(count) + " of " + std::to_string(lists.size()) +
                              " lists have fewer than " + std::to_string(options.top) +
                              " items: a list holds what the recommenders name, " +
                              std::to_string(Recommender::kCandidates) + " items each, or all there are");
  for (std::size_t number = 0; number < users.size(); ++number) {
    const std::uint32_t user = users[number];
    const std::vector<std::uint32_t> list = ItemsOf(lists[number]);
    sums.back().Add(list, recommender->Chosen(user, periods.until, options.skip_bought), labels, group);
    if (truth && truth->Knows(user)) sums.back().AddTruth(truth->Of(user, list), best[number]);
  }
  for (QualitySum& sum : sums) report.quality.push_back(sum.Finish(truth.has_value()));
  report.judged_users = sums[blended].judged();
  report.lists = users.size();

  COHORT_RETURN_IF_ERROR(WriteLists(options.out, history, *recommender, users, lists, progress, &report));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

Result<CandidateReport> WriteCandidates(const RecommendOptions& options, const std::string& path,
                                        Partitions& partitions,
                                        const std::function<void(const std::string&)>& progress) {
  COHORT_RETURN_IF_ERROR(CheckOptions(options));
  CandidateReport report;
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<RecommendInput> input,
                          RecommendInput::Read(options, DirectoryOf(path), &report.warnings, progress));
  const ShopHistory& history = input->history;
  const RecommendPeriods& periods = input->periods;
  report.findings = history.findings;
  report.learned_at = TimeText(periods.learned_at);
  report.at = TimeText(periods.at);
  report.until = TimeText(periods.until);
  COHORT_ASSIGN_OR_RETURN(Learned learned,
                          LearnOnce(*input, options, false, partitions, &report.warnings, progress));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Recommender> recommender,
                          input->Make(periods.at, options.model, nullptr, progress));
  COHORT_RETURN_IF_ERROR(CheckFeatures(*input, learned.features, *recommender));
  recommender->Index(std::move(learned.source_weights), options.exact_items, progress);
  COHORT_ASSIGN_OR_RETURN(const CandidateRows rows,
                          CandidateRows::Make(history, *recommender, input->segments, periods.until));
  for (const EventKind kind : rows.labels()) report.labels.emplace_back(EventKindName(kind), 0);
  const std::vector<std::uint32_t> users = KnownUsers(history, *recommender);
  report.users = users.size();

  std::optional<CsvFile> file;  // of the process that takes
  const auto open = [&]() -> Status {
    if (file) return {};
    COHORT_ASSIGN_OR_RETURN(file, CsvFile::Create(path));
    file->Lines(rows.Header());
    return {};
  };
  PartitionedWork work = UserWork("writing candidates", history, *recommender, users);
  work.make = [&](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    std::string lines;
    std::vector<std::uint64_t> positives(rows.labels().size());
    std::uint64_t count = 0;
    for (std::uint64_t number = first; number < end; ++number) {
      const Recommender::Scored candidates = recommender->Score(
          users[number], Recommender::Candidates(recommender->Nominate(users[number], options.skip_bought,
                                                                       Recommender::kCandidates)));
      rows.Append(users[number], candidates, &lines, &positives);
      count += candidates.items.size();
    }
    return ToCbor(Json{count, positives, std::move(lines)});
  };
  work.take = [&](const std::string& part) -> Status {
    COHORT_RETURN_IF_ERROR(open());
    return FromCbor(part, [&](const Json& json) {
      report.rows += json.at(0).get<std::uint64_t>();
      for (std::size_t k = 0; k < report.labels.size(); ++k)
        report.labels[k].second += json.at(1).at(k).get<std::uint64_t>();
      file->Lines(json.at(2).get_ref<const std::string&>());
    });
  };
  COHORT_RETURN_IF_ERROR(partitions.Run(work));
  COHORT_RETURN_IF_ERROR(open());  // nobody is known
  COHORT_RETURN_IF_ERROR(file->Close());
  COHORT_RETURN_IF_ERROR(file->Commit());
  return report;
}

Result<std::uint64_t> WritePairs(const RecommendOptions& options, const std::string& path,
                                 const std::function<void(const std::string&)>& progress) {
  std::vector<std::string> warnings;  // none without --segment and --unavailable
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<RecommendInput> input,
                          RecommendInput::Read(options, DirectoryOf(path), &warnings, progress));
  const ShopHistory& history = input->history;
  const TasteMatrix tastes(history, input->periods.at);
  COHORT_ASSIGN_OR_RETURN(CsvFile file, CsvFile::Create(path));
  file.Row({"user", "item", "label"});
  std::uint64_t pairs = 0;
  for (std::size_t user = 0; user < tastes.users(); ++user) {
    const std::string name = CsvCell(history.users[user]);
    for (const Taste& taste : tastes.OfUser(user)) {
      file.Text(name).Text(CsvCell(history.items[taste.other].name)).Whole(1).EndRow();
      ++pairs;
    }
  }
  COHORT_RETURN_IF_ERROR(file.Close());
  COHORT_RETURN_IF_ERROR(file.Commit());
  return pairs;
}

}  // namespace cohort
