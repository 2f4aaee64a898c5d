"""Processes, memory, descriptors and networks of others."""

from attack.attempt import Attempt

FOREIGN = """
for pid in filter(str.isdigit, os.listdir('/proc')):
    try: words = open(f'/proc/{pid}/cmdline').read()
    except OSError: continue
    if os.environ['MARKER'] in words: succeeded(pid)
refused('its own only')
"""
FOREIGN_BY_NODE = """
for (const pid of fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
  let words = '';
  try { words = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1'); } catch { continue; }
  if (words.includes(process.env.MARKER)) succeeded(pid);
}
refused('its own only');
"""

HOST = [
    Attempt(
        "see a process of the host",
        ("process-namespace",),
        ("its own only",),
        python=FOREIGN,
        node=FOREIGN_BY_NODE,
    ),
    Attempt(
        "signal a process of the host",
        ("process-namespace", "own-user"),
        ("ESRCH", "EPERM"),
        python="attempt(lambda: os.kill(int(os.environ['MARKER_PID']), 0))",
        node="attempt(() => process.kill(Number(process.env.MARKER_PID), 0));",
    ),
    Attempt(
        "be in the platform's session and process group",
        ("own-session",),
        ("a process group of its own",),
        ("session",),
        "refused('a process group of its own') if os.getpgrp() else succeeded()",
    ),
]

FIRST = [
    Attempt(
        "read the memory of the sandbox's first process, a copy of the launcher's",
        ("hidden-reaper",),
        ("EACCES",),
        ("open-read", "/proc/1/mem"),
        "attempt(lambda: open('/proc/1/mem', 'rb'))",
        "attempt(() => fs.openSync('/proc/1/mem'));",
    ),
    Attempt(
        "read the launcher's environment",
        ("hidden-reaper",),
        ("EACCES",),
        ("open-read", "/proc/1/environ"),
        "attempt(lambda: open('/proc/1/environ').read())",
        "attempt(() => fs.readFileSync('/proc/1/environ'));",
    ),
    Attempt(
        "list the first process's descriptors",
        ("hidden-reaper",),
        ("EACCES",),
        python="attempt(lambda: os.listdir('/proc/1/fd'))",
        node="attempt(() => fs.readdirSync('/proc/1/fd'));",
    ),
    Attempt(
        "read the first process's memory map",
        ("hidden-reaper",),
        ("EACCES",),
        ("read", "/proc/1/maps"),
        "attempt(lambda: open('/proc/1/maps').read())",
        "attempt(() => fs.readFileSync('/proc/1/maps'));",
    ),
    Attempt(
        "find a descriptor of the platform (to forge messages of the launcher)",
        ("closed-descriptors",),
        ("descriptors 0 to 2 only",),
        ("inherited",),
    ),
    Attempt(
        "have its memory handed to the host's handler of core dumps",
        ("no-core-dumps",),
        ("limit 1",),
        ("core-limit",),
        "import resource\nlimit = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "refused('limit 1') if limit == 1 else succeeded(limit)",
    ),
]

NETWORK = [
    Attempt(
        "connect to a service on the host's loopback",
        ("network-namespace",),
        ("ECONNREFUSED",),
        python="attempt(lambda: socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 5))",
        node="net.connect(Number(process.env.PORT), '127.0.0.1', () => succeeded())"
        ".on('error', (error) => refused(error.code));",
    ),
    Attempt(
        "connect to an abstract socket of the host",
        ("network-namespace",),
        ("ECONNREFUSED",),
        python="attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + os.environ['ABSTRACT']))",
    ),
    Attempt(
        "see the host's open ports",
        ("network-namespace",),
        ("not listed",),
        python="port = ':%04X ' % int(os.environ['PORT'])\n"
        "succeeded() if port in open('/proc/net/tcp').read() else refused('not listed')",
        node="const port = ':' + Number(process.env.PORT).toString(16).toUpperCase().padStart(4, '0') + ' ';\n"
        "if (fs.readFileSync('/proc/net/tcp', 'latin1').includes(port)) succeeded(); else refused('not listed');",
    ),
    Attempt(
        "take a port of the host",
        ("network-namespace",),
        ("its own port",),
        python="listener = socket.socket()\n"
        "try: listener.bind(('127.0.0.1', int(os.environ['PORT']))); refused('its own port')\n"
        "except OSError: succeeded('the port is shared with the host')",
    ),
]

NAMES = [
    Attempt(
        "read the shared memory of a process of the host",
        ("message-namespace",),
        ("ENOENT",),
        ("segment", "{SEGMENT_KEY}"),
        "attempt(lambda: succeeded() if libc.shmget(int(os.environ['SEGMENT_KEY']), 1, 0) >= 0 else refused('ENOENT'))",
    ),
    Attempt(
        "learn the host's name",
        ("name-namespace",),
        ("sandbox",),
        python="name = socket.gethostname()\nsucceeded(name) if name == os.environ['HOST_NAME'] else refused(name)",
        node="const name = os.hostname(); if (name === process.env.HOST_NAME) succeeded(name); else refused(name);",
    ),
    Attempt(
        "learn the names of the platform's control groups",
        ("group-namespace",),
        ("/",),
        python="text = open('/proc/self/cgroup').read()\nsucceeded(text) if 'wuwei' in text else refused('/')",
        node="if (fs.readFileSync('/proc/self/cgroup', 'latin1').includes('wuwei')) succeeded(); else refused('/');",
    ),
]

GROUPS = {
    "Processes of the host": HOST,
    "The sandbox's first process": FIRST,
    "Networks": NETWORK,
    "Names and messages": NAMES,
}
