#include "common/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace cohort::config_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<RunConfig> Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ParseRunConfig(text, "run.toml", "/data", overrides);
}

TEST(Config, DefaultsAndValues) {
  const auto config = Parse(R"(
    data = "d.h5"
    seed = 9
    [model]
    kind = "single"
    expert_layers = []
    [train]
    consistency = "ssp"
    batch_size = 256
    [optimizer.dense]
    kind = "ftrl"
    learning_rate = 1
    [task.income]
    weight = 0.5
    [task."never married"]
    enabled = false
    [cluster]
    credit_bytes = 1_000_000
    [evaluation]
    top = [1, 20]
    [wire]
    push_rows = "keys"
    push_values = "bfloat16"
  )");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->data, "/data/d.h5");
  EXPECT_EQ(config->seed, 9u);
  EXPECT_EQ(config->model.kind, "single");
  EXPECT_TRUE(config->model.expert_layers.empty());
  EXPECT_EQ(config->model.tower_layers, (std::vector<std::uint32_t>{64, 32}));
  EXPECT_EQ(config->train.consistency, Consistency::kSsp);
  EXPECT_EQ(config->embedding_optimizer.kind, OptimizerKind::kAdagrad);
  EXPECT_EQ(config->dense_optimizer.kind, OptimizerKind::kFtrl);
  EXPECT_EQ(config->dense_optimizer.learning_rate, 1.0f);
  EXPECT_EQ(config->tasks.at("income").weight, 0.5f);
  EXPECT_FALSE(config->tasks.at("never married").enabled);
  EXPECT_EQ(config->cluster.credit_bytes, 1000000u);
  EXPECT_EQ(config->evaluation.top, (std::vector<std::uint32_t>{1, 20}));
  EXPECT_EQ(config->wire.push_rows, PushRowNames::kKeys);
  EXPECT_EQ(config->wire.push_values, FloatType::kBfloat16);
  EXPECT_EQ(config->wire.pull_values, FloatType::kFloat32);
}

TEST(Config, ACacheNeedsStaleness) {
  const std::string data = "data = \"d.h5\"\n";
  const std::vector<std::string> asp = {"cache.rows=100", "train.consistency=asp", "cache.max_age=2"};
  const auto config = Parse(data, asp);
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->cache.rows, 100u);
  EXPECT_EQ(config->cache.max_age, 2u);
  EXPECT_TRUE(Parse(data, {"cache.rows=100", "train.consistency=ssp"}));
  const auto bsp = Parse(data, {"cache.rows=100"});
  ASSERT_FALSE(bsp);
  EXPECT_THAT(bsp.error().text(), AllOf(HasSubstr("cache.rows is 100"), HasSubstr("\"bsp\"")));
  const auto none = Parse(data, {"cache.rows=100", "train.consistency=ssp", "train.staleness=0"});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().text(), HasSubstr("train.staleness = 0"));
}

TEST(Config, OverridesComeOnTop) {
  const auto config =
      Parse("data = \"d.h5\"\n[train]\nepochs = 2\n",
            {"train.epochs=5", "train.consistency=asp", "optimizer.dense.learning_rate = 1e-4",
             "task.income.l2=0.5", "model.tower_layers=[8]"});
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->train.epochs, 5u);
  EXPECT_EQ(config->train.consistency, Consistency::kAsp);
  EXPECT_EQ(config->dense_optimizer.learning_rate, 1e-4f);
  EXPECT_EQ(config->tasks.at("income").l2, 0.5f);
  EXPECT_EQ(config->model.tower_layers, (std::vector<std::uint32_t>{8}));
  // A path on the command line is relative to the working directory.
  const auto moved = Parse("data = \"d.h5\"", {"data=other.h5"});
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->data, (std::filesystem::current_path() / "other.h5").string());
}

