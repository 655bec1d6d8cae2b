#include "launch/watch/top_table.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "launch/report/html.h"

namespace cohort {
namespace {

constexpr std::size_t kShownEvents = 8;
constexpr std::size_t kPageWidth = 120;  // for what can be broken, where there is no limit

// Without control characters: those of ASCII, and U+0080 to U+009F.
std::string Harmless(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;
    result += byte < 0x20 || byte == 0x7f || c1 ? '?' : text[i];
  }
  return result;
}

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::size_t Characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); }));
}

std::string CutTo(const std::string& text, std::size_t width) {
  if (width == 0 || Characters(text) <= width) return text;
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    if (!Continues(text[end]) && seen++ == width) break;
  }
  return text.substr(0, end);
}

// A table whose columns are as wide as their widest cell; the first is set left, and so is the last if it has words.
class Columns {
 public:
  explicit Columns(bool words) : words_(words) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() < 2; }  // the first one has the names
  std::string Text() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Characters(row[i]));
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string blank(widths[i] - Characters(row[i]), ' ');
        const bool left = i == 0 || (words_ && i + 1 == widths.size());
        line += (i == 0 ? "" : "  ") + (left ? row[i] + blank : blank + row[i]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  const bool words_;
  std::vector<std::vector<std::string>> rows_;
};

std::string ClockText(double clock) { return std::isinf(clock) ? "the end" : FormatCount(clock); }
std::string LoadText(double load) { return std::isfinite(load) ? Format("%.2f", load) : "–"; }

std::string HeadlineText(const RunState& state) {
  std::string line = state.name + "  " + RunStageName(state.stage);
  if (state.read_share < 1) line += Format("  reading: %.0f %%", 100 * state.read_share);
  if (!IsOver(state.stage) && std::isfinite(state.epoch) && state.kind != "stop") {
    line +=
        "  " + (state.kind == "train" ? Format("epoch %.0f", state.epoch) : state.kind + " " + state.split);
    if (state.phase_rows > 0)
      line += Format(": %.0f %%", std::min(100.0, 100 * state.phase_samples / state.phase_rows));
  }
  const double seconds = state.Result("seconds");
  line += "  " + FormatSeconds(std::isnan(seconds) ? state.seconds : seconds);
  if (!IsOver(state.stage) && std::isfinite(state.age_seconds))
    line += "  seen " + FormatSeconds(state.age_seconds) + " ago";
  return line + "\n" + (state.reason.empty() ? "" : state.reason + "\n");
}

// As result.json says once it does.
double Final(const RunState& state, const char* path, double until_then) {
  const double value = state.Result(path);
  return std::isnan(value) ? until_then : value;
}

// Items side by side, as many to a line as fit.
std::string Wrap(const std::vector<std::string>& items, std::size_t width) {
  std::string text, line;
  for (const std::string& item : items) {
    if (!line.empty() && width > 0 && Characters(line) + 2 + Characters(item) > width)
      text += std::exchange(line, "") + "\n";
    line += (line.empty() ? "" : "  ") + item;
  }
  return text + line + "\n";
}

std::string TotalsText(const RunState& state, std::size_t width) {
  const auto final_or = [&](const char* path, double until_then) {
    return FormatCount(Final(state, path, until_then));
  };
  std::vector<std::string> items = {
      "samples/s " + final_or("samples_per_second", state.samples_per_second),
      "rows/s " + FormatCount(state.rows_per_second),
      "rows " + final_or("model_rows", state.rows),
      "memory " + FormatBytes(state.memory_bytes),
      "clocks " + FormatCount(state.lowest_clock) + " to " + FormatCount(state.highest_clock) + " (spread " +
          FormatCount(state.clock_spread) + ")",
      "queue " + FormatCount(state.queue_depth),
      "sent " + FormatBytes(Final(state, "traffic_bytes", state.bytes_sent)),
      "strangers refused " + final_or("counts.refused_peers", state.refused_peers),
      "push parts " + final_or("pushes.acknowledged", state.acknowledged) + " acknowledged",
      final_or("pushes.duplicated", state.duplicated) + " duplicated"};
  if (IsOver(state.stage)) {
    items.push_back(FormatCount(state.Result("pushes.lost")) + " lost");
    items.push_back(FormatCount(state.Result("pushes.rolled_back")) + " rolled back");
    items.push_back("steps " + FormatCount(state.Result("steps")));
  }
  for (const auto& [name, value] : state.recoveries) {
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    items.push_back(words + " " + FormatCount(value));
  }
  items.push_back("hang reports " + FormatCount(state.hang_reports));
  if (!state.model_hash.empty()) items.push_back("model " + state.model_hash);
  return Wrap(items, width);
}

