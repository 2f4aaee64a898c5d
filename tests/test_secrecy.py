"""What a function cannot see of its neighbours, of its other instances, and what secrets nobody sees."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import inside, leftovers
from harness.functions import Functions, unique_name
from harness.packages import zip_of
from harness.server import Server
from harness.waiting import until

SECRET = "dont-tell-anybody-7c1f"
VICTIM = """
import ctypes, mmap, os, socket, time
SECRET = os.environ['SECRET'] + '-in-memory'
def handler(event, context):
    open('/tmp/secret', 'w').write(SECRET)
    open('/dev/shm/secret', 'w').write(SECRET)
    libc = ctypes.CDLL(None)
    segment = libc.shmget(0x5ec3e7, 4096, 0o1666)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('\\0the-victim')
    listener.listen()
    service = socket.create_server(('127.0.0.1', 7001))
    deadline = time.monotonic() + event
    while time.monotonic() < deadline: time.sleep(0.05)
    return [segment >= 0, ctypes.addressof(ctypes.c_char_p(SECRET.encode()))]
"""
SPY = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def refused(action):
    try: return 'got ' + repr(action())[:100]
    except OSError as error: return errno.errorcode[error.errno]
def called(number, *words):
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(word) for word in words])
    return 'worked' if result >= 0 else errno.errorcode[ctypes.get_errno()]
def handler(event, context):
    names = dict(globals(), event=event)
    exec(event['do'], names)
    return names['result']
"""


@contextmanager
def running(server: Server, functions: Functions, seconds: int = 30) -> Iterator[set[int]]:
    """A victim in the middle of a call: the host's numbers of its processes."""
    code = f"{VICTIM}\n# {unique_name('victim')}\n"
    name = functions.deploy_python(code, Timeout=60, Environment={"Variables": {"SECRET": SECRET}})
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(functions.invoke, name, seconds)
        package = zip_of({"app.py": code})
        pids = until(lambda: inside.processes_of(server, package), "the victim runs")
        try:
            yield pids
        finally:
            functions.client.delete_function(FunctionName=name)
            call.cancel()


@pytest.fixture(scope="module")
def spy(functions: Functions) -> str:
    """A function that runs statements."""
    return functions.deploy_python(SPY, Timeout=60, MemorySize=512)


def test_no_process_of_a_neighbour_can_be_looked_into(server: Server, functions: Functions, spy: str) -> None:
    """By the host's process numbers, and by every number that there may be."""
    with running(server, functions, 15) as pids:
        targets = sorted(pids)
        statements = f"""
PTRACE_SEIZE, SYS_ptrace, SYS_process_vm_readv, SYS_pidfd_open, SYS_kcmp = 0x4206, 101, 310, 434, 312
if os.uname().machine == 'aarch64':
    SYS_ptrace, SYS_process_vm_readv, SYS_kcmp = 117, 270, 272
found = set()
for pid in {targets!r} + [pid for pid in range(2, 65536) if pid != os.getpid() and os.path.exists('/proc/%d' % pid)]:
    if pid in (os.getpid(), 1) or os.path.exists('/proc/self/task/%d' % pid): continue
    for file in ('mem', 'environ', 'maps', 'cmdline', 'status', 'root/tmp/secret', 'cwd', 'fd', 'ns/mnt', 'exe'):
        path = '/proc/%d/%s' % (pid, file)
        for action in (lambda: open(path, 'rb').read(1), lambda: os.readlink(path), lambda: os.listdir(path)):
            found.add(refused(action))
    found.add(refused(lambda: os.kill(pid, 0)))
    found.add(called(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0))
    found.add(called(SYS_process_vm_readv, pid, 0, 0, 0, 0, 0))
    found.add(called(SYS_pidfd_open, pid, 0))
    found.add(called(SYS_kcmp, pid, os.getpid(), 0, 0, 0))
result = sorted(found)
"""
        found = functions.call(spy, {"do": statements})
    assert found and not [each for each in found if each.startswith(("got", "worked"))], found