TEST(Config, TomlRoundTrip) {
  auto config = Parse(
      "data = \"d.h5\"\n[task.'odd \"name\"\\u']\nweight = 0.1\n"
      "[sequence.'last \"items\"']\nencoder = \"attention\"\ntarget = \"i.t\"\nwidth = 9\n",
      {"optimizer.embedding.epsilon=1e-8", "train.slices=1", "cluster.slow_worker=1",
       "model.expert_layers=[]", "optimizer.embedding.kind=rowwise_adagrad"});
  ASSERT_TRUE(config) << config.error().text();
  const std::string text = ToToml(*config);
  const auto again = ParseRunConfig(text, "resolved", "/elsewhere");
  ASSERT_TRUE(again) << again.error().text() << "\n" << text;
  EXPECT_EQ(ToToml(*again), text);
  EXPECT_EQ(again->data, "/data/d.h5");
  EXPECT_EQ(again->tasks.begin()->first, "odd \"name\"\\u");
  EXPECT_EQ(again->tasks.begin()->second.weight, 0.1f);
  EXPECT_EQ(again->model, config->model);
  const SequenceConfig& sequence = again->model.sequences.at("last \"items\"");
  EXPECT_EQ(sequence.encoder, SequenceEncoderKind::kAttention);
  EXPECT_EQ(sequence.target, "i.t");
  EXPECT_EQ(sequence.width, 9u);
  EXPECT_EQ(again->embedding_optimizer.epsilon, 1e-8f);
  EXPECT_EQ(again->embedding_optimizer.kind, OptimizerKind::kRowwiseAdagrad);
}

struct BadCase {
  std::string text;
  std::vector<std::string> overrides;
  std::vector<std::string> parts;  // of the message
};

std::string DottedKey(std::size_t parts) {
  std::string key;
  for (std::size_t i = 1; i < parts; ++i) key += "a.";
  return key + "a";
}

