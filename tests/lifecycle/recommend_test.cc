// `cohort recommend`: each score source against its formula, the weights against finite differences, re-ranking against worked examples,
// and the whole from files to lists.
#include "lifecycle/recommend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>
#include <sstream>

#include "common/random.h"
#include "lifecycle/content_taste.h"
#include "lifecycle/factor_vectors.h"
#include "lifecycle/item_similarity.h"
#include "lifecycle/recommender.h"
#include "lifecycle/segment_popularity.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {
namespace {

using ::testing::HasSubstr;

// A history in memory: acts by user, items named i0, i1, ... with one of two categories.
ShopHistory History(const std::vector<std::vector<Act>>& acts, std::size_t items) {
  ShopHistory history;
  history.first_act.push_back(0);
  for (std::size_t user = 0; user < acts.size(); ++user) {
    history.users.push_back("u" + std::to_string(user));
    history.user_since.push_back(0);
    history.acts.insert(history.acts.end(), acts[user].begin(), acts[user].end());
    history.first_act.push_back(history.acts.size());
  }
  for (std::size_t i = 0; i < items; ++i) {
    history.items.push_back({.name = "i" + std::to_string(i), .category = i % 2 == 0 ? "even" : "odd"});
    history.item_since.push_back(kNoTime);
    history.prices.push_back(kNoMoney);
    history.price_since.push_back(kNoTime);
  }
  return history;
}

ShopHistory RandomHistory(std::uint64_t seed, std::size_t users, std::size_t items) {
  RandomStream random(seed);
  std::vector<std::vector<Act>> acts(users);
  for (std::vector<Act>& of_user : acts) {
    const std::uint64_t count = random.Below(25);
    for (std::uint64_t i = 0; i < count; ++i)
      of_user.push_back({static_cast<Time>(random.Below(1000)),
                         static_cast<std::uint32_t>(random.Below(items)),
                         static_cast<EventKind>(random.Below(5))});
    std::stable_sort(of_user.begin(), of_user.end(),
                     [](const Act& a, const Act& b) { return a.time < b.time; });
  }
  return History(acts, items);
}

UserSegments OneSegment(const ShopHistory& history) {
  UserSegments segments;
  segments.of_user.assign(history.users.size(), 0);
  return segments;
}

std::vector<std::uint32_t> AllItems(const ShopHistory& history) {
  std::vector<std::uint32_t> items(history.items.size());
  std::iota(items.begin(), items.end(), 0);
  return items;
}

TEST(ShopHistory, AFingerprintSeesEveryChange) {
  const std::vector<std::vector<Act>> acts = {{{5, 0, EventKind::kView}, {7, 1, EventKind::kPurchase}},
                                              {{6, 2, EventKind::kView}}};
  const std::uint64_t same = History(acts, 3).Fingerprint();
  EXPECT_EQ(History(acts, 3).Fingerprint(), same);
  std::set<std::uint64_t> prints = {same, History(acts, 4).Fingerprint()};
  auto changed = acts;
  changed[0][0].time = 6;
  prints.insert(History(changed, 3).Fingerprint());
  changed = acts, changed[0][0].item = 1;
  prints.insert(History(changed, 3).Fingerprint());
  changed = acts, changed[0][0].kind = EventKind::kCart;
  prints.insert(History(changed, 3).Fingerprint());
  ShopHistory history = History(acts, 3);
  history.users[1] = "u7";
  prints.insert(history.Fingerprint());
  history = History(acts, 3), history.items[0].text = "a cup";
  prints.insert(history.Fingerprint());
  history = History(acts, 3), history.prices[2] = 199;
  prints.insert(history.Fingerprint());
  history = History(acts, 3), history.user_since[0] = 3;
  prints.insert(history.Fingerprint());
  EXPECT_EQ(prints.size(), 9u);
}

TEST(Recommend, TastesAreOfWhatWasBefore) {
  const ShopHistory history = History({{{1, 3, EventKind::kView},
                                        {2, 1, EventKind::kPurchase},
                                        {3, 3, EventKind::kPurchase},
                                        {4, 2, EventKind::kReturn},
                                        {5, 0, EventKind::kView}}},
                                      4);
  const TasteMatrix tastes(history, 5);
  const auto of_user = tastes.OfUser(0);
  ASSERT_EQ(of_user.size(), 2u);
  EXPECT_EQ(of_user[0].other, 1u);  // item 3 was taken after it
  EXPECT_FLOAT_EQ(of_user[0].strength, std::log2(5.0f));
  EXPECT_EQ(of_user[1].other, 3u);
  EXPECT_FLOAT_EQ(of_user[1].strength, std::log2(6.0f));
  EXPECT_TRUE(tastes.OfItem(0).empty());
  ASSERT_EQ(tastes.OfItem(3).size(), 1u);
}

TEST(Recommend, SimilarItemsAreThoseOfTheFormula) {
  const std::size_t users = 60, items = 15;
  const ShopHistory history = RandomHistory(7, users, items);
  const TasteMatrix tastes(history, 800);
  SimilarityOptions options;
  options.shrink = 3;
  options.neighbours = 5;
  const std::vector<std::string> names(items, "x");
  const ItemSimilarity similarity(tastes, names, options);
  std::vector<double> dense(users * items);
  for (std::size_t user = 0; user < users; ++user) {
    for (const Taste& taste : tastes.OfUser(user)) dense[user * items + taste.other] = taste.strength;
  }
  std::vector<double> all(items * items);
  for (std::size_t i = 0; i < items; ++i) {
    for (std::size_t j = 0; j < items; ++j) {
      double product = 0, of_i = 0, of_j = 0, both = 0;
      for (std::size_t user = 0; user < users; ++user) {
        const double a = dense[user * items + i], b = dense[user * items + j];
        product += a * b, of_i += a * a, of_j += b * b, both += a > 0 && b > 0;
      }
      if (i != j && both > 0)
        all[i * items + j] = product / std::sqrt(of_i * of_j) * both / (both + options.shrink);
    }
  }
  for (std::size_t i = 0; i < items; ++i) {
    std::vector<double> row(all.begin() + static_cast<std::ptrdiff_t>(i * items),
                            all.begin() + static_cast<std::ptrdiff_t>((i + 1) * items));
    const auto neighbours = similarity.Neighbours(i);
    ASSERT_EQ(neighbours.size(), 5u);
    for (const Neighbour& neighbour : neighbours)
      EXPECT_NEAR(neighbour.similarity, row[neighbour.item], 1e-6);
    std::sort(row.rbegin(), row.rend());
    for (std::size_t k = 0; k < neighbours.size(); ++k) EXPECT_NEAR(neighbours[k].similarity, row[k], 1e-6);
  }
  // Scores: the user's items' neighbours, weighted.
  std::vector<float> scores(2 * items);
  for (std::uint32_t user = 0; user < 5; ++user) {
    similarity.Score(user, AllItems(history), scores);
    const auto taken = tastes.OfUser(user);
    std::vector<double> similar(items), recent(items);
    double total = 0, faded = 0;
    for (std::size_t k = 0; k < taken.size(); ++k) {
      const Taste& taste = taken[taken.size() - 1 - k];
      const double fading = std::exp2(-static_cast<double>(k) / options.half_life);
      total += taste.strength;
      faded += fading * taste.strength;
      for (const Neighbour& neighbour : similarity.Neighbours(taste.other)) {
        similar[neighbour.item] += static_cast<double>(taste.strength) * neighbour.similarity;
        recent[neighbour.item] += fading * taste.strength * neighbour.similarity;
      }
    }
    for (std::size_t i = 0; i < items; ++i) {
      EXPECT_NEAR(scores[i], std::log(options.floor + (total > 0 ? similar[i] / total : 0)), 1e-4);
      EXPECT_NEAR(scores[items + i], std::log(options.floor + (faded > 0 ? recent[i] / faded : 0)), 1e-4);
    }
  }
}

TEST(Recommend, ContentIsTheLiftOfWhatTheUserChooses) {
  // User 0 takes even items (two views), user 1 one odd and one even; strengths 1. b(even) = (3 + 2 * 3.5 / 5) / (4 + 2).
  const ShopHistory history = History({{{1, 0, EventKind::kView}, {2, 2, EventKind::kView}},
                                       {{1, 1, EventKind::kView}, {2, 2, EventKind::kView}}},
                                      4);
  const TasteMatrix tastes(history, 10);
  const UserSegments segments = OneSegment(history);
  const ContentTaste content(history, tastes, segments, 5);
  ASSERT_EQ(content.features(), std::vector<std::string>{"category"});
  const double even = (3 + 2 * 3.5 / 5) / 6, odd = (1 + 2 * 1.5 / 5) / 6;
  std::vector<float> scores(4);
  content.Score(0, AllItems(history), scores);
  EXPECT_NEAR(scores[0], std::log((2 + 5 * even) / 7 / even), 1e-6);
  EXPECT_NEAR(scores[1], std::log((0 + 5 * odd) / 7 / odd), 1e-6);
  EXPECT_EQ(scores[2], scores[0]);
  EXPECT_EQ(content.Reason(0, 0, 0), "you choose even");
}

TEST(Recommend, PopularityIsThatOfTheSegment) {
  // Segment 0 buys items 0, 0, 2; segment 1 buys item 1.
  const ShopHistory history =
      History({{{1, 0, EventKind::kPurchase}, {2, 0, EventKind::kPurchase}, {3, 2, EventKind::kPurchase}},
               {{1, 1, EventKind::kPurchase}, {99, 3, EventKind::kPurchase}}},
              4);
  UserSegments segments;
  segments.attributes = {"gender"};
  segments.of_user = {0, 1};
  segments.count = 2;
  const SegmentPopularity popularity(history, 50, segments, EventKind::kPurchase);
  ASSERT_EQ(popularity.features().size(), 1u);
  std::vector<float> scores(4);
  popularity.Score(1, AllItems(history), scores);
  const double p0 = 2.5 / 6, p1 = 1.5 / 6, p3 = 0.5 / 6, even = 4.0 / 6, odd = 2.0 / 6;
  const double share_odd = (1 + odd * 2) / (1 + 2), share_even = (0 + even * 2) / (1 + 2);
  EXPECT_NEAR(scores[0], std::log((0 + 4 * p0 * share_even / even) / 5), 1e-6);
  EXPECT_NEAR(scores[1], std::log((1 + 4 * p1 * share_odd / odd) / 5), 1e-6);
  EXPECT_NEAR(scores[3], std::log((0 + 4 * p3 * share_odd / odd) / 5), 1e-6);
  EXPECT_EQ(popularity.Reason(1, 1, 0), "popular with customers like you (gender)");
  double total = 0;
  for (const float score : scores) total += std::exp(score);
  EXPECT_NEAR(total, 1, 1e-6);
}

Choices RandomChoices(std::uint64_t seed, std::size_t choices, std::size_t alternatives,
                      const std::vector<double>& weights) {
  RandomStream random(seed);
  Choices made{.features = weights.size(), .first = {0}, .scores = {}, .offsets = {}};
  for (std::size_t c = 0; c < choices; ++c) {
    std::vector<float> scores(alternatives * weights.size());
    for (float& score : scores) score = static_cast<float>(2 * random.Uniform() - 1);
    // The one with the largest utility + Gumbel noise is chosen with the probability of the model.
    std::size_t chosen = 0;
    double best = -1e300;
    for (std::size_t i = 0; i < alternatives; ++i) {
      double utility = -std::log(-std::log(random.Uniform() + 1e-300));
      for (std::size_t f = 0; f < weights.size(); ++f) utility += weights[f] * scores[i * weights.size() + f];
      if (utility > best) best = utility, chosen = i;
    }
    for (std::size_t f = 0; f < weights.size(); ++f)
      std::swap(scores[f], scores[chosen * weights.size() + f]);
    made.scores.insert(made.scores.end(), scores.begin(), scores.end());
    made.offsets.resize(made.offsets.size() + alternatives);
    made.first.push_back(made.offsets.size());
  }
  return made;
}

TEST(Recommend, TheLikelihoodsDerivativesAreThoseOfFiniteDifferences) {
  Choices choices = RandomChoices(3, 20, 6, {0.5, -1, 2});
  for (std::size_t i = 0; i < choices.offsets.size(); ++i)
    choices.offsets[i] = 0.1f * static_cast<float>(i % 7);
  const std::vector<double> at = {0.3, -0.2, 0.7};
  std::vector<double> gradient, curvature, up, down;
  LogLikelihood(choices, at, &gradient, &curvature);
  for (std::size_t f = 0; f < at.size(); ++f) {
    std::vector<double> above = at, below = at;
    above[f] += 1e-5, below[f] -= 1e-5;
    EXPECT_NEAR(gradient[f],
                (LogLikelihood(choices, above, &up) - LogLikelihood(choices, below, &down)) / 2e-5, 1e-6);
    for (std::size_t g = 0; g < at.size(); ++g)
      EXPECT_NEAR(curvature[f * at.size() + g], (up[g] - down[g]) / 2e-5, 1e-6);
  }
}

TEST(Recommend, WeightsAreFoundAgain) {
  const std::vector<double> truth = {0.8, 0, -1.5};
  const Choices choices = RandomChoices(5, 4000, 10, truth);
  const std::vector<double> found = FitChoices(choices, {true, true, true}, 1e-6);
  for (std::size_t f = 0; f < truth.size(); ++f) EXPECT_NEAR(found[f], truth[f], 0.1);
  std::vector<double> gradient;
  LogLikelihood(choices, found, &gradient);
  for (const double slope : gradient) EXPECT_NEAR(slope, 0, 1e-2);
  EXPECT_EQ(FitChoices(choices, {true, false, true}, 1e-6)[1], 0);
  EXPECT_EQ(FitChoices({.features = 2, .first = {0}, .scores = {}, .offsets = {}}, {true, true}, 1),
            std::vector<double>({0, 0}));
}

TEST(Recommend, TheGainIsThatOfTheChosenItemsRank) {
  const Choices choices{.features = 2,
                        .first = {0, 3, 5},
                        .scores = {2, 0, 3, 0, 1, 5, /* then */ 1, 1, 1, 0},
                        .offsets = {9, 0, 0, 0, 0}};
  const double second = 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(MeanGain(choices, {1, 0}, 10),
                   (second + second) / 2);  // behind a better one; behind an equal one
  EXPECT_DOUBLE_EQ(MeanGain(choices, {1, 0}, 1), 0);
  EXPECT_DOUBLE_EQ(MeanGain(choices, {1, 1}, 10), (1 / std::log2(4.0) + 1) / 2);
  EXPECT_EQ(Project(choices, {{1, 1}}).scores, (std::vector<float>{2, 3, 6, 2, 1}));
  EXPECT_DOUBLE_EQ(MeanGain(Project(choices, {{1, 1}}), {1}, 10), MeanGain(choices, {1, 1}, 10));
}

TEST(Recommend, AscendedWeightsRankBetterThanAnyScoreAlone) {
  const Choices choices = RandomChoices(9, 500, 20, {2, 2, -1});
  const std::vector<double> found = AscendGain(choices, 5);
  for (std::size_t f = 0; f < 3; ++f) {
    std::vector<double> single(3);
    single[f] = 1;
    EXPECT_GT(MeanGain(choices, found, 5), 1.05 * MeanGain(choices, single, 5));
    EXPECT_GE(found[f], 0);
  }
  EXPECT_EQ(found[2], 0);  // its true weight is below 0
}

TEST(Recommend, ADiverseListIsTheWorkedExample) {
  ShopHistory history = History({}, 4);
  history.items[0].tags = {"comedy", "drama"};
  history.items[1].tags = {"drama", "comedy"};
  history.items[2].tags = {"drama"};
  history.items[3].tags = {"war"};
  const ItemLabels labels(history);
  EXPECT_FLOAT_EQ(labels.Distance(0, 1), 0);
  EXPECT_FLOAT_EQ(labels.Distance(0, 2), 0.5f);
  EXPECT_FLOAT_EQ(labels.Distance(0, 3), 1);
  EXPECT_NEAR(labels.MeanDistance(std::vector<std::uint32_t>{0, 1, 3}), 2.0 / 3, 1e-7);
  const std::vector<Candidate> candidates = {{0, 4}, {1, 3.9f}, {2, 3.5f}, {3, 3}};
  const auto list = [&](double diversity) {
    std::vector<std::uint32_t> items;
    for (const Candidate& candidate : DiverseList(candidates, labels, diversity, 3))
      items.push_back(candidate.item);
    return items;
  };
  EXPECT_EQ(list(0), (std::vector<std::uint32_t>{0, 1, 2}));
  // 0.6 u - 0.4 likeness, after 0: 1: 1.94, 2: 1.90, 3: 1.80; after 1: 2: 1.70, 3: 1.80.
  EXPECT_EQ(list(0.4), (std::vector<std::uint32_t>{0, 1, 3}));
  // 0.4 u - 0.6 likeness, after 0: 1: 0.96, 2: 1.10, 3: 1.20; after 3: 1: 0.96, 2: 1.10. Then by utility.
  EXPECT_EQ(list(0.6), (std::vector<std::uint32_t>{0, 2, 3}));
  EXPECT_EQ(DiverseList(candidates, labels, 0.5, 9).size(), 4u);
  EXPECT_TRUE(DiverseList({}, labels, 0.5, 3).empty());
}

TEST(Recommend, ExposureIsHeldWhereItCostsLeast) {
  std::vector<RecommendationList> lists;
  for (std::uint32_t i = 0; i < 100; ++i) {
    RecommendationList list;
    for (std::uint32_t k = 0; k < 5; ++k)
      list.items.push_back({.item = k, .probability = 0.5f / static_cast<float>(k + 1)});
    for (std::uint32_t k = 0; k < 3; ++k)
      list.promotable.push_back({.item = 10 + (i + k) % 10, .probability = 0.001f * static_cast<float>(i)});
    lists.push_back(list);
  }
  std::vector<bool> group(20);
  for (std::size_t i = 10; i < 20; ++i) group[i] = true;
  const std::vector<RecommendationList> before = lists;
  EXPECT_EQ(ExposureShare(lists, group), 0);
  ASSERT_TRUE(HoldExposure(lists, group, 0.03));
  const double share = ExposureShare(lists, group);
  double all = 0;
  for (std::size_t rank = 1; rank <= 5; ++rank) all += PlaceWeight(rank);
  EXPECT_GE(share, 0.03);
  EXPECT_LT(share, 0.03 + PlaceWeight(5) / (100 * all));  // not more than asked for
  // Lists whose promoted items are likeliest lose least; only last places changed.
  std::uint32_t changed = 0;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(lists[i].items[k].item, before[i].items[k].item);
    changed += lists[i].items[4].promoted;
    EXPECT_FALSE(i < 50 && lists[i].items[4].promoted);
  }
  EXPECT_EQ(changed, static_cast<std::uint32_t>(std::ceil(0.03 * 100 * all / PlaceWeight(5))));
  // More than one place of a list, and more than there is.
  ASSERT_TRUE(HoldExposure(lists, group, 0.4));
  EXPECT_GE(ExposureShare(lists, group), 0.4);
  EXPECT_FALSE(HoldExposure(lists, group, 0.9));
}

