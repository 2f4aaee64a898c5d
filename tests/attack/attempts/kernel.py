"""Kernel interfaces that no function needs: the filter of system calls answers, not the kernel."""

from attack.attempt import Attempt

FILTER = ("call-filter",)
REFUSED = ("EPERM", "ENOSYS")
NEW_USER, NEW_MOUNT, NEW_NETWORK, NEW_PROCESS = 0x10000000, 0x00020000, 0x40000000, 0x20000000
NEW_NAME, NEW_MESSAGE, NEW_GROUP, CHILD_SIGNAL = 0x04000000, 0x08000000, 0x02000000, 17
PERF_ATTRIBUTES = f"u64:{112 << 32 | 1},0,0,0,0,0x61"
BUFFER_OF_HANDLE = "u64:128,0,0,0"


def call(name: str, words: str, python: bool = True, architecture: str = "") -> Attempt:
    """A system call, natively and by Python's ctypes; with `python` false only natively."""
    by_ctypes = f"call:{words}" if python else ""
    return Attempt(name, FILTER, REFUSED, ("call", *words.split()), by_ctypes, architecture=architecture)


def within(name: str, words: str) -> Attempt:
    """A system call that needs privileges, made where a new user namespace would give them."""
    return Attempt(name, FILTER, REFUSED, ("within", *words.split()))


PROGRAMS_IN_THE_KERNEL = [
    call("reach `bpf`", "bpf 9999 buf 128"),
    Attempt("run a filter program on a socket", FILTER, ("EPERM",), ("filter-program",)),
    call("watch performance counters", f"perf_event_open {PERF_ATTRIBUTES} 0 -1 -1 0"),
    call("handle page faults (`userfaultfd`)", "userfaultfd 1"),
    call("make an asynchronous ring (`io_uring`)", "io_uring_setup 1 buf"),
    call("enter an asynchronous ring", "io_uring_enter -1 0 0 0 0 0"),
    call("register with an asynchronous ring", "io_uring_register -1 0 0 0"),
    call("make a context of the older asynchronous I/O", "io_setup 1 buf"),
]

KEYS = [
    call("find the session's keyring", "keyctl 0 -3 1"),
    call("put a key into a keyring", "add_key str:user str:name str:value 5 -2"),
    call("ask for a key", "request_key str:user str:name 0 -2"),
]

NAMESPACES = [
    call("become root of a new user namespace", f"unshare {NEW_USER}"),
    call("clone into a new user namespace", f"clone {NEW_USER | CHILD_SIGNAL} 0 0 0 0"),
    call("clone so that the filter cannot see the flags", f"clone3 u64:{NEW_USER},0,0,0,17,0,0,0 64"),
    call("clone into new mounts of a new user namespace", f"clone {NEW_USER | NEW_MOUNT | CHILD_SIGNAL} 0 0 0 0"),
    call("clone into a new network", f"clone {NEW_USER | NEW_NETWORK | CHILD_SIGNAL} 0 0 0 0"),
    call("clone into a new process namespace", f"clone {NEW_USER | NEW_PROCESS | CHILD_SIGNAL} 0 0 0 0"),
    call("unshare every namespace", f"unshare {NEW_USER | NEW_MOUNT | NEW_NETWORK | NEW_NAME | NEW_MESSAGE}"),
    call("unshare the cgroup namespace", f"unshare {NEW_USER | NEW_GROUP}"),
    call("enter a namespace by descriptor", "setns -1 0"),
]

MOUNTS = [
    within("mount a file system", "mount str:none str:/tmp str:tmpfs 0 0"),
    within("change the flags of a mount", "mount 0 str:/tmp 0 0x1026 0"),
    within("unmount what covers", "umount2 str:/proc/keys 2"),
    within("change the root", "pivot_root str:/tmp str:/tmp"),
    within("change the root the old way", "chroot str:/tmp"),
    within("open a file system by the newer calls", "fsopen str:tmpfs 0"),
    within("configure a file system", "fsconfig -1 0 0 0 0"),
    within("mount a configured file system", "fsmount -1 0 0"),
    within("pick a mounted file system", "fspick -100 str:/tmp 0"),
    within("copy a tree of mounts", "open_tree -100 str:/ 1"),
    within("move a mount", "move_mount -1 str: -100 str:/tmp 4"),
    within("change attributes of a mount", "mount_setattr -100 str:/tmp 0 buf 32"),
    call("list mounts by number", "listmount buf buf 1 0"),
    call("ask about a mount by number", "statmount buf buf 64 0"),
]