TEST(Config, BadInputsNamePlaceExpectationAndMend) {
  const std::string d = "data = \"d.h5\"\n", towers = d + "[model]\nkind = \"two_tower\"\n";
  const std::vector<BadCase> cases = {
      {"", {}, {"run.toml: data is missing", "cohort prepare"}},
      {"data = 3", {}, {"run.toml:1:8", "data is 3", "path of a dataset"}},
      {"data = \"\"", {}, {"run.toml:1:8", "path of a dataset"}},
      {d + "data = \"e.h5\"", {}, {"run.toml:2:"}},
      {d + "[train\nepochs = 1", {}, {"run.toml:2:"}},
      {d + "[train]\nepochs = \"three\"",
       {},
       {"run.toml:3:10", "train.epochs is 'three' (a string)", "a whole number from 0"}},
      {d + "[train]\nepochs = -1", {}, {"run.toml:3:10", "train.epochs is -1", "from 0 to"}},
      {d + "[train]\nepochs = 1.5", {}, {"train.epochs is 1.5", "a whole number"}},
      {d + "[train]\nepoch = 1", {}, {"run.toml:3:1", "unknown key train.epoch; did you mean train.epochs?"}},
      {d + "[train]\nbatchsize = 1", {}, {"did you mean train.batch_size?"}},
      {d + "[trian]\nepochs = 1", {}, {"run.toml:2:2", "did you mean train?"}},
      {d + "learning_rate = 0.1", {}, {"unknown key learning_rate", "learning_rate?"}},
      {d + "zzzzzzzzz = 1", {}, {"unknown key zzzzzzzzz", "--help-config"}},
      {d + "[shop]\nuntil = 1", {}, {"run.toml:2:2: unknown key shop; this looks like a SHOP.toml"}},
      {"[source]\nfiles = []", {}, {"run.toml:1:2: unknown key source; this looks like a SCHEMA.toml"}},
      {d + "budget = 1", {}, {"unknown key budget; this looks like an ACTIONS.toml"}},
      {d + "train = 3", {}, {"train is 3", "expected a table"}},
      {d + "[task]\nincome = 3", {}, {"task.income is 3", "expected a table"}},
      {d + "[task.income]\nwieght = 1.0", {}, {"did you mean task.income.weight?"}},
      {d + "[task.income]\nweight = -1.0", {}, {"task.income.weight is -1", "from 0"}},
      {d + "[task.income]\nenabled = 1", {}, {"true or false"}},
      {d + "[sequence.seen]\nencoder = \"lstm\"",
       {},
       {"sequence.seen.encoder is 'lstm'", "\"mean\" | \"sum\" | \"attention\" | \"gru\" | \"convolution\""}},
      {d + "[sequence.seen]\nwidht = 3", {}, {"did you mean sequence.seen.width?"}},
      {d + "[sequence.seen]\nkernel = 0", {}, {"sequence.seen.kernel is 0", "from 1 to 64"}},
      {d + "[sequences.seen]\nwidth = 3", {}, {"unknown key sequences", "did you mean sequence?"}},
      {d + "strict = \"yes\"", {}, {"strict is 'yes'", "true or false"}},
      {d + "seed = 99999999999999999999", {}, {"run.toml:2:"}},
      {d + "[model]\nkind = \"mmo\"",
       {},
       {"model.kind is 'mmo'",
        "\"single\" | \"shared_bottom\" | \"mmoe\" | \"ple\" | \"esmm\" | \"aitm\" | \"two_tower\""}},
      {towers, {}, {"two_tower.item is empty", "item = [\"item\"]"}},
      {towers + "[two_tower]\nitem = \"item\"", {}, {"two_tower.item is 'item'", "[\"item\", \"genres\"]"}},
      {towers + "[two_tower]\nitem = [\"i\"]\nnegatives = 0",
       {},
       {"two_tower.negatives is 0", "from 1 to 1024"}},
      {towers + "[two_tower]\nnegative = 4", {}, {"did you mean two_tower.negatives?"}},
      {towers + "[two_tower]\nsampling = \"popular\"", {}, {"\"uniform\" | \"frequency\""}},
      {towers + "[two_tower]\nloss = \"bpr\"", {}, {"\"logistic\" | \"softmax\""}},
      {towers + "[two_tower]\nitem = [\"i\"]\nuser_layers = [64, 32]",
       {},
       {"the user's vector has 32 values, the item's 16", "model.embedding_dim"}},
      {towers + "embedding_dim = 1\n[two_tower]\nitem = [\"i\"]", {}, {"vectors have 1 value", "2 or more"}},
      {towers + "linear = true\n[two_tower]\nitem = [\"i\"]", {}, {"model.linear", "leave it out"}},
      {towers + "[two_tower]\nitem = [\"i\"]\n[autoencoder]\nweight = 1",
       {},
       {"autoencoder.weight", "leave it out"}},
      {towers + "[two_tower]\nitem = [\"i\"]\n[train]\nbalance = \"pcgrad\"",
       {},
       {"train.balance", "one task"}},
      {d + "[model]\nkind = \"aitm\"\nchain = [\"a\", 3]", {}, {"model.chain", "a list of at most 64 names"}},
      {d + "[optimizer.dense]\nschedule = \"cosin\"",
       {},
       {"\"constant\" | \"step\" | \"cosine\" | \"one_cycle\""}},
      {d + "[model]\nembedding_dim = 0", {}, {"from 1 to 1024"}},
      {d + "[model]\ntower_layers = [64, 0]", {}, {"model.tower_layers", "whole numbers from 1"}},
      {d + "[model]\ntower_layers = 64", {}, {"model.tower_layers is 64", "[64, 32]"}},
      {d + "[optimizer.dense]\nkind = \"adamw\"", {}, {"\"adam\""}},
      {d + "[optimizer.dense]\nlearning_rate = 0", {}, {"a number above 0"}},
      {d + "[optimizer.dense]\nlearning_rate = nan", {}, {"a number above 0"}},
      {d + "[optimizer.dense]\nlearning_rate = inf", {}, {"a number above 0"}},
      {d + "[optimizer.dense]\nlearning_rate = 1e300", {}, {"a number above 0"}},
      {d + "[optimizer.dense]\nkind = \"rowwise_adagrad\"", {}, {"optimizer.dense.kind", "use \"adagrad\""}},
      {d + "[optimizer.dense]\nbeta1 = 1.0", {}, {"beta1 and beta2 must be below 1"}},
      {d + "[optimiser.dense]\nbeta1 = 1.0", {}, {"did you mean optimizer?"}},
      {d + "[train]\nslices = 3", {}, {"train.slices is 3", "power of two"}},
      {d + "[train]\nslices = 8192", {}, {"train.slices is 8192", "1 to 4096"}},
      {d + "[train]\nbatch_size = 4", {}, {"train.slices is 8, more than train.batch_size = 4"}},
      {d + "[train]\nconsistency = \"sync\"", {}, {"\"bsp\" | \"ssp\" | \"asp\""}},
      {d + "[cluster]\nreplicas = 1\nservers = 1", {}, {"cluster.replicas", "cluster.servers to 2"}},
      {d + "[cluster]\nreplicas = 1\nservers = 2\n[tier]\npath = \"/tmp\"",
       {},
       {"cluster.replicas", "tier.path"}},
      {d + "[cluster]\nservers = 200\nshards_per_server = 2", {}, {"is 400; at most 256 shards"}},
      {d + "[cluster]\ndead_after_seconds = 1", {}, {"cluster.dead_after_seconds is 1", "1.5"}},
      {d + "[cluster]\nslow_worker = 2", {}, {"workers are numbered 0 to 1"}},
      {d + "[cluster]\nworkers = 8\n[train]\nconsistency = \"asp\"\nbatch_size = 4\nslices = 4",
       {},
       {"each worker needs"}},
      {d + "[checkpoint]\nkeep = 0", {}, {"checkpoint.keep is 0"}},
      {d, {"train.epochs"}, {"--set train.epochs", "expected section.key=value"}},
      {d, {"=3"}, {"expected section.key=value"}},
      {d, {"train.epochs=x"}, {"--set train.epochs=x", "train.epochs is 'x'", "a whole number"}},
      {d, {"train.epoch=1"}, {"did you mean train.epochs?"}},
      {d, {"train.slices=16", "train.batch_size=8"}, {"more than train.batch_size = 8"}},
      {d + "\xff\xfe", {}, {"run.toml:"}},
      // What toml++ cannot be trusted with (toml_guard.h).
      {d + "[%train]", {}, {"run.toml:2:2", "the name of a table was expected"}},
      {d + "[[", {}, {"run.toml:2:"}},
      {d + "[\n", {}, {"run.toml:2:2", "the name of a table"}},
      {d + "x = [\n[[", {}, {"run.toml:"}},
      {d + "x = " + std::string(500000, '['), {}, {"run.toml:2:21", "more than 16 deep"}},
      {d + DottedKey(250000) + " = 1", {}, {"run.toml:2:34", "a key of more than 16 dots"}},
      {d + "[task.\xc3\xa9]", {}, {"run.toml:2:7", "in quotes only"}},
      {d + "x = 1\"\xc3\xa9\"", {}, {"run.toml:2:7", "in quotes only"}},
      {d + "x = [1, 1.\"\xc3\xa9\"]", {}, {"run.toml:2:12", "in quotes only"}},
      {d + "x = {a = 1=\"\xc3\xa9\"}", {}, {"run.toml:2:13", "in quotes only"}},
      {d + "x = 2011-10-01 0\"\xc3\xa9\"", {}, {"run.toml:2:18", "in quotes only"}},
      {d + "# '''\nx = \"\"\"a\\\n\xc3\xa9\"\"\"", {}, {"run.toml:4:1", "follows a backslash"}},
      {d + "x = \"\"\"\na\\\xc9\xb6\"\"\"", {}, {"run.toml:3:3", "follows a backslash"}},
      {d, {DottedKey(250000) + "=1"}, {"--set a.a", "16 dots"}},
  };
  for (const BadCase& bad : cases) {
    const auto config = Parse(bad.text, bad.overrides);
    ASSERT_FALSE(config) << bad.text;
    EXPECT_EQ(config.error().exit_code(), 2) << bad.text;
    for (const std::string& part : bad.parts) EXPECT_THAT(config.error().text(), HasSubstr(part)) << bad.text;
    EXPECT_EQ(config.error().text().find('\n'), std::string::npos) << config.error().text();
  }
}

