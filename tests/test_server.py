"""The server as a process: where it listens, how it stops, what survives it, what it keeps to itself."""

import os
import re
import resource
import socket
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from harness.functions import ECHO, Functions, boto_client, unique_name
from harness.leftovers import processes_that_see
from harness.packages import zip_of
from harness.server import ROLE, Server
from harness.waiting import until
from harness.wire import get

SECRET = "a-secret-that-must-never-be-written-9f2c"
SLOW = "import time\ndef handler(event, context):\n    print('began')\n    time.sleep(1)\n    return 'finished'\n"
READS_SECRET = "import os\ndef handler(event, context):\n    return len(os.environ['TOKEN'])\n"

MakeServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]


def test_healthz_answers_ok_without_a_signature(server: Server) -> None:
    status, body = server.healthz()
    assert (status, body.strip()) == (200, b"ok")


def test_metrics_are_prometheus_text(server: Server) -> None:
    answer = get(f"{server.endpoint}/metrics")
    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith("text/plain")
    samples = [line for line in answer.body.decode().splitlines() if line and not line.startswith("#")]
    assert samples and all(re.fullmatch(r"[a-z_:]+(\{.*\})? [-+0-9.eEInfNa]+", line) for line in samples), samples


def test_without_a_listen_address_the_server_takes_port_9000_of_loopback(new_server: MakeServer) -> None:
    with ExitStack() as held:
        with suppress(OSError):  # somebody else holds the port: just as good
            held.enter_context(socket.create_server(("127.0.0.1", 9000)))
        refused = new_server().wuwei("up", within=30)
    assert refused.status > 0
    assert "127.0.0.1:9000" in refused.errors, refused