// A random list, items twice among them, has the scores of the list of all items, to the bit.
void ExpectListScoresThoseOfAll(const ScoreSource& source, const ShopHistory& history) {
  SCOPED_TRACE(source.name());
  const std::vector<std::uint32_t> all = AllItems(history);
  const std::size_t features = source.features().size();
  RandomStream random(17);
  std::set<float> different;
  for (std::uint32_t user = 0; user < history.users.size(); ++user) {
    std::vector<float> of_all(features * all.size());
    source.Score(user, all, of_all);
    for (const std::size_t count : {0, 1, 37}) {
      std::vector<std::uint32_t> list(count);
      for (std::uint32_t& item : list) item = static_cast<std::uint32_t>(random.Below(all.size()));
      std::vector<float> scores(features * count);
      source.Score(user, list, scores);
      for (std::size_t f = 0; f < features; ++f) {
        for (std::size_t i = 0; i < count; ++i)
          ASSERT_EQ(scores[f * count + i], of_all[f * all.size() + list[i]]) << "user " << user;
      }
    }
    different.insert(of_all.begin(), of_all.end());
  }
  EXPECT_GT(different.size(), 20u);
}

std::vector<float> RandomVectors(std::uint64_t seed, std::size_t count) {
  RandomStream random(seed);
  std::vector<float> vectors(count);
  for (float& each : vectors) each = static_cast<float>(2 * random.Uniform() - 1);
  return vectors;
}

