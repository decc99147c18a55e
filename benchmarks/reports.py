"""How long do reports take that share out the revenue of many deals with long journeys? Beside a bare sum of the same shares in SQL.

It waits first until the background has made the sums of credit of all days, and tells how long that took.

`BENCHMARK_REPORTS_DEALS` sets how many deals are won within a year (default 100,000), each with a journey of 30 touches; they are projected by the bulk path,
under all published models. For each deal there is a contact with 10 touches who buys nothing. `BENCHMARK_REPORTS_S` sets how many seconds the
questions are asked at most.
"""

import datetime as dt
import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson

from benchmarks.load import SEED, Server, now, spread
from benchmarks.measure import background_done, database_of
from benchmarks.reads import rebuild_alone
from shared.events.codec import Record, accept, encode_record
from shared.reading.campaign_keys import MODEL_PLACES
from shared.rules.data_driven import DATA_DRIVEN
from shared.rules.models import MODELS
from touchline.compose import compose
from touchline.configuration import Configuration
from touchline.embedded import Embedded

DEALS = int(os.environ.get("BENCHMARK_REPORTS_DEALS", "100000"))
ASKED_S = float(os.environ.get("BENCHMARK_REPORTS_S", "120"))
ROUNDS_MAX = 100
APPENDED = 2_000  # events at a time
TOUCHES = 30  # of each journey
TOUCHES_OF_READERS = 10  # of each contact who buys nothing
CAMPAIGNS, ASSETS_EACH, OWNERS = 50, 8, 7
BEGUN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
JOURNEY_DAYS, YEAR_DAYS = 60, 300  # the last deal is won a journey after these
SITES = ("https://www.google.com/", "https://www.linkedin.com/", "https://news.example/", "")
MEDIA = ("cpc", "email", "social", "")
RANGES = {"all time": "", "a quarter": "&from=2025-06-01&to=2025-09-01", "30 days": "&from=2025-06-01&to=2025-07-01"}
INSTANTS = {
    "all time": (None, None), "a quarter": (dt.datetime(2025, 6, 1, tzinfo=dt.UTC), dt.datetime(2025, 9, 1, tzinfo=dt.UTC)),
    "30 days": (dt.datetime(2025, 6, 1, tzinfo=dt.UTC), dt.datetime(2025, 7, 1, tzinfo=dt.UTC)),
}  # fmt: skip
DEFINED = "board"  # a model that the workspace defines
EVERY = "&".join(f"model={model}" for model in MODELS)
BARE = {
    "campaign": "t.asset_or_page_key", "channel": "t.type",
}  # fmt: skip
BARE_SUM = """
SELECT {group}, count(DISTINCT t.deal), count(DISTINCT t.contact), {sums}
FROM {g}.deal d JOIN {g}.deal_touch t ON t.ws = $1 AND t.deal = d.deal AND t.step IS NOT NULL
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3 AND d.currency = 'EUR' GROUP BY 1
"""
"""The same sums and counts by something that stands in the row already: no windows, no splitting among campaigns, no channel."""


def history() -> Iterator[dict[str, Any]]:
    """Campaigns with pages, mails and a utm value each, and deals whose contacts meet some of them."""
    rng = random.Random(SEED)
    yield {"type": "workspace_configured", "id": "s", "settings": {"currency": "EUR"}, "occurred_at": BEGUN.isoformat()}
    yield {
        "type": "model_defined",
        "id": "m",
        "model": DEFINED,
        "weights": {"first": "50", "others": "50"},
        "occurred_at": BEGUN.isoformat(),
    }
    for c in range(CAMPAIGNS):
        yield {
            "type": "campaign_created",
            "id": f"c{c}",
            "campaign_id": f"c{c}",
            "utm_campaign": f"c{c}",
            "owner": f"o{c % OWNERS}",
            "occurred_at": BEGUN.isoformat(),
        }
        for a in range(ASSETS_EACH):
            asset, kind = f"c{c}a{a}", ("landing_page", "marketing_email")[a % 2]
            yield {
                "type": "asset_registered",
                "id": f"r{asset}",
                "asset_id": asset,
                "asset_type": kind,
                "occurred_at": BEGUN.isoformat(),
            }
            yield {
                "type": "asset_associated",
                "id": f"h{asset}",
                "asset_id": asset,
                "campaign_id": f"c{c}",
                "occurred_at": BEGUN.isoformat(),
            }
            if a == ASSETS_EACH - 1:
                other = f"c{(c + 1) % CAMPAIGNS}"
                moved = (BEGUN + dt.timedelta(days=YEAR_DAYS / 2)).isoformat()
                yield {
                    "type": "asset_associated",
                    "id": f"m{asset}",
                    "asset_id": asset,
                    "campaign_id": other,
                    "occurred_at": moved,
                }
    for n in range(DEALS):
        yield from _deal(rng, n)


def _deal(rng: random.Random, n: int) -> Iterator[dict[str, Any]]:
    begun = BEGUN + dt.timedelta(days=YEAR_DAYS * n / DEALS, hours=1)
    yield from _touches(rng, f"{n}", begun, TOUCHES)
    yield from _touches(random.Random(n), f"{n}-reader", begun, TOUCHES_OF_READERS)
    closed = (begun + dt.timedelta(days=JOURNEY_DAYS)).isoformat()
    yield {"type": "deal_created", "id": f"d{n}", "deal_id": f"d{n}", "amount": f"{rng.randrange(100, 9000)}.{rng.randrange(100):02}",
           "contacts": [{"id": f"k{n}"}], "occurred_at": (begun + dt.timedelta(days=JOURNEY_DAYS / 2)).isoformat()}  # fmt: skip
    yield {"type": "deal_closed", "id": f"w{n}", "deal_id": f"d{n}", "won": True, "occurred_at": closed}


