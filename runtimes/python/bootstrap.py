"""Runs one Python function: imports its handler, then answers events that come over the control socket.

Started as `python3.x -s -S bootstrap.py`, with the function's environment and the control socket at
descriptor 3. Standard library only, Python 3.8 and later. Modules that few functions need (traceback, logging) are
imported when they are needed, because each costs milliseconds of every cold start.

With `--blank` it boots without a function, and waits to be assigned to one. From then on nothing may tell it from a
bootstrap that was started for the function; `blank.py` beside this file sees to it. With `--zygote` it forks blanks
(`zygote.py`).

The frames are described in crates/wuwei-sandbox/src/frames.rs. Error texts and the order of their members follow
AWS's runtime, because clients and tests compare them.
"""

import json
import os
import sys
import time
from json import encoder as json_encoder

CONTROL = 3
INVOKE, ASSIGN = 1, 2
READY, INIT_ERROR, SUCCESS, ERROR = 16, 17, 18, 19
HEADER_BYTES = 5
META_START = HEADER_BYTES + 4
READ_BYTES = 65536
LOG_BYTES_MAX = 256 * 1024
# A frame up to this size is put together and written at once; larger parts are not copied.
JOINED_BYTES_MAX = 64 * 1024

request_id = ""
tenant_id = None
log_format = ""


class Fault(Exception):
    """An error that has one of AWS's `Runtime.*` types."""

    def __init__(self, error_type, message, stack_trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.stack_trace = stack_trace or []


# --- frames ---


def read_frame():
    """Waits for one frame; gives its kind and its bytes, header included. A closed socket ends the process."""
    data = os.read(CONTROL, READ_BYTES)
    while 0 < len(data) < HEADER_BYTES:
        more = os.read(CONTROL, READ_BYTES)
        data = data + more if more else b""
    if not data:
        sys.exit(0)
    size = HEADER_BYTES + int.from_bytes(data[:4], "little")
    kind = data[4]
    if len(data) < size:
        whole = bytearray(size)
        view = memoryview(whole)
        filled = len(data)
        view[:filled] = data
        while filled < size:
            count = os.readv(CONTROL, [view[filled:]])
            if not count:
                sys.exit(0)
            filled += count
        data = whole
    return kind, data


def send_frame(kind, log=b"", document=b""):
    """Sends one answer in as few writes as the socket's buffer allows."""
    identity = request_id.encode()
    parts = (
        (HEADER_BYTES + len(identity) + len(log) + len(document)).to_bytes(4, "little"),
        bytes((kind, len(identity))),
        identity,
        len(log).to_bytes(4, "little"),
        log,
    )
    if len(document) <= JOINED_BYTES_MAX:
        chunks = [b"".join((*parts, document))]
    else:
        chunks = [b"".join(parts), memoryview(document)]
    while chunks:
        count = os.writev(CONTROL, chunks)
        while chunks and count >= len(chunks[0]):
            count -= len(chunks.pop(0))
        if count:
            chunks[0] = chunks[0][count:]


def flush_output():
    """Puts all that was printed into the pipe, so that it is there before the answer is."""
    last = None
    for name in ("stdout", "__stdout__", "stderr", "__stderr__"):
        try:
            stream = getattr(sys, name)
            if stream is not last:
                last = stream
                stream.flush()
        except Exception:  # The function may have closed, replaced or removed its streams: its own choice.
            pass


# --- JSON ---
decimal_token = ""
decimals_seen = False


def encode_other(value):
    """What the standard encoder cannot do and AWS's can: exact decimals as numbers, bytes as text."""
    global decimal_token, decimals_seen
    if isinstance(value, bytes):
        return value.decode()
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        if value.is_nan():
            return float("nan")
        decimals_seen = True
        decimal_token = decimal_token or os.urandom(16).hex()
        # The encoder has no way to emit a number by its text, so a marked string takes its place.
        return decimal_token + str(value) + decimal_token
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


# AWS leaves non-ASCII characters as they are from Python 3.12 on, and escapes them before.
encoder = json.JSONEncoder(default=encode_other, ensure_ascii=sys.version_info < (3, 12))
scan = json.JSONDecoder().scan_once


def make_encode():
    """The encoder's inner part, made once: `encode` makes it anew for each value."""
    make = json_encoder.c_make_encoder
    if make is None:
        return encoder.iterencode
    escape = json_encoder.encode_basestring_ascii if encoder.ensure_ascii else json_encoder.encode_basestring
    inner = make({}, encode_other, escape, None, encoder.key_separator, encoder.item_separator, False, False, True)
    return lambda value: inner(value, 0)


encode = make_encode()


def to_json(value):
    """JSON text in UTF-8; lone surrogates stay escapes."""
    global decimals_seen, encode
    try:
        text = "".join(encode(value))
    except BaseException:
        # It still remembers what it was inside of.
        encode = make_encode()
        raise
    if decimals_seen:
        decimals_seen = False
        text = text.replace('"' + decimal_token, "").replace(decimal_token + '"', "")
    return text.encode("utf-8", "backslashreplace")


def from_json(text):
    """As `json.loads`, without its steps for what is rarely there: white space around the value."""
    try:
        value, end = scan(text, 0)
    except StopIteration:
        end = None
    return value if end == len(text) else json.loads(text)


# --- errors ---


def stack_of(error):
    """The frames of the function's own code, formatted as AWS formats them."""
    import traceback

    summaries = traceback.extract_tb(error.__traceback__)
    frames = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in summaries]
    while frames and frames[0][0] == __file__:
        frames.pop(0)
    return traceback.format_list(frames)


