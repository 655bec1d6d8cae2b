// The files of a shop that name users: who is in them, as the files have it.
#ifndef COHORT_LAUNCH_USER_LOGS_H_
#define COHORT_LAUNCH_USER_LOGS_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "common/status.h"
#include "launch/erased_users.h"
#include "lifecycle/shop_schema.h"

namespace cohort {

// Absolute, without "." and "..", and without a slash at the end.
std::string AbsolutePath(const std::string& path);

// By absolute path: events, users and campaigns, each with the column of users. kInvalidInput: a file that is empty or lacks it.
Result<std::map<std::string, UserColumn>> UserLogs(const ShopSchema& schema);

// The user of every record, in the order of paths and records; what counts as missing is passed over. A record with other cells than
// its header's is too, if it has none in the column.
Status VisitUsers(const ShopSchema& schema, const std::function<void(std::string_view user)>& visit);

}  // namespace cohort

#endif  // COHORT_LAUNCH_USER_LOGS_H_