def _touches(rng: random.Random, who: str, begun: dt.datetime, count: int) -> Iterator[dict[str, Any]]:
    """So many touches of a contact, at equal distances."""
    step = dt.timedelta(days=JOURNEY_DAYS) / count
    near = rng.sample(range(CAMPAIGNS), 4)
    for i in range(count):
        at = (begun + step * i).isoformat()
        campaign = rng.choice(near)
        asset = rng.randrange(ASSETS_EACH)
        if asset % 2:
            yield {
                "type": "email_clicked",
                "id": f"t{who}-{i}",
                "asset_id": f"c{campaign}a{asset}",
                "contact": {"id": f"k{who}"},
                "occurred_at": at,
            }
        else:
            medium = rng.choice(MEDIA)
            query = f"?utm_campaign=c{campaign}&utm_source=s{rng.randrange(9)}&utm_medium={medium}" if medium else ""
            yield {"type": "page_visited", "id": f"t{who}-{i}", "visitor_id": f"v{who}", "contact": {"id": f"k{who}"}, "asset_id": f"c{campaign}a{asset}",
                   "url": f"https://shop.example/{asset}{query}", "referrer": rng.choice(SITES) or None, "occurred_at": at}  # fmt: skip


async def _append(data: Path) -> int:
    """Put the history into the log of a new store; how many events it has."""
    Server.start(data).stop()  # which makes the store
    embedded = Embedded(data)
    try:
        running = await compose(embedded.start(), Configuration(kafka_bootstrap_servers=None))
        try:
            count, now_us = 0, time.time_ns() // 1000
            for some in batched(history(), APPENDED):
                records = [accept(orjson.dumps(event), n, "server", now_us, None) for n, event in enumerate(some)]
                await running.log.append("default", [encode_record(r) for r in records if isinstance(r, Record)])
                count += len(some)
        finally:
            await running.close()
    finally:
        embedded.stop()
    return count


def batched(events: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of so many events."""
    while some := list(itertools.islice(events, size)):
        yield some


async def reports(folder: Path) -> None:
    """Fill a store by the bulk path, ask the reports, and the bare sums in the same run."""
    data = folder / "data"
    began = now()
    count = await _append(data)
    appended = now()
    await rebuild_alone(data)
    print(
        f"  {count:,} events, {DEALS:,} deals: appended in {appended - began:,.0f} s, rebuilt in {now() - appended:,.0f} s",
        flush=True,
    )
    with Server.start(data) as server:
        summed = await background_done(data)
        print(f"  sums of credit made in {summed:,.0f} s, in the background", flush=True)
        headers = {"Authorization": f"Bearer {server.keys['read']}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=600) as client:
            await _ask(client, data)


async def _ask(client: httpx.AsyncClient, data: Path) -> None:
    questions = {
        f"by {by}, {range_name}, {len(models.split('&'))} of 9 models": f"/v1/reports/attribution?group_by={by}&{models}{span}"
        for by in BARE for range_name, span in RANGES.items() for models in ("model=linear", EVERY)
    }  # fmt: skip
    for range_name, span in RANGES.items():
        questions[f"by owner, {range_name}, 1 of 9 models"] = (
            f"/v1/reports/attribution?group_by=owner&model=linear{span}"
        )
        questions[f"by campaign, {range_name}, a defined model"] = f"/v1/reports/attribution?model={DEFINED}{span}"
        questions[f"paths, {range_name}"] = f"/v1/reports/paths?{span.removeprefix('&')}"
        for by in BARE:
            data_driven = "&".join(f"model={model}" for model in DATA_DRIVEN)
            questions[f"by {by}, {range_name}, {' and '.join(DATA_DRIVEN)}"] = (
                f"/v1/reports/attribution?group_by={by}&{data_driven}{span}"
            )
    took_s: dict[str, list[float]] = {name: [] for name in questions}
    asked_s = ASKED_S / len(questions)
    for name, path in questions.items():
        began = now()
        while len(took_s[name]) < ROUNDS_MAX and (now() - began < asked_s or not took_s[name]):
            asked = now()
            answer = await client.get(path)
            took_s[name].append(now() - asked)
            if answer.status_code != 200:
                print(
                    f"    {name:44} {answer.status_code} {answer.json()['code']} after {took_s[name][-1]:.1f} s",
                    flush=True,
                )
                del took_s[name][-1]
                break
        if took_s[name]:
            print(f"    {name:44} {spread(took_s[name])}, {len(took_s[name])} times", flush=True)
    await _bare(data)


async def _bare(data: Path) -> None:
    connection = await asyncpg.connect(database_of(data))
    generation, ws = await connection.fetchrow(
        "SELECT (SELECT name FROM touchline.live_generation LIMIT 1), number FROM touchline.workspace WHERE workspace_id = 'default'"
    )
    for by, group in BARE.items():
        for range_name, (begin, end) in INSTANTS.items():
            for models in (["linear"], list(MODELS)):
                sums = ", ".join(f"sum(t.shares_minor[{MODEL_PLACES[model]}])" for model in models)
                statement = BARE_SUM.format(g=generation, group=group, sums=sums)
                span = [
                    0 if begin is None else int(begin.timestamp() * 1e6),
                    2**62 if end is None else int(end.timestamp() * 1e6),
                ]
                took_s = []
                for _ in range(5):
                    began = now()
                    await connection.fetch(statement, ws, *span)
                    took_s.append(now() - began)
                print(
                    f"    bare, {f'by {by}, {range_name}, {len(models)} of 9 models':38} {spread(took_s)}", flush=True
                )
    await connection.close()
