"""How are the events of a bucket kept until its turn? In blocks of a file, packed, each with a checksum of its own.

One pass over the log splits it: what concerns one visitor goes to one bucket. A bucket is then read as a whole, so that memory
is bounded by the bucket and not by the log.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import zstandard

from shared.projection.rows import TouchRow

BLOCK_BYTES = 256 * 1024  # before compression; a writer holds one such block a bucket at most
COMPRESS_LEVEL = 1

Named = tuple[tuple[tuple[bool, str], ...], ...]
"""The contacts that an event names, each as its identifiers."""


class SpilledTouch(msgspec.Struct, array_like=True, gc=False):
    """A touch with its place in the log; `late` is its bucket of lateness, None for what came by a backfill."""

    offset: int
    late: int | None
    named: Named | None
    row: TouchRow


class SpilledEntityEvent(msgspec.Struct, array_like=True, gc=False):
    """Any other event, in the order of the columns of `entity_event`; `visitor` is whom it identifies."""

    offset: int
    late: int | None
    named: Named | None
    visitor: int | None
    ws: int
    subject: int
    occurred_at_us: int
    event_id: str
    type: str
    object: int | None
    leads_to: int | None
    body: bytes


class Frame(msgspec.Struct, array_like=True, gc=False):
    """Events of one partition and one bucket."""

    partition: int
    touches: list[SpilledTouch]
    entity_events: list[SpilledEntityEvent]


class Block(msgspec.Struct, array_like=True, frozen=True):
    """Where a file holds frames of a bucket."""

    at: int
    size: int


class SpillLost(Exception):
    """The files of a rebuild that was stopped are missing or incomplete; the rebuild must begin again."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode
_decode_frames = msgspec.msgpack.Decoder(list[bytes]).decode


class SpillWriter:
    """Writes one file. `blocks` has afterwards the place of each block in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks: dict[int, list[Block]] = defaultdict(list)
        self.size = 0
        self._held: dict[int, list[bytes]] = defaultdict(list)
        self._held_bytes: dict[int, int] = defaultdict(int)
        self._compress = zstandard.ZstdCompressor(level=COMPRESS_LEVEL, write_checksum=True).compress
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._file = self.path.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        assert self._file is not None
        if kind is None:
            for bucket in list(self._held):
                self._flush(bucket)
        self._file.close()

    def add(self, bucket: int, frame: Frame) -> None:
        """Keep a frame for a bucket."""
        packed = _encode(frame)
        self._held[bucket].append(packed)
        self._held_bytes[bucket] += len(packed)
        if self._held_bytes[bucket] >= BLOCK_BYTES:
            self._flush(bucket)

    def _flush(self, bucket: int) -> None:
        assert self._file is not None
        block = self._compress(_encode(self._held.pop(bucket)))
        self._held_bytes[bucket] = 0
        self._file.write(block)
        self.blocks[bucket].append(Block(self.size, len(block)))
        self.size += len(block)


def read_frames(path: Path, blocks: Sequence[Block]) -> Iterator[Frame]:
    """The frames of some blocks of a file. Raises `SpillLost`."""
    decompress = zstandard.ZstdDecompressor().decompress
    try:
        with path.open("rb") as file:
            for block in blocks:
                file.seek(block.at)
                for packed in _decode_frames(decompress(file.read(block.size))):
                    yield _decode(packed)
    except (OSError, zstandard.ZstdError, msgspec.DecodeError) as error:
        raise SpillLost(f"{path}: {error}") from error
