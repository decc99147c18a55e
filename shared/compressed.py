"""How is compressed data read, completely and within a size limit? gzip with several members, zstd with several frames.

The zstd library's own reader stops silently after the first frame, or where a frame is cut off. Here every frame is read,
and a stream that ends within a frame raises an error.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any

import zstandard

STEP_BYTES = 256  # of zstd, decompressed at a time: 4 bytes can expand to 128 KiB, so this gives 8 MiB at most
READ_BYTES = 256 * 1024  # of a file, read at a time

BROKEN: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)
"""The errors raised for bytes that are not valid gzip or zstd."""


class TooLarge(Exception):
    """The decompressed data is larger than the limit."""


def unpacked(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Decompress a whole body; `encoding` is `gzip` or `zstd`. Raises `TooLarge` above `bytes_max`, or one of `BROKEN`."""
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
    """A file that reads the decompressed content of a zstd file. Reading raises one of `BROKEN`."""
    return io.BufferedReader(_Zstd(raw), READ_BYTES)


def _frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The decompressed content of all frames of a stream. Raises `EOFError` if the last frame is not complete."""
    decompressor = zstandard.ZstdDecompressor()
    frame: Any = None
    for chunk in chunks:
        for begin in range(0, len(chunk), STEP_BYTES):
            rest = chunk[begin : begin + STEP_BYTES]
            while rest:  # each turn ends a frame or uses all bytes, so there are no more turns than frames in a step
                frame = frame or decompressor.decompressobj(write_size=STEP_BYTES * 64)
                if part := frame.decompress(rest):
                    yield part
                rest = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = None
    if frame is not None:
        raise EOFError("the last zstd frame is not complete")


class _Zstd(io.RawIOBase):
    """A raw file that decompresses while it is read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._parts = _frames(iter(lambda: raw.read(READ_BYTES), b""))
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """True, always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the bytes that are ready; returns how many, 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