OTHER_PROCESSES = [
    Attempt("trace a process", FILTER, REFUSED, ("ptrace-sibling",)),
    call("let itself be traced", "ptrace 0 0 0 0"),
    Attempt("read another process's memory", FILTER, REFUSED, ("read-sibling",)),
    call("write another process's memory", "process_vm_writev 1 buf 1 buf 1 0"),
    call("advise on another process's memory", "process_madvise -1 buf 1 0 0"),
    call("reap another process's memory", "process_mrelease -1 0"),
    call("take a descriptor of another process", "pidfd_getfd -1 0 0"),
    call("compare kernel objects of processes", "kcmp 2 2 0 0 0"),
    call("move pages of a process", "move_pages 0 0 0 0 0 0"),
    call("migrate a process between nodes", "migrate_pages 0 0 0 0"),
]

THE_MACHINE = [
    call("ask the clock's discipline", "adjtimex buf"),
    call("ask a clock's discipline", "clock_adjtime 0 buf"),
    call("use quotas", "quotactl 0x80000100 0 0 0"),
    call("use quotas by descriptor", "quotactl_fd -1 0 0 0"),
    call("watch whole file systems (`fanotify`)", "fanotify_init 0x200 0"),
    call("mark files to watch", "fanotify_mark -1 0 0 -1 0"),
    call("turn a path into a file handle", f"name_to_handle_at -100 str:/tmp {BUFFER_OF_HANDLE} buf 0"),
    call("ask what the page cache holds", "cachestat -1 0 0 0"),
    Attempt(
        "write every file system's data to its disk",
        FILTER,
        ("seems to work",),
        ("flush",),
        "refused('seems to work') if libc.syncfs(-1) == 0 else succeeded()",
    ),
    within("name the machine", "sethostname str:other 5"),
    within("name the machine's domain", "setdomainname str:other 5"),
    call("remap pages the old way", "remap_file_pages 1 0 0 0 0"),
    call("change the segments of the processor", "modify_ldt 0 buf 16", architecture="x86_64"),
    Attempt(
        "enter the kernel as a 32-bit program",
        FILTER,
        ("Signal(31)", "Signal(11)"),
        ("i386",),
        architecture="x86_64",
    ),
    Attempt(
        "have the host's handler of core dumps run, by another limit",
        FILTER,
        ("the limit stayed 1",),
        ("core-limit-lowered",),
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 1))\n"
        "limit = resource.getrlimit(resource.RLIMIT_CORE)[0]\n"
        "refused('the limit stayed 1') if limit == 1 else succeeded(limit)",
    ),
]

SOCKETS = [
    call("speak to the hypervisor (`AF_VSOCK`)", "socket 40 1 0"),
    call("use the kernel's cryptography (`AF_ALG`)", "socket 38 5 0"),
    within("send raw packets (`AF_PACKET`)", "socket 17 3 0"),
    within("send raw IP", "socket 2 3 255"),
    within("send raw ICMP over IPv6", "socket 10 3 58"),
    call("open an address family without a meaning", "socket 0 1 0"),
    call("open an address family of the far end (`AF_XDP` and beyond)", "socket 45 1 0"),
    call("speak netlink to auditing", "socket 16 3 9"),
    call("hear of the host's devices by netlink", "socket 16 3 15"),
    call("list sockets by netlink", "socket 16 3 4"),
    call("speak netlink to the packet filter", "socket 16 3 12"),
    call("speak generic netlink", "socket 16 3 16"),
    call("speak netlink to IPsec", "socket 16 3 6"),
    Attempt(
        "use a protocol that few have looked at (multipath TCP)",
        FILTER,
        ("EPROTONOSUPPORT",),
        python="attempt(lambda: socket.socket(2, 1, 262))",
    ),
]

GROUPS = {
    "Programs and rings in the kernel": PROGRAMS_IN_THE_KERNEL,
    "Keys": KEYS,
    "Namespaces": NAMESPACES,
    "Mounts": MOUNTS,
    "Other processes, by system calls": OTHER_PROCESSES,
    "The machine": THE_MACHINE,
    "Sockets": SOCKETS,
}
