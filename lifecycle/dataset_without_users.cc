#include "lifecycle/dataset_without_users.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <unordered_set>
#include <vector>

#include "lifecycle/prepare_shop.h"

namespace cohort {
namespace {

// The rows of a split, one after the other.
class Rows {
 public:
  Rows(DatasetReader& reader, Split split)
      : reader_(reader), split_(split), left_(reader.info().rows[static_cast<std::size_t>(split)]) {}
  // False at the end.
  Result<bool> Next() {
    if (++row_ < block_.rows) return true;
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(left_, kBlockRows));
    if (count == 0) return false;
    COHORT_RETURN_IF_ERROR(reader_.Read(split_, read_, count, /*with_ids=*/true, &block_));
    read_ += count, left_ -= count, row_ = 0;
    return true;
  }
  const std::string& id() const { return block_.ids[row_]; }
  std::span<const float> labels(std::size_t tasks) const { return Of(block_.labels, tasks, 0, tasks); }
  // What a feature holds in this row: its column among those of its type.
  std::span<const float> numbers(const FeatureInfo& feature, std::uint32_t column,
                                 std::uint32_t count) const {
    if (feature.type == FeatureType::kNumeric) return Of(block_.numeric, count, column, 1);
    return Of(block_.vectors[column], feature.length, 0, feature.length);
  }
  std::span<const Key> keys(const FeatureInfo& feature, std::uint32_t column, std::uint32_t count) const {
    if (feature.type == FeatureType::kCategorical) return Of(block_.categorical, count, column, 1);
    const std::vector<std::uint64_t>& offsets = block_.bag_offsets[column];
    return std::span(block_.bag_keys[column]).subspan(offsets[row_], offsets[row_ + 1] - offsets[row_]);
  }

