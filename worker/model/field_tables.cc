#include "worker/model/field_tables.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "common/nearest.h"

namespace cohort {
namespace {

Status Bad(const std::string& feature, const std::string& text) {
  return {ErrorCode::kInvalidInput, "[feature." + feature + "]: " + text};
}

// Whether each [feature.NAME] is one of the data, and has embeddings.
Status CheckNames(const ModelSpec& spec) {
  const std::vector<FeatureInfo>& features = spec.data.features;
  std::vector<std::string> names;
  for (const FeatureInfo& feature : features) names.push_back(feature.name);
  for (const auto& entry : spec.config.features) {
    const std::string& name = entry.first;
    const auto feature = std::find(names.begin(), names.end(), name);
    if (feature == names.end()) {
      return Bad(name, "the dataset has no such feature" + DidYouMean(name, names) +
                           "; correct the name or remove the section");
    }
    const auto index = static_cast<std::size_t>(feature - names.begin());
    if (std::any_of(spec.fields.begin(), spec.fields.end(),
                    [&](const EmbeddedField& field) { return field.feature == index; }))
      continue;
    return Bad(name,
               features[index].type == FeatureType::kVector
                   ? "it is a vector, which has no embedding; remove the section"
                   : "it is a number without bins, which has no embedding; give it bins in the schema, or "
                     "remove the section");
  }
  return {};
}

// Features of one vocabulary have the same keys: they mean to share rows.
Status CheckVocabularies(const ModelSpec& spec) {
  std::map<std::string, const EmbeddedField*> firsts;
  for (const EmbeddedField& field : spec.fields) {
    const FeatureInfo& feature = spec.data.features[field.feature];
    if (field.bin) continue;
    const EmbeddedField* const first =
        firsts.try_emplace(feature.vocabulary.empty() ? feature.name : feature.vocabulary, &field)
            .first->second;
    if (first->table == field.table) continue;
    const std::string& other = spec.data.features[first->feature].name;
    const bool named = spec.config.features.contains(feature.name);
    return Bad(
        named ? feature.name : other,
        "features " + other + " and " + feature.name +
            " share their embeddings (vocabulary in the schema), so embedding_dim, l2 and optimizer must be "
            "the same; give both sections the same, or neither");
  }
  return {};
}

Status CheckTargets(const ModelSpec& spec) {
  for (const SequenceField& sequence : spec.sequences) {
    if (sequence.config.encoder != SequenceEncoderKind::kAttention) continue;
    const EmbeddedField &steps = spec.fields[sequence.field], &target = spec.fields[sequence.target];
    if (steps.dim == target.dim) continue;
    const std::string& name = spec.data.features[steps.feature].name;
    return {ErrorCode::kInvalidInput,
            "[sequence." + name + "] encoder = \"attention\" compares embeddings of " +
                std::to_string(steps.dim) + " values with those of " + sequence.config.target +
                ", which have " + std::to_string(target.dim) + "; give [feature." + name + "] and [feature." +
                sequence.config.target + "] the same embedding_dim"};
  }
  return {};
}

}  // namespace

Status AssignTables(const RunConfig& config, ModelSpec* spec) {
  COHORT_RETURN_IF_ERROR(CheckNames(*spec));
  std::vector<FieldTable>& tables = spec->tables;
  tables = {{.name = "embedding", .rows = UsualFeature(config)}};
  // By the order of the features, whatever that of the fields is.
  std::vector<std::uint32_t> table_of(spec->data.features.size());
  for (std::size_t f = 0; f < table_of.size(); ++f) {
    const std::string& name = spec->data.features[f].name;
    const auto own = config.model.features.find(name);
    if (own == config.model.features.end()) continue;
    const auto table = std::find_if(tables.begin(), tables.end(),
                                    [&](const FieldTable& each) { return each.rows == own->second; });
    table_of[f] = static_cast<std::uint32_t>(table - tables.begin());
    if (table == tables.end()) tables.push_back({.name = "embedding." + name, .rows = own->second});
  }
  if (tables.size() > kMaxFieldTables) {
    return {ErrorCode::kInvalidInput,
            "the [feature.NAME] sections make " + std::to_string(tables.size()) +
                " tables of embeddings (one for each embedding_dim, l2 and optimizer); at most " +
                std::to_string(kMaxFieldTables) + " are possible: give some features the same"};
  }
  for (EmbeddedField& field : spec->fields) {
    field.table = table_of[field.feature];
    field.dim = tables[field.table].rows.embedding_dim;
  }
  COHORT_RETURN_IF_ERROR(CheckVocabularies(*spec));
  COHORT_RETURN_IF_ERROR(CheckTargets(*spec));

  std::vector<std::size_t> targets;  // their features
  for (const SequenceField& sequence : spec->sequences)
    targets.push_back(spec->fields[sequence.target].feature);
  const auto pooled_end = spec->fields.begin() + spec->PooledFields();
  if (!spec->IsTwoTower()) {
    std::stable_sort(spec->fields.begin(), pooled_end,
                     [](const EmbeddedField& a, const EmbeddedField& b) { return a.table < b.table; });
  }
  for (std::size_t s = 0; s < spec->sequences.size(); ++s) {
    SequenceField& sequence = spec->sequences[s];
    if (sequence.config.encoder != SequenceEncoderKind::kAttention) continue;
    const auto target = std::find_if(spec->fields.begin(), pooled_end, [&](const EmbeddedField& field) {
      return field.feature == targets[s] && !field.bin;
    });
    sequence.target = static_cast<std::uint32_t>(target - spec->fields.begin());
    sequence.width = spec->fields[sequence.field].dim;
  }
  std::uint32_t column = 0;
  for (std::size_t f = 0; f < spec->fields.size(); ++f) {
    EmbeddedField& field = spec->fields[f];
    field.place = tables[field.table].fields++;
    if (f >= spec->UserFields()) ++tables[field.table].item_fields;
    field.column = column;
    if (f < spec->PooledFields()) column += field.dim;
  }
  return {};
}

std::vector<FieldRun> FieldRuns(const ModelSpec& spec, std::uint32_t first, std::uint32_t count) {
  std::vector<FieldRun> runs;
  std::uint32_t soft = 0;
  for (std::uint32_t f = 0; f < first + count; ++f) {
    const EmbeddedField& field = spec.fields[f];
    if (f >= first) {
      if (f == first || runs.back().table != field.table)
        runs.push_back({.field = f, .table = field.table, .place = field.place, .soft = soft});
      ++runs.back().fields;
    }
    if (field.soft) ++soft;
  }
  return runs;
}

}  // namespace cohort
