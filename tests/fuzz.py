"""`python -m tests.fuzz --payloads N --seed S`: mutated events and questions for a real `touchline up`, over HTTP.

It fails if an answer is an error of the server, if a payload is neither accepted, nor rejected, nor kept with a body that could
not be told apart, if not as many dead letters are kept as that makes, or if the process holds more and more memory. A failure
prints the request; the same seed sends the same.
"""

import argparse
import asyncio
import codecs
import gzip
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import zstandard

from shared.events.limits import REQUEST_BYTES_MAX, REQUEST_BYTES_SERVER_MAX
from tests.malformed_json import NUMBERS, malformed_texts
from tests.processes import Up, start

PAYLOADS = 20_000
IDS = 100_000  # so that some are sent twice, with other content
READS = 4  # questions after each request of events
BATCH_PAYLOADS = 250  # events of a request
LANES = 6  # requests in flight
KEPT_WHOLE = ("not_json", "bad_encoding")  # codes of bodies that cannot be told apart, and are kept as they are
OF_PROJECTOR = ("conflicting_duplicate", "cannot_be_projected", "cannot_be_decoded")  # reasons that no answer has
SAMPLE_S = 0.5  # between looks at the memory of the process
TELL_S = 30.0  # between lines that say how far it is
WARM_SHARE = 0.3  # of the payloads; memory is level from then on
GROWTH_MAX_MB = 64
PATIENCE_S = 60.0
WRONG_SHOWN_CHARACTERS = 4_000
LINES_SHOWN = 60  # of what the process said
TOKENS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"\\u0000", b"\\ud800", b"null", b"true", b"1e999", b"-0", b"%00", b"tl_via=",
          b"\xef\xbb\xbf", b"\xe2\x80\xa8", b'"type":', b'"id":', b'"contact":{"email":"a@b"}', b'"collect:x"', b"9" * 400, b" " * 50]  # fmt: skip
