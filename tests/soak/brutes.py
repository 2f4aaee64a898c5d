"""Functions that use up what they can get, break, or never end: Python handlers, each for a function of its own."""

RELAY = """
import os, socket, threading, time, urllib.parse
WHERE = urllib.parse.urlsplit(os.environ['AWS_ENDPOINT_URL'])
"""
BRUTES = {
    "fork-bomb": """
import os
def handler(event, context):
    while True:
        try: os.fork()
        except OSError: pass
""",
    "memory-hog": """
def handler(event, context):
    held = []
    while True: held.append(bytearray(b'x') * (8 << 20))
""",
    "shared-memory-hog": """
def handler(event, context):
    with open('/dev/shm/full', 'wb') as file:
        while True: file.write(bytes(1 << 20))
""",
    "page-cache-hog": """
import mmap
def handler(event, context):
    with open('/tmp/large', 'wb+') as file:
        file.truncate(400 << 20)
        view = mmap.mmap(file.fileno(), 0)
        while True:
            for page in range(0, len(view), 4096): view[page] = 1
""",
    "memory-file-hog": """
import os
def handler(event, context):
    held = os.memfd_create('hog')
    while True: os.write(held, bytes(1 << 20))
""",
    "log-flood": """
import os
def handler(event, context):
    while True: os.write(1, b'x' * 4096 + b'\\n')
""",
    "disk-filler": """
def handler(event, context):
    with open('/tmp/full', 'ab', 0) as file:
        while True: file.write(bytes(1 << 20))
""",
    "inode-bomb": """
import os
def handler(event, context):
    n = 0
    while True:
        os.close(os.open('/tmp/%d' % n, os.O_CREAT))
        n += 1
""",
    "busy-threads": """
import os, threading
def spin():
    while True: pass
def handler(event, context):
    for _ in range(16):
        if os.fork() == 0:
            for _ in range(3): threading.Thread(target=spin).start()
            spin()
    spin()
""",
    "sleeper": "import time\ndef handler(event, context):\n    time.sleep(600)\n",
    "deaf-daemon": """
import os, signal, time
def handler(event, context):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            while True: time.sleep(1)
        os._exit(0)
    return 'left'
""",
    "crash": "import os, signal\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGSEGV)\n",
    "leaver": "import os\ndef handler(event, context):\n    os._exit(event['n'] % 256)\n",
    "broken": "import nowhere\n",
    "large-answer": "def handler(event, context):\n    return 'x' * (7 << 20)\n",
    "half-a-frame": """
import os, time
def handler(event, context):
    os.write(3, b'\\x00\\x10\\x00\\x00\\x12\\x24')
    time.sleep(600)
""",
    "noise-on-the-socket": """
import os
def handler(event, context):
    os.write(3, os.urandom(4096))
    return 'forged'
""",
    "two-runtimes": """
import os
def handler(event, context):
    os.fork()
    return 'twice'
""",
    "relay-flood": RELAY
    + """
def handler(event, context):
    held = []
    try:
        while len(held) < 1000:
            each = socket.create_connection((WHERE.hostname, WHERE.port), 1)
            each.sendall(b'POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000000\\r\\n\\r\\nx')
            held.append(each)
    except OSError: pass
    return len(held)
""",
    "relay-noise": RELAY
    + """
def handler(event, context):
    for _ in range(20):
        with socket.create_connection((WHERE.hostname, WHERE.port), 1) as each:
            each.sendall(os.urandom(2000) + b'\\r\\n\\r\\n')
            each.settimeout(1)
            try: each.recv(100)
            except OSError: pass
    return 'done'
""",
    "wanderer": """
import socket
def handler(event, context):
    for address, port in event['targets']:
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        with socket.socket(family) as each:
            each.settimeout(0.1)
            if each.connect_ex((address, port)) == 0: return 'SUCCEEDED ' + address
    return 'nowhere'
""",
    "names": """
import socket
def handler(event, context):
    for n in range(50):
        try: socket.getaddrinfo('name-%d.example' % n, 80)
        except OSError: pass
    return 'done'
""",
    "sockets": """
import socket
def handler(event, context):
    listener, held = socket.create_server(('127.0.0.1', 0)), []
    while len(held) < 900:
        ours = socket.create_connection(listener.getsockname())
        held += [ours, listener.accept()[0]]
        ours.setblocking(False)
        try:
            while True: ours.send(bytes(1 << 16))
        except OSError: pass
    return len(held)
""",
}
