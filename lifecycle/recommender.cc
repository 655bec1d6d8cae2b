#include "lifecycle/recommender.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "common/random.h"
#include "lifecycle/content_taste.h"
#include "lifecycle/factor_vectors.h"
#include "lifecycle/item_similarity.h"
#include "lifecycle/segment_popularity.h"

namespace cohort {
namespace {

constexpr double kContentPrior = 5;
constexpr std::size_t kChoicesOfUser = 5;
constexpr std::size_t kUsersOfSpread = 500;

// weights . scores of each item, of scores[f * items + i].
std::vector<float> UtilitiesOf(std::span<const double> weights, std::span<const float> scores,
                               std::size_t items) {
  std::vector<float> utilities(items);
  for (std::size_t f = 0; f < weights.size(); ++f) {
    if (weights[f] == 0) continue;
    const auto weight = static_cast<float>(weights[f]);
    const float* of_feature = scores.data() + f * items;
    for (std::size_t i = 0; i < items; ++i) utilities[i] += weight * of_feature[i];
  }
  return utilities;
}

}  // namespace

Result<std::unique_ptr<Recommender>> Recommender::Make(const ShopHistory& history, Time now,
                                                       const UserSegments& segments, EventKind target,
                                                       const std::string& model,
                                                       std::unique_ptr<ScoreSource> ranker,
                                                       const std::vector<bool>& unavailable,
                                                       const Progress& progress) {
  std::unique_ptr<Recommender> made(new Recommender(history, now, target));
  const std::size_t items = history.items.size();
  for (std::uint32_t i = 0; i < items; ++i) {
    made->may_show_.push_back(!unavailable[i] && history.item_since[i] < now);
    if (made->may_show_[i]) made->shown_.push_back(i);
    const ItemWords& words = history.items[i];
    made->names_.push_back(words.text.empty() ? words.name : words.text);
  }
  made->tastes_ = std::make_unique<TasteMatrix>(history, now);
  const TasteMatrix& tastes = *made->tastes_;
  made->sources_.push_back(
      std::make_unique<ItemSimilarity>(tastes, made->names_, SimilarityOptions{}, [&](std::size_t done) {
        progress("similar items: " + std::to_string(done) + " of " + std::to_string(items));
      }));
  if (!model.empty()) {
    COHORT_ASSIGN_OR_RETURN(std::unique_ptr<FactorVectors> factors, FactorVectors::Read(model, history));
    made->sources_.push_back(std::move(factors));
  }
  if (ranker != nullptr) made->sources_.push_back(std::move(ranker));
  auto content = std::make_unique<ContentTaste>(history, tastes, segments, kContentPrior);
  if (!content->features().empty()) made->sources_.push_back(std::move(content));
  made->sources_.push_back(std::make_unique<SegmentPopularity>(history, now, segments, target));
  for (std::size_t source = 0; source < made->sources_.size(); ++source) {
    made->first_feature_.push_back(made->features_.size());
    for (const std::string& feature : made->sources_[source]->features()) {
      made->features_.push_back(feature);
      made->source_of_.push_back(source);
    }
  }
  made->first_feature_.push_back(made->features_.size());
  return made;
}

std::vector<std::uint32_t> Recommender::Chosen(std::uint32_t user, Time end, bool skip_bought) const {
  std::vector<std::uint32_t> chosen, bought;
  for (const Act& act : history_.ActsOf(user)) {
    if (act.time >= end) break;
    if (act.time < now_) {
      if (skip_bought && act.kind == EventKind::kPurchase) bought.push_back(act.item);
    } else if (act.kind == target_ && may_show_[act.item] &&
               std::find(chosen.begin(), chosen.end(), act.item) == chosen.end() &&
               std::find(bought.begin(), bought.end(), act.item) == bought.end()) {
      chosen.push_back(act.item);
    }
  }
  return chosen;
}

Choices Recommender::DrawChoices(const ChoiceOptions& options, const Progress& progress) const {
  const std::size_t items = history_.items.size();
  Choices choices{.features = features_.size(), .first = {0}, .scores = {}, .offsets = {}};
  std::vector<double> taken(items);
  std::vector<std::uint64_t> before;  // acts
  for (std::size_t user = 0; user < history_.users.size(); ++user) {
    for (std::uint64_t i = history_.first_act[user]; i < history_.first_act[user + 1]; ++i) {
      if (history_.acts[i].time >= now_) break;
      ++taken[history_.acts[i].item];
      before.push_back(i);
    }
  }
  if (before.empty()) return choices;
  std::vector<std::uint32_t> users(history_.users.size());
  std::iota(users.begin(), users.end(), 0);
  RandomStream random(options.seed);
  for (std::size_t i = 1; i < users.size(); ++i) std::swap(users[i], users[random.Below(i + 1)]);
  const auto is_in = [](const std::vector<std::uint32_t>& list, std::uint32_t item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  };
  // Half of the draws are even, half go by how often items were taken.
  const auto draw = [&] {
    return random.Below(2) == 0 ? static_cast<std::uint32_t>(random.Below(items))
                                : history_.acts[before[random.Below(before.size())]].item;
  };
  const auto offset_of = [&](std::uint32_t item) {
    return static_cast<float>(
        -std::log(0.5 / static_cast<double>(items) + 0.5 * taken[item] / static_cast<double>(before.size())));
  };
  for (const std::uint32_t user : users) {
    if (choices.size() >= options.most) break;
    if (!Knows(user)) continue;
    const std::vector<std::uint32_t> chosen = Chosen(user, options.end, options.skip_bought);
    if (chosen.empty()) continue;
    std::vector<std::uint32_t> alternatives;
    const auto add = [&](std::uint32_t item) {
      alternatives.push_back(item);
      choices.offsets.push_back(options.among_candidates ? 0 : offset_of(item));
    };
    std::vector<std::uint32_t> candidates, bought;
    if (options.among_candidates)
      candidates = Candidates(Nominate(user, options.skip_bought, kCandidates));
    else if (options.skip_bought)
      bought = BoughtBy(user);
    for (std::size_t c = 0; c < std::min(chosen.size(), kChoicesOfUser) && choices.size() < options.most;
         ++c) {
      if (options.among_candidates) {
        if (!is_in(candidates, chosen[c])) continue;
        add(chosen[c]);
        for (const std::uint32_t item : candidates) {
          if (!is_in(chosen, item)) add(item);
        }
      } else {
        add(chosen[c]);
        for (std::size_t i = 0; i < options.drawn; ++i) {
          const std::uint32_t item = draw();
          if (may_show_[item] && !is_in(bought, item) && !is_in(chosen, item)) add(item);
        }
      }
      choices.first.push_back(choices.offsets.size());
    }
    const Scored scored = Score(user, std::move(alternatives));
    for (std::size_t i = 0; i < scored.items.size(); ++i) {
      for (std::size_t f = 0; f < features_.size(); ++f)
        choices.scores.push_back(scored.scores[f * scored.items.size() + i]);
    }
    progress("learning the weights: " + std::to_string(choices.size()) + " choices");
  }
  return choices;
}

Recommender::Scored Recommender::Score(std::uint32_t user, std::vector<std::uint32_t> items) const {
  Scored scored{.items = std::move(items)};
  const std::size_t count = scored.items.size();
  scored.scores.resize(features_.size() * count);
  for (std::size_t source = 0; source < sources_.size(); ++source) {
    const std::size_t first = first_feature_[source], end = first_feature_[source + 1];
    sources_[source]->Score(user, scored.items,
                            std::span(scored.scores).subspan(first * count, (end - first) * count));
  }
  return scored;
}

std::vector<std::uint32_t> Recommender::BoughtBy(std::uint32_t user) const {
  std::vector<std::uint32_t> bought;
  for (const Act& act : history_.ActsOf(user)) {
    if (act.time >= now_) break;
    if (act.kind == EventKind::kPurchase) bought.push_back(act.item);
  }
  std::sort(bought.begin(), bought.end());
  bought.erase(std::unique(bought.begin(), bought.end()), bought.end());
  return bought;
}

std::vector<std::size_t> Recommender::Best(std::size_t n, std::span<const std::uint32_t> items,
                                           std::span<const float> utilities) const {
  const auto better = [&](std::size_t a, std::size_t b) {
    if (utilities[a] != utilities[b]) return utilities[a] > utilities[b];
    const std::size_t of_a = tastes_->OfItem(items[a]).size(), of_b = tastes_->OfItem(items[b]).size();
    return of_a != of_b ? of_a > of_b : items[a] < items[b];
  };
  std::vector<std::size_t> places(items.size());
  std::iota(places.begin(), places.end(), 0);
  const auto end = places.begin() + static_cast<std::ptrdiff_t>(std::min(n, places.size()));
  std::nth_element(places.begin(), end, places.end(), better);
  std::sort(places.begin(), end, better);
  places.erase(end, places.end());
  return places;
}

void Recommender::Index(std::vector<std::vector<double>> source_weights, std::size_t exact_items,
                        const Progress& progress) {
  source_weights_ = std::move(source_weights);
  approximate_ = shown_.size() > exact_items;
  if (!approximate_) return;
  most_taken_ = shown_;
  std::stable_sort(most_taken_.begin(), most_taken_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return tastes_->OfItem(a).size() > tastes_->OfItem(b).size();
  });
  for (std::size_t source = 0; source < sources_.size(); ++source)
    sources_[source]->Index(most_taken_, OwnWeights(source), progress);
}