std::string TasksText(const RunState& state) {
  constexpr const char* kShown[] = {"rows",    "auc",  "spearman", "logloss",    "mse",
                                    "c_index", "f1",   "ece",      "accuracy",   "mae",
                                    "r2",      "gini", "brier",    "total_ratio"};
  std::vector<std::string> names;  // those that a task has
  for (const char* name : kShown) {
    for (const WatchedTask& task : state.tasks) {
      const auto has = [&](const JudgedSplit& judged) { return judged.metrics.contains(name); };
      if (!std::any_of(task.judged.begin(), task.judged.end(), has)) continue;
      names.push_back(name);
      break;
    }
  }
  Columns table(false);
  std::vector<std::string> head = {"task", "split", "epoch", "loss"};
  head.insert(head.end(), names.begin(), names.end());
  table.Add(std::move(head));
  for (const WatchedTask& task : state.tasks) {
    std::vector<JudgedSplit> splits = task.judged;
    if (splits.empty()) splits.push_back({});
    bool first = true;
    for (const JudgedSplit& judged : splits) {
      std::vector<std::string> row = {task.name, judged.split,
                                      std::isnan(judged.epoch) ? "" : FormatCount(judged.epoch),
                                      first ? FormatMetric(task.loss) : ""};
      for (const std::string& name : names) {
        const auto found = judged.metrics.find(name);
        row.push_back(found == judged.metrics.end() ? ""
                      : name == "rows"              ? FormatCount(found->second)
                                                    : FormatMetric(found->second));
      }
      table.Add(std::move(row));
      first = false;
    }
  }
  return table.empty() ? "" : "\n" + table.Text();
}

std::string WorkersText(const RunState& state) {
  Columns table(true);
  table.Add({"worker", "host", "pid", "clock", "samples", "samples/s", "load", "memory", "", "waits for"});
  for (const WatchedMember& member : state.members) {
    if (member.role != "worker") continue;
    table.Add({member.node, member.host, Format("%.0f", member.pid), ClockText(member.clock),
               FormatCount(member.samples), FormatCount(member.samples_per_second), LoadText(member.load),
               FormatBytes(member.memory_bytes), member.presence, member.waiting});
  }
  return table.empty() ? "" : "\n" + table.Text();
}

std::string ShardsText(const RunState& state) {
  Columns table(true);
  table.Add({"shard", "server", "host", "pid", "rows", "rows/s", "queue", "load", "memory", "", "waits for"});
  for (const WatchedMember& member : state.members) {
    if (member.role == "worker") continue;
    table.Add({member.node, FormatCount(member.server), member.host, Format("%.0f", member.pid),
               FormatCount(member.rows), FormatCount(member.rows_per_second), FormatCount(member.queue_depth),
               LoadText(member.load), FormatBytes(member.memory_bytes), member.presence, member.waiting});
  }
  return table.empty() ? "" : "\n" + table.Text();
}

std::string EventsText(const RunState& state) {
  std::string text;
  std::size_t shown = 0;
  for (auto event = state.events.rbegin(); event != state.events.rend() && shown < kShownEvents; ++event) {
    if (event->kind == RunEvent::Kind::kProgress) continue;
    text = event->time + " " + EventKindName(event->kind) + ": " + event->text + "\n" + text;
    ++shown;
  }
  return text.empty() ? "" : "\nfaults, recoveries, checkpoints\n" + text;
}

}  // namespace

std::string TopTable(const RunState& state, std::size_t width) {
  std::string notes;
  for (const std::string& problem : state.problems) notes += "problem: " + problem + "\n";
  for (const std::string& warning : state.warnings) notes += "warning: " + warning + "\n";
  const std::string all = HeadlineText(state) + notes + TotalsText(state, width == 0 ? kPageWidth : width) +
                          TasksText(state) + WorkersText(state) + ShardsText(state) + EventsText(state);
  std::string text;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\n', begin), all.size());
    text += CutTo(Harmless(all.substr(begin, end - begin)), width) + "\n";
    begin = end + 1;
  }
  return text;
}

}  // namespace cohort
