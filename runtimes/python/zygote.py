"""A booted interpreter that blanks are forked from. It runs no function's code, ever.

The launcher starts it as root, with the one capability that entering other namespaces takes, in a view of files like
those of sandboxes and without a network. A request comes with the descriptors of a sandbox that stands and is empty;
the fork enters it, gives up everything, and waits for its assignment like any blank (`blank.py`).

The steps of a fork, their order and their result are those of crates/wuwei-sandbox/src/launcher/enclosure.rs, where the
runtime is executed in place of forked; who changes one changes the other. Limits of resources, the preference as a
victim, and no_new_privs come with the zygote, which has the same ones.

Two forks for one blank: the first is inside the sandbox's pid namespace, enters the other namespaces and ends; the
second is the blank. Its parent is then the sandbox's first process, as it is for a runtime that was executed.
"""

import sys

# What a bootstrap that is no zygote has imported.
STARTED_WITH = set(sys.modules) - {__name__}

import _socket  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402

import blank  # noqa: E402

import __main__ as runtime  # noqa: E402

REQUEST_BYTES = 4096
DESCRIPTORS_MAX = 32
# In each fork; the zygote itself has had its own.
REHEARSALS = 2
# Where the second fork is told of to the zygote.
STATUS = 4

# Source: the headers of Linux; the same numbers on every architecture.
CLONE_INTO_CGROUP = 0x200000000
CLONE_NEWPID = 0x20000000
NAMESPACES = {
    "net": 0x40000000,
    "user": 0x10000000,
    "mnt": 0x00020000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
SIGCHLD = 17
EINVAL = 22
F_DUPFD_CLOEXEC = 1030
SYS_PIDFD_OPEN, SYS_CLONE3, SYS_CLOSE_RANGE = 434, 435, 436
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 4, 22, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
CAPABILITIES = 64

libc = ctypes.PyDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def checked(step, result):
    """Gives the result of a call of the C library, or raises what it failed with."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (step, os.strerror(number)))
    return result


def prctl(step, *arguments):
    """prctl(2), with every argument as wide as the kernel reads it."""
    padded = arguments + (0,) * (5 - len(arguments))
    return checked(step, libc.prctl(ctypes.c_int(padded[0]), *(ctypes.c_ulong(value) for value in padded[1:])))


class Filter:
    """The program that restricts system calls, in the kernel's layout; the launcher has compiled it."""

    def __init__(self, instructions):
        self.instructions = ctypes.create_string_buffer(instructions, len(instructions))

        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

        self.program = Program(len(instructions) // 8, ctypes.addressof(self.instructions))

    def install(self):
        """Installs it for good."""
        prctl("install the filter of calls", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(self.program))


def become_fork():
    """Serves requests; returns in each fork, with the handler setting of the function that it is assigned to."""
    boot = dict(os.environ)
    blank.rehearse()
    channel = _socket.socket(fileno=runtime.CONTROL)
    # Descriptors of processes stand for their namespaces, too, and take no /proc.
    own_processes = checked("open the own process", libc.syscall(SYS_PIDFD_OPEN, os.getpid(), 0))
    call_filter = None
    gc.collect()
    gc.freeze()
    channel.send(b'{"ready": true}')
    while True:
        packet, ancillary, _flags, _address = channel.recvmsg(REQUEST_BYTES, _socket.CMSG_SPACE(4 * DESCRIPTORS_MAX))
        if not packet:
            sys.exit(0)
        descriptors = [number for _level, _kind, data in ancillary for number in memoryview(data).cast("i")]
        request = runtime.json.loads(str(packet, "utf-8"))
        if "filter" in request:
            call_filter = Filter(bytes.fromhex(request["filter"]))
        else:
            answer = fork(request, descriptors, own_processes, call_filter)
            if answer is None:
                channel.detach()
                break
            channel.send(runtime.json.dumps(dict(answer, id=request["id"])).encode())
        for descriptor in descriptors:
            os.close(descriptor)
    for name in set(sys.modules) - STARTED_WITH - {"blank"}:
        del sys.modules[name]
    # Takes copies of the pages that a function will write to, while nobody waits.
    blank.rehearse(REHEARSALS)
    return blank.take_assignment(boot)


def fork(request, descriptors, own_processes, call_filter):
    """Makes a blank in a sandbox. Gives what to answer; None in the blank."""
    handed = Handed(request, descriptors)
    told_here, status = os.pipe()
    parent, told = None, ""
    try:
        parent = clone_into(handed, own_processes)
    except OSError as error:
        told = str(error)
    if parent == 0:
        return enter(request, handed, call_filter, status)
    os.close(status)
    if parent:
        told = os.read(told_here, REQUEST_BYTES).decode("utf-8", "replace")
        os.waitpid(parent, 0)
    os.close(told_here)
    return {"pid": int(told)} if told.isdigit() else {"error": told or "the fork ended early"}


def clone_into(handed, own_processes):
    """As fork(2), into the sandbox's pid namespace and its control group of the unified hierarchy, where it has them.

    Without the interpreter's handlers: the fork that follows runs them.
    """
    if handed.processes is not None:
        setns("enter the pid namespace", handed.processes, CLONE_NEWPID)
    flags, group = (0, 0) if handed.unified is None else (CLONE_INTO_CGROUP, handed.unified)
    arguments = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, group)
    pid = libc.syscall(SYS_CLONE3, arguments, ctypes.c_size_t(ctypes.sizeof(arguments)))
    number = ctypes.get_errno()
    if pid and handed.processes is not None:
        try:
            setns("leave the pid namespace", own_processes, CLONE_NEWPID)
        except OSError as error:
            # What it forks next would be in the wrong sandbox. Its end tells the launcher.
            sys.exit(str(error))
    ctypes.set_errno(number)
    return checked("clone", pid)


def enter(request, handed, call_filter, status):
    """From a fresh clone to a blank. `launcher/enclosure.rs` has the same steps under the same names."""
    try:
        # Enclosure::enclose
        for tasks in handed.tasks:
            os.write(tasks, b"0")
        for name, namespace in handed.namespaces:
            setns("enter the %s namespace" % name, namespace, NAMESPACES[name])
        give_up_privilege(request["identity"])
        prepare_runtime(request, handed, call_filter, status)
        parent = os.getpid()
        child = os.fork()
    except BaseException as error:
        os.write(status, ("%s: %s" % (type(error).__name__, error)).encode())
        os._exit(1)
    if child:
        os.write(STATUS, b"%d" % child)
        os._exit(0)
    os.close(STATUS)
    os.setsid()
    while os.getppid() == parent:
        os.sched_yield()


def give_up_privilege(identity):
    """Enclosure::give_up_privilege."""
    if identity is None:
        return
    for capability in range(CAPABILITIES):
        if libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3) < 0:
            # A kernel that does not know a capability cannot grant it.
            if ctypes.get_errno() != EINVAL:
                checked("drop bounding capabilities", -1)
            break
    uid, gid = identity
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    prctl("clear ambient capabilities", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    checked("drop capabilities", libc.capset(header, (ctypes.c_uint32 * 6)()))
    prctl("set no_new_privs", PR_SET_NO_NEW_PRIVS, 1)
    # The change of user has made it unreadable to itself; executing a program would have undone that.
    prctl("be readable to itself", PR_SET_DUMPABLE, 1)


def prepare_runtime(request, handed, call_filter, status):
    """Enclosure::prepare_runtime."""
    null = os.open("/dev/null", os.O_RDONLY)
    # Copies out of the way first: a source could be one of the numbers that are about to be replaced.
    copies = [libc.fcntl(number, F_DUPFD_CLOEXEC, 10) for number in (null, handed.control, handed.output, status)]
    null, control, output, status = [checked("copy a descriptor", number) for number in copies]
    for source, number in ((null, 0), (output, 1), (output, 2), (control, runtime.CONTROL)):
        os.dup2(source, number)
    os.dup2(status, STATUS, False)
    last = ctypes.c_uint(0xFFFFFFFF)
    checked("close descriptors", libc.syscall(SYS_CLOSE_RANGE, ctypes.c_uint(STATUS + 1), last, ctypes.c_uint(0)))
    os.chdir(request["working_directory"])
    if call_filter is not None:
        call_filter.install()


class Handed:
    """The descriptors of a request by what they are."""

    def __init__(self, request, descriptors):
        rest = iter(descriptors)
        self.control, self.output = next(rest), next(rest)
        self.processes = next(rest) if request["namespaces"] else None
        self.namespaces = [(name, next(rest)) for name in request["namespaces"]]
        self.tasks = [next(rest) for _ in range(request["tasks"])]
        self.unified = next(rest, None)


def setns(step, descriptor, kind):
    """setns(2)."""
    checked(step, libc.setns(descriptor, kind))