PATHS = ["/v1/campaigns", "/v1/campaigns/{}", "/v1/campaigns/{}/overview", "/v1/campaigns/{}/assets", "/v1/campaigns/{}/contacts", "/v1/campaigns/{}/deals",
         "/v1/campaigns/{}/refusals", "/v1/contacts", "/v1/contacts/{}", "/v1/contacts/{}/journey", "/v1/contacts/{}/deals", "/v1/deals/{}/attribution", "/v1/deals/{}/explain",
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
    """Makes events that are nearly right, each on one line and not blank (a byte order mark is blank), from one seed."""

    rng: random.Random
    seeds: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        golden = Path(__file__).parent / "unit" / "golden"
        found = [
            json.dumps(json.loads(path.read_text()), separators=(",", ":")).encode()
            for path in sorted(golden.glob("*.json"))
        ]
        self.seeds = found * 20 + [text for text in malformed_texts() if len(text) < 2_000]

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
        return out if out.removeprefix(codecs.BOM_UTF8).strip() else b"0"

    def query(self) -> str:
        rng = self.rng
        name = rng.choice(("c", "7", "\0", "x" * 100, "%", "..", "é", "a/b"))
        pairs = [f"{quote(rng.choice(NAMES))}={quote(rng.choice(VALUES))}" for _ in range(rng.randrange(4))]
        return rng.choice(PATHS).format(quote(name, safe="")) + ("?" + "&".join(pairs) if pairs else "")


@dataclass
class Outcome:
    """What came back. Of the payloads sent, each is accepted, rejected, or kept within a body that could not be told apart."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    kept: int = 0
    whole: Counter[str] = field(default_factory=Counter)
    reads: Counter[int] = field(default_factory=Counter)


@dataclass
class Wrong(Exception):
    """An answer that must not be: what is wrong with it in one line, and what it was given for, which may be long."""

    what: str
    shown: str = ""


@dataclass
class Lane:
    """Requests one after another, in a workspace of their own, so that what is kept of each can be counted."""

    client: httpx.AsyncClient
    keys: dict[str, str]
    mutator: Mutator
    outcome: Outcome
    letters: int = 0
    """How many dead letters the answers so far must have made."""

    async def send(self, count: int) -> None:
        """One request of events, in one of the forms that a body may have, and now and then questions. Raises `Wrong`."""
        rng, result = self.mutator.rng, self.outcome
        scope = rng.choice(("server", "server", "collect"))
        form, parts, body = self._body(count, REQUEST_BYTES_MAX if scope == "collect" else REQUEST_BYTES_SERVER_MAX)
        content_type = "application/x-ndjson" if form == "lines" else "application/json"
        headers = {"Authorization": f"Bearer {self.keys[scope]}", "Content-Type": content_type}
        events = len(parts) if form == "lines" else events_of(body)
        pack = rng.choice((None, None, None, "gzip", "zstd", "broken"))
        if pack:
            body = gzip.compress(body, 1) if pack == "gzip" else zstandard.compress(body)
            headers["Content-Encoding"] = "gzip" if pack == "gzip" else "zstd"
        if pack == "broken":
            body = body[: rng.randrange(1, len(body))]
        response = await self.client.post("/v1/events", content=body, headers=headers)
        answer = response.json() if response.content else {}
        answered = f"{response.status_code} {response.text[:500]} for {headers} {body!r}"
        if response.status_code >= 500:
            raise Wrong(f"{response.status_code} for a request of events", answered)
        if "accepted" in answer:
            taken = answer["accepted"] + len(answer["rejected"])
            if pack == "broken" or events not in (None, taken):
                raise Wrong(
                    f"{events} events were sent as {form}, packed by {pack}, but {taken} were accepted or rejected",
                    answered,
                )
            result.sent += taken
            result.accepted += answer["accepted"]
            result.rejected += len(answer["rejected"])
            self.letters += len(answer["rejected"])
            for _ in range(READS):
                await ask(self.client, self.keys, self.mutator, result)
        elif form == "lines" and pack != "broken":
            raise Wrong(f"lines are read one by one, but all were refused as {answer['code']}", answered)
        else:
            await self._refused_whole(answer["code"], len(parts), events, answered)

    def _body(self, count: int, bytes_max: int) -> tuple[str, list[bytes], bytes]:
        """A body within the limit of its key, what it is made of, and its form."""
        rng = self.mutator.rng
        form = rng.choice(("lines", "lines", "lines", "lines", "array", "one"))
        parts = [self.mutator.payload() for _ in range(1 if form == "one" else count)]
        while len(parts) > 1 and sum(map(len, parts)) + len(parts) + 2 > bytes_max:
            del parts[len(parts) // 2 :]
        if form == "array":
            return form, parts, b"[" + b",".join(parts) + b"]"
        return form, parts, b"\n".join(parts)

    async def _refused_whole(self, code: str, parts: int, events: int | None, answered: str) -> None:
        """A body that could not be told apart is kept as one dead letter; one that tells no event is not."""
        result = self.outcome
        result.whole[code] += 1
        if code == "no_events":
            if events not in (None, 0):
                raise Wrong(f"{events} events were sent, but the body was refused as {code}", answered)
            return
        if code not in KEPT_WHOLE:
            raise Wrong(f"a body was refused as {code}", answered)
        self.letters += 1
        result.sent += parts
        await self.check_letters()
        result.kept += parts

    async def check_letters(self) -> None:
        """What ingest has kept, with what was pushed out since, is what the answers said. Raises `Wrong`."""
        response = await self.client.get("/v1/status", headers={"Authorization": f"Bearer {self.keys['read']}"})
        if response.status_code != 200:
            raise Wrong(f"{response.status_code} {response.text[:500]} for /v1/status")
        status = response.json()
        by = [row for row in status["dead_letters_by"] if row["reason"] not in OF_PROJECTOR]
        kept = sum(row["events"] for row in (*by, *status["dead_letters_pushed_out"]))
        if kept != self.letters:
            raise Wrong(f"{self.letters} dead letters should be kept, and {kept} are or were", f"{status}")


def events_of(body: bytes) -> int | None:
    """How many events a body of JSON tells, by Python's own reading; None if that cannot tell."""
    try:
        output = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    if isinstance(output, dict) and "events" in output:
        return len(output["events"]) if body.count(b'"events"') == 1 and isinstance(output["events"], list) else None
    return len(output) if isinstance(output, list) else 1


async def ask(client: httpx.AsyncClient, keys: dict[str, str], mutator: Mutator, value: Outcome) -> None:
    """One question, nearly right."""
    path = mutator.query()
    key = keys[mutator.rng.choice(("read", "read", "read", "admin", "collect"))]
    if path.startswith("/v1/p.gif"):
        key = keys["pixel"]  # of another workspace: its answer does not tell what was kept
    read = await client.get(path, headers={"Authorization": f"Bearer {key}"})
    value.reads[read.status_code] += 1
    if read.status_code >= 500 and not (read.status_code == 503 and "after" in path):
        raise Wrong(f"{read.status_code} {read.text[:500]} for {path}")


async def fuzz(up: Up, payloads: int, seed: int, seconds: float = math.inf) -> Outcome:
    """Send so many payloads, or as many as there is time for, a few requests at a time. Raises `Wrong`."""
    result, began_s = Outcome(), time.monotonic()
    process = psutil.Process(up.process.pid)
    levels: list[tuple[int, float]] = []

    def is_over() -> bool:
        return result.sent >= payloads or time.monotonic() - began_s >= seconds

    async def lane(number: int) -> None:
        # a connection for each request: on a busy machine the server may shut one that waits just as the next request is sent
        once = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=up.url, timeout=PATIENCE_S, limits=once) as client:
            lane = Lane(client, await new_keys(client, up, number), Mutator(random.Random(f"{seed}/{number}")), result)
            while not is_over():
                await lane.send(min(BATCH_PAYLOADS, payloads))
            await lane.check_letters()

    def look() -> None:
        levels.append((result.sent, process.memory_info().rss / 2**20))

    async def watch() -> None:
        while not is_over():
            look()
            await asyncio.sleep(SAMPLE_S)

    async def report() -> None:
        while not is_over():
            await asyncio.sleep(TELL_S)
            print(f"{result.sent:,} payloads, {levels[-1][1]:.0f} MB", flush=True)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch()), group.create_task(report())
        lanes = [group.create_task(lane(number)) for number in range(LANES)]
        await asyncio.wait(lanes)
        for task in watching:
            task.cancel()
    look()  # a run of a moment has no other sample
    took_s = time.monotonic() - began_s
    print(f"{result.sent:,} payloads in {took_s:.0f} s: {result.accepted:,} accepted, {result.rejected:,} rejected, {result.kept:,} kept in bodies "
          f"that could not be told apart; bodies refused whole: {dict(result.whole)}")  # fmt: skip
    print(f"reads by status: {dict(sorted(result.reads.items()))}")
    if result.accepted + result.rejected + result.kept != result.sent:
        raise Wrong("accepted, rejected and kept do not add up to what was sent")
    check_level([mb for sent, mb in levels if sent >= result.sent * WARM_SHARE])
    return result


