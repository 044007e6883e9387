#include "engine/decompress.hpp"

#include <bzlib.h>
#include <lzma.h>
#include <poll.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "engine/error.hpp"

using Initializer = void (*)();
// cmake/late_init.ld; not there where the program is linked otherwise.
extern "C" [[gnu::weak]] const Initializer luabox_late_init[], luabox_late_init_end[];

namespace luabox {
namespace {

void initialize_liblzma() {
  static const bool done = [] {
    for (const Initializer* each = luabox_late_init; each < luabox_late_init_end; ++each) (*each)();
    return true;
  }();
  static_cast<void>(done);
}

// Fits the second-level cache, so that what was just decoded is still there when it is written.
constexpr size_t kPiece = 256U << 10U;
// `xz -9` takes 65 MiB to decode; a hostile header may ask for 4 GiB.
constexpr uint64_t kXzMemory = 512U << 20U;

constexpr std::string_view kGzip("\x1f\x8b", 2),
    kXz("\xfd"
        "7zXZ\0",
        6),
    kZstd("\x28\xb5\x2f\xfd", 4);

}  // namespace

/// One compressed format. A codec decodes one stream after another; restart() stands between them.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual const char* name() const = 0;
  virtual void restart() = 0;

  struct Step {
    size_t taken, made;
    bool end;             ///< the stream is complete and its checksum right
    const char* problem;  ///< nullptr, or why the stream can't be decoded
  };
  virtual Step decode(std::string_view in, char* out, size_t room) = 0;
};

namespace {

class Gzip : public Codec {
 public:
  Gzip() {
    if (::inflateInit2(&state_, MAX_WBITS + 16) != Z_OK) throw Error("inflateInit", "", ENOMEM);
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { ::inflateEnd(&state_); }
  const char* name() const override { return "gzip"; }
  void restart() override { ::inflateReset(&state_); }
  Step decode(std::string_view in, char* out, size_t room) override {
    state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    state_.avail_in = static_cast<uInt>(in.size());
    state_.next_out = reinterpret_cast<Bytef*>(out);
    state_.avail_out = static_cast<uInt>(room);
    const int status = ::inflate(&state_, Z_NO_FLUSH);
    const bool good = status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR;
    const char* problem = good ? nullptr : (state_.msg != nullptr ? state_.msg : ::zError(status));
    return {in.size() - state_.avail_in, room - state_.avail_out, status == Z_STREAM_END, problem};
  }

 private:
  z_stream state_ = {};
};

class Bzip2 : public Codec {
 public:
  Bzip2() { begin(); }
  Bzip2(const Bzip2&) = delete;
  Bzip2& operator=(const Bzip2&) = delete;
  ~Bzip2() override { ::BZ2_bzDecompressEnd(&state_); }
  const char* name() const override { return "bzip2"; }
  void restart() override {
    ::BZ2_bzDecompressEnd(&state_);
    begin();
  }
  Step decode(std::string_view in, char* out, size_t room) override {
    state_.next_in = const_cast<char*>(in.data());
    state_.avail_in = static_cast<unsigned>(in.size());
    state_.next_out = out;
    state_.avail_out = static_cast<unsigned>(room);
    const int status = ::BZ2_bzDecompress(&state_);
    const bool good = status == BZ_OK || status == BZ_STREAM_END;
    const char* problem =
        good ? nullptr : (status == BZ_MEM_ERROR ? "out of memory" : "a block or its checksum is wrong");
    return {in.size() - state_.avail_in, room - state_.avail_out, status == BZ_STREAM_END, problem};
  }

 private:
  void begin() {
    state_ = {};
    if (::BZ2_bzDecompressInit(&state_, 0, 0) != BZ_OK) throw Error("BZ2_bzDecompressInit", "", ENOMEM);
  }
  bz_stream state_ = {};
};

class Xz : public Codec {
 public:
  Xz() {
    initialize_liblzma();
    restart();
  }
  Xz(const Xz&) = delete;
  Xz& operator=(const Xz&) = delete;
  ~Xz() override { ::lzma_end(&state_); }
  const char* name() const override { return "xz"; }
  void restart() override {
    if (::lzma_stream_decoder(&state_, kXzMemory, 0) != LZMA_OK)
      throw Error("lzma_stream_decoder", "", ENOMEM);
  }
  Step decode(std::string_view in, char* out, size_t room) override {
    state_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    state_.avail_in = in.size();
    state_.next_out = reinterpret_cast<uint8_t*>(out);
    state_.avail_out = room;
    const lzma_ret status = ::lzma_code(&state_, LZMA_RUN);
    return {in.size() - state_.avail_in, room - state_.avail_out, status == LZMA_STREAM_END, problem(status)};
  }

