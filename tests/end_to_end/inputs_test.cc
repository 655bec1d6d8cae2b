// What each kind of input is worth, on data made so that a plain bag or a table without it cannot tell; and that each
// gives the same model however the work is spread.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {
namespace {

using Lines = std::vector<std::string>;

std::string Joined(const Lines& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : "|") + item;
  return text;
}

class InputsRun {
 public:
  static InputsRun& Get() {
    static InputsRun run;
    return run;
  }

  // Trains with more of a run file, and returns its result.
  nlohmann::json Train(const std::string& out, const std::string& more, int epochs = 6, int servers = 1,
                       int workers = 2, const std::string& data = "d.h5") {
    const std::string run_file = folder_.Write(out + ".toml", "data = \"" + data + "\"\n" + kRun + more);
    const Outcome outcome =
        RunProgram({Cohort(), "train", run_file, "--out", folder_ / out, "--servers", std::to_string(servers),
                    "--workers", std::to_string(workers), "--set", "train.epochs=" + std::to_string(epochs)});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return nlohmann::json::parse(ReadFile((folder_ / out) + "/result.json"), nullptr, false);
  }
  double Auc(const nlohmann::json& result, const std::string& task) {
    return result.is_object() && result.contains("tasks") ? result["tasks"][task]["test"].value("auc", -1.0)
                                                          : -1.0;
  }

 private:
  static std::string Cohort() { return std::string(COHORT_BIN_DIR) + "/cohort"; }

  // moves: a and b side by side among others; ab: a comes first. Both words are in every row, so that a bag says nothing.
  // note: praise: the same words, in another order: only pairs of words tell. image: bright: the sign of a sum.
  // seen, item: like: the item is among those seen.
  InputsRun() {
    RandomStream random(7);
    const auto pick = [&](std::uint64_t n) { return std::to_string(random.Below(n)); };
    std::string csv = "id,moves,seen,item,image,note,ab,like,bright,praise\n";
    for (int row = 0; row < 8000; ++row) {
      Lines moves, seen;
      for (std::uint64_t i = random.Below(4); i > 0; --i) moves.push_back("n" + pick(10));
      const bool ab = random.Below(2) == 0;
      moves.push_back(ab ? "a" : "b");
      moves.push_back(ab ? "b" : "a");
      for (std::uint64_t i = random.Below(4); i > 0; --i) moves.push_back("n" + pick(10));
      for (std::uint64_t i = 2 + random.Below(5); i > 0; --i) seen.push_back(pick(200));
      const bool like = random.Below(2) == 0;
      std::string item = like ? seen[random.Below(seen.size())] : pick(200);
      while (!like && std::find(seen.begin(), seen.end(), item) != seen.end()) item = pick(200);
      Lines image;
      double brightness = 0;
      for (int i = 0; i < 6; ++i) {
        const double value = random.Uniform() * 2 - 1;
        image.push_back(std::to_string(value));
        brightness += i % 2 == 0 ? value : -value;
      }
      const bool praise = random.Below(2) == 0;
      const std::string note = "It was n" + pick(9) +
                               (praise ? " not bad, really good " : " not good, really bad ") + "for n" +
                               pick(9);
      csv += std::to_string(row) + "," + Joined(moves) + "," + Joined(seen) + "," + item + "," +
             Joined(image) + ",\"" + note + "\"," + (ab ? "1" : "0") + "," + (like ? "1" : "0") + "," +
             (brightness > 0 ? "1" : "0") + "," + (praise ? "1" : "0") + "\n";
    }
    folder_.Write("data.csv", csv);
    const auto prepare = [&](const std::string& name, const std::string& schema) {
      const std::string path = folder_.Write(name + ".toml", schema);
      const Outcome prepared = RunProgram({Cohort(), "prepare", path, "--out", folder_ / (name + ".h5")});
      EXPECT_EQ(prepared.exit_code, 0) << prepared.all();
    };
    const std::string schema = kSchema, image = kImage;
    prepare("d", schema + image);
    std::string words = schema;  // single words, no image
    words.replace(words.find("ngrams = 2"), 10, "ngrams = 1");
    prepare("words", words);
    std::string likes = schema;  // the item and those seen only
    likes.erase(likes.find(kNote), std::string(kNote).size());
    likes.erase(likes.find(kMoves), std::string(kMoves).size());
    prepare("likes",
            likes.substr(0, likes.find("[[task]]")) + "[[task]]\nname = \"like\"\ntype = \"binary\"\n");
  }

