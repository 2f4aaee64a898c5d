"""Functions with layers: what they find below /opt, what they may name, and what stays for them."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.arns import arn_of
from harness.functions import ECHO, Functions, boto_client, unique_name
from harness.layers import layer_arn, publish, unique_layer
from harness.metrics import metrics_of
from harness.packages import RawZip, zeros_zip, zip_of
from harness.refusals import invalid_parameter, refusal
from harness.server import ROLE, Keys, Server
from harness.tools import run, tool
from harness.waiting import until

UNPACKED_LIMIT = 262_144_000
READY = 'wuwei_stock_blanks{state="ready"}'
FROM_STOCK = 'wuwei_stock_starts_total{from="stock"}'
LOOK = """
import os, sys
import tool
def handler(event, context):
    seen = {'tool': tool.NAME, 'where': os.path.dirname(tool.__file__)}
    for path in event:
        seen[path] = open(path).read() if os.path.isfile(path) else os.path.isdir(path)
    return seen
"""
NODE_LOOK = """
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
export const handler = async () => [require('tool').name, require('versioned').name];
"""


def published(functions: Functions, files: dict[str, str | bytes], name: str | None = None) -> str:
    arn: str = publish(functions.client, files, name)["LayerVersionArn"]
    return arn


def code_directories(server: Server) -> set[str]:
    return {path.name for path in (server.data_dir / "code").iterdir()}


def test_python_finds_modules_of_layers_cold_and_from_the_stock(functions: Functions) -> None:
    layer = published(functions, {"python/tool.py": "NAME = 'a'", "share/data": "d"})
    name = functions.deploy_python(LOOK, Layers=[layer])
    expected = {"tool": "a", "where": "/opt/python", "/opt/share/data": "d"}
    for _ in range(3):
        assert functions.call(name, ["/opt/share/data"]) == expected
        # A new instance for the next call: from the stock, as soon as one stands there.
        functions.client.update_function_configuration(FunctionName=name, Description=unique_name("again"))
        functions.wait_updated(name)


def test_a_function_with_layers_starts_from_the_stock(fresh_server: Server, functions_of: Any) -> None:
    functions = functions_of(fresh_server)
    layers = [published(functions, {"python/tool.py": "NAME = 'a'"}), published(functions, {"share/data": "d"})]
    name = functions.deploy_python(LOOK, Layers=layers)
    until(lambda: metrics_of(fresh_server)[READY], "a sandbox is in stock")
    assert functions.call(name, ["/opt/share/data"])["tool"] == "a"
    assert metrics_of(fresh_server)[FROM_STOCK] == 1


def test_site_packages_of_layers_are_for_their_version_of_python(functions: Functions) -> None:
    version = functions.python.removeprefix("python")
    files = {f"python/lib/python{version}/site-packages/tool.py": "NAME = 'mine'"}
    name = functions.deploy_python(LOOK, Layers=[published(functions, files)])
    found = functions.call(name, [])
    assert found == {"tool": "mine", "where": f"/opt/python/lib/python{version}/site-packages"}
    other = {"python/lib/python3.1/site-packages/tool.py": "NAME = 'other'"}
    name = functions.deploy_python(LOOK, Layers=[published(functions, other)])
    assert functions.invoke(name, []).value["errorType"] == "Runtime.ImportModuleError"


def test_the_functions_own_code_comes_before_its_layers(functions: Functions) -> None:
    layer = published(functions, {"python/tool.py": "NAME = 'layer'"})
    files = {"app.py": LOOK, "tool.py": "NAME = 'own'"}
    name = functions.deploy(files, Runtime=functions.python, Handler="app.handler", Layers=[layer])
    assert functions.call(name, [])["tool"] == "own"


def test_later_layers_cover_earlier_ones(functions: Functions) -> None:
    first = published(functions, {"python/tool.py": "NAME = 'first'", "a": "1", "both/x": "1", "kind/file": "1"})
    second = published(functions, {"python/tool.py": "NAME = 'second'", "b": "2", "both/y": "2", "kind": "2"})
    paths = ["/opt/a", "/opt/b", "/opt/both/x", "/opt/both/y", "/opt/kind"]
    name = functions.deploy_python(LOOK, Layers=[first, second])
    assert functions.call(name, paths) == {
        "tool": "second",
        "where": "/opt/python",
        "/opt/a": "1",
        "/opt/b": "2",
        "/opt/both/x": "1",
        "/opt/both/y": "2",
        "/opt/kind": "2",
    }
    functions.client.update_function_configuration(FunctionName=name, Layers=[second, first])
    functions.wait_updated(name)
    found = functions.call(name, ["/opt/kind", "/opt/both/y"])
    assert (found["tool"], found["/opt/kind"], found["/opt/both/y"]) == ("first", True, "2")


def test_node_finds_modules_of_layers(functions: Functions) -> None:
    major = functions.node.removeprefix("nodejs").removesuffix(".x")
    files: dict[str, str | bytes] = {
        "nodejs/node_modules/tool/index.js": "exports.name = 'tool';",
        f"nodejs/node{major}/node_modules/versioned/index.js": "exports.name = 'versioned';",
    }
    name = functions.deploy_node(NODE_LOOK, Layers=[published(functions, files)])
    assert functions.call(name) == ["tool", "versioned"]


def test_programs_and_libraries_of_layers_are_found(functions: Functions, tmp_path: Path) -> None:
    source, library = tmp_path / "answer.c", tmp_path / "libanswer.so"
    source.write_text("int answer(void) { return 42; }\n")
    run([tool("cc"), "-shared", "-fPIC", "-o", str(library), str(source)]).ok()
    files: dict[str, str | bytes] = {"bin/hello": "#!/bin/sh\necho hello\n", "lib/libanswer.so": library.read_bytes()}
    code = """