def error_document(error):
    """AWS's error members for an exception."""
    if isinstance(error, Fault):
        message, error_type, stack_trace = error.message, error.error_type, error.stack_trace
    else:
        error_type = type(error).__name__
        try:
            message = str(error)
        except Exception:
            message = "<unprintable %s object>" % error_type
        stack_trace = stack_of(error)
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": stack_trace}


def error_log(document):
    """The log entry of an error: indented with no-break spaces, as AWS's is, so that no viewer trims it."""
    if writes_json():
        import time

        entry = dict({"timestamp": utc(time.time()), "level": "ERROR"}, **document)
        return json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace")[:LOG_BYTES_MAX]
    lines = ["[ERROR] " + document["errorType"]]
    if document["errorMessage"]:
        lines[0] += ": " + document["errorMessage"]
    lines.append("Traceback (most recent call last):")
    for entry in document["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    return "\n".join(lines).encode("utf-8", "backslashreplace")[:LOG_BYTES_MAX]


def send_error(kind, error):
    """Reports a failure in place of a result."""
    document = error_document(error)
    flush_output()
    send_frame(kind, error_log(document), to_json(document))


# --- context ---


class Record:
    """Attributes by name, None where nothing is known."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        values = ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__)
        return "%s([%s])" % (type(self).__name__, values)


class CognitoIdentity(Record):
    """Who called, when the caller is a Cognito identity."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self):
        self.cognito_identity_id = self.cognito_identity_pool_id = None


class Client(Record):
    """The mobile application that called."""

    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Record):
    """What the caller put into `X-Amz-Client-Context`."""

    __slots__ = ("custom", "env", "client")


def client_context_of(text):
    """Reads the client context, or gives None when the caller sent none."""
    try:
        values = json.loads(text) if text else None
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse Client Context JSON: %s" % error)
    if values is None:
        return None
    context = ClientContext(values)
    context.client = None if context.client is None else Client(context.client)
    return context


