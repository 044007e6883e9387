#include "engine/policy_files.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/error.hpp"
#include "engine/fd.hpp"

namespace luabox {
namespace {

constexpr size_t kLongestPolicy = 1U << 20U;

[[noreturn]] void refuse(const std::string& path, const char* why) {
  throw Error("policy", path, EPERM, why);
}

bool owned(const struct stat& found, PolicyOwner owner) {
  return found.st_uid == 0 || (owner == PolicyOwner::caller && found.st_uid == ::geteuid());
}

/// Nobody else may have put something in the place of what lies in this directory.
void check_directory(const std::string& path, PolicyOwner owner) {
  struct stat found;
  if (::lstat(path.c_str(), &found) < 0) throw Error("stat", path);
  if (!S_ISDIR(found.st_mode)) throw Error("open", path, ENOTDIR);
  if (owner == PolicyOwner::any) return;
  if (!owned(found, owner)) refuse(path, "it does not belong to root");
  if ((found.st_mode & 022U) != 0 && (found.st_mode & S_ISVTX) == 0) refuse(path, "others can write to it");
}

std::string absolute(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), ::free);
  if (!resolved) throw Error("resolve", path);
  return resolved.get();
}

/// The directory at a path without symlinks. Each on its way is checked, from "/" on: nobody else can rename
/// what lies in one that was, so the names that follow lead where they led. See inode(7) for the sticky bit.
Fd open_checked(const std::string& folder, PolicyOwner owner) {
  check_directory("/", owner);
  for (size_t end = 0; end < folder.size();) {
    end = std::min(folder.find('/', end + 1), folder.size());
    check_directory(folder.substr(0, end), owner);
  }
  return Fd::open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/// Opens what lies in the directory; a failure has its whole path.
Fd open_in(int directory, const std::string& name, int flags, const std::string& path) {
  try {
    return Fd::open_at(directory, name, flags);
  } catch (const Error& error) {
    const bool unreadable = error.code() == EACCES;
    throw Error("policy", path, error.code(),
                error.code() == ELOOP ? "it is a symlink"
                : unreadable          ? "who runs luabox must be able to read it"
                                      : "");
  }
}

std::vector<std::string> names_in(int directory, const std::string& folder) {
  Fd readable = open_in(directory, ".", O_RDONLY | O_DIRECTORY, folder);
  std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(readable.get()), ::closedir);
  if (!list) throw Error("list", folder);
  readable.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string name = entry->d_name;
    if (name.size() > 4 && name[0] != '.' && name.compare(name.size() - 4, 4, ".lua") == 0)
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Fd open_file(int directory, const std::string& name, const std::string& path, PolicyOwner owner) {
  Fd file = open_in(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, path);
  struct stat found;
  if (::fstat(file.get(), &found) < 0) throw Error("stat", path);
  if (!S_ISREG(found.st_mode)) refuse(path, "it is no regular file");
  if (owner != PolicyOwner::any) {
    if (!owned(found, owner)) refuse(path, "it does not belong to root");
    if ((found.st_mode & 022U) != 0) refuse(path, "others can write to it");
  }
  return file;
}

}  // namespace

std::vector<PolicyFile> read_policies(const std::string& folder, PolicyOwner owner) {
  struct stat found;
  // Only "not there" is none: a folder that can't be looked at may hold policies.
  if (::stat(folder.c_str(), &found) < 0) {
    if (errno == ENOENT) return {};
    throw Error("policy", folder);
  }
  const std::string real = absolute(folder);
  const Fd directory = open_checked(real, owner);
  if (owner != PolicyOwner::any && (found.st_mode & 022U) != 0) refuse(real, "others can write to it");
  std::vector<PolicyFile> files;
  for (const auto& name : names_in(directory.get(), real)) {
    std::string path = real;
    path.append("/").append(name);
    const Fd file = open_file(directory.get(), name, path, owner);
    files.push_back({name, path, read_all(file.get(), path, kLongestPolicy)});
  }
  return files;
}

std::optional<Fd> open_trusted(const std::string& path, PolicyOwner owner) {
  if (::access(path.c_str(), F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  const std::string real = absolute(path);
  const size_t slash = real.rfind('/');
  try {
    const Fd directory = open_checked(slash == 0 ? "/" : real.substr(0, slash), owner);
    return open_file(directory.get(), real.substr(slash + 1), real, owner);
  } catch (const Error& error) {
    if (error.op() != "policy") throw;
    throw Error("read", error.object(), error.code(), error.hint());
  }
}

std::optional<std::string> read_trusted(const std::string& path, PolicyOwner owner, size_t limit) {
  const auto file = open_trusted(path, owner);
  if (!file) return std::nullopt;
  return read_all(file->get(), path, limit);
}

std::optional<std::string> folder_of_root(const std::string& folder) {
  try {
    std::string real = absolute(folder);
    const Fd directory = open_checked(real, PolicyOwner::root);
    struct stat found;
    if (::fstat(directory.get(), &found) == 0 && (found.st_mode & 022U) == 0) return real;
  } catch (const Error&) {
    // It is not there, or not root's.
  }
  return std::nullopt;
}

bool has_name(std::string_view text, std::string_view word) {
  const auto part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  // memmem(3): a start looks through the site's rules, and find() stops at each first letter.
  const auto next = [&](size_t from) {
    const void* found = ::memmem(text.data() + from, text.size() - from, word.data(), word.size());
    return found == nullptr ? text.size()
                            : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  };
  for (size_t at = next(0); at < text.size(); at = next(at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !part(text[at - 1])) && (end == text.size() || !part(text[end]))) return true;
  }
  return false;
}

bool only_root_writes(const std::string& path) {
  try {
    const size_t slash = path.rfind('/');
    if (path.empty() || path[0] != '/') return false;
    const Fd directory = open_checked(slash == 0 ? "/" : path.substr(0, slash), PolicyOwner::root);
    const Fd file = Fd::open_at(directory.get(), path.substr(slash + 1), O_PATH | O_NOFOLLOW);
    struct stat found;
    return ::fstat(file.get(), &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == 0 &&
           (found.st_mode & 022U) == 0;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace luabox
