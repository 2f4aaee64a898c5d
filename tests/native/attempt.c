/* Tries one thing from inside a sandbox and says how it went: `SUCCEEDED …` or `REFUSED …`, one line.
 *
 * attempt call NAME [ARGUMENT]…     a system call; REFUSED when the answer is EPERM or ENOSYS
 * attempt within CALL…              the same, in a user namespace of its own
 * attempt numbers                   the numbers of the calls that it knows
 * attempt TRICK                     one of the tricks below
 *
 * An argument is a number, `buf` (a page of zeroes), `str:TEXT`, or `u64:A,B,…` (an array). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
  const char *name;
  long number;
} calls[] = {
#define CALL(name) {#name, SYS_##name}
    CALL(add_key), CALL(adjtimex), CALL(bpf), CALL(chroot), CALL(clock_adjtime), CALL(clone), CALL(clone3),
    CALL(fanotify_init), CALL(fanotify_mark), CALL(fsconfig), CALL(fsmount), CALL(fsopen), CALL(fspick),
    CALL(io_setup), CALL(io_uring_enter), CALL(io_uring_register), CALL(io_uring_setup), CALL(kcmp), CALL(keyctl),
    CALL(migrate_pages), CALL(mount), CALL(mount_setattr), CALL(move_mount), CALL(move_pages),
    CALL(name_to_handle_at), CALL(open_by_handle_at), CALL(open_tree), CALL(perf_event_open), CALL(pidfd_getfd),
    CALL(pivot_root), CALL(prctl), CALL(process_madvise), CALL(process_mrelease), CALL(process_vm_readv),
    CALL(process_vm_writev), CALL(ptrace), CALL(quotactl), CALL(quotactl_fd), CALL(remap_file_pages),
    CALL(request_key), CALL(setdomainname), CALL(sethostname), CALL(setns), CALL(socket),
    CALL(umount2), CALL(unshare), CALL(userfaultfd),
    {"cachestat", 451}, {"listmount", 458}, {"statmount", 457},
#ifdef __x86_64__
    CALL(modify_ldt),
#endif
};

static int succeeded(const char *how) {
  printf("SUCCEEDED %s\n", how);
  return 0;
}

static int refused(const char *how) {
  printf("REFUSED %s\n", how);
  return 0;
}

static int refused_by_errno(void) { return refused(strerrorname_np(errno)); }

static int idle(void) {
  fflush(stdout);
  for (;;) pause();
  return 0;
}

static long parsed(const char *argument) {
  static unsigned long page[1024], arrays[6][32];
  static size_t used;
  if (strcmp(argument, "buf") == 0) return (long)page;
  if (strncmp(argument, "str:", 4) == 0) return (long)(argument + 4);
  if (strncmp(argument, "u64:", 4) != 0) return (long)strtoul(argument, NULL, 0);
  unsigned long *array = arrays[used++ % 6];
  size_t count = 0;
  char *copy = strdup(argument + 4);
  for (char *part = strtok(copy, ","); part != NULL && count < 32; part = strtok(NULL, ","))
    array[count++] = strtoul(part, NULL, 0);
  return (long)array;
}

static int try_call(char **words) {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    if (strcmp(calls[i].name, words[0]) != 0) continue;
    long arguments[6] = {0};
    for (int n = 0; n < 6 && words[n + 1] != NULL; n++) arguments[n] = parsed(words[n + 1]);
    errno = 0;
    long result = syscall(calls[i].number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                          arguments[5]);
    if (result == 0 && strncmp(words[0], "clone", 5) == 0) _exit(0);
    if (result >= 0) return succeeded("the call worked");
    if (errno == EPERM || errno == ENOSYS) return refused_by_errno();
    char how[64];
    snprintf(how, sizeof how, "the kernel looked at it: %s", strerrorname_np(errno));
    return succeeded(how);
  }
  return refused("no such call on this architecture");
}

static int try_within(char **words) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) != 0) return refused_by_errno();
  return try_call(words);
}

/* A process that is this one's child, with a secret in its memory. */
static pid_t sibling(volatile char *secret) {
  pid_t child = fork();
  if (child == 0) {
    strcpy((char *)secret, "secret");
    for (;;) pause();
  }
  return child;
}

static int try_ptrace_sibling(void) {
  static char secret[16];
  pid_t child = sibling(secret);
  int outcome = ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0 ? succeeded("attached") : refused_by_errno();
  kill(child, SIGKILL);
  return outcome;
}

