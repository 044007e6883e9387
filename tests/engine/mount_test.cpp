#include "engine/mount.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "tests/engine/sandbox.hpp"

using namespace luabox;
using namespace luabox::test;
namespace fs = std::filesystem;

#define NEEDS_ROOT() \
  if (!is_root()) SKIP_TEST("needs root")

namespace {

/// The errno of opening `path` for writing; 0 where it opens.
int write_code(const fs::path& path) {
  return code_of([&] { Fd::open(path, O_WRONLY | O_CREAT | O_NONBLOCK, 0600); });
}

unsigned long flags_of(const fs::path& path) {
  struct statvfs status;
  if (::statvfs(path.c_str(), &status) < 0) throw Error("statvfs", path);
  return status.f_flag;
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

void expect_text(const std::string& text, const std::string& part) {
  expect(text.find(part) != std::string::npos, "\"" + part + "\" in \"" + text + "\"");
}

bool is_empty(const fs::path& directory) {
  return fs::directory_iterator(directory) == fs::directory_iterator();
}

/// A tmpfs at `path` as a test's own file system.
std::string tmpfs_at(const std::string& path) {
  make_tmpfs({}).attach_at(path);
  return path;
}

BindOptions read_only() {
  BindOptions options;
  options.read_only = true;
  return options;
}

std::pair<int, int> kernel() {
  utsname name;
  ::uname(&name);
  std::pair<int, int> version;
  char dot = 0;
  std::istringstream(name.release) >> version.first >> dot >> version.second;
  return version;
}

}  // namespace

TEST_CASE("a symlink in the image cannot move a mount out of the root") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto source = box.dir("source"), outside = box.dir("outside"), tree = box.dir("root");
    fs::create_symlink(outside, tree + "/absolute");
    fs::create_symlink("../outside", tree + "/relative");
    fs::create_symlink("/proc/self/root" + outside, tree + "/magic");
    const Root root = Root::open(tree);
    const std::string before = mount_table();
    for (const char* target : {"absolute", "relative", "magic", "../outside", "/absolute/../../outside"})
      expect(code_of([&] { Mount::copy_of(source, {}).attach(root, target, {}); }) == ENOENT, target);
    expect(mount_table() == before, "the same mount table");

    Mount::copy_of(source, {}).attach(root, "absolute", {.create = TargetKind::directory});
    box.file("source/seen", "");
    expect(fs::exists(tree + outside + "/seen"), "the mount below the root");
    expect(is_empty(outside), "nothing outside");
    expect(code_of([&] {
             Mount::copy_of(source, {})
                 .attach(root, "relative", {.create = TargetKind::directory, .no_symlinks = true});
           }) == ELOOP,
           "no symlink where none is wanted");
  });
}

TEST_CASE("proc's magic links lead no mount out of the root") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const Root root = Root::open(box.dir("root"));
    make_proc({}).attach(root, "/proc", {.create = TargetKind::directory});
    const std::string before = mount_table();
    for (const std::string& target : {std::string("/proc/self/root"), std::string("/proc/self/cwd"),
                                      "/proc/self/root" + box.dir("outside")})
      expect(
          code_of([&] { make_tmpfs({}).attach(root, target, {.create = TargetKind::directory}); }) == ELOOP,
          target);
    expect(mount_table() == before, "the same mount table");
  });
}

TEST_CASE("no mount lands outside while a directory and a symlink change places") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto source = box.dir("source"), outside = box.dir("outside"), tree = box.dir("root");
    box.dir("root/data/target");
    box.dir("outside/target");
    fs::create_symlink(outside, tree + "/link");
    const Root root = Root::open(tree);
    const pid_t flipper = ::fork();
    if (flipper == 0)
      while (::renameat2(AT_FDCWD, (tree + "/data").c_str(), AT_FDCWD, (tree + "/link").c_str(),
                         RENAME_EXCHANGE) == 0) {
      }
    if (flipper == 0) ::_exit(1);
    int attached = 0;
    for (int i = 0; i < 2000; ++i)
      attached += code_of([&] { Mount::copy_of(source, {}).attach(root, "data/target", {}); }) == 0 ? 1 : 0;
    ::kill(flipper, SIGKILL);
    ::waitpid(flipper, nullptr, 0);
    box.file("source/mark", "");
    expect(!fs::exists(outside + "/target/mark"), "no mount outside");
    expect(attached > 0, "some that succeed");
  });
}

