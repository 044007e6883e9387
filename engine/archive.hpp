// Tar archives as directories: what an image is imported by.
//
// Plain or compressed (engine/decompress.hpp), in any of tar's formats: old v7, ustar, pax, GNU, star; sparse
// files of all kinds. libarchive reads them, engine/extract.hpp makes the files. An archive that is broken,
// cut off (the two blocks of zeros that end every tar are missing) or none at all is an error; what follows
// the end of the tar is read and ignored, as tar does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/extract.hpp"
#include "engine/supervisor.hpp"

namespace luabox {

struct ArchiveSource {
  int fd = -1;       ///< a file or a pipe, read to its end; the caller's
  std::string name;  ///< for errors
};

struct ImportOptions {
  Devices devices = Devices::keep;
  Owner owner = Owner::keep;
  /// How long the tar may be with its compression taken off: a bound for all that it can make, headers
  /// included.
  std::optional<uint64_t> max_bytes = std::nullopt;
  /// Where given, a signal among them that asks to end (INT, TERM, HUP, QUIT) ends the import with EINTR,
  /// also in a blocked read.
  const ForwardedSignals* signals = nullptr;
  /// Written to the disk before it returns (syncfs), so that what is reported as imported survives a power
  /// failure.
  bool sync = false;
};

struct ImportProgress {
  uint64_t members = 0;  ///< made so far
  uint64_t bytes = 0;    ///< of contents written
  uint64_t read = 0;     ///< of the source
  uint64_t total = 0;    ///< of the source where it is a file, 0 for a pipe
};

struct ImportResult {
  uint64_t members = 0;
  uint64_t bytes = 0;
  uint64_t read = 0;
  std::string compression;  ///< "none", "gzip", "bzip2", "xz", "zstd"
  std::string format;       ///< libarchive's name for it: "GNU tar format"
  Skipped skipped;
};

/// Makes the members of `source` in `directory`, which should be empty and out of others' reach (mode 0700
/// above it). `progress` is called about every 256 KiB of the tar and may throw to end the import. On any
/// failure the directory is left as far as it came: it is the caller's to remove. Throws Error("import",
/// ...): EINVAL with the reason for a bad archive, EFBIG past `max_bytes`, EINTR for a signal, the system's
/// own (ENOSPC) with the member's name.
ImportResult import_archive(const ArchiveSource& source, int directory, const ImportOptions& options = {},
                            const std::function<void(const ImportProgress&)>& progress = {});

}  // namespace luabox
