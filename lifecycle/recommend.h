// `cohort recommend`: lists of items for every user, from the logs of a shop. START HERE.
//
//   ShopHistory    who did what              ItemSimilarity, FactorVectors, RankerScores, ContentTaste, SegmentPopularity: score sources
//   TasteMatrix    ... before a moment       Recommender   all of them, as of a moment
//   ChoiceModel    their weights             ListDiversity, ListExposure: re-ranking
//   CandidateRows  what to train a ranker on  ListQuality   how good lists are
//
// The weights are learned from what users chose between the snapshot before and the moment that is recommended for, from scores as of
// that snapshot; the lists are made of scores as of the moment itself.
#ifndef COHORT_LIFECYCLE_RECOMMEND_H_
#define COHORT_LIFECYCLE_RECOMMEND_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/partitions.h"
#include "common/status.h"
#include "lifecycle/event.h"
#include "lifecycle/list_quality.h"
#include "prepare/prepare.h"

namespace cohort {

// The last snapshot of the split of that name (and number); after all events.
enum class RecommendAt { kTrain, kValid, kTest, kEnd };

struct RecommendOptions {
  std::string shop, data_directory, out;
  RecommendAt at = RecommendAt::kEnd;
  std::size_t top = 10;
  std::string model,
      learn_model;  // factorisations trained on what was before the moment, and before the snapshot before
  std::string ranker,
      learn_ranker;  // scores of candidates of the moment, and of the snapshot before (ranker_scores.h)
  std::vector<std::string> segment;  // attributes of users
  bool skip_bought = false;
  std::string unavailable;            // CSV with a column `item`; empty: none
  double diversity = 0;               // list_diversity.h
  std::vector<double> try_diversity;  // lists with each of these are judged as well, to choose by
  double exposure = 0;                // least share of the group (list_exposure.h)
  std::size_t exact_items = 20'000;   // of more, the sources retrieve their candidates (Recommender::Index)
  int new_days =
      0;  // the group: 0: the tenth of items that fewest users took; else items that came within so many days
  std::uint64_t seed = 1;  // of the choices drawn
  std::string truth;       // a generated shop's truth/; empty: none
};

struct RecommendReport {
  std::uint64_t users = 0, items = 0, acts = 0, lists = 0, judged_users = 0, choices = 0, group_items = 0;
  std::size_t top = 0;
  std::string learned_at, at, until, target;
  std::vector<std::string> features;
  std::vector<double> weights;
  double spread = 1;                   // of a user's log-odds: the unit of --diversity (Recommender::Spread)
  std::vector<std::uint64_t> reasons;  // list places by feature
  bool exposure_held = true;
  std::vector<ListQuality>
      quality;  // each source by itself, all together, with each of try_diversity, re-ranked; without outcomes ndcg and hit_rate are 0
  // Where candidates are retrieved: of the best by all items, the share that is found, of each source and of the blend.
  std::vector<std::pair<std::string, double>> recall;
  Findings findings;  // of the logs
  std::vector<std::string> warnings;
  double seconds = 0;
};

// Writes user,rank,item,score,reason. `partitions` make the lists; the weights are learned once. kInvalidInput: wrong
// options, description or data.
Result<RecommendReport> Recommend(const RecommendOptions& options, Partitions& partitions,
                                  const std::function<void(const std::string&)>& progress);

struct CandidateReport {
  std::uint64_t rows = 0, users = 0;
  std::string learned_at, at, until;  // until: the labels'; `at`: they are not known yet
  std::vector<std::pair<std::string, std::uint64_t>> labels;  // by name: rows of label 1
  Findings findings;
  std::vector<std::string> warnings;
};

// Writes what the sources name for each user as of the moment (candidate_rows.h), for a model of several tasks to learn from or to score. All users' rows,
// whatever their labels: the same file serves for both, and predictions keep to how often things happen. Source weights are learned
// as for lists. Partitions make the rows; memory does not grow with them. kInvalidInput: as Recommend.
Result<CandidateReport> WriteCandidates(const RecommendOptions& options, const std::string& path,
                                        Partitions& partitions,
                                        const std::function<void(const std::string&)>& progress);

// Writes user,item,label of each pair of user and item before the moment: what `cohort prepare` and `cohort train` make a factorisation of. Returns
// the number of pairs.
Result<std::uint64_t> WritePairs(const RecommendOptions& options, const std::string& path,
                                 const std::function<void(const std::string&)>& progress);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_RECOMMEND_H_
