// Writes the seeds of tests/fuzz/corpus/ that are not text: make_corpus tests/fuzz/corpus. Seeds are named seed-*; the other
// files there are inputs that showed something, and stay as they are. Run it again when the protocol changes.
#include <zlib.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "common/evaluation_sums.h"
#include "common/model_files.h"
#include "common/wire.h"
#include "lifecycle/shop_records_file.h"
#include "tests/fuzz/evaluation_tasks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/sample_messages.h"

namespace cohort::fuzz {
namespace {

std::string corpus;

void Seed(const std::string& target, const std::string& name, const std::string& bytes) {
  const std::string folder = corpus + "/" + target;
  std::filesystem::create_directories(folder);
  std::ofstream file(folder + "/seed-" + name, std::ios::binary | std::ios::trunc);
  file << bytes;
  COHORT_CHECK(file.flush().good(), "%s", folder.c_str());
}

template <typename T>
void Put(std::string* bytes, T value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
std::string BytesOf(const Buffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

// data_frames_fuzz.cc has the format.
std::string FramesInput(std::uint8_t flags, const Frames& frames) {
  std::string bytes;
  Put(&bytes, flags);
  Put(&bytes, static_cast<std::uint8_t>(frames.size()));
  for (std::size_t i = 0; i < 4; ++i)
    Put(&bytes, static_cast<std::uint16_t>(i < frames.size() ? frames[i].size() : 0));
  for (const Buffer& frame : frames) bytes += BytesOf(frame);
  return bytes;
}

void Messages() {
  std::size_t number = 0;
  for (const Message& message : SampleMessages()) {
    const Frames frames = Encode(SampleStamp(), ShardNode(1), message);
    const std::string name = std::to_string(number) + "-" + MessageName(message);
    // All types raw; those with bulk frames with a checksum made right.
    Seed("data_frames", name, FramesInput(frames.size() > 1 ? number % 2 + 1 : 0, frames));
    if (message.index() != 3 && number < std::variant_size_v<Message>) {
      std::string bytes;
      Put(&bytes, static_cast<std::uint8_t>(message.index()));
      Put(&bytes, static_cast<std::uint16_t>(frames.size() > 1 ? frames[1].size() : 0));
      bytes += BytesOf(frames[0]).substr(kHeaderBytes);
      if (frames.size() > 1) bytes += BytesOf(frames[1]);
      Seed("control_messages", name, bytes);
    }
    ++number;
  }
}

void Evaluations() {
  for (std::uint8_t choice = 0; choice < 7; ++choice) {
    for (const bool grouped : {false, true}) {
      const std::vector<TaskInfo> tasks = TasksOf(choice);
      EvaluationSums sums(tasks, kTop);
      std::vector<float> predictions, labels, weights;
      std::vector<std::uint64_t> groups;
      constexpr std::size_t kRows = 12;
      for (std::size_t row = 0; row < kRows; ++row) {
        for (const TaskInfo& task : tasks) {
          const std::uint32_t columns = task.PredictionColumns();
          for (std::uint32_t c = 0; c < columns; ++c)
            predictions.push_back(static_cast<float>(c + 1 + row % 5) / static_cast<float>(columns + 6));
          const bool none = row == 7;
          float label = static_cast<float>(row % 2);
          if (task.type == TaskType::kHazard) label = row % 3 == 0 ? -2.0f : static_cast<float>(1 + row % 3);
          if (!PredictsProbability(task.type)) label = static_cast<float>(row) * 1.5f;
          labels.push_back(none ? std::nanf("") : label);
        }
        weights.push_back(1.0f + static_cast<float>(row % 2));
        groups.push_back(row == 11 ? kNoGroup : row / 4);
      }
      if (!grouped) groups.clear();
      sums.Add(0, predictions, labels, weights, groups, kRows);
      sums.Finish();
      std::string bytes(1, static_cast<char>(choice));
      bytes += BytesOf(sums.ToBytes());
      Seed("evaluation_sums", std::to_string(choice) + (grouped ? "-grouped" : ""), bytes);
    }
  }
}

void Manifests() {
  ModelManifest manifest;
  TableSpec dense, sparse;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = 256;
  dense.row_count = 4;
  dense.optimizer.kind = OptimizerKind::kAdam;
  dense.init = {{0, 0.0f, 0.25f}, {300, 0.5f, 0.0f}};
  sparse.id = 1;
  sparse.name = "embedding";
  sparse.dim = 16;
  sparse.dtype = FloatType::kBfloat16;
  sparse.init = {{0, 0.0f, 0.05f}};
  manifest.tables = {dense, sparse};
  manifest.parts = {{"shard-0.h5", 4096, 0x0123456789abcdef, 3}, {"shard-1.h5", 8192, 1, 4}};
  manifest.hash = Hash128{1, 2};
  manifest.thresholds = {{"buy", 0.25}};
  manifest.kernels = "avx2";
  manifest.seed = 7;
  manifest.run_config = "data = \"d.h5\"\n";
  DatasetInfo info;
  info.has_weight = true;
  info.features.resize(3);
  info.features[0].name = "age";
  info.features[0].bin_edges = {1.5f, 2.5f};
  info.features[1].name = "item";
  info.features[1].type = FeatureType::kBag;
  info.features[1].sequence = true;
  info.features[2].name = "image";
  info.features[2].type = FeatureType::kVector;
  info.features[2].length = 3;
  for (std::uint8_t choice = 0; choice < 6; ++choice) {
    info.tasks = TasksOf(choice);
    for (TaskInfo& task : info.tasks) {
      task.at_risk.assign(task.periods, 0.5);
      task.hazards.assign(task.periods, 0.25);
    }
    manifest.dataset_info = ToJson(info);
    COHORT_CHECK(WriteModelManifest(Folder(), manifest).ok());
    std::ifstream file(Folder() + "/manifest.json", std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (choice == 0) Seed("model_manifest", "as-written", std::string(1, '\0') + text);
    const std::size_t begin = text.find(" \"checksum\"");
    text.erase(begin, text.find('\n', begin) + 1 - begin);
    Seed("model_manifest", "tasks-" + std::to_string(choice), std::string(1, '\1') + text);
  }
}

// model_parts_fuzz.cc has the format.
void Parts() {
  const auto model = [](std::uint8_t flags, std::uint8_t shape, std::uint8_t format, float value, Key step) {
    std::string bytes;
    for (const int byte : {int{flags}, 1, 0, 2, 0, 1, 3, 7, 1}) Put(&bytes, static_cast<std::uint8_t>(byte));
    for (int part = 0; part < 2; ++part) {
      Put(&bytes, format);
      for (int table = 0; table < 2; ++table) {
        for (const int byte : {int{shape}, 2, 1}) Put(&bytes, static_cast<std::uint8_t>(byte));
        for (Key key = 0; key < 2; ++key) Put(&bytes, Key{1} + key * step);
        for (int i = 0; i < 2 * (table == 0 ? 3 : 4) + 2; ++i) Put(&bytes, value);
      }
    }
    return bytes;
  };
  Seed("model_parts", "fits", model(0, 0, 0, 1.5f, 3));
  Seed("model_parts", "nan", model(0, 0, 0, std::numeric_limits<float>::quiet_NaN(), 3));
  Seed("model_parts", "equal-keys", model(0, 1, 0, 1.5f, 0));
  Seed("model_parts", "keys-descend", model(0, 1, 0, 1.5f, ~Key{0}));
  Seed("model_parts", "format", model(0, 0, 9, 1.5f, 3));
  for (const int shape : {2, 4, 8, 16, 32})
    Seed("model_parts", "shape-" + std::to_string(shape),
         model(0, static_cast<std::uint8_t>(shape), 0, 1.5f, 3));
  for (const int flags : {2, 4, 8, 16})
    Seed("model_parts", "flags-" + std::to_string(flags),
         model(static_cast<std::uint8_t>(flags), 0, 0, 1.5f, 3));
  Seed("model_parts", "foreign", std::string("\1\x89HDF\r\n\x1a\n", 9) + std::string(200, '\0'));
}

// shop_records_fuzz.cc has the format.
void ShopRecords() {
  ReadLog log;
  log.path = "/shop/events.csv";
  log.bytes = 120, log.checksum = 7, log.records = 3, log.next_line = 5;
  log.findings[{FindingKind::kUnknownKind, ""}] = {2,
                                                   {"events.csv:3:9: the kind \"wish\" is none", "and one"}};
  const ShopRecordsHead head{.rules = "[shop] trim = true\n[events] user = \"user\"\n",
                             .logs = {log},
                             .items = {"chair", std::string(kArmPrefix) + "mail"}};
  const std::string user = "anna";
  const auto write = [&](const std::string& name, const std::vector<Event>& events, std::size_t partition,
                         bool raw = false) {
    const auto writer = ShopRecordsWriter::Create(Folder() + "/records");
    COHORT_CHECK(writer.has_value());
    for (std::size_t i = 0; i < EventStore::kPartitions; ++i) {
      if (i == partition) (*writer)->Add(user, events);
      COHORT_CHECK((*writer)->EndPartition().ok());
    }
    COHORT_CHECK((*writer)->Finish(head).ok() && (*writer)->Commit().ok());
    std::ifstream file(Folder() + "/records", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    if (raw) return Seed("shop_records", name, std::string(1, '\0') + text);
    std::uint64_t head_offset = 0;
    std::memcpy(&head_offset, text.data() + text.size() - 24, sizeof head_offset);
    std::string bytes(1, '\1');
    Put(&bytes, static_cast<std::uint16_t>(partition));
    Put(&bytes, static_cast<std::uint16_t>(head_offset - 16));
    bytes += text.substr(16, head_offset - 16);
    // Up to the sizes and checksums of the partitions, and the tail.
    constexpr std::size_t kLists = 2 * 8 * (EventStore::kPartitions + 1) + 24;
    Seed("shop_records", name, bytes + text.substr(head_offset, text.size() - head_offset - kLists));
  };
  const std::size_t home = EventStore::PartitionOf(user);
  const Event view{.time = 100, .item = 0},
      bought{.time = 200, .price = 50'000, .item = 0, .kind = EventKind::kPurchase};
  const Event mail{.time = 150, .price = -7, .quantity = kRandomised, .item = 1, .kind = EventKind::kContact};
  write("as-written", {view, mail, bought}, home, /*raw=*/true);
  write("sealed", {view, mail, bought}, home);
  write("none", {}, home);
  write("foreign-partition", {view}, home + 1);
  const auto odd = [&](const std::string& name, const std::function<void(Event*)>& change) {
    Event event = bought;
    change(&event);
    write(name, {view, event}, home);
  };
  odd("no-such-kind", [](Event* event) { event->kind = static_cast<EventKind>(7); });
  odd("no-such-item", [](Event* event) { event->item = 2; });
  odd("an-arm-for-an-item", [](Event* event) { event->item = 1; });
  odd("before-1970", [](Event* event) { event->time = -1; });
  odd("time-overflows", [](Event* event) { event->time = std::numeric_limits<Time>::max(); });
  odd("price-below-zero", [](Event* event) { event->price = -1; });
  odd("price-too-large", [](Event* event) { event->price = std::numeric_limits<Money>::max(); });
  odd("no-quantity", [](Event* event) { event->quantity = 0; });
}

std::string Gzip(const std::string& text) {
  std::string out(compressBound(text.size()) + 32, '\0');
  z_stream stream{};
  COHORT_CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  COHORT_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

void Csv() {
  const std::string plain = "id,age,label\n1,20,0\n2, 30 ,1\r\n\n3,\"a \"\"b\"\", c\",x\n";
  const std::string header(",\"\1", 3), raw(";\0\0", 3), spaces("\t'\1", 3);
  Seed("csv", "plain", header + plain);
  Seed("csv", "no-end", header + "a,b\n1,\"2\"");
  Seed("csv", "cr-at-end", header + "a,\"b\"\r");
  Seed("csv", "bom", header + "\xEF\xBB\xBF" + "a,b\n");
  Seed("csv", "utf-16", header + "\xFF\xFE" + "a");
  Seed("csv", "open-quote", header + "a,\"b\nc\n");
  Seed("csv", "text-behind-quote", header + "a,\"b\" c\n");
  Seed("csv", "nul", header + std::string("a,\0b\n", 5));
  Seed("csv", "lines-in-quotes", header + "\"a\nb\r\nc\",\"\"\n,,\n");
  Seed("csv", "without-quotes", raw + "a;\"b;c\n\"\n");
  Seed("csv", "tabs", spaces + "a\t 'b''c' \t\n");
  Seed("csv", "long-cell", header + std::string(300, 'x') + "\n");
  Seed("csv", "many-cells", header + std::string(80, ',') + "\n");
  Seed("csv", "long-record", header + "\"" + std::string(200, 'x') + "\"," + std::string(5000, '\n'));
  Seed("csv", "gzip", header + Gzip(plain));
  Seed("csv", "gzip-members", header + Gzip("a,b\n1,") + Gzip("2\n") + std::string(8, '\0'));
  Seed("csv", "gzip-cut", header + Gzip(plain).substr(0, 40));
  Seed("csv", "gzip-expands", header + Gzip(std::string(1 << 18, 'a')));
}

}  // namespace
}  // namespace cohort::fuzz

int main(int count, char** arguments) {
  using namespace cohort::fuzz;
  if (count != 2) {
    std::fprintf(stderr, "usage: make_corpus FOLDER\n");
    return 2;
  }
  corpus = arguments[1];
  Messages();
  Evaluations();
  Manifests();
  Parts();
  ShopRecords();
  Csv();
  return 0;
}
