"""The commands of `wuwei`: what they do, print, and exit with."""

import base64
import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.functions import ECHO, Functions, unique_name
from harness.native import compiled
from harness.packages import zip_of
from harness.server import ACCOUNT, REGION, Server, exports_of
from harness.tools import Finished, plain_environment, run, wuwei_binary

FAILS = "def handler(event, context):\n    raise ValueError('on purpose')\n"
DONE, NEGATIVE, USAGE, NO_SERVER, REFUSED, LOCAL = range(6)
ESCAPE = "\x1b["


def project(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """A directory with these files; `bootstrap` is executable."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if path.name == "bootstrap":
            path.chmod(0o755)
    return directory


def deployed(server: Server, *arguments: str) -> dict[str, Any]:
    """What `wuwei deploy --json` says."""
    answer = server.wuwei_json("deploy", *arguments)
    assert isinstance(answer, dict)
    return answer


def check_error(finished: Finished, status: int, *words: str) -> None:
    """The exit status, the words, and a hint, all on standard error."""
    assert finished.status == status, finished
    assert "hint:" in finished.errors, finished
    for word in words:
        assert word in finished.errors, finished


@pytest.mark.parametrize(
    ("file", "function"),
    [
        ("app.py", "handler"), ("lambda_function.py", "lambda_handler"), ("handler.py", "handler"),
        ("index.py", "handler"), ("main.py", "handler"),
    ],
)  # fmt: skip
def test_deploy_recognises_a_python_directory(
    server: Server, functions: Functions, tmp_path: Path, file: str, function: str
) -> None:
    name = unique_name("recognised")
    source = f"def {function}(event, context):\n    return [event, __name__]\n"
    made = deployed(server, str(project(tmp_path, {file: source})), "--name", name)
    module = file.removesuffix(".py")
    assert (made["name"], made["runtime"], made["handler"]) == (name, functions.python, f"{module}.{function}")
    assert (made["action"], made["arn"]) == ("created", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
    assert functions.call(name, 1) == [1, module]


def test_deploy_says_what_it_did_and_how_to_go_on(server: Server, tmp_path: Path) -> None:
    name = unique_name("told")
    said = server.wuwei("deploy", str(project(tmp_path, {"app.py": ECHO})), "--name", name).ok().output
    for word in ("created", name, "app.handler", f"wuwei invoke {name}"):
        assert word in said


def test_deploy_names_the_function_after_its_directory(server: Server, functions: Functions, tmp_path: Path) -> None:
    name = unique_name("directory")
    assert deployed(server, str(project(tmp_path / name, {"app.py": ECHO})))["name"] == name
    assert functions.call(name, "x") == "x"


def test_deploying_again_updates_code_and_settings(server: Server, functions: Functions, tmp_path: Path) -> None:
    name = unique_name("again")
    directory = project(tmp_path, {"app.py": "def handler(e, c):\n    return 'first'\n"})
    settings = ["--memory", "256", "--timeout", "9", "--env", "FIRST=1", "--env", "SECOND=x=y"]
    assert deployed(server, str(directory), "--name", name, *settings)["action"] == "created"
    assert functions.call(name) == "first"
    found = functions.client.get_function_configuration(FunctionName=name)
    assert (found["MemorySize"], found["Timeout"]) == (256, 9)
    assert found["Environment"]["Variables"] == {"FIRST": "1", "SECOND": "x=y"}
    project(tmp_path, {"app.py": "import os\ndef handler(e, c):\n    return os.environ['FIRST']\n"})
    assert deployed(server, str(directory), "--name", name, "--env", "FIRST=2", "--timeout", "8")["action"] == "updated"
    assert functions.call(name) == "2"
    found = functions.client.get_function_configuration(FunctionName=name)
    assert (found["MemorySize"], found["Timeout"]) == (256, 8)


def test_the_same_directory_gives_the_same_code_hash(server: Server, tmp_path: Path) -> None:
    files = {"app.py": ECHO, "data/b.txt": "b", "data/a.txt": "a"}
    first, second = project(tmp_path / "one", files), project(tmp_path / "two", dict(reversed(files.items())))
    os.utime(second / "app.py", (1, 1))
    hashes = [deployed(server, str(path), "--name", unique_name("same"))["code_sha256"] for path in (first, second)]
    assert hashes[0] == hashes[1]


def test_deploy_leaves_out_what_is_no_code(server: Server, functions: Functions, tmp_path: Path) -> None:
    code = "import os\ndef handler(e, c):\n    return sorted(os.listdir('/var/task'))\n"
    files = {"app.py": code, ".git/config": "x", "__pycache__/app.pyc": "x", ".venv/bin/python": "x", "kept.txt": "x"}
    name = deployed(server, str(project(tmp_path, files)), "--name", unique_name("clean"))["name"]
    assert functions.call(name) == ["app.py", "kept.txt"]


def test_deploy_takes_a_single_python_file(server: Server, functions: Functions, tmp_path: Path) -> None:
    path = project(tmp_path, {"single.py": ECHO}) / "single.py"
    made = deployed(server, str(path), "--name", unique_name("single"))
    assert made["handler"] == "single.handler"
    assert functions.call(made["name"], 4) == 4


def test_deploy_takes_a_zip_as_it_is(server: Server, functions: Functions, tmp_path: Path) -> None:
    package = zip_of({"app.py": ECHO})
    path = project(tmp_path, {"package.zip": package}) / "package.zip"
    made = deployed(
        server, str(path), "--name", unique_name("zip"), "--handler", "app.handler", "--runtime", functions.python
    )
    assert made["code_sha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert functions.call(made["name"], 5) == 5


def test_deploy_recognises_a_bootstrap(server: Server, functions: Functions, tmp_path: Path) -> None:
    directory = project(tmp_path, {"bootstrap": compiled("echo.c")})
    made = deployed(server, str(directory), "--name", unique_name("native"))
    assert made["runtime"] == "provided.al2023"
    assert functions.call(made["name"], {"native": True}) == {"native": True}


def test_deploy_takes_a_single_executable(server: Server, functions: Functions, tmp_path: Path) -> None:
    path = project(tmp_path, {"program": compiled("echo.c")}) / "program"
    path.chmod(0o755)
    made = deployed(server, str(path), "--name", unique_name("executable"))
    assert made["runtime"] == "provided.al2023"
    assert functions.call(made["name"], [1]) == [1]


def test_a_bootstrap_that_is_not_executable_is_an_error_that_says_so(server: Server, tmp_path: Path) -> None:
    directory = project(tmp_path, {"bootstrap": "#!/bin/sh\n"})
    (directory / "bootstrap").chmod(0o644)
    check_error(server.wuwei("deploy", str(directory), "--name", unique_name("x")), USAGE, "bootstrap", "chmod +x")


def test_deploy_installs_the_requirements(server: Server, functions: Functions, tmp_path: Path) -> None:
    """A package of this test's own, so that nothing comes over the network."""
    facts = "wuwei_tests_greeting-1.0.dist-info"
    files = {
        f"{facts}/METADATA": "Metadata-Version: 2.1\nName: wuwei-tests-greeting\nVersion: 1.0\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{facts}/RECORD": "",
        "wuwei_tests_greeting.py": "WORD = 'installed'\n",
    }
    wheel = tmp_path / "wheels" / "wuwei_tests_greeting-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    code = "import wuwei_tests_greeting\ndef handler(e, c):\n    return wuwei_tests_greeting.WORD\n"
    directory = project(tmp_path / "source", {"app.py": code, "requirements.txt": f"{wheel}\n"})
    made = deployed(server, str(directory), "--name", unique_name("requirements"))
    assert functions.call(made["name"]) == "installed"
    assert sorted(path.name for path in directory.iterdir()) == ["app.py", "requirements.txt"]


def test_a_requirement_that_cannot_be_installed_is_named(server: Server, tmp_path: Path) -> None:
    directory = project(tmp_path, {"app.py": ECHO, "requirements.txt": "./not-there-at-all.whl\n"})
    finished = server.wuwei("deploy", str(directory), "--name", unique_name("x"), within=120)
    check_error(finished, LOCAL, "not-there-at-all.whl")


def test_a_project_file_gives_the_settings(server: Server, functions: Functions, tmp_path: Path) -> None:
    name = unique_name("project")
    text = (
        f'name = "{name}"\nhandler = "odd.entry"\nmemory = 192\ntimeout = 7\n[environment]\nFIRST = "from the file"\n'
    )
    code = "import os\ndef entry(e, c):\n    return os.environ['FIRST']\n"
    assert deployed(server, str(project(tmp_path, {"odd.py": code, "wuwei.toml": text})))["name"] == name
    assert functions.call(name) == "from the file"
    found = functions.client.get_function_configuration(FunctionName=name)
    assert (found["MemorySize"], found["Timeout"], found["Handler"]) == (192, 7, "odd.entry")


def test_an_unknown_key_of_a_project_file_is_refused(server: Server, tmp_path: Path) -> None:
    directory = project(tmp_path, {"app.py": ECHO, "wuwei.toml": "memry = 128\n"})
    finished = server.wuwei("deploy", str(directory))
    assert finished.status == USAGE and "memry" in finished.errors and "memory" in finished.errors, finished


@pytest.mark.parametrize(
    ("files", "word"),
    [({}, "handler"), ({"notes.txt": "nothing to run"}, "handler"), ({"app.py": "x = 1\n"}, "handler")],
    ids=["empty", "no code", "no handler"],
)
def test_a_directory_that_is_no_function_is_an_error(
    server: Server, tmp_path: Path, files: dict[str, str], word: str
) -> None:
    check_error(server.wuwei("deploy", str(project(tmp_path, files)), "--name", unique_name("x")), USAGE, word)


def test_a_path_that_is_not_there_is_an_error(server: Server) -> None:
    check_error(server.wuwei("deploy", "/not/there/at/all"), USAGE, "/not/there/at/all")


def test_invoke_takes_the_event_from_everywhere(server: Server, functions: Functions, tmp_path: Path) -> None:
    name = functions.deploy_python(ECHO)
    file = project(tmp_path, {"event.json": '{"from": "file"}'}) / "event.json"
    assert json.loads(server.wuwei("invoke", name, "-d", '{"from": "text"}').ok().output) == {"from": "text"}
    assert json.loads(server.wuwei("invoke", name, "-d", f"@{file}").ok().output) == {"from": "file"}
    assert json.loads(server.wuwei("invoke", name, "-d", "-", text='{"from": "pipe"}').ok().output) == {"from": "pipe"}
    assert json.loads(server.wuwei("invoke", name).ok().output) == {}


def test_invoke_keeps_the_answer_apart_from_the_log(server: Server, functions: Functions) -> None:
    name = functions.deploy_python("def handler(e, c):\n    print('a log line')\n    return 'the answer'\n")
    finished = server.wuwei("invoke", name).ok()
    assert finished.output.strip() == '"the answer"'
    assert "a log line" in finished.errors and "ms" in finished.errors


def test_invoke_exits_with_one_when_the_function_fails(server: Server, functions: Functions) -> None:
    finished = server.wuwei("invoke", functions.deploy_python(FAILS))
    assert finished.status == NEGATIVE
    assert json.loads(finished.output)["errorMessage"] == "on purpose"
    assert "Unhandled" in finished.errors


def test_invoke_as_json_tells_everything(server: Server, functions: Functions) -> None:
    found: Any = server.wuwei_json("invoke", functions.deploy_python(ECHO), "-d", "[1]")
    assert (found["status_code"], found["payload"], found["function_error"]) == (200, [1], None)
    assert (found["executed_version"], "REPORT RequestId:" in found["log"]) == ("$LATEST", True)


def test_invoke_of_a_missing_function_is_refused(server: Server) -> None:
    check_error(server.wuwei("invoke", "nobody-here"), REFUSED, "nobody-here")


def test_a_payload_that_is_no_json_is_refused(server: Server, functions: Functions) -> None:
    finished = server.wuwei("invoke", functions.deploy_python(ECHO), "-d", "{")
    assert finished.status == REFUSED and "Could not parse request body into json" in finished.errors, finished


def test_ls_lists_and_rm_removes(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert name in server.wuwei("ls").ok().output
    listed: Any = server.wuwei_json("ls")
    assert [entry["Runtime"] for entry in listed if entry["FunctionName"] == name] == [functions.python]
    server.wuwei("rm", name).ok()
    assert name not in server.wuwei("ls").ok().output.split()
    check_error(server.wuwei("rm", name), REFUSED, name)


def test_rm_of_a_version_removes_that_version_only(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert functions.client.publish_version(FunctionName=name)["Version"] == "1"
    server.wuwei("rm", f"{name}:1").ok()
    check_error(server.wuwei("rm", f"{name}:1"), REFUSED, f"{name}:1")
    assert name in server.wuwei("ls").ok().output
    versions = functions.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST"]


def test_wrong_values_are_refused_with_what_would_be_right(
    server: Server, functions: Functions, tmp_path: Path
) -> None:
    name = functions.deploy_python(ECHO)
    directory = str(project(tmp_path, {"app.py": ECHO}))
    check_error(server.wuwei("invoke", "a b"), REFUSED, "letters, digits, dashes and underscores")
    check_error(server.wuwei("deploy", directory, "--name", "bad name"), REFUSED, "letters, digits")
    check_error(server.wuwei("deploy", directory, "--name", name, "--memory", "5"), REFUSED, "128 to 10240")
    check_error(server.wuwei("deploy", directory, "--name", name, "--timeout", "901"), REFUSED, "1 to 900")
    check_error(server.wuwei("deploy", directory, "--name", name, "--env", "1=x"), REFUSED, "begin with a letter")
    check_error(server.wuwei("invoke", f"{name}:7"), REFUSED, "that version or function is not there")


def test_runtimes_lists_what_the_host_has(server: Server, functions: Functions) -> None:
    listed: Any = server.wuwei_json("runtimes")
    identifiers = {entry["identifier"] for entry in listed}
    assert {functions.python, "provided.al2", "provided.al2023"} <= identifiers
    (python,) = [entry for entry in listed if entry["identifier"] == functions.python]
    version = run([python["path"], "--version"]).ok().output.split()[1]
    assert python["version"] == version and Path(python["path"]).read_bytes()[:4] == b"\x7fELF"
    assert functions.python in server.wuwei("runtimes").ok().output


def test_env_prints_what_an_aws_client_needs(server: Server) -> None:
    text = server.wuwei("env").ok().output
    variables = exports_of(text)
    names = {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert variables.keys() == names
    assert (variables["AWS_ENDPOINT_URL"], variables["AWS_REGION"]) == (server.endpoint, REGION)
    assert server.wuwei_json("env") == variables
    shell = run(["sh", "-c", 'eval "$1"; echo "$AWS_ENDPOINT_URL"', "sh", text]).ok()
    assert shell.output.strip() == server.endpoint


def test_commands_work_with_aws_variables_instead_of_a_data_directory(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    finished = run([str(wuwei_binary()), "invoke", name, "-d", "1"], plain_environment(**server.environment())).ok()
    assert finished.output.strip() == "1"


def test_doctor_says_what_this_host_offers(server: Server) -> None:
    findings: Any = server.wuwei_json("doctor")
    text = json.dumps(findings).lower()
    for word in ("cgroup", "namespace", "seccomp", "landlock", "python"):
        assert word in text
    for finding in findings:
        assert finding["name"] and finding["found"] and finding["status"].lower() in ("good", "degraded", "missing")
        assert finding["status"].lower() == "good" or finding["costs"], finding
    assert server.wuwei("doctor").ok().output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_printed(server: Server, shell: str) -> None:
    text = server.wuwei("completions", shell).ok().output
    assert "wuwei" in text and "deploy" in text


def test_a_bash_completion_script_is_valid(server: Server) -> None:
    run(["bash", "-n"], text=server.wuwei("completions", "bash").ok().output).ok()


def test_there_are_no_colours_in_a_pipe_unless_asked_for(server: Server, functions: Functions) -> None:
    functions.deploy_python(ECHO)
    for command in (["ls"], ["doctor"], ["runtimes"]):
        finished = server.wuwei(*command)
        assert ESCAPE not in finished.output + finished.errors
    assert ESCAPE in server.wuwei("ls", "--color", "always").output


def test_without_a_server_commands_say_how_to_start_one(new_server: Callable[..., Server]) -> None:
    for command in (["ls"], ["invoke", "x"], ["env"], ["runtimes"], ["key", "ls"]):
        check_error(new_server().wuwei(*command), NO_SERVER, "wuwei up")


def test_a_server_that_has_gone_is_told_from_one_that_never_was(fresh_server: Server) -> None:
    fresh_server.kill()
    check_error(fresh_server.wuwei("ls"), NO_SERVER)


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["invoke"], ["ls", "--no-such-option"], ["key", "create", "--role", "king"]]
)
def test_wrong_usage_exits_with_two(server: Server, arguments: list[str]) -> None:
    finished = server.wuwei(*arguments)
    assert finished.status == USAGE and finished.errors and not finished.output, finished


def test_a_wrong_key_is_refused_with_a_hint(server: Server) -> None:
    wrong = {**server.environment(), "AWS_SECRET_ACCESS_KEY": "x" * 40}
    finished = run([str(wuwei_binary()), "ls"], plain_environment(**wrong))
    check_error(finished, REFUSED, "signature")
    assert "x" * 40 not in finished.errors


def test_credentials_are_readable_by_their_owner_only(server: Server) -> None:
    assert stat.S_IMODE((server.data_dir / "credentials.json").stat().st_mode) == 0o600


def test_version_and_help_are_printed() -> None:
    assert run([str(wuwei_binary()), "--version"]).ok().output.startswith("wuwei ")
    text = run([str(wuwei_binary()), "--help"]).ok().output
    for command in ("up", "deploy", "invoke", "logs", "ls", "rm", "runtimes", "env", "key", "doctor", "completions"):
        assert f"\n  {command} " in text
    assert "__launcher" not in text
