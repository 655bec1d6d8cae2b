#include "lifecycle/content_taste.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <xxhash.h>

namespace cohort {
namespace {

constexpr double kRounding = 1e-5;

// Runs of letters, digits and bytes of UTF-8 beyond ASCII, in lower case; each once.
std::vector<std::string> WordsOf(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (word.size() > 1 && std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    byte >= 0x80 || std::isalnum(byte) != 0
        ? word.push_back(static_cast<char>(byte < 0x80 ? std::tolower(byte) : byte))
        : finish();
  }
  finish();
  return words;
}

std::string PriceText(Money price) {
  const Money cents = (price + kMoneyUnit / 200) / (kMoneyUnit / 100);
  const std::string digits = std::to_string(cents % 100);
  return std::to_string(cents / 100) + "." + (digits.size() < 2 ? "0" : "") + digits;
}

}  // namespace

ContentTaste::ContentTaste(const ShopHistory& history, const TasteMatrix& tastes,
                           const UserSegments& segments, double prior)
    : tastes_(tastes), segments_(segments), prior_(prior) {
  const auto one = [](const std::string& value) {
    return value.empty() ? std::vector<std::string>() : std::vector<std::string>{value};
  };
  AddField("category", [&](std::size_t i) { return one(history.items[i].category); });
  AddField("tags", [&](std::size_t i) { return history.items[i].tags; });
  AddField("brand", [&](std::size_t i) { return one(history.items[i].brand); });
  const auto price_of = [&](std::size_t i) {
    return history.price_since[i] < tastes.now() ? history.prices[i] : kNoMoney;
  };
  std::vector<Money> sorted, edges;
  for (std::size_t i = 0; i < history.items.size(); ++i) {
    if (price_of(i) != kNoMoney) sorted.push_back(price_of(i));
  }
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t band = 1; band < kPriceBands && !sorted.empty(); ++band)
    edges.push_back(sorted[band * sorted.size() / kPriceBands]);
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  AddField("price", [&](std::size_t i) {
    const Money price = price_of(i);
    if (price == kNoMoney) return std::vector<std::string>();
    const auto above = std::upper_bound(edges.begin(), edges.end(), price);
    return one((above == edges.begin() ? "up to " : PriceText(*(above - 1)) + " to ") +
               (above == edges.end() ? "more" : PriceText(*above)));
  });
  AddField("words", [&](std::size_t i) { return WordsOf(history.items[i].text); });
}

template <typename ValuesOf>
void ContentTaste::AddField(const std::string& name, const ValuesOf& values_of) {
  Field field{.name = name};
  std::unordered_map<std::uint64_t, std::uint32_t> numbers;
  field.first.push_back(0);
  for (std::size_t item = 0; item < tastes_.items(); ++item) {
    for (const std::string& value : values_of(item)) {
      const auto [place, is_new] =
          numbers.emplace(XXH3_64bits(value.data(), value.size()), field.words.size());
      if (is_new) field.words.push_back(value);
      field.values.push_back(place->second);
    }
    field.first.push_back(field.values.size());
  }
  const std::size_t values = field.words.size();
  if (values < 2) return;  // says nothing
  std::vector<double> of_segment(segments_.count), all(values), counts(segments_.count * values);
  double total = 0;
  for (std::uint32_t user = 0; user < tastes_.users(); ++user) {
    for (const Taste& taste : tastes_.OfUser(user)) {
      const std::span<const std::uint32_t> of_item = field.Of(taste.other);
      for (const std::uint32_t value : of_item) {
        const double share = taste.strength / static_cast<double>(of_item.size());
        counts[segments_.of_user[user] * values + value] += share;
        all[value] += share;
        of_segment[segments_.of_user[user]] += share;
        total += share;
      }
    }
  }
  const auto kinds = static_cast<double>(values);
  field.shares.resize(counts.size());
  for (std::size_t segment = 0; segment < segments_.count; ++segment) {
    for (std::size_t value = 0; value < values; ++value) {
      const double overall = (all[value] + 0.5) / (total + 0.5 * kinds);
      field.shares[segment * values + value] = static_cast<float>(
          (counts[segment * values + value] + kinds * overall) / (of_segment[segment] + kinds));
    }
  }
  fields_.push_back(std::move(field));
}

std::vector<std::string> ContentTaste::features() const {
  std::vector<std::string> names;
  for (const Field& field : fields_) names.push_back(field.name);
  return names;
}

ContentTaste::Seen ContentTaste::Lifts(const Field& field, std::uint32_t user,
                                       std::vector<float>* lifts) const {
  const std::size_t values = field.words.size();
  const float* shares = &field.shares[segments_.of_user[user] * values];
  // First n_uv, of the values that the user has; then the logarithms.
  std::vector<std::uint32_t> touched;
  double total = 0;
  lifts->assign(values, 0.0f);
  for (const Taste& taste : tastes_.OfUser(user)) {
    const std::span<const std::uint32_t> of_item = field.Of(taste.other);
    const float share = of_item.empty() ? 0 : taste.strength / static_cast<float>(of_item.size());
    for (const std::uint32_t value : of_item) {
      if ((*lifts)[value] == 0) touched.push_back(value);
      (*lifts)[value] += share;
      total += share;
    }
  }
  const auto unseen = static_cast<float>(std::log(prior_ / (total + prior_)));
  std::vector<float> counts;
  for (const std::uint32_t value : touched) counts.push_back((*lifts)[value]);
  std::fill(lifts->begin(), lifts->end(), unseen);
  for (std::size_t i = 0; i < touched.size(); ++i) {
    const double share = shares[touched[i]];
    (*lifts)[touched[i]] =
        static_cast<float>(std::log((counts[i] + prior_ * share) / (total + prior_) / share));
  }
  return {std::move(touched), unseen};
}

