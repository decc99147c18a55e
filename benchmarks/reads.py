"""How long do reads take beside growing history and live traffic? Beside the raw statements, a statement by hand, and DuckDB.

`BENCHMARK_READS_EVENTS` sets how many events the largest store has (default 1,000,000); stores of a tenth and of a half of it are measured too.
`BENCHMARK_READS_S` sets how many seconds each round of reads takes at most. The history is loaded by the bulk path. `BENCHMARK_READS_FOLDER` is a folder in
which the stores stay: those that are there are not loaded again.
"""

import asyncio
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import orjson

from benchmarks.duck_reads import REPEATED
from benchmarks.load import BATCH_EVENTS, END, SEED, Server, now, spread, write_ndjson
from benchmarks.measure import background_done, database_of
from shared.database import open_pool
from shared.events.instants import BEGINNING_US, END_US, to_micros
from shared.projection.sql import Statement
from shared.reading.attribution import FEW_CAMPAIGNS, KEY_COLUMN
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import campaign_key
from shared.rules.pre_association import WindowStatus
from touchline.demo.mix import Mix
from touchline.embedded import Embedded

EVENTS = int(os.environ.get("BENCHMARK_READS_EVENTS", "1000000"))
KEPT_IN = os.environ.get("BENCHMARK_READS_FOLDER")
SHARES = (10, 2, 1)  # the stores have a tenth, a half and all of these events
PHASE_S = float(os.environ.get("BENCHMARK_READS_S", "60"))
ROUNDS_MAX = 200  # of all questions; p99 then is the second worst
REPEATED_MIN, REPEATS_S = 3, 10.0  # of a statement that takes long, no more are run
LIVE_EVENTS_PER_S = 2_000
ADDRESSES_IN_BYTES = 20_000_000  # of the end of the history: some 10,000 people whom it knows
FIRST_S = 30.0  # of live traffic, shown apart: the pages that it writes and the background reads are not in PostgreSQL's cache then
LIVE_DAYS = 2  # after the history, of which what arrives is, but for what is late
OF_CATALOG = (
    "campaign_",
    "asset_registered",
    "asset_associated",
    "asset_dissociated",
    "asset_published",
    "asset_unpublished",
    "workspace_",
)
SETTLE_S = 600.0  # for what came live to be projected
ZONE = ZoneInfo("Europe/Oslo")  # of the workspace that the mix makes
MONTH = (
    dt.datetime(2025, 6, 1, tzinfo=ZONE),
    dt.datetime(2025, 7, 1, tzinfo=ZONE),
)  # whole days, as people ask for them
# A range that begins and ends within a day, so that parts of days are read.
WITHIN_DAYS = (dt.datetime(2025, 2, 3, 4, 5, 6, 789, tzinfo=dt.UTC), dt.datetime(2025, 11, 9, 13, 37, 1, tzinfo=dt.UTC))
ALL_TIME = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(2199, 1, 1, tzinfo=dt.UTC))
OF_ANOTHER_RELEASE = (
    "DELETE FROM touchline.live_generation",
    "UPDATE touchline.generation SET live = false, shape = 'empty'",
)  # then a rebuild projects up to the end of the log; else up to where the empty generation stands
RANGES = {"all time": None, "30 days": MONTH, "parts of days": WITHIN_DAYS}

COUNTED = {
    TouchType.PAGE_VISITED: "page_views", TouchType.FORM_SUBMITTED: "form_submissions", TouchType.CTA_CLICKED: "cta_clicks",
    TouchType.EMAIL_OPENED: "email_opens", TouchType.EMAIL_CLICKED: "email_clicks",
}  # fmt: skip
_SUMS = ", ".join(f"coalesce(sum(count) FILTER (WHERE type = {kind:d}), 0) AS {name}" for kind, name in COUNTED.items())
_ROUTES = " UNION ".join(
    f"""SELECT t.person, t.occurred_at_us, t.event_id, t.type, t.count, t.session FROM w
    JOIN {{g}}.touch t ON t.ws = $1 AND t.{column} = w.key AND t.occurred_at_us >= greatest(w.from_us, $3) AND t.occurred_at_us < least(w.to_us, $4)
    WHERE w.route = {route:d} AND t.traffic_class = {TrafficClass.COUNTED:d}"""
    for route, column in KEY_COLUMN.items()
)
BY_HAND = f"""
WITH w AS MATERIALIZED (
    SELECT route, key, from_us, to_us FROM {{g}}.attribution_window WHERE ws = $1 AND campaign = $2 AND window_status = {WindowStatus.COUNTS:d}
), met AS ({_ROUTES})
SELECT {_SUMS}, count(DISTINCT session), count(DISTINCT person) FROM met
"""
"""What somebody would write who knows the tables: counts, sessions and visitors of a campaign; no deals, no reasons, no first or last touch."""


