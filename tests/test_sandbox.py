"""Probes inside functions, and looks at them from the host: what a sandbox shows, allows and leaves."""

import errno
import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import inside
from harness.egress import set_egress
from harness.functions import ECHO, Functions, unique_name
from harness.native import compiled
from harness.packages import zip_of
from harness.server import Server
from harness.tools import TESTS
from harness.waiting import until

MB = 1024 * 1024
FIRST_PROCESS = 1  # of the sandbox, not of the function: it counts to the same cgroup
EVAL = """
import ctypes, errno, json, os, resource, socket, sys
def attempt(action):
    try:
        return ['allowed', repr(action())[:80]]
    except OSError as error:
        return ['refused', errno.errorcode[error.errno]]
def handler(event, context):
    names = dict(globals())
    exec(event, names)
    return names['result']
"""
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS, 1000 + signal.SIGSYS}
UNMAPPED = {"setuid": {errno.EINVAL}, "setgid": {errno.EINVAL}, "i386": {1000 + signal.SIGSEGV}}


@pytest.fixture(scope="module")
def python(functions: Functions) -> str:
    """A Python function that runs the statements of its event."""
    return functions.deploy_python(EVAL, MemorySize=512, Timeout=30)


@pytest.fixture(scope="module")
def status(functions: Functions, python: str) -> dict[str, dict[str, str]]:
    """`/proc/self/status` as a Python and as a native function see it."""
    lines = "{name: value for name, _, value in (line.strip().partition(':') for line in open('/proc/self/status'))}"
    native = functions.deploy_custom(compiled("probe.c"), Handler="status")
    return {"python": functions.call(python, f"result = {lines}"), "native": functions.call(native)}


def probe(functions: Functions, handler: str, **settings: Any) -> Any:
    """The answer of a probe of `native/probe.c`."""
    return functions.call(functions.deploy_custom(compiled("probe.c"), Handler=handler, **settings))


def distinct(code: str) -> tuple[str, bytes]:
    """Code that no other test has, and its package: the host finds its processes by the package's digest."""
    code = f"{code}\n# {unique_name('code')}\n"
    return code, zip_of({"app.py": code})


