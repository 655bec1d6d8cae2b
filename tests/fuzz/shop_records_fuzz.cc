// The records file of a shop. Input: flags u8 (1: checksums are put in that are right), partition u16, its bytes u16, the bytes, the rest
// of the head before the sizes of the partitions; without the flag, the file's bytes. What is accepted is written and read as the same,
// and cleaning takes it.
#include <string>
#include <vector>

#include "common/row_hash.h"
#include "lifecycle/shop_records_file.h"
#include "tests/fuzz/fuzz.h"

namespace cohort::fuzz {
namespace {

template <typename T>
void Put(std::string* bytes, T value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The bytes of one partition and the head, in a file that is whole.
std::string Sealed(Input input) {
  const std::size_t partition = input.Take<std::uint16_t>() % EventStore::kPartitions;
  const std::string_view records = input.TakeBytes(input.Take<std::uint16_t>());
  std::string file("cohortRF\1\0\0\0\0\0\0\0", 16);
  file += records;
  const std::uint64_t head_offset = file.size();
  std::string head(input.left());
  for (const bool checksums : {false, true}) {
    Put<std::uint64_t>(&head, EventStore::kPartitions);
    for (std::size_t i = 0; i < EventStore::kPartitions; ++i) {
      const std::string_view of = i == partition ? records : std::string_view();
      Put<std::uint64_t>(&head, checksums ? ChecksumOf(of) : of.size());
    }
  }
  file += head;
  Put(&file, head_offset);
  Put<std::uint64_t>(&file, head.size());
  Put(&file, ChecksumOf(head));
  return file;
}

using Partitions = std::vector<std::vector<UserRecords>>;

Status ReadAll(const std::string& path, ShopRecordsHead* head, Partitions* partitions) {
  const auto reader = ShopRecordsReader::Open(path);
  if (!reader) return reader.error();
  *head = (*reader)->head();
  for (std::size_t i = 0; i < EventStore::kPartitions; ++i) {
    auto users = (*reader)->Read(i);
    if (!users) return users.error();
    for (const UserRecords& user : *users) {
      for (const Event& event : user.events)
        COHORT_CHECK(event.item == kNoItem || event.item < head->items.size());
    }
    partitions->push_back(std::move(*users));
  }
  return {};
}

}  // namespace
}  // namespace cohort::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  fuzz::Input input(data, size);
  const bool seal = (input.Take<std::uint8_t>() & 1) != 0;
  const std::string bytes = seal ? fuzz::Sealed(input) : std::string(input.left());
  const std::string path = fuzz::WriteFile("records", bytes);
  ShopRecordsHead head;
  fuzz::Partitions partitions;
  const Status status = [&] {
    // An event of two bytes takes 40; an item of none 8 bytes in the file and 32 in memory, twice in a list that grows.
    const fuzz::AllocationBound bound(bytes.size(), {.multiple = 64, .slack = 1u << 20});
    return fuzz::ReadAll(path, &head, &partitions);
  }();
  if (!status.ok()) {
    fuzz::CheckRefusal(status);
    return 0;
  }
  // Written with the items that events have, it is read as the same.
  const auto writer = ShopRecordsWriter::Create(fuzz::Folder() + "/again");
  COHORT_CHECK(writer.has_value(), "%s", writer.error().text().c_str());
  for (const std::vector<UserRecords>& users : partitions) {
    for (const UserRecords& user : users) (*writer)->Add(user.user, user.events);
    COHORT_CHECK((*writer)->EndPartition().ok());
  }
  COHORT_CHECK((*writer)->Finish(head).ok() && (*writer)->Commit().ok());
  ShopRecordsHead head_again;
  fuzz::Partitions again;
  const Status second = fuzz::ReadAll(fuzz::Folder() + "/again", &head_again, &again);
  COHORT_CHECK(second.ok(), "%s", second.text().c_str());
  COHORT_CHECK(head_again.rules == head.rules && head_again.logs.size() == head.logs.size());
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    COHORT_CHECK(again[i].size() == partitions[i].size());
    for (std::size_t k = 0; k < again[i].size(); ++k)
      COHORT_CHECK(again[i][k].user == partitions[i][k].user &&
                   again[i][k].events == partitions[i][k].events);
  }
  return 0;
}
