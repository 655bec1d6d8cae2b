#include "launch/journal_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/wire.h"
#include "tests/support/sample_messages.h"
#include "tests/support/subprocess.h"

namespace cohort::journal_file_test {
namespace {

using ::testing::HasSubstr;
using testing::ReadFile;
using testing::TemporaryFolder;

JournalHeader Header() {
  return {7, "tcp://127.0.0.1:5000", 2, 3, "{\"position\":{}}", "/run/checkpoints/5", 4, 99};
}

// One entry of every message; a death, and a change.
std::vector<JournalEntry> Entries() {
  using Kind = JournalEntry::Kind;
  std::vector<JournalEntry> entries;
  for (Message& message : SampleMessages()) {
    entries.push_back({Kind::kMessage,
                       Duration(1000 * entries.size()),
                       entries.size(),
                       SampleStamp(),
                       std::move(message),
                       {},
                       {}});
  }
  Stamp dead;
  dead.sender = ShardNode(1);
  const Heartbeat last{0, 3, Counters{.samples = 8}, "a clock"};
  entries.push_back({Kind::kDeath, Duration(5), 6, dead, last, "it is gone", {}});
  const ClusterChange change{ClusterChange::Kind::kDrainServer, 3, "there"};
  entries.push_back({Kind::kChange, Duration(6), 7, dead, Heartbeat{}, "", change});
  return entries;
}

std::string Bytes(const JournalEntry& entry) {
  std::string bytes = std::to_string(static_cast<int>(entry.kind)) + " " + std::to_string(entry.at.count()) +
                      " " + std::to_string(entry.next_id) + " " + entry.text + " " +
                      KindName(entry.change.kind) + std::to_string(entry.change.index) + entry.change.host;
  for (const Buffer& frame : Encode(entry.from, kSchedulerNode, entry.message))
    bytes.append(reinterpret_cast<const char*>(frame.data()), frame.size());
  return bytes;
}

// Of the entries that are whole; an error's text at the end.
std::vector<std::string> ReadAll(const std::string& path, std::uint64_t* place = nullptr) {
  auto reader = JournalReader::Open(path);
  if (!reader) return {reader.error().text()};
  std::vector<std::string> found;
  for (JournalEntry entry;;) {
    const auto more = reader->Next(&entry);
    if (!more) found.push_back(more.error().text());
    if (!more || !*more) break;
    found.push_back(Bytes(entry));
  }
  if (place != nullptr) *place = reader->place();
  return found;
}

std::string Written(const std::string& path, const std::vector<JournalEntry>& entries) {
  auto file = JournalFile::Create(path, Header());
  EXPECT_TRUE(file.has_value());
  for (const JournalEntry& entry : entries) (*file)->Append(entry);
  EXPECT_TRUE((*file)->failure().ok());
  return ReadFile(path);
}

TEST(JournalFile, GivesBackWhatWasAppended) {
  TemporaryFolder folder;
  const std::string path = folder / "journal";
  Written(path, Entries());
  const auto reader = JournalReader::Open(path);
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  EXPECT_EQ(reader->header().run_id, 7u);
  EXPECT_EQ(reader->header().endpoint, "tcp://127.0.0.1:5000");
  EXPECT_EQ(reader->header().servers, 2u);
  EXPECT_EQ(reader->header().workers, 3u);
  EXPECT_EQ(reader->header().progress, Header().progress);
  EXPECT_EQ(reader->header().checkpoint, Header().checkpoint);
  EXPECT_EQ(reader->header().restarts, 4u);
  EXPECT_EQ(reader->header().acknowledged, 99u);
  std::vector<std::string> expected;
  for (const JournalEntry& entry : Entries()) expected.push_back(Bytes(entry));
  EXPECT_EQ(ReadAll(path), expected);
}

// A kill in the middle of a write; the next scheduler goes on behind what is whole.
TEST(JournalFile, WhatIsTornIsCutOff) {
  TemporaryFolder folder;
  const std::string path = folder / "journal";
  const std::string empty = Written(path, {}), two = Written(path, {Entries()[0], Entries()[1]});
  const std::vector<std::string> all = ReadAll(path);
  for (std::size_t size = empty.size(); size < two.size(); ++size) {
    std::ofstream(path, std::ios::binary) << two.substr(0, size);
    std::uint64_t place = 0;
    const std::vector<std::string> found = ReadAll(path, &place);
    ASSERT_LT(found.size(), 2u);
    if (!found.empty()) {
      EXPECT_EQ(found[0], all[0]);
    }
    {
      const auto file = JournalFile::Reopen(path, place);
      ASSERT_TRUE(file.has_value());
      (*file)->Append(Entries()[1]);
    }
    EXPECT_EQ(ReadAll(path).back(), all[1]) << size;
    EXPECT_EQ(ReadAll(path).size(), found.size() + 1);
  }
}

TEST(JournalFile, DamageEndsItOrIsSaid) {
  TemporaryFolder folder;
  const std::string path = folder / "journal";
  const std::string good = Written(path, Entries());
  for (std::size_t place = 0; place < good.size(); place += 7) {
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ 0x20);
    std::ofstream(path, std::ios::binary) << bad;
    EXPECT_NE(ReadAll(path).size(), Entries().size()) << place;
  }
  std::ofstream(path, std::ios::binary) << "";
  EXPECT_THAT(ReadAll(path).front(), HasSubstr("not a scheduler's journal"));
  std::filesystem::remove(path);
  EXPECT_THAT(ReadAll(path).front(), HasSubstr("cannot be read"));
}

TEST(JournalFile, AFullDiskIsSaid) {
  const auto made = JournalFile::Create("/dev/full", Header());
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().text(), HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace cohort::journal_file_test
