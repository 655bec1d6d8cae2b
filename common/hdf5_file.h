// HDF5 files, as much of them as Cohort needs: the only door to HDF5 (hdf5_driver.h is behind it). Every call is checked; errors carry
// path, name and HDF5's innermost reason; HDF5 itself prints nothing.
//
// Elements are float, double, std::int64_t, std::uint32_t, std::uint64_t or std::uint8_t, little-endian in
// the file. Names are paths inside the file ("train/numeric"): missing groups are made. Equal calls give
// equal bytes (object times off).
//
// A file killed while it is written is unreadable: write through AtomicFile (atomic_file.h):
//   auto file = AtomicFile::Create("x.h5");  auto writer = Hdf5Writer::Create(file->temporary_path());
//   ... writer->Close();  file->Commit();
// Threads: a writer or reader belongs to one thread at a time; HDF5 serialises all of them by one lock.
#ifndef COHORT_COMMON_HDF5_FILE_H_
#define COHORT_COMMON_HDF5_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "common/status.h"

namespace cohort {

enum class Hdf5Type : std::uint8_t { kFloat32, kFloat64, kInt64, kUint32, kUint64, kUint8, kText };
const char* Hdf5TypeName(Hdf5Type type);  // "float32"

template <typename T>
constexpr Hdf5Type Hdf5TypeOf() {
  if constexpr (std::is_same_v<T, float>)
    return Hdf5Type::kFloat32;
  else if constexpr (std::is_same_v<T, double>)
    return Hdf5Type::kFloat64;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return Hdf5Type::kInt64;
  else if constexpr (std::is_same_v<T, std::uint32_t>)
    return Hdf5Type::kUint32;
  else if constexpr (std::is_same_v<T, std::uint64_t>)
    return Hdf5Type::kUint64;
  else {
    static_assert(std::is_same_v<T, std::uint8_t>, "an element type that HDF5 files of Cohort do not have");
    return Hdf5Type::kUint8;
  }
}

class Hdf5Writer {
 public:
  // Creates `path`, replacing a file of that name.
  static Result<std::unique_ptr<Hdf5Writer>> Create(const std::string& path);
  ~Hdf5Writer();  // closes; only Close() promises that the bytes are on the disk
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  // A dataset that grows by Append: 1-D (rows) when columns is 0, else 2-D (rows, columns), stored in chunks
  // of `chunk_rows` rows; appends of whole chunks are the fastest. REQUIRES: chunk_rows > 0, a new name.
  template <typename T>
  Status CreateExtendable(const std::string& name, std::uint64_t columns, std::uint64_t chunk_rows) {
    return CreateExtendableOf(name, Hdf5TypeOf<T>(), columns, chunk_rows);
  }
  // Adds rows. REQUIRES: `name` was created here with this type; values.size() is a multiple of the columns.
  template <typename T>
  Status Append(const std::string& name, std::span<const T> values) {
    return AppendOf(name, Hdf5TypeOf<T>(), values.data(), values.size());
  }
  // Variable-length UTF-8 texts, 1-D.
  Status CreateExtendableText(const std::string& name, std::uint64_t chunk_rows) {
    return CreateExtendableOf(name, Hdf5Type::kText, 0, chunk_rows);
  }
  Status AppendText(const std::string& name, std::span<const std::string> values);

  // A dataset of fixed shape, contiguous, written at once. REQUIRES: values.size() is the product of `dims`,
  // a new name.
  template <typename T>
  Status WriteAll(const std::string& name, std::span<const std::uint64_t> dims, std::span<const T> values) {
    return WriteAllOf(name, Hdf5TypeOf<T>(), dims, values.data(), values.size());
  }
  template <typename T>
  Status WriteAll(const std::string& name, std::span<const T> values) {
    const std::uint64_t size = values.size();
    return WriteAll<T>(name, std::span<const std::uint64_t>(&size, 1), values);
  }

  // An attribute of a group or dataset that exists ("/" is the root).
  Status SetText(const std::string& object, const std::string& attribute, const std::string& value);
  Status SetInteger(const std::string& object, const std::string& attribute, std::int64_t value);

  Status CreateGroup(const std::string& name);

  // Flushes, closes and fsyncs. Nothing may be called afterwards.
  Status Close();
  const std::string& path() const { return path_; }

 private:
  struct State;
  Hdf5Writer(std::string path, std::unique_ptr<State> state);
  Status CreateExtendableOf(const std::string& name, Hdf5Type type, std::uint64_t columns,
                            std::uint64_t chunk_rows);
  Status AppendOf(const std::string& name, Hdf5Type type, const void* values, std::size_t count);
  Status WriteAllOf(const std::string& name, Hdf5Type type, std::span<const std::uint64_t> dims,
                    const void* values, std::size_t count);

  std::string path_;
  std::unique_ptr<State> state_;
};

struct Hdf5Shape {
  Hdf5Type type = Hdf5Type::kFloat32;
  std::vector<std::uint64_t> dims;
  std::uint64_t rows() const { return dims.empty() ? 1 : dims[0]; }
  // Elements per row.
  std::uint64_t columns() const {
    std::uint64_t product = 1;
    for (std::size_t i = 1; i < dims.size(); ++i) product *= dims[i];
    return product;
  }
};

// Missing names, other types, other shapes and damaged files are errors (kCorrupt); a file that does not
// exist or may not be read is kInvalidInput. A dataset that claims more bytes than its file has is refused
// before memory is taken.
// Whether a file that a user names is HDF5, whole or damaged. kInvalidInput: it is not there, no regular file, empty, or something else;
// `expected` says what it should be.
Status CheckIsHdf5(const std::string& path, const std::string& expected);

class Hdf5Reader {
 public:
  static Result<std::unique_ptr<Hdf5Reader>> Open(const std::string& path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  // The names of a group's members, sorted ("/" is the root).
  Result<std::vector<std::string>> List(const std::string& group) const;
  // Whether there is a group or dataset of that name.
  bool Has(const std::string& name) const;
  Result<Hdf5Shape> Shape(const std::string& name) const;
  // The shape, if the type is the one expected and the file is large enough to hold it.
  Result<Hdf5Shape> CheckedShape(const std::string& name, Hdf5Type type) const;

  // Reads rows [first, first + rows) into `out`. The dataset's type must be T, out.size() rows * columns().
  template <typename T>
  Status ReadRows(const std::string& name, std::uint64_t first, std::uint64_t rows, std::span<T> out) const {
    return ReadRowsOf(name, Hdf5TypeOf<T>(), first, rows, out.data(), out.size());
  }
  template <typename T>
  Result<std::vector<T>> ReadAll(const std::string& name) const {
    COHORT_ASSIGN_OR_RETURN(Hdf5Shape shape, CheckedShape(name, Hdf5TypeOf<T>()));
    std::vector<T> values(shape.rows() * shape.columns());
    COHORT_RETURN_IF_ERROR(ReadRows<T>(name, 0, shape.rows(), values));
    return values;
  }
  Result<std::vector<std::string>> ReadText(const std::string& name, std::uint64_t first,
                                            std::uint64_t rows) const;

  Result<std::string> GetText(const std::string& object, const std::string& attribute) const;
  Result<std::int64_t> GetInteger(const std::string& object, const std::string& attribute) const;
  const std::string& path() const { return path_; }

 private:
  struct State;
  Hdf5Reader(std::string path, std::unique_ptr<State> state);
  Status ReadRowsOf(const std::string& name, Hdf5Type type, std::uint64_t first, std::uint64_t rows,
                    void* out, std::size_t count) const;

  std::string path_;
  std::unique_ptr<State> state_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_HDF5_FILE_H_