async def new_keys(client: httpx.AsyncClient, up: Up, number: int) -> dict[str, str]:
    """The keys of a new workspace."""
    headers = {"Authorization": f"Bearer {up.keys['admin']}"}
    made = await client.post("/v1/workspaces", json={"name": f"lane {number}"}, headers=headers)
    if made.status_code != 201:
        raise Wrong(f"{made.status_code} {made.text[:500]} for a new workspace")
    keys: dict[str, str] = made.json()["keys"]
    return keys | {"pixel": up.keys["collect"]}


def check_level(levels_mb: list[float]) -> None:
    """Compare what the process held in the first and the last tenth of the samples. Raises `Wrong`."""
    tenth = max(1, len(levels_mb) // 10)
    first, last = sum(levels_mb[:tenth]) / tenth, sum(levels_mb[-tenth:]) / tenth
    print(f"memory of the process: {first:.0f} MB after {WARM_SHARE:.0%}, {last:.0f} MB at the end, at most {max(levels_mb):.0f} MB "
          f"in {len(levels_mb):,} samples")  # fmt: skip
    if last - first > GROWTH_MAX_MB:
        raise Wrong(f"the process has grown by {last - first:.0f} MB")


def main(arguments: Any = None) -> int:
    """Exit codes: 0 nothing was wrong, 1 something was."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--payloads", type=int, default=PAYLOADS)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so long, however many were sent")
    result = parser.parse_args(arguments)
    print(f"seed {result.seed}")
    with tempfile.TemporaryDirectory() as folder:
        up = start(Path(folder) / "data")
        error_lines: deque[str] = deque(maxlen=LINES_SHOWN)
        assert up.process.stderr is not None
        listener = threading.Thread(
            target=error_lines.extend, args=(up.process.stderr,)
        )  # a full pipe would stop the process
        listener.start()
        failed: list[Exception] = []
        try:
            asyncio.run(fuzz(up, result.payloads, result.seed, result.seconds))
        except* Exception as group:
            failed += flat(group)
        finally:
            if end := ended_otherwise(up):
                failed.append(Wrong(end))
            listener.join()
    if failed:
        report_failure(failed, error_lines, f"make fuzz PAYLOADS={result.payloads} SEED={result.seed}")
    return min(len(failed), 1)


def ended_otherwise(up: Up) -> str:
    """End the process by a signal; answers how it ended if not in good order."""
    up.process.send_signal(signal.SIGTERM)
    try:
        code = up.process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(up.process.pid, signal.SIGKILL)
        up.process.wait()
        return f"the process did not end within {PATIENCE_S:g} s of a signal"
    return f"the process ended with exit code {code}" if code else ""


def flat(group: ExceptionGroup[Exception]) -> list[Exception]:
    """All exceptions of a group, and of the groups in it."""
    return [
        each for error in group.exceptions for each in (flat(error) if isinstance(error, ExceptionGroup) else [error])
    ]


def report_failure(failed: Sequence[Exception], error_lines: Iterable[str], again: str) -> None:
    """Print what was wrong, then all that is known of it, then once more what was wrong, for a reader who sees only the last line."""
    summary = "; ".join(error.what if isinstance(error, Wrong) else f"{error!r}"[:300] for error in failed)
    line = f"the fuzzer failed: {summary}; again with: {again}"
    print(line, file=sys.stderr)
    for error in failed:
        shown = error.shown if isinstance(error, Wrong) else "".join(traceback.format_exception(error))
        print(shown[:WRONG_SHOWN_CHARACTERS], file=sys.stderr)
    print("the process said last:", *error_lines, line, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
