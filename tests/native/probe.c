/* Tries from inside a sandbox what a sandbox must refuse. The handler's name chooses the probe; the answer is JSON. */
#define _GNU_SOURCE
#include "runtime_api.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define X32_BIT 0x40000000

static char answer[262144];
static size_t used;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  va_list list;
  va_start(list, format);
  used += (size_t)vsnprintf(answer + used, sizeof answer - used, format, list);
  va_end(list);
}

static long try_mount(void) { return mount("none", "/tmp", "tmpfs", 0, NULL); }
static long try_remount(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long try_umount(void) { return umount2("/var/task", MNT_DETACH); }
static long try_open_tree(void) { return syscall(SYS_open_tree, AT_FDCWD, "/", 1u); }
static long try_pivot_root(void) { return syscall(SYS_pivot_root, "/tmp", "/tmp"); }
static long try_chroot(void) { return chroot("/tmp"); }
static long try_unshare_user(void) { return unshare(CLONE_NEWUSER); }
static long try_unshare_mount(void) { return unshare(CLONE_NEWNS); }
static long try_unshare_network(void) { return unshare(CLONE_NEWNET); }
static long try_clone_user(void) { return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }
static long try_clone3_user(void) {
  unsigned long arguments[11] = {CLONE_NEWUSER};
  return syscall(SYS_clone3, arguments, sizeof arguments);
}
static long try_setns(void) {
  int network = open("/proc/1/ns/net", O_RDONLY);
  return network < 0 ? -1 : setns(network, CLONE_NEWNET);
}
static long try_ptrace(void) { return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL); }
static long try_ptrace_first(void) { return ptrace(PTRACE_SEIZE, 1, NULL, NULL); }
static long try_process_vm_readv(void) {
  char byte;
  struct iovec here = {&byte, 1}, there = {&byte, 1};
  return process_vm_readv(1, &here, 1, &there, 1, 0);
}
static long try_bpf(void) {
  union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}
static long try_keyctl(void) { return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); }
static long try_add_key(void) { return syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_PROCESS_KEYRING); }
static long try_perf_event_open(void) {
  struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes};
  return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}
static long try_userfaultfd(void) { return syscall(SYS_userfaultfd, 0); }
static long try_io_uring(void) {
  char parameters[120] = {0};
  return syscall(SYS_io_uring_setup, 1, parameters);
}
static long try_kexec_load(void) { return syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static long try_init_module(void) { return syscall(SYS_init_module, "", 0, ""); }
static long try_swapon(void) { return syscall(SYS_swapon, "/tmp", 0); }
static long try_reboot(void) { return syscall(SYS_reboot, 0, 0, 0, NULL); }
static long try_set_clock(void) {
  struct timespec now; /* what it is already: harmless should it succeed */
  clock_gettime(CLOCK_REALTIME, &now);
  return clock_settime(CLOCK_REALTIME, &now);
}
static long try_sethostname(void) {
  char name[65] = "";
  gethostname(name, sizeof name - 1);
  return sethostname(name, strlen(name));
}
static long try_mknod(void) { return mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)); }
static long try_setuid(void) { return setuid(0); }
static long try_setgid(void) { return setgid(0); }
static long try_open_by_handle(void) {
  struct file_handle *handle = calloc(1, sizeof *handle + 8);
  handle->handle_bytes = 8;
  return open_by_handle_at(AT_FDCWD, handle, O_RDONLY);
}
static long try_priority(void) { return syscall(SYS_setpriority, 0, 0, -20); }
static long try_raw_socket(void) { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static long try_packet_socket(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static long try_kernel_log(void) { return syscall(SYS_syslog, 3, answer, 16); }
#ifdef __x86_64__
static long try_x32(void) { return syscall(X32_BIT | SYS_getpid); }
static long try_iopl(void) { return syscall(SYS_iopl, 3); }
static long try_i386(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}
#endif

static const struct {
  const char *name;
  long (*attempt)(void);
} attempts[] = {
#define ATTEMPT(name) {#name, try_##name}
    ATTEMPT(mount), ATTEMPT(remount), ATTEMPT(umount), ATTEMPT(open_tree), ATTEMPT(pivot_root), ATTEMPT(chroot),
    ATTEMPT(unshare_user), ATTEMPT(unshare_mount), ATTEMPT(unshare_network), ATTEMPT(clone_user),
    ATTEMPT(clone3_user), ATTEMPT(setns), ATTEMPT(ptrace), ATTEMPT(ptrace_first), ATTEMPT(process_vm_readv),
    ATTEMPT(bpf), ATTEMPT(keyctl), ATTEMPT(add_key), ATTEMPT(perf_event_open), ATTEMPT(userfaultfd),
    ATTEMPT(io_uring), ATTEMPT(kexec_load), ATTEMPT(init_module), ATTEMPT(swapon), ATTEMPT(reboot),
    ATTEMPT(set_clock), ATTEMPT(sethostname), ATTEMPT(mknod), ATTEMPT(setuid), ATTEMPT(setgid),
    ATTEMPT(open_by_handle), ATTEMPT(priority), ATTEMPT(raw_socket), ATTEMPT(packet_socket), ATTEMPT(kernel_log),
#ifdef __x86_64__
    ATTEMPT(x32), ATTEMPT(iopl), ATTEMPT(i386),
#endif
};

/* Each attempt runs in a child, so that one that is answered by a signal ends nothing else. 0: it was allowed. */
static void probe_attempts(void) {
  say("{");
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      errno = 0;
      long result = attempts[i].attempt();
      _exit(result < 0 && errno != 0 ? errno & 0xff : 0);
    }
    int status;
    waitpid(child, &status, 0);
    int refusal = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
    say("%s\"%s\": %d", i ? ", " : "", attempts[i].name, refusal);
  }
  say("}");
}

