#include "lifecycle/candidate_rows.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "common/csv_cell.h"
#include "prepare/csv_file.h"

namespace cohort {

Result<CandidateRows> CandidateRows::Make(const ShopHistory& history, const Recommender& recommender,
                                          const UserSegments& segments, Time until) {
  const auto check = [&](const char* what, const std::string& name) -> Status {
    if (name.find(kPairSeparator) == name.npos) return {};
    return {ErrorCode::kInvalidInput,
            history.schema.path + ": the " + what + " \"" + name +
                "\" has a tab in its name, which stands between user and item in the column \"id\" of "
                "candidates; rename it in the files"};
  };
  for (const std::string& user : history.users) COHORT_RETURN_IF_ERROR(check("user", user));
  for (const ItemWords& item : history.items) COHORT_RETURN_IF_ERROR(check("item", item.name));
  CandidateRows rows(history, recommender, segments, until);
  for (const EventKind kind : kRankedKinds) {
    if (std::any_of(history.acts.begin(), history.acts.end(),
                    [&](const Act& act) { return act.kind == kind; }))
      rows.labels_.push_back(kind);
  }
  return rows;
}

std::string CandidateRows::Header() const {
  std::string header = "id,user,item,";
  for (const std::string& feature : recommender_.features()) {
    header += "score_";
    for (const char c : feature) {
      const auto byte = static_cast<unsigned char>(c);
      header += std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '_';
    }
    header += ',';
  }
  header += "taken,user_items,item_users,category,brand,tags,price,segment";
  for (const EventKind kind : labels_) header += std::string(",") + EventKindName(kind);
  return header + "\n";
}

void CandidateRows::Append(std::uint32_t user, const Recommender::Scored& candidates, std::string* lines,
                           std::vector<std::uint64_t>* positives) const {
  const Time now = recommender_.now();
  const TasteMatrix& tastes = recommender_.tastes();
  const std::size_t count = candidates.items.size(), features = recommender_.features().size();
  std::unordered_map<std::uint32_t, float> taken;
  for (const Taste& taste : tastes.OfUser(user)) taken.emplace(taste.other, taste.strength);
  std::unordered_map<std::uint32_t, unsigned> done;  // a bit for each kind
  for (const Act& act : history_.ActsOf(user)) {
    if (act.time >= now && act.time < until_) done[act.item] |= 1u << static_cast<unsigned>(act.kind);
  }
  const auto cell = [&](std::string_view text) { AppendCsvCell(text, lines), *lines += ','; };
  const auto number = [&](double value) { AppendCsvNumber(value, lines), *lines += ','; };
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t item = candidates.items[i];
    const ItemWords& words = history_.items[item];
    cell(history_.users[user] + kPairSeparator + words.name);
    cell(history_.users[user]);
    cell(words.name);
    for (std::size_t f = 0; f < features; ++f) number(candidates.scores[f * count + i]);
    const auto strength = taken.find(item);
    number(strength == taken.end() ? 0 : strength->second);
    number(static_cast<double>(taken.size()));
    number(static_cast<double>(tastes.OfItem(item).size()));
    cell(words.category);
    cell(words.brand);
    std::string tags;
    for (const std::string& tag : words.tags)
      tags += (tags.empty() ? "" : history_.schema.items->tag_separator) + tag;
    cell(tags);
    if (history_.prices[item] != kNoMoney && history_.price_since[item] < now) {
      number(InCurrency(history_.prices[item]));
    } else {
      cell("");
    }
    *lines += std::to_string(segments_.of_user[user]);
    const auto found = done.find(item);
    const unsigned kinds = found == done.end() ? 0 : found->second;
    for (std::size_t k = 0; k < labels_.size(); ++k) {
      const unsigned is = kinds >> static_cast<unsigned>(labels_[k]) & 1;
      *lines += until_ <= now ? "," : is != 0 ? ",1" : ",0";
      (*positives)[k] += is;
    }
    *lines += '\n';
  }
}

}  // namespace cohort