def context_settings():
    """What all contexts of this function have from its environment; asked for once."""
    names = ("LOG_GROUP_NAME", "LOG_STREAM_NAME", "FUNCTION_NAME", "FUNCTION_VERSION", "FUNCTION_MEMORY_SIZE")
    return [os.environ.get("AWS_LAMBDA_" + name) for name in names]


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, meta, settings):
        self.aws_request_id = meta["id"]
        self.log_group_name = settings[0]
        self.log_stream_name = settings[1]
        self.function_name = settings[2]
        self.function_version = settings[3]
        self.memory_limit_in_mb = settings[4]
        self.invoked_function_arn = meta["arn"]
        self.tenant_id = meta.get("tenant_id")
        self.client_context = client_context_of(meta.get("client_context"))
        self.identity = CognitoIdentity()
        self._epoch_deadline_time_in_ms = meta["deadline_ms"]

    def get_remaining_time_in_millis(self):
        """Milliseconds until the time limit."""
        import time

        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        """Writes to the function's log."""
        sys.stdout.write(str(message))

    def __repr__(self):
        public = ("%s=%s" % (name, value) for name, value in vars(self).items() if not name.startswith("_"))
        return "LambdaContext([%s])" % ",".join(public)


# --- logging ---

# Stands for a line break inside one log entry: keeps an entry of several lines one. No UTF-8 text has these bytes.
INNER_BREAK = b"\xf8\xff"
STANDARD_LEVELS = (0, 10, 20, 30, 40, 50)


def writes_json():
    """Whether the function's log has the JSON format."""
    return log_format == "JSON"


def write_entry(text):
    """Writes one log entry, that stays one also when it has several lines."""
    try:
        out = sys.stdout.buffer
        sys.stdout.flush()
    except Exception:  # The function has put a stream of its own in place.
        sys.stdout.write(text + "\n")
        return
    out.write(text.encode("utf-8", "backslashreplace").replace(b"\n", INNER_BREAK) + b"\n")
    out.flush()


def utc(seconds):
    """A moment as the JSON format has it."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def set_up_logging(logging):
    """Gives the root logger Lambda's line format, in UTC, with the request id; or its JSON format."""
    import time

    standard = set(vars(logging.makeLogRecord({}))) | {"aws_request_id", "tenant_id", "message", "asctime"}

    class LambdaJsonFormatter(logging.Formatter):
        def format(self, record):
            # Levels of the function's own count as the standard one below them.
            level = max(known for known in STANDARD_LEVELS if known <= max(record.levelno, 0))
            is_document = isinstance(record.msg, dict) and not record.args
            entry = {
                "timestamp": utc(record.created),
                "level": logging.getLevelName(level),
                "message": record.msg if is_document else record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[0]:
                import traceback

                entry["stackTrace"] = traceback.format_tb(record.exc_info[2])
                entry["errorType"] = record.exc_info[0].__name__
                entry["errorMessage"] = str(record.exc_info[1])
            entry["requestId"] = record.aws_request_id
            if record.tenant_id:
                entry["tenantId"] = record.tenant_id
            if record.exc_info:
                entry["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
            own = {name: value for name, value in vars(record).items() if name not in standard and name not in entry}
            return json.dumps(dict(entry, **own), ensure_ascii=False, default=str)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = request_id
            record.tenant_id = tenant_id
            return True

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            write_entry(self.format(record))

    logging.Formatter.converter = time.gmtime
    line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler = LambdaLoggerHandler()
    handler.setFormatter(LambdaJsonFormatter() if writes_json() else logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    # Lambda's names that the module does not have itself.
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


class LoggingHook:
    """Sets logging up when the function first imports it: it costs five milliseconds, and many functions never do."""

    def find_spec(self, name, path=None, target=None):
        """Finds `logging` with the other finders, and adds the set-up to its loading; leaves all else alone."""
        if name != "logging":
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                execute = getattr(spec.loader, "exec_module", None)
                if execute is not None:

                    def exec_module(module):
                        execute(module)
                        # A function's own module of this name need not be like the standard one.
                        if hasattr(module, "getLogger") and hasattr(module, "Formatter"):
                            set_up_logging(module)

                    spec.loader.exec_module = exec_module
                return spec
        return None


# --- running ---


def prepare():
    """Makes the interpreter what a function expects: search path, `exit`, unbuffered lines."""
    global log_format
    log_format = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper()
    os.set_inheritable(CONTROL, False)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)

    libraries = "/opt/python/lib/python%d.%d/site-packages" % sys.version_info[:2]
    own_directory = os.path.dirname(os.path.abspath(__file__))
    # The interpreter has put this script's directory and the entries of PYTHONPATH first.
    sys.path[:] = [entry for entry in sys.path if entry and entry != own_directory]
    if set(os.environ.get("PYTHONPATH", "").split(os.pathsep)) - {"", own_directory}:
        # Tools that instrument a function reach it this way; the interpreter leaves it out with the host's packages.
        try:
            __import__("sitecustomize")
        except Exception as error:
            if getattr(error, "name", None) != "sitecustomize":
                import traceback

                traceback.print_exc()
    sys.path[:0] = [os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), libraries, "/opt/python"]

    import _sitebuiltins
    import builtins

    end_of_input = "Ctrl-D (i.e. EOF)"
    builtins.exit = _sitebuiltins.Quitter("exit", end_of_input)
    builtins.quit = _sitebuiltins.Quitter("quit", end_of_input)
    builtins.help = _sitebuiltins._Helper()
    sys.meta_path.insert(0, LoggingHook())


def find_handler(handler):
    """Imports the module of a handler setting, and gives the function that it names."""
    try:
        module_name, function_name = handler.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (handler, error))
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    import_name = module_name.replace("/", ".")
    try:
        # Unlike importlib.import_module, this leaves the import machinery's own frames out of tracebacks.
        __import__(import_name)
        module = sys.modules[import_name]
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error))
    except SyntaxError as error:
        place = '  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", message, [place])
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))