TEST(Recommend, ScoresOfAListAreThoseOfAllItems) {
  ShopHistory history = RandomHistory(3, 40, 100);
  for (std::size_t i = 0; i < 100; ++i) history.items[i].text = "cup of " + std::to_string(i % 7);
  const TasteMatrix tastes(history, 800);
  UserSegments segments;
  segments.count = 2;
  for (std::uint32_t user = 0; user < 40; ++user) segments.of_user.push_back(user % 2);
  const std::vector<std::string> names(100, "x");
  ExpectListScoresThoseOfAll(ItemSimilarity(tastes, names, {.neighbours = 20}), history);
  ExpectListScoresThoseOfAll(ContentTaste(history, tastes, segments, 5), history);
  ExpectListScoresThoseOfAll(SegmentPopularity(history, 800, segments, EventKind::kPurchase), history);
  ExpectListScoresThoseOfAll(FactorVectors(9, RandomVectors(1, 40 * 9), RandomVectors(2, 100 * 9)), history);
}

TEST(Recommend, FactorsAreTheProductOfTheVectors) {
  const FactorVectors factors(3, {1, 2, 1, 0, -1, 1}, {4, 5, 6, 7, 8, 9});
  std::vector<float> scores(2);
  factors.Score(0, std::vector<std::uint32_t>{1, 0}, scores);
  EXPECT_EQ(scores, (std::vector<float>{7 + 16 + 9, 4 + 10 + 6}));
  factors.Score(1, std::vector<std::uint32_t>{1, 0}, scores);
  EXPECT_EQ(scores, (std::vector<float>{-8 + 9, -5 + 6}));
}