// What the guard in front of the parser refuses outside of strings and comments, it lets stand in them.
TEST(Config, StringsAndCommentsMayHoldAnything) {
  const std::string odd =
      "[%] a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s [[[[[[[[[[[[[[[[[[[[ {{{{{{{{{{{{{{{{{{{{ \xc3\xa9";
  for (const std::string& text : {
           "data = \"" + odd + "\" # " + odd + " ' \"",
           "data = '" + odd + "\\'\n#" + odd,
           "data = \"\"\"\n" + odd + "\"\"\\\"\n\"\"\"\"\"#" + odd,
           "data = '''\n" + odd + "\n\\''''",
           "data = \"d\"\n[task.\"" + odd + "\"]\nweight = 1",
           "data=\"" + odd + "\"\ntask = {\"" + odd + "\"={weight=1.5},'1'={weight=2.5}, 2 . \"weight\" = 3}",
           "\xEF\xBB\xBF data = \"d\\\"" + odd + "\"",
       }) {
    const auto config = Parse(text);
    EXPECT_TRUE(config.has_value()) << text << '\n' << config.error().text();
  }
}

TEST(Config, UnreadableFiles) {
  const auto missing = LoadRunConfig("/nonexistent/run.toml");
  ASSERT_FALSE(missing);
  EXPECT_THAT(
      missing.error().text(),
      StartsWith("/nonexistent/run.toml: cannot open: No such file or directory; the run file is meant"));
  EXPECT_EQ(missing.error().exit_code(), 2);
  const auto directory = LoadRunConfig("/tmp");
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().text(),
              HasSubstr("/tmp: is a folder; expected a regular file; the run file is meant"));
}