@pytest.mark.parametrize("kind", ["python", "native"])
def test_seccomp_is_on_and_privileges_cannot_come_back(status: dict[str, dict[str, str]], kind: str) -> None:
    assert status[kind]["Seccomp"].strip() == "2"
    assert status[kind]["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("kind", ["python", "native"])
@pytest.mark.parametrize("capabilities", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_there_are_no_capabilities(status: dict[str, dict[str, str]], kind: str, capabilities: str) -> None:
    assert int(status[kind][capabilities], 16) == 0


@pytest.mark.parametrize("kind", ["python", "native"])
def test_no_user_id_is_root(status: dict[str, dict[str, str]], kind: str) -> None:
    ids = status[kind]["Uid"].split() + status[kind]["Gid"].split()
    assert ids and "0" not in ids


def test_there_are_no_further_groups(functions: Functions, python: str) -> None:
    own, groups = functions.call(python, "result = [os.getgid(), os.getgroups()]")
    assert set(groups) <= {own}


def test_every_namespace_is_its_own(functions: Functions, python: str) -> None:
    names = inside.NAMESPACES
    found = functions.call(python, f"result = {{n: os.readlink('/proc/self/ns/' + n) for n in {names!r}}}")
    host = inside.namespaces_of(os.getpid())
    assert {name for name in names if found[name] == host[name]} == set()


def test_on_the_host_an_instance_is_an_unprivileged_user_of_its_own(server: Server, functions: Functions) -> None:
    users, seen = [], []
    for _ in range(2):
        code, package = distinct(ECHO)
        functions.call(functions.deploy_python(code))
        pids = inside.processes_of(server, package)
        assert pids, "no process of the instance is found on the host"
        users.append({inside.host_user_of(pid) for pid in pids})
        seen.append({inside.namespaces_of(pid)["mnt"] for pid in pids})
    assert all(user >= 1000 for instance in users for user in instance), users
    assert not users[0] & users[1] and not seen[0] & seen[1]
    assert os.stat(server.data_dir).st_uid not in users[0] | users[1]


def test_two_servers_give_their_instances_different_users(
    server: Server,
    functions: Functions,
    new_server: Callable[..., Server],
    functions_of: Callable[[Server], Functions],
) -> None:
    users = []
    other = new_server().start()
    for each, deployer in ((server, functions), (other, functions_of(other))):
        code, package = distinct(ECHO)
        deployer.call(deployer.deploy_python(code))
        users.append({inside.host_user_of(pid) for pid in inside.processes_of(each, package)})
    assert users[0] and users[1], users
    # Each server has a range of 65,536 users, which begins at a multiple of that.
    ranges = [{user >> 16 for user in instance} for instance in users]
    assert not ranges[0] & ranges[1], users


def test_only_its_own_processes_are_visible(functions: Functions, python: str) -> None:
    found = functions.call(
        python, "result = {p: open(f'/proc/{p}/cmdline').read() for p in os.listdir('/proc') if p.isdigit()}"
    )
    assert 1 <= len(found) <= 3, found
    assert min(int(pid) for pid in found) == 1
    assert not [line for line in found.values() if "pytest" in line or "systemd" in line]


@pytest.mark.parametrize("file", ["mem", "environ", "maps", "fd", "root", "cwd", "exe"])
def test_the_first_process_of_the_sandbox_cannot_be_looked_into(functions: Functions, python: str, file: str) -> None:
    """It is a copy of the launcher, and runs as the function's own user."""
    look = f"attempt(lambda: os.listdir('/proc/1/fd') if {file!r} == 'fd' else os.open('/proc/1/{file}', os.O_RDONLY))"
    assert functions.call(python, f"result = {look}") == ["refused", "EACCES"]


@pytest.mark.parametrize("file", ["kallsyms", "timer_list", "keys", "kmsg"])
def test_what_proc_tells_of_the_kernel_is_covered(functions: Functions, python: str, file: str) -> None:
    path = Path("/proc") / file
    assert path.exists(), f"this kernel has no {path}: take it out of this test"
    statements = f"status = os.stat('{path}'); result = [os.major(status.st_rdev), os.minor(status.st_rdev)]"
    assert functions.call(python, statements) == [1, 3], "not /dev/null"


def test_host_files_are_not_there(server: Server, functions: Functions, python: str, tmp_path: Path) -> None:
    marker = tmp_path / "host-file"
    marker.write_text("on the host")
    hidden = [marker, server.data_dir / "credentials.json", server.data_dir / "master.key", Path(__file__), TESTS]
    hidden += [Path("/etc/shadow"), Path("/root/.profile"), server.stderr_path, server.data_dir]
    hidden += [Path("/proc/1/root") / str(marker).lstrip("/"), Path("/run/netns"), Path("/sys/fs/cgroup/memory")]
    answers = functions.call(
        python, f"result = [attempt(lambda: os.stat(p)) for p in {[str(path) for path in hidden]!r}]"
    )
    assert [path for path, answer in zip(hidden, answers, strict=True) if answer[0] == "allowed"] == []


@pytest.mark.parametrize("directory", ["/home", "/root", "/mnt", "/media", "/srv", "/boot", "/run", "/opt"])
def test_directories_of_the_host_are_empty_or_absent(functions: Functions, python: str, directory: str) -> None:
    """But for the way to the interpreter, where it is below one of them."""
    statements = f"""
try:
    entries = [os.path.join({directory!r}, entry) for entry in os.listdir({directory!r})]
except OSError:
    entries = []
result = [entry for entry in entries if not sys.base_prefix.startswith(entry)]
"""
    assert functions.call(python, statements) == []


@pytest.mark.parametrize(
    "path", ["/x", "/usr/x", "/etc/x", "/var/task/x", "/var/runtime/x", "/opt/x", "/dev/x", "/proc/x", "/var/x"]
)
def test_nothing_but_tmp_is_writable(functions: Functions, python: str, path: str) -> None:
    assert functions.call(python, f"result = attempt(lambda: open({path!r}, 'w'))")[0] == "refused"


def test_existing_files_cannot_be_written(functions: Functions, python: str) -> None:
    paths = ["/var/task/app.py", "/etc/passwd", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/usr/bin/env"]
    answers = functions.call(python, f"result = [attempt(lambda: open(p, 'r+')) for p in {paths!r}]")
    assert [path for path, answer in zip(paths, answers, strict=True) if answer[0] != "refused"] == []


def test_devices_are_harmless(functions: Functions, python: str) -> None:
    statements = "import stat\nresult = [n for n in os.listdir('/dev') if stat.S_ISBLK(os.lstat('/dev/' + n).st_mode)]"
    assert functions.call(python, statements) == []
    working = "result = [len(open('/dev/urandom', 'rb').read(8)), open('/dev/null', 'w').write('x')]"
    assert functions.call(python, working) == [8, 1]


def test_tmp_is_writable_and_stays_for_the_next_call_of_the_instance(functions: Functions, python: str) -> None:
    assert functions.call(python, "open('/tmp/kept', 'w').write('here')\nresult = os.listdir('/tmp')") == ["kept"]
    assert functions.call(python, "result = open('/tmp/kept').read()") == "here"
    functions.call(python, "os.unlink('/tmp/kept')\nresult = None")


def test_tmp_is_not_shared_with_the_host_or_another_instance(functions: Functions) -> None:
    """Two instances of one function at the same time, both with a file in `/tmp`."""
    code = "import os, time, uuid\ndef handler(event, context):\n    open('/tmp/' + str(uuid.uuid4()), 'w')\n"
    name = functions.deploy_python(code + "    time.sleep(2)\n    return os.listdir('/tmp')\n", Timeout=20)
    barrier = threading.Barrier(2)

    def call(_: int) -> list[str]:
        barrier.wait(10)
        return list(functions.call(name))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(call, range(2))
    assert len(first) == len(second) == 1 and first != second
    assert not set(first) & set(os.listdir("/tmp"))


def test_tmp_is_limited_to_its_size(functions: Functions) -> None:
    statements = """
written = 0
with open('/tmp/large', 'wb') as file:
    try:
        while written < 700:
            file.write(bytes(1 << 20)), file.flush()
            written += 1
    except OSError as error:
        result = [written, errno.errorcode[error.errno]]
"""
    name = functions.deploy_python(EVAL, MemorySize=1024, Timeout=60)
    written, reason = functions.call(name, statements)
    assert reason == "ENOSPC" and 450 <= written <= 512


def test_a_neighbour_of_a_function_that_runs_out_of_memory_lives_on(functions: Functions) -> None:
    code = "import uuid\nNAME = str(uuid.uuid4())\ndef handler(event, context):\n    return NAME\n"
    neighbour = functions.deploy_python(code)
    before = functions.call(neighbour)
    greedy = functions.deploy_python("def handler(event, context):\n    return len(bytearray(b'x') * 400_000_000)\n")
    assert functions.invoke(greedy).value["errorType"] == "Runtime.OutOfMemory"
    assert functions.call(neighbour) == before


def test_memory_below_the_limit_is_there_to_be_used(functions: Functions) -> None:
    code = "def handler(event, context):\n    return len(bytearray(b'x') * 150_000_000)\n"
    assert functions.call(functions.deploy_python(code, MemorySize=256)) == 150_000_000


def test_a_child_process_counts_to_the_same_limit(functions: Functions) -> None:
    code = """
import subprocess, sys
def handler(event, context):
    return subprocess.run([sys.executable, '-c', 'print(len(bytearray(b"x") * 400_000_000))']).returncode
"""
    result = functions.invoke(functions.deploy_python(code, Timeout=20))
    assert result.function_error == "Unhandled" or result.value == -9


def test_processes_are_limited_to_1024(functions: Functions) -> None:
    found = probe(functions, "forks", MemorySize=1024, Timeout=60)
    assert found["errno"] == errno.EAGAIN and 900 <= found["count"] < 1024


def test_descriptors_are_limited_to_1024(functions: Functions, python: str) -> None:
    statements = """
opened = []
try:
    while len(opened) < 3000:
        opened.append(os.open('/dev/null', os.O_RDONLY))
except OSError as error:
    reason = errno.errorcode[error.errno]
highest = max(opened)
for descriptor in opened:
    os.close(descriptor)
result = [resource.getrlimit(resource.RLIMIT_NOFILE), reason, highest]
"""
    assert functions.call(python, statements) == [[1024, 1024], "EMFILE", 1023]


def test_no_descriptor_is_inherited(functions: Functions, python: str) -> None:
    statements = """
links = ['/proc/self/fd/' + number for number in os.listdir('/proc/self/fd')]
result = {os.path.basename(link): os.readlink(link) for link in links if os.path.lexists(link)}
"""
    found = functions.call(python, statements)
    assert found["3"].startswith("socket:")
    assert found["1"] == found["2"] and found["1"].startswith("pipe:")
    assert found.keys() <= {"0", "1", "2", "3"}
    native = probe(functions, "descriptors")
    assert native.keys() == {"0", "1", "2"}, native


@pytest.fixture(scope="module")
def closed(server: Server, functions: Functions) -> str:
    """As `python`, with the egress policy `none`; what other policies open is shown in `test_egress.py`."""
    name = functions.deploy_python(EVAL, MemorySize=512, Timeout=30)
    set_egress(server, name, "none")
    return name


def test_loopback_is_the_only_interface(functions: Functions, closed: str) -> None:
    assert functions.call(closed, "result = socket.if_nameindex()") == [[1, "lo"]]


def test_the_hosts_loopback_cannot_be_reached(server: Server, functions: Functions, python: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        ports = [listener.getsockname()[1], server.address[1]]
        statements = f"result = [attempt(lambda: socket.create_connection(('127.0.0.1', p), 5)) for p in {ports!r}]"
        assert functions.call(python, statements) == [["refused", "ECONNREFUSED"]] * 2


def test_the_hosts_addresses_and_the_world_cannot_be_reached(functions: Functions, closed: str) -> None:
    statements = """
addresses = ['192.0.2.1', '169.254.169.254', '10.0.0.1']
result = [attempt(lambda: socket.create_connection((address, 80), 5)) for address in addresses]
"""
    assert [answer[0] for answer in functions.call(closed, statements)] == ["refused"] * 3


def test_abstract_sockets_of_the_host_cannot_be_reached(functions: Functions, python: str) -> None:
    name = f"\0wuwei-tests-{os.getpid()}"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(name)
        listener.listen()
        statements = f"result = attempt(lambda: socket.socket(socket.AF_UNIX).connect({name!r}))"
        assert functions.call(python, statements) == ["refused", "ECONNREFUSED"]


def test_a_server_of_its_own_on_loopback_works(functions: Functions, python: str) -> None:
    statements = """
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b'hello')
result = server.recv(5).decode()
"""
    assert functions.call(python, statements) == "hello"


@pytest.fixture(scope="module")
def attempts(functions: Functions) -> dict[str, int]:
    """What a native program was answered: an error number, 1000 + a signal, or 0 where it was allowed."""
    return dict(probe(functions, "attempts", Timeout=20))


@pytest.mark.parametrize(
    "name",
    [
        "mount", "remount", "umount", "open_tree", "pivot_root", "chroot", "unshare_user", "unshare_mount",
        "unshare_network", "clone_user", "clone3_user", "setns", "ptrace", "ptrace_first", "process_vm_readv", "bpf",
        "keyctl", "add_key", "perf_event_open", "userfaultfd", "io_uring", "kexec_load", "init_module", "swapon",
        "reboot", "set_clock", "sethostname", "mknod", "setuid", "setgid", "open_by_handle", "priority", "raw_socket",
        "packet_socket", "kernel_log", "x32", "iopl", "i386",
    ],
)  # fmt: skip
def test_a_privileged_operation_is_refused(attempts: dict[str, int], name: str) -> None:
    assert attempts[name] in REFUSALS | UNMAPPED.get(name, set()), f"{name}: {attempts[name]}"


def test_threads_and_child_processes_work(functions: Functions, python: str) -> None:
    statements = """
import subprocess, threading
seen = []
threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
result = [sorted(seen), subprocess.run(['/bin/sh', '-c', 'echo child'], capture_output=True, text=True).stdout]
"""
    assert functions.call(python, statements) == [list(range(20)), "child\n"]


def test_a_process_left_behind_dies_with_its_instance(server: Server, functions: Functions) -> None:
    code, package = distinct("""
import os, time
def handler(event, context):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True: time.sleep(1)
        os._exit(0)
    return 'left one behind'
""")
    name = functions.deploy_python(code)
    functions.call(name)
    assert len(inside.processes_of(server, package)) >= 2
    functions.client.delete_function(FunctionName=name)
    until(lambda: not inside.processes_of(server, package), "all processes of the instance are gone")


def test_a_process_left_behind_dies_with_a_timeout(server: Server, functions: Functions) -> None:
    code, package = distinct("""
import os, time
def handler(event, context):
    if os.fork() == 0:
        os.setsid()
    while True: time.sleep(1)
""")
    name = functions.deploy_python(code, Timeout=1)
    assert functions.invoke(name).value["errorType"] == "Sandbox.Timedout"
    until(lambda: not inside.processes_of(server, package), "all processes of the instance are gone")


def test_between_calls_nothing_runs(server: Server, functions: Functions) -> None:
    code, package = distinct("""
import threading
count = 0
def forever():
    global count
    while True: count += 1
threading.Thread(target=forever, daemon=True).start()
def handler(event, context):
    return count
""")
    name = functions.deploy_python(code)
    functions.call(name)
    pids = inside.processes_of(server, package)
    assert pids
    until(lambda: all(inside.is_frozen(pid) for pid in pids), "all processes of the idle instance are frozen", 2)
    assert functions.call(name) > 0


def test_the_hosts_cgroups_hold_the_limits(server: Server, functions: Functions) -> None:
    code, package = distinct(ECHO)
    functions.call(functions.deploy_python(code, MemorySize=192))
    pids = inside.processes_of(server, package)
    assert pids and server.tree().cgroups
    for pid in pids:
        assert min(inside.limits_of(pid, "memory.limit_in_bytes", "memory.max")) == 192 * MB
        assert min(inside.limits_of(pid, "pids.max")) <= 1024 + FIRST_PROCESS


def test_cpu_is_a_share_that_grows_with_memory(server: Server, functions: Functions) -> None:
    shares = []
    for memory in (128, 1769):
        code, package = distinct(ECHO)
        functions.call(functions.deploy_python(code, MemorySize=memory))
        pid = min(inside.processes_of(server, package))
        shares.append(inside.limits_of(pid, "cpu.shares", "cpu.weight")[0])
    small, large = shares
    assert large > 2 * small


def test_a_hostile_answer_on_the_control_socket_costs_only_its_own_call(functions: Functions) -> None:
    code = "import os\ndef handler(event, context):\n    os.write(3, b'\\xff' * 4096)\n    return 'unreachable'\n"
    name, neighbour = functions.deploy_python(code), functions.deploy_python(ECHO)
    result = functions.invoke(name)
    assert (result.status, result.function_error) == (200, "Unhandled")
    assert json.loads(result.payload)["errorType"]
    assert functions.call(neighbour, 1) == 1
