// Inside a container: lease FILE r|w takes a lease on it (fcntl(2), F_SETLEASE), says "leased", and gives it up for nobody: the kernel takes it from
// who does not answer after 45 seconds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count < 3) return 2;
  signal(SIGIO, SIG_IGN);
  int file = open(arguments[1], O_RDONLY);
  if (file < 0 || fcntl(file, F_SETLEASE, arguments[2][0] == 'w' ? F_WRLCK : F_RDLCK) < 0) {
    perror(arguments[1]);
    return 1;
  }
  puts("leased");
  fflush(stdout);
  for (;;) pause();
}