TEST_CASE("a read-only bind is read-only below its submounts too") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    tmpfs_at(box.dir("source"));
    tmpfs_at(box.dir("source/below"));
    const auto target = box.dir("target");
    bind_mount(box.dir("source"), target, read_only());
    expect(write_code(target + "/file") == EROFS, "EROFS at the top");
    expect(write_code(target + "/below/file") == EROFS, "EROFS below");
    expect(write_code(box.path() / "source/below/file") == 0, "the source is writable");

    BindOptions top = read_only();
    top.recursive = false;
    bind_mount(box.dir("source"), box.dir("alone"), top);
    expect(!fs::exists(box.path() / "alone/below/file"), "no submount without recursion");
  });
}

TEST_CASE("a tree has its flags before anybody can see it, and is gone with its owner") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const std::string before = mount_table();
    {
      Mount tree = make_tmpfs({});
      tree.root().write("/etc/file", "text", {});
      tree.restrict_to({.read_only = true, .noexec = true});
      expect(code_of([&] { tree.root().write("/etc/file", "", {}); }) == EROFS, "EROFS while detached");
      expect(mount_table() == before, "nothing in the mount table");
    }
    expect(mount_table() == before, "nothing after it");

    Mount tree = make_tmpfs({});
    const Root inside = tree.root();
    inside.mknod("null", {.major = 1, .minor = 3});
    tree.set_flags({{}, {.nodev = true}});
    std::move(tree).attach_at(box.dir("target"));
    expect(write_code(box.path() / "target/null") == 0, "a device, nodev being cleared");
    inside.write("later", "text", {});
    expect(slurp(box.path() / "target/later") == "text", "the root stays after the attachment");
  });
}

TEST_CASE("flags are set and cleared one by one, and one atime flag replaces another") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto target = tmpfs_at(box.dir("target"));
    expect((flags_of(target) & (ST_NOSUID | ST_NODEV | ST_RELATIME)) == (ST_NOSUID | ST_NODEV | ST_RELATIME),
           "defaults");
    remount(target, {{.read_only = true, .noatime = true}, {}});
    expect((flags_of(target) & (ST_RDONLY | ST_NOATIME | ST_NOSUID)) == (ST_RDONLY | ST_NOATIME | ST_NOSUID),
           "added");
    remount(target, {{}, {.read_only = true, .nosuid = true, .noatime = true}});
    expect((flags_of(target) & (ST_RDONLY | ST_NOSUID | ST_NOATIME | ST_RELATIME)) == ST_RELATIME, "cleared");
    expect_text(message_of([&] {
                  remount(target, {{.noatime = true, .relatime = true}, {}});
                }),
                "only one of noatime");
    expect(code_of([&] {
             remount(box.path(), {{.read_only = true}, {}});
           }) == EINVAL,
           "EINVAL for no mount point");
  });
}

TEST_CASE("what the kernel says of a wrong option is in the error") {
  NEEDS_ROOT();
  expect_text(message_of([] {
                Mount::make("tmpfs", {"", {{"size", "many"}}, {}});
              }),
              "tmpfs: Bad value for 'size'");
  expect_text(message_of([] {
                Mount::make("tmpfs", {"", {{"sise", "1m"}}, {}});
              }),
              "tmpfs: Unknown parameter 'sise'");
  expect_text(message_of([] { Mount::make("nofs", {}); }), "this kernel has no such file system");
  ProcOptions wrong;
  wrong.hidepid = "17";
  expect_text(message_of([&] { make_proc(wrong); }), "hidepid");
}

TEST_CASE("tmpfs takes its size, mode and owner, and can hold no devices by default") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    TmpfsOptions options;
    options.size = "65536";
    options.mode = FileMode{0750};
    options.uid = 5;
    options.gid = 6;
    const auto target = box.dir("target");
    make_tmpfs(options).attach_at(target);
    struct stat status;
    expect(::stat(target.c_str(), &status) == 0 && status.st_uid == 5 && status.st_gid == 6, "the owner");
    expect((status.st_mode & 07777) == 0750, "the mode");
    expect(code_of([&] {
             write_all(Fd::open(target + "/big", O_WRONLY | O_CREAT, 0600).get(), std::string(70000, 'x'),
                       "big");
           }) == ENOSPC,
           "ENOSPC past the size");
    Root::open(target).mknod("null", {.major = 1, .minor = 3});
    expect(write_code(target + "/null") == EACCES, "EACCES for a device");
  });
}

