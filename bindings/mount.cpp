// luabox.sys.mount: engine/mount.hpp, engine/root.hpp and engine/tree.hpp for Lua.
//
// Modes are octal strings ("755"): Lua has no octal numbers, and 755 would mean something else.
#include "engine/mount.hpp"

#include <algorithm>

#include "bindings/state.hpp"
#include "bindings/values.hpp"
#include "engine/root.hpp"
#include "engine/tree.hpp"

namespace luabox {
namespace lua {

// ---- values

template <>
struct Value<FileMode> {
  static FileMode check(lua_State* L, int index) {
    const std::string text = lua_type(L, index) == LUA_TSTRING ? Value<std::string>::check(L, index) : "";
    const bool octal = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
    if (text.empty() || text.size() > 5 || !octal || std::stoul(text, nullptr, 8) > 07777)
      throw expected(L, index, "an octal mode such as '755'");
    return {static_cast<unsigned>(std::stoul(text, nullptr, 8))};
  }
};

/// A text, a whole number, or true for an option without a value (as is the empty text).
template <>
struct Value<FsValue> {
  static FsValue check(lua_State* L, int index) {
    if (lua_type(L, index) == LUA_TNUMBER) return std::to_string(Value<int64_t>::check(L, index));
    if (lua_isboolean(L, index) && lua_toboolean(L, index)) return {};
    if (lua_type(L, index) != LUA_TSTRING) throw expected(L, index, "a text, a whole number or true");
    return Value<std::string>::check(L, index);
  }
};

/// A root, or the path of one.
struct RootOrPath {
  const Root* given;
  std::optional<Root> opened;
  const Root& root() const { return given ? *given : *opened; }
};
template <>
struct Value<RootOrPath> {
  static RootOrPath check(lua_State* L, int index) {
    if (lua_isuserdata(L, index)) return {&Value<Root>::check(L, index), {}};
    if (lua_type(L, index) != LUA_TSTRING) throw expected(L, index, "a root or a path");
    return {nullptr, Root::open(Value<std::string>::check(L, index))};
  }
};

/// A root, or in its place the source itself, as policies hand it on that were told of it.
struct RootOrDescriptor {
  const Root* root = nullptr;
  const Fd* fd = nullptr;
};
template <>
struct Value<RootOrDescriptor> {
  static RootOrDescriptor check(lua_State* L, int index) {
    if (Value<Fd>::is(L, index)) return {nullptr, &Value<Fd>::check(L, index)};
    return {&Value<Root>::check(L, index), nullptr};
  }
};

template <>
struct Words<FileKind> {
  static constexpr std::array<std::pair<std::string_view, FileKind>, 6> all{
      {{"directory", FileKind::directory},
       {"file", FileKind::file},
       {"symlink", FileKind::symlink},
       {"device", FileKind::device},
       {"fifo", FileKind::fifo},
       {"socket", FileKind::socket}}};
};
template <>
struct Words<NodeType> {
  static constexpr std::array<std::pair<std::string_view, NodeType>, 3> all{
      {{"char", NodeType::character}, {"block", NodeType::block}, {"fifo", NodeType::fifo}}};
};
template <>
struct Words<TargetKind> {
  static constexpr std::array<std::pair<std::string_view, TargetKind>, 2> all{
      {{"directory", TargetKind::directory}, {"file", TargetKind::file}}};
};
template <>
struct Words<Propagation> {
  static constexpr std::array<std::pair<std::string_view, Propagation>, 4> all{
      {{"private", Propagation::private_},
       {"shared", Propagation::shared},
       {"slave", Propagation::slave},
       {"unbindable", Propagation::unbindable}}};
};

// ---- options

template <>
struct Options<KindOptions> {
  static constexpr auto fields = std::tuple(field("follow", &KindOptions::follow));
};
template <>
struct Options<DirectoryOptions> {
  static constexpr auto fields = std::tuple(field("mode", &DirectoryOptions::mode));
};
template <>
struct Options<WriteOptions> {
  static constexpr auto fields =
      std::tuple(field("mode", &WriteOptions::mode), field("append", &WriteOptions::append),
                 field("on", &WriteOptions::on));
};
template <>
struct Options<ReadOptions> {
  static constexpr auto fields =
      std::tuple(field("limit", &ReadOptions::limit), field("stored", &ReadOptions::stored));
};
template <>
struct Options<NodeOptions> {
  static constexpr auto fields =
      std::tuple(field("type", &NodeOptions::type), field("major", &NodeOptions::major),
                 field("minor", &NodeOptions::minor), field("mode", &NodeOptions::mode),
                 field("uid", &NodeOptions::uid), field("gid", &NodeOptions::gid));
};
template <>
struct Options<OwnerOptions> {
  static constexpr auto fields =
      std::tuple(field("uid", &OwnerOptions::uid), field("gid", &OwnerOptions::gid));
};
template <>
struct Options<TargetOptions> {
  static constexpr auto fields =
      std::tuple(field("kind", &TargetOptions::kind), field("no_symlinks", &TargetOptions::no_symlinks));
};

/// The fields of MountFlags, and then those of the struct made of it.
template <class... F>
constexpr auto with_flags(F... fields) {
  return std::tuple(field("read_only", &MountFlags::read_only), field("nosuid", &MountFlags::nosuid),
                    field("nodev", &MountFlags::nodev), field("noexec", &MountFlags::noexec),
                    field("nosymfollow", &MountFlags::nosymfollow), field("noatime", &MountFlags::noatime),
                    field("relatime", &MountFlags::relatime), field("strictatime", &MountFlags::strictatime),
                    field("nodiratime", &MountFlags::nodiratime), fields...);
}

template <>
struct Options<MountFlags> {
  static constexpr auto fields = with_flags();
};
template <>
struct Options<FlagChange> {
  static constexpr auto fields =
      with_flags(field("clear", &FlagChange::clear), field("recursive", &FlagChange::recursive));
};
template <>
struct Options<CopyOptions> {
  static constexpr auto fields = std::tuple(field("recursive", &CopyOptions::recursive));
};
template <>
struct Options<MakeOptions> {
  static constexpr auto fields =
      std::tuple(field("source", &MakeOptions::source), field("options", &MakeOptions::options),
                 field("flags", &MakeOptions::flags));
};
template <>
struct Options<AttachOptions> {
  static constexpr auto fields =
      std::tuple(field("create", &AttachOptions::create), field("no_symlinks", &AttachOptions::no_symlinks));
};
template <>
struct Options<SealedFlags> {
  static constexpr auto fields = with_flags();
};
template <>
struct Options<ProcOptions> {
  static constexpr auto fields =
      with_flags(field("hidepid", &ProcOptions::hidepid), field("subset", &ProcOptions::subset),
                 field("gid", &ProcOptions::gid));
};
template <>
struct Options<TmpfsOptions> {
  static constexpr auto fields = with_flags(
      field("size", &TmpfsOptions::size), field("inodes", &TmpfsOptions::inodes),
      field("mode", &TmpfsOptions::mode), field("uid", &TmpfsOptions::uid), field("gid", &TmpfsOptions::gid));
};
template <>
struct Options<DevptsOptions> {
  static constexpr auto fields =
      with_flags(field("mode", &DevptsOptions::mode), field("ptmxmode", &DevptsOptions::ptmxmode),
                 field("gid", &DevptsOptions::gid));
};
template <>
struct Options<CgroupMountOptions> {
  static constexpr auto fields =
      with_flags(field("v2", &CgroupMountOptions::v2), field("controllers", &CgroupMountOptions::controllers),
                 field("name", &CgroupMountOptions::name));
};
template <>
struct Options<OverlayOptions> {
  static constexpr auto fields =
      with_flags(field("lower", &OverlayOptions::lower), field("upper", &OverlayOptions::upper),
                 field("work", &OverlayOptions::work), field("userxattr", &OverlayOptions::userxattr),
                 field("volatile", &OverlayOptions::volatile_), field("metacopy", &OverlayOptions::metacopy),
                 field("index", &OverlayOptions::index), field("redirect_dir", &OverlayOptions::redirect_dir),
                 field("options", &OverlayOptions::options));
};
template <>
struct Options<BindOptions> {
  static constexpr auto fields = with_flags(field("recursive", &BindOptions::recursive));
};
template <>
struct Options<PropagationOptions> {
  static constexpr auto fields = std::tuple(field("recursive", &PropagationOptions::recursive));
};
template <>
struct Options<UmountOptions> {
  static constexpr auto fields =
      std::tuple(field("detach", &UmountOptions::detach), field("force", &UmountOptions::force),
                 field("follow", &UmountOptions::follow));
};

// ---- classes

namespace {

void map_ids(Mount& tree, const Fd& userns) { tree.set_idmap(userns.get()); }

void pin(Root& root, const std::string& path, Root& mounted) { root.pin(path, mounted); }

Fd open_in(Root& root, const std::string& path) { return root.resolve(path); }

void write(Root& root, const std::string& path, const Bytes& text, const WriteOptions& options) {
  root.write(path, text.data, options);
}

}  // namespace

const Entry Class<Root>::methods[] = {
    {"open", fn<&open_in>, false},  // root:open(path) -> descriptor (O_PATH)
    {"pin", fn<&pin>, false},     // root:pin(path, root of a mount): what is below `path` is looked for in it
    {"enter", fn<&Root::enter>},  // root:enter(path): the working directory of this process
    {"kind", fn<&Root::kind>, reads},  // root:kind(path, { follow }) -> "directory" | "file" | ... | nil
    {"list", fn<&Root::list>, reads},  // root:list(path) -> names
    {"read", fn<&Root::read>, reads},  // root:read(path, { limit }) -> text
    {"write", fn<&write>},             // root:write(path, text, { mode, append })
    {"make_directory", fn<&Root::make_directory>},  // root:make_directory(path, { mode }), parents too
    {"symlink", fn<&Root::symlink>},                // root:symlink(target, path)
    {"mknod", fn<&Root::mknod>},                   // root:mknod(path, { type, major, minor, mode, uid, gid })
    {"chown", fn<&Root::chown>},                   // root:chown(path, { uid, gid })
    {"chmod", fn<&Root::chmod>},                   // root:chmod(path, "755")
    {"remove", fn<&Root::remove>},                 // root:remove(path): a file or an empty directory
    {"ensure_target", fn<&Root::ensure_target>}};  // root:ensure_target(path, { kind }) -> paths made

template <>
struct Class<Mount> {
  static constexpr auto name = "mount";
  static constexpr Entry methods[] = {
      {"restrict_to", fn<&Mount::restrict_to>},      // tree:restrict_to { read_only = true, ... }
      {"set_flags", fn<&Mount::set_flags>},          // tree:set_flags { flags..., clear = {...}, recursive }
      {"propagation", fn<&Mount::set_propagation>},  // tree:propagation "slave"
      {"is_directory", fn<&Mount::is_directory>, false},  // tree:is_directory(): or a file
      {"idmap", fn<&map_ids>},                            // tree:idmap(descriptor of a user namespace)
      {"root", fn<&Mount::root>},                         // tree:root() -> root, to fill it
      {"attach", fn<&Mount::attach>},  // tree:attach(root, target, { create = "directory" }) -> paths made
      {"attach_at", fn<&Mount::attach_at>}};  // tree:attach_at(path)
};

}  // namespace lua

namespace {

/// mount.proc(target, options) and its like.
template <auto make, class Options>
void mounted(const std::string& target, const Options& options) {
  make(options).attach_at(target);
}

Mount copy_inside(const lua::RootOrDescriptor& at, const std::string& source, const CopyOptions& options) {
  return at.fd ? Mount::copy_of(fd_path(at.fd->get()), options) : Mount::copy_in(*at.root, source, options);
}

void make_private(const std::string& path) { set_propagation(path, Propagation::private_, {}); }

void pivot(const lua::RootOrPath& at) { pivot_root(at.root()); }

void change(const lua::RootOrPath& at) { change_root(at.root()); }

bool ask_procfs(const lua::RootOrPath& at) { return is_procfs(at.root(), "/"); }

}  // namespace

int open_mount(lua_State* L) {
  using lua::fn;
  static constexpr lua::Entry functions[] = {
      {"root", fn<&Root::open>, lua::reads},  // mount.root(path) -> root
      {"copy_of", fn<&Mount::copy_of>},       // mount.copy_of(source, { recursive }) -> tree
      {"copy_in", fn<&copy_inside>},          // mount.copy_in(root, source, { recursive }) -> tree
      {"make", fn<&Mount::make>},             // mount.make(type, { source, options, flags }) -> tree
      {"make_proc", fn<&make_proc>},          // mount.make_proc { hidepid, subset, flags... } -> tree
      {"make_sysfs", fn<&make_sysfs>},
      {"make_mqueue", fn<&make_mqueue>},
      {"make_tmpfs", fn<&make_tmpfs>},      // mount.make_tmpfs { size, mode, inodes, uid, gid } -> tree
      {"make_devpts", fn<&make_devpts>},    // mount.make_devpts { mode, ptmxmode, gid } -> tree
      {"make_cgroup", fn<&make_cgroup>},    // mount.make_cgroup { v2 | controllers | name } -> tree
      {"make_overlay", fn<&make_overlay>},  // mount.make_overlay { lower = {...}, upper, work } -> tree
      {"proc", fn<&mounted<make_proc, ProcOptions>>},  // mount.proc(target, the same options); so the next
      {"sysfs", fn<&mounted<make_sysfs, SealedFlags>>},
      {"mqueue", fn<&mounted<make_mqueue, SealedFlags>>},
      {"tmpfs", fn<&mounted<make_tmpfs, TmpfsOptions>>},
      {"devpts", fn<&mounted<make_devpts, DevptsOptions>>},
      {"cgroup", fn<&mounted<make_cgroup, CgroupMountOptions>>},
      {"overlay", fn<&mounted<make_overlay, OverlayOptions>>},
      {"bind", fn<&bind_mount>},              // mount.bind(source, target, { recursive, flags... })
      {"remount", fn<&remount>},              // mount.remount(path, { flags..., clear = {...}, recursive })
      {"private", fn<&make_private>},         // mount.private(path), recursive
      {"propagation", fn<&set_propagation>},  // mount.propagation(path, "slave", { recursive })
      {"move", fn<&move_mount>},              // mount.move(from, to)
      {"umount", fn<&umount>},                // mount.umount(path, { detach })
      {"pivot_root", fn<&pivot>},             // mount.pivot_root(root or path)
      {"chroot", fn<&change>},                // mount.chroot(root or path)
      {"is_procfs", fn<&ask_procfs>, lua::reads},  // mount.is_procfs(root or path) -> boolean
      {"verify_procfs", fn<&verify_procfs>},       // mount.verify_procfs(root, "/proc")
      {"mask", fn<&mask>},                         // mount.mask(root, paths)
      {"make_read_only", fn<&make_read_only>},     // mount.make_read_only(root, paths)
      {"remove_tree", fn<&remove_tree>},           // mount.remove_tree(path)
      {"tree_size", fn<&tree_size>, lua::reads}};  // mount.tree_size(path) -> bytes
  return lua::module(L, "mount.", functions);
}

}  // namespace luabox