@dataclass
class Store:
    """A store that is filled and served, and the campaigns that are asked for, by size."""

    server: Server
    data: Path
    events: int
    campaigns: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)


async def reads(folder: Path) -> None:
    """Fill stores of several sizes, and ask each of them, quiet and beside live traffic."""
    for share in SHARES:
        await _measure(Path(KEPT_IN or folder) / str(EVENTS // share), EVENTS // share)


async def _measure(folder: Path, events: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data, file, loaded = folder / "data", folder / "events.ndjson", folder / "loaded"
    if not loaded.exists():
        began = now()
        written = write_ndjson(file, events)
        await load_in_bulk(data, file)
        loaded.write_text(str(written))
        print(f"  loaded and rebuilt in {now() - began:,.0f} s", flush=True)
    count = int(loaded.read_text())
    print(f"  {count:,} events", flush=True)
    with Server.start(data) as server:
        print(f"  digests and sums made in {await background_done(data):,.0f} s, in the background", flush=True)
        store = Store(server, data, count)
        headers = {"Authorization": f"Bearer {server.keys['read']}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
            questions = await _questions(client, store)
            _print("quiet", await _ask(client, questions))
            await _statements(store)
            _duckdb(store, file, folder)
            print(f"  at {LIVE_EVENTS_PER_S:,} events/s, as they arrive: the first {FIRST_S:.0f} s, and what follows")
            first, then = await _read_during_traffic(client, store, file, questions)
            _print("first", first)
            _print("live", then)
        await _bytes(store)


async def load_in_bulk(data: Path, file: Path) -> None:
    """Put a file into the log of a new store, and project it by the bulk path alone."""
    Server.start(data).stop()  # which makes the store
    _run(data, "backfill", str(file), "--rate", "1e9")
    await rebuild_alone(data)


async def rebuild_alone(data: Path) -> None:
    """Project the log of a stopped store by the bulk path alone."""
    embedded = Embedded(data)
    try:
        connection = await asyncpg.connect(embedded.start())
        for statement in OF_ANOTHER_RELEASE:
            await connection.execute(statement)
        await connection.close()
    finally:
        embedded.stop()
    _run(data, "replay", "rebuild")


def _run(data: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "touchline", *command, "--data", str(data), "--json"], capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"touchline {command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")


async def _questions(client: httpx.AsyncClient, store: Store) -> dict[str, str]:
    """The paths that are asked for, by what they are called in the table."""
    items = (await client.get("/v1/campaigns", params={"limit": 1000})).raise_for_status().json()["items"]
    items.sort(key=lambda item: item["metrics"]["page_views"])
    for name, item in (("largest", items[-1]), ("middling", items[len(items) // 2]), ("smallest", items[0])):
        store.campaigns[name] = item["campaign_id"]
        store.numbers[name] = item["metrics"]
    out = {}
    for size, campaign in store.campaigns.items():
        for range_name, span in RANGES.items():
            out[f"overview, {size}, {range_name}"] = f"/v1/campaigns/{campaign}/overview{_query(span)}"
    largest = f"/v1/campaigns/{store.campaigns['largest']}"
    out |= {
        "list of 50, all time": "/v1/campaigns?limit=50", "list of 50, 30 days": f"/v1/campaigns{_query(MONTH)}&limit=50",
        "list of 50, parts of days": f"/v1/campaigns{_query(WITHIN_DAYS)}&limit=50",
        "contacts, largest": f"{largest}/contacts", "deals, largest": f"{largest}/deals", "assets, largest": f"{largest}/assets",
        "assets, largest, 30 days": f"{largest}/assets{_query(MONTH)}", "assets by touches": "/v1/assets?sort=-touches&limit=50",
        "report by campaign": "/v1/reports/attribution", "report by channel": "/v1/reports/attribution?group_by=channel",
    }  # fmt: skip
    document = (await client.get("/openapi.json")).json()
    if "/v1/campaigns/{campaign_id}/timeline" in document["paths"]:
        out["timeline, largest, by day"] = f"{largest}/timeline?metric=sessions&interval=day"
    return out


def _query(span: tuple[dt.datetime, dt.datetime] | None) -> str:
    if span is None:
        return ""
    return "?from={}&to={}".format(*(instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") for instant in span))


async def _ask(
    client: httpx.AsyncClient, questions: dict[str, str], phase_s: float | None = None
) -> dict[str, list[float]]:
    """Ask all questions in turn, again and again; the seconds that each took."""
    took_s: dict[str, list[float]] = defaultdict(list)
    began = now()
    for _ in range(ROUNDS_MAX):
        for name, path in questions.items():
            asked = now()
            (await client.get(path)).raise_for_status()
            took_s[name].append(now() - asked)
        if now() - began > (phase_s or PHASE_S):
            break
    return took_s


async def _read_during_traffic(
    client: httpx.AsyncClient, store: Store, file: Path, questions: dict[str, str]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """As `_ask`, while events arrive at a steady rate: in the first `FIRST_S`, and then. What is sent is made before, so that making it takes no
    time from what is measured.
    """

    async def ask() -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        return await _ask(client, questions, FIRST_S), await _ask(client, questions)

    bodies = list(_live(int(LIVE_EVENTS_PER_S * (FIRST_S + PHASE_S * 2 + 60)), file))
    asking = asyncio.create_task(ask())
    headers = {"Authorization": f"Bearer {store.server.keys['server']}"}
    began, sent = now(), 0
    async with (
        httpx.AsyncClient(base_url=store.server.url, headers=headers, timeout=60) as sender,
        asyncio.TaskGroup() as group,
    ):
        for body in bodies:
            if asking.done():
                break
            await asyncio.sleep(max(0.0, began + sent / LIVE_EVENTS_PER_S - now()))
            group.create_task(_send(sender, body))
            sent += BATCH_EVENTS
    assert asking.done(), "the events were all sent before the last read was answered"
    took_s = await asking
    print(f"    {sent / (now() - began):,.0f} events/s were sent in {now() - began:,.0f} s")
    async with asyncio.timeout(SETTLE_S):
        while (await client.get("/v1/status")).json()["lag_events"]:
            await asyncio.sleep(0.2)
    return took_s


def _live(events: int, history: Path) -> Iterator[bytes]:
    """Request bodies of about so many events of the mix, of the days after the history; the catalog stays as it is.

    Half of the people who are identified by an address are known in the history, the others are new.
    """
    after = (event for event in Mix(SEED + 1, events, END).history() if not event["type"].startswith(OF_CATALOG))
    known = itertools.cycle(_addresses(history))
    called: dict[str, str] = {}
    while batch := list(itertools.islice(after, BATCH_EVENTS)):
        for event in batch:
            before = END - dt.datetime.fromisoformat(event["occurred_at"])
            event["occurred_at"] = (END + dt.timedelta(days=LIVE_DAYS) - before * (LIVE_DAYS / 365)).isoformat()
            for contact in (*(event.get(name) for name in ("contact", "into")), *event.get("contacts", ())):
                if contact and (email := contact.get("email")):
                    contact["email"] = called.setdefault(email, email if len(called) % 2 else next(known))
                if contact and "id" in contact:  # the history has people of the same numbers
                    contact["id"] = f"live-{contact['id']}"
        yield orjson.dumps({"events": batch})


def _addresses(history: Path) -> list[str]:
    """The e-mail addresses in the last events of a file, without duplicates."""
    with history.open("rb") as file:
        file.seek(max(0, history.stat().st_size - ADDRESSES_IN_BYTES))
        lines = file.read().splitlines()[1:]
    contacts = (orjson.loads(line).get("contact") for line in lines)
    return list(dict.fromkeys(contact["email"] for contact in contacts if contact and "email" in contact))


async def _send(client: httpx.AsyncClient, body: bytes) -> None:
    (await client.post("/v1/events", content=body)).raise_for_status()


def _print(phase: str, took_s: dict[str, list[float]]) -> None:
    for name, each in took_s.items():
        print(f"    {phase:7} {name:36} {spread(each)}, {len(each)} times", flush=True)


async def _statements(store: Store) -> None:
    """The raw statement of the read API, and one by hand, on one connection with the read API's settings."""
    settings = {"plan_cache_mode": "force_custom_plan"}
    async with await open_pool(database_of(store.data), 1, **settings) as pool:
        generation, ws = await pool.fetchrow(
            "SELECT (SELECT name FROM touchline.live_generation LIMIT 1), number FROM touchline.workspace WHERE workspace_id = 'default'"
        )
        for size, campaign in store.campaigns.items():
            key = campaign_key(campaign)
            for range_name, span in RANGES.items():
                begin, end = (BEGINNING_US, END_US) if span is None else tuple(map(to_micros, span))
                raw = await _repeated(pool, FEW_CAMPAIGNS, generation, ws, [key], begin, end)
                by_hand, row = await _hand(pool, generation, ws, key, begin, end)
                _print("raw", {f"touches, {size}, {range_name}": raw})
                _print("by hand", {f"touches, {size}, {range_name}": by_hand})
                if span is None:
                    wrong = {
                        n: (row[n], store.numbers[size][n])
                        for n in COUNTED.values()
                        if row[n] != store.numbers[size][n]
                    }
                    assert not wrong, f"{campaign}: by hand and by the read API: {wrong}"


async def _repeated(
    pool: "asyncpg.Pool[asyncpg.Record]", statement: str, generation: str, *arguments: Any
) -> list[float]:
    took_s: list[float] = []
    while len(took_s) < REPEATED and (len(took_s) < REPEATED_MIN or sum(took_s) < REPEATS_S):
        began = now()
        await pool.fetch(Statement(statement).replace("{g}", generation), *arguments)
        took_s.append(now() - began)
    return took_s


async def _hand(
    pool: "asyncpg.Pool[asyncpg.Record]", generation: str, *arguments: Any
) -> tuple[list[float], "asyncpg.Record"]:
    took_s = await _repeated(pool, BY_HAND, generation, *arguments)
    row = await pool.fetchrow(BY_HAND.replace("{g}", generation), *arguments)
    return took_s, row


def _duckdb(store: Store, file: Path, folder: Path) -> None:
    """The same questions to DuckDB, over the same touches as Parquet; its numbers of all time are the read API's."""
    asked = [(size, range_name, span) for size in store.campaigns for range_name, span in RANGES.items()]
    questions = folder / "questions.json"
    spans = [
        (store.campaigns[size], *(one.astimezone(dt.UTC).replace(tzinfo=None).isoformat() for one in span or ALL_TIME))
        for size, _, span in asked
    ]
    questions.write_text(json.dumps(spans))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.duck_reads", str(file), str(questions)], check=True, capture_output=True
    )
    found = json.loads(done.stdout)
    for (size, range_name, span), answer in zip(asked, found["answers"], strict=True):
        _print("DuckDB", {f"touches, {size}, {range_name}": answer["took_s"]})
        if span is None:
            expected = store.numbers[size]
            wrong = {
                name: (value, expected[name]) for name, value in answer["numbers"].items() if expected[name] != value
            }
            assert not wrong, f"{store.campaigns[size]}: DuckDB and the read API: {wrong}"
    print(f"    DuckDB's Parquet: {found['parquet_bytes'] / store.events:,.0f} bytes an event")


async def _bytes(store: Store) -> None:
    """What the store takes on disk: the log, and the largest tables of the live generation with their indexes."""
    connection = await asyncpg.connect(database_of(store.data))
    live = await connection.fetchval("SELECT name FROM touchline.live_generation LIMIT 1")
    rows = await connection.fetch(
        "SELECT coalesce(p.inhparent::regclass::text, c.oid::regclass::text) AS name, sum(pg_total_relation_size(c.oid))::bigint AS bytes "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits p ON p.inhrelid = c.oid "
        "WHERE n.nspname IN ('touchline', $1) AND c.relkind = 'r' GROUP BY 1 ORDER BY 2 DESC", live,
    )  # fmt: skip
    events = await connection.fetchval(f"SELECT sum(events)::bigint FROM {live}.progress")
    await connection.close()
    total = sum(row["bytes"] for row in rows)
    parts = ", ".join(f"{row['name']} {row['bytes'] / events:.0f}" for row in rows[:8])
    print(f"  {total / events:,.0f} bytes an event on disk, after {events:,} events: {parts}", flush=True)
