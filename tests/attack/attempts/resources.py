"""More than its share, and longer than its life."""

from attack import watch
from attack.attempt import Attempt

KILLED = ("OutOfMemory", "Signal(9)", "ENOMEM", "a child was killed", "no answer")


def hog(tries: str, words: str, python: str = "", node: str = "") -> Attempt:
    """192 MB where 128 are allowed."""
    return Attempt(tries, ("memory-limit",), KILLED, (words,), python, node)


MEMORY = [
    hog(
        "take more memory than it has",
        "memory",
        "attempt(lambda: len(bytearray(192 << 20)))",
        "attempt(() => { const all = []; for (let i = 0; i < 384; i++) all.push(Buffer.alloc(1 << 20, 1)); });",
    ),
    hog("take more memory in child processes", "memory-of-children"),
    hog("take more memory as files in `/tmp`", "memory-of-files"),
    hog("take more memory as anonymous files", "memory-of-memfd"),
    hog("take more memory as System V segments", "memory-of-segments"),
    hog("take more memory in local sockets", "memory-of-local-sockets"),
    Attempt(
        "take more memory in network buffers",
        # Which of them depends on the version of cgroup.
        ("buffer-limit", "memory-limit"),
        ("held back", "OutOfMemory", "Signal(9)"),
        python="""
held, kept, listener = 0, [], socket.create_server(('127.0.0.1', 0))
for _ in range(400):
    ours = socket.create_connection(listener.getsockname())
    kept += [ours, listener.accept()[0]]
    ours.setblocking(False)
    before = held
    try:
        while True: held += ours.send(bytes(1 << 20))
    except OSError: pass
    if held > 192 << 20: succeeded(held)
refused('held back')
""",
        layered=False,
    ),
]

COUNTS = [
    Attempt(
        "make more processes than it may (a fork bomb)",
        ("process-limit",),
        ("EAGAIN",),
        ("forks",),
        memory_mb=1024,
    ),
    Attempt(
        "open more files than it may",
        ("descriptor-limit",),
        ("EMFILE",),
        ("descriptors",),
        "attempt(lambda: len([os.open('/dev/null', 0) for _ in range(1500)]))",
    ),
    Attempt(
        "write more into `/tmp` than it may",
        ("temporary-bytes",),
        ("ENOSPC",),
        python="file = open('/tmp/full', 'wb', 0)\n"
        "attempt(lambda: [os.write(file.fileno(), bytes(1 << 20)) for _ in range(24)] and os.fsync(file.fileno()))",
        node="const file = fs.openSync('/tmp/full', 'w');\n"
        "attempt(() => { for (let i = 0; i < 24; i++) fs.writeSync(file, Buffer.alloc(1 << 20)); });",
        ephemeral_mb=16,
    ),
    Attempt(
        "make more files in `/tmp` than it may (an inode bomb)",
        ("temporary-files",),
        ("ENOSPC",),
        python="attempt(lambda: [os.close(os.open(f'/tmp/{i}', os.O_CREAT)) for i in range(600)])",
        node="attempt(() => { for (let i = 0; i < 600; i++) fs.writeFileSync('/tmp/' + i, ''); });",
        ephemeral_mb=1,
    ),
    Attempt(
        "write more into `/dev/shm` than it may",
        ("shared-bytes",),
        ("ENOSPC",),
        python="file = open('/dev/shm/full', 'wb', 0)\n"
        "attempt(lambda: [os.write(file.fileno(), bytes(1 << 20)) for _ in range(80)] and None)",
        memory_mb=256,
    ),
    Attempt(
        "use up the host's and the neighbours' inotify instances",
        ("own-account",),
        ("the host has some left",),
        ("inotify",),
        observe=watch.inotify_of_the_host,
    ),
    Attempt(
        "take more of the CPU than its share",
        ("cpu-share",),
        ("its share",),
        ("spin",),
        observe=watch.share_of_the_cpu,
    ),
]

SURVIVAL = [
    Attempt(tries, ("process-namespace", "group-kill"), ("gone",), (words,), observe=watch.what_is_left)
    for tries, words in [
        ("outlive the instance as a daemon that ignores every signal", "daemon"),
        ("outlive it stuck in `vfork`", "vfork"),
        ("outlive it stopped (`SIGSTOP`)", "stopped"),
        ("outlive it by forking faster than it is killed", "respawn"),
    ]
]

FROZEN = [
    Attempt(tries, ("freezing",), ("stands still",), (words,), observe=watch.cpu_while_frozen)
    for tries, words in [
        ("go on after the answer", "spin"),
        ("go on in sixteen processes", "spin-many"),
        ("go on by continuing itself (`SIGCONT`)", "spin-and-continue"),
    ]
] + [
    Attempt(
        "outlive being killed while frozen",
        ("process-namespace", "group-kill"),
        ("gone",),
        ("daemon",),
        observe=watch.what_is_left_of_frozen,
    )
]

GROUPS = {
    "Memory": MEMORY,
    "Counts and shares": COUNTS,
    "Survival": SURVIVAL,
    "Between calls": FROZEN,
}
