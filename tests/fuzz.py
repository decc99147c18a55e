"""`python -m tests.fuzz --payloads N --seed S`: mutated events and questions for a real `touchline up`, over HTTP.

It fails if an answer is an error of the server, if an event of a request that could be read is neither accepted nor rejected,
or if the process holds more and more memory. A failure prints the request; the same seed sends the same.
"""

import argparse
import asyncio
import gzip
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import zstandard

from tests.odd_json import NUMBERS, odd_texts
from tests.processes import Up, start

PAYLOADS = 20_000
IDS = 100_000  # so that some are told twice, and differently
READS = 4  # questions after each request of events
BATCH_PAYLOADS = 250  # events of a request
LANES = 6  # requests in flight
WARM_SHARE = 0.3  # of the payloads; memory is level from then on
GROWTH_MAX_MB = 64
PATIENCE_S = 60.0
WRONG_SHOWN_CHARACTERS = 4_000
LINES_SHOWN = 60  # of what the process said
TOKENS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"\\u0000", b"\\ud800", b"null", b"true", b"1e999", b"-0", b"%00", b"tl_via=",
          b"\xef\xbb\xbf", b"\xe2\x80\xa8", b'"type":', b'"id":', b'"contact":{"email":"a@b"}', b'"collect:x"', b"9" * 400, b" " * 50]  # fmt: skip
PATHS = ["/v1/campaigns", "/v1/campaigns/{}", "/v1/campaigns/{}/overview", "/v1/campaigns/{}/assets", "/v1/campaigns/{}/contacts", "/v1/campaigns/{}/deals",
         "/v1/campaigns/{}/refusals", "/v1/contacts", "/v1/contacts/{}", "/v1/contacts/{}/journey", "/v1/deals/{}/attribution", "/v1/deals/{}/explain",
         "/v1/events/{}/explain", "/v1/reports/attribution", "/v1/status", "/v1/p.gif", "/{}", "/dashboard/{}"]  # fmt: skip
NAMES = [
    "q",
    "from",
    "to",
    "model",
    "metric",
    "cursor",
    "limit",
    "after",
    "generation",
    "currency",
    "group_by",
    "all",
    "campaign",
    "type",
    "k",
    "v",
    "u",
    "x",
]
VALUES = [
    "",
    "0",
    "1",
    "\0",
    "2024-01-01",
    "9999-12-31T23:59:59-23:59",
    "linear",
    "p0-1",
    "WzEsIngiXQ",
    "é",
    "%",
    "x" * 300,
    "EUR",
    "9" * 30,
    *NUMBERS[:20],
]


@dataclass
class Mutator:
    """Makes events that are nearly right, each on one line and not empty, from one seed."""

    rng: random.Random
    seeds: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        golden = Path(__file__).parent / "unit" / "golden"
        told = [
            json.dumps(json.loads(path.read_text()), separators=(",", ":")).encode()
            for path in sorted(golden.glob("*.json"))
        ]
        self.seeds = told * 20 + [text for text in odd_texts() if len(text) < 2_000]

    def payload(self) -> bytes:
        rng = self.rng
        body = bytearray(rng.choice(self.seeds).replace(b"evt-1", b"evt-%d" % rng.randrange(IDS)))
        for _ in range(rng.choice((0, 0, 1, 1, 2, 8))):
            at = rng.randrange(len(body) + 1)
            match rng.randrange(7):
                case 0 if body:
                    body[min(at, len(body) - 1)] ^= 1 << rng.randrange(8)
                case 1:
                    del body[at : at + rng.randrange(1, 30)]
                case 2:
                    body[at:at] = body[at : at + rng.randrange(1, 60)]
                case 3:
                    body[at:at] = rng.choice(TOKENS)
                case 4:
                    body[at : at + rng.randrange(1, 8)] = rng.choice(TOKENS)
                case 5:
                    other = rng.choice(self.seeds)
                    body[at:] = other[min(at, len(other)) :]
                case _:
                    depth = rng.choice((2, 50, 1_100))
                    body[at:at] = b"[" * depth + b"]" * rng.choice((0, depth))
        out = bytes(body).replace(b"\n", b" ").replace(b"\r", b" ")
        return out if out.strip() else b"0"

    def query(self) -> str:
        rng = self.rng
        name = rng.choice(("c", "7", "\0", "x" * 100, "%", "..", "é", "a/b"))
        pairs = [f"{quote(rng.choice(NAMES))}={quote(rng.choice(VALUES))}" for _ in range(rng.randrange(4))]
        return rng.choice(PATHS).format(quote(name, safe="")) + ("?" + "&".join(pairs) if pairs else "")