TEST(Config, WarnsOfIdleWorkers) {
  auto config = Parse("data = \"d.h5\"", {"cluster.workers=10"});
  ASSERT_TRUE(config);
  EXPECT_THAT(WarningsOf(*config), ::testing::ElementsAre(HasSubstr("2 workers will have nothing to do")));
  config->train.consistency = Consistency::kAsp;
  EXPECT_TRUE(WarningsOf(*config).empty());
}

TEST(Config, TowersAndWhatIsIdleBesideThem) {
  const auto config = Parse(R"(
    data = "d.h5"
    [model]
    kind = "two_tower"
    [two_tower]
    item = ["item", "genres"]
    negatives = 4
    sampling = "frequency"
    frequency_power = 0.5
    log_q = false
    loss = "softmax"
    skip_own_item = false
    user_layers = [32, 16]
    [optimizer.embedding]
    initial_accumulator = 0
  )");
  ASSERT_TRUE(config) << config.error().text();
  const TwoTowerConfig& towers = config->model.two_tower;
  EXPECT_EQ(towers.item, (std::vector<std::string>{"item", "genres"}));
  EXPECT_EQ(towers.negatives, 4u);
  EXPECT_EQ(towers.sampling, NegativeSampling::kFrequency);
  EXPECT_EQ(towers.frequency_power, 0.5f);
  EXPECT_FALSE(towers.log_q || towers.skip_own_item);
  EXPECT_EQ(towers.loss, TowerLoss::kSoftmax);
  EXPECT_EQ(towers.user_layers, (std::vector<std::uint32_t>{32, 16}));
  EXPECT_TRUE(WarningsOf(*config).empty());
  const auto again = ParseRunConfig(ToToml(*config), "again", "/elsewhere");
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->model, config->model);

  const std::string kind =
      "data = \"d.h5\"\noptimizer.embedding.initial_accumulator = 0\n[model]\nkind = \"two_tower\"\n"
      "[two_tower]\nitem = [\"i\"]\n";
  EXPECT_TRUE(WarningsOf(*Parse(kind)).empty());
  const auto warned = [&](const std::string& text, const std::string& option) {
    const auto parsed = Parse(text, {option});
    ASSERT_TRUE(parsed) << parsed.error().text();
    EXPECT_THAT(WarningsOf(*parsed), ::testing::ElementsAre(HasSubstr(option.substr(0, option.find('=')))));
  };
  for (const char* option : {"model.experts=7", "model.expert_layers=[7]", "model.tower_layers=[7]",
                             "model.dropout=0.1", "model.compute=bfloat16", "two_tower.log_q=false",
                             "two_tower.frequency_power=0.5", "optimizer.embedding.initial_accumulator=0.1"})
    warned(kind, option);
  EXPECT_THAT(WarningsOf(*Parse(kind, {"train.early_stopping=2"})),
              ::testing::ElementsAre(HasSubstr("early_stopping_metric")));
  EXPECT_THAT(WarningsOf(*Parse(
                  kind, {"two_tower.user_layers=[16]", "two_tower.item_layers=[16]", "model.dropout=0.1"})),
              ::testing::ElementsAre(HasSubstr("two layers or more")));
  const auto other = Parse("data = \"d.h5\"", {"two_tower.negatives=3"});
  EXPECT_THAT(WarningsOf(*other), ::testing::ElementsAre(HasSubstr("needs model.kind = \"two_tower\"")));
}