TEST_CASE("the kernel's own file systems come without suid, devices and programs") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS | CLONE_NEWIPC, [&] {
    const auto target = [&](const char* name) { return box.dir(name); };
    ProcOptions proc;
    proc.hidepid = "2";
    make_proc(proc).attach_at(target("proc"));
    make_sysfs({}).attach_at(target("sys"));
    make_mqueue({}).attach_at(target("mqueue"));
    constexpr unsigned long sealed = ST_NOSUID | ST_NODEV | ST_NOEXEC;
    for (const char* name : {"proc", "sys", "mqueue"})
      expect((flags_of(target(name)) & sealed) == sealed, name);
    expect(fs::exists(box.path() / "proc/self/status") && fs::exists(box.path() / "sys/kernel"),
           "what is in them");

    make_devpts({}).attach_at(target("pts"));
    expect((flags_of(target("pts")) & sealed) == (ST_NOSUID | ST_NOEXEC), "devices in devpts");
    struct stat status;
    expect(::stat((target("pts") + "/ptmx").c_str(), &status) == 0 && (status.st_mode & 0777) == 0666,
           "a ptmx for all");
    expect(Fd::open(target("pts") + "/ptmx", O_RDWR | O_NOCTTY).get() >= 0, "a terminal");
  });
}

TEST_CASE("a cgroup mount wants to know which hierarchy") {
  NEEDS_ROOT();
  Sandbox box;
  CHECK(code_of([] { make_cgroup({}); }) == EINVAL);
  CgroupMountOptions both;
  both.v2 = true;
  both.name = "systemd";
  CHECK(code_of([&] { make_cgroup(both); }) == EINVAL);
  in_child(CLONE_NEWNS | CLONE_NEWCGROUP, [&] {
    CgroupMountOptions v2;
    v2.v2 = v2.read_only = true;
    make_cgroup(v2).attach_at(box.dir("v2"));
    expect(fs::exists(box.path() / "v2/cgroup.procs"), "a v2 hierarchy");
  });
}

TEST_CASE("a mount of the wrong kind says which is which") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto file = box.file("file", ""), directory = box.dir("directory");
    expect_text(message_of([&] { bind_mount(directory, file, {}); }),
                "a directory can't be mounted on a file");
    expect_text(message_of([&] { bind_mount(file, directory, {}); }),
                "a file can't be mounted on a directory");
    expect_text(message_of([&] { Mount::copy_of("", {}); }), "No such file");
    expect_text(message_of([&] { umount(directory, {}); }), "nothing is mounted there");
    const auto made =
        Mount::copy_of(file, {}).attach(Root::open(directory), "/a/b", {.create = TargetKind::file});
    expect(made == std::vector<std::string>{"/a", "/a/b"}, "the paths made");
  });
}

TEST_CASE("propagation, moving and unmounting act on the mount named") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto one = tmpfs_at(box.dir("one"));
    set_propagation(one, Propagation::shared, {});
    bind_mount(one, box.dir("peer"), {});
    tmpfs_at(box.dir("one/sub"));
    box.file("one/sub/file", "");
    expect(fs::exists(box.path() / "peer/sub/file"), "a shared mount's news in its peer");
    set_propagation(box.path() / "peer", Propagation::private_, {});
    umount(one + "/sub", {});
    expect(fs::exists(box.path() / "peer/sub/file"), "none in a private one");
    set_propagation(one, Propagation::private_, {});
    luabox::move_mount(box.path() / "peer/sub", box.dir("moved"));
    expect(fs::exists(box.path() / "moved/file") && !fs::exists(box.path() / "peer/sub/file"), "the move");

    const Fd user = Fd::open(box.path() / "moved/file", O_RDONLY);
    expect(code_of([&] { umount(box.path() / "moved", {}); }) == EBUSY, "EBUSY while it is used");
    fs::create_symlink("moved", box.path() / "link");
    expect(code_of([&] { umount(box.path() / "link", {.detach = true}); }) == EINVAL, "no symlink followed");
    umount(box.path() / "link", {.detach = true, .follow = true});
    expect(!fs::exists(box.path() / "moved/file"), "out of sight");
    Mount tree = Mount::copy_of(one, {});
    tree.set_propagation(Propagation::unbindable);
    std::move(tree).attach_at(box.dir("unbindable"));
    expect(code_of([&] { Mount::copy_of(box.path() / "unbindable", {}); }) == EINVAL,
           "EINVAL for an unbindable one");
  });
}

