"""Code packages: well-formed ones by `zip_of`, hostile ones by `RawZip`, byte for byte."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping

EXECUTABLE = 0o755
READABLE = 0o644
STORED, DEFLATED = 0, 8


def zip_of(files: Mapping[str, str | bytes], executables: tuple[str, ...] = ("bootstrap",)) -> bytes:
    """A zip of these files with Unix modes; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = EXECUTABLE if name in executables else READABLE
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def crc(data: bytes) -> int:
    """CRC-32 as zip has it."""
    return zlib.crc32(data) & 0xFFFFFFFF


class RawZip:
    """Writes any zip, also one that no library would write."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._directory = bytearray()
        self._entries = 0

    def add(
        self,
        name: str | bytes,
        content: bytes = b"",
        *,
        mode: int = stat.S_IFREG | READABLE,
        method: int = STORED,
        flags: int = 0,
        claimed_size: int | None = None,
        offset: int | None = None,
    ) -> "RawZip":
        """Appends an entry. `claimed_size` lies about the unpacked size; `offset` points the directory elsewhere."""
        raw_name = name.encode() if isinstance(name, str) else name
        packed = deflate(content) if method == DEFLATED else content
        size = len(content) if claimed_size is None else claimed_size
        at = len(self._body) if offset is None else offset
        common = struct.pack("<HHHHHIII", 20, flags, method, 0, 0x21, crc(content), len(packed), size)
        self._body += b"PK\x03\x04" + common + struct.pack("<HH", len(raw_name), 0) + raw_name + packed
        self._directory += b"PK\x01\x02" + struct.pack("<H", 0x0314) + common
        self._directory += struct.pack("<HHHHHII", len(raw_name), 0, 0, 0, 0, mode << 16, at) + raw_name
        self._entries += 1
        return self

    def bytes(self) -> bytes:
        """The archive."""
        end = struct.pack("<HHHHIIH", 0, 0, self._entries, self._entries, len(self._directory), len(self._body), 0)
        return bytes(self._body + self._directory) + b"PK\x05\x06" + end


def deflate(content: bytes) -> bytes:
    """Raw deflate, without a zlib header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def zeros_zip(size: int, *, claimed_size: int | None = None) -> bytes:
    """A zip that unpacks to `size` zero bytes beside a small handler, a thousandth of that when packed."""
    zip_ = RawZip().add("app.py", b"def handler(event, context):\n    return 1\n")
    return zip_.add("zeros.bin", bytes(size), method=DEFLATED, claimed_size=claimed_size).bytes()
