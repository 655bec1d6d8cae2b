#include "launch/lookalike_scores.h"

#include <algorithm>
#include <cmath>

#include "common/csv_cell.h"
#include "launch/report/html.h"
#include "prepare/csv_file.h"

namespace cohort {
namespace {

constexpr double kLeastReason = 0.05;  // of log odds: a share below is not worth a word

using Reasons = std::array<Reason, ScoredProspect::kMostReasons>;

// The attributes that move the score most.
Reasons ReasonsOf(const std::vector<float>& shares) {
  std::vector<Reason> order;
  for (std::uint32_t i = 0; i < shares.size(); ++i) {
    if (std::abs(double{shares[i]}) >= kLeastReason) order.push_back({i, shares[i]});
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Reason& a, const Reason& b) { return std::abs(a.share) > std::abs(b.share); });
  Reasons reasons;
  std::copy_n(order.begin(), std::min(order.size(), ScoredProspect::kMostReasons), reasons.begin());
  return reasons;
}

std::string ReasonOf(const ScoredProspect& of, const ProspectList& list,
                     const std::vector<ListedAttribute>& listed) {
  std::string text;
  for (const bool raised : {true, false}) {
    std::string part;
    for (const Reason& reason : of.reasons) {
      if (reason.share == 0 || (reason.share > 0) != raised) continue;
      part += (part.empty() ? (raised ? "raised by " : "lowered by ") : ", ") +
              list.attributes[reason.attribute].column + " = " + list.Cell(of.prospect, reason.attribute) +
              Format(" (odds x %.2f)", std::exp(double{reason.share}));
    }
    if (!part.empty()) text += (text.empty() ? "" : "; ") + part;
  }
  if (text.empty()) text = "as users in general";
  std::string not_known;
  for (std::size_t i = 0; i < listed.size(); ++i) {
    if (listed[i].unknown[list.ValueOf(of.prospect, i)] != 0)
      not_known += (not_known.empty() ? "; not known: " : ", ") + list.attributes[i].column;
  }
  return text + not_known;
}

}  // namespace

std::vector<ScoredProspect> ScoreProspects(const LookalikeModel& model, const ProspectList& list,
                                           const std::vector<ListedAttribute>& listed,
                                           const ScoreMeaning& meaning) {
  const GroupCosts* const costs = meaning.costs;
  const std::optional<std::size_t>& by = meaning.by;
  std::vector<ScoredProspect> scored(list.ids.size());
  std::vector<float> inputs(list.attributes.size());
  std::vector<std::uint8_t> unknown(list.attributes.size());
  for (std::uint32_t prospect = 0; prospect < scored.size(); ++prospect) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::uint32_t cell = list.ValueOf(prospect, i);
      inputs[i] = listed[i].inputs[cell], unknown[i] = listed[i].unknown[cell];
    }
    const LookalikeModel::Score score = model.ScoreOf(inputs, unknown);
    ScoredProspect& of = scored[prospect];
    of.prospect = prospect;
    of.raw = score.log_odds;
    of.reasons = ReasonsOf(score.shares);
    of.score = meaning.probability.Of(of.raw).value;
    if (meaning.value != nullptr) of.value = meaning.value->Of(of.raw).value;
    if (costs != nullptr)
      of.cost = by && unknown[*by] == 0
                    ? costs->Of(CategoryKey(list.attributes[*by].vocabulary, list.Cell(prospect, *by)))
                    : costs->all.mean;
  }
  // By net where there are costs; equal ones by score, then by id, as the list is.
  std::stable_sort(scored.begin(), scored.end(), [&](const ScoredProspect& a, const ScoredProspect& b) {
    const double first = costs != nullptr ? a.value - a.cost : 0,
                 second = costs != nullptr ? b.value - b.cost : 0;
    return first != second ? first > second : a.raw > b.raw;
  });
  return scored;
}

std::string ProspectLines(const std::vector<ScoredProspect>& order, const ProspectList& list,
                          const std::vector<ListedAttribute>& listed, bool with_value, bool with_cost) {
  std::string text = "id,score";
  if (with_value) text += ",expected_value";
  if (with_cost) text += ",cost,net";
  text += ",rank,decile,reason\n";
  const auto number = [&](double value) { text += ',', AppendCsvNumber(value, &text); };
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const ScoredProspect& of = order[rank];
    AppendCsvCell(list.ids[of.prospect], &text);
    number(of.score);
    if (with_value) number(of.value);
    if (with_cost) number(of.cost), number(of.value - of.cost);
    text += "," + std::to_string(rank + 1) + "," + std::to_string(1 + rank * 10 / order.size()) + ",";
    AppendCsvCell(ReasonOf(of, list, listed), &text);
    text += "\n";
  }
  return text;
}

}  // namespace cohort