std::vector<std::vector<std::uint32_t>> Recommender::NominateBy(bool approximate, std::uint32_t user,
                                                                bool skip_bought, std::size_t n) const {
  std::vector<std::vector<std::uint32_t>> nominated;
  std::vector<std::uint32_t> bought, some;
  if (skip_bought) bought = BoughtBy(user);
  const auto is_left_out = [&](std::uint32_t item) {
    return !may_show_[item] || std::binary_search(bought.begin(), bought.end(), item);
  };
  std::span<const std::uint32_t> items = shown_;
  if (!approximate && !bought.empty()) {
    std::set_difference(shown_.begin(), shown_.end(), bought.begin(), bought.end(), std::back_inserter(some));
    items = some;
  }
  std::vector<float> scores;
  for (std::size_t source = 0; source < sources_.size(); ++source) {
    if (approximate) {
      // Items of which the source knows nothing are equal to it: of these, those that more users took are the best.
      const std::size_t sought = std::min(n + bought.size(), most_taken_.size());
      some = sources_[source]->Retrieve(user, sought);
      some.insert(some.end(), most_taken_.begin(), most_taken_.begin() + static_cast<std::ptrdiff_t>(sought));
      std::sort(some.begin(), some.end());
      some.erase(std::unique(some.begin(), some.end()), some.end());
      std::erase_if(some, is_left_out);
      items = some;
    }
    const std::span<const double> weights = OwnWeights(source);
    scores.resize(weights.size() * items.size());
    sources_[source]->Score(user, items, scores);
    const std::vector<float> utilities = UtilitiesOf(weights, scores, items.size());
    std::vector<std::uint32_t>& best = nominated.emplace_back();
    for (const std::size_t place : Best(n, items, utilities)) best.push_back(items[place]);
  }
  return nominated;
}

