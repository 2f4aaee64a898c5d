"""What a Python function sees of its runtime, and what its platform sees of it."""

import json
import os
import re

from harness.python_control import ARN, BOOTSTRAP

HEAD = "def handler(event, context):\n    "


def init_error(function):
    answer = function.receive()
    assert answer.kind == "init_error"
    assert answer.request_id == ""
    assert answer.json["requestId"] == ""
    assert function.process.wait(20) == 1
    return answer


# --- import -----------------------------------------------------------------------------------------------------------


def test_a_missing_module_is_an_import_module_error(start):
    answer = init_error(start("import no_such_module"))
    assert answer.json == {
        "errorMessage": "Unable to import module 'app': No module named 'no_such_module'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }
    assert list(answer.json) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert answer.log == (
        "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'no_such_module'\n"
        "Traceback (most recent call last):"
    )
    answer = init_error(start("", handler="nowhere.handler"))
    assert answer.json["errorMessage"] == "Unable to import module 'nowhere': No module named 'nowhere'"


def test_a_missing_handler_is_named_with_its_module(start):
    answer = init_error(start("", handler="app.handler"))
    assert answer.json["errorType"] == "Runtime.HandlerNotFound"
    assert answer.json["errorMessage"] == "Handler 'handler' missing on module 'app'"


def test_a_handler_without_a_dot_is_malformed(start):
    for handler in ("handler", ""):
        answer = init_error(start("", handler=handler))
        assert answer.json["errorType"] == "Runtime.MalformedHandlerName"
        expected = "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler
        assert answer.json["errorMessage"] == expected


def test_a_syntax_error_tells_its_place(start):
    answer = init_error(start("x = 1\n\nx = = 2\n"))
    assert answer.json["errorType"] == "Runtime.UserCodeSyntaxError"
    assert answer.json["errorMessage"] == "Syntax error in module 'app': invalid syntax (app.py, line 3)"
    (place,) = answer.json["stackTrace"]
    assert re.fullmatch(r'  File ".*/app.py" Line 3\n    x = = 2\n', place)


def test_a_built_in_module_cannot_be_a_handlers(start):
    answer = init_error(start("", handler="sys.exit"))
    assert answer.json["errorType"] == "Runtime.BuiltInModuleConflict"
    assert answer.json["errorMessage"] == "Cannot use built-in module sys as a handler module"


def test_any_other_error_at_import_has_the_functions_frames_only(start):
    function = start("import part\n" + HEAD + "pass", files={"part.py": "def f():\n    1 / 0\nf()\n"})
    answer = init_error(function)
    assert answer.json["errorType"] == "ZeroDivisionError"
    assert answer.json["errorMessage"] == "division by zero"
    places = [
        re.match(r'  File ".*/(\w+\.py)", line (\d+), in (\S+)\n', entry).groups()
        for entry in answer.json["stackTrace"]
    ]
    assert places == [("app.py", "1", "<module>"), ("part.py", "3", "<module>"), ("part.py", "2", "f")]


def test_handlers_in_packages_are_named_with_dots_or_slashes(ready):
    files = {"a/b/module.py": HEAD + "return __name__"}
    for handler in ("a.b.module.handler", "a/b/module.handler"):
        assert ready("", handler=handler, files=files).invoke().json == "a.b.module"


def test_an_exit_at_import_is_the_processs_exit(start):
    function = start("print('bye')\nimport sys\nsys.exit(7)")
    assert function.receive() is None
    assert function.process.wait(20) == 7
    assert function.log == "bye\n"


# --- results and errors -----------------------------------------------------------------------------------------------


def test_events_and_results_are_json(ready):
    function = ready(HEAD + "return event")
    for event in (None, True, 0, -1.5, "text", "é€😀\u2028", [], {}, {"a": [{"b": None}]}, 10**30):
        answer = function.invoke(event)
        assert (answer.kind, answer.request_id, answer.log, answer.json) == ("success", "id-1", "", event)


def test_non_ascii_is_escaped_before_python_3_12_and_not_after(ready, version):
    document = ready(HEAD + "return 'é'").invoke().document
    assert document == ('"é"'.encode() if version >= (3, 12) else b'"\\u00e9"')


def test_decimals_keep_their_digits_and_nan_is_nan(ready):
    code = "from decimal import Decimal as D\ndef handler(event, context):\n    return "
    for expression, expected in (
        ("D('1.10')", b"1.10"),
        (
            "{'a': [D('0.1'), D('123456789012345678901234567890'), D('-1E+5')]}",
            b'{"a": [0.1, 123456789012345678901234567890, -1E+5]}',
        ),
        ("[D('NaN'), float('nan'), float('inf')]", b"[NaN, NaN, Infinity]"),
        ("{'text': 'D', 'd': D(2)}", b'{"text": "D", "d": 2}'),
    ):
        assert ready(code + expression).invoke().document == expected


def test_bytes_are_the_answer_itself_and_text_inside_of_one(ready):
    assert ready(HEAD + "return b'\\xff raw'").invoke().document == b"\xff raw"
    assert ready(HEAD + "return {'a': b'text'}").invoke().json == {"a": "text"}


def test_lone_surrogates_stay_escapes(ready):
    assert ready(HEAD + "return '\\ud800'").invoke().document == b'"\\ud800"'


def test_a_result_that_is_no_json_is_a_marshal_error(ready):
    for expression, reason in (
        ("{1, 2}", "Object of type set is not JSON serializable"),
        ("object()", "Object of type object is not JSON serializable"),
        ("{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
        ("[b'\\xff']", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ):
        function = ready(HEAD + "return " + expression)
        answer = function.invoke(request_id="r")
        assert answer.kind == "error"
        assert answer.json == {
            "errorMessage": "Unable to marshal response: " + reason,
            "errorType": "Runtime.MarshalError",
            "requestId": "r",
            "stackTrace": [],
        }
        assert function.invoke().kind == "error"


def test_an_event_that_is_no_json_is_an_unmarshal_error(ready):
    function = ready(HEAD + "return event")
    for event in (b"", b"{", b"\xff", b"[" * 100000):
        answer = function.invoke(event)
        assert answer.json["errorType"] == "Runtime.UnmarshalError"
        assert answer.json["errorMessage"].startswith("Unable to unmarshal input: ")
    assert function.invoke(1).json == 1


def test_an_exception_tells_type_message_and_the_functions_frames(ready):
    code = "class Odd(Exception): pass\ndef f():\n  raise Odd('it is', 1)\ndef handler(event, context):\n  f()"
    function = ready(code)
    answer = function.invoke(request_id="r")
    assert answer.kind == "error"
    assert answer.json["errorType"] == "Odd"
    assert answer.json["errorMessage"] == "('it is', 1)"
    assert answer.json["requestId"] == "r"
    path = str(function.log_path.parent / "app.py")
    assert answer.json["stackTrace"] == [
        '  File "%s", line 5, in handler\n    f()\n' % path,
        "  File \"%s\", line 3, in f\n    raise Odd('it is', 1)\n" % path,
    ]
    assert answer.log.split("\n") == [
        "[ERROR] Odd: ('it is', 1)",
        "Traceback (most recent call last):",
        '\u00a0\u00a0File "%s", line 5, in handler' % path,
        "\u00a0\u00a0\u00a0\u00a0f()",
        '\u00a0\u00a0File "%s", line 3, in f' % path,
        "\u00a0\u00a0\u00a0\u00a0raise Odd('it is', 1)",
    ]


def test_awkward_exceptions_are_reported_too(ready):
    answer = ready("class E(Exception):\n  def __str__(self): raise ValueError\n" + HEAD + "raise E").invoke()
    assert (answer.json["errorType"], answer.json["errorMessage"]) == ("E", "<unprintable E object>")
    answer = ready(HEAD + "raise Exception").invoke()
    assert answer.json["errorMessage"] == ""
    assert answer.log.startswith("[ERROR] Exception\nTraceback")
    answer = ready(HEAD + "raise Exception('\\ud800' + 'x' * 1000000)").invoke()
    assert len(answer.json["errorMessage"]) == 1000001
    assert len(answer.log) <= 256 * 1024
    answer = ready("handler = 5").invoke()
    assert (answer.json["errorType"], answer.json["stackTrace"]) == ("TypeError", [])
    answer = ready("def handler(): pass").invoke()
    assert answer.json["errorType"] == "TypeError"
    answer = ready("async def handler(event, context): pass").invoke()
    assert answer.json["errorMessage"].endswith("Object of type coroutine is not JSON serializable")


def test_exits_and_interrupts_end_the_process(ready):
    for statement, code in (
        ("exit()", 0),
        ("quit(3)", 3),
        ("import sys; sys.exit(4)", 4),
        ("import os; os._exit(5)", 5),
        ("raise SystemExit('why')", 1),
    ):
        function = ready(HEAD + "print('out'); " + statement)
        assert function.invoke() is None
        assert function.process.wait(20) == code, statement
        assert function.log.startswith("out\n")
    function = ready(HEAD + "raise KeyboardInterrupt")
    assert function.invoke() is None
    assert function.process.wait(20) != 0
    assert "KeyboardInterrupt" in function.log


# --- context and environment ------------------------------------------------------------------------------------------


def test_the_context_is_complete(ready):
    code = """
def handler(event, context):
    names = ["function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id",
             "log_group_name", "log_stream_name", "client_context", "tenant_id"]
    values = {name: getattr(context, name) for name in names}
    values["identity"] = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    values["left"] = context.get_remaining_time_in_millis()
    values["repr"] = repr(context)
    return values
"""
    values = ready(code).invoke(request_id="r").json
    assert 0 < values.pop("left") <= 3000
    assert values.pop("repr").startswith("LambdaContext([aws_request_id=r,log_group_name=/aws/lambda/f,")
    assert values == {
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": ARN,
        "memory_limit_in_mb": "128",
        "aws_request_id": "r",
        "log_group_name": "/aws/lambda/f",
        "log_stream_name": "2026/11/20/[$LATEST]0",
        "client_context": None,
        "tenant_id": None,
        "identity": [None, None],
    }


def test_no_time_is_left_after_the_deadline(ready):
    assert ready(HEAD + "return context.get_remaining_time_in_millis()").invoke(deadline_ms=1000).json == 0


def test_the_client_context_has_its_parts(ready):
    code = HEAD + "c = context.client_context; return [c.client.app_title, c.client.installation_id, c.custom, c.env]"
    text = json.dumps({"client": {"app_title": "t"}, "custom": {"a": 1}, "env": {"locale": "de"}, "more": 1})
    assert ready(code).invoke(client_context=text).json == ["t", None, {"a": 1}, {"locale": "de"}]
    answer = ready(code).invoke(client_context="{")
    assert answer.json["errorType"] == "Runtime.LambdaContextUnmarshalError"
    assert answer.json["errorMessage"].startswith("Unable to parse Client Context JSON: ")


def test_the_trace_id_is_that_of_the_event(ready):
    function = ready("import os\n" + HEAD + "return os.environ.get('_X_AMZN_TRACE_ID')")
    assert function.invoke(trace_id="Root=1").json == "Root=1"
    assert function.invoke(trace_id="").json is None
    assert function.invoke(trace_id="Root=2").json == "Root=2"


def test_the_search_path_is_lambdas(ready, version):
    function = ready(
        "import sys\n" + HEAD + "return sys.path",
        environment={
            "PYTHONPATH": "/extra/one:/extra/two:" + str(BOOTSTRAP.parent),
        },
    )
    path = function.invoke().json
    assert path[:5] == [
        str(function.log_path.parent),
        "/opt/python/lib/python%d.%d/site-packages" % version,
        "/opt/python",
        "/extra/one",
        "/extra/two",
    ]
    assert any(entry.endswith("lib-dynload") for entry in path[5:])
    assert not [entry for entry in path if "dist-packages" in entry], "packages of the host"
    assert str(BOOTSTRAP.parent) not in path


def test_a_sitecustomize_on_the_functions_own_path_is_imported_first(ready, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.instrumented = True\n")
    code = "import builtins\n" + HEAD + "return builtins.instrumented"
    assert ready(code, environment={"PYTHONPATH": str(tmp_path)}).invoke().json is True
    (tmp_path / "sitecustomize.py").write_text("import not_there\n")
    function = ready(HEAD + "return 'runs'", environment={"PYTHONPATH": str(tmp_path)})
    assert function.invoke().json == "runs"
    assert "No module named 'not_there'" in function.log


def test_the_interpreter_is_sane(ready):
    code = """
import sys, os, locale, __main__
def handler(event, context):
    return {"argv": [os.path.basename(entry) for entry in sys.argv], "main": __main__.__name__,
            "user_site": not sys.flags.no_user_site,
            "encoding": [sys.stdout.encoding, locale.getpreferredencoding(False), sys.getfilesystemencoding()],
            "bytecode": sys.dont_write_bytecode, "inheritable": os.get_inheritable(3), "stdin": sys.stdin.read(),
            "exit": [repr(exit), repr(quit)], "site": "site" in sys.modules}
"""
    values = ready(code).invoke().json
    assert [encoding.lower() for encoding in values.pop("encoding")] == ["utf-8", "utf-8", "utf-8"]
    assert values == {
        "argv": ["bootstrap.py"],
        "main": "__main__",
        "user_site": False,
        "bytecode": False,
        "inheritable": False,
        "stdin": "",
        "exit": ["Use exit() or Ctrl-D (i.e. EOF) to exit", "Use quit() or Ctrl-D (i.e. EOF) to exit"],
        "site": False,
    }


def test_costly_modules_are_imported_by_those_who_use_them_only(ready):
    costly = {"logging", "traceback", "decimal", "socket", "typing", "inspect"}
    code = HEAD + "import sys; return sorted(%r & set(sys.modules))" % costly
    assert ready(code).invoke().json == []


# --- output -----------------------------------------------------------------------------------------------------------


def test_output_is_written_before_the_answer_and_line_by_line(ready):
    code = HEAD + "print('a'); print('b', file=sys.stderr); print('c', end=''); context.log('d')"
    function = ready("import sys\n" + code)
    function.invoke()
    assert function.log == "a\nb\ncd"
    function = ready("import os\n" + HEAD + "print('before'); os._exit(0)")
    assert function.invoke() is None
    assert function.log == "before\n"


def test_output_survives_streams_that_the_function_replaced_or_closed(ready):
    for statement in (
        "sys.stdout = io.StringIO()",
        "sys.stdout = None",
        "sys.stdout.close()",
        "sys.stderr.close()",
        "del sys.stdout",
    ):
        function = ready("import io, sys\n" + HEAD + "print('kept'); %s; return 1" % statement)
        answer = function.invoke()
        assert answer is not None and answer.json == 1, statement
        assert function.log == "kept\n"


LOG_LINE = r"\[%s\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t%s\t%s\n"


def test_logging_has_lambdas_format(ready):
    code = """
import logging
logging.warning("at import %d", 1)
def handler(event, context):
    logging.info("below the level")
    logging.getLogger("x").error("in handler %s", event)
    logging.getLogger().setLevel("DEBUG")
    logging.debug("deep")
    logging.basicConfig(format="ignored")
    return len(logging.getLogger().handlers)
"""
    function = ready(code, environment={"TZ": "Asia/Tokyo"})
    assert function.invoke("e", request_id="r-1").json == 1
    expected = (
        LOG_LINE % ("WARNING", "", "at import 1")
        + LOG_LINE % ("ERROR", "r-1", "in handler e")
        + LOG_LINE % ("DEBUG", "r-1", "deep")
    )
    assert re.fullmatch(expected, function.log), function.log
    function.invoke("f", request_id="r-2")
    assert re.search(LOG_LINE % ("ERROR", "r-2", "in handler f"), function.log)


def test_logging_is_set_up_however_it_is_imported(ready):
    for statement in (
        "import logging.handlers as logging_handlers; import logging",
        "from logging import getLogger",
        "import importlib; logging = importlib.import_module('logging')",
        "import concurrent.futures",
    ):
        code = "%s\ndef handler(event, context):\n    import logging\n    logging.error('m')" % statement
        function = ready(code)
        function.invoke(request_id="r")
        assert re.fullmatch(LOG_LINE % ("ERROR", "r", "m"), function.log), (statement, function.log)


def test_a_functions_own_module_named_logging_is_left_alone(ready):
    function = ready("import logging\n" + HEAD + "return logging.mine", files={"logging.py": "mine = 1"})
    assert function.invoke().json == 1


# --- channel ----------------------------------------------------------------------------------------------------------


def test_large_payloads_pass_and_so_do_frames_in_pieces(ready):
    function = ready(HEAD + "return event")
    text = "x" * 6_291_454
    assert function.invoke(text).json == text
    assert function.invoke([]).json == []


def test_frames_may_come_in_single_bytes(ready):
    function = ready(HEAD + "return event")
    meta = json.dumps({"id": "r", "deadline_ms": 0, "arn": ARN}).encode()
    payload = len(meta).to_bytes(4, "little") + meta + b'{"a": 1}'
    for byte in len(payload).to_bytes(4, "little") + b"\x01" + payload:
        function.socket.sendall(bytes((byte,)))
    answer = function.receive()
    assert (answer.request_id, answer.json) == ("r", {"a": 1})


def test_the_end_of_the_channel_is_the_end_of_the_process(ready):
    assert ready(HEAD + "pass").end() == 0
    function = ready(HEAD + "pass")
    function.socket.sendall(b"\x10")
    assert function.end() == 0


def test_an_unknown_frame_ends_the_process(ready):
    function = ready(HEAD + "pass")
    function.socket.sendall(b"\x00\x00\x00\x00\x07")
    assert function.receive() is None
    assert function.process.wait(20) == 1
    assert "unexpected frame of kind 7" in function.log


def test_signals_are_handled_while_the_function_waits(ready):
    code = "import signal\nseen = []\nsignal.signal(signal.SIGUSR1, lambda *_: seen.append(1))\n"
    function = ready(code + HEAD + "return len(seen)")
    assert function.invoke().json == 0
    os.kill(function.process.pid, 10)
    assert function.invoke().json == 1


def test_a_logged_message_of_several_lines_is_one_entry(ready):
    function = ready("import logging\n" + HEAD + "print('before'); logging.warning('a\\nb'); print('after\\nlast')")
    function.invoke()
    lines = function.log_path.read_bytes().splitlines()
    assert lines[0] == b"before" and lines[1].endswith(b"\ta\xf8\xffb") and lines[2:] == [b"after", b"last"]


JSON_FORMAT = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}


def test_logging_has_lambdas_json_format(ready):
    code = """
import logging
def handler(event, context):
    logging.debug("below the level")
    logging.info("plain %s", event)
    logging.getLogger("x").warning({"a": 1}, extra={"order": "無為"})
    try:
        raise ValueError("why")
    except ValueError:
        logging.exception("two\\nlines")
"""
    function = ready(code, environment=JSON_FORMAT | {"TZ": "Asia/Tokyo"})
    function.invoke("e", request_id="r-1")
    plain, document, error = (json.loads(line) for line in function.log.splitlines())
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(stamp, plain.pop("timestamp")) and re.fullmatch(stamp, document.pop("timestamp"))
    assert plain == {"level": "INFO", "message": "plain e", "logger": "root", "requestId": "r-1"}
    assert document == {
        "level": "WARNING",
        "message": {"a": 1},
        "logger": "x",
        "requestId": "r-1",
        "order": "無為",
    }
    assert error["message"] == "two\nlines"
    assert (error["errorType"], error["errorMessage"], error["level"]) == ("ValueError", "why", "ERROR")
    assert len(error["stackTrace"]) == 1 and re.search(r"app\.py:handler:\d+$", error["location"])


def test_an_error_is_logged_as_json_when_the_format_is_json(ready):
    function = ready(HEAD + "raise ValueError('why')", environment=JSON_FORMAT)
    answer = function.invoke("e", request_id="r-1")
    entry = json.loads(answer.log)
    assert list(entry)[:2] == ["timestamp", "level"] and entry["level"] == "ERROR"
    assert {name: entry[name] for name in answer.json} == answer.json


def test_the_levels_of_lambda_are_levels_of_logging(ready):
    code = "import logging\ndef handler(event, context):\n    return logging.getLogger().level"
    for level, expected in (("TRACE", 10), ("INFO", 20), ("WARN", 30), ("FATAL", 50), ("loud", 30), ("", 30)):
        assert ready(code, environment={"AWS_LAMBDA_LOG_LEVEL": level}).invoke().json == expected, level