// Of the n best items by weights . scores of all items, the share that a source retrieves; mean over the users. `met` is the mean number
// of items that it retrieves.
double RecallOf(ScoreSource& source, const ShopHistory& history, const std::vector<double>& weights,
                std::size_t n, double* met) {
  const std::vector<std::uint32_t> all = AllItems(history);
  source.Index(all, weights, [](const std::string&) {});
  const std::size_t users = history.users.size();
  double recall = 0;
  *met = 0;
  for (std::uint32_t user = 0; user < users; ++user) {
    std::vector<float> scores(weights.size() * all.size());
    source.Score(user, all, scores);
    std::vector<double> utilities(all.size());
    for (std::size_t f = 0; f < weights.size(); ++f) {
      for (std::size_t i = 0; i < all.size(); ++i) utilities[i] += weights[f] * scores[f * all.size() + i];
    }
    std::vector<double> sorted = utilities;
    std::sort(sorted.rbegin(), sorted.rend());
    const std::vector<std::uint32_t> items = source.Retrieve(user, n);
    EXPECT_EQ(std::set<std::uint32_t>(items.begin(), items.end()).size(), items.size());
    const auto found = std::count_if(items.begin(), items.end(), [&](std::uint32_t item) {
      return utilities[item] > sorted[n - 1] - 1e-5;  // equal ones are as good
    });
    recall += std::min(1.0, static_cast<double>(found) / static_cast<double>(n)) / static_cast<double>(users);
    *met += static_cast<double>(items.size()) / static_cast<double>(users);
  }
  return recall;
}

