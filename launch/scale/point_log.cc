#include "launch/scale/point_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/atomic_file.h"
#include "common/json_guard.h"
#include "scheduler/json_number.h"

namespace cohort::scale {
namespace {

using Json = nlohmann::ordered_json;

Status IoError(const std::string& path, const char* what) {
  return {ErrorCode::kIo, path + " " + what + ": " + std::strerror(errno)};
}

}  // namespace

PointLog::PointLog(PointLog&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      results_(std::move(other.results_)),
      done_(std::move(other.done_)),
      other_machine_(std::move(other.other_machine_)) {}

PointLog::~PointLog() {
  if (descriptor_ >= 0) close(descriptor_);  // and the lock with it
}

Result<PointLog> PointLog::Open(const std::string& folder, const Experiment& experiment,
                                const std::string& source, const Machine& machine) {
  const std::string path = folder + "/" + kPointLog;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return InvalidInput(folder + " cannot be made: " + error.message());
  if (!std::filesystem::exists(path, error) && !std::filesystem::is_empty(folder, error)) {
    return InvalidInput(folder + " has files, and none is the " + kPointLog +
                        " of an experiment to go on with; choose another folder, or an empty one");
  }
  PointLog log(path, open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (log.descriptor_ < 0) return tl::unexpected(IoError(path, "cannot be opened"));
  if (flock(log.descriptor_, LOCK_EX | LOCK_NB) != 0)
    return InvalidInput(
        folder + ": another process is at work on this experiment; let it end, or choose another folder");
  log.results_ = ResultsOf(experiment, source, machine);
  COHORT_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  const std::size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (whole < text.size()) {
    if (ftruncate(log.descriptor_, static_cast<off_t>(whole)) != 0)
      return tl::unexpected(IoError(path, "cannot be cut behind its last whole line"));
    text.resize(whole);
  }
  if (!text.empty()) {
    COHORT_RETURN_IF_ERROR(log.ReadLines(text, experiment, source, machine));
    return log;
  }
  const Json first = {{"experiment", experiment.name},
                      {"fingerprint", experiment.fingerprint},
                      {"source", source},
                      {"machine", MachineToJson(machine)}};
  COHORT_RETURN_IF_ERROR(log.Write(first.dump(-1, ' ', false, Json::error_handler_t::replace)));
  COHORT_RETURN_IF_ERROR(SyncDirectory(folder));
  return log;
}

Status PointLog::ReadLines(const std::string& text, const Experiment& experiment, const std::string& source,
                           const Machine& machine) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const std::string where = path_ + ":" + std::to_string(++number);
    at = end + 1;
    if (const Status shape = CheckJsonShape(line); !shape.ok()) return shape.Within(where);
    try {
      const Json json = Json::parse(line);
      if (number == 1) {
        if (json.at("source").get<std::string>() != source) {
          return {ErrorCode::kInvalidInput, where + ": what is here is " +
                                                json.at("source").get<std::string>() + ", not " + source +
                                                "; choose another folder"};
        }
        if (json.at("fingerprint").get<std::string>() != experiment.fingerprint) {
          return {ErrorCode::kInvalidInput, where + ": begun with another experiment, \"" +
                                                json.at("experiment").get<std::string>() + "\", than " +
                                                experiment.path +
                                                " is now: its job, data, options, epochs, target or seed "
                                                "have changed (points and repetitions "
                                                "may); give --out another folder, or undo the change"};
        }
        results_.machine = MachineFromJson(json.at("machine"));
        if (results_.machine != machine)
          other_machine_ = results_.machine.processor + ", " + std::to_string(results_.machine.cores) +
                           " cores, version " + results_.machine.version;
        continue;
      }
      const Settings settings = SettingsFromJson(json.at("settings"));
      const auto repetition = WholeFrom<std::uint32_t>(json, "repetition");
      for (std::uint32_t point = 0; point < results_.points.size(); ++point) {
        if (results_.points[point].settings != settings || repetition >= experiment.repetitions) continue;
        if (done_.insert({point, repetition}).second)
          results_.points[point].repetitions.push_back(NumbersIn(json.at("figures")));
      }
    } catch (const Json::exception& error) {
      return {ErrorCode::kCorrupt, where + ": not what `cohort scale` writes: " + error.what()};
    } catch (const BadJson& error) {
      return {ErrorCode::kCorrupt, where + ": not what `cohort scale` writes: " + error.text};
    }
  }
  return {};
}

Status PointLog::Append(const Turn& turn, const Figures& figures) {
  PointResult& point = results_.points.at(turn.point);
  Json numbers = Json::object();
  for (const auto& [name, value] : figures) numbers[name] = NumberOrNull(value);
  const Json line = {{"repetition", turn.repetition},
                     {"settings", SettingsToJson(point.settings)},
                     {"figures", std::move(numbers)}};
  COHORT_RETURN_IF_ERROR(Write(line.dump()));
  point.repetitions.push_back(figures);
  done_.insert({turn.point, turn.repetition});
  return {};
}

Status PointLog::Write(const std::string& line) {
  const std::string bytes = line + "\n";
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return IoError(path_, "cannot be written");
    done += static_cast<std::size_t>(count);
  }
  if (fsync(descriptor_) != 0) return IoError(path_, "cannot be written");
  return {};
}

}  // namespace cohort::scale
