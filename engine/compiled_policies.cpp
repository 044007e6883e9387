#include "engine/compiled_policies.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "engine/error.hpp"
#include "engine/fd.hpp"
#include "engine/file.hpp"

/// Where the linker has put the beginning of the program: ld(1).
[[gnu::visibility("hidden")]] extern const ElfW(Ehdr) elf_header asm("__ehdr_start");

namespace luabox {
namespace {

constexpr const char* kName = "/.policies";
constexpr size_t kMost = 8U << 20U;

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

/// What the file begins with, but for how long each code is: "luabox policies ID", and the lengths of each
/// name and text.
std::string title_of(const std::vector<PolicyFile>& files) {
  std::string title = "luabox policies " + std::string(build_id()) + "\n";
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
  std::optional<std::string_view> bytes(size_t size) {
    if (size > text_.size()) return std::nullopt;
    const std::string_view taken = text_.substr(0, size);
    text_.remove_prefix(size);
    return taken;
  }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

std::vector<std::string_view> code_in(std::string_view text, const std::vector<PolicyFile>& files) {
  Rest rest(text);
  std::vector<size_t> sizes;
  std::vector<std::string_view> code;
  if (!rest.skip(title_of(files))) return {};
  for (size_t i = 0; i < files.size(); ++i) {
    const auto size = rest.number();
    if (!size || *size == 0) return {};
    sizes.push_back(*size);
  }
  if (!rest.skip("\n")) return {};
  for (const size_t size : sizes) {
    const auto bytes = rest.bytes(size);
    if (!bytes) return {};
    code.push_back(*bytes);
  }
  for (const auto& file : files)
    if (!rest.skip(file.name) || !rest.skip(file.text)) return {};
  if (!rest.at_end()) return {};
  return code;
}

}  // namespace

CompiledPolicies read_compiled(const std::string& folder, const std::vector<PolicyFile>& files) {
  CompiledPolicies found;
  if (::geteuid() != 0 || build_id().empty()) return found;
  try {
    if (auto text = read_trusted(folder + kName, PolicyOwner::root, kMost)) found.file = std::move(*text);
  } catch (const Error&) {
    return found;
  }
  found.code = code_in(found.file, files);
  return found;
}

void keep_compiled(const std::string& folder, const std::vector<PolicyFile>& files,
                   const std::vector<std::string>& code) {
  if (::geteuid() != 0 || build_id().empty() || code.size() != files.size()) return;
  const auto real = folder_of_root(folder);
  if (!real) return;
  std::string text = title_of(files);
  for (const auto& each : code) text.append(std::to_string(each.size())).append(" ");
  text += '\n';
  for (const auto& each : code) text += each;
  for (const auto& file : files) text.append(file.name).append(file.text);
  try {
    if (text.size() <= kMost) replace_file(*real + kName, text, 0600);
  } catch (const Error&) {
    // A full file system, or one that can only be read: they are compiled each time.
  }
}

}  // namespace luabox