import ctypes, subprocess
def handler(event, context):
    said = subprocess.run(['hello'], capture_output=True, text=True).stdout
    return [said, ctypes.CDLL('libanswer.so').answer()]
"""
    assert functions.run_python(code, Layers=[published(functions, files)]) == ["hello\n", 42]


def test_a_layer_may_have_the_bootstrap(functions: Functions) -> None:
    bootstrap = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  head=$(curl -sS -D- -o /tmp/event "$api/next" | tr -d '\\r')
  id=$(echo "$head" | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  curl -sS -d "\\"$0\\"" "$api/$id/response" >/dev/null
done
"""
    layer = published(functions, {"bootstrap": bootstrap})
    for _ in range(2):
        name = functions.deploy({"data": "x"}, Runtime="provided.al2023", Handler="h", Layers=[layer])
        assert functions.call(name) == "/opt/bootstrap"


def test_layers_are_read_only_and_without_layers_opt_is_empty(functions: Functions) -> None:
    code = """
import os
def handler(event, context):
    try:
        open('/opt/new', 'w')
    except OSError as error:
        return [error.errno, os.listdir('/opt')]
"""
    layer = published(functions, {"file": "x"})
    assert functions.run_python(code, Layers=[layer]) == [30, ["file"]]
    assert functions.run_python(code) == [30, []]


def test_layers_are_shown_in_order_and_taken_away_again(functions: Functions) -> None:
    first = publish(functions.client, {"a": "1"})
    second = publish(functions.client, {"b": "22"})
    arns = [first["LayerVersionArn"], second["LayerVersionArn"]]
    name = functions.deploy_python(ECHO, Layers=arns)
    shown = [{"Arn": layer["LayerVersionArn"], "CodeSize": layer["Content"]["CodeSize"]} for layer in (first, second)]
    client = functions.client
    assert client.get_function_configuration(FunctionName=name)["Layers"] == shown
    assert client.get_function(FunctionName=name)["Configuration"]["Layers"] == shown
    listed = [item for page in client.get_paginator("list_functions").paginate() for item in page["Functions"]]
    assert next(item for item in listed if item["FunctionName"] == name)["Layers"] == shown
    version = client.publish_version(FunctionName=name)["Version"]
    unchanged = client.update_function_configuration(FunctionName=name, Description="other")
    assert unchanged["Layers"] == shown
    functions.wait_updated(name)
    assert "Layers" not in client.update_function_configuration(FunctionName=name, Layers=[])
    functions.wait_updated(name)
    assert client.get_function_configuration(FunctionName=name, Qualifier=version)["Layers"] == shown


def test_layers_that_cannot_be_named_are_refused_and_nothing_is_changed(functions: Functions) -> None:
    layers = [published(functions, {"n": str(number)}) for number in range(6)]
    name = functions.deploy_python(ECHO, Layers=layers[:5])
    before = functions.client.get_function_configuration(FunctionName=name)
    layer = unique_layer()
    two_versions = [published(functions, {"n": "x"}, layer), published(functions, {"n": "y"}, layer)]
    foreign = layer_arn("theirs", 3, account="123456789012", region="eu-west-3")
    cases = {
        "Cannot reference more than 5 layers.": layers,
        "Two different versions of the same layer are not allowed to be referenced in the same function.": two_versions,
        f"Layer version {layer_arn('nobody', 1)} does not exist.": [layer_arn("nobody", 1)],
        f"Layer version {two_versions[0][:-1]}9 does not exist.": [two_versions[0][:-1] + "9"],
        f"Layer version {foreign} does not exist. Layers of other accounts and regions are not fetched: download the "
        f"layer there, and bring it here with: wuwei layer import FILE --arn {foreign}": [foreign],
    }
    for message, named in cases.items():
        expected = invalid_parameter(message)
        update = {"FunctionName": name, "Layers": named}
        assert refusal(lambda update=update: functions.client.update_function_configuration(**update)) == expected
        assert refusal(lambda named=named: functions.deploy_python(ECHO, Layers=named)) == expected
    no_version = refusal(lambda: functions.deploy_python(ECHO, Layers=[layer_arn("nobody")]))
    assert (no_version.status, no_version.error) == (400, "ValidationException")
    after = functions.client.get_function_configuration(FunctionName=name)
    assert after["RevisionId"] == before["RevisionId"]