std::vector<std::uint32_t> Recommender::Candidates(const std::vector<std::vector<std::uint32_t>>& nominated) {
  std::vector<std::uint32_t> candidates;
  for (const std::vector<std::uint32_t>& best : nominated)
    candidates.insert(candidates.end(), best.begin(),
                      best.begin() + static_cast<std::ptrdiff_t>(std::min(kCandidates, best.size())));
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

std::vector<double> Recommender::Recall(std::vector<std::uint32_t> users, const std::vector<double>& weights,
                                        bool skip_bought, std::size_t top, std::uint64_t seed,
                                        const Progress& progress) const {
  const std::size_t measured = std::min(kUsersOfRecall, users.size());
  std::vector<double> recall(sources_.size() + 1);
  RandomStream random(seed);
  const auto nominate = [&](bool approximate, std::uint32_t user) {
    std::vector<std::vector<std::uint32_t>> best = NominateBy(approximate, user, skip_bought, kCandidates);
    const Scored scored = Score(user, Candidates(best));
    const std::vector<float> utilities = UtilitiesOf(weights, scored.scores, scored.items.size());
    std::vector<std::uint32_t>& blended = best.emplace_back();
    for (const std::size_t place : Best(top, scored.items, utilities)) blended.push_back(scored.items[place]);
    for (std::vector<std::uint32_t>& items : best) std::sort(items.begin(), items.end());
    return best;
  };
  for (std::size_t k = 0; k < measured; ++k) {
    std::swap(users[k], users[k + random.Below(users.size() - k)]);
    const auto exact = nominate(false, users[k]), found = nominate(true, users[k]);
    for (std::size_t i = 0; i < recall.size(); ++i) {
      std::vector<std::uint32_t> both;
      std::set_intersection(exact[i].begin(), exact[i].end(), found[i].begin(), found[i].end(),
                            std::back_inserter(both));
      const double share =
          exact[i].empty() ? 1 : static_cast<double>(both.size()) / static_cast<double>(exact[i].size());
      recall[i] += share;
    }
    progress("recall: " + std::to_string(k + 1) + " of " + std::to_string(measured) + " users");
  }
  for (double& share : recall) share /= static_cast<double>(std::max<std::size_t>(measured, 1));
  return recall;
}

double Recommender::Spread(const std::vector<std::uint32_t>& users, const std::vector<double>& weights,
                           bool skip_bought) const {
  const std::size_t measured = std::min(kUsersOfSpread, users.size());
  double variances = 0;
  for (std::size_t k = 0; k < measured; ++k) {
    const std::uint32_t user = users[k * users.size() / measured];
    const Scored scored = Score(user, Candidates(Nominate(user, skip_bought, kCandidates)));
    if (scored.items.empty()) continue;
    const std::vector<float> utilities = UtilitiesOf(weights, scored.scores, scored.items.size());
    double sum = 0, squares = 0;
    for (const float utility : utilities) sum += utility;
    const double mean = sum / static_cast<double>(utilities.size());
    for (const float utility : utilities) squares += (utility - mean) * (utility - mean);
    variances += squares / static_cast<double>(utilities.size());
  }
  return variances > 0 ? std::sqrt(variances / static_cast<double>(measured)) : 1;
}

RecommendationList Recommender::List(std::uint32_t user, const Scored& candidates,
                                     const std::vector<double>& weights, const ListOptions& options,
                                     const ItemLabels& labels) const {
  RecommendationList list;
  if (candidates.items.empty()) return list;
  const std::size_t count = candidates.items.size();
  const std::vector<float> utilities = UtilitiesOf(weights, candidates.scores, count);
  const std::vector<std::size_t> pool = Best(count, candidates.items, utilities);
  const float most = utilities[pool[0]];
  double total = 0;
  for (const std::size_t place : pool) total += std::exp(utilities[place] - most);
  // What singles an item out among those that fit the user: its feature that lies furthest above the pool's mean.
  std::vector<double> means(features_.size());
  for (std::size_t f = 0; f < features_.size(); ++f) {
    for (const std::size_t place : pool) means[f] += candidates.scores[f * count + place];
    means[f] /= static_cast<double>(count);
  }
  const auto listed = [&](const Scored& scored, std::size_t place, float utility) {
    ListedItem made{.item = scored.items[place]};
    made.probability = static_cast<float>(std::exp(utility - most) / total);
    double best = 0;
    for (std::size_t f = 0; f < features_.size(); ++f) {
      const double above = weights[f] * (scored.scores[f * scored.items.size() + place] - means[f]);
      if (f > 0 && above <= best) continue;
      best = above;
      made.feature = static_cast<std::uint16_t>(f);
    }
    return made;
  };
  std::vector<Candidate> ranked;
  for (const std::size_t place : pool)
    ranked.push_back({candidates.items[place], utilities[place] / static_cast<float>(options.spread)});
  for (const Candidate& chosen : DiverseList(ranked, labels, options.diversity, options.top)) {
    const auto place = static_cast<std::size_t>(
        std::lower_bound(candidates.items.begin(), candidates.items.end(), chosen.item) -
        candidates.items.begin());
    list.items.push_back(listed(candidates, place, utilities[place]));
  }
  if (options.promotable == 0) return list;
  std::vector<std::uint32_t> others, bought;
  if (options.skip_bought) bought = BoughtBy(user);
  const std::size_t size = options.group.size();
  const bool some = approximate_ && size > kGroupScored;
  const std::size_t first = some ? RandomStream(user).Below(size) : 0;
  for (std::size_t i = 0; i < (some ? kGroupScored : size); ++i) {
    const std::uint32_t item = options.group[(first + i) % size];
    if (!std::binary_search(bought.begin(), bought.end(), item) &&
        std::none_of(list.items.begin(), list.items.end(),
                     [&](const ListedItem& in) { return in.item == item; }))
      others.push_back(item);
  }
  const Scored promotable = Score(user, std::move(others));
  const std::vector<float> of_promotable = UtilitiesOf(weights, promotable.scores, promotable.items.size());
  for (const std::size_t place : Best(options.promotable, promotable.items, of_promotable))
    list.promotable.push_back(listed(promotable, place, of_promotable[place]));
  return list;
}

std::string Recommender::Reason(std::uint32_t user, const ListedItem& listed) const {
  const std::size_t source = source_of_[listed.feature];
  const std::string reason =
      sources_[source]->Reason(user, listed.item, listed.feature - first_feature_[source]);
  return listed.promoted ? "shown to few so far; " + reason : reason;
}

}  // namespace cohort