  static constexpr const char* kSchema = R"([source]
files = ["data.csv"]
[split]
hash_of = "id"
test = 0.25
[id]
column = "id"
[[feature]]
name = "moves"
type = "sequence"
[[feature]]
name = "item"
type = "categorical"
[[feature]]
name = "seen"
type = "sequence"
vocabulary = "item"
[[feature]]
name = "note"
type = "text"
ngrams = 2
[[task]]
name = "ab"
type = "binary"
[[task]]
name = "like"
type = "binary"
[[task]]
name = "bright"
type = "binary"
[[task]]
name = "praise"
type = "binary"
)";
  static constexpr const char* kMoves = "[[feature]]\nname = \"moves\"\ntype = \"sequence\"\n";
  static constexpr const char* kNote = "[[feature]]\nname = \"note\"\ntype = \"text\"\nngrams = 2\n";
  static constexpr const char* kImage = R"([[feature]]
name = "image"
type = "vector"
length = 6
)";
  inline static const std::string kRun = R"([model]
kind = "shared_bottom"
embedding_dim = 8
expert_layers = [32]
tower_layers = [16]
[train]
batch_size = 150
evaluate_train = false
[optimizer.dense]
learning_rate = 0.01
[optimizer.embedding]
learning_rate = 0.1
)";
  TemporaryFolder folder_;
};

TEST(Inputs, OnlyEncodersOfSequencesSeeTheOrder) {
  InputsRun& run = InputsRun::Get();
  const double bag = run.Auc(run.Train("pooled", ""), "ab");
  const double gru = run.Auc(run.Train("gru", "[sequence.moves]\nencoder = \"gru\"\nwidth = 16\n"), "ab");
  const double convolution = run.Auc(
      run.Train("convolution", "[sequence.moves]\nencoder = \"convolution\"\nwidth = 16\nkernel = 2\n"),
      "ab");
  std::printf("AUC of ab: bag %.3f, gru %.3f, convolution %.3f\n", bag, gru, convolution);
  EXPECT_GT(bag, 0.45);
  EXPECT_LT(bag, 0.55);
  EXPECT_GT(gru, 0.95);
  EXPECT_GT(convolution, 0.95);
}

// A bag beside the item learns something of it; to compare the two is what attention does.
TEST(Inputs, AttentionFindsTheTargetAmongTheSteps) {
  InputsRun& run = InputsRun::Get();
  const double bag = run.Auc(run.Train("bag", "", 6, 1, 2, "likes.h5"), "like");
  const std::string more = "[sequence.seen]\nencoder = \"attention\"\ntarget = \"item\"\n";
  const double attention = run.Auc(run.Train("attention", more, 6, 1, 2, "likes.h5"), "like");
  std::printf("AUC of like: bag %.3f, attention %.3f\n", bag, attention);
  EXPECT_LT(bag, 0.92);
  EXPECT_GT(attention, 0.97);
}

TEST(Inputs, VectorsAndPairsOfWordsAreLearned) {
  InputsRun& run = InputsRun::Get();
  const auto with = run.Train("with", ""), without = run.Train("without", "", 6, 1, 2, "words.h5");
  std::printf("AUC of bright: vector %.3f, without %.3f; of praise: pairs of words %.3f, single words %.3f\n",
              run.Auc(with, "bright"), run.Auc(without, "bright"), run.Auc(with, "praise"),
              run.Auc(without, "praise"));
  for (const std::string task : {"bright", "praise"}) {
    EXPECT_GT(run.Auc(with, task), 0.95) << task;
    EXPECT_GT(run.Auc(without, task), 0.45) << task;
    EXPECT_LT(run.Auc(without, task), 0.55) << task;
  }
}

TEST(Inputs, GiveTheSameModelHoweverTheWorkIsSpread) {
  InputsRun& run = InputsRun::Get();
  for (const std::string encoder : {R"(encoder = "gru")", R"(encoder = "convolution")"}) {
    const std::string more =
        "[sequence.moves]\n" + encoder +
        "\n[sequence.seen]\nencoder = \"attention\"\ntarget = \"item\"\n[autoencoder]\nweight = 0.1\n";
    std::string first;
    for (const int servers : {1, 2, 3}) {
      for (const int workers : {1, 2, 4}) {
        const auto result = run.Train(
            "h" + std::to_string(encoder.size()) + std::to_string(servers) + std::to_string(workers), more, 1,
            servers, workers);
        const std::string hash = result.value("model_hash", "");
        EXPECT_FALSE(hash.empty());
        if (first.empty()) first = hash;
        EXPECT_EQ(hash, first) << encoder << servers << workers;
      }
    }
  }
}

}  // namespace
}  // namespace cohort::testing