 private:
  static const char* problem(lzma_ret status) {
    switch (status) {
      case LZMA_OK:
      case LZMA_STREAM_END:
      case LZMA_BUF_ERROR:
        return nullptr;
      case LZMA_MEM_ERROR:
        return "out of memory";
      case LZMA_MEMLIMIT_ERROR:
        return "it needs more than 512 MiB of memory";
      case LZMA_OPTIONS_ERROR:
        return "it uses a feature that this liblzma lacks";
      default:
        return "a block or its checksum is wrong";
    }
  }
  lzma_stream state_ = LZMA_STREAM_INIT;
};

class Zstd : public Codec {
 public:
  Zstd() : state_(::ZSTD_createDStream()) {
    if (state_ == nullptr) throw Error("ZSTD_createDStream", "", ENOMEM);
  }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() override { ::ZSTD_freeDStream(state_); }
  const char* name() const override { return "zstd"; }
  void restart() override { ::ZSTD_initDStream(state_); }
  Step decode(std::string_view in, char* out, size_t room) override {
    ZSTD_inBuffer from = {in.data(), in.size(), 0};
    ZSTD_outBuffer to = {out, room, 0};
    const size_t status = ::ZSTD_decompressStream(state_, &to, &from);
    const bool failed = ::ZSTD_isError(status) != 0;
    return {from.pos, to.pos, status == 0, failed ? ::ZSTD_getErrorName(status) : nullptr};
  }

 private:
  ZSTD_DStream* state_;
};

bool begins(std::string_view text, std::string_view magic) { return text.substr(0, magic.size()) == magic; }

/// "BZh", a level, and the mark of a block or, for no data at all, of the end: a tar whose first name begins
/// with BZh is none.
bool is_bzip2(std::string_view head) {
  if (!begins(head, "BZh") || head.size() < 10 || head[3] < '1' || head[3] > '9') return false;
  const std::string_view mark = head.substr(4, 6);
  return mark == "\x31\x41\x59\x26\x53\x59" || mark == "\x17\x72\x45\x38\x50\x90";
}

/// A frame to skip, which pzstd and others put in front: 0x184D2A50 to 0x184D2A5F, little-endian.
bool is_skippable(std::string_view head) {
  return head.size() >= 4 && (head[0] & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18";
}

std::unique_ptr<Codec> codec_for(std::string_view head) {
  if (begins(head, kGzip)) return std::make_unique<Gzip>();
  if (is_bzip2(head)) return std::make_unique<Bzip2>();
  if (begins(head, kXz)) return std::make_unique<Xz>();
  if (begins(head, kZstd) || is_skippable(head)) return std::make_unique<Zstd>();
  return nullptr;
}

void wait_for_input(int fd, const ForwardedSignals& signals, const std::string& name) {
  for (pollfd both[2] = {{fd, POLLIN, 0}, {signals.get(), POLLIN, 0}}; both[0].revents == 0;) {
    if (::poll(both, 2, -1) < 0 && errno != EINTR) throw Error("poll", name);
    if (both[1].revents != 0 && signals.pending()) throw Error("import", name, EINTR);
  }
}

}  // namespace

Decompressor::Decompressor(int fd, std::string name, const ForwardedSignals* signals)
    : fd_(fd), name_(std::move(name)), signals_(signals), input_(kPiece) {}

Decompressor::~Decompressor() = default;

const char* Decompressor::compression() const { return codec_ ? codec_->name() : "none"; }

void Decompressor::broken(const std::string& reason) const {
  throw Error::invalid("import", name_, "the " + std::string(compression()) + " data is broken: " + reason);
}

/// Fills the whole input, so that pieces stay aligned to tar's blocks also when a pipe gives less.
void Decompressor::fill() {
  size_t count = 0;
  while (count < input_.size() && !ended_) {
    if (signals_ != nullptr) wait_for_input(fd_, *signals_, name_);
    const ssize_t got = ::read(fd_, input_.data() + count, input_.size() - count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error("read", name_);
    ended_ = got == 0;
    count += static_cast<size_t>(got);
  }
  taken_ += count;
  left_ = {input_.data(), count};
}

/// Where one stream has ended: zeros are padding, another stream may follow, anything else is an error as it
/// is for gzip, xz and zstd.
void Decompressor::between_streams() {
  const size_t padding = std::min(left_.find_first_not_of('\0'), left_.size());
  left_.remove_prefix(padding);
  if (left_.empty()) return;
  codec_->restart();
  in_stream_ = true;
}

void Decompressor::unpack() {
  ready_ = 0;
  while (ready_ < output_.size()) {
    if (left_.empty() && !ended_) fill();
    if (!in_stream_) between_streams();
    if (!in_stream_ && ended_) return;
    if (!in_stream_) continue;
    const auto step = codec_->decode(left_, output_.data() + ready_, output_.size() - ready_);
    left_.remove_prefix(step.taken);
    ready_ += step.made;
    if (step.problem != nullptr) broken(step.problem);
    if (step.end) in_stream_ = false;
    if (!step.end && step.made == 0 && left_.empty() && ended_) broken("it is cut off");
    if (!step.end && step.made == 0 && step.taken == 0 && !left_.empty()) broken("it can't be decoded");
  }
}

std::string_view Decompressor::next() {
  if (!begun_ || !codec_) fill();
  if (!begun_) {
    begun_ = true;
    codec_ = codec_for(left_);
    in_stream_ = codec_ != nullptr;
    if (codec_) output_.resize(kPiece);
  }
  std::string_view piece = left_;
  if (codec_) {
    unpack();
    piece = {output_.data(), ready_};
  }
  given_ += piece.size();
  return piece;
}

}  // namespace luabox