TEST_CASE("an id map shows the files under other owners") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    tmpfs_at(box.dir("source"));
    box.file("source/file", "");
    int channel[2];
    expect(::pipe2(channel, O_CLOEXEC) == 0, "a pipe");
    const pid_t owner = ::fork();
    if (owner == 0) {
      char byte = ::unshare(CLONE_NEWUSER) == 0 ? 'y' : 'n';
      if (::write(channel[1], &byte, 1) != 1) ::_exit(1);
      ::pause();
    }
    char byte = 'n';
    expect(::read(channel[0], &byte, 1) == 1 && byte == 'y', "a user namespace");
    const std::string proc = "/proc/" + std::to_string(owner);
    write_file(proc + "/uid_map", "0 100000 65536\n");
    write_file(proc + "/gid_map", "0 100000 65536\n");
    Mount tree = Mount::copy_of(box.path() / "source", {});
    tree.set_idmap(Fd::open(proc + "/ns/user", O_RDONLY).get());
    ::kill(owner, SIGKILL);
    ::waitpid(owner, nullptr, 0);
    std::move(tree).attach_at(box.dir("target"));
    struct stat status;
    expect(::stat((box.path() / "target/file").c_str(), &status) == 0 && status.st_uid == 100000,
           "the mapped owner");
  });
}

TEST_CASE("a mask hides files and directories and passes over what is missing") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto tree = box.dir("root");
    box.file("root/proc/kcore", "secret");
    box.file("root/proc/keys", "secret");
    box.file("root/sys/firmware/acpi", "secret");
    box.file("root/proc/scsi/scsi", "secret");
    box.file("outside", "host");
    fs::create_symlink(box.path() / "outside", tree + "/proc/link");
    const Root root = Root::open(tree);
    mask(root, {"/proc/kcore", "/proc/none", "/proc/keys", "/sys/firmware", "/proc/link", "/proc/scsi"});
    expect(slurp(tree + "/proc/kcore").empty() && slurp(tree + "/proc/keys").empty(), "empty files");
    struct stat status;
    expect(::stat((tree + "/proc/keys").c_str(), &status) == 0 && status.st_rdev == makedev(1, 3),
           "the null device");
    for (const char* directory : {"/sys/firmware", "/proc/scsi"}) {
      expect(is_empty(tree + directory), "an empty directory");
      expect(write_code(tree + directory + "/file") == EROFS, "EROFS in it");
    }
    expect(slurp(box.path() / "outside") == "host", "nothing outside");
    expect(code_of([&] { mask(root, {"/proc/keys/x"}); }) == ENOTDIR, "ENOTDIR is no 'missing'");
  });
}

TEST_CASE("a mask trusts no other device than null") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    box.file("root/secret", "secret");
    bind_mount("/dev/zero", "/dev/null", {});
    expect_text(message_of([&] { mask(Root::open(box.dir("root")), {"/secret"}); }),
                "is not the null device");
    expect(slurp(box.path() / "root/secret") == "secret", "no mount");
  });
}

TEST_CASE("a path made read-only is so below too and keeps its other flags") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto tree = tmpfs_at(box.dir("root"));
    tmpfs_at(box.dir("root/proc/sys/below"));
    const Root root = Root::open(tree);
    make_read_only(root, {"/proc/sys", "/none"});
    expect(write_code(tree + "/proc/sys/file") == EROFS, "EROFS");
    expect(write_code(tree + "/proc/sys/below/file") == EROFS, "EROFS below");
    expect(write_code(tree + "/proc/file") == 0, "the rest is writable");
    expect((flags_of(tree + "/proc/sys") & (ST_NOSUID | ST_NODEV)) == (ST_NOSUID | ST_NODEV),
           "nosuid and nodev");
  });
}

TEST_CASE("the root itself is neither masked nor made read-only, by whatever name") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto tree = tmpfs_at(box.dir("root"));
    box.dir("root/tmp");
    fs::create_symlink("/", tree + "/link");
    const Root root = Root::open(tree);
    const std::string before = mount_table();
    for (const char* path : {"/", "//", "/.", "/tmp/..", "/..", "/link", "/link/tmp/../."}) {
      expect_text(message_of([&] { mask(root, {path}); }), "is the root itself");
      expect_text(message_of([&] { make_read_only(root, {path}); }), "is the root itself");
    }
    expect(mount_table() == before, "no mount");
    bind_mount(tree, box.dir("root/again"), {});
    make_read_only(root, {"/again"});
    expect(write_code(tree + "/again/file") == EROFS && write_code(tree + "/file") == 0,
           "what is bound elsewhere");
  });
}

TEST_CASE("only the root of a procfs is one") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const Root root = Root::open(box.dir("root"));
    box.file("root/proc/self/attr/exec", "");
    expect_text(message_of([&] { verify_procfs(root, "/proc"); }), "root/proc: is not the root of a procfs");
    bind_mount("/proc/sys", box.dir("root/proc"), {});
    expect(code_of([&] { verify_procfs(root, "/proc"); }) == EINVAL, "EINVAL for a part of one");
    make_proc({}).attach(root, "/proc", {});
    verify_procfs(root, "/proc");
    expect(is_procfs(Root::open("/proc"), "/"), "the host's own");
  });
}

