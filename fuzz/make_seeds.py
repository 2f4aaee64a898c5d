"""Writes the seeds of the fuzz targets. Each is one honest or once harmful input; files that are there already stay."""

import io
import struct
import zipfile
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
ASKED = b"00000000-0000-4000-8000-000000000001"
OTHER = b"00000000-0000-4000-8000-000000000002"


def write(target: str, seeds: dict[str, bytes]) -> None:
    """Writes the seeds of one target."""
    directory = SEEDS / target
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (directory / name).write_bytes(data)


def frame(kind: int, request_id: bytes, log: bytes = b"", document: bytes = b"") -> bytes:
    """One frame as a bootstrap writes it."""
    payload = bytes([len(request_id)]) + request_id + struct.pack("<I", len(log)) + log + document
    return struct.pack("<IB", len(payload), kind) + payload


def frames() -> dict[str, bytes]:
    """A byte of flags, the lengths of four pieces, and data.

    Flags: 1 before the first event, 2 a script, 4 in pieces, 8 parts are wanted, 16 left behind.
    """

    def seed(flags: int, data: bytes, cuts: bytes = b"\x00\x04\x20\xff") -> bytes:
        return bytes([flags]) + cuts + data

    streamed = frame(20, ASKED, b"", b"text/plain") + frame(21, ASKED, b"", b"one") + frame(18, ASKED)
    return {
        "ready": seed(1, frame(16, b"")),
        "success": seed(20, frame(18, ASKED, b"a line", b'{"a": 1}')),
        "streamed": seed(12, streamed),
        "collected": seed(20, streamed),
        "surplus": seed(0, frame(18, ASKED, b"", b"1") + frame(18, ASKED, b"", b"2")),
        "foreign": seed(0, frame(18, OTHER, b"", b"1")),
        "claimed_too_large": seed(0, struct.pack("<IB", 3_000_000_000, 18) + b"\x24" + ASKED),
        "script_at_the_limit": seed(2, bytes([2, 0, 3, 242])),
        "script_of_parts_past_the_limit": seed(2, bytes([4, 0, 0, 1, 5, 0, 0, 240, 5, 0, 0, 240, 2, 0, 0, 0])),
        "script_in_pieces": seed(14, bytes([4, 0, 0, 9, 5, 0, 0, 200, 5, 0, 0, 3, 22, 0, 1, 4])),
        "script_of_logs": seed(2, bytes([2, 0, 240, 1])),
    }


