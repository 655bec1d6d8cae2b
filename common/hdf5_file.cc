#include "common/hdf5_file.h"

#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "common/atomic_file.h"
#include "common/check.h"
#include "common/hdf5_driver.h"
#include "common/input_file.h"

namespace cohort {
namespace {

// Owns one HDF5 identifier.
class Handle {
 public:
  using CloseFunction = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, CloseFunction close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      (void)Close();
      id_ = std::exchange(other.id_, -1);
      close_ = other.close_;
    }
    return *this;
  }
  ~Handle() { (void)Close(); }
  bool ok() const { return id_ >= 0; }
  hid_t id() const { return id_; }
  bool Close() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_ = -1;
  CloseFunction close_ = nullptr;
};

// HDF5 keeps its error stack, and whether to print it, per thread: every entry point comes through here.
void Quiet() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5Eclear2(H5E_DEFAULT);
}

std::string InnermostReason() {
  std::string reason;
  auto first = [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
    auto* text = static_cast<std::string*>(data);
    if (text->empty() && error->desc != nullptr) *text = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &reason);
  // "file write failed: time = …, error message = 'No space left on device', …": only the last part is for
  // people.
  static constexpr char kMessage[] = "error message = '";
  if (std::size_t begin = reason.find(kMessage); begin != std::string::npos) {
    begin += sizeof kMessage - 1;
    reason = reason.substr(begin, reason.find('\'', begin) - begin);
  }
  return reason.empty() ? "HDF5 gives no reason" : reason;
}

Status FailedTo(ErrorCode code, const std::string& path, const std::string& name, const char* what) {
  return {code, path + (name.empty() ? "" : ": " + name) + ": cannot " + what + ": " + InnermostReason()};
}

hid_t FileTypeOf(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::kFloat32:
      return H5T_IEEE_F32LE;
    case Hdf5Type::kFloat64:
      return H5T_IEEE_F64LE;
    case Hdf5Type::kInt64:
      return H5T_STD_I64LE;
    case Hdf5Type::kUint32:
      return H5T_STD_U32LE;
    case Hdf5Type::kUint64:
      return H5T_STD_U64LE;
    case Hdf5Type::kUint8:
      return H5T_STD_U8LE;
    case Hdf5Type::kText:
      break;
  }
  return -1;
}

// Our machines are little-endian (x86-64): the file's type is the memory's.
std::size_t SizeOf(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::kFloat32:
    case Hdf5Type::kUint32:
      return 4;
    case Hdf5Type::kUint8:
      return 1;
    case Hdf5Type::kFloat64:
    case Hdf5Type::kInt64:
    case Hdf5Type::kUint64:
      return 8;
    case Hdf5Type::kText:
      break;
  }
  return sizeof(char*);
}

Handle TextType(std::size_t size) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  if (type.ok() && (H5Tset_size(type.id(), size) < 0 || H5Tset_cset(type.id(), H5T_CSET_UTF8) < 0)) return {};
  return type;
}

// What the bytes of a stored type mean; nothing when Cohort has no such elements.
bool TypeFrom(hid_t id, Hdf5Type* type) {
  H5T_class_t kind = H5Tget_class(id);
  std::size_t size = H5Tget_size(id);
  bool is_signed = kind == H5T_INTEGER && H5Tget_sign(id) == H5T_SGN_2;
  if (kind == H5T_FLOAT && size == 4) return *type = Hdf5Type::kFloat32, true;
  if (kind == H5T_FLOAT && size == 8) return *type = Hdf5Type::kFloat64, true;
  if (kind == H5T_INTEGER && size == 8) return *type = is_signed ? Hdf5Type::kInt64 : Hdf5Type::kUint64, true;
  if (kind == H5T_INTEGER && size == 4 && !is_signed) return *type = Hdf5Type::kUint32, true;
  if (kind == H5T_INTEGER && size == 1 && !is_signed) return *type = Hdf5Type::kUint8, true;
  if (kind == H5T_STRING && H5Tis_variable_str(id) > 0) return *type = Hdf5Type::kText, true;
  return false;
}

// Properties for making objects: no times, so that equal inputs give equal bytes.
Handle CreationProperties(hid_t kind) {
  Handle properties(H5Pcreate(kind), H5Pclose);
  if (properties.ok() && H5Pset_obj_track_times(properties.id(), false) < 0) return {};
  return properties;
}

