"""Files of the host and of the sandbox."""

from attack.attempt import Attempt

KERNEL_FILE_NAMES = ("cmdline", "diskstats", "interrupts", "iomem", "kallsyms", "partitions", "swaps", "zoneinfo")
OWN_ROOT = ("own-root",)
MISSING = ("ENOENT",)
READ_ONLY = ("EROFS",)
OWN_USER = ("own-user", "own-account")


def covered(path: str) -> Attempt:
    """A file of `/proc` about the host, which seems empty."""
    return Attempt(
        f"read `{path}`",
        ("covered-files",),
        ("empty",),
        python=f"text = open('{path}', 'rb').read(16)\nsucceeded(text) if text else refused('empty')",
    )


def device(path: str, tries: str) -> Attempt:
    """A device of the host that only root may open there."""
    return Attempt(tries, ("few-devices", *OWN_USER), ("ENOENT", "EACCES"), ("open-read", path), needs=path)


HOST = [
    Attempt(
        "read a file of the host",
        OWN_ROOT,
        MISSING,
        ("read", "{GROUND}/secret"),
        "attempt(lambda: open(os.environ['GROUND'] + '/secret').read())",
        "attempt(() => fs.readFileSync(process.env.GROUND + '/secret'));",
    ),
    Attempt(
        "read another function's code",
        OWN_ROOT,
        MISSING,
        ("read", "{GROUND}/code/writable"),
        "attempt(lambda: os.listdir(os.environ['GROUND'] + '/code'))",
        "attempt(() => fs.readdirSync(process.env.GROUND + '/code'));",
    ),
    Attempt(
        "read the host's `/etc/os-release` and what else `/etc` tells",
        OWN_ROOT,
        MISSING,
        ("read", "/etc/hostname"),
        "attempt(lambda: open('/etc/hostname').read())",
        "attempt(() => fs.readFileSync('/etc/hostname'));",
    ),
    Attempt(
        "list the control groups of the host",
        OWN_ROOT,
        MISSING,
        python="attempt(lambda: os.listdir('/sys/fs'))",
        node="attempt(() => fs.readdirSync('/sys/fs'));",
    ),
    Attempt(
        "find the host by way of `..`",
        OWN_ROOT,
        MISSING,
        python="attempt(lambda: open('/..' * 9 + os.environ['GROUND'] + '/secret').read())",
        node="attempt(() => fs.readFileSync('/..'.repeat(9) + process.env.GROUND + '/secret'));",
    ),
    Attempt(
        "reach a socket of the host by its path",
        OWN_ROOT,
        MISSING,
        python="attempt(lambda: socket.socket(socket.AF_UNIX).connect(os.environ['GROUND'] + '/socket'))",
        node="net.connect(process.env.GROUND + '/socket', () => succeeded())"
        ".on('error', (error) => refused(error.code));",
    ),
]

SHOWN = [
    Attempt(
        "write into a file of its own code that anyone may write",
        ("read-only-files",),
        READ_ONLY,
        ("open-write", "/mnt/writable"),
        "attempt(lambda: open('/mnt/writable', 'r+'))",
        "attempt(() => fs.openSync('/mnt/writable', 'r+'));",
    ),
    Attempt(
        "add a file to its own code",
        ("read-only-files",),
        READ_ONLY,
        python="attempt(lambda: os.remove(os.open('/mnt/open/new', os.O_CREAT | os.O_RDWR) and '/mnt/open/new'))",
        node="attempt(() => { fs.writeFileSync('/mnt/open/node', ''); fs.unlinkSync('/mnt/open/node'); });",
    ),
    Attempt(
        "change the times of a file of its own code",
        ("read-only-files",),
        READ_ONLY,
        python="attempt(lambda: os.utime('/mnt/writable'))",
        node="attempt(() => fs.closeSync(fs.openSync('/mnt/writable', 'a')));",
    ),
    Attempt(
        "use a device node that came with the code",
        ("no-device-files",),
        ("EACCES",),
        ("read", "/mnt/device"),
        "attempt(lambda: open('/mnt/device', 'rb').read(4))",
        "attempt(() => fs.readSync(fs.openSync('/mnt/device'), Buffer.alloc(4)));",
    ),
    Attempt(
        "get capabilities from a program that came with the code",
        ("no-setuid-files", "no-capabilities"),
        ("no capability",),
        ("/mnt/powerful", "capability"),
    ),
    Attempt(
        "run a program that may add to its privileges",
        ("no-new-privileges",),
        ("no_new_privs",),
        python="flag = 'NoNewPrivs:\\t1' in open('/proc/self/status').read()\n"
        "refused('no_new_privs') if flag else succeeded()",
    ),
    Attempt(
        "read a file of the host's root among what is shown",
        OWN_USER,
        ("EACCES",),
        ("read", "/mnt/closed"),
        "attempt(lambda: open('/mnt/closed').read())",
        "attempt(() => fs.readFileSync('/mnt/closed'));",
    ),
    Attempt(
        "change a setting of the kernel",
        OWN_USER,
        ("EACCES",),
        ("open-write", "/proc/sys/vm/swappiness"),
        "attempt(lambda: open('/proc/sys/vm/swappiness', 'r+'))",
        "attempt(() => fs.openSync('/proc/sys/vm/swappiness', 'r+'));",
    ),
]

DEVICES = [
    device("/dev/console", "open the host's console"),
    device("/dev/userfaultfd", "handle page faults by the device"),
    device("/dev/kvm", "make a virtual machine"),
    device("/dev/fuse", "serve a file system"),
    device("/dev/net/tun", "make a network interface"),
    device("/dev/loop-control", "make a loop device"),
    device("/dev/vsock", "speak to the hypervisor by the device"),
    Attempt(
        "open a terminal (to type into it, `TIOCSTI`)",
        ("few-devices",),
        MISSING,
        ("open-read", "/dev/ptmx"),
        "attempt(lambda: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY))",
        "attempt(() => fs.openSync('/dev/ptmx', 'r+'));",
    ),
    Attempt(
        "change the times of a device of the host",
        ("read-only-devices",),
        READ_ONLY,
        python="attempt(lambda: os.utime('/dev/null'))",
    ),
]

KERNEL_FILES = [covered(f"/proc/{name}") for name in KERNEL_FILE_NAMES]

GROUPS = {
    "Files of the host": HOST,
    "Files that are shown": SHOWN,
    "Devices": DEVICES,
    "What `/proc` tells about the host": KERNEL_FILES,
}
