#include "engine/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <memory>
#include <span>

#include "engine/decompress.hpp"
#include "engine/error.hpp"

namespace luabox {
namespace {

constexpr uint64_t kBlock = 512;
/// Of a member beside its contents. libarchive keeps a sparse file's map as a list, in many times the bytes
/// that tell it.
constexpr uint64_t kMostSaid = 16U << 20U;

/// libarchive converts pax names from UTF-8 to the locale, normalising them on the way; in the C locale it
/// fails to, warns, and hands out the very bytes of the archive, which are what Linux wants.
class PlainLocale {
 public:
  PlainLocale() : plain_(::newlocale(LC_ALL_MASK, "C", nullptr)), before_(::uselocale(plain_)) {}
  PlainLocale(const PlainLocale&) = delete;
  PlainLocale& operator=(const PlainLocale&) = delete;
  ~PlainLocale() {
    ::uselocale(before_);
    ::freelocale(plain_);
  }

 private:
  locale_t plain_, before_;
};

/// Members one after another, and the pieces of a file's contents.
class TarReader {
 public:
  explicit TarReader(const ArchiveSource& source, const ImportOptions& options)
      : name_(source.name), max_bytes_(options.max_bytes), input_(source.fd, source.name, options.signals) {
    if (!archive_) throw Error("import", name_, ENOMEM);
    ::archive_read_support_format_tar(archive_.get());
    check(::archive_read_open(archive_.get(), this, nullptr, read, nullptr));
  }

  /// False at the end.
  bool next(Member& member);

  struct Piece {
    std::span<const char> data;
    int64_t offset = 0;
  };
  /// False at the end of the member.
  bool next(Piece& piece);
  /// Of the member's contents, holes included.
  int64_t size() const { return ::archive_entry_size(entry_); }

  /// Reads on to the end of the source, so that all checksums are verified and whoever writes a pipe is not
  /// killed by SIGPIPE.
  void drain();

  const Decompressor& input() const { return input_; }
  const char* format() const { return ::archive_format_name(archive_.get()); }
  [[noreturn]] void broken(const std::string& reason) const { throw Error::invalid("import", name_, reason); }

 private:
  static la_ssize_t read(archive* handle, void* self, const void** piece);
  std::string_view pull();
  void check(int status);