static int try_read_sibling(void) {
  static char secret[16], stolen[16];
  pid_t child = sibling(secret);
  struct iovec here = {stolen, sizeof stolen}, there = {secret, sizeof secret};
  int outcome = process_vm_readv(child, &here, 1, &there, 1, 0) >= 0 ? succeeded("read") : refused_by_errno();
  kill(child, SIGKILL);
  return outcome;
}

#ifdef __x86_64__
static int try_i386(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
  return result > 0 ? succeeded("getpid by the 32-bit entry") : refused("no 32-bit entry");
}
#endif

static int try_filter_program(void) {
  struct sock_filter pass = {BPF_RET | BPF_K, 0, 0, 0xffff};
  struct sock_fprog program = {1, &pass};
  int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
  int result = setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  return result == 0 ? succeeded("attached") : refused_by_errno();
}

static int try_core_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_max == 1 ? refused("limit 1") : succeeded("a limit that pipes pass");
}

static int try_core_limit_lowered(void) {
  struct rlimit limit = {0, 0};
  setrlimit(RLIMIT_CORE, &limit);
  syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, NULL);
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_cur == 1 ? refused("the limit stayed 1") : succeeded("lowered to what pipes pass");
}

static int try_inherited(void) {
  for (int number = 3; number < 256; number++) {
    char path[32], target[128];
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = 0;
    return succeeded(target);
  }
  return refused("descriptors 0 to 2 only");
}

static int try_descriptors(void) {
  int last = 0;
  for (int count = 0; count < 1500 && last >= 0; count++) last = open("/dev/null", O_RDONLY);
  return last >= 0 ? succeeded("1500 open files") : refused_by_errno();
}

static int try_forks(void) {
  for (int count = 0; count < 1200; count++) {
    pid_t child = fork();
    if (child < 0) return refused_by_errno();
    if (child == 0)
      for (;;) pause();
  }
  return succeeded("1200 processes");
}

static char *touched(size_t bytes) {
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) memset(memory, 1, bytes);
  return memory;
}

#define HOG ((size_t)192 << 20)

static int try_memory(void) { return touched(HOG) == MAP_FAILED ? refused_by_errno() : succeeded("192 MB"); }

static void tell_of_killed_child(int number) {
  const char text[] = "REFUSED a child was killed\n";
  _exit(number == SIGCHLD && write(1, text, sizeof text - 1) < 0);
}

static int try_memory_of_children(void) {
  int pipes[2], held = 0;
  signal(SIGCHLD, tell_of_killed_child);
  if (pipe(pipes) != 0) return refused_by_errno();
  for (int count = 0; count < 4; count++) {
    if (fork() != 0) continue;
    touched(HOG / 4);
    if (write(pipes[1], "+", 1) == 1) pause();
    _exit(1);
  }
  close(pipes[1]);
  for (char byte; held < 4 && read(pipes[0], &byte, 1) == 1;) held++;
  return held == 4 ? succeeded("192 MB in four children") : refused("a child was killed");
}

static int fill(int file) {
  static char chunk[1 << 20];
  memset(chunk, 1, sizeof chunk);
  for (size_t written = 0; written < HOG; written += sizeof chunk)
    if (write(file, chunk, sizeof chunk) != (ssize_t)sizeof chunk) return refused_by_errno();
  return succeeded("192 MB");
}

static int try_memory_of_files(void) { return fill(open("/tmp/hog", O_CREAT | O_RDWR, 0600)); }
static int try_memory_of_memfd(void) { return fill(memfd_create("hog", 0)); }

static int try_memory_of_segments(void) {
  int segment = shmget(IPC_PRIVATE, HOG, IPC_CREAT | 0600);
  char *memory = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
  if (memory == (char *)-1) return refused_by_errno();
  memset(memory, 1, HOG);
  shmctl(segment, IPC_RMID, NULL);
  return succeeded("192 MB");
}

static int try_memory_of_local_sockets(void) {
  static char chunk[64 << 10];
  size_t held = 0;
  while (held < HOG) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) {
      if (errno != EMFILE) return refused_by_errno();
      /* The descriptors of this process are full: the next one goes on. */
      if (fork() != 0) {
        int status;
        wait(&status);
        return 0;
      }
      /* What the parent holds stays; the child frees numbers only. */
      close_range(3, 1000, 0);
      continue;
    }
    for (ssize_t count; (count = write(pair[0], chunk, sizeof chunk)) > 0;) held += (size_t)count;
  }
  return succeeded("192 MB");
}

static int try_inotify(void) {
  int count = 0;
  while (count < 900 && inotify_init1(0) >= 0) count++;
  printf("READY %d\n", count);
  return idle();
}