/* How many children fit until fork fails, and the error. They are killed again. */
static void probe_forks(void) {
  static pid_t children[4096];
  int count = 0, error = 0;
  while (count < 4096) {
    pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    if (child < 0) {
      error = errno;
      break;
    }
    children[count++] = child;
  }
  for (int i = 0; i < count; i++) kill(children[i], SIGKILL);
  for (int i = 0; i < count; i++) waitpid(children[i], NULL, 0);
  say("{\"count\": %d, \"errno\": %d}", count, error);
}

/* The open descriptors and what they are. */
static void probe_descriptors(void) {
  char path[64], target[256];
  int first = 1;
  say("{");
  for (int descriptor = 0; descriptor < 1024; descriptor++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = 0;
    say("%s\"%d\": \"%s\"", first ? "" : ", ", descriptor, target);
    first = 0;
  }
  say("}");
}

/* Leaves a process behind that has left session, parent and process group. */
static void probe_daemon(void) {
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    setsid();
    if (fork() == 0) {
      for (;;) pause();
    }
    _exit(0);
  }
  waitpid(child, NULL, 0);
  say("\"left behind\"");
}

/* The lines of /proc/self/status that tell of privileges. */
static void probe_status(void) {
  char line[256], value[200];
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) fail("/proc/self/status");
  int first = 1;
  say("{");
  while (fgets(line, sizeof line, status) != NULL) {
    char *colon = strchr(line, ':');
    if (colon == NULL) continue;
    *colon = 0;
    if (sscanf(colon + 1, "%199s", value) != 1) continue;
    say("%s\"%s\": \"%s\"", first ? "" : ", ", line, value);
    first = 0;
  }
  fclose(status);
  say("}");
}

int main(void) {
  char id[128];
  const char *handler = getenv("_HANDLER");
  for (;;) {
    free(api_next(id, sizeof id));
    used = 0;
    if (strcmp(handler, "attempts") == 0) probe_attempts();
    else if (strcmp(handler, "forks") == 0) probe_forks();
    else if (strcmp(handler, "descriptors") == 0) probe_descriptors();
    else if (strcmp(handler, "daemon") == 0) probe_daemon();
    else probe_status();
    api_respond(id, answer);
  }
}