  struct Free {
    void operator()(archive* handle) const { ::archive_read_free(handle); }
  };
  const std::string name_;
  const std::optional<uint64_t> max_bytes_;
  PlainLocale locale_;
  Decompressor input_;
  std::optional<uint64_t> said_from_;  // while headers are read: where they began
  std::unique_ptr<archive, Free> archive_{::archive_read_new()};
  archive_entry* entry_ = nullptr;
  std::exception_ptr failure_;  // of the input, carried across libarchive's C frames
};

std::string_view TarReader::pull() {
  const std::string_view piece = input_.next();
  if (piece.empty() && input_.given() == 0) broken("it is empty, not a tar archive");
  if (max_bytes_ && input_.given() > *max_bytes_)
    throw Error("import", name_, EFBIG, "more than " + std::to_string(*max_bytes_) + " bytes when unpacked");
  if (said_from_ && input_.given() - *said_from_ > kMostSaid)
    broken("the archive says more than 16 MiB of one member beside its contents");
  return piece;
}

la_ssize_t TarReader::read(archive* handle, void* self, const void** piece) {
  auto& reader = *static_cast<TarReader*>(self);
  try {
    const std::string_view text = reader.pull();
    *piece = text.data();
    return static_cast<la_ssize_t>(text.size());
  } catch (...) {
    reader.failure_ = std::current_exception();
    ::archive_set_error(handle, EIO, "the input failed");
    return ARCHIVE_FATAL;
  }
}

/// A warning is fatal too: something of the member would be missing. But for the one that PlainLocale
/// provokes.
void TarReader::check(int status) {
  if (failure_) std::rethrow_exception(failure_);
  if (status == ARCHIVE_OK || status == ARCHIVE_EOF) return;
  const char* text = ::archive_error_string(archive_.get());
  // A sparse file's map that is none is told without a word.
  const std::string reason = text != nullptr ? text : "what it says of a member can't be read";
  if (status == ARCHIVE_WARN && reason.find("to current locale") != std::string::npos) return;
  if (reason == "Unrecognized archive format")
    broken("it is not a tar archive, plain or compressed by gzip, bzip2, xz or zstd");
  if (reason.rfind("Truncated", 0) == 0) broken("the archive is cut off");
  broken("the archive is broken: " + reason);
}

std::string text(const char* value) { return value != nullptr ? value : ""; }

timespec modified(archive_entry* entry) {
  if (::archive_entry_mtime_is_set(entry) == 0) return {0, UTIME_OMIT};
  timespec time = {::archive_entry_mtime(entry), ::archive_entry_mtime_nsec(entry)};
  // libarchive reads "-1.25" as -1 s and 0.25 s, where time runs forward from -2.
  if (time.tv_sec < 0 && time.tv_nsec > 0) time = {time.tv_sec - 1, 1000000000 - time.tv_nsec};
  return time;
}

void read_xattrs(archive_entry* entry, Member& member) {
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  member.xattrs.clear();
  ::archive_entry_xattr_reset(entry);
  while (::archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
    member.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
}

bool TarReader::next(Member& member) {
  if (entry_ != nullptr) check(::archive_read_data_skip(archive_.get()));  // contents that nobody wanted
  said_from_ = input_.given();
  const int status = ::archive_read_next_header(archive_.get(), &entry_);
  said_from_.reset();
  check(status);
  if (status == ARCHIVE_EOF) return false;
  const char* hard_link = ::archive_entry_hardlink(entry_);
  member.path = text(::archive_entry_pathname(entry_));
  member.mode = ::archive_entry_mode(entry_);
  member.uid = ::archive_entry_uid(entry_);
  member.gid = ::archive_entry_gid(entry_);
  member.mtime = modified(entry_);
  member.hard_link = hard_link != nullptr;
  member.link = member.hard_link ? hard_link : text(::archive_entry_symlink(entry_));
  member.device = ::archive_entry_rdev(entry_);
  read_xattrs(entry_, member);
  return true;
}

bool TarReader::next(Piece& piece) {
  const void* data = nullptr;
  size_t size = 0;
  const int status = ::archive_read_data_block(archive_.get(), &data, &size, &piece.offset);
  check(status);
  piece.data = {static_cast<const char*>(data), size};
  return status != ARCHIVE_EOF;
}

void TarReader::drain() {
  // The end that libarchive saw is the first of two blocks of zeros, of one that other data follows, or of
  // nothing at all: an archive cut between two members.
  const auto end = static_cast<uint64_t>(::archive_read_header_position(archive_.get()));
  const auto taken = static_cast<uint64_t>(::archive_filter_bytes(archive_.get(), 0));
  while (!pull().empty()) continue;
  if (input_.given() < end + 2 * kBlock) broken("the archive is cut off: its end mark is missing");
  if (taken < end + 2 * kBlock)
    broken("the archive is broken: a block of zeros stands where a member should");
}

/// One import: where the reader and the extractor meet.
class Import {
 public:
  Import(const ArchiveSource& source, int directory, const ImportOptions& options,
         const std::function<void(const ImportProgress&)>& progress)
      : reader_(source, options), extractor_(directory, {options.devices, options.owner}), tell_(progress) {
    struct stat file = {};
    if (::fstat(source.fd, &file) == 0 && S_ISREG(file.st_mode))
      progress_.total = static_cast<uint64_t>(file.st_size);
  }

  ImportResult run() {
    Member member;
    while (reader_.next(member)) {
      extractor_.add(member, [&](int file) { copy(member, file); });
      ++progress_.members;
      report();
    }
    if (progress_.members == 0) reader_.broken("the archive is empty");
    reader_.drain();
    extractor_.finish();
    report();
    return {progress_.members, progress_.bytes,     reader_.input().taken(), reader_.input().compression(),
            reader_.format(),  extractor_.skipped()};
  }

 private:
  void copy(const Member& member, int file);
  void write(const Member& member, int file, const TarReader::Piece& piece);
  /// Tells only when more of the input was read, which for small members is rarer than a member.
  void report() {
    if (!tell_ || reader_.input().given() == told_) return;
    told_ = reader_.input().given();
    progress_.read = reader_.input().taken();
    tell_(progress_);
  }

  TarReader reader_;
  Extractor extractor_;
  const std::function<void(const ImportProgress&)>& tell_;
  ImportProgress progress_;
  uint64_t told_ = 0;
};

void Import::write(const Member& member, int file, const TarReader::Piece& piece) {
  for (size_t done = 0; done < piece.data.size();) {
    const ssize_t count = ::pwrite(file, piece.data.data() + done, piece.data.size() - done,
                                   piece.offset + static_cast<off_t>(done));
    if (count < 0 && errno != EINTR) throw Error("import", printable(member.path));
    if (count > 0) done += static_cast<size_t>(count);
  }
  progress_.bytes += piece.data.size();
}

/// What the archive leaves out stays a hole.
void Import::copy(const Member& member, int file) {
  TarReader::Piece piece;
  int64_t end = 0;
  while (reader_.next(piece)) {
    const auto length = static_cast<int64_t>(piece.data.size());
    if (piece.offset < 0 || piece.offset > reader_.size() - length)
      reader_.broken("the archive is broken: " + printable(member.path) + " has data past its end");
    write(member, file, piece);
    end = std::max(end, piece.offset + length);
    report();
  }
  if (end < reader_.size() && ::ftruncate(file, reader_.size()) < 0)
    throw Error("import", printable(member.path));
}

}  // namespace

ImportResult import_archive(const ArchiveSource& source, int directory, const ImportOptions& options,
                            const std::function<void(const ImportProgress&)>& progress) {
  ImportResult result = Import(source, directory, options, progress).run();
  if (options.sync && ::syncfs(directory) < 0) throw Error("syncfs", source.name);
  return result;
}

}  // namespace luabox
