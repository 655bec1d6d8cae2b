#include "lifecycle/shop_parts.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "common/byte_stream.h"
#include "common/random.h"
#include "common/row_hash.h"
#include "prepare/dataset_sink.h"

namespace cohort {
namespace {

// Bytes that another process reads end with their checksum: what has it is as this program wrote it.
std::string Sealed(ByteWriter* writer) {
  const std::vector<std::byte> bytes = writer->Take();
  std::string sealed;
  sealed.reserve(bytes.size() + sizeof(std::uint64_t));
  sealed.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::uint64_t checksum = ChecksumOf(sealed);
  return sealed.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
}

// The bytes before the checksum, which `read` takes whole.
Status Unseal(const std::string& sealed, const std::function<bool(ByteReader&)>& read) {
  std::uint64_t checksum = 0;
  if (sealed.size() >= sizeof checksum) {
    const std::size_t size = sealed.size() - sizeof checksum;
    std::memcpy(&checksum, sealed.data() + size, sizeof checksum);
    ByteReader reader(std::as_bytes(std::span(sealed.data(), size)));
    if (checksum == ChecksumOf({sealed.data(), size}) && read(reader) && reader.AtEnd()) return {};
  }
  return {ErrorCode::kCorrupt,
          "what another process has written of the shop is damaged; is the disk of the work folder well?"};
}

std::uint64_t PartitionsOfPart(std::uint64_t most_rows) {
  const std::uint64_t fit =
      ShopParts::kRowsOfPart * EventStore::kPartitions / std::max<std::uint64_t>(most_rows, 1);
  return std::clamp<std::uint64_t>(fit, 1, EventStore::kPartitions / ShopParts::kFewestParts);
}

Result<std::string> RecordsOf(const ShopRows& rows, std::uint64_t first, std::uint64_t end) {
  ByteWriter out;
  for (std::uint64_t partition = first; partition < end; ++partition) {
    COHORT_ASSIGN_OR_RETURN(const std::vector<char> bytes, rows.Records(partition));
    out.PutList(bytes);
  }
  return Sealed(&out);
}

}  // namespace

Status ShopParts::Write(Partitions& partitions) const {
  bool has_read = false;
  COHORT_ASSIGN_OR_RETURN(const std::string shared, partitions.Once("shared", [&]() -> Result<std::string> {
    COHORT_RETURN_IF_ERROR(read());
    has_read = true;
    ByteWriter out;
    rows.PutShared(&out);
    return Sealed(&out);
  }));
  if (!has_read) COHORT_RETURN_IF_ERROR(Unseal(shared, [&](ByteReader& in) { return rows.GetShared(&in); }));
  const DatasetInfo info = rows.info();

  PartitionedWork work;
  work.doing = "making rows", work.noun = "partitions";
  work.count = EventStore::kPartitions;
  work.size = PartitionsOfPart(rows.users() * schema.snapshots.size());
  work.fingerprint = RandomBits(schema_checksum, ChecksumOf(shared));
  const auto records = [&](std::uint64_t first, std::uint64_t end) {
    return partitions.Once("records" + std::to_string(first), [&] { return RecordsOf(rows, first, end); });
  };
  RowPart part;  // made, or taken: its memory serves the next one
  work.make = [&](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    COHORT_ASSIGN_OR_RETURN(const std::string sealed, records(first, end));
    const ShopRows::Written before = rows.TakeWritten();  // if this process takes parts too
    part.splits.clear();
    ClearBlock(info, &part.rows);
    const ShopRows::Output output{[&](std::size_t) -> RowBlock& { return part.rows; },
                                  [&](std::size_t snapshot) {
                                    part.splits.push_back(schema.snapshots[snapshot].split);
                                    return Status();
                                  }};
    Status written;
    COHORT_RETURN_IF_ERROR(Unseal(sealed, [&](ByteReader& in) {
      std::vector<char> bytes;
      for (std::uint64_t partition = first; partition < end && written.ok(); ++partition) {
        if (!in.GetList(&bytes)) return false;
        written = rows.WriteUsers(EventStore::UsersOf(bytes), output);
      }
      return true;
    }));
    COHORT_RETURN_IF_ERROR(written);
    ByteWriter out;
    Put(part, &out);
    out.Put(rows.TakeWritten());
    rows.AddWritten(before);
    return Sealed(&out);
  };
  work.take = [&](const std::string& sealed) -> Status {
    ShopRows::Written written;
    COHORT_RETURN_IF_ERROR(
        Unseal(sealed, [&](ByteReader& in) { return Get(info, &in, &part) && in.Get(&written); }));
    for (std::uint64_t& row : part.rows.input_rows) row += rows.written().rows;  // its own count from 0
    rows.AddWritten(written);
    return take(part);
  };
  // Whoever has read hands over before any part is made.
  for (std::uint64_t first = 0; has_read && first < work.count; first += work.size)
    if (const auto handed_over = records(first, std::min(first + work.size, work.count)); !handed_over)
      return handed_over.error();
  return partitions.Run(work);
}

}  // namespace cohort
