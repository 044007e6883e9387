// Inside a container: turns on every process that appears, again and again, until it is killed. A process that has not become the command yet
// (its name is still "exec") must be out of reach: "ESCAPED what" when one is not, "seen N" when it has looked at N of them.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int before_its_exec(int pid) {
  char path[64], name[32] = "";
  snprintf(path, sizeof path, "/proc/%d/comm", pid);
  int fd = open(path, O_RDONLY);
  if (fd < 0) return 0;
  ssize_t n = read(fd, name, sizeof name - 1);
  close(fd);
  return n > 0 && strncmp(name, "exec\n", 5) == 0;
}

// What was reached counts only if it was still the runtime's: the process may have become the command meanwhile.
static void reached(int pid, const char *what) {
  if (before_its_exec(pid)) printf("ESCAPED %s of %d\n", what, pid);
}

static void try_file(int pid, const char *file, int flags) {
  char path[64], byte[1];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  int fd = open(path, flags);
  if (fd < 0) return;
  if ((flags & (O_DIRECTORY | O_WRONLY)) || read(fd, byte, 1) > 0) reached(pid, file);
  close(fd);
}

static void try_link(int pid, const char *file) {
  char path[64], target[256];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  if (readlink(path, target, sizeof target) > 0) reached(pid, file);
}

static void try_path(int pid, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  int fd = open(path, O_PATH);
  if (fd >= 0) reached(pid, file), close(fd);
}

// Their numbers may be seen: 0 to 2, the channel, and its own parent's pidfd for a moment.
static void count_descriptors(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", pid);
  DIR *folder = opendir(path);
  int count = 0;
  while (folder && readdir(folder)) ++count;
  if (folder) closedir(folder);
  if (count > 2 + 5) reached(pid, "more descriptors");
}

static void attack(int pid) {
  static const char *const links[] = {"exe", "fd/0", "fd/3", "fd/4", "fd/5", "ns/mnt"};
  static const char *const files[] = {"mem", "environ", "maps", "auxv", "exe", "syscall", "stack"};
  for (size_t i = 0; i < sizeof links / sizeof *links; ++i) try_link(pid, links[i]);
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) try_file(pid, files[i], O_RDONLY);
  try_file(pid, "exe", O_WRONLY);
  try_file(pid, "mem", O_WRONLY);
  static const char *const open_files[] = {"fd/0", "fd/3", "fd/4", "fd/5", "cwd/etc", "map_files/400000-401000"};
  for (size_t i = 0; i < sizeof open_files / sizeof *open_files; ++i) try_path(pid, open_files[i]);
  count_descriptors(pid);
  try_file(pid, "root/etc", O_RDONLY | O_DIRECTORY);
  char byte;
  struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
  if (syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) == 1) reached(pid, "process_vm_readv");
  int pidfd = syscall(SYS_pidfd_open, pid, 0);
  for (int n = 0; n < 8; ++n) {
    int fd = syscall(SYS_pidfd_getfd, pidfd, n, 0);
    if (fd >= 0) reached(pid, "pidfd_getfd"), close(fd);
  }
  close(pidfd);
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
    reached(pid, "ptrace");
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, 0, 0);
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "stop";
  static char known[1 << 22];
  long seen = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int first = 1;; first = 0) {
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
      int pid = atoi(entry->d_name);
      if (pid <= 0 || pid >= (int)sizeof known || known[pid]) continue;
      known[pid] = 1;
      if (first) continue;
      if (strcmp(mode, "kill") == 0) {
        kill(pid, SIGKILL);
        continue;
      }
      if (strcmp(mode, "stop") == 0) kill(pid, SIGSTOP);
      for (int i = 0; i < 40 && before_its_exec(pid); ++i) {
        if (i == 0) printf("seen %ld\n", ++seen);
        attack(pid);
      }
      kill(pid, SIGCONT);
    }
    closedir(proc);
  }
}