def run_handler(handler, context, event_bytes):
    """Gives the JSON text of the handler's result; bytes pass as they are."""
    try:
        event = from_json(str(event_bytes, "utf-8"))
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
    result = handler(event, context)
    if isinstance(result, bytes):
        return result
    try:
        return to_json(result)
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def serve(handler):
    """Answers events until the socket closes."""
    global request_id, tenant_id
    settings = context_settings()
    while True:
        kind, frame = read_frame()
        if kind != INVOKE:
            sys.exit("unexpected frame of kind %d" % kind)
        event_start = META_START + int.from_bytes(frame[HEADER_BYTES:META_START], "little")
        meta = from_json(str(frame[META_START:event_start], "utf-8"))
        request_id = meta["id"]
        tenant_id = meta.get("tenant_id")
        if meta.get("trace_id"):
            os.environ["_X_AMZN_TRACE_ID"] = meta["trace_id"]
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            document = run_handler(handler, LambdaContext(meta, settings), memoryview(frame)[event_start:])
        except Exception as error:
            send_error(ERROR, error)
        else:
            flush_output()
            send_frame(SUCCESS, document=document)
        # What the event and the result hold is let go now, not when the next event comes.
        frame = document = None


def main():
    """Imports, reports readiness or why not, serves."""
    setting = os.environ.get("_HANDLER", "")
    if sys.argv[1:] == ["--blank"]:
        setting = __import__("blank").become_assigned()
    elif sys.argv[1:] == ["--zygote"]:
        setting = __import__("zygote").become_fork()
    prepare()
    # What is there now stays: the collector need not look at it again.
    __import__("gc").freeze()
    began = time.monotonic()
    try:
        handler = find_handler(setting)
    except Exception as error:
        send_error(INIT_ERROR, error)
        sys.exit(1)
    flush_output()
    send_frame(READY, document=b"%d" % ((time.monotonic() - began) * 1e6))
    serve(handler)


if __name__ == "__main__":
    main()