// Makes a group and those above it that are missing. HDF5's own way (intermediate groups) would give them
// times.
bool MakeGroup(hid_t file, const std::string& name) {
  Handle creation = CreationProperties(H5P_GROUP_CREATE);
  if (!creation.ok()) return false;
  for (std::size_t slash = name.find('/', 1);; slash = name.find('/', slash + 1)) {
    const std::string part = name.substr(0, slash);
    if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) {
      Handle group(H5Gcreate2(file, part.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), H5Gclose);
      if (!group.ok()) return false;
    }
    if (slash == std::string::npos) return true;
  }
}

bool MakeGroupsAbove(hid_t file, const std::string& name) {
  std::size_t slash = name.rfind('/');
  return slash == std::string::npos || slash == 0 || MakeGroup(file, name.substr(0, slash));
}

// HDF5's file locks stay off: AtomicFile locks what is written, and what is read never changes.
Handle FileAccess(bool write) {
  Handle properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!properties.ok() || H5Pset_file_locking(properties.id(), false, true) < 0 ||
      H5Pset_fclose_degree(properties.id(), H5F_CLOSE_STRONG) < 0) {
    return {};
  }
  // Attributes over 64 KB (the description of a wide dataset) need the format of HDF5 1.8.
  if (write && H5Pset_libver_bounds(properties.id(), H5F_LIBVER_V18, H5F_LIBVER_V110) < 0) return {};
  return properties;
}

}  // namespace

const char* Hdf5TypeName(Hdf5Type type) {
  static constexpr const char* kNames[] = {"float32", "float64", "int64", "uint32",
                                           "uint64",  "uint8",   "text"};
  return kNames[static_cast<std::size_t>(type)];
}

struct Hdf5Writer::State {
  struct Column {
    Handle dataset;
    Hdf5Type type;
    std::uint64_t columns;  // 0: 1-D
    std::uint64_t rows;
  };
  WriteFailure failure;  // what HDF5 does not know
  Handle file;
  std::map<std::string, Column> columns;
  ~State() { columns.clear(); }

  // What HDF5 says of a call (`done`), or what it did not hear: Status() if all is well.
  Status Outcome(bool done, const std::string& path, const std::string& name, const char* what) const {
    if (failure.error != 0) {
      return {ErrorCode::kIo, path + (name.empty() ? "" : ": " + name) + ": cannot " + what + ": " +
                                  std::strerror(failure.error)};
    }
    return done ? Status() : FailedTo(ErrorCode::kIo, path, name, what);
  }
};

Hdf5Writer::Hdf5Writer(std::string path, std::unique_ptr<State> state)
    : path_(std::move(path)), state_(std::move(state)) {}
Hdf5Writer::~Hdf5Writer() = default;

Result<std::unique_ptr<Hdf5Writer>> Hdf5Writer::Create(const std::string& path) {
  Quiet();
  auto state = std::make_unique<State>();
  // Groups of the new format keep no times unless asked; the root's are set here.
  Handle creation = CreationProperties(H5P_FILE_CREATE);
  Handle access = FileAccess(true);
  if (creation.ok() && access.ok() && UseForgivingDriver(access.id(), &state->failure)) {
    state->file = Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.id(), access.id()), H5Fclose);
  }
  if (!state->file.ok() && state->failure.error == 0) state->failure.error = state->failure.open_error;
  if (Status status = state->Outcome(state->file.ok(), path, "", "create"); !status.ok())
    return tl::unexpected<Status>(std::move(status));
  return std::unique_ptr<Hdf5Writer>(new Hdf5Writer(path, std::move(state)));
}