// Users and items of groups: a user takes items of their group, and now and then any.
ShopHistory GroupedHistory(std::size_t users, std::size_t items, std::size_t groups) {
  RandomStream random(23);
  std::vector<std::vector<Act>> acts(users);
  for (std::size_t user = 0; user < users; ++user) {
    for (Time time = 0; time < 12; ++time) {
      std::uint64_t item = random.Below(items);
      if (random.Below(4) > 0) item = item / groups * groups + user % groups;
      acts[user].push_back({time, static_cast<std::uint32_t>(std::min<std::uint64_t>(item, items - 1)),
                            random.Below(3) == 0 ? EventKind::kPurchase : EventKind::kView});
    }
  }
  ShopHistory history = History(acts, items);
  for (std::size_t i = 0; i < items; ++i) {
    history.items[i].category = "c" + std::to_string(i % groups);
    history.items[i].brand = "b" + std::to_string(random.Below(60));
    history.items[i].text =
        "w" + std::to_string(random.Below(900)) + " v" + std::to_string(random.Below(900));
    history.prices[i] = static_cast<Money>(1 + random.Below(1000)) * kMoneyUnit;
  }
  return history;
}

TEST(Recommend, RetrievedItemsAreTheBest) {
  const std::size_t users = 60, items = 4000, n = 50, dimensions = 17;
  const ShopHistory history = GroupedHistory(users, items, 12);
  const TasteMatrix tastes(history, 100);
  UserSegments segments;
  segments.count = 3;
  for (std::uint32_t user = 0; user < users; ++user) segments.of_user.push_back(user % 3);
  double met = 0;

  SegmentPopularity popularity(history, 100, segments, EventKind::kPurchase);
  EXPECT_NEAR(RecallOf(popularity, history, {0.7, 0.2}, n, &met), 1, 1e-9);
  EXPECT_NEAR(met, n, 1e-9);

  ContentTaste content(history, tastes, segments, 5);
  ASSERT_EQ(content.features().size(), 4u);
  EXPECT_NEAR(RecallOf(content, history, {0.5, 0.4, 0.1, 0.8}, n, &met), 1, 1e-9);
  EXPECT_LT(met, 0.5 * static_cast<double>(items));
  EXPECT_NEAR(RecallOf(content, history, {0.5, 0.4, 0, 0}, n, &met), 1, 1e-9);
  EXPECT_LT(met, 0.5 * static_cast<double>(items));

  const std::vector<float> of_users = RandomVectors(1, users * dimensions),
                           of_items = RandomVectors(2, items * dimensions);
  for (const double weight : {1.5, -1.5}) {
    FactorVectors factors(dimensions, of_users, of_items), again(dimensions, of_users, of_items);
    EXPECT_GT(RecallOf(factors, history, {weight}, n, &met), 0.95) << weight;
    EXPECT_NEAR(met, n, 1e-9);
    again.Index(AllItems(history), std::vector<double>{weight}, [](const std::string&) {});
    for (std::uint32_t user = 0; user < users; ++user)
      EXPECT_EQ(again.Retrieve(user, n), factors.Retrieve(user, n)) << user;
  }

  // Items that the model does not know (a vector of 0, and the least bias) are in nobody's way.
  std::vector<float> some = of_items, biased = of_users;
  for (std::size_t user = 0; user < users; ++user) biased[user * dimensions + dimensions - 1] = 1;
  for (std::size_t item = 0; item < items / 2; ++item) {
    std::fill_n(&some[item * dimensions], dimensions - 1, 0.0f);
    some[item * dimensions + dimensions - 1] = -9;
  }
  FactorVectors factors(dimensions, biased, some);
  EXPECT_GT(RecallOf(factors, history, {1.5}, n, &met), 0.95);
  for (const std::uint32_t item : factors.Retrieve(0, items)) ASSERT_GE(item, items / 2);

  // Similar items: all that are not at the floor.
  const std::vector<std::string> names(items, "x");
  ItemSimilarity similarity(tastes, names, {.neighbours = 20});
  const std::vector<std::uint32_t> all = AllItems(history);
  std::vector<float> scores(2 * items);
  for (std::uint32_t user = 0; user < users; ++user) {
    similarity.Score(user, all, scores);
    const float floor = *std::min_element(scores.begin(), scores.end());
    std::vector<std::uint32_t> similar, retrieved = similarity.Retrieve(user, n);
    std::copy_if(all.begin(), all.end(), std::back_inserter(similar),
                 [&](std::uint32_t item) { return scores[item] > floor; });
    std::sort(retrieved.begin(), retrieved.end());
    EXPECT_EQ(retrieved, similar);
    EXPECT_GT(similar.size(), 10u);
  }
}

