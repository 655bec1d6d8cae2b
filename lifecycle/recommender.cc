#include "lifecycle/recommender.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/random.h"
#include "lifecycle/content_taste.h"
#include "lifecycle/factor_vectors.h"
#include "lifecycle/item_similarity.h"
#include "lifecycle/segment_popularity.h"

namespace cohort {
namespace {

constexpr double kContentPrior = 5;
constexpr std::size_t kCandidates = 100;  // of each source
constexpr std::size_t kChoicesOfUser = 5;
constexpr std::size_t kUsersOfSpread = 500;

}  // namespace

Result<std::unique_ptr<Recommender>> Recommender::Make(const ShopHistory& history, Time now,
                                                       const UserSegments& segments, EventKind target,
                                                       const std::string& model,
                                                       const std::vector<bool>& unavailable,
                                                       const Progress& progress) {
  std::unique_ptr<Recommender> made(new Recommender(history, now, target));
  const std::size_t items = history.items.size();
  for (std::size_t i = 0; i < items; ++i) {
    made->may_show_.push_back(!unavailable[i] && history.item_since[i] < now);
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

Choices Recommender::DrawChoices(const ChoiceOptions& options,
                                 const std::vector<std::vector<double>>* source_weights,
                                 const Progress& progress) const {
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
  Scored scored;
  const auto add = [&](std::uint32_t item, float offset) {
    for (std::size_t f = 0; f < features_.size(); ++f)
      choices.scores.push_back(scored.scores[f * items + item]);
    choices.offsets.push_back(offset);
  };
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
    Score(user, options.skip_bought, &scored);
    std::vector<std::uint32_t> candidates;
    if (source_weights != nullptr) candidates = Candidates(*source_weights, &scored);
    for (std::size_t c = 0; c < std::min(chosen.size(), kChoicesOfUser) && choices.size() < options.most;
         ++c) {
      if (source_weights != nullptr) {
        if (!is_in(candidates, chosen[c])) continue;
        add(chosen[c], 0);
        for (const std::uint32_t item : candidates) {
          if (!is_in(chosen, item)) add(item, 0);
        }
      } else {
        add(chosen[c], offset_of(chosen[c]));
        for (std::size_t i = 0; i < options.drawn; ++i) {
          const std::uint32_t item = draw();
          if (!scored.excluded[item] && !is_in(chosen, item)) add(item, offset_of(item));
        }
      }
      choices.first.push_back(choices.offsets.size());
    }
    progress("learning the weights: " + std::to_string(choices.size()) + " choices");
  }
  return choices;
}

void Recommender::Score(std::uint32_t user, bool skip_bought, Scored* scored) const {
  const std::size_t items = history_.items.size();
  scored->scores.resize(features_.size() * items);
  for (std::size_t source = 0; source < sources_.size(); ++source) {
    const std::size_t count = sources_[source]->features().size();
    sources_[source]->Score(user,
                            std::span(scored->scores).subspan(first_feature_[source] * items, count * items));
  }
  scored->excluded.resize(items);
  for (std::size_t i = 0; i < items; ++i) scored->excluded[i] = !may_show_[i];
  if (!skip_bought) return;
  for (const Act& act : history_.ActsOf(user)) {
    if (act.time >= now_) break;
    if (act.kind == EventKind::kPurchase) scored->excluded[act.item] = true;
  }
}

void Recommender::Utilities(const std::vector<double>& weights, Scored* scored) const {
  const std::size_t items = history_.items.size();
  scored->utilities.assign(items, 0.0f);
  for (std::size_t f = 0; f < weights.size(); ++f) {
    if (weights[f] == 0) continue;
    const auto weight = static_cast<float>(weights[f]);
    const float* scores = &scored->scores[f * items];
    for (std::size_t i = 0; i < items; ++i) scored->utilities[i] += weight * scores[i];
  }
}

void Recommender::KeepBest(std::size_t n, const Scored& scored, std::vector<std::uint32_t>* items) const {
  const auto better = [&](std::uint32_t a, std::uint32_t b) {
    if (scored.utilities[a] != scored.utilities[b]) return scored.utilities[a] > scored.utilities[b];
    const std::size_t of_a = tastes_->OfItem(a).size(), of_b = tastes_->OfItem(b).size();
    return of_a != of_b ? of_a > of_b : a < b;
  };
  const auto end = items->begin() + static_cast<std::ptrdiff_t>(std::min(n, items->size()));
  std::nth_element(items->begin(), end, items->end(), better);
  std::sort(items->begin(), end, better);
  items->erase(end, items->end());
}

std::vector<std::uint32_t> Recommender::Best(const std::vector<double>& weights, std::size_t n,
                                             Scored* scored) const {
  Utilities(weights, scored);
  std::vector<std::uint32_t>& order = scored->order;
  order.clear();
  for (std::uint32_t i = 0; i < scored->utilities.size(); ++i) {
    if (!scored->excluded[i]) order.push_back(i);
  }
  KeepBest(n, *scored, &order);
  return order;
}

std::vector<std::uint32_t> Recommender::Candidates(const std::vector<std::vector<double>>& source_weights,
                                                   Scored* scored) const {
  std::vector<std::uint32_t> candidates;
  for (const std::vector<double>& weights : source_weights) {
    const std::vector<std::uint32_t> best = Best(weights, kCandidates, scored);
    candidates.insert(candidates.end(), best.begin(), best.end());
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

double Recommender::Spread(const std::vector<std::uint32_t>& users,
                           const std::vector<std::vector<double>>& source_weights,
                           const std::vector<double>& weights, bool skip_bought) const {
  const std::size_t measured = std::min(kUsersOfSpread, users.size());
  Scored scored;
  double variances = 0;
  for (std::size_t k = 0; k < measured; ++k) {
    Score(users[k * users.size() / measured], skip_bought, &scored);
    const std::vector<std::uint32_t> candidates = Candidates(source_weights, &scored);
    if (candidates.empty()) continue;
    Utilities(weights, &scored);
    double sum = 0, squares = 0;
    for (const std::uint32_t item : candidates) sum += scored.utilities[item];
    const double mean = sum / static_cast<double>(candidates.size());
    for (const std::uint32_t item : candidates) {
      const double apart = scored.utilities[item] - mean;
      squares += apart * apart;
    }
    variances += squares / static_cast<double>(candidates.size());
  }
  return variances > 0 ? std::sqrt(variances / static_cast<double>(measured)) : 1;
}

RecommendationList Recommender::List(const std::vector<std::uint32_t>& candidate_items,
                                     const std::vector<double>& weights, const ListOptions& options,
                                     const ItemLabels& labels, const std::vector<bool>& group,
                                     Scored* scored) const {
  const std::size_t items = history_.items.size();
  RecommendationList list;
  if (candidate_items.empty()) return list;
  Utilities(weights, scored);
  std::vector<std::uint32_t> pool = candidate_items;
  KeepBest(pool.size(), *scored, &pool);
  const float most = scored->utilities[pool[0]];
  double total = 0;
  for (const std::uint32_t item : pool) total += std::exp(scored->utilities[item] - most);
  // What singles an item out among those that fit the user: its feature that lies furthest above the pool's mean.
  std::vector<double> means(features_.size());
  for (std::size_t f = 0; f < features_.size(); ++f) {
    for (const std::uint32_t item : pool) means[f] += scored->scores[f * items + item];
    means[f] /= static_cast<double>(pool.size());
  }
  const auto listed = [&](std::uint32_t item) {
    ListedItem made{.item = item};
    made.probability = static_cast<float>(std::exp(scored->utilities[item] - most) / total);
    double best = 0;
    for (std::size_t f = 0; f < features_.size(); ++f) {
      const double above = weights[f] * (scored->scores[f * items + item] - means[f]);
      if (f > 0 && above <= best) continue;
      best = above;
      made.feature = static_cast<std::uint16_t>(f);
    }
    return made;
  };
  std::vector<Candidate> candidates;
  for (const std::uint32_t item : pool)
    candidates.push_back({item, scored->utilities[item] / static_cast<float>(options.spread)});
  for (const Candidate& chosen : DiverseList(candidates, labels, options.diversity, options.top))
    list.items.push_back(listed(chosen.item));
  if (options.promotable == 0) return list;
  std::vector<std::uint32_t> others;
  for (std::uint32_t item = 0; item < items; ++item) {
    if (!group[item] || scored->excluded[item]) continue;
    if (std::none_of(list.items.begin(), list.items.end(),
                     [&](const ListedItem& in) { return in.item == item; }))
      others.push_back(item);
  }
  KeepBest(options.promotable, *scored, &others);
  for (const std::uint32_t item : others) list.promotable.push_back(listed(item));
  return list;
}

std::string Recommender::Reason(std::uint32_t user, const ListedItem& listed) const {
  const std::size_t source = source_of_[listed.feature];
  const std::string reason =
      sources_[source]->Reason(user, listed.item, listed.feature - first_feature_[source]);
  return listed.promoted ? "shown to few so far; " + reason : reason;
}

}  // namespace cohort
