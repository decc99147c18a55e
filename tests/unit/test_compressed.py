"""A compressed body is read whole, or it is said that it is not whole."""

import gzip
import io
import random

import pytest
import zstandard

from services.replay.sources import read_lines
from shared.compressed import BROKEN, TooLarge, unpacked, zstd_reader

LINES = b"".join(b'{"type":"page_visited","n":%d}\n' % n for n in range(900))
PACK = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_every_frame_is_read(encoding: str, frames: int) -> None:
    step = len(LINES) // frames + 1
    packed = b"".join(PACK[encoding](LINES[i : i + step]) for i in range(0, len(LINES), step))
    assert unpacked(packed, encoding, len(LINES)) == LINES


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_that_breaks_off_anywhere_is_not_taken_for_whole(encoding: str) -> None:
    packed = PACK[encoding](LINES[:9_000]) + PACK[encoding](LINES[9_000:])
    first = len(PACK[encoding](LINES[:9_000]))
    for end in {1, 2, 9, len(packed) - 1, *random.Random(7).sample(range(1, len(packed)), 60)} - {first}:
        with pytest.raises(BROKEN):
            unpacked(packed[:end], encoding, len(LINES))


@pytest.mark.parametrize("encoding", PACK)
def test_what_follows_the_last_frame_is_not_dropped_in_silence(encoding: str) -> None:
    with pytest.raises(BROKEN):
        unpacked(PACK[encoding](LINES) + b"more", encoding, len(LINES) * 2)


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_is_too_large(encoding: str) -> None:
    with pytest.raises(TooLarge):
        unpacked(PACK[encoding](bytes(50_000_000)), encoding, 1_000_000)


def test_a_zstd_file_is_read_line_by_line_across_frames() -> None:
    packed = zstandard.compress(LINES[:777]) + zstandard.compress(b"") + zstandard.compress(LINES[777:])
    assert b"".join(zstd_reader(io.BytesIO(packed))) == LINES


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_a_backfill_file_of_two_frames_is_read_whole_and_a_broken_one_says_so(suffix: str, tmp_path) -> None:
    pack = PACK["zstd" if suffix == ".zst" else "gzip"]
    path = tmp_path / f"history.ndjson{suffix}"
    path.write_bytes(pack(LINES[:333]) + pack(LINES[333:]))
    assert len(list(read_lines(path))) == 900
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(OSError, match="cannot be decompressed"):
        list(read_lines(path))