// Sources that retrieve name what all items would have given: those that may be shown, bought ones left out, and enough of them.
TEST(Recommend, NominationsByRetrievalAreThoseByAllItems) {
  ShopHistory history = GroupedHistory(80, 3000, 10);
  history.item_since[7] = 50;  // after `now`
  std::vector<bool> unavailable(3000);
  for (std::size_t i = 0; i < 3000; i += 5) unavailable[i] = true;
  const UserSegments segments = OneSegment(history);
  const auto quiet = [](const std::string&) {};
  const auto recommender =
      Recommender::Make(history, 9, segments, EventKind::kPurchase, "", nullptr, unavailable, quiet);
  ASSERT_TRUE(recommender);
  const std::vector<double> blend((*recommender)->features().size(), 0.5);
  const std::vector<std::vector<double>> weights((*recommender)->sources().size(), blend);
  std::vector<std::vector<std::vector<std::uint32_t>>> exact;
  (*recommender)->Index(weights, 2399, quiet);
  EXPECT_FALSE((*recommender)->approximate());
  for (std::uint32_t user = 0; user < 80; ++user) exact.push_back((*recommender)->Nominate(user, true, 40));
  (*recommender)->Index(weights, 2398, quiet);  // 2400 less the unborn one
  EXPECT_TRUE((*recommender)->approximate());
  for (std::uint32_t user = 0; user < 80; ++user)
    EXPECT_EQ((*recommender)->Nominate(user, true, 40), exact[user]) << user;
  std::vector<std::uint32_t> users(80);
  std::iota(users.begin(), users.end(), 0);
  const std::vector<double> recall = (*recommender)->Recall(users, blend, true, 10, 1, quiet);
  ASSERT_EQ(recall.size(), weights.size() + 1);
  for (const double share : recall) EXPECT_GT(share, 0.999);
  // Of a large group each user sees some items only, each of them is seen by somebody.
  const ItemLabels labels(history);
  std::vector<std::uint32_t> group;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    if ((*recommender)->MayShow(i)) group.push_back(i);
  }
  const auto promotable = [&](std::uint32_t user, std::size_t count) {
    const auto candidates =
        (*recommender)->Score(user, Recommender::Candidates((*recommender)->Nominate(user, true, 100)));
    const ListOptions options{.top = 5, .promotable = count, .group = group, .skip_bought = true};
    return (*recommender)->List(user, candidates, blend, options, labels).promotable;
  };
  std::set<std::uint32_t> seen;
  for (std::uint32_t user = 0; user < 80; ++user) {
    EXPECT_EQ(promotable(user, 8).size(), 8u);
    const auto all = promotable(user, 3000);
    EXPECT_GT(all.size(), 980u);
    EXPECT_LE(all.size(), 1000u);
    for (const ListedItem& item : all) seen.insert(item.item);
  }
  EXPECT_EQ(seen.size(), group.size());
}