@dataclass
class Told:
    """What came back."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    whole: Counter[str] = field(default_factory=Counter)
    reads: Counter[int] = field(default_factory=Counter)


class Wrong(Exception):
    """An answer that must not be."""


async def send(client: httpx.AsyncClient, up: Up, mutator: Mutator, count: int, told: Told) -> None:
    """One request of events, in one of the forms that a body may have, and now and then a question."""
    rng = mutator.rng
    parts = [mutator.payload() for _ in range(count)]
    key = up.keys[rng.choice(("server", "server", "collect"))]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    form = rng.choice(("lines", "lines", "lines", "lines", "array", "one"))
    if form == "lines":
        headers["Content-Type"] = "application/x-ndjson"
        body = b"\n".join(parts)
    elif form == "array":
        body = b"[" + b",".join(parts) + b"]"
    else:
        parts = parts[:1]
        body = parts[0]
    pack = rng.choice((None, None, None, "gzip", "zstd", "broken"))
    if pack:
        body = gzip.compress(body, 1) if pack == "gzip" else zstandard.compress(body)
        headers["Content-Encoding"] = "gzip" if pack == "gzip" else "zstd"
        if pack == "broken":
            body = body[: rng.randrange(1, len(body))]
    response = await client.post("/v1/events", content=body, headers=headers)
    told.sent += len(parts)
    answer = response.json() if response.content else {}
    if response.status_code >= 500:
        raise Wrong(f"{response.status_code} {response.text[:500]} for {headers} {body!r}")
    if "accepted" not in answer:
        told.whole[answer["code"]] += len(parts)
        if form == "lines" and pack != "broken" and response.status_code != 413:
            raise Wrong(f"lines are read one by one, but {response.text[:500]} for {body!r}")
        return
    told.accepted += answer["accepted"]
    told.rejected += len(answer["rejected"])
    if form == "lines" and answer["accepted"] + len(answer["rejected"]) != len(parts):
        raise Wrong(
            f"{len(parts)} were sent, {answer['accepted']} accepted and {len(answer['rejected'])} rejected: {body!r}"
        )
    for _ in range(READS):
        await ask(client, up, mutator, told)


async def ask(client: httpx.AsyncClient, up: Up, mutator: Mutator, told: Told) -> None:
    """One question, nearly right."""
    path = mutator.query()
    key = up.keys[mutator.rng.choice(("read", "read", "read", "admin", "collect"))]
    read = await client.get(path, headers={"Authorization": f"Bearer {key}"})
    told.reads[read.status_code] += 1
    if read.status_code >= 500 and not (read.status_code == 503 and "after" in path):
        raise Wrong(f"{read.status_code} {read.text[:500]} for {path}")


async def fuzz(up: Up, payloads: int, seed: int) -> Told:
    """Send so many payloads, a few requests at a time. Raises `Wrong`."""
    told, process = Told(), psutil.Process(up.process.pid)
    levels: list[float] = []
    began_s = time.monotonic()

    async def lane(number: int) -> None:
        mutator = Mutator(random.Random(f"{seed}/{number}"))
        async with httpx.AsyncClient(base_url=up.url, timeout=PATIENCE_S) as client:
            while told.sent < payloads:
                await send(client, up, mutator, min(BATCH_PAYLOADS, payloads), told)
                if told.sent >= payloads * WARM_SHARE:
                    levels.append(process.memory_info().rss / 2**20)

    async with asyncio.TaskGroup() as group:
        for number in range(LANES):
            group.create_task(lane(number))
    took_s = time.monotonic() - began_s
    print(
        f"{told.sent:,} payloads in {took_s:.0f} s: {told.accepted:,} accepted, {told.rejected:,} rejected, in bodies refused whole {dict(told.whole)}"
    )
    print(f"reads by status: {dict(sorted(told.reads.items()))}")
    tenth = max(1, len(levels) // 10)
    first, last = sum(levels[:tenth]) / tenth, sum(levels[-tenth:]) / tenth
    print(f"memory of the process: {first:.0f} MB after {WARM_SHARE:.0%}, {last:.0f} MB at the end")
    if last - first > GROWTH_MAX_MB:
        raise Wrong(f"the process has grown by {last - first:.0f} MB")
    return told


def main(arguments: Any = None) -> int:
    """Exit codes: 0 nothing was wrong, 1 something was."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--payloads", type=int, default=PAYLOADS)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    told = parser.parse_args(arguments)
    print(f"seed {told.seed}")
    with tempfile.TemporaryDirectory() as folder:
        up = start(Path(folder) / "data")
        said: deque[str] = deque(maxlen=LINES_SHOWN)
        assert up.process.stderr is not None
        listener = threading.Thread(target=said.extend, args=(up.process.stderr,))  # a full pipe would stop the process
        listener.start()
        code = 0
        try:
            asyncio.run(fuzz(up, told.payloads, told.seed))
        except* Wrong as wrong:
            print(*(str(error)[:WRONG_SHOWN_CHARACTERS] for error in wrong.exceptions), sep="\n", file=sys.stderr)
            code = 1
        finally:
            up.process.send_signal(signal.SIGTERM)
            up.process.wait(PATIENCE_S)
            listener.join()
        if code:
            print("the process said last:", *said, sep="\n", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