def test_code_and_layers_together_have_a_limit(functions: Functions) -> None:
    half = UNPACKED_LIMIT // 2
    app = len(b"def handler(event, context):\n    return 1\n")
    content = {"ZipFile": zeros_zip(half - app)}
    large = functions.client.publish_layer_version(LayerName=unique_layer(), Content=content)["LayerVersionArn"]
    small = published(functions, {"x": "1"})

    def create(size: int, layers: list[str]) -> str:
        name = unique_name("large")
        functions.client.create_function(
            FunctionName=name,
            Runtime=functions.python,
            Handler="app.handler",
            Role=ROLE,
            Code={"ZipFile": zeros_zip(size)},
            Layers=layers,
        )
        functions.wait_active(name)
        return name

    def too_large(size: int) -> Any:
        return invalid_parameter(
            f"Function code combined with layers exceeds the maximum allowed size of {UNPACKED_LIMIT} bytes. "
            f"The actual size is {size} bytes."
        )

    name = create(UNPACKED_LIMIT - half - app, [large])
    assert functions.call(name) == 1
    update = {"FunctionName": name, "Layers": [large, small]}
    assert refusal(lambda: functions.client.update_function_configuration(**update)) == too_large(UNPACKED_LIMIT + 1)
    code = {"FunctionName": name, "ZipFile": zeros_zip(UNPACKED_LIMIT - half - app + 1)}
    assert refusal(lambda: functions.client.update_function_code(**code)) == too_large(UNPACKED_LIMIT + 1)
    dry = code | {"DryRun": True}
    assert refusal(lambda: functions.client.update_function_code(**dry)) == too_large(UNPACKED_LIMIT + 1)
    dry["ZipFile"] = zeros_zip(UNPACKED_LIMIT - half - app)
    assert functions.client.update_function_code(**dry)["CodeSize"] == len(dry["ZipFile"])
    refused = refusal(lambda: create(UNPACKED_LIMIT - half - app, [large, small]))
    assert refused == too_large(UNPACKED_LIMIT + 1)
    functions.client.delete_function(FunctionName=name)


def test_a_deleted_layer_version_works_on_and_its_package_goes_with_the_last_function(
    fresh_server: Server, functions_of: Any
) -> None:
    functions = functions_of(fresh_server)
    client = functions.client
    empty = code_directories(fresh_server)
    layers = [published(functions, {"python/tool.py": "NAME = 'kept'"}), published(functions, {"b": "2"})]
    name = functions.deploy_python(LOOK, Layers=layers)
    for arn in layers:
        layer, version = arn.rsplit(":", 1)
        client.delete_layer_version(LayerName=layer, VersionNumber=int(version))
    assert functions.call(name, ["/opt/b"]) == {"tool": "kept", "where": "/opt/python", "/opt/b": "2"}
    # The function's package, the two layers, and what they are together.
    assert len(code_directories(fresh_server) - empty) == 4
    fresh_server.kill()
    fresh_server.start()
    functions = functions_of(fresh_server)
    assert functions.call(name, ["/opt/b"])["tool"] == "kept"
    # A name that is not there any more is kept by those who have it, and taken by no others.
    functions.client.update_function_configuration(FunctionName=name, Description="changed")
    functions.wait_updated(name)
    refused = refusal(lambda: functions.deploy_python(ECHO, Layers=layers))
    assert refused.message == f"Layer version {layers[0]} does not exist."
    functions.client.delete_function(FunctionName=name)
    until(lambda: code_directories(fresh_server) == empty, "no package is left")


def test_a_published_version_keeps_its_layers(functions: Functions) -> None:
    old, new = (published(functions, {"python/tool.py": f"NAME = '{name}'"}) for name in ("old", "new"))
    name = functions.deploy_python(LOOK, Layers=[old])
    version = functions.client.publish_version(FunctionName=name)["Version"]
    functions.client.update_function_configuration(FunctionName=name, Layers=[new])
    functions.wait_updated(name)
    assert functions.call(name, [])["tool"] == "new"
    assert functions.call(arn_of(name, version), [])["tool"] == "old"