 private:
  template <typename T>
  std::span<const T> Of(const std::vector<T>& values, std::size_t width, std::size_t first,
                        std::size_t count) const {
    return std::span(values).subspan(row_ * width + first, count);
  }
  DatasetReader& reader_;
  const Split split_;
  std::uint64_t left_, read_ = 0;
  RowBlock block_;
  std::uint32_t row_ = 0;
};

bool IsOfKeys(const FeatureInfo& feature) {
  return feature.type == FeatureType::kCategorical || feature.type == FeatureType::kBag;
}

template <typename T>
bool SameBits(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

class Comparison {
 public:
  Comparison(const std::set<std::string, std::less<>>& users, std::string former, DatasetReader& before,
             DatasetReader& after)
      : users_(users), former_(std::move(former)), before_(before), after_(after) {
    change_.before = before.info(), change_.after = after.info();
    for (std::size_t i = 0; i < change_.before.features.size(); ++i) {
      const FeatureInfo& feature = change_.before.features[i];
      columns_.push_back(change_.before.ColumnOf(i));
      counts_.push_back(change_.before.CountOf(feature.type));
    }
  }

  Result<DatasetChange> Run() {
    const DatasetInfo &before = change_.before, &after = change_.after;
    const auto same = [](const auto& a, const auto& b) { return a.name == b.name && a.type == b.type; };
    if (!std::equal(before.features.begin(), before.features.end(), after.features.begin(),
                    after.features.end(), same) ||
        !std::equal(before.tasks.begin(), before.tasks.end(), after.tasks.begin(), after.tasks.end(), same))
      return InvalidInput(former_ + ": has other features or tasks than the description gives" + kMend);
    for (std::size_t split = 0; split < kSplitCount; ++split)
      COHORT_RETURN_IF_ERROR(Compare(static_cast<Split>(split)));
    for (const Key key : keys_of_users_) {
      if (!keys_.contains(key)) change_.keys_gone.insert(key);
    }
    return std::move(change_);
  }

 private:
  static constexpr const char* kMend =
      "; it was made of other logs or another description: prepare it again, and train on that, before users "
      "are erased (and give `until` of [shop], so that the last event does not move the end)";

  Status Compare(Split split) {
    const auto number = static_cast<std::size_t>(split);
    Rows old(before_, split), now(after_, split);
    for (;;) {
      COHORT_ASSIGN_OR_RETURN(bool more, old.Next());
      while (more && users_.contains(old.id())) {
        ++change_.rows_gone[number];
        Keys(old, [&](Key key) { keys_of_users_.insert(key); });
        COHORT_ASSIGN_OR_RETURN(more, old.Next());
      }
      COHORT_ASSIGN_OR_RETURN(const bool more_now, now.Next());
      if (more != more_now || (more && old.id() != now.id()))
        return Refused(split, (more ? "a row of \"" + old.id() + "\"" : std::string("its end")) +
                                  ", where the logs without the users give " +
                                  (more_now ? "one of \"" + now.id() + "\"" : std::string("the end")));
      if (!more) return {};
      ++change_.rows[number];
      Keys(now, [&](Key key) { keys_.insert(key); });
      COHORT_RETURN_IF_ERROR(CompareRow(split, old, now));
    }
  }

  template <typename Take>
  void Keys(const Rows& rows, const Take& take) const {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const FeatureInfo& feature = change_.before.features[i];
      if (!IsOfKeys(feature)) continue;
      for (const Key key : rows.keys(feature, columns_[i], counts_[i])) take(key);
    }
  }

  Status CompareRow(Split split, const Rows& old, const Rows& now) {
    bool changed = false;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const FeatureInfo& feature = change_.before.features[i];
      const bool same = IsOfKeys(feature) ? SameBits(old.keys(feature, columns_[i], counts_[i]),
                                                     now.keys(feature, columns_[i], counts_[i]))
                                          : SameBits(old.numbers(feature, columns_[i], counts_[i]),
                                                     now.numbers(feature, columns_[i], counts_[i]));
      if (same) continue;
      if (!IsItemStatistic(feature.name) && !IsFittedOnEveryone(feature.name))
        return Refused(split, "another \"" + feature.name + "\" of \"" + now.id() +
                                  "\" than the logs without the users give");
      ++change_.changed[feature.name];
      changed = true;
    }
    const std::size_t tasks = change_.before.tasks.size();
    if (!SameBits(old.labels(tasks), now.labels(tasks)))
      return Refused(split, "another label of \"" + now.id() + "\" than the logs without the users give");
    change_.rows_changed += changed ? 1 : 0;
    return {};
  }

  Status Refused(Split split, const std::string& what) const {
    return {ErrorCode::kInvalidInput, former_ + ": the " + SplitName(split) + " split has " + what + kMend};
  }

  const std::set<std::string, std::less<>>& users_;
  const std::string former_;
  DatasetReader &before_, &after_;
  std::vector<std::uint32_t> columns_, counts_;  // by feature
  DatasetChange change_;
  std::unordered_set<Key> keys_, keys_of_users_;
};

}  // namespace

bool IsItemStatistic(std::string_view feature) {
  return feature == "popularity" || feature == "discount_share" || feature == "price_band_shares";
}

bool IsFittedOnEveryone(std::string_view feature) {
  return feature == "alive" || feature == "log_expected_orders" || feature == "log_expected_value";
}

Result<DatasetChange> PrepareWithoutUsers(const PrepareOptions& options,
                                          const std::set<std::string, std::less<>>& users,
                                          const std::string& former) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> before, DatasetReader::Open(former));
  if (!before->info().has_id)
    return InvalidInput(former + ": its rows have no ids; it is no dataset of a shop's users");
  COHORT_ASSIGN_OR_RETURN(const PrepareReport report, PrepareShop(options, nullptr, nullptr, users));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> after, DatasetReader::Open(options.output));
  Result<DatasetChange> change = Comparison(users, former, *before, *after).Run();
  if (!change) {
    std::remove(options.output.c_str());
    return change;
  }
  for (const ReportCount& count : report.counts) {
    if (count.name == "records_left_out") change->records_left_out = count.count;
  }
  return change;
}

}  // namespace cohort