// What comes at and after a moment changes no score, candidate or list as of it.
TEST(Recommend, NothingOfTheFutureIsInAScore) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Time now = 500;
    const ShopHistory history = RandomHistory(seed, 30, 12), other = RandomHistory(seed + 1000, 30, 12);
    std::vector<std::vector<Act>> mixed(30);
    for (std::size_t user = 0; user < 30; ++user) {
      for (const Act& act : history.ActsOf(user)) {
        if (act.time < now) mixed[user].push_back(act);
      }
      for (const Act& act : other.ActsOf(user)) {
        if (act.time >= now) mixed[user].push_back(act);
      }
    }
    const ShopHistory changed = History(mixed, 12);
    const UserSegments segments = OneSegment(history);
    const std::vector<bool> unavailable(12);
    const auto quiet = [](const std::string&) {};
    const auto a =
        Recommender::Make(history, now, segments, EventKind::kPurchase, "", nullptr, unavailable, quiet);
    const auto b =
        Recommender::Make(changed, now, segments, EventKind::kPurchase, "", nullptr, unavailable, quiet);
    ASSERT_TRUE(a && b);
    ASSERT_EQ((*a)->features(), (*b)->features());
    std::vector<std::vector<double>> weights;
    for (std::size_t source = 0; source < (*a)->sources().size(); ++source)
      weights.emplace_back((*a)->features().size(), 1.0);
    for (const std::size_t exact_items : {0, 100}) {
      (*a)->Index(weights, exact_items, quiet);
      (*b)->Index(weights, exact_items, quiet);
      for (std::uint32_t user = 0; user < 30; ++user) {
        ASSERT_EQ((*a)->Score(user, AllItems(history)).scores, (*b)->Score(user, AllItems(history)).scores)
            << "seed " << seed << ", user " << user;
        ASSERT_EQ((*a)->Nominate(user, true, 5), (*b)->Nominate(user, true, 5));
      }
    }
  }
}

// From files to lists.
class RecommendFiles : public ::testing::Test {
 protected:
  RecommendFiles() {
    std::ostringstream events;
    RandomStream random(11);
    events << "u,t,k,i\n";
    for (int user = 0; user < 40; ++user) {
      // Even users like clothes, odd ones tools.
      for (int i = 0; i < 12; ++i) {
        const int item =
            2 * static_cast<int>(random.Below(10)) + (random.Below(5) == 0 ? 1 - user % 2 : user % 2);
        events << "u" << user << ",2024-0" << 1 + i / 3 << "-" << 10 + random.Below(18) << ","
               << (random.Below(2) == 0 ? "purchase" : "view") << ",\"i" << item << ",x\"\n";
      }
    }
    events_ = events.str();
    folder_.Write("events.csv", events_);
    std::string items = "i,c,t\n";
    for (int item = 0; item < 20; ++item)
      items += "\"i" + std::to_string(item) + ",x\"," + (item % 2 == 0 ? "clothes" : "tools") +
               ",\"the \"\"" + std::to_string(item) + "\"\"\"\n";
    folder_.Write("items.csv", items);
    folder_.Write("shop.toml", R"(
[shop]
until = "2024-05-01"
[events]
files = ["events.csv"]
user = "u"
time = "t"
kind = "k"
item = "i"
[items]
files = ["items.csv"]
item = "i"
category = "c"
text = "t"
[snapshots]
train = ["2024-02-01"]
valid = "2024-03-01"
test = "2024-04-01"
[labels.purchase]
horizon_days = 20
)");
    options_.shop = folder_ / "shop.toml";
    options_.out = folder_ / "lists.csv";
    options_.top = 3;
  }
  Result<RecommendReport> Run() {
    PartitionsHere here([](const std::string&) {});
    return Recommend(options_, here, [](const std::string&) {});
  }
  std::string Lists() const {
    std::ifstream file(options_.out);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string Refused() {
    const auto report = Run();
    return report ? "not refused" : report.error().text();
  }
  TemporaryFolder folder_;
  RecommendOptions options_;
  std::string events_;
};

TEST_F(RecommendFiles, WhatIsMissingIsCounted) {
  folder_.Write("users.csv", "u,age\nu0,30\nu1,50\n");
  folder_.Write("shop.toml", testing::ReadFile(options_.shop) +
                                 "[users]\nfiles = [\"users.csv\"]\nuser = \"u\"\n"
                                 "[[users.attribute]]\nname = \"age\"\ntype = \"numeric\"\n");
  options_.segment = {"age"};
  options_.top = 21;
  options_.exposure = 0.5;
  options_.new_days = 1;
  const auto report = Run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->warnings, ::testing::ElementsAre(HasSubstr("[users] says nothing of 38 of 40 users"),
                                                       HasSubstr("not held: no item came within --new-days"),
                                                       HasSubstr("40 of 40 lists have fewer than 21 items")));
}

