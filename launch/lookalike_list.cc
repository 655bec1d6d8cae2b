#include "launch/lookalike_list.h"

#include <algorithm>

#include "common/nearest.h"
#include "launch/report/html.h"
#include "prepare/number.h"

namespace cohort {
namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

ListedAttribute ListedAttribute::Of(const ProspectList& list, std::size_t i, const UserValues& users,
                                    const DatasetNames& names) {
  const Attribute& attribute = list.attributes[i];
  const std::vector<std::string>& values = list.values[i];
  std::vector<std::uint64_t> prospects(values.size());  // by value
  for (std::size_t prospect = 0; prospect < list.ids.size(); ++prospect)
    ++prospects[list.ValueOf(prospect, i)];
  ListedAttribute listed;
  listed.least = users.least, listed.most = users.most, listed.no_user = !users.any;
  const std::string* most = nullptr;
  std::uint64_t most_prospects = 0;
  for (std::size_t value = 0; value < values.size(); ++value) {
    float input = 0;
    bool unknown = values[value].empty() || !users.any;
    if (values[value].empty()) {
      listed.missing += prospects[value];
    } else if (attribute.numeric) {
      ParseNumber(values[value], &input);
      if (users.any && (input < users.least || input > users.most)) listed.outside += prospects[value];
    } else if (const auto category = users.categories.find(CategoryKey(attribute.vocabulary, values[value]));
               category != users.categories.end()) {
      input = category->second;
    } else if (prospects[value] > 0) {
      unknown = true;
      listed.alien += prospects[value];
      if (prospects[value] > most_prospects || (prospects[value] == most_prospects && values[value] < *most))
        most = &values[value], most_prospects = prospects[value];
    }
    listed.inputs.push_back(input);
    listed.unknown.push_back(unknown);
  }
  if (most == nullptr) return listed;
  std::vector<std::string> candidates;
  for (const auto& [key, number] : users.categories) {
    if (const auto name = names.find(key); name != names.end()) candidates.push_back(name->second);
  }
  std::sort(candidates.begin(), candidates.end());
  listed.alien_value = "\"" + *most + "\"" + DidYouMean(*most, candidates);
  return listed;
}

std::vector<std::string> WarningsOf(const ProspectList& list, const std::vector<ListedAttribute>& listed) {
  std::vector<std::string> warnings;
  if (!list.lacking.empty())
    warnings.push_back("attributes of the users that the list does not have: " + Joined(list.lacking));
  if (!list.behaviour.empty())
    warnings.push_back(
        "columns that are features of the dataset, but no attributes of [users], and are not "
        "used unless --attributes names them: " +
        Joined(list.behaviour));
  if (!list.unused.empty()) warnings.push_back("columns that are not used: " + Joined(list.unused));
  for (std::size_t i = 0; i < list.attributes.size(); ++i) {
    const ListedAttribute& of = listed[i];
    const std::string& column = list.attributes[i].column;
    if (of.no_user) warnings.push_back(column + ": no user has it, so it says nothing");
    if (of.missing > 0)
      warnings.push_back(column + ": not known of " + std::to_string(of.missing) + " prospects");
    if (of.outside > 0)
      warnings.push_back(column + ": " + std::to_string(of.outside) +
                         Format(" prospects are below or above all users (%.6g to %.6g)", double{of.least},
                                double{of.most}));
    if (of.alien > 0 && !of.no_user)
      warnings.push_back(column + ": " + std::to_string(of.alien) +
                         " prospects have a value that no user has, most often " + of.alien_value);
  }
  if (list.contradicted > 0)
    warnings.push_back(std::to_string(list.contradicted) +
                       " records repeat an id with other attributes, and only the first in the order of "
                       "their text is scored; the "
                       "first such id is \"" +
                       list.contradicted_id + "\": leave one record of each in the list");
  return warnings;
}

}  // namespace cohort