def test_the_listener_is_bound_to_loopback_only(server: Server) -> None:
    host, port = server.address
    assert host == "127.0.0.1"
    listeners = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    local = re.findall(rf"^\s*\d+: ([0-9A-F]+):{port:04X} [0-9A-F:]+ 0A ", listeners, re.MULTILINE)
    assert local == ["0100007F"]


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(new_server: Callable[..., Server]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        made = new_server().start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = Path(f"/proc/{made.pid}/limits").read_text()
    assert re.search(rf"^Max open files +{hard} +{hard} ", limits, re.MULTILINE), limits


def test_sigterm_lets_a_running_call_finish(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SLOW, Timeout=10)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(functions.invoke, name)
        until(lambda: "began" in fresh_server.wuwei("logs", name).output, "the call is running")
        fresh_server.stop()
        assert call.result(20).value == "finished"


def test_functions_versions_and_keys_survive_a_restart(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(READS_SECRET, Environment={"Variables": {"TOKEN": SECRET}})
    functions.client.publish_version(FunctionName=name)
    before = functions.client.get_function_configuration(FunctionName=name)
    keys = fresh_server.keys
    fresh_server.stop()
    fresh_server.start()
    assert keys.secret_access_key == fresh_server.environment()["AWS_SECRET_ACCESS_KEY"]
    after = functions_of(fresh_server)
    found = after.client.get_function_configuration(FunctionName=name)
    assert {**found, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
    assert after.call(name) == len(SECRET)
    assert after.call(f"{name}:1") == len(SECRET)


def test_what_was_answered_survives_kill_nine(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    names = [functions.deploy_python(ECHO, FunctionName=unique_name("kept")) for _ in range(3)]
    functions.client.delete_function(FunctionName=names[0])
    functions.call(names[1], 1)
    fresh_server.kill()
    fresh_server.start()
    after = functions_of(fresh_server)
    listed = {entry["FunctionName"] for entry in after.client.list_functions()["Functions"]}
    assert listed == set(names[1:])
    assert [after.call(name, {"n": 1}) for name in names[1:]] == [{"n": 1}] * 2


def test_a_function_that_was_pending_at_kill_nine_becomes_active(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = unique_name("pending")
    settings = {"Runtime": functions.python, "Handler": "app.handler", "Role": ROLE}
    functions.client.create_function(FunctionName=name, Code={"ZipFile": zip_of({"app.py": ECHO})}, **settings)
    fresh_server.kill()
    fresh_server.start()
    after = functions_of(fresh_server)
    after.wait_active(name)
    assert after.call(name, "still here") == "still here"


def test_kill_nine_in_the_middle_of_a_call_leaves_no_process(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SLOW.replace("sleep(1)", "sleep(600)"), Timeout=900)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(functions.invoke, name)
        until(lambda: "began" in fresh_server.wuwei("logs", name).output, "the call is running")
        fresh_server.kill()
        assert call.exception(20) is not None
    fresh_server.start()


def test_a_second_server_on_the_same_data_directory_is_refused(server: Server) -> None:
    second = server.wuwei("up", "--listen", "127.0.0.1:0", within=30)
    assert second.status > 0
    assert str(server.pid) in second.errors and str(server.data_dir) in second.errors, second
    assert server.healthz()[0] == 200


def test_a_first_start_creates_the_database_and_upgrades_none(fresh_server: Server) -> None:
    assert "create the database" in fresh_server.stderr
    assert "upgrade the database" not in fresh_server.stderr


def test_a_store_of_a_newer_schema_is_refused(fresh_server: Server) -> None:
    fresh_server.stop()
    databases = [path for path in files_below(fresh_server.data_dir) if path.read_bytes()[:15] == b"SQLite format 3"]
    assert databases
    for path in databases:
        with closing(sqlite3.connect(path)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            assert version >= 1
            database.execute("PRAGMA user_version = 9999")
            database.commit()
    refused = fresh_server.wuwei("up", "--listen", "127.0.0.1:0", within=30)
    assert refused.status > 0
    assert "9999" in refused.errors and "newer" in refused.errors, refused


def test_a_port_that_is_taken_is_named(new_server: MakeServer, server: Server) -> None:
    host, port = server.address
    refused = new_server().wuwei("up", "--listen", f"{host}:{port}", within=30)
    assert refused.status > 0
    assert f"{host}:{port}" in refused.errors and "hint:" in refused.errors, refused


def test_an_unknown_configuration_key_is_refused_naming_the_nearest(new_server: MakeServer) -> None:
    made = new_server(config='regoin = "us-east-1"\n')
    refused = made.wuwei("up", "--listen", "127.0.0.1:0", "--config", str(made.config), within=30)
    assert refused.status > 0
    assert "regoin" in refused.errors and "`region`" in refused.errors, refused


def test_account_and_region_are_configurable(new_server: MakeServer) -> None:
    made = new_server(config='account = "123456789012"\nregion = "eu-central-1"\n').start()
    environment = made.environment()
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-central-1"
    listed = boto_client(made, region="eu-central-1").list_functions()
    assert listed["Functions"] == []
    identity = boto_client(made, "sts", region="eu-central-1").get_caller_identity()
    assert identity["Account"] == "123456789012"


def test_the_data_directory_is_closed_to_other_users(server: Server) -> None:
    directory = os.stat(server.data_dir)
    # The group is the server's own user's: the launcher is in it, and passes.
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid) == (0o710, directory.st_gid)
    for name in ("server.json", "credentials.json", "master.key"):
        assert stat.S_IMODE(os.stat(server.data_dir / name).st_mode) == 0o600, name


def test_a_data_directory_that_is_too_open_is_tightened(new_server: MakeServer) -> None:
    made = new_server()
    made.data_dir.mkdir(mode=0o777)
    made.data_dir.chmod(0o777)
    made.start()
    assert stat.S_IMODE(os.stat(made.data_dir).st_mode) == 0o710


def test_secrets_are_in_no_file_and_no_log(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(READS_SECRET, Environment={"Variables": {"TOKEN": SECRET}})
    assert functions.call(name) == len(SECRET)
    too_large = {"Variables": {"TOKEN": SECRET, "PADDING": "x" * 4096}}
    with pytest.raises(functions.client.exceptions.InvalidParameterValueException) as refused:
        functions.client.update_function_configuration(FunctionName=name, Environment=too_large)
    assert SECRET not in str(refused.value)
    fresh_server.stop()
    access_key = fresh_server.keys.secret_access_key.encode()
    for path in [*files_below(fresh_server.data_dir), fresh_server.stderr_path]:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert access_key not in content or path.name == "credentials.json", path


def test_a_lost_master_key_is_a_clear_error(fresh_server: Server) -> None:
    fresh_server.stop()
    (fresh_server.data_dir / "master.key").unlink()
    refused = fresh_server.wuwei("up", "--listen", "127.0.0.1:0", within=30)
    assert refused.status > 0
    assert "master.key" in refused.errors, refused
    assert not (fresh_server.data_dir / "master.key").exists()


def test_idle_instances_go_after_keep_alive(new_server: MakeServer, functions_of: FunctionsOf) -> None:
    made = new_server(config="keep_alive_s = 1\n").start()
    functions = functions_of(made)
    name = functions.deploy_python("import os\ndef handler(event, context):\n    return os.listdir('/var/task')\n")
    assert functions.call(name) == ["app.py"]
    assert processes_that_see(made.mark + "code/")
    until(lambda: not processes_that_see(made.mark + "code/"), "the idle instance is gone")