TEST(Config, HelpListsEveryOptionWithDefaultUnitAndRange) {
  const std::string help = DescribeRunConfig();
  EXPECT_THAT(help, AllOf(HasSubstr("[optimizer.embedding]"), HasSubstr("batch_size = 1024 rows"),
                          HasSubstr("[task.NAME]"), HasSubstr("heartbeat_seconds = 0.5 s"),
                          HasSubstr("from 1 to 1048576"), HasSubstr("(required)")));
}

TEST(Config, LossesAndTheirBalance) {
  const auto config = Parse(R"(
    data = "d.h5"
    [train]
    balance = "gradnorm"
    gradnorm_alpha = 0.5
    [embedding]
    l2 = 0.125
    [task.left]
    loss = "focal"
    gamma = 1.5
    alpha = 0.75
    [task.cost]
    loss = "huber"
    delta = 0.5
    [task.first]
    label_smoothing = 0.25
  )");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->train.balance, Balance::kGradNorm);
  EXPECT_EQ(config->train.gradnorm_alpha, 0.5f);
  EXPECT_EQ(config->embedding_optimizer.l2, 0.125f);
  EXPECT_EQ(config->dense_optimizer.l2, 0.0f);
  EXPECT_EQ(config->tasks.at("left").loss, TaskLoss::kFocal);
  EXPECT_EQ(config->tasks.at("left").gamma, 1.5f);
  EXPECT_EQ(config->tasks.at("left").alpha, 0.75f);
  EXPECT_EQ(config->tasks.at("cost").loss, TaskLoss::kHuber);
  EXPECT_EQ(config->tasks.at("cost").delta, 0.5f);
  EXPECT_EQ(config->tasks.at("first").label_smoothing, 0.25f);
  EXPECT_EQ(config->tasks.at("first").loss, TaskLoss::kDefault);
  const auto again = ParseRunConfig(ToToml(*config), "again", "/elsewhere");
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(ToToml(*again), ToToml(*config));
  EXPECT_TRUE(WarningsOf(*config).empty());
  EXPECT_THAT(WarningsOf(*Parse("data = \"d.h5\"\n[train]\ngradnorm_alpha = 1\n")),
              ::testing::ElementsAre(HasSubstr("train.gradnorm_alpha changes nothing")));
  const auto unknown = Parse("data = \"d.h5\"\n[train]\nbalance = \"grad_norm\"\n");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().text(), HasSubstr("\"pcgrad\""));
  const auto proximal =
      Parse("data = \"d.h5\"\n[embedding]\nl2 = 1\n[optimizer.embedding]\nkind = \"ftrl\"\n");
  ASSERT_FALSE(proximal);
  EXPECT_THAT(proximal.error().text(), HasSubstr("use optimizer.embedding.ftrl_l2"));
}

