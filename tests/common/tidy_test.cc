// The repository's own rules, checked by reading its sources: who may include whom, and which file alone sees
// which library (DESIGN: launch -> server | worker | scheduler | prepare, lifecycle -> prepare -> common -> third party).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // relative to the repository
  std::string text;
  std::vector<std::string> includes;
};

std::vector<Source> Sources() {
  std::vector<Source> sources;
  const fs::path root = COHORT_SOURCE_DIR;
  const std::regex include("^\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"]");
  for (const char* folder :
       {"common", "server", "worker", "prepare", "lifecycle", "scheduler", "launch", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cc" && extension != ".inc") continue;
      Source source{fs::relative(entry.path(), root).string(), {}, {}};
      std::ifstream file(entry.path());
      std::ostringstream text;
      text << file.rdbuf();
      source.text = text.str();
      std::istringstream lines(source.text);
      for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_search(line, match, include)) source.includes.push_back(match[1]);
      }
      sources.push_back(std::move(source));
    }
  }
  return sources;
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.find('/')); }

TEST(Tidy, FoldersIncludeOnlyWhatTheyMay) {
  const std::map<std::string, std::set<std::string>> allowed = {
      {"common", {"common"}},
      {"server", {"server", "common"}},
      {"worker", {"worker", "common"}},
      {"prepare", {"prepare", "common"}},
      {"lifecycle", {"lifecycle", "prepare", "common"}},
      {"scheduler", {"scheduler", "common"}},
      {"launch", {"launch", "server", "worker", "scheduler", "lifecycle", "prepare", "common"}},
  };
  std::size_t checked = 0;
  for (const Source& source : Sources()) {
    const auto rule = allowed.find(FolderOf(source.path));
    if (rule == allowed.end()) continue;  // tests may include anything
    for (const std::string& include : source.includes) {
      if (!allowed.contains(FolderOf(include)) && FolderOf(include) != "tests") continue;  // third party
      EXPECT_TRUE(rule->second.contains(FolderOf(include))) << source.path << " includes " << include;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100u);  // the test reads what it means to read
}

TEST(Tidy, TheModelKnowsNothingOfTheWorkerAroundIt) {
  for (const Source& source : Sources()) {
    if (source.path.rfind("worker/model/", 0) != 0) continue;
    for (const std::string& include : source.includes) {
      EXPECT_FALSE(include.rfind("worker/", 0) == 0 && include.rfind("worker/model/", 0) != 0)
          << source.path << " includes " << include;
    }
  }
}

TEST(Tidy, EachLibraryIsSeenByItsOwnFilesOnly) {
  // Pattern of the include -> the files that may have it (in tests anything goes).
  const std::vector<std::pair<std::string, std::set<std::string>>> rules = {
      {"mpi.h", {"launch/mpi_bootstrap.cc"}},
      {"zmq", {"common/zmq_transport.cc", "common/run_key.cc", "launch/bench/bare_transport.cc"}},
      {"cereal/", {"common/wire_control.cc"}},
      {"hdf5", {"common/hdf5_file.cc", "common/hdf5_driver.cc"}},
      {"H5", {"common/hdf5_file.cc"}},
      {"httplib", {"launch/watch/watch_server.cc"}},
      {"hnswlib", {"lifecycle/hnsw_index.cc"}},
  };
  std::map<std::string, int> seen;
  for (const Source& source : Sources()) {
    if (FolderOf(source.path) == "tests") continue;
    for (const std::string& include : source.includes) {
      for (const auto& [pattern, files] : rules) {
        if (include.rfind(pattern, 0) != 0) continue;
        ++seen[pattern];
        EXPECT_TRUE(files.contains(source.path)) << source.path << " includes " << include;
      }
    }
  }
  for (const char* pattern : {"mpi.h", "zmq", "cereal/", "hdf5", "httplib", "hnswlib"})
    EXPECT_GT(seen[pattern], 0) << pattern;
}

TEST(Tidy, HeadersAreGuardedAndHeavyLibrariesStayOutOfThem) {
  for (const Source& source : Sources()) {
    if (source.path.size() < 2 || source.path.substr(source.path.size() - 2) != ".h") continue;
    std::string guard = "COHORT_" + source.path + "_";
    for (char& c : guard)
      c = std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::toupper(c)) : '_';
    EXPECT_NE(source.text.find("#ifndef " + guard), std::string::npos)
        << source.path << " lacks the guard " << guard;
    if (FolderOf(source.path) == "tests") continue;
    for (const std::string& include : source.includes) {
      for (const char* heavy : {"toml++", "nlohmann/json.hpp", "spdlog/"}) {
        EXPECT_NE(include.rfind(heavy, 0), 0u) << source.path << " includes " << include;
      }
    }
  }
}

// Nothing half done may stay behind unnoticed.
TEST(Tidy, NothingIsLeftForLater) {
  const std::regex later(std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X)\\b");
  for (const Source& source : Sources()) EXPECT_FALSE(std::regex_search(source.text, later)) << source.path;
}

}  // namespace