Status Hdf5Writer::CreateExtendableOf(const std::string& name, Hdf5Type type, std::uint64_t columns,
                                      std::uint64_t chunk_rows) {
  COHORT_CHECK(chunk_rows > 0);
  Quiet();
  const int rank = columns == 0 ? 1 : 2;
  const hsize_t now[2] = {0, columns}, most[2] = {H5S_UNLIMITED, columns}, chunk[2] = {chunk_rows, columns};
  Handle space(H5Screate_simple(rank, now, most), H5Sclose);
  Handle creation = CreationProperties(H5P_DATASET_CREATE);
  Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  Handle text = type == Hdf5Type::kText ? TextType(H5T_VARIABLE) : Handle();
  // The cache holds the chunk being filled and its successor; one that did not fit would be written piece by
  // piece.
  const std::size_t chunk_bytes = chunk_rows * std::max<std::uint64_t>(columns, 1) * SizeOf(type);
  bool ready = MakeGroupsAbove(state_->file.id(), name) && space.ok() && creation.ok() && access.ok() &&
               H5Pset_chunk(creation.id(), rank, chunk) >= 0 &&
               H5Pset_chunk_cache(access.id(), 101, 2 * chunk_bytes, 1.0) >= 0;
  if (ready && type != Hdf5Type::kText) {
    // A part of a chunk that is never written must not hold what lay in memory before.
    const std::uint64_t zero = 0;
    ready = H5Pset_fill_value(creation.id(), FileTypeOf(type), &zero) >= 0 &&
            H5Pset_fill_time(creation.id(), H5D_FILL_TIME_ALLOC) >= 0;
  }
  State::Column column{Handle(), type, columns, 0};
  if (ready) {
    column.dataset =
        Handle(H5Dcreate2(state_->file.id(), name.c_str(), text.ok() ? text.id() : FileTypeOf(type),
                          space.id(), H5P_DEFAULT, creation.id(), access.id()),
               H5Dclose);
  }
  const bool created = column.dataset.ok();
  if (created) state_->columns.emplace(name, std::move(column));
  return state_->Outcome(created, path_, name, "create the dataset");
}

Status Hdf5Writer::AppendOf(const std::string& name, Hdf5Type type, const void* values, std::size_t count) {
  auto found = state_->columns.find(name);
  COHORT_CHECK(found != state_->columns.end(), "%s: no such dataset", name.c_str());
  State::Column& column = found->second;
  const std::uint64_t width = std::max<std::uint64_t>(column.columns, 1);
  COHORT_CHECK(column.type == type && count % width == 0, "%s: %zu values", name.c_str(), count);
  if (count == 0) return {};
  Quiet();
  const int rank = column.columns == 0 ? 1 : 2;
  const hsize_t rows = count / width;
  const hsize_t extent[2] = {column.rows + rows, column.columns}, start[2] = {column.rows, 0},
                block[2] = {rows, column.columns};
  bool written = H5Dset_extent(column.dataset.id(), extent) >= 0;
  Handle file_space(written ? H5Dget_space(column.dataset.id()) : -1, H5Sclose);
  Handle memory_space(H5Screate_simple(rank, block, nullptr), H5Sclose);
  Handle text = type == Hdf5Type::kText ? TextType(H5T_VARIABLE) : Handle();
  written = written && file_space.ok() && memory_space.ok() &&
            H5Sselect_hyperslab(file_space.id(), H5S_SELECT_SET, start, nullptr, block, nullptr) >= 0 &&
            H5Dwrite(column.dataset.id(), text.ok() ? text.id() : FileTypeOf(type), memory_space.id(),
                     file_space.id(), H5P_DEFAULT, values) >= 0;
  if (written) column.rows += rows;
  return state_->Outcome(written, path_, name, "append");
}

Status Hdf5Writer::AppendText(const std::string& name, std::span<const std::string> values) {
  std::vector<const char*> pointers;
  pointers.reserve(values.size());
  for (const std::string& value : values) pointers.push_back(value.c_str());
  return AppendOf(name, Hdf5Type::kText, pointers.data(), pointers.size());
}

Status Hdf5Writer::WriteAllOf(const std::string& name, Hdf5Type type, std::span<const std::uint64_t> dims,
                              const void* values, std::size_t count) {
  std::uint64_t product = 1;
  for (std::uint64_t dim : dims) product *= dim;
  COHORT_CHECK(!dims.empty() && dims.size() <= H5S_MAX_RANK && product == count, "%s", name.c_str());
  Quiet();
  std::vector<hsize_t> extent(dims.begin(), dims.end());
  Handle space(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose);
  Handle creation = CreationProperties(H5P_DATASET_CREATE);
  Handle dataset;
  if (MakeGroupsAbove(state_->file.id(), name) && space.ok() && creation.ok()) {
    dataset = Handle(H5Dcreate2(state_->file.id(), name.c_str(), FileTypeOf(type), space.id(), H5P_DEFAULT,
                                creation.id(), H5P_DEFAULT),
                     H5Dclose);
  }
  bool written = dataset.ok() && (count == 0 || H5Dwrite(dataset.id(), FileTypeOf(type), H5S_ALL, H5S_ALL,
                                                         H5P_DEFAULT, values) >= 0);
  if (written) written = dataset.Close();
  return state_->Outcome(written, path_, name, "write the dataset");
}

