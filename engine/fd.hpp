// A file descriptor as an owned value.
//
// Every descriptor that the engine makes is close-on-exec at birth. An Fd closes it when it goes; moving
// hands it over.
#pragma once

#include <fcntl.h>

#include <string>
#include <string_view>
#include <utility>

namespace luabox {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd);
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(); }

  /// The number, still owned; -1 where there is none.
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Another number for the same; throws with `name`.
  Fd duplicate(const std::string& name) const;
  /// The number, now the caller's to close.
  int release() { return std::exchange(fd_, -1); }
  void close() noexcept;
  /// For what lives long and no child needs: among many descriptors it gets a number from kAside on, where
  /// the copies that a child gets can be cut off at once (leave_what_is_aside). Where there is no room it
  /// stays.
  void set_aside();

  /// open(2) with O_CLOEXEC. Throws Error("open", path).
  static Fd open(const std::string& path, int flags, unsigned mode = 0);
  /// openat(2) with O_CLOEXEC, relative to `directory`. Throws Error("open", path).
  static Fd open_at(int directory, const std::string& path, int flags, unsigned mode = 0);

 private:
  int fd_ = -1;
};

/// Whether so many descriptors are set aside that copying and closing them would be most of a clone's time,
/// and none but these have such numbers.
bool many_aside();
/// In a child that shares this process's descriptors (CLONE_FILES): it gets its own copy of those that are
/// not set aside. See close_range(2), CLOSE_RANGE_UNSHARE.
void leave_what_is_aside();
/// In a child: the soft limit that this process had (RLIMIT_NOFILE, which select(2) asks to stay small)
/// before set_aside() had to raise it.
void restore_descriptor_limit();

/// pipe(2): what is written to the second is read from the first. Everybody may open it (proc(5),
/// /proc/pid/fd), who gets there.
std::pair<Fd, Fd> open_pipe();
/// A file in memory that holds `text`, at its start, and can't be changed (memfd_create(2), sealed): for a
/// reader that is not trusted.
Fd sealed_text(std::string_view text);

/// "/proc/self/fd/N": names an open file where a call takes only a path.
std::string fd_path(int fd);

/// Everything up to end of file; at most `limit` bytes, more is EFBIG. `name` is for the error only. The end
/// of a terminal's master is EIO, once no slave is open; of what does not wait, EAGAIN behind what was there.
std::string read_all(int fd, const std::string& name, size_t limit = 16U << 20U);
/// The same of a pipe, up to the end of the process of the pidfd `writer`, and what is there by then: others
/// may keep the other end open for as long as they like.
std::string read_until_end_of(int writer, int fd, const std::string& name, size_t limit);
std::string read_file(const std::string& path, size_t limit = 16U << 20U);

/// Writes all of `text`. Throws Error("write", name).
void write_all(int fd, std::string_view text, const std::string& name);
struct WriteFileOptions {
  /// For who has a lease on the file (fcntl(2), F_SETLEASE) to give it up, 45 seconds; false: EAGAIN at once.
  bool wait = true;
};
/// One write(2) of `text` to a file that exists: a kernel control file takes a value whole or not at all.
void write_file(const std::string& path, std::string_view text, const WriteFileOptions& options = {});
void write_file_at(int directory, const std::string& path, std::string_view text);

}  // namespace luabox