TEST(Config, PoliciesOfRows) {
  const auto config = Parse(R"(
    data = "d.h5"
    [embedding]
    dtype = "bfloat16"
    admit = "count"
    admit_count = 5
    evict_idle_clocks = 100
    max_bytes = 10_000_000
    log = "rows.csv"
  )");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->embedding.dtype, FloatType::kBfloat16);
  EXPECT_EQ(config->embedding.policy.admit, Admission::kCount);
  EXPECT_EQ(config->embedding.policy.admit_count, 5u);
  EXPECT_EQ(config->embedding.policy.evict_idle_clocks, 100u);
  EXPECT_EQ(config->embedding.policy.max_bytes, 10000000u);
  EXPECT_EQ(config->embedding.log, "/data/rows.csv");
  const auto again = ParseRunConfig(ToToml(*config), "again", "/elsewhere");
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(ToToml(*again), ToToml(*config));
  const auto small = Parse("data = \"d.h5\"\n[embedding]\nmax_bytes = 1000\n");
  ASSERT_FALSE(small);
  EXPECT_THAT(small.error().text(),
              AllOf(HasSubstr("embedding.max_bytes is 1000"), HasSubstr("16384 slots")));
  const auto unlikely = Parse("data = \"d.h5\"\n[embedding]\nadmit_probability = 0\n");
  ASSERT_FALSE(unlikely);
  EXPECT_THAT(unlikely.error().text(), HasSubstr("above 0"));
  EXPECT_THAT(WarningsOf(*Parse("data = \"d.h5\"\n[embedding]\nadmit_count = 3\nadmit_probability = 0.5\n")),
              ::testing::ElementsAre(HasSubstr("embedding.admit_count changes nothing"),
                                     HasSubstr("embedding.admit_probability changes nothing")));
  EXPECT_THAT(
      WarningsOf(*Parse("data = \"d.h5\"\n[optimizer.dense]\nschedule = \"one_cycle\"\nstep_factor = 0.5\n")),
      ::testing::ElementsAre(HasSubstr("optimizer.dense.step_factor changes nothing"),
                             HasSubstr("usual is warmup = 0.3")));
  EXPECT_THAT(
      WarningsOf(*Parse("data = \"d.h5\"\n[sequence.seen]\nencoder = \"sum\"\nwidth = 8\ntarget = \"item\"\n"
                        "[sequence.moves]\nencoder = \"gru\"\nwidth = 8\nkernel = 2\n")),
      ::testing::ElementsAre(HasSubstr("sequence.moves.kernel changes nothing"),
                             HasSubstr("sequence.seen.target changes nothing"),
                             HasSubstr("sequence.seen.width changes nothing")));
  EXPECT_THAT(WarningsOf(*Parse("data = \"d.h5\"\n[autoencoder]\nbottleneck = 8\n")),
              ::testing::ElementsAre(HasSubstr("autoencoder.bottleneck changes nothing")));
  const auto proximal = Parse("data = \"d.h5\"\n[optimizer.embedding]\nkind = \"ftrl\"\nwarmup = 0.1\n");
  ASSERT_FALSE(proximal);
  EXPECT_THAT(proximal.error().text(), HasSubstr("takes no weight_decay, schedule or warmup"));
  EXPECT_THAT(
      WarningsOf(*Parse("data = \"d.h5\"\n[tier]\nmax_bytes = 100000\n[cache]\nrows = 10\nmax_age = 3\n"
                        "[train]\nconsistency = \"ssp\"\n")),
      ::testing::ElementsAre(HasSubstr("tier.max_bytes changes nothing: it needs tier.path"),
                             HasSubstr("cache.max_age changes nothing: it needs cache.rows and")));
  EXPECT_THAT(WarningsOf(*Parse("data = \"d.h5\"\nstrict = true\n[embedding]\nadmit = \"count\"\n")),
              ::testing::Contains(HasSubstr("strict = true")));
}

TEST(Config, FeaturesOfTheirOwn) {
  // Before the sections that they take from, which overrides change.
  const auto config = Parse(R"(
    data = "d.h5"
    [feature.city]
    embedding_dim = 8
    [feature."home town".optimizer]
    kind = "adam"
    learning_rate = 0.01
    beta1 = 0.8
    [feature.city.optimizer]
    epsilon = 1e-6
    [model]
    embedding_dim = 24
    [embedding]
    l2 = 0.5
    [optimizer.embedding]
    kind = "momentum"
    momentum = 0.7
    schedule = "cosine"
  )",
                            {"optimizer.embedding.learning_rate=0.125", "feature.town.embedding_dim=3",
                             "feature.city.l2=0", "feature.city.optimizer.momentum=0.6"});
  ASSERT_TRUE(config) << config.error().text();
  ASSERT_EQ(config->model.features.size(), 3u);
  FeatureConfig city = UsualFeature(*config), home = city, town = city;
  EXPECT_EQ(town.embedding_dim, 24u);
  EXPECT_EQ(town.optimizer.learning_rate, 0.125f);
  city.embedding_dim = 8, city.optimizer.epsilon = 1e-6f, city.optimizer.l2 = 0,
  city.optimizer.momentum = 0.6f;
  home.optimizer.kind = OptimizerKind::kAdam, home.optimizer.learning_rate = 0.01f,
  home.optimizer.beta1 = 0.8f;
  town.embedding_dim = 3;
  EXPECT_EQ(config->model.features.at("city"), city);
  EXPECT_EQ(config->model.features.at("home town"), home);
  EXPECT_EQ(config->model.features.at("town"), town);
  EXPECT_EQ(home.optimizer.schedule.kind, ScheduleKind::kCosine);
  const auto again = Parse(ToToml(*config));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->model, config->model);
  EXPECT_EQ(ToToml(*again), ToToml(*config));
}

