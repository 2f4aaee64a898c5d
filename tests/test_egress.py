"""What functions reach: each policy against a world of hosts, on a host of the tests' own.

Nothing here leaves the test's network namespaces; see `harness/network.py`.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from harness import leftovers
from harness.egress import EVERYTHING, POLICIES, ask_egress, probe, set_egress
from harness.functions import ECHO, Functions, boto_client, unique_name
from harness.network import (
    HOST,
    HOST_PRIVATE,
    NEVER,
    OTHER_PORT,
    PORT,
    PRIVATE,
    PUBLIC,
    World,
    forwarding,
    shown_instead,
    test_host,
)
from harness.server import RUNNING, Keys, Server
from harness.servers import finish, newest_python
from harness.servers import make_server as new_directory
from harness.tools import run, tool
from harness.waiting import until

MakeServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]

RELAY = """
where = urllib.parse.urlsplit(os.environ['AWS_ENDPOINT_URL'])
connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
connection.request('GET', '/2015-03-31/functions')
result = connection.getresponse().status
"""


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[World]:
    """The tests of this file run on their own host."""
    with test_host() as made:
        yield made


@pytest.fixture
def make_server(new_server: MakeServer, world: World) -> MakeServer:
    """Servers that ask the world's resolver; `egress` is what `--egress` says."""

    def make(egress: str | None = None, **settings: Any) -> Server:
        arguments = ("--egress", egress) if egress else ()
        return new_server(arguments=arguments, prefix=world.prefix, **settings)

    return make


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    """A server with the policies that it has without configuration."""
    leftovers.adopt_orphans()
    made = new_directory(prefix=world.prefix)
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


