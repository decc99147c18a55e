"""How is something compressed read, whole and within bounds? gzip of several members, zstd of several frames.

A reader of the libraries' own stops silently after the first zstd frame, or where a frame breaks off. Here every frame is
read, and a stream that ends within one raises.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any

import zstandard

STEP_BYTES = 256  # of zstd, decompressed at a time: 4 bytes may tell 128 KiB, so this is 8 MiB at most
READ_BYTES = 256 * 1024  # of a file, read at a time

BROKEN: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)
"""What is raised for bytes that are not what they are said to be."""


class TooLarge(Exception):
    """There is more than was asked for."""


def unpacked(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """All of a compressed body; `encoding` is `gzip` or `zstd`. Raises `TooLarge` or one of `BROKEN`."""
    if encoding == "gzip":
        out = gzip.GzipFile(fileobj=io.BytesIO(body)).read(bytes_max + 1)
    else:
        parts, size = [], 0
        for part in _frames(iter([body])):
            parts.append(part)
            size += len(part)
            if size > bytes_max:
                break
        out = b"".join(parts)
    if len(out) > bytes_max:
        raise TooLarge
    return out


def zstd_reader(raw: IO[bytes]) -> io.BufferedReader:
    """The content of a zstd file as a file. Reading raises one of `BROKEN`."""
    return io.BufferedReader(_Zstd(raw), READ_BYTES)


def _frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What the frames of a stream hold. Raises `EOFError` where the last one is not whole."""
    decompressor = zstandard.ZstdDecompressor()
    frame: Any = None
    for chunk in chunks:
        for begin in range(0, len(chunk), STEP_BYTES):
            rest = chunk[begin : begin + STEP_BYTES]
            while rest:  # each turn ends a frame or uses all: bounded by the frames in a step
                frame = frame or decompressor.decompressobj(write_size=STEP_BYTES * 64)
                if part := frame.decompress(rest):
                    yield part
                rest = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = None
    if frame is not None:
        raise EOFError("the last zstd frame is not whole")


class _Zstd(io.RawIOBase):
    """Decompresses as it is read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._parts = _frames(iter(lambda: raw.read(READ_BYTES), b""))
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, as far as what is at hand goes; 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