TEST_CASE("an overlay takes paths with ':' and ',' in them") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    tmpfs_at(box.dir("layers"));  // overlay on overlay would not do for a host that is a container
    box.file("layers/a:b,c\\:d/file", "low");
    box.file("layers/x=y,upperdir=z/file", "lower");
    const auto upper = box.dir("layers/up:per,"), work = box.dir("layers/wo:rk,"), target = box.dir("target");
    OverlayOptions options;
    options.lower = {(box.path() / "layers/a:b,c\\:d").string(),
                     (box.path() / "layers/x=y,upperdir=z").string()};
    options.upper = upper;
    options.work = work;
    options.metacopy = false;
    make_overlay(options).attach_at(target);
    expect(slurp(target + "/file") == "low", "the topmost layer");
    box.file("target/new", "text");
    expect(slurp(upper + "/new") == "text", "a write in the upper layer");

    options.upper = options.work = "";
    make_overlay(options).attach_at(target);
    expect(write_code(target + "/new") == EROFS, "EROFS without an upper layer");
    options.upper = upper;
    expect_text(message_of([&] { make_overlay(options); }), "both upper and work");
    expect_text(message_of([&] { make_overlay({}); }), "at least one lower");
    options.lower = {"/no/such/layer"};
    options.work = work;
    expect(code_of([&] { make_overlay(options); }) == ENOENT, "ENOENT for a layer");
    options.lower = {upper};
    expect_text(message_of([&] { make_overlay(options); }), "the same, or one lies in another");
  });
}

TEST_CASE("an overlay of many layers shows them all and leaves the working directory") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto top = tmpfs_at(box.dir("layers"));
    expect(::chdir(top.c_str()) == 0, "a working directory");
    for (const int count : {13, 40, 120}) {
      if (count > 60 && kernel() < std::pair(6, 8)) break;
      OverlayOptions options;
      for (int i = 0; i < count; ++i) {
        box.file("layers/" + std::to_string(i) + "/file" + std::to_string(i), "");
        options.lower.push_back(std::to_string(i));
      }
      options.upper = box.dir("layers/upper" + std::to_string(count));
      options.work = box.dir("layers/work" + std::to_string(count));
      const auto target = box.dir("target" + std::to_string(count));
      make_overlay(options).attach_at(target);
      for (int i = 0; i < count; ++i)
        expect(fs::exists(target + "/file" + std::to_string(i)), "layer " + std::to_string(i));
      expect(fs::current_path() == top, "the same working directory");
    }
  });
}

TEST_CASE("after pivot_root nothing of the old root is left") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    box.file("outside", "host");
    const auto tree = tmpfs_at(box.dir("root"));
    expect_text(message_of([&] { pivot_root(Root::open(box.dir("plain"))); }), "expected a mount point");
    const Root root = Root::open(tree);
    make_proc({}).attach(root, "/proc", {.create = TargetKind::directory});
    pivot_root(root);
    expect(fs::current_path() == "/", "the new root as working directory");
    expect(!fs::exists(box.path()) && !fs::exists("../../../../etc"), "no old path");
    std::istringstream table(mount_table());
    int mounts = 0;
    for (std::string line; std::getline(table, line);) ++mounts;
    expect(mounts == 2, "two mounts, not " + std::to_string(mounts));
  });
}

TEST_CASE("pivot_root unmounts nothing in another namespace that shares its mounts") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(CLONE_NEWNS, [&] {
    const auto shared = tmpfs_at(box.dir("shared"));
    tmpfs_at(box.dir("shared/sub"));
    set_propagation(shared, Propagation::shared, {});
    box.file("shared/sub/file", "");
    const pid_t child = ::fork();
    if (child == 0) {
      // Only "/" and the new root are private: what is below stays shared with the parent's namespace.
      const bool fine = ::unshare(CLONE_NEWNS) == 0 && code_of([&] {
                                                         const Root root =
                                                             Root::open(tmpfs_at(box.dir("root")));
                                                         pivot_root(root);
                                                       }) == 0;
      ::_exit(fine ? 0 : 1);
    }
    int status = 1;
    expect(::waitpid(child, &status, 0) == child && status == 0, "a pivot");
    expect(fs::exists(box.path() / "shared/sub/file"), "the parent's mount");
  });
}

TEST_CASE("change_root moves root and working directory") {
  NEEDS_ROOT();
  Sandbox box;
  in_child(0, [&] {
    box.file("root/inside", "");
    change_root(Root::open(box.dir("root")));
    expect(fs::current_path() == "/" && fs::exists("/inside") && fs::exists("../inside"), "the new root");
  });
}