def runtime_api() -> dict[str, bytes]:
    """Steps: 0 close, 1 bytes, 2 a template, 4 offer, 5 give up, 6 an honest answer, 7 half a close.

    The connection is in the bits from 8 on.
    """

    def raw(data: bytes, slot: int = 0) -> bytes:
        return b"".join(
            bytes([1 + 8 * slot, len(part)]) + part for part in (data[at : at + 255] for at in range(0, len(data), 255))
        )

    def form(number: int, details: int = 0, slot: int = 0) -> bytes:
        return bytes([2 + 8 * slot, number, details])

    next_event, offer, offer_parts, give_up, answer = form(0), b"\x04", b"\x14", b"\x05", b"\x06"
    length, chunked, trailers, cut, streaming = 1 << 5, 2 << 5, 3 << 5, 4 << 5, 2 << 3
    response = b"POST /2018-06-01/runtime/invocation/" + ASKED + b"/response HTTP/1.1\r\n"
    response += b"Host: x\r\nContent-Length: 1\r\n\r\n1"
    return {
        "honest": next_event + offer + answer + next_event + offer + answer,
        "template_answers": next_event + offer + form(1 + length) + next_event + offer + form(3 + length),
        "init_error": form(4 + length) + next_event + offer,
        "streamed_to_the_caller": next_event + offer_parts + form(1 + chunked + streaming),
        "streamed_with_an_error": next_event + offer + form(1 + trailers + streaming, slot=1) + answer,
        "broken_off_stream": next_event + offer_parts + form(1 + cut + streaming, slot=1) + b"\x08" + answer,
        "unfinished_bodies": next_event
        + offer
        + form(1 + cut, slot=1)
        + form(1 + cut, slot=2)
        + form(3 + cut, slot=3)
        + answer,
        "late_answer": next_event
        + offer
        + give_up
        + form(1 + length, slot=1)
        + next_event
        + b"\x0c"
        + form(1 + length, 2),
        "stale_attempt": next_event + offer + form(1 + length, 2 << 2, slot=1) + form(1 + length, 3 << 2, slot=2),
        "odd_mode": next_event + offer + form(1 + length + (3 << 3), slot=1),
        "two_runtimes": next_event + form(0, slot=1) + offer + answer + offer + form(1 + length, slot=2),
        "pipelined": raw(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n" + response) + offer,
        "smuggled": next_event
        + offer
        + raw(response.replace(b"Content-Length: 1", b"Content-Length: 1\r\nTransfer-Encoding: chunked"), 1),
        "cut_in_the_head": raw(response[:40], 1) + b"\x0f" + next_event + offer + answer,
        "http_10_and_head": raw(b"HEAD /2018-06-01/ping HTTP/1.0\r\n\r\n") + next_event,
        "expect_continue": next_event + offer + form(1 + (7 << 5), slot=1),
    }


def launcher_messages() -> dict[str, bytes]:
    """A byte for the type (request, event, report, proceed, network's request and event), one for descriptors, JSON."""
    launch = (
        b'{"Launch":{"id":1,"name":"n","program":"/bin/sh","arguments":["-c"],"wrapper":null,"environment":[["A","b"]],'
        b'"working_directory":"/","binds":[{"source":"/a","target":"/b"}],"memory_mb":128,"ephemeral_mb":512,'
        b'"control":true,"runtime_api":false,"relay":true,"ahead":"Held","zygote":null}}'
    )
    return {
        "setup": b'\x00\x00{"Setup":{"server":"0123","template":"/t","isolation":"Full"}}',
        "launch": b"\x00\x03" + launch,
        "kill": b'\x00\x00{"Kill":{"id":18446744073709551615}}',
        "ready": b'\x01\x00"Ready"',
        "started": b'\x01\x04{"Started":{"id":1,"listeners":2,"meter":["CpuUsage","Freezer"]}}',
        "exited": b'\x01\x00{"Exited":{"id":1,"exit":{"Code":0},"usage":{"cpu_us":1,"peak_memory_bytes":2}}}',
        "enclosed": b'\x02\x02"Enclosed"',
        "broken": b'\x02\x00{"Broken":"mount: x"}',
        "ended": b'\x02\x1c{"Ended":-9}',
        "mount": b'\x05\x01{"id":1,"binds":[{"source":"/a","target":"/var/task"}]}',
        "mounted": b'\x06\x00{"id":1,"failure":null}',
        "proceed": b"\x03\x00null",
        "provide": b'\x04\x00{"Provide":{"id":1,"policy":"internet"}}',
        "admit": b'\x04\x00{"Admit":{"id":1,"policy":"internet","addresses":["1.2.3.4","::1"],'
        b'"ports":[443],"seconds":300}}',
        "provided": b'\x07\x01{"Provided":{"id":1,"address":"10.0.0.1"}}',
    }


def query(name: str, kind: int = 1) -> bytes:
    """A question of DNS."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def egress_names() -> dict[str, bytes]:
    """The length of the question, the question, the answer."""

    def pair(question: bytes, answer: bytes) -> bytes:
        return struct.pack(">H", len(question)) + question + answer

    def answered(question: bytes, records: bytes, count: int) -> bytes:
        head = bytearray(question)
        head[2] |= 0x80
        head[7] = count
        return bytes(head) + records

    asked, six = query("DB.Example.com"), query("db.example.com", 28)
    alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 4) + b"\x01x\xc0\x0c"
    four = b"\x01x\xc0\x0c" + struct.pack(">HHIH", 1, 1, 256, 4) + bytes([203, 0, 113, 9])
    long = b"\xc0\x0c" + struct.pack(">HHIH", 28, 1, 2**32 - 1, 16) + bytes(range(16))
    return {
        "address": pair(asked, answered(asked, four, 1)),
        "alias": pair(asked, answered(asked, alias + four, 2)),
        "version_six": pair(six, answered(six, long, 1)),
        "no_answer": pair(asked, b""),
        "cut": pair(asked, answered(asked, four[:9], 1)),
        "long_name": pair(query(".".join(["a" * 63] * 3 + ["b" * 61])), b""),
    }


def signature() -> dict[str, bytes]:
    """Lines: method, target, headers; an empty line, the body."""
    scope = b"AKIDEXAMPLE/20150830/us-east-1/lambda/aws4_request"
    head = b"host:example.amazonaws.com\nx-amz-date:20150830T123600Z\n"
    header = b"authorization:AWS4-HMAC-SHA256 Credential=" + scope
    header += b", SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64
    presigned = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + scope.replace(b"/", b"%2F")
    presigned += b"&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + b"0" * 64
    return {
        "header": b"POST\n/2015-03-31/functions/f/invocations?b=2&a=1\n" + head + header + b"\n\n{}",
        "unsigned_payload": b"PUT\n/a%20b/../c//d\n" + head + b"x-amz-content-sha256:UNSIGNED-PAYLOAD\n" + header,
        "presigned": b"GET\n/?" + presigned + b"\nhost:example.amazonaws.com",
        "session": b"GET\n/?x=%E1%88%B4&x=\n" + head + b"x-amz-security-token:t\n" + header,
        "absolute": b"GET\nhttp://example.com:80/a?b\nname:  two  spaces ",
        "bare": b"GET\n/\nhost:x",
    }


def package() -> dict[str, bytes]:
    """Zips."""

    def pack(*entries: tuple[str, bytes, int], method: int = zipfile.ZIP_STORED) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, contents, mode in entries:
                information = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                information.create_system = 3
                information.external_attr = mode << 16
                information.compress_type = method
                archive.writestr(information, contents)
        return buffer.getvalue()

    return {
        "stored": pack(("app.py", b"x = 1\n", 0o100644)),
        "deflated": pack(("a/b/app.py", b"x" * 200, 0o100755), method=zipfile.ZIP_DEFLATED),
        "link": pack(("lib/a.so", b"a.so.1", 0o120777), ("lib/a.so.1", b"elf", 0o100644)),
        "link_out": pack(("a/b", b"../../x", 0o120777)),
        "circle": pack(("a", b"b", 0o120777), ("b", b"a", 0o120777)),
        "directory": pack(("a/", b"", 0o040755), ("./a/c", b"", 0o100600)),
        "out": pack(("../x", b"", 0o100644)),
        "clash": pack(("a", b"", 0o100644), ("a/b", b"", 0o100644)),
        "set_user_id": pack(("x", b"", 0o104755)),
    }


if __name__ == "__main__":
    for make in (frames, runtime_api, launcher_messages, egress_names, signature, package):
        write(make.__name__, make())