def test_files_segments_sockets_and_code_of_a_neighbour_are_not_there(
    server: Server, functions: Functions, spy: str
) -> None:
    with running(server, functions, 15) as pids:
        (task,) = {line.split()[3] for pid in pids for line in leftovers.mounts_of("/var/task", pid)}
        statements = f"""
def segment():
    if libc.shmget(0x5ec3e7, 1, 0) < 0: raise OSError(ctypes.get_errno(), 'shmget')
result = [
    refused(lambda: open('/tmp/secret').read()),
    refused(lambda: open('/dev/shm/secret').read()),
    refused(segment),
    refused(lambda: socket.socket(socket.AF_UNIX).connect('\\0the-victim')),
    refused(lambda: socket.create_connection(('127.0.0.1', 7001), 2)),
    refused(lambda: os.listdir({task!r})),
    refused(lambda: os.listdir({str(server.data_dir)!r})),
]
"""
        found = functions.call(spy, {"do": statements})
    assert found == ["ENOENT", "ENOENT", "ENOENT", "ECONNREFUSED", "ECONNREFUSED", "ENOENT", "ENOENT"]


def test_two_instances_of_one_function_are_strangers(functions: Functions) -> None:
    code = """
import ctypes, os, socket, time
libc = ctypes.CDLL(None)
def handler(event, context):
    open('/tmp/mine', 'a').write(event['name'])
    open('/dev/shm/mine', 'a').write(event['name'])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('\\0mine')
    service = socket.create_server(('127.0.0.1', 7002))
    segment = libc.shmget(0x3153, 4096, 0o1666 | 0o2000)
    time.sleep(3)
    pids = [pid for pid in os.listdir('/proc') if pid.isdigit()]
    mine = [open('/tmp/mine').read(), open('/dev/shm/mine').read()]
    return [mine, segment >= 0, len(pids), os.environ['AWS_SESSION_TOKEN'], os.environ['AWS_LAMBDA_LOG_STREAM_NAME']]
"""
    name = functions.deploy_python(code, Timeout=30)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda who: functions.call(name, {"name": who}), ["one", "two"])
    assert (one[0], two[0]) == (["one", "one"], ["two", "two"])
    assert one[1] and two[1], "each has made the segment, exclusively"
    assert one[2] == two[2] <= 3
    assert one[3] != two[3] and one[4] != two[4]


def test_no_secret_is_in_a_command_line_or_in_a_process_of_the_platform(server: Server, functions: Functions) -> None:
    """What `ps` shows everybody, and the environment of the server's own processes."""
    with running(server, functions, 5) as pids:
        own = {server.pid} | leftovers.descendants(server.pid)
        assert pids <= own
        lines = {pid: command_line(pid) for pid in leftovers.parents()}
        assert not [pid for pid, line in lines.items() if SECRET.encode() in line]
        outside = {pid for pid in own - pids if inside.namespaces_of(pid) == inside.namespaces_of(os.getpid())}
        assert outside, "the server and its launcher"
        keys = server.keys.secret_access_key
        for pid in outside:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert SECRET.encode() not in environment and keys.encode() not in environment
        for pid in pids:
            facts = os.stat(f"/proc/{pid}/environ")
            assert facts.st_mode & 0o077 == 0, "nobody but its own user and root may read it"


def command_line(pid: int) -> bytes:
    """As `ps` reads it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


FAILURES = {
    "raises": "def handler(event, context):\n    raise ValueError('wrong')\n",
    "exits": "import os\ndef handler(event, context):\n    os._exit(1)\n",
    "crashes": "import os, signal\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGSEGV)\n",
    "aborts": "import os\ndef handler(event, context):\n    os.abort()\n",
    "cannot be imported": "import nowhere\n",
    "runs out of memory": "def handler(event, context):\n    return bytearray(b'x') * (1 << 30)\n",
    "runs out of time": "import time\ndef handler(event, context):\n    time.sleep(60)\n",
    "answers nonsense": "def handler(event, context):\n    return object()\n",
    "breaks its socket": "import os\ndef handler(event, context):\n    os.write(3, b'x' * 100)\n",
}


@pytest.mark.parametrize("how", FAILURES)
def test_no_error_and_no_log_names_a_secret(server: Server, functions: Functions, how: str) -> None:
    variables = {"SECRET": SECRET, "OTHER": f"{SECRET}-other"}
    name = functions.deploy_python(FAILURES[how], Timeout=1, Environment={"Variables": variables})
    result = functions.invoke(name, None, LogType="Tail")
    assert result.function_error == "Unhandled"
    texts = [result.payload.decode(), result.log, server.wuwei("logs", name).ok().output, server.stderr]
    for text in texts:
        assert SECRET not in text
        assert "AWS_SECRET_ACCESS_KEY" not in text and "AWS_SESSION_TOKEN" not in text


def test_a_crash_leaves_no_image_of_the_memory(server: Server, functions: Functions) -> None:
    """Neither in the sandbox, nor where the host's `core_pattern` puts images of its own processes."""
    code = """
import glob, os, signal, time
def handler(event, context):
    os.chdir('/tmp')
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)
    status = os.waitpid(child, 0)[1]
    return [os.WTERMSIG(status), os.WCOREDUMP(status), glob.glob('/tmp/*') + glob.glob('/var/task/core*')]
"""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    directory = Path(pattern).parent if pattern.startswith("/") else None
    before = set(directory.iterdir()) if directory and directory.is_dir() else set()
    assert functions.run_python(code) == [11, False, []]
    if directory and directory.is_dir():
        new = {path for path in directory.iterdir() if "core" in path.name} - before
        assert not [path for path in new if SECRET.encode() in path.read_bytes()]
    assert not list(server.data_dir.rglob("core*"))