float ContentTaste::MeanLift(const Field& field, std::uint32_t item, const std::vector<float>& lifts) {
  float sum = 0;
  const std::span<const std::uint32_t> values = field.Of(item);
  for (const std::uint32_t value : values) sum += lifts[value];
  return values.empty() ? 0 : sum / static_cast<float>(values.size());
}

void ContentTaste::Score(std::uint32_t user, std::span<const std::uint32_t> items,
                         std::span<float> scores) const {
  std::vector<float> lifts;
  float* out = scores.data();
  for (const Field& field : fields_) {
    Lifts(field, user, &lifts);
    for (const std::uint32_t item : items) *out++ = MeanLift(field, item, lifts);
  }
}

void ContentTaste::Index(std::span<const std::uint32_t> items, std::span<const double> weights,
                         const Progress&) {
  met_.assign(tastes_.items(), 0);
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    Field& field = fields_[f];
    const auto for_each = [&](const auto& visit) {
      for (const std::uint32_t item : items) {
        for (const std::uint32_t value : field.Of(item)) visit(item, value);
        if (field.Of(item).empty()) visit(item, static_cast<std::uint32_t>(field.words.size()));
      }
    };
    field.weight = weights[f];
    field.first_item.assign(field.words.size() + 2, 0);
    for_each([&](std::uint32_t, std::uint32_t value) { ++field.first_item[value + 1]; });
    std::partial_sum(field.first_item.begin(), field.first_item.end(), field.first_item.begin());
    field.items.resize(field.first_item.back());
    std::vector<std::uint64_t> next = field.first_item;
    for_each([&](std::uint32_t item, std::uint32_t value) { field.items[next[value]++] = item; });
  }
}

std::vector<std::uint32_t> ContentTaste::Retrieve(std::uint32_t user, std::size_t n) const {
  struct List {
    std::size_t field;
    std::uint32_t value;
    double worth,
        gain;  // what an item has from this field if that is its value; how much more than from values the user does not have
    double next;  // worth of the field's next list
  };
  std::vector<List> lists;
  std::vector<std::vector<float>> lifts(fields_.size());
  std::vector<double> most(fields_.size());  // that an item not met yet has from a field
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    const Field& field = fields_[f];
    const Seen seen = Lifts(field, user, &lifts[f]);
    const double rest = most[f] = field.weight * seen.others;
    const auto add = [&](std::uint32_t value, double worth) {
      if (worth > rest) lists.push_back({f, value, worth, worth - rest, 0});
    };
    for (const std::uint32_t value : seen.values) add(value, field.weight * lifts[f][value]);
    add(static_cast<std::uint32_t>(field.words.size()), 0);
  }
  std::sort(lists.begin(), lists.end(), [](const List& a, const List& b) {
    return std::tie(b.gain, a.field, a.value) < std::tie(a.gain, b.field, b.value);
  });
  for (auto list = lists.rbegin(); list != lists.rend(); ++list)
    list->next = std::exchange(most[list->field], list->worth);

  std::vector<std::uint32_t> items;
  std::vector<double> sums;                                               // weights . scores of `items`
  std::priority_queue<double, std::vector<double>, std::greater<>> best;  // the n largest of them
  for (const List& list : lists) {
    const double bound = std::accumulate(most.begin(), most.end(), 0.0);
    if (items.size() >= kMostMet || (best.size() == n && best.top() > bound)) break;
    for (const std::uint32_t item : fields_[list.field].With(list.value)) {
      if (met_[item] != 0) continue;
      if (items.size() >= kMostMet) break;
      met_[item] = 1;
      items.push_back(item);
      double& sum = sums.emplace_back(0);
      for (std::size_t f = 0; f < fields_.size(); ++f)
        sum += fields_[f].weight * MeanLift(fields_[f], item, lifts[f]);
      best.push(sum);
      if (best.size() > n) best.pop();
    }
    most[list.field] = list.next;
  }
  std::vector<std::uint32_t> retrieved;
  for (std::size_t i = 0; i < items.size(); ++i) {
    met_[items[i]] = 0;
    if (sums[i] >= best.top() - kRounding) retrieved.push_back(items[i]);
  }
  return retrieved;
}

std::string ContentTaste::Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const {
  const Field& field = fields_[feature];
  std::vector<float> lifts;
  Lifts(field, user, &lifts);
  const std::span<const std::uint32_t> values = field.Of(item);
  if (values.empty()) return "fits what you choose";
  const std::uint32_t best = *std::max_element(
      values.begin(), values.end(), [&](std::uint32_t a, std::uint32_t b) { return lifts[a] < lifts[b]; });
  const std::string& word = field.words[best];
  if (field.name == "brand") return "of " + word + ", a brand that you choose";
  if (field.name == "price") return "costs what you spend on one (" + word + ")";
  if (field.name == "words") return "you choose what is called \"" + word + "\"";
  return "you choose " + word;
}

}  // namespace cohort
