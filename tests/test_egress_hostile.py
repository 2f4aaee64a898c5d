"""Ways around an egress policy, tried under each of them; `test_egress.py` has what the policies open and close.

Several defences lie behind each of these: a sandbox's own network namespace, its filter of system calls, and the
router's and the host's packet filters (`crates/wuwei-sandbox/src/egress/ruleset.rs`).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import leftovers
from harness.egress import POLICIES, probe
from harness.functions import Functions, boto_client
from harness.network import PORT, World, test_host
from harness.server import RUNNING, Server
from harness.servers import finish, make_server, newest_python

pytestmark = pytest.mark.parametrize("kind", POLICIES)
WITH_NETWORK = [kind for kind in POLICIES if kind != "none"]


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[World]:
    """The tests of this file run on their own host."""
    with test_host() as made:
        yield made


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    """A server with the policies that it has without configuration."""
    leftovers.adopt_orphans()
    made = make_server(prefix=world.prefix)
    RUNNING.append(made)
    try:
        yield made.start()
    finally:
        finish(made)


@pytest.fixture(scope="module")
def functions(server: Server) -> Functions:
    """Deploys and invokes on this file's server."""
    return Functions(boto_client(server), newest_python(server))


@pytest.fixture(scope="module")
def probes(server: Server, functions: Functions) -> dict[str, str]:
    """A function for each policy."""
    return {kind: probe(server, functions, policy) for kind, policy in POLICIES.items()}


def test_the_router_answers_questions_for_names_and_nothing_else(
    functions: Functions, probes: dict[str, str], kind: str
) -> None:
    statements = """
def open_at(address):
    found, waiting = [], {}
    for first in range(1, 2048, 512):
        for port in range(first, first + 512):
            each = socket.socket(family(address))
            each.setblocking(False)
            if each.connect_ex((address, port)) in (0, errno.EINPROGRESS): waiting[port] = each
            else: each.close()
        end = time.monotonic() + 1
        for port, each in waiting.items():
            import select
            _, ready, _ = select.select([], [each], [], max(0, end - time.monotonic()))
            if ready and each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0: found.append(port)
            each.close()
        waiting.clear()
    return found
routers = ['169.254.0.1', '169.254.192.2', '169.254.192.3', 'fd77:7577:6569::1', 'fd77:7577:6569:2::2']
result = {address: open_at(address) for address in routers}
"""
    found = functions.call(probes[kind], statements)
    assert {address: ports for address, ports in found.items() if ports} in ({}, {"169.254.0.1": [53]})


@pytest.mark.parametrize(
    "spelling",
    ["::ffff:10.9.8.7", "::10.9.8.7", "64:ff9b::a09:807", "2002:a09:807::1", "::ffff:169.254.169.254", "0xa090807"],
)
def test_no_spelling_of_a_private_address_opens_it(
    functions: Functions, probes: dict[str, str], kind: str, spelling: str
) -> None:
    found = functions.call(probes[kind], f"result = [tcp({spelling!r}, {PORT}, 2), udp({spelling!r}, {PORT}, 1)]")
    # A mapped address is the address itself for the kernel, and these two policies open it.
    plain = kind in ("list", "everything") and spelling in ("::ffff:10.9.8.7", "0xa090807")
    tunnelled = kind == "everything" and spelling.startswith("2002:")
    if not plain and not tunnelled:
        assert [answer[0] for answer in found] == ["refused", "refused"], found


def test_link_local_broadcast_and_multicast_addresses_lead_nowhere(
    functions: Functions, probes: dict[str, str], kind: str
) -> None:
    statements = f"""
found = []
for name in [name for _, name in socket.if_nameindex() if name != 'lo'] or ['lo']:
    scope = socket.if_nametoindex(name)
    for port in (22, 53, 80, {PORT}, 9000):
        for address in ('fe80::1', 'fe80::2', 'ff02::1', 'ff02::2'):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
                asker.settimeout(0.1)
                try:
                    asker.sendto(b'hello', (address, port, 0, scope))
                    found.append([address, port, asker.recv(100).decode('latin1')])
                except OSError: pass
        for address in ('224.0.0.1', '224.0.0.251', '255.255.255.255', '169.254.255.255'):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(0.1)
                try:
                    asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    asker.sendto(b'hello', (address, port))
                    found.append([address, port, asker.recv(100).decode('latin1')])
                except OSError: pass
result = found
"""
    assert functions.call(probes[kind], statements) == []


def test_no_route_of_the_senders_choice_is_taken(functions: Functions, probes: dict[str, str], kind: str) -> None:
    """Loose and strict source routes by way of an open address, in both versions of IP."""
    statements = f"""
def by_way_of(option):
    try:
        with socket.socket() as stream:
            stream.settimeout(2)
            hops = socket.inet_aton('203.0.113.10') + socket.inet_aton('169.254.169.254')
            stream.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([option, 3 + len(hops), 4]) + hops + b'\\0')
            stream.connect(('169.254.169.254', {PORT}))
            return 'reached ' + stream.recv(100).decode()
    except OSError as error:
        return 'refused'
def by_header():
    try:
        with socket.socket(socket.AF_INET6) as stream:
            stream.settimeout(2)
            header = bytes([0, 2, 0, 1, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, 'fd00:ec2::254')
            stream.setsockopt(socket.IPPROTO_IPV6, 57, header)
            stream.connect(('2001:db8::10', {PORT}))
            return 'reached ' + stream.recv(100).decode()
    except OSError as error:
        return 'refused'
result = [by_way_of(131), by_way_of(137), by_header()]
"""
    assert functions.call(probes[kind], statements) == ["refused"] * 3


def test_nobody_speaks_from_the_ipv4_address_of_a_neighbour(
    server: Server, functions: Functions, probes: dict[str, str], kind: str
) -> None:
    """`IP_FREEBIND` lets a socket have an address that is not there; the kernel sends nothing from it in IPv4."""
    waiting = """
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(('0.0.0.0', 5700))
asked.settimeout(4)
try:
    result = asked.recv(100).decode()
except OSError:
    result = 'nobody'
"""
    forging = f"""
IP_FREEBIND = 15
own = open('/proc/net/fib_trie').read()
result = 0
for _ in range(3):
    for number in range(120):
        if '-- 169.254.16.%d\\n' % number in own:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            try:
                forger.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
                forger.bind(('169.254.16.%d' % number, 5700))
                forger.sendto(b'x', ('203.0.113.10', {PORT}))
                result += 1
            except OSError: pass
    time.sleep(0.5)
"""
    neighbour = probe(server, functions, POLICIES[kind])
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(functions.call, neighbour, waiting)
        sent = functions.call(probes[kind], forging)
        assert pending.result(30) == "nobody"
    assert sent == 0


def test_a_name_that_changes_its_address_leads_nowhere_else(
    functions: Functions, probes: dict[str, str], kind: str
) -> None:
    """The resolver answers with a public address first and with a private one from then on."""
    statements = f"""
found = []
for _ in range(4):
    found += [tcp(address, {PORT}, 2) for address in look_up('rebinding.example') if isinstance(address, str)]
    found += [tcp(address, {PORT}, 2) for address in look_up('metadata.example') if isinstance(address, str)]
    found += [tcp(address, {PORT}, 2) for address in look_up('host.example') if isinstance(address, str)]
result = [answer for answer in found if answer[0] == 'reached']
seen = look_up('private.example') + look_up('metadata.example')
result = [len(result) <= 1, [name for name in seen if isinstance(name, str)]]
"""
    assert functions.call(probes[kind], statements) == [True, []]