@pytest.fixture(scope="module")
def reached(functions: Functions, probes: dict[str, str]) -> dict[tuple[str, str], set[str]]:
    """What each policy reached: `tcp`, `udp`, and `tcp other` for the other port."""
    targets = [*PUBLIC, *PRIVATE, *NEVER]
    statements = f"""
result = {{}}
def look(address):
    found = result[address] = {{'tcp': tcp(address, {PORT}), 'udp': udp(address, {PORT})}}
    found['tcp other'] = tcp(address, {OTHER_PORT})
threads = [threading.Thread(target=look, args=(address,)) for address in {targets!r}]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    found = {}
    for kind, name in probes.items():
        for address, answers in functions.call(name, statements).items():
            found[kind, address] = {how for how, answer in answers.items() if answer[0] == "reached"}
            assert not [answer for answer in answers.values() if "timed out" in answer[1]], (kind, address, answers)
    return found


ALL = {"tcp", "udp", "tcp other"}
EXPECTED = {
    "none": {},
    "default": dict.fromkeys(PUBLIC, ALL),
    "internet": dict.fromkeys(PUBLIC, ALL),
    "list": {
        "203.0.113.10": {"tcp", "udp"},
        "10.9.8.7": {"tcp", "udp"},
        "2001:db8::10": {"tcp", "udp"},
        "fd12:3456::7": ALL,
    },
    "everything": dict.fromkeys((*PUBLIC, *PRIVATE), ALL),
}


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("address", [*PUBLIC, *PRIVATE, *NEVER])
def test_a_policy_opens_exactly_what_it_names(
    reached: dict[tuple[str, str], set[str]], kind: str, address: str
) -> None:
    assert reached[kind, address] == EXPECTED[kind].get(address, set())


@pytest.mark.parametrize("kind", EXPECTED)
def test_neither_raw_nor_ping_sockets_are_there(functions: Functions, probes: dict[str, str], kind: str) -> None:
    sockets = ["AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP", "AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP"]
    sockets += ["AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6", "AF_INET6, socket.SOCK_RAW, 58"]
    attempts = ", ".join(f"attempt(lambda: socket.socket(socket.{each}))" for each in sockets)
    assert [answer[0] for answer in functions.call(probes[kind], f"result = [{attempts}]")] == ["refused"] * 4


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_way_back_works_under_every_policy(functions: Functions, probes: dict[str, str], kind: str) -> None:
    assert functions.call(probes[kind], RELAY) == 403


@pytest.fixture
def listeners() -> Iterator[int]:
    """A port that the host listens on, on all its addresses, in TCP and UDP."""
    with ExitStack() as held:
        first = held.enter_context(closing(socket.create_server(("0.0.0.0", 0))))
        port = first.getsockname()[1]
        second = held.enter_context(closing(socket.create_server(("::", port), family=socket.AF_INET6)))
        datagrams = []
        # One for each address: an answer must come from the one that was asked.
        for address in (*HOST.values(), HOST_PRIVATE):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            datagrams.append(held.enter_context(closing(socket.socket(family, socket.SOCK_DGRAM))))
            datagrams[-1].bind((address, port))

        def accept(listener: socket.socket) -> None:
            with suppress(OSError):
                while True:
                    stream, _ = listener.accept()
                    with stream:
                        stream.sendall(b"the host")

        def echo(asked: socket.socket) -> None:
            with suppress(OSError):
                while True:
                    _, peer = asked.recvfrom(100)
                    asked.sendto(b"the host", peer)

        threads = [threading.Thread(target=accept, args=(each,), daemon=True) for each in (first, second)]
        threads += [threading.Thread(target=echo, args=(each,), daemon=True) for each in datagrams]
        for thread in threads:
            thread.start()
        yield port


def host_addresses(server: Server) -> list[str]:
    """All addresses of the host that are not link-local, and those of its link to the router."""
    shown = json.loads(run([tool("ip"), "-j", "address"]).ok().output)
    found = [entry["local"] for link in shown for entry in link["addr_info"]]
    assert [link for link in shown if link["ifname"] == server.network_interface], "there is no link to a router"
    return [address for address in found if not address.startswith("fe80:")]


@pytest.mark.parametrize("kind", ["none", "default", "internet", "list"])
def test_the_hosts_own_addresses_cannot_be_reached(
    server: Server, functions: Functions, probes: dict[str, str], listeners: int, kind: str
) -> None:
    addresses = host_addresses(server)
    assert {HOST[4], HOST[6], HOST_PRIVATE} < set(addresses)
    ports = [listeners, server.address[1]]
    statements = f"""
asked = [(how, address, port) for how in (tcp, udp) for address in {addresses!r} for port in {ports!r}]
result = [[address, port, how(address, port, 2)] for how, address, port in asked]
"""
    reached = [entry for entry in functions.call(probes[kind], statements) if entry[2][0] == "reached"]
    assert reached == []


def test_a_list_opens_a_port_of_the_host_and_no_other(server: Server, functions: Functions, listeners: int) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as other:
        closed = other.getsockname()[1]
        policy = f"{HOST_PRIVATE}:{listeners},{HOST[4]}:{listeners},[{HOST[6]}]:{listeners}"
        name = probe(server, functions, policy)
        for address in (HOST_PRIVATE, HOST[4], HOST[6]):
            statements = f"result = [tcp({address!r}, {listeners}), udp({address!r}, {listeners})]"
            assert functions.call(name, statements) == [["reached", "the host"]] * 2, address
            assert functions.call(name, f"result = tcp({address!r}, {closed}, 2)")[0] == "refused"


def test_a_port_that_the_host_leads_elsewhere_is_closed_unless_it_is_listed(
    server: Server, functions: Functions, probes: dict[str, str]
) -> None:
    """As container engines do it: the destination is translated before the host's own rules are asked."""
    rules = f"""
table ip published {{
    chain prerouting {{
        type nat hook prerouting priority dstnat
        ip daddr {HOST[4]} tcp dport 8080 dnat to 10.9.8.7:{PORT}
    }}
}}
"""
    run([tool("nft"), "-f", "-"], text=rules).ok()
    try:
        ask = f"result = tcp({HOST[4]!r}, 8080, 3)"
        assert functions.call(probes["internet"], ask)[0] == "refused"
        assert functions.call(probe(server, functions, f"{HOST[4]}:8080"), ask)[0] == "reached"
    finally:
        run([tool("nft"), "delete", "table", "ip", "published"]).ok()