def test_what_layers_are_together_is_put_together_again_when_it_is_lost(
    fresh_server: Server, functions_of: Any
) -> None:
    functions = functions_of(fresh_server)
    layers = [published(functions, {"python/tool.py": "NAME = 'a'"}), published(functions, {"b": "2"})]
    name = functions.deploy_python(LOOK, Layers=layers)
    fresh_server.stop()
    # A backup need not hold what can be unpacked again.
    for directory in (fresh_server.data_dir / "code").iterdir():
        directory.rename(fresh_server.data_dir / f"lost-{directory.name}")
    fresh_server.start()
    assert functions_of(fresh_server).call(name, ["/opt/b"])["/opt/b"] == "2"


def test_a_layer_of_another_account_takes_its_permission(new_server: Any, functions_of: Any) -> None:
    server = new_server(config='auth = "off"\n').start()
    owner = boto_client(server, keys=Keys("111111111111", "x"))
    user = boto_client(server, keys=Keys("222222222222", "x"))
    arn = publish(owner, {"python/tool.py": "NAME = 'theirs'"}, "shared")["LayerVersionArn"]
    functions = Functions(user, functions_of(server).python)
    shared = {"LayerName": "shared", "VersionNumber": 1}
    for refused in (
        refusal(lambda: functions.deploy_python(LOOK, Layers=[arn])),
        refusal(lambda: user.get_layer_version_by_arn(Arn=arn)),
    ):
        assert (refused.status, refused.error) == (403, "AccessDeniedException")
        assert "no resource-based policy allows the lambda:GetLayerVersion action" in refused.message
    permission = {"StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "222222222222"}
    owner.add_layer_version_permission(**shared, **permission)
    name = functions.deploy_python(LOOK, Layers=[arn])
    assert functions.call(name, [])["tool"] == "theirs"
    assert user.get_layer_version_by_arn(Arn=arn)["Version"] == 1
    owner.remove_layer_version_permission(**shared, StatementId="s")
    assert refusal(lambda: functions.deploy_python(LOOK, Layers=[arn])).status == 403
    # Who has it keeps it.
    assert functions.call(name, [])["tool"] == "theirs"


def test_an_imported_layer_is_used_by_its_own_arn(functions: Functions, server: Server, tmp_path: Path) -> None:
    arn = layer_arn("tracer", 58, account="901920570463", region="us-west-2")
    package = tmp_path / "layer.zip"
    package.write_bytes(zip_of({"python/tool.py": "NAME = 'vendor'"}))
    server.wuwei("layer", "import", str(package), "--arn", arn).ok()
    name = functions.deploy_python(LOOK, Layers=[arn])
    assert functions.call(name, [])["tool"] == "vendor"
    assert functions.client.get_function_configuration(FunctionName=name)["Layers"][0]["Arn"] == arn


def test_changes_of_layers_at_the_same_time_leave_one_of_them(functions: Functions) -> None:
    layers = [published(functions, {"python/tool.py": f"NAME = '{number}'"}) for number in range(4)]
    name = functions.deploy_python(LOOK)

    def change(layer: str) -> str:
        try:
            functions.client.update_function_configuration(FunctionName=name, Layers=[layer])
        except functions.client.exceptions.ResourceConflictException:
            return "conflict"
        return layer

    with ThreadPoolExecutor(4) as pool:
        done = [layer for layer in pool.map(change, layers) if layer != "conflict"]
    functions.wait_updated(name)
    (shown,) = functions.client.get_function_configuration(FunctionName=name)["Layers"]
    assert shown["Arn"] in done
    assert functions.call(name, [])["tool"] == str(layers.index(shown["Arn"]))


def test_hostile_layers_are_refused_and_links_of_layers_stay_inside(functions: Functions) -> None:
    link = stat.S_IFLNK | 0o777
    climbing = RawZip().add("python/x", b"../../../etc/passwd", mode=link).bytes()
    content = {"ZipFile": climbing}
    refused = refusal(lambda: functions.client.publish_layer_version(LayerName=unique_layer(), Content=content))
    assert refused.message.startswith("Could not unzip uploaded file.")
    inside = RawZip().add("real/data", b"d").add("alias", b"real", mode=link).bytes()
    arn = functions.client.publish_layer_version(LayerName=unique_layer(), Content={"ZipFile": inside})
    covering = published(functions, {"alias/data": "covered", "python/tool.py": "NAME = 'x'"})
    name = functions.deploy_python(LOOK, Layers=[arn["LayerVersionArn"], covering])
    found = functions.call(name, ["/opt/alias/data", "/opt/real/data"])
    assert (found["/opt/alias/data"], found["/opt/real/data"]) == ("covered", "d")


@pytest.mark.parametrize("count", [1, 5])
def test_one_layer_and_five_of_them_are_taken(functions: Functions, count: int) -> None:
    layers = [published(functions, {f"n{number}": str(number)}) for number in range(count)]
    code = "import os\ndef handler(event, context):\n    return sorted(os.listdir('/opt'))\n"
    assert functions.run_python(code, Layers=layers) == [f"n{number}" for number in range(count)]