Status Hdf5Writer::SetText(const std::string& object, const std::string& attribute,
                           const std::string& value) {
  Quiet();
  const std::string name = object + "@" + attribute;
  Handle target(H5Oopen(state_->file.id(), object.c_str(), H5P_DEFAULT), H5Oclose);
  Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  Handle type = TextType(value.size() + 1);  // with its final NUL
  if (!target.ok() || !space.ok() || !type.ok())
    return FailedTo(ErrorCode::kIo, path_, name, "set the attribute");
  Handle created(H5Acreate2(target.id(), attribute.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT),
                 H5Aclose);
  if (!created.ok() || H5Awrite(created.id(), type.id(), value.c_str()) < 0 || !created.Close()) {
    return FailedTo(ErrorCode::kIo, path_, name, "set the attribute");
  }
  return {};
}

Status Hdf5Writer::SetInteger(const std::string& object, const std::string& attribute, std::int64_t value) {
  Quiet();
  const std::string name = object + "@" + attribute;
  Handle target(H5Oopen(state_->file.id(), object.c_str(), H5P_DEFAULT), H5Oclose);
  Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  if (!target.ok() || !space.ok()) return FailedTo(ErrorCode::kIo, path_, name, "set the attribute");
  Handle created(
      H5Acreate2(target.id(), attribute.c_str(), H5T_STD_I64LE, space.id(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!created.ok() || H5Awrite(created.id(), H5T_NATIVE_INT64, &value) < 0 || !created.Close()) {
    return FailedTo(ErrorCode::kIo, path_, name, "set the attribute");
  }
  return {};
}

Status Hdf5Writer::CreateGroup(const std::string& name) {
  Quiet();
  return MakeGroup(state_->file.id(), name) ? Status()
                                            : FailedTo(ErrorCode::kIo, path_, name, "create the group");
}

Status Hdf5Writer::Close() {
  Quiet();
  bool closed = true;
  for (auto& [name, column] : state_->columns) closed = column.dataset.Close() && closed;
  state_->columns.clear();
  closed = H5Fflush(state_->file.id(), H5F_SCOPE_LOCAL) >= 0 && closed;
  Status status = state_->Outcome(closed, path_, "", "write");
  const bool file_closed = state_->file.Close();
  if (status.ok()) status = state_->Outcome(file_closed, path_, "", "write");
  return status.ok() ? SyncFile(path_) : status;
}

struct Hdf5Reader::State {
  struct Dataset {
    Handle id;
    Hdf5Shape shape;
    bool fits = false;  // the file is large enough for what the shape claims
  };
  Handle file;
  std::uint64_t file_bytes = 0;
  std::map<std::string, Dataset> datasets;  // stay open: rows are read many times
  ~State() { datasets.clear(); }

  Result<const Dataset*> Open(const std::string& path, const std::string& name);
};

Hdf5Reader::Hdf5Reader(std::string path, std::unique_ptr<State> state)
    : path_(std::move(path)), state_(std::move(state)) {}
Hdf5Reader::~Hdf5Reader() = default;

Status CheckIsHdf5(const std::string& path, const std::string& expected) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  COHORT_ASSIGN_OR_RETURN(const int descriptor, OpenInput(path));
  char begin[kSignature.size()];
  const ssize_t got = ::read(descriptor, begin, sizeof begin);
  const int error = errno;
  ::close(descriptor);
  if (got < 0) return {ErrorCode::kIo, path + ": cannot read: " + std::strerror(error)};
  if (got == 0) return {ErrorCode::kInvalidInput, path + ": is empty; expected " + expected};
  if (std::string_view(begin, static_cast<std::size_t>(got)) == kSignature) return {};
  return {ErrorCode::kInvalidInput, path + ": is no HDF5 file; expected " + expected};
}

Result<std::unique_ptr<Hdf5Reader>> Hdf5Reader::Open(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return InvalidInput(path + ": cannot open: " + std::strerror(errno));
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  Quiet();
  auto state = std::make_unique<State>();
  state->file_bytes = static_cast<std::uint64_t>(found.st_size);
  Handle access = FileAccess(false);
  if (access.ok()) state->file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  if (!state->file.ok()) {
    return tl::unexpected<Status>(FailedTo(ErrorCode::kCorrupt, path, "", "open it as an HDF5 file"));
  }
  return std::unique_ptr<Hdf5Reader>(new Hdf5Reader(path, std::move(state)));
}

Result<std::vector<std::string>> Hdf5Reader::List(const std::string& group) const {
  Quiet();
  std::vector<std::string> names;
  auto add = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  Handle opened(H5Gopen2(state_->file.id(), group.c_str(), H5P_DEFAULT), H5Gclose);
  if (!opened.ok() || H5Literate(opened.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add, &names) < 0) {
    return tl::unexpected<Status>(FailedTo(ErrorCode::kCorrupt, path_, group, "list the group"));
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool Hdf5Reader::Has(const std::string& name) const {
  Quiet();
  // HDF5 answers for the last part of a name only when all before it exist.
  for (std::size_t slash = name.find('/', 1);; slash = name.find('/', slash + 1)) {
    const std::string part = name.substr(0, slash);
    if (part != "/" && H5Lexists(state_->file.id(), part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (slash == std::string::npos)
      return H5Oexists_by_name(state_->file.id(), name.c_str(), H5P_DEFAULT) > 0;
  }
}

Result<const Hdf5Reader::State::Dataset*> Hdf5Reader::State::Open(const std::string& path,
                                                                  const std::string& name) {
  if (auto found = datasets.find(name); found != datasets.end()) return &found->second;
  Quiet();
  auto failure = [&](const char* what) {
    return tl::unexpected<Status>(FailedTo(ErrorCode::kCorrupt, path, name, what));
  };
  Dataset dataset;
  dataset.id = Handle(H5Dopen2(file.id(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.id.ok()) return failure("open the dataset");
  Handle type(H5Dget_type(dataset.id.id()), H5Tclose);
  Handle space(H5Dget_space(dataset.id.id()), H5Sclose);
  Handle creation(H5Dget_create_plist(dataset.id.id()), H5Pclose);
  if (!type.ok() || !space.ok() || !creation.ok()) return failure("read the dataset's description");
  if (!TypeFrom(type.id(), &dataset.shape.type)) {
    return Error(ErrorCode::kCorrupt,
                 path + ": " + name + ": has elements of a type that no file of Cohort has");
  }
  int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank < 1)
    return Error(ErrorCode::kCorrupt, path + ": " + name + ": has no rows (a scalar); expected an array");
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  if (H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr) < 0)
    return failure("read the dataset's shape");
  dataset.shape.dims.assign(dims.begin(), dims.end());
  // Data may lie in this file only, and may not claim to be larger than it (deflate shrinks at most 1032
  // times).
  H5D_layout_t layout = H5Pget_layout(creation.id());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(creation.id()) != 0) {
    return Error(ErrorCode::kCorrupt, path + ": " + name + ": keeps its data in another file");
  }
  unsigned __int128 bytes = SizeOf(dataset.shape.type);
  for (hsize_t dim : dims) {
    bytes *= dim;
    if (bytes > ~std::uint64_t{0}) break;
  }
  unsigned __int128 limit = file_bytes;
  if (H5Pget_nfilters(creation.id()) > 0) limit *= 1032;
  dataset.fits = bytes <= limit;
  return &datasets.emplace(name, std::move(dataset)).first->second;
}

Result<Hdf5Shape> Hdf5Reader::Shape(const std::string& name) const {
  COHORT_ASSIGN_OR_RETURN(const State::Dataset* dataset, state_->Open(path_, name));
  return dataset->shape;
}

Result<Hdf5Shape> Hdf5Reader::CheckedShape(const std::string& name, Hdf5Type type) const {
  COHORT_ASSIGN_OR_RETURN(const State::Dataset* dataset, state_->Open(path_, name));
  if (dataset->shape.type != type) {
    return Error(ErrorCode::kCorrupt, path_ + ": " + name + ": has elements of type " +
                                          Hdf5TypeName(dataset->shape.type) + ", expected " +
                                          Hdf5TypeName(type));
  }
  if (!dataset->fits) {
    return Error(ErrorCode::kCorrupt, path_ + ": " + name + ": claims to be larger than the whole file");
  }
  return dataset->shape;
}

Status Hdf5Reader::ReadRowsOf(const std::string& name, Hdf5Type type, std::uint64_t first, std::uint64_t rows,
                              void* out, std::size_t count) const {
  COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, CheckedShape(name, type));
  if (first > shape.rows() || rows > shape.rows() - first) {
    return {ErrorCode::kCorrupt, path_ + ": " + name + ": has " + std::to_string(shape.rows()) +
                                     " rows, expected " + std::to_string(rows) + " from row " +
                                     std::to_string(first)};
  }
  if (rows * shape.columns() != count) {
    return {ErrorCode::kCorrupt, path_ + ": " + name + ": has " + std::to_string(shape.columns()) +
                                     " values per row, expected " +
                                     std::to_string(rows == 0 ? 0 : count / rows)};
  }
  if (count == 0) return {};
  Quiet();
  const std::size_t rank = shape.dims.size();
  std::vector<hsize_t> start(rank, 0), block(shape.dims.begin(), shape.dims.end());
  start[0] = first;
  block[0] = rows;
  Result<const State::Dataset*> dataset = state_->Open(path_, name);  // is open since CheckedShape
  Handle file_space(H5Dget_space((*dataset)->id.id()), H5Sclose);
  Handle memory_space(H5Screate_simple(static_cast<int>(rank), block.data(), nullptr), H5Sclose);
  Handle text = type == Hdf5Type::kText ? TextType(H5T_VARIABLE) : Handle();
  bool read = file_space.ok() && memory_space.ok() &&
              H5Sselect_hyperslab(file_space.id(), H5S_SELECT_SET, start.data(), nullptr, block.data(),
                                  nullptr) >= 0 &&
              H5Dread((*dataset)->id.id(), text.ok() ? text.id() : FileTypeOf(type), memory_space.id(),
                      file_space.id(), H5P_DEFAULT, out) >= 0;
  return read ? Status() : FailedTo(ErrorCode::kCorrupt, path_, name, "read");
}

Result<std::vector<std::string>> Hdf5Reader::ReadText(const std::string& name, std::uint64_t first,
                                                      std::uint64_t rows) const {
  COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, CheckedShape(name, Hdf5Type::kText));
  if (rows > shape.rows()) {
    return Error(ErrorCode::kCorrupt, path_ + ": " + name + ": has " + std::to_string(shape.rows()) +
                                          " rows, expected " + std::to_string(rows));
  }
  std::vector<char*> pointers(rows, nullptr);
  COHORT_RETURN_IF_ERROR(ReadRowsOf(name, Hdf5Type::kText, first, rows, pointers.data(), pointers.size()));
  std::vector<std::string> values;
  values.reserve(rows);
  for (char* pointer : pointers) {
    values.emplace_back(pointer == nullptr ? "" : pointer);
    H5free_memory(pointer);
  }
  return values;
}

Result<std::string> Hdf5Reader::GetText(const std::string& object, const std::string& attribute) const {
  Quiet();
  const std::string name = object + "@" + attribute;
  Handle opened(
      H5Aopen_by_name(state_->file.id(), object.c_str(), attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!opened.ok())
    return tl::unexpected<Status>(FailedTo(ErrorCode::kCorrupt, path_, name, "open the attribute"));
  Handle type(H5Aget_type(opened.id()), H5Tclose);
  Handle space(H5Aget_space(opened.id()), H5Sclose);
  std::size_t size = type.ok() ? H5Tget_size(type.id()) : 0;
  if (!type.ok() || !space.ok() || H5Tget_class(type.id()) != H5T_STRING ||
      H5Tis_variable_str(type.id()) != 0 || H5Sget_simple_extent_type(space.id()) != H5S_SCALAR ||
      size == 0 || size > state_->file_bytes) {
    return Error(ErrorCode::kCorrupt, path_ + ": " + name + ": is not a text of fixed length");
  }
  Handle memory_type = TextType(size);
  std::string value(size, '\0');
  if (!memory_type.ok() || H5Aread(opened.id(), memory_type.id(), value.data()) < 0) {
    return tl::unexpected<Status>(FailedTo(ErrorCode::kCorrupt, path_, name, "read the attribute"));
  }
  value.resize(std::strlen(value.c_str()));
  return value;
}

Result<std::int64_t> Hdf5Reader::GetInteger(const std::string& object, const std::string& attribute) const {
  Quiet();
  const std::string name = object + "@" + attribute;
  Handle opened(
      H5Aopen_by_name(state_->file.id(), object.c_str(), attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!opened.ok())
    return tl::unexpected<Status>(FailedTo(ErrorCode::kCorrupt, path_, name, "open the attribute"));
  Handle type(H5Aget_type(opened.id()), H5Tclose);
  Handle space(H5Aget_space(opened.id()), H5Sclose);
  std::int64_t value = 0;
  if (!type.ok() || !space.ok() || H5Tget_class(type.id()) != H5T_INTEGER ||
      H5Sget_simple_extent_npoints(space.id()) != 1 || H5Aread(opened.id(), H5T_NATIVE_INT64, &value) < 0) {
    return Error(ErrorCode::kCorrupt, path_ + ": " + name + ": is not a whole number");
  }
  return value;
}

}  // namespace cohort