TEST_F(RecommendFiles, ListsAreAFunctionOfTheShopAlone) {
  options_.at = RecommendAt::kTest;
  options_.diversity = 0.1;
  options_.exposure = 0.05;
  const auto report = Run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->users, 40u);
  EXPECT_EQ(report->items, 20u);
  EXPECT_EQ(report->learned_at, "2024-03-01");
  EXPECT_EQ(report->at, "2024-04-01");
  EXPECT_EQ(report->until, "2024-05-01");
  EXPECT_EQ(report->target, "purchase");
  EXPECT_GT(report->choices, 20u);
  EXPECT_GT(report->judged_users, 20u);
  EXPECT_EQ(report->group_items, 2u);
  EXPECT_TRUE(report->exposure_held);
  EXPECT_GE(report->quality.back().group_exposure, 0.05);
  const std::string lists = Lists();
  EXPECT_EQ(std::count(lists.begin(), lists.end(), '\n'), 1 + 40 * 3);
  EXPECT_THAT(lists, HasSubstr("user,rank,item,score,reason\nu0,1,\"i"));
  EXPECT_THAT(lists, HasSubstr("shown to few so far; "));
  // The order of the rows in the file changes no byte.
  std::istringstream lines(events_);
  std::vector<std::string> rows;
  std::string header;
  std::getline(lines, header);
  for (std::string line; std::getline(lines, line);) rows.push_back(line);
  std::string turned = header + "\n";
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) turned += *row + "\n";
  folder_.Write("events.csv", turned);
  ASSERT_TRUE(Run());
  EXPECT_EQ(Lists(), lists);
}

TEST_F(RecommendFiles, BoughtAndUnavailableItemsAreLeftOut) {
  options_.skip_bought = true;
  folder_.Write("gone.csv", "why,item\nold,\"i3,x\"\nold,nothing\n");
  options_.unavailable = folder_ / "gone.csv";
  const auto report = Run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->judged_users, 0u);  // after the end nothing is known
  ASSERT_EQ(report->warnings.size(), 1u);
  EXPECT_THAT(report->warnings[0], HasSubstr("1 of the items are not of this shop"));
  std::set<std::pair<std::string, std::string>> bought;
  std::istringstream events(events_), lists(Lists());
  for (std::string line; std::getline(events, line);) {
    if (line.find(",purchase,") != std::string::npos)
      bought.emplace(line.substr(0, line.find(',')),
                     line.substr(line.find('"'), line.rfind('"') + 1 - line.find('"')));
  }
  ASSERT_GT(bought.size(), 50u);
  std::string line;
  std::getline(lists, line);
  std::size_t places = 0;
  for (; std::getline(lists, line); ++places) {
    const std::size_t from = line.find('"');
    const std::string item = line.substr(from, line.find('"', from + 1) + 1 - from);
    EXPECT_FALSE(bought.contains({line.substr(0, line.find(',')), item})) << line;
    EXPECT_NE(item, "\"i3,x\"");
  }
  EXPECT_EQ(places, 120u);
}

TEST_F(RecommendFiles, WrongInputIsNamed) {
  options_.model = "run";
  EXPECT_THAT(Refused(), HasSubstr("--learn-model"));
  options_.learn_model = "run";
  EXPECT_THAT(Refused(), HasSubstr("name the same run"));
  options_.learn_model = folder_ / "other";
  EXPECT_THAT(Refused(), HasSubstr("other"));
  options_.model = options_.learn_model = "";
  options_.segment = {"gender"};
  EXPECT_THAT(Refused(), HasSubstr("no attribute of users of that name"));
  options_.segment.clear();
  options_.unavailable = folder_ / "events.csv";
  EXPECT_THAT(Refused(), HasSubstr("column \"item\""));
  options_.unavailable.clear();
  options_.diversity = std::nan("");
  EXPECT_THAT(Refused(), HasSubstr("--diversity"));
  options_.diversity = 0;
  options_.truth = folder_ / "truth";
  EXPECT_THAT(Refused(), HasSubstr("--at test"));
  options_.truth.clear();
  folder_.Write("events.csv", "u,t,k,i\nu1,2024-01-01,view,i1\n");
  EXPECT_THAT(Refused(), HasSubstr("nothing to learn the weights from"));
  folder_.Write("events.csv", "u,t,k,i\nu1,2024-01-01,view,\n");
  EXPECT_THAT(Refused(), HasSubstr("no event has an item"));
}

TEST_F(RecommendFiles, PairsAreWhatWasBefore) {
  options_.at = RecommendAt::kValid;
  const auto pairs = WritePairs(options_, folder_ / "pairs.csv", [](const std::string&) {});
  ASSERT_TRUE(pairs) << pairs.error().text();
  std::set<std::string> expected;
  std::istringstream events(events_);
  std::string line;
  std::getline(events, line);
  while (std::getline(events, line)) {
    if (line.find(",2024-01") != std::string::npos || line.find(",2024-02") != std::string::npos)
      expected.insert(line.substr(0, line.find(',') + 1) + line.substr(line.find('"')) + ",1");
  }
  std::ifstream file(folder_ / "pairs.csv");
  std::set<std::string> written;
  std::getline(file, line);
  EXPECT_EQ(line, "user,item,label");
  while (std::getline(file, line)) EXPECT_TRUE(written.insert(line).second);
  EXPECT_EQ(written, expected);
  EXPECT_EQ(*pairs, expected.size());
}

}  // namespace
}  // namespace cohort::testing
