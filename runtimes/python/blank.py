"""A bootstrap without a function: boots, rehearses, and waits to be assigned to one.

The frame that assigns (kind 2, described in crates/wuwei-sandbox/src/frames.rs) brings the environment, the handler and
the working directory. What follows must be the same as if the interpreter had been started with them, so whatever an
interpreter reads of its environment only when it starts is compared: where it differs, the interpreter is started anew
in the same process. That costs what a start costs, and is right for every environment.
"""

import os
import sys
import time

import __main__ as runtime

# Read by the interpreter, the C library or the dynamic linker when they start, and never again.
FIXED_NAMES = ("LANG", "LOCPATH", "GCONV_PATH", "GLIBC_TUNABLES")
FIXED_PREFIXES = ("PYTHON", "LC_", "LD_", "MALLOC_")
# Enough for the interpreter (3.11 and later) to have specialised the code that every event runs.
REHEARSALS = 16

# What the platform starts every interpreter with.
OPTIONS = ("-s", "-S")


def become_assigned():
    """Waits for the assignment, and makes this process the one that it asks for; gives the handler setting."""
    boot = dict(os.environ)
    rehearse()
    return take_assignment(boot)


def rehearse(times=REHEARSALS):
    """Runs a function that does nothing through the code that real ones will use, and leaves no trace of it."""
    modules, importers = set(sys.modules) | {"_sitebuiltins"}, set(sys.path_importer_cache)
    path, finders, writes_bytecode = sys.path[:], sys.meta_path[:], sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        replace_environment(dict(os.environ))
        runtime.prepare()
        sys.path.insert(0, path[0])
        handler = runtime.find_handler("rehearsal.handler")
        for _ in range(times):
            context = runtime.LambdaContext({"id": "", "arn": "", "deadline_ms": 0}, runtime.context_settings())
            runtime.run_handler(handler, context, memoryview(b'{"text": "a", "numbers": [1, 2.5, null, true]}'))
    finally:
        sys.path[:], sys.meta_path[:], sys.dont_write_bytecode = path, finders, writes_bytecode
        # A program that is executed in our place finds it open.
        os.set_inheritable(runtime.CONTROL, True)
        for name in set(sys.modules) - modules:
            del sys.modules[name]
        # Above all what was seen of a directory that the function's code is yet to be mounted on.
        for entry in set(sys.path_importer_cache) - importers:
            del sys.path_importer_cache[entry]


def take_assignment(boot):
    """Says that it waits, and waits for the frame that assigns; `boot` is what the interpreter was started with."""
    runtime.send_frame(runtime.READY)
    header = read_exactly(runtime.HEADER_BYTES)
    if header[4] != runtime.ASSIGN:
        sys.exit("unexpected frame of kind %d" % header[4])
    document = runtime.json.loads(str(read_exactly(int.from_bytes(header[:4], "little")), "utf-8"))
    environment = document["environment"]
    os.chdir(document["working_directory"])
    if not is_honoured(boot, environment):
        os.execve(sys.executable, (sys.executable,) + OPTIONS + (runtime.__file__,), environment)
    own_directory, standard = sys.path[0], sys.path[1 + len(entries_of(boot)) :]
    sys.path[:] = [own_directory] + entries_of(environment) + standard
    replace_environment(environment)
    forget()
    return document["handler"]


def read_exactly(count):
    """Reads so many bytes and none of what follows them: the first event may be there already."""
    data = b""
    while len(data) < count:
        piece = os.read(runtime.CONTROL, count - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


def is_honoured(boot, environment):
    """Whether an interpreter that was started with `boot` can be one that was started with `environment`."""
    changed = {name for name in set(boot) | set(environment) if boot.get(name) != environment.get(name)}
    if any(name.startswith(FIXED_PREFIXES) or name in FIXED_NAMES for name in changed - {"PYTHONPATH"}):
        return False
    if sys.path[1 : 1 + len(entries_of(boot))] != entries_of(boot):
        return False
    # Versions differ in what they make of these.
    if not all(entry.startswith("/") for entry in entries_of(environment)):
        return False
    # A module of the function's that stands in for one of the library would have been imported when we started.
    started_with = {name.partition(".")[0] for name in sys.modules}
    return not any(started_with & modules_in(entry) for entry in entries_of(environment) if entry != sys.path[0])


def entries_of(environment):
    """The directories that PYTHONPATH names."""
    path = environment.get("PYTHONPATH")
    return path.split(os.pathsep) if path else []


def modules_in(directory):
    """Names of the modules that a directory may hold."""
    try:
        return {name.partition(".")[0] for name in os.listdir(directory)}
    except OSError:
        # A zip archive is opened only by the import of something in it; its start-up effects are for a fresh start.
        return {"os"} if os.path.isfile(directory) else set()


def replace_environment(environment):
    """Sets exactly these variables, for Python and for C, in this order."""
    for name in list(os.environ):
        del os.environ[name]
    for name, value in environment.items():
        os.environ[name] = value
    time.tzset()


def forget():
    """Removes what would tell that this process was a blank."""
    del sys.argv[1:]
    if hasattr(sys, "orig_argv"):
        del sys.orig_argv[-1:]
    del sys.modules["blank"]