def test_credentials_of_a_neighbour_are_worth_nothing_here(functions: Functions) -> None:
    """Replayed on the spy's own way back, in every header that could carry them; the neighbour is alive meanwhile."""
    tell = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    victim = functions.deploy_python(tell)
    stolen = functions.call(victim)
    replay = """
import datetime, hashlib, hmac, http.client, os, urllib.parse
def sign(key, text): return hmac.new(key, text.encode(), hashlib.sha256).digest()
def handler(stolen, context):
    where = urllib.parse.urlsplit(os.environ['AWS_ENDPOINT_URL'])
    found = []
    for source in (stolen, {**stolen, 'AWS_SESSION_TOKEN': os.environ['AWS_SESSION_TOKEN']}, dict(os.environ)):
        now = datetime.datetime.now(datetime.timezone.utc).strftime('%Y%m%dT%H%M%SZ')
        path = '/2015-03-31/functions/' + stolen['AWS_LAMBDA_FUNCTION_NAME'] + '/invocations'
        token, region = source['AWS_SESSION_TOKEN'], source['AWS_REGION']
        head = f'host:{where.netloc}\\nx-amz-date:{now}\\nx-amz-security-token:{token}\\n'
        names = 'host;x-amz-date;x-amz-security-token'
        body = hashlib.sha256(b'{}').hexdigest()
        scope = f'{now[:8]}/{region}/lambda/aws4_request'
        request = hashlib.sha256(f'POST\\n{path}\\n\\n{head}\\n{names}\\n{body}'.encode()).hexdigest()
        key = ('AWS4' + source['AWS_SECRET_ACCESS_KEY']).encode()
        for part in (now[:8], region, 'lambda', 'aws4_request'): key = sign(key, part)
        signature = sign(key, f'AWS4-HMAC-SHA256\\n{now}\\n{scope}\\n{request}').hex()
        credential = source['AWS_ACCESS_KEY_ID'] + '/' + scope
        headers = {'X-Amz-Date': now, 'X-Amz-Security-Token': token, 'Authorization':
            f'AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}'}
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        connection.request('POST', path, b'{}', headers)
        found.append(connection.getresponse().status)
    return found
"""
    assert functions.run_python(replay, stolen, Timeout=30) == [403, 403, 200]


def test_the_memory_of_an_earlier_neighbour_is_in_no_later_sandbox(functions: Functions) -> None:
    """All that a new process can read of itself: nothing of what ran before it, on the same pages or in a copy."""
    look = f"""
import os, re
KEPT = [os.environ['SECRET'] + '-%d' % number for number in range(20000)] if 'SECRET' in os.environ else []
# A class of one letter, so that the pattern does not find itself.
PATTERN = re.compile(b'{SECRET[:-1]}[{SECRET[-1]}]-1999[0-9]')
def handler(event, context):
    found = 0
    with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:
        for line in maps:
            first, last = (int(part, 16) for part in line.split()[0].split('-'))
            if 'r' not in line.split()[1] or 'vvar' in line or 'vsyscall' in line: continue
            try:
                memory.seek(first)
                found += len(PATTERN.findall(memory.read(last - first)))
            except (OSError, OverflowError, ValueError): pass
    return found
"""
    settings = {"MemorySize": 512, "Timeout": 30}
    victim = functions.deploy_python(look, Environment={"Variables": {"SECRET": SECRET}}, **settings)
    assert functions.call(victim) >= 10, "it finds its own"
    functions.client.delete_function(FunctionName=victim)
    assert functions.run_python(look, **settings) == 0
