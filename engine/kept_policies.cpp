#include "engine/kept_policies.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/file.hpp"

/// Where the linker has put the beginning of the program: ld(1).
[[gnu::visibility("hidden")]] extern const ElfW(Ehdr) elf_header asm("__ehdr_start");

namespace luabox {
namespace {

constexpr const char* kName = "/.policies";
constexpr size_t kMost = 32U << 20U;

size_t page() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }
size_t in_pages(size_t size) { return (size + page() - 1) / page() * page(); }
constexpr size_t padded(size_t size) { return (size + 3) & ~size_t{3}; }

/// The build id among the notes of a segment: elf(5).
std::string_view build_id_in(std::string_view notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    const size_t start = sizeof note + padded(note.n_namesz), size = start + padded(note.n_descsz);
    if (size > notes.size()) return {};
    if (note.n_type == NT_GNU_BUILD_ID &&
        notes.substr(sizeof note, note.n_namesz) == std::string_view("GNU\0", 4))
      return notes.substr(start, note.n_descsz);
    notes.remove_prefix(size);
  }
  return {};
}

/// Whether it begins with a page of this machine's, whose pages may be larger than those that the program was
/// made for.
bool in_place(const KeptMemory& memory) { return reinterpret_cast<uintptr_t>(memory.data()) % page() == 0; }

/// Of the program itself; empty where it was linked without one. Headers and notes lie in its first segment,
/// as they do in its file.
std::string_view build_id() {
  const auto* const program = reinterpret_cast<const char*>(&elf_header);
  const auto* const segments = reinterpret_cast<const ElfW(Phdr)*>(program + elf_header.e_phoff);
  for (size_t i = 0; i < elf_header.e_phnum; ++i) {
    if (segments[i].p_type != PT_NOTE) continue;
    const std::string_view id = build_id_in({program + segments[i].p_offset, segments[i].p_memsz});
    if (!id.empty()) return id;
  }
  return {};
}

bool can_keep(const std::vector<KeptMemory>& memory) {
  return ::geteuid() == 0 && !build_id().empty() && std::all_of(memory.begin(), memory.end(), in_place);
}

/// What the file begins with, but for the sizes of the memory: "luabox policies ID", where the program lies,
/// and the lengths of each name and text.
std::string title_of(const std::vector<PolicyFile>& files) {
  std::string title = "luabox policies " + std::string(build_id()) + "\n" +
                      std::to_string(reinterpret_cast<uintptr_t>(&elf_header)) + " ";
  for (const auto& file : files)
    title.append(std::to_string(file.name.size()))
        .append(" ")
        .append(std::to_string(file.text.size()))
        .append(" ");
  return title + "\n";
}

/// What is left to read of the file.
class Rest {
 public:
  explicit Rest(std::string_view text) : text_(text) {}
  bool skip(std::string_view wanted) {
    if (text_.substr(0, wanted.size()) != wanted) return false;
    text_.remove_prefix(wanted.size());
    return true;
  }
  std::optional<size_t> number() {
    size_t value = 0;
    const auto [end, problem] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (problem != std::errc()) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    if (!skip(" ")) return std::nullopt;
    return value;
  }
  size_t size() const { return text_.size(); }

 private:
  std::string_view text_;
};

/// A whole file, to look at.
class View {
 public:
  explicit View(int fd) {
    struct stat found;
    if (::fstat(fd, &found) < 0 || found.st_size <= 0 || static_cast<size_t>(found.st_size) > kMost) return;
    void* const at = ::mmap(nullptr, static_cast<size_t>(found.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) text_ = {static_cast<const char*>(at), static_cast<size_t>(found.st_size)};
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  ~View() {
    if (!text_.empty()) ::munmap(const_cast<char*>(text_.data()), text_.size());
  }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

/// Where in the file each piece lies.
struct Piece {
  size_t offset, size;
};

/// Of a file for `files`; none where it is another's, or not whole.
std::vector<Piece> pieces_in(std::string_view text, const std::vector<PolicyFile>& files, size_t count) {
  Rest rest(text);
  std::vector<Piece> pieces;
  if (!rest.skip(title_of(files))) return {};
  for (size_t i = 0; i < count; ++i) {
    const auto size = rest.number();
    if (!size || *size > kMost) return {};
    pieces.push_back({0, *size});
  }
  if (!rest.skip("\n")) return {};
  size_t offset = in_pages(text.size() - rest.size());
  for (auto& piece : pieces) piece.offset = std::exchange(offset, offset + in_pages(piece.size));
  if (offset > text.size()) return {};
  rest = Rest(text.substr(offset));
  for (const auto& file : files)
    if (!rest.skip(file.name) || !rest.skip(file.text)) return {};
  return rest.size() == 0 ? pieces : std::vector<Piece>();
}

void put_back(int fd, const Piece& piece, KeptMemory memory) {
  if (piece.size == 0) return;
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_FIXED;
  const auto offset = static_cast<off_t>(piece.offset);
  if (::mmap(memory.data(), piece.size, protection, flags, fd, offset) == MAP_FAILED)
    throw Error("mmap", "what the policies were loaded to");
}

}  // namespace

bool restore_policies(const std::string& folder, const std::vector<PolicyFile>& files,
                      const std::vector<KeptMemory>& memory) {
  if (!can_keep(memory)) return false;
  std::optional<Fd> file;
  try {
    file = open_trusted(folder + kName, PolicyOwner::root);
  } catch (const Error&) {
    return false;
  }
  if (!file) return false;
  const View view(file->get());
  const std::vector<Piece> pieces = pieces_in(view.text(), files, memory.size());
  if (pieces.size() != memory.size()) return false;
  for (size_t i = 0; i < memory.size(); ++i)
    if (pieces[i].size > memory[i].size()) return false;
  for (size_t i = 0; i < memory.size(); ++i) put_back(file->get(), pieces[i], memory[i]);
  return true;
}

void keep_policies(const std::string& folder, const std::vector<PolicyFile>& files,
                   const std::vector<KeptMemory>& memory) {
  if (!can_keep(memory)) return;
  const auto real = folder_of_root(folder);
  if (!real) return;
  std::string text = title_of(files);
  for (const auto& piece : memory) text.append(std::to_string(piece.size())).append(" ");
  text += '\n';
  for (const auto& piece : memory) {
    text.resize(in_pages(text.size()));
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  text.resize(in_pages(text.size()));
  for (const auto& file : files) text.append(file.name).append(file.text);
  try {
    if (text.size() <= kMost) replace_file(*real + kName, text, 0600);
  } catch (const Error&) {
    // A full file system, or one that can only be read: they are loaded each time.
  }
}

}  // namespace luabox