TEST(Config, BadFeaturesNamePlaceExpectationAndMend) {
  const auto error = [](const std::string& text, const std::vector<std::string>& overrides = {}) {
    const auto config = Parse("data = \"d.h5\"\n" + text, overrides);
    return config ? std::string("accepted") : config.error().text();
  };
  EXPECT_EQ(error("[feature.city]\nembedding_dim = 0"),
            "run.toml:3:17: feature.city.embedding_dim is 0; expected a whole number from 1 to 1024");
  EXPECT_THAT(error("", {"feature.city.embedding_dim=65537"}),
              HasSubstr("feature.city.embedding_dim is 65537; expected a whole number from 1 to 1024"));
  EXPECT_EQ(error("[feature.city]\nembeding_dim = 4"),
            "run.toml:3:1: unknown key feature.city.embeding_dim; did you mean feature.city.embedding_dim?");
  EXPECT_EQ(error("[feature.city.optimizer]\nrate = 4").substr(0, 53),
            "run.toml:3:1: unknown key feature.city.optimizer.rate");
  EXPECT_EQ(error("[feature.city]\noptimizer = \"adam\""),
            "run.toml:3:13: feature.city.optimizer is 'adam' (a string); expected a table, for example "
            "[feature.city.optimizer]");
  EXPECT_EQ(
      error("[feature.city.optimizer]\nkind = \"adm\""),
      "run.toml:3:8: feature.city.optimizer.kind is 'adm' (a string); expected \"sgd\" | \"momentum\" | "
      "\"adagrad\" | \"rowwise_adagrad\" | \"adam\" | \"ftrl\"; did you mean \"adam\"?");
  EXPECT_EQ(error("feature = 3"), "run.toml:2:11: feature is 3; expected a table, for example [feature]");
  EXPECT_EQ(error("[feature]\ncity = 3"),
            "run.toml:3:8: feature.city is 3; expected a table, for example [feature.city]");
  EXPECT_THAT(error("[feature.city.optimizer]\nkind = \"ftrl\"\n[optimizer.embedding]\nwarmup = 0.1"),
              AllOf(HasSubstr("feature.city.optimizer.kind is \"ftrl\""),
                    HasSubstr("what [feature.city.optimizer] leaves out is that of [optimizer.embedding]")));
  EXPECT_THAT(error("[feature.city.optimizer]\nkind = \"ftrl\"\n[embedding]\nl2 = 0.1"),
              HasSubstr("feature.city.l2 is 0.1, but feature.city.optimizer.kind is \"ftrl\""));
  EXPECT_EQ(error("[feature.city]\nl2 = 0\n[feature.city.optimizer]\nkind = \"ftrl\"\n[embedding]\nl2 = 0.1"),
            "accepted");
  EXPECT_THAT(error("[feature.city.optimizer]\nkind = \"adam\"\nbeta2 = 1"),
              HasSubstr("feature.city.optimizer: beta1 and beta2 must be below 1"));
  // 16 floats and as many of state are 154 bytes a row, with the index; 32 and 65 are 426.
  const std::string limit = "[embedding]\nmax_bytes = 3000000\n";
  EXPECT_EQ(error(limit), "accepted");
  EXPECT_THAT(
      error(limit + "[feature.city]\nembedding_dim = 32\n[feature.city.optimizer]\nkind = \"adam\""),
      HasSubstr("embedding.max_bytes is 3000000; expected at least 6979584: a row of 426 bytes (of feature "
                "city) in each of the 16384 slots"));
  EXPECT_THAT(
      error(
          "[model]\nkind = \"two_tower\"\n[two_tower]\nitem = [\"item\"]\n[feature.city]\nembedding_dim = 4"),
      AllOf(HasSubstr("feature.city.embedding_dim is 4 and model.embedding_dim 16"), HasSubstr("two_tower")));
  const auto warned = Parse(
      "data = \"d.h5\"\n[feature.city.optimizer]\nlearning_rate = 1\n[feature.town.optimizer]\n"
      "learning_rate = 1\nstep_every = 0.5\n[embedding]\nmax_bytes = 3000000");
  ASSERT_TRUE(warned);
  EXPECT_THAT(WarningsOf(*warned), ::testing::UnorderedElementsAre(
                                       AllOf(HasSubstr("embedding.max_bytes"), HasSubstr("each table"),
                                             HasSubstr("there may be 3")),
                                       HasSubstr("feature.town.optimizer.step_every changes nothing")));
}

}  // namespace
}  // namespace cohort::config_test
