// The bytes of a file or pipe with its compression, if any, taken off.
//
// gzip, bzip2, xz and zstd are told by their first bytes; anything else passes as it is. Checksums are
// verified and every stream must end properly, which is why this is not left to libarchive (its gzip filter
// skips the CRC, and no filter reads past the archive's end). Several compressed streams in a row are one, as
// for the tools of these names; zero bytes may follow the last.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/supervisor.hpp"

namespace luabox {

class Codec;

class Decompressor {
 public:
  /// Reads from `fd`, which stays the caller's; `name` is for errors. One of `signals` (may be none) that
  /// asks to end makes next() throw EINTR.
  Decompressor(int fd, std::string name, const ForwardedSignals* signals = nullptr);
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor();

  /// The next piece, empty at the end; valid until the next call. All but the last are of one size, a
  /// multiple of 512 bytes. Throws Error: the system's for reading, EINVAL for a stream that is broken or cut
  /// off.
  std::string_view next();

  /// "none", "gzip", "bzip2", "xz" or "zstd"; known after the first piece.
  const char* compression() const;
  /// Bytes read from the descriptor so far.
  uint64_t taken() const { return taken_; }
  /// Bytes handed out so far.
  uint64_t given() const { return given_; }

 private:
  void fill();
  void unpack();
  void between_streams();
  [[noreturn]] void broken(const std::string& reason) const;

  int fd_;
  std::string name_;
  const ForwardedSignals* signals_;
  std::vector<char> input_, output_;
  std::string_view left_;   // of input_, not yet decoded
  size_t ready_ = 0;        // bytes of output_ that are filled
  bool ended_ = false;      // the descriptor is at its end
  bool in_stream_ = false;  // a compressed stream has begun and not ended
  bool begun_ = false;
  uint64_t taken_ = 0, given_ = 0;
  std::unique_ptr<Codec> codec_;  // none for plain bytes
};

}  // namespace luabox