static int try_segment(const char *key) {
  int segment = shmget((key_t)strtol(key, NULL, 0), 1, 0);
  char *text = segment < 0 ? (char *)-1 : shmat(segment, NULL, SHM_RDONLY);
  return text == (char *)-1 ? refused_by_errno() : succeeded(text);
}

static int try_session(void) {
  return getpgrp() == 0 ? succeeded("in the process group of the platform") : refused("a process group of its own");
}

static int try_capability(void) {
  char line[128];
  unsigned long effective = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) sscanf(line, "CapEff: %lx", &effective);
  return effective != 0 ? succeeded("capabilities") : refused("no capability");
}

static int try_open(const char *path, int flags) {
  return open(path, flags) >= 0 ? succeeded("opened") : refused_by_errno();
}

static int try_steal_mount(const char *path) {
  char byte;
  int file = open(path, O_RDONLY);
  return file >= 0 && read(file, &byte, 1) == 1 ? succeeded("read") : refused_by_errno();
}

/* Leaves a process behind that has left session, parent and process group, and ignores what can be ignored. */
static int try_daemon(void) {
  if (fork() == 0) {
    setsid();
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    if (fork() == 0) {
      puts("READY");
      idle();
    }
    _exit(0);
  }
  wait(NULL);
  return idle();
}

static int try_vfork(void) {
  if (vfork() == 0) {
    if (write(1, "READY\n", 6) == 6)
      for (;;) pause();
    _exit(0);
  }
  return succeeded("the child came back");
}

static int try_stopped(void) {
  if (fork() == 0) {
    if (write(1, "READY\n", 6) == 6) raise(SIGSTOP);
    idle();
  }
  return idle();
}

static int try_respawn(void) {
  if (fork() != 0) return idle();
  puts("READY");
  fflush(stdout);
  for (;;) {
    if (fork() != 0) _exit(0);
    setsid();
    usleep(500);
  }
}

static int try_flush(void) {
  if (syncfs(-1) == 0) return refused("seems to work");
  return succeeded(strerrorname_np(errno));
}

static int try_spin(int processes) {
  for (int count = 1; count < processes && fork() != 0; count++) continue;
  if (write(1, "READY\n", 6) == 6)
    for (;;) continue;
  return 1;
}

static int try_spin_and_continue(void) {
  pid_t parent = getpid();
  if (fork() == 0)
    for (;;) kill(parent, SIGCONT);
  return try_spin(1);
}

int main(int count, char **words) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (count < 2) return 2;
  const char *trick = words[1];
#define TRICK(name, action) \
  if (strcmp(trick, name) == 0) return action
  if (strcmp(trick, "numbers") == 0) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) printf("%s %ld\n", calls[i].name, calls[i].number);
    return 0;
  }
  TRICK("call", try_call(words + 2));
  TRICK("within", try_within(words + 2));
  TRICK("ptrace-sibling", try_ptrace_sibling());
  TRICK("read-sibling", try_read_sibling());
#ifdef __x86_64__
  TRICK("i386", try_i386());
#endif
  TRICK("filter-program", try_filter_program());
  TRICK("core-limit", try_core_limit());
  TRICK("core-limit-lowered", try_core_limit_lowered());
  TRICK("inherited", try_inherited());
  TRICK("descriptors", try_descriptors());
  TRICK("forks", try_forks());
  TRICK("memory", try_memory());
  TRICK("memory-of-children", try_memory_of_children());
  TRICK("memory-of-files", try_memory_of_files());
  TRICK("memory-of-memfd", try_memory_of_memfd());
  TRICK("memory-of-segments", try_memory_of_segments());
  TRICK("memory-of-local-sockets", try_memory_of_local_sockets());
  TRICK("inotify", try_inotify());
  TRICK("segment", try_segment(words[2]));
  TRICK("session", try_session());
  TRICK("capability", try_capability());
  TRICK("open-read", try_open(words[2], O_RDONLY | O_NONBLOCK));
  TRICK("open-write", try_open(words[2], O_WRONLY | O_NONBLOCK));
  TRICK("read", try_steal_mount(words[2]));
  TRICK("daemon", try_daemon());
  TRICK("vfork", try_vfork());
  TRICK("stopped", try_stopped());
  TRICK("respawn", try_respawn());
  TRICK("flush", try_flush());
  TRICK("spin", try_spin(1));
  TRICK("spin-many", try_spin(16));
  TRICK("spin-and-continue", try_spin_and_continue());
  return 2;
}
