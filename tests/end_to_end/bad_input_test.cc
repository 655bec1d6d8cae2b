// Bad input, command by command: the documented exit code, a message that names the place and the mend, and
// nothing half-written under the final name.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "common/check.h"
#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

// In arguments and texts DIR stands for the case's own folder, SHOP for the prepared shop's, RUN for a
// trained run.
struct Case {
  std::string name;
  std::vector<std::string> arguments;                      // of cohort
  std::vector<std::pair<std::string, std::string>> files;  // name, text: written to DIR
  std::vector<std::string> expected;                       // parts of the message, all of them
  int exit_code = 2;
  std::string not_created;  // must not exist afterwards (final name, and with .tmp)
  std::function<void(const TemporaryFolder&)> prepare;
};

constexpr const char* kCsv = "id,age,city,bought\n1,30,Rome,1\n2,,Oslo,0\n3,41,Rome,0\n4,22,,1\n";
constexpr const char* kSchema = R"([source]
files = ["data.csv"]
[split]
hash_of = "id"
test = 0.3
[id]
column = "id"
[[feature]]
name = "age"
column = "age"
type = "numeric"
[[feature]]
name = "city"
column = "city"
type = "categorical"
[[task]]
name = "bought"
column = "bought"
type = "binary"
positive = ["1"]
)";

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// A schema case: the standard files with one change.
Case SchemaCase(std::string name, const std::string& from, const std::string& to,
                std::vector<std::string> expected) {
  COHORT_CHECK(std::string(kSchema).find(from) != std::string::npos, "%s changes nothing", name.c_str());
  return {std::move(name),
          {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5"},
          {{"data.csv", kCsv}, {"schema.toml", Replaced(kSchema, from, to)}},
          std::move(expected),
          2,
          "DIR/d.h5",
          {}};
}
// A CSV case: the standard schema over another file, strict, so that what would be counted is an error.
Case CsvCase(std::string name, std::string csv, std::vector<std::string> expected, int exit_code = 2) {
  return {std::move(name),
          {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5", "--strict"},
          {{"data.csv", std::move(csv)}, {"schema.toml", kSchema}},
          std::move(expected),
          exit_code,
          "DIR/d.h5",
          {}};
}
// A run-file case.
Case RunCase(std::string name, const std::string& text, std::vector<std::string> expected) {
  return {std::move(name),
          {"train", "DIR/run.toml", "--out", "DIR/run"},
          {{"run.toml", "data = \"SHOP/shop.h5\"\n" + text}},
          std::move(expected),
          2,
          "DIR/run",
          {}};
}
Case FlagCase(std::string name, std::vector<std::string> arguments, std::vector<std::string> expected,
              int exit_code = 2) {
  return {std::move(name), std::move(arguments), {}, std::move(expected), exit_code, "", {}};
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](Case c) { cases.push_back(std::move(c)); };

  // ---- usage
  add(FlagCase("NoCommand", {}, {"--help"}));
  add(FlagCase("UnknownCommand", {"trian"}, {"trian"}));
  add(FlagCase("UnknownFlag", {"train", "x.toml", "--worker", "2"}, {"--worker"}));
  add(FlagCase("MissingArgument", {"prepare"}, {"schema", "--help"}));
  add(FlagCase("MissingOut", {"prepare", "x.toml"}, {"--out"}));
  add(FlagCase("WorkersNotANumber", {"train", "SHOP/run.toml", "--out", "DIR/r", "--workers", "two"},
               {"--workers", "two"}));
  add(FlagCase("NoWorkers", {"train", "SHOP/run.toml", "--out", "DIR/r", "--workers", "0"},
               {"workers", "0"}));
  add(FlagCase("NegativeServers", {"train", "SHOP/run.toml", "--out", "DIR/r", "--servers", "-1"},
               {"servers", "-1"}));
  add(FlagCase("SetWithoutValue", {"train", "SHOP/run.toml", "--out", "DIR/r", "--set", "seed"},
               {"seed", "="}));
  add(FlagCase("SetUnknownKey", {"train", "SHOP/run.toml", "--out", "DIR/r", "--set", "train.epoch=2"},
               {"train.epoch", "epochs"}));
  add(FlagCase("SetWrongType", {"train", "SHOP/run.toml", "--out", "DIR/r", "--set", "train.epochs=many"},
               {"train.epochs", "many"}));

  // ---- generate
  add(FlagCase("GenerateNoUsers", {"generate", "--out", "DIR/g", "--users", "0"}, {"users", "0"}));
  add(FlagCase("GenerateBadSeed", {"generate", "--out", "DIR/g", "--seed", "x"}, {"seed", "x"}));
  add({"GenerateOntoAFile",
       {"generate", "--out", "DIR/taken", "--users", "10"},
       {{"taken", "a file"}},
       {"taken"},
       2,
       "",
       {}});

  // ---- bench
  add(FlagCase("BenchNothing", {"bench"}, {"subcommand", "cohort bench --help"}));
  add(FlagCase("BenchUnknown", {"bench", "pul"}, {"pul", "pull"}));
  add(FlagCase("BenchNoServers", {"bench", "pull", "--servers", "0"},
               {"--servers", "0", "cohort bench pull --help"}));
  add(FlagCase("BenchTooManyShards", {"bench", "push", "--servers", "20", "--shards", "20"},
               {"--servers", "--shards", "400", "256"}));
  add(FlagCase("BenchUnknownTransport", {"bench", "pull", "--transport", "udp"},
               {"--transport", "udp", "tcp", "ipc"}));
  add(FlagCase("BenchUnknownOptimizer", {"bench", "push", "--optimizer", "adem"},
               {"--optimizer", "adem", "adam"}));
  add(FlagCase("BenchBatchBeyondRows", {"bench", "pull-push", "--batch", "100", "--rows", "10"},
               {"--batch 100", "--rows 10"}));
  add(FlagCase("BenchTableBatchBeyondRows", {"bench", "table", "--batch", "100", "--rows", "10"},
               {"--batch 100", "--rows 10"}));
  add(FlagCase("BenchTooLarge", {"bench", "table", "--rows", "4000000000", "--dim", "4096"},
               {"memory", "--rows"}));
  add(FlagCase("BenchUnequalSlices", {"bench", "step", "--batch", "100", "--slices", "3"},
               {"--batch 100", "3", "--slices"}));

  // ---- schema
  add(FlagCase("NoSchema", {"prepare", "DIR/none.toml", "--out", "DIR/d.h5"}, {"none.toml"}));
  add({"SinceOfATable",
       {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5", "--since", "DIR/records"},
       {{"schema.toml", "[source]\nfiles = [\"x.csv\"]\n"}},
       {"--since is for the logs of a shop", "has no section [shop]"},
       2,
       "DIR/d.h5",
       {}});
  add({"SchemaIsAFolder", {"prepare", "DIR", "--out", "DIR/d.h5"}, {}, {"DIR"}, 2, "DIR/d.h5", {}});
  add({"EmptySchema",
       {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5"},
       {{"schema.toml", ""}},
       {"schema.toml"},
       2,
       "DIR/d.h5",
       {}});
  add(SchemaCase("SchemaSyntax", "[split]", "[split", {"schema.toml", "3"}));
  add(SchemaCase("SchemaUnknownKey", "files =", "file =", {"file", "files"}));
  add(SchemaCase("SchemaUnknownSection", "[split]", "[splits]", {"splits", "split"}));
  add(SchemaCase("SchemaUnknownFeatureType", "\"numeric\"", "\"numerical\"", {"numerical", "numeric"}));
  add(SchemaCase("SchemaUnknownTaskType", "\"binary\"", "\"logistic\"", {"logistic", "binary"}));
  add(SchemaCase("SchemaUnknownColumn", "column = \"age\"", "column = \"agee\"", {"agee", "age"}));
  add(SchemaCase("SchemaColumnOutOfRange", "column = \"age\"", "column = 17", {"17"}));
  add(SchemaCase("SchemaTaskIsFeature", "column = \"bought\"", "column = \"city\"", {"city"}));
  add(SchemaCase("SchemaDuplicateFeature", "name = \"city\"", "name = \"age\"", {"age", "already"}));
  add(SchemaCase("SchemaShareTooLarge", "test = 0.3", "test = 1.3", {"test", "1.3"}));
  add(SchemaCase("SchemaWrongValueType", "test = 0.3", "test = \"a third\"", {"test"}));
  add(SchemaCase("SchemaMissingFile", "data.csv", "nowhere.csv",
                 {"nowhere.csv", "relative to the file that names them, or to --data-dir"}));
  add(SchemaCase("SchemaTwoSplits", "test = 0.3", "test = 0.3\ntime = \"age\"\ntest_from = \"2011\"",
                 {"split"}));
  add(SchemaCase("SchemaHashOfUnknown", "hash_of = \"id\"", "hash_of = \"uid\"", {"uid"}));
  add(SchemaCase("SchemaBadDelimiter", "files = [\"data.csv\"]", "files = [\"data.csv\"]\ndelimiter = \"ab\"",
                 {"delimiter"}));
  add(SchemaCase("SchemaPositiveNotAList", "positive = [\"1\"]", "positive = 1", {"positive"}));

  add(SchemaCase("SchemaVectorWithoutLength", "type = \"numeric\"", "type = \"vector\"", {"age", "length"}));
  add(SchemaCase("SchemaUnknownVocabulary", "type = \"categorical\"",
                 "type = \"categorical\"\nvocabulary = \"town\"", {"vocabulary", "town"}));
  add(SchemaCase("SchemaLengthOfANumber", "type = \"numeric\"", "type = \"numeric\"\nmax_length = 3",
                 {"max_length", "sequences"}));

  // ---- CSV
  add(CsvCase("CsvEmpty", "", {"data.csv"}));
  add(CsvCase("CsvHeaderOnly", "id,age,city,bought\n", {"data.csv"}));
  add(CsvCase("CsvTooFewCells", std::string(kCsv) + "5,6\n", {"data.csv", "6", "2", "4"}));
  add(CsvCase("CsvTooManyCells", std::string(kCsv) + "5,6,Rome,1,9\n", {"data.csv", "6", "5", "4"}));
  add(CsvCase("CsvUnterminatedQuote", std::string(kCsv) + "5,\"6,Rome,1\n", {"data.csv", "6", "quote"}));
  add(CsvCase("CsvNotANumber", std::string(kCsv) + "5,old,Rome,1\n", {"age", "old"}));
  add(CsvCase("CsvNaN", std::string(kCsv) + "5,nan,Rome,1\n", {"age"}));
  add(CsvCase("CsvInfinite", std::string(kCsv) + "5,inf,Rome,1\n", {"age"}));
  add(CsvCase("CsvNulByte", std::string(kCsv) + std::string("5,1,R\0me,1\n", 10), {"data.csv"}));
  add(CsvCase("CsvDuplicateHeader", Replaced(kCsv, "city", "age"), {"age"}));
  add(CsvCase("CsvUtf16", std::string("\xff\xfei\0d\0,\0a\0", 10), {"data.csv"}));
  add({"CsvIsAFolder",
       {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5"},
       {{"schema.toml", kSchema}},
       {"data.csv"},
       2,
       "DIR/d.h5",
       [](const TemporaryFolder& dir) { std::filesystem::create_directory(dir / "data.csv"); }});
  add({"GzTruncated",
       {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5"},
       {{"schema.toml", Replaced(kSchema, "data.csv", "data.csv.gz")}},
       {"data.csv.gz"},
       2,
       "DIR/d.h5",
       [](const TemporaryFolder& dir) {
         std::string text = kCsv;
         for (int i = 0; i < 2000; ++i) text += std::to_string(i) + ",1,Rome,0\n";
         dir.Write("data.csv", text);
         ASSERT_EQ(RunProgram({"gzip", dir / "data.csv"}).exit_code, 0);
         std::filesystem::resize_file(dir / "data.csv.gz",
                                      std::filesystem::file_size(dir / "data.csv.gz") / 2);
       }});
  add({"GzCorrupt",
       {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5"},
       {{"schema.toml", Replaced(kSchema, "data.csv", "data.csv.gz")},
        {"data.csv.gz", "\x1f\x8b\x08 not really gzip"}},
       {"data.csv.gz"},
       2,
       "DIR/d.h5",
       {}});
  add({"PrepareOutExists",
       {"prepare", "DIR/schema.toml", "--out", "DIR/d.h5"},
       {{"schema.toml", kSchema}, {"data.csv", kCsv}, {"d.h5", "precious"}},
       {"d.h5", "--overwrite"},
       2,
       "",
       {}});
  add({"PrepareOutFolderMissing",
       {"prepare", "DIR/schema.toml", "--out", "DIR/no/d.h5"},
       {{"schema.toml", kSchema}, {"data.csv", kCsv}},
       {"no/d.h5"},
       2,
       "",
       {}});

  // ---- run file
  add(FlagCase("NoRunFile", {"train", "DIR/none.toml", "--out", "DIR/r"}, {"none.toml"}));
  add(RunCase("RunUnknownSequence", "[sequence.moves]\nencoder = \"gru\"\n",
              {"[sequence.moves]", "no feature of that name"}));
  add(RunCase("RunBagIsNoSequence", "[sequence.first_categories]\nencoder = \"gru\"\n",
              {"[sequence.first_categories]", "not a sequence", "type = \"sequence\""}));
  add(RunCase("RunUnknownEncoder", "[sequence.first_categories]\nencoder = \"lstm\"\n", {"lstm", "\"gru\""}));
  add(RunCase("RunNegativeReconstruction", "[autoencoder]\nweight = -1\n", {"autoencoder.weight", "-1"}));
  const std::string towers = "[model]\nkind = \"two_tower\"\n[two_tower]\nuser_layers = [16]\n";
  const std::string one_task =
      "[task.purchased]\nenabled = false\n[task.value]\nenabled = false\n[task.activation]\nenabled = false\n"
      "[task.acquisition_cost]\nenabled = false\n";
  add(RunCase("TowersWithoutItem", towers, {"two_tower.item is empty"}));
  add(RunCase("TowersOfUnknownItem", towers + "item = [\"refferer\"]\n" + one_task,
              {"two_tower.item names refferer", "it has: ", "referrer"}));
  add(RunCase("TowersOfTwoTasks", towers + "item = [\"referrer\"]\n", {"learns one binary task", "enabled = false"}));
  add(RunCase("TowersWithoutNegatives", towers + "item = [\"referrer\"]\nnegatives = 0\n" + one_task,
              {"two_tower.negatives is 0", "from 1"}));
  add(RunCase("TowersWithoutUser",
              towers +
                  "item = [\"referrer\", \"signup_month\", \"channel\", \"region\", \"device\", "
                  "\"first_categories\", \"age\"]\n" +
                  one_task,
              {"none is left for the user's side"}));
  add(RunCase("TowersOfABagAsId", towers + "item = [\"first_categories\"]\n" + one_task,
              {"first_categories, which is not categorical"}));
  add(RunCase("TowersOfAPlainNumber", towers + "item = [\"referrer\", \"minutes\"]\n" + one_task,
              {"minutes has no embedding", "bins"}));
  add(RunCase("TowersOfTwoWidths", towers + "item = [\"referrer\"]\nitem_layers = [8]\n" + one_task,
              {"the user's vector has 16 values, the item's 8"}));
  add(RunCase("TowersWithALinearTerm", "[model]\nkind = \"two_tower\"\nlinear = true\n[two_tower]\nitem = [\"x\"]\n",
              {"model.linear"}));
  add(RunCase("RunSyntax", "[train\nepochs = 1\n", {"run.toml", "2"}));
  add(RunCase("RunUnknownKey", "[train]\nepoch = 3\n", {"run.toml", "3", "epoch", "epochs"}));
  add(RunCase("RunUnknownSection", "[trian]\nepochs = 3\n", {"trian", "train"}));
  add(RunCase("RunWrongType", "[train]\nepochs = \"three\"\n", {"epochs", "3"}));
  add(RunCase("RunZeroBatch", "[train]\nbatch_size = 0\n", {"batch_size", "0"}));
  add(RunCase("RunSlicesNotAPowerOfTwo", "[train]\nslices = 6\n", {"slices", "6"}));
  add(RunCase("RunUnknownModel", "[model]\nkind = \"moe\"\n", {"moe", "mmoe", "did you mean"}));
  add(RunCase("RunUnknownOptimizer", "[optimizer.dense]\nkind = \"adem\"\n", {"adem", "adam"}));
  add(RunCase("RunNegativeRate", "[optimizer.dense]\nlearning_rate = -1\n", {"learning_rate", "-1"}));
  add(RunCase("RunNaNRate", "[optimizer.dense]\nlearning_rate = nan\n", {"learning_rate"}));
  add(RunCase("RunUnknownConsistency", "[train]\nconsistency = \"bps\"\n", {"bps", "bsp"}));
  add(RunCase("RunUnknownTask", "[task.churn]\nweight = 2.0\n", {"churn", "churned"}));
  add(RunCase(
      "RunNoTaskLeft",
      "[task.churned]\nenabled = false\n[task.purchased]\nenabled = false\n[task.value]\nenabled = false\n"
      "[task.activation]\nenabled = false\n[task.acquisition_cost]\nenabled = false\n",
      {"task"}));
  add(RunCase("RunReplicas", "[cluster]\nservers = 1\nreplicas = 1\n", {"replicas", "servers"}));
  add(RunCase("RunDuplicateKey", "[train]\nepochs = 1\nepochs = 2\n", {"epochs"}));
  add({"RunNoData",
       {"train", "DIR/run.toml", "--out", "DIR/run"},
       {{"run.toml", "seed = 1\n"}},
       {"data"},
       2,
       "DIR/run",
       {}});
  add({"RunDataMissing",
       {"train", "DIR/run.toml", "--out", "DIR/run"},
       {{"run.toml", "data = \"gone.h5\"\n"}},
       {"gone.h5"},
       2,
       "DIR/run",
       {}});

  // ---- HDF5
  add({"DataNotHdf5",
       {"train", "DIR/run.toml", "--out", "DIR/run"},
       {{"run.toml", "data = \"d.h5\"\n"}, {"d.h5", "this is not HDF5"}},
       {"d.h5: is no HDF5 file; expected a dataset, which `cohort prepare` writes\n"},
       2,
       "DIR/run",
       {}});
  add({"DataEmpty",
       {"train", "DIR/run.toml", "--out", "DIR/run"},
       {{"run.toml", "data = \"d.h5\"\n"}, {"d.h5", ""}},
       {"d.h5: is empty; expected a dataset, which `cohort prepare` writes\n"},
       2,
       "DIR/run",
       {}});
  add({"DataTruncated",
       {"train", "DIR/run.toml", "--out", "DIR/run"},
       {{"run.toml", "data = \"d.h5\"\n"}},
       {"d.h5"},
       2,
       "DIR/run",
       [](const TemporaryFolder& dir) {
         std::filesystem::copy_file(ShopRun::Get().dataset(), dir / "d.h5");
         std::filesystem::resize_file(dir / "d.h5", std::filesystem::file_size(dir / "d.h5") / 2);
       }});
  add({"ModelIsNoDataset",
       {"train", "DIR/run.toml", "--out", "DIR/run"},
       {{"run.toml", "data = \"d.h5\"\n"}},
       {"d.h5"},
       2,
       "DIR/run",
       [](const TemporaryFolder& dir) {
         for (const auto& entry :
              std::filesystem::directory_iterator(ShopRun::Get().folder() / "bad-input-run" + "/model")) {
           if (entry.path().extension() == ".h5") {
             std::filesystem::copy_file(entry.path(), dir / "d.h5");
             return;
           }
         }
       }});

  // ---- evaluate, score, export, verify, inspect, diff, reshard, report
  add(FlagCase("EvaluateNoRun", {"evaluate", "DIR/none", "--data", "SHOP/shop.h5"}, {"none"}));
  add(FlagCase("EvaluateNoData", {"evaluate", "RUN", "--data", "DIR/none.h5"}, {"none.h5"}));
  add(FlagCase("EvaluateUnknownSplit", {"evaluate", "RUN", "--data", "SHOP/shop.h5", "--split", "tset"},
               {"tset", "test"}));
  add(FlagCase("ScoreUnknownFormat", {"score", "RUN", "--data", "SHOP/shop.h5", "--out", "DIR/s.xlsx"},
               {"s.xlsx", "csv"}));
  add({"ScoreOutExists",
       {"score", "RUN", "--data", "SHOP/shop.h5", "--out", "DIR/s.csv"},
       {{"s.csv", "precious"}},
       {"s.csv", "--overwrite"},
       2,
       "",
       {}});
  add({"ScoreOtherData",
       {"score", "RUN", "--data", "DIR/d.h5", "--out", "DIR/s.csv"},
       {{"data.csv", kCsv}, {"schema.toml", kSchema}},
       {"feature"},
       2,
       "DIR/s.csv",
       [](const TemporaryFolder& dir) {
         const Outcome made = RunProgram({Program(), "prepare", dir / "schema.toml", "--out", dir / "d.h5"});
         ASSERT_EQ(made.exit_code, 0) << made.all();
       }});
  add(FlagCase("VerifyNothing", {"verify", "DIR/none"}, {"none"}));
  add({"VerifyEmptyFolder", {"verify", "DIR"}, {}, {"manifest"}, 2, "", {}});
  add({"VerifyBrokenManifest",
       {"verify", "DIR"},
       {{"manifest.json", "{\"format\": 1,"}},
       {"manifest.json"},
       1,
       "",
       {}});
  add({"VerifyForeignManifest",
       {"verify", "DIR"},
       {{"manifest.json", "{\"format\": 999}"}},
       {"manifest.json", "999"},
       1,
       "",
       {}});
  add({"VerifyMissingPart", {"verify", "DIR/model"}, {}, {"part"}, 1, "", [](const TemporaryFolder& dir) {
         std::filesystem::copy(ShopRun::Get().folder() / "bad-input-run" + "/model", dir / "model",
                               std::filesystem::copy_options::recursive);
         for (const auto& entry : std::filesystem::directory_iterator(dir / "model")) {
           if (entry.path().extension() == ".h5") {
             std::filesystem::remove(entry.path());
             return;
           }
         }
       }});
  const auto damaged_model = [](const TemporaryFolder& dir) {
    std::filesystem::copy(ShopRun::Get().folder() / "bad-input-run" + "/model", dir / "model",
                          std::filesystem::copy_options::recursive);
    std::ofstream(dir / "model/part-00000.h5", std::ios::binary | std::ios::app) << "x";
  };
  add(FlagCase("BaselineUnknownFeature",
               {"baseline", "SHOP/shop.h5", "--out", "DIR/b.csv", "--features", "spent"},
               {"\"spent\"", "--features"}));
  add(FlagCase("BaselineUnknownFormat",
               {"baseline", "SHOP/shop.h5", "--out", "DIR/b.txt", "--features", "recency_days"}, {"b.txt"}));
  add(FlagCase("CompareNoSuchFile", {"compare", "a=DIR/none.csv", "--data", "SHOP/shop.h5"}, {"none.csv"}));
  add(FlagCase("CompareOneNameTwice", {"compare", "a=x.csv", "a=y.csv", "--data", "SHOP/shop.h5"},
               {"two models are called \"a\"", "a=FILE,FILE"}));
  add(FlagCase("CompareNoFileName", {"compare", "a=", "--data", "SHOP/shop.h5"}, {"NAME=FILE"}));
  const auto compare_ids = [&](const std::string& name,
                               const std::vector<std::pair<std::string, std::string>>& files,
                               const std::vector<std::string>& expected) {
    add({"CompareIds" + name,
         {"compare", "a=a.csv", "--data", "SHOP/shop.h5", "--ids", "DIR/ids.csv"},
         files,
         expected,
         2,
         "",
         {}});
  };
  compare_ids("NoSuchFile", {}, {"ids.csv"});
  compare_ids("EmptyFile", {{"ids.csv", ""}}, {"ids.csv", "no id", "expected a header"});
  compare_ids("HeaderAlone", {{"ids.csv", "user\n"}}, {"ids.csv: no id", "expected a header"});
  compare_ids("WithoutHeader", {{"ids.csv", "4711\n4712\n"}}, {"ids.csv:1: \"4711\" is an id"});
  compare_ids("Stranger", {{"ids.csv", "user\nnobody\n"}},
              {"ids.csv:2: \"nobody\" is in no row of the test split"});
  add(FlagCase("InspectNothing", {"inspect", "DIR/none"}, {"none", "manifest.json"}));
  add({"InspectDamaged", {"inspect", "DIR/model"}, {}, {"part-00000.h5", "damaged"}, 1, "", damaged_model});
  add(FlagCase("InspectDataset", {"inspect", "SHOP/shop.h5"}, {"no model here"}));
  add(FlagCase("InspectKeyWithoutTable", {"inspect", "RUN", "--key", "1"}, {"--table"}));
  add(FlagCase("InspectTableWithoutKey", {"inspect", "RUN", "--table", "dense"}, {"--key"}));
  add(FlagCase("InspectUnknownTable", {"inspect", "RUN", "--table", "embeding", "--key", "1"},
               {"embeding", "did you mean \"embedding\""}));
  add(FlagCase("InspectKeyIsNone", {"inspect", "RUN", "--table", "embedding", "--key", "Rome"},
               {"--key Rome", "16 hexadecimal digits"}));
  add(FlagCase("InspectKeyTooLarge",
               {"inspect", "RUN", "--table", "embedding", "--key", "18446744073709551616"},
               {"18446744073709551616", "below 2^64"}));
  add(FlagCase("InspectNoSuchKey", {"inspect", "RUN", "--table", "embedding", "--key", "0x12"},
               {"0000000000000012", "export"}));
  add(FlagCase("DiffNothing", {"diff", "RUN", "DIR/none"}, {"none", "manifest.json"}));
  add(FlagCase("DiffOneOnly", {"diff", "RUN"}, {"b is required", "--help"}));
  add({"DiffDamaged", {"diff", "RUN", "DIR/model"}, {}, {"DIR/model/part-00000.h5"}, 1, "", damaged_model});
  add({"ReshardOutExists",
       {"reshard", "RUN", "--shards", "2", "--out", "DIR/out"},
       {{"out", "precious"}},
       {"out exists", "choose another"},
       2,
       "",
       {}});
  add(FlagCase("ReshardOntoItself", {"reshard", "RUN", "--shards", "2", "--out", "RUN/model"},
               {"model exists"}));
  add({"ReshardNoParent",
       {"reshard", "RUN", "--shards", "2", "--out", "DIR/no/where"},
       {},
       {"no/where", "parent folder"},
       2,
       "DIR/no",
       {}});
  add({"ReshardTooMany",
       {"reshard", "RUN", "--shards", "257", "--out", "DIR/out"},
       {},
       {"--shards", "256"},
       2,
       "DIR/out",
       {}});
  add({"ReshardDamaged",
       {"reshard", "DIR/model", "--shards", "2", "--out", "DIR/out"},
       {},
       {"part-00000.h5", "damaged"},
       1,
       "DIR/out",
       damaged_model});
  add(FlagCase("ExportUnknownTable", {"export", "RUN", "--out", "DIR/e.csv", "--table", "users"}, {"users"}));
  add(FlagCase("ExportUnknownFormat", {"export", "RUN", "--out", "DIR/e", "--format", "parquet"},
               {"parquet"}));
  add({"ReportNoResult", {"report", "DIR"}, {}, {"result.json"}, 2, "", {}});
  add({"ReportBrokenResult", {"report", "DIR"}, {{"result.json", "{"}}, {"result.json"}, 1, "", {}});
  return cases;
}

// What a failure prints of its case.
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class BadInput : public ::testing::TestWithParam<Case> {};

TEST_P(BadInput, IsNamedAndLosesNothing) {
  const Case& c = GetParam();
  const ShopRun& shop = ShopRun::Get();
  static const Outcome trained = shop.Train("bad-input-run", 1, 1);
  ASSERT_EQ(trained.exit_code, 0) << trained.all();
  TemporaryFolder dir;
  const auto fill = [&](std::string text) {
    text = Replaced(std::move(text), "SHOP", shop.folder().path());
    text = Replaced(std::move(text), "RUN", shop.folder() / "bad-input-run");
    return Replaced(std::move(text), "DIR", dir.path());
  };
  for (const auto& [name, text] : c.files) dir.Write(name, fill(text));
  if (c.prepare) c.prepare(dir);
  std::vector<std::string> command = {Program()};
  for (const std::string& argument : c.arguments) command.push_back(fill(argument));
  const Outcome outcome = RunProgram(command, std::chrono::seconds(60));
  EXPECT_EQ(outcome.exit_code, c.exit_code) << outcome.all();
  EXPECT_FALSE(outcome.timed_out);
  for (const std::string& part : c.expected) {
    EXPECT_NE(outcome.err.find(fill(part)), std::string::npos)
        << "'" << fill(part) << "' is not in: " << outcome.err;
  }
  EXPECT_EQ(outcome.err.find("terminate called"), std::string::npos) << outcome.err;
  if (!c.not_created.empty()) {
    EXPECT_FALSE(std::filesystem::exists(fill(c.not_created)));
    EXPECT_FALSE(std::filesystem::exists(fill(c.not_created) + ".tmp"));
  }
  for (const auto& [name, text] : c.files)
    EXPECT_EQ(ReadFile(dir / name), fill(text)) << name << " was changed";
}

std::string NameOf(const ::testing::TestParamInfo<Case>& parameter) { return parameter.param.name; }
INSTANTIATE_TEST_SUITE_P(Table, BadInput, ::testing::ValuesIn(Cases()), NameOf);

TEST(BadInputTable, HasAtLeastSixtyCases) { EXPECT_GE(Cases().size(), 60u); }

}  // namespace
}  // namespace cohort::testing