@pytest.mark.parametrize("policy", ["internet", EVERYTHING])
def test_other_sandboxes_cannot_be_reached(server: Server, functions: Functions, policy: str) -> None:
    """Of two with the same policy one listens on all its addresses; the other tries all that sandboxes can have."""
    waiting = """
listeners = [socket.create_server(('0.0.0.0', 5555)), socket.create_server(('::', 5556), family=socket.AF_INET6)]
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(('0.0.0.0', 5555))
seen = []
def wait(what, receive):
    what.settimeout(6)
    try:
        receive(what)
        seen.append('reached')
    except OSError:
        seen.append('nobody')
jobs = [(each, lambda each: each.accept()) for each in listeners] + [(asked, lambda each: each.recv(10))]
threads = [threading.Thread(target=wait, args=job) for job in jobs]
for thread in threads: thread.start()
own = open('/proc/net/fib_trie').read()
for thread in threads: thread.join()
result = [seen, own, open('/proc/net/if_inet6').read()]
"""
    trying = """
own = open('/proc/net/fib_trie').read()
addresses = ['169.254.16.%d' % number for number in range(120)]
own_number = next(number for number in range(120) if '-- 169.254.16.%d\\n' % number in own)
others = [address for address in addresses if '-- ' + address + '\\n' not in own]
v6 = ['fd77:7577:6569:1::%x' % number for number in range(120) if number != own_number]
result = [len(others)] + sorted({str(tcp(address, 5555, 1)) for address in others})
result += sorted({str(udp(address, 5555, 0.02)) for address in others})
result += sorted({str(tcp(address, 5556, 1)) for address in v6})
"""
    first, second = (probe(server, functions, policy) for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(functions.call, first, waiting)
        tried = functions.call(second, trying)
        seen, own, own_v6 = pending.result(60)
    assert seen == ["nobody"] * 3
    assert "169.254.16." in own and "fd777577656900010" in own_v6
    assert tried[0] == 119
    assert not [answer for answer in tried[1:] if "reached" in answer], tried


def test_a_function_cannot_speak_from_the_address_of_another(functions: Functions, probes: dict[str, str]) -> None:
    """Linux lets anybody bind to an IPv6 address that is not there; the answer would go to whoever has it."""
    waiting = """
asked = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
asked.bind(('::', 5600))
asked.settimeout(4)
try:
    result = asked.recv(100).decode()
except OSError:
    result = 'nobody'
"""
    forging = f"""
IPV6_FREEBIND = 78
own = open('/proc/net/if_inet6').read()
sent = 0
for _ in range(3):
    for number in range(120):
        if 'fd7775776569000100000000%08x' % number in own:
            continue
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as forger:
            forger.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            forger.bind(('fd77:7577:6569:1::%x' % number, 5600))
            forger.sendto(b'x', ('2001:db8::10', {PORT}))
            sent += 1
    time.sleep(0.5)
result = sent
"""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(functions.call, probes["internet"], waiting)
        assert functions.call(probes["default"], forging) == 3 * 119
        assert pending.result(30) == "nobody"


def test_a_function_cannot_change_its_network(functions: Functions, probes: dict[str, str]) -> None:
    statements = """
import fcntl
def ioctl(number, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        return fcntl.ioctl(asker, number, text + bytes(40 - len(text)))
up = struct.pack('16sH', b'eth0', 0)
address = struct.pack('16sHH4s', b'eth0', socket.AF_INET, 0, socket.inet_aton('10.9.8.7'))
def route():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asker:
        asker.send(struct.pack('=IHHII', 28, 25, 5, 1, 0) + struct.pack('=BBBBBBBBI', 2, 0, 0, 0, 254, 4, 0, 1, 0))
        number = struct.unpack('=i', asker.recv(200)[16:20])[0]
        raise OSError(-number, 'netlink') if number else RuntimeError('allowed')
result = [attempt(lambda: ioctl(0x8914, up)), attempt(lambda: ioctl(0x8916, address)), attempt(route)]
result += [attempt(lambda: open('/proc/sys/net/ipv4/ip_forward', 'w').write('1'))]
"""
    assert [answer[0] for answer in functions.call(probes["internet"], statements)] == ["refused"] * 4


def test_names_lead_to_public_addresses_only(functions: Functions, probes: dict[str, str]) -> None:
    looked_up = [f"result = look_up('{name}.example')" for name in ("public", "private", "metadata", "mixed", "none")]
    found = [functions.call(probes["internet"], each) for each in looked_up]
    assert found[0] == ["2001:db8::10", "203.0.113.10"]
    assert all(isinstance(answer[0], int) for answer in found[1:]), found


def test_long_answers_come_over_a_connection(functions: Functions, probes: dict[str, str]) -> None:
    assert len(functions.call(probes["internet"], "result = look_up('large.example')")) == 100


def test_without_a_network_names_are_not_waited_for(functions: Functions, probes: dict[str, str]) -> None:
    statements = "began = time.monotonic()\nresult = [look_up('public.example'), time.monotonic() - began]"
    found, seconds = functions.call(probes["none"], statements)
    assert isinstance(found[0], int) and seconds < 2


def test_a_listed_name_opens_its_addresses_and_its_port(server: Server, functions: Functions) -> None:
    name = probe(server, functions, f"public.example:{PORT},[fd12:3456::7]:{PORT}")
    statements = f"""
result = [tcp('203.0.113.10', {PORT}, 2), look_up('public.example'), tcp('203.0.113.10', {PORT}, 2)]
result += [udp('2001:db8::10', {PORT}), tcp('203.0.113.10', {OTHER_PORT}, 2), tcp('203.0.113.11', {PORT}, 2)]
result += [look_up('second.example'), tcp('fd12:3456::7', {PORT})]
"""
    before, found, after, v6, port, other, unlisted, network = functions.call(name, statements)
    assert found == ["2001:db8::10", "203.0.113.10"]
    assert [before[0], after[0], v6[0]] == ["refused", "reached", "reached"]
    assert [port[0], other[0], network[0]] == ["refused", "refused", "reached"]
    assert isinstance(unlisted[0], int)


def test_a_listed_name_does_not_lead_to_private_addresses_or_the_host(
    server: Server, functions: Functions, listeners: int
) -> None:
    """Also when it led to a public one before."""
    policy = f"rebinding.example:{PORT},private.example:{PORT},metadata.example:{PORT},host.example:{listeners}"
    name = probe(server, functions, policy)
    statements = f"""
def first(name):
    return [family[4][0] for family in socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)]
result = [first('rebinding.example'), tcp('203.0.113.10', {PORT}), look_up('rebinding.example')]
result += [look_up('private.example'), look_up('metadata.example'), look_up('host.example')]
result += [tcp('10.9.8.7', {PORT}, 2), tcp('169.254.169.254', {PORT}, 2), tcp({HOST[4]!r}, {listeners}, 2)]
"""
    found, public, again, private, metadata, host, *attempts = functions.call(name, statements)
    assert found == ["203.0.113.10"] and public[0] == "reached"
    assert isinstance(again[0], int) and isinstance(private[0], int) and isinstance(metadata[0], int)
    assert host == [HOST[4]]
    assert [answer[0] for answer in attempts] == ["refused"] * 3


def test_a_private_address_has_a_name_when_both_are_listed(server: Server, functions: Functions) -> None:
    name = probe(server, functions, f"private.example:{PORT},10.9.8.0/24:{PORT}")
    answer = functions.call(name, f"result = [look_up('private.example'), tcp('private.example', {PORT})]")
    assert answer == [["10.9.8.7"], ["reached", HOST[4]]]


def test_one_sandbox_cannot_use_up_the_connections_of_all(server: Server, functions: Functions) -> None:
    name = probe(server, functions, "internet")
    statements = f"""
count, refusal = 0, None
while refusal is None and count < 6000:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            asker.connect(('203.0.113.10', {PORT}))
            asker.send(b'x')
            count += 1
            if count > 4000:
                asker.settimeout(0.2)
                asker.recv(100)
        except OSError as error:
            refusal = repr(error)
result = [count, refusal]
"""
    count, refusal = functions.call(name, statements)
    assert refusal is not None and 4000 <= count <= 5200, (count, refusal)
    neighbour = probe(server, functions, "internet")
    assert functions.call(neighbour, f"result = tcp('203.0.113.10', {PORT})")[0] == "reached"


# Setting policies.


def test_a_policy_is_set_shown_and_reset(server: Server, functions: Functions) -> None:
    name = probe(server, functions)
    assert ask_egress(server, "GET", name) == (200, {"egress": "internet", "source": "server"})
    ask = f"result = tcp('203.0.113.10', {PORT}, 2)[0]"
    assert functions.call(name, ask) == "reached"
    assert ask_egress(server, "PUT", name, {"egress": ["10.9.8.7", "db.example:5432"]})[0] == 200
    assert ask_egress(server, "GET", name) == (200, {"egress": "10.9.8.7,db.example:5432", "source": "function"})
    assert functions.call(name, ask) == "refused"
    assert ask_egress(server, "DELETE", name) == (200, {"egress": "internet", "source": "server"})
    assert functions.call(name, ask) == "reached"


@pytest.mark.parametrize(
    "wrong", ["", "everything", "169.254.169.254:80", "127.0.0.1", "[::1]:80", "db", "10.0.0.0/33", "none,10.0.0.1", 7]
)
def test_what_is_no_policy_is_refused(server: Server, probes: dict[str, str], wrong: Any) -> None:
    status, answer = ask_egress(server, "PUT", probes["none"], {"egress": wrong})
    assert status == 400, answer
    assert ask_egress(server, "GET", probes["none"])[1]["egress"] == "none"


def test_a_policy_needs_its_function_and_ends_with_it(server: Server, functions: Functions) -> None:
    assert ask_egress(server, "PUT", "nobody", {"egress": "none"})[0] == 404
    name = unique_name("again")
    for expected in ("internet", "internet"):
        functions.deploy_python(ECHO, FunctionName=name)
        assert ask_egress(server, "GET", name)[1]["egress"] == expected
        set_egress(server, name, "none")
        functions.client.delete_function(FunctionName=name)


def test_only_administrators_open_more_than_the_server_does(server: Server, functions: Functions) -> None:
    made = server.wuwei_json("key", "create", "--role", "deployer")
    assert isinstance(made, dict)
    deployer = Keys(made["access_key_id"], made["secret_access_key"])
    viewer_made = server.wuwei_json("key", "create", "--role", "viewer")
    assert isinstance(viewer_made, dict)
    viewer = Keys(viewer_made["access_key_id"], viewer_made["secret_access_key"])
    name = probe(server, functions)
    assert ask_egress(server, "PUT", name, {"egress": "none"}, viewer)[0] == 403
    assert ask_egress(server, "PUT", name, {"egress": "10.9.8.7"}, deployer)[0] == 403
    for policy in ("none", "internet"):
        assert ask_egress(server, "PUT", name, {"egress": policy}, deployer)[0] == 200
    assert ask_egress(server, "DELETE", name, keys=deployer)[0] == 200


def test_deploy_sets_a_policy_from_its_option_or_its_file(server: Server, tmp_path: Path) -> None:
    directory = tmp_path / "deployed"
    directory.mkdir()
    (directory / "app.py").write_text(ECHO)
    (directory / "wuwei.toml").write_text('egress = ["10.9.8.7:7777", "db.example:5432"]\n')

    def deploy(*arguments: str) -> str:
        answer = server.wuwei_json("deploy", str(directory), *arguments)
        assert isinstance(answer, dict)
        return str(answer["action"])

    assert deploy() == "created"
    assert ask_egress(server, "GET", "deployed")[1]["egress"] == "10.9.8.7:7777,db.example:5432"
    assert deploy() == "unchanged"
    assert deploy("--egress", "none") == "updated"
    assert ask_egress(server, "GET", "deployed")[1] == {"egress": "none", "source": "function"}
    assert deploy("--egress", "default") == "updated"
    assert ask_egress(server, "GET", "deployed")[1]["source"] == "server"
    assert server.wuwei("deploy", str(directory), "--egress", "db").status == 2


def test_policies_outlive_the_server(make_server: MakeServer, functions_of: FunctionsOf) -> None:
    server = make_server().start()
    name = probe(server, functions_of(server), "10.9.8.7")
    server.stop()
    server.start()
    assert ask_egress(server, "GET", name)[1]["egress"] == "10.9.8.7"
    ask = f"result = [tcp('10.9.8.7', {PORT})[0], tcp('203.0.113.10', {PORT}, 2)[0]]"
    answer = functions_of(server).call(name, ask)
    assert answer == ["reached", "refused"]


@pytest.mark.parametrize("config", ['egress = "none"\n', 'egress = ["10.9.8.7:7777"]\n'])
def test_the_servers_default_is_configured(make_server: MakeServer, functions_of: FunctionsOf, config: str) -> None:
    server = make_server(config=config).start()
    functions = functions_of(server)
    name = probe(server, functions)
    ask = f"result = [tcp({PUBLIC[0]!r}, {PORT}, 2)[0], tcp('10.9.8.7', {PORT}, 2)[0]]"
    assert functions.call(name, ask) == ["refused", "refused" if "none" in config else "reached"]
    set_egress(server, name, "internet")
    assert functions.call(name, ask) == ["reached", "refused"]


# What is left on the host.


@pytest.fixture
def alone() -> Iterator[World]:
    """One more host, on which no other server runs."""
    with test_host() as made:
        yield made


def test_nothing_is_left_on_the_host_and_forwarding_is_as_before(
    alone: World, new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    assert not forwarding() and not forwarding(6)
    first, second = (new_server(prefix=alone.prefix).start() for _ in range(2))
    assert forwarding() and forwarding(6)
    functions = functions_of(second)
    name = probe(second, functions)
    first.stop()
    assert functions.call(name, f"result = tcp('203.0.113.10', {PORT})")[0] == "reached"
    second.stop()
    assert not forwarding() and not forwarding(6)
    assert leftovers.packet_filter_tables() == set()


def test_forwarding_that_was_on_stays_on(alone: World, new_server: MakeServer) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    new_server(prefix=alone.prefix).start().stop()
    assert forwarding() and not forwarding(6)


def test_a_killed_server_leaves_forwarding_as_it_was(alone: World, new_server: MakeServer) -> None:
    new_server(prefix=alone.prefix).start().kill()
    until(lambda: not forwarding() and not forwarding(6), "forwarding is off again")
    assert leftovers.packet_filter_tables() == set()


def helpers(server: Server) -> dict[str, int]:
    """The server's own processes by their hidden command."""
    lines = {pid: leftovers.command_line(pid) for pid in leftovers.descendants(server.pid)}
    return {line.split()[1]: pid for pid, line in lines.items() if line.split()[1:2] and "__" in line.split()[1]}


def test_a_killed_server_leaves_nothing(make_server: MakeServer, functions_of: FunctionsOf) -> None:
    server = make_server().start()
    functions = functions_of(server)
    assert functions.call(probe(server, functions), f"result = tcp('203.0.113.10', {PORT})")[0] == "reached"
    server.kill()


def test_what_a_killed_filler_and_server_leave_is_removed_at_the_next_start(
    make_server: MakeServer, functions_of: FunctionsOf
) -> None:
    server = make_server().start()
    table = f"wuwei-{server.name}"
    filler = helpers(server)["__filler"]
    os.kill(server.pid, signal.SIGSTOP)
    os.kill(filler, signal.SIGKILL)
    os.kill(server.pid, signal.SIGKILL)
    server.wait_exit()
    assert table in leftovers.packet_filter_tables()
    server.start()
    functions = functions_of(server)
    name = probe(server, functions)
    assert functions.call(name, f"result = tcp('203.0.113.10', {PORT})")[0] == "reached"
    server.stop()
    assert table not in leftovers.packet_filter_tables()


def test_a_filler_that_dies_is_replaced_and_functions_get_new_networks(
    make_server: MakeServer, functions_of: FunctionsOf
) -> None:
    server = make_server().start()
    functions = functions_of(server)
    name = probe(server, functions)
    ask = f"result = tcp('203.0.113.10', {PORT}, 2)[0]"
    assert functions.call(name, ask) == "reached"
    before = helpers(server)["__filler"]
    os.kill(before, signal.SIGKILL)
    until(lambda: helpers(server).get("__filler", before) != before, "there is a new filler")

    def works() -> bool:
        with suppress(functions.client.exceptions.ClientError):
            result = functions.invoke(name, ask)
            return result.function_error is None and result.value == "reached"
        return False

    until(works, "functions have a network again")
    assert server.network_interface in leftovers.network_interfaces()


def test_a_host_without_the_packet_filter_gives_no_network_and_says_so(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    server = new_server(prefix=shown_instead("/dev/null", os.path.realpath(tool("nft")))).start()
    functions = functions_of(server)
    assert "functions have no network" in server.stderr and "apt-get install nftables" in server.stderr
    for policy in (None, "10.9.8.7"):
        name = probe(server, functions, policy)
        assert functions.call(name, "result = socket.if_nameindex()") == [[1, "lo"]]
        assert functions.call(name, f"result = tcp('203.0.113.10', {PORT}, 2)[0]") == "refused"
        assert functions.call(name, RELAY) == 403
    assert not forwarding() or leftovers.packet_filter_tables()


def test_doctor_tells_whether_functions_can_have_networks(server: Server) -> None:
    good = {finding["name"]: finding for finding in json.loads(server.wuwei("doctor", "--json").output)}
    assert good["egress"]["status"] == "good"
    command = [*shown_instead("/dev/null", os.path.realpath(tool("nft"))), *server.command()[len(server.wrapper) :][:1]]
    missing = {finding["name"]: finding for finding in json.loads(run([*command, "doctor", "--json"]).output)}
    assert missing["egress"]["status"] == "degraded" and "nftables" in missing["egress"]["fix"]


def test_no_interface_or_namespace_is_left_by_functions(new_server: MakeServer, functions_of: FunctionsOf) -> None:
    """Links of sandboxes end with them: the router has as many as there are networks."""
    # What is built ahead has links, too, and comes and goes.
    server = new_server(config="stock = 0\n").start()
    functions = functions_of(server)
    filler = helpers(server)["__filler"]

    def links() -> int:
        shown = run([tool("nsenter"), "-t", str(filler), "-n", tool("ip"), "-j", "link"]).ok().output
        return sum(link["ifname"].startswith("s") for link in json.loads(shown))

    names = [functions.deploy_python(ECHO) for _ in range(5)]
    before = links()
    for name in names:
        functions.call(name)
    until(lambda: links() == before + len(names), "each instance has its link", within=20)
    for name in names:
        functions.client.delete_function(FunctionName=name)
    until(lambda: links() <= before, "the links are gone", within=20)
