"""What does live traffic wait while long histories are merged, or moved?"""

import asyncio
import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.load import BATCH_EVENTS, SEED, Server, bodies, now, post, spread, until_readable, waits_s

MERGED_TOUCHES = 50_000  # of each of two contacts
MOVED_TOUCHES = 1_000_000
EVENTS_PER_S, SECONDS = 1_000, 30
BEGUN = dt.datetime(2025, 1, 3, tzinfo=dt.UTC)
STEP = dt.timedelta(days=300) / MOVED_TOUCHES

CATALOG = orjson.dumps({"events": [
    {"type": "campaign_created", "campaign_id": "old", "occurred_at": "2025-01-01T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "new", "occurred_at": "2025-01-01T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "held", "campaign_id": "old", "occurred_at": "2025-01-01T00:00:00Z"},
    {"type": "deal_created", "deal_id": "won", "amount": "1000.01", "contacts": [{"email": "a@example.no"}],
     "occurred_at": "2025-01-02T00:00:00Z"},
    {"type": "deal_closed", "deal_id": "won", "won": True, "occurred_at": "2025-12-31T00:00:00Z"},
]})  # fmt: skip


@dataclass
class Change:
    """One event that changes what many touches count for.

    While it is projected, `watched` answers `before` or `after`, and the position of the answer says which one;
    in the end, `counted` is what the numbers say.
    """

    event: dict[str, Any]
    watched: str
    before: Any
    after: Any
    counted: dict[str, dict[str, int]]

    def seen(self, answer: dict[str, Any]) -> Any:
        """What shows the change in an answer of `watched`."""
        return answer.get("contact") or len(answer["associations"])


MERGE = Change(
    {"type": "contact_merged", "contact": {"email": "b@example.no"}, "into": {"email": "a@example.no"},
     "occurred_at": "2025-12-31T00:00:00Z"},
    "/v1/contacts/b@example.no", "b@example.no", "a@example.no",
    {"old": {"influenced_contacts": 1, "email_clicks": 2 * MERGED_TOUCHES, "contacts_with_attributed_revenue": 1}},
)  # fmt: skip
MOVE = Change(
    {"type": "asset_associated", "asset_id": "held", "campaign_id": "new",
     "occurred_at": (BEGUN + STEP * (MOVED_TOUCHES // 2)).isoformat()},
    "/v1/campaigns/new", 0, 1,
    {"old": {"page_views": MOVED_TOUCHES // 2}, "new": {"page_views": MOVED_TOUCHES // 2}},
)  # fmt: skip


def _clicks_of_two() -> Iterator[bytes]:
    """Email clicks of two contacts by turns; those of one are a won deal's journey, and so will be the other's."""
    step = dt.timedelta(days=300) / (2 * MERGED_TOUCHES)
    for first in range(0, 2 * MERGED_TOUCHES, BATCH_EVENTS):
        yield orjson.dumps({"events": [
            {"type": "email_clicked", "asset_id": "held", "contact": {"email": "ab"[n % 2] + "@example.no"},
             "occurred_at": (BEGUN + step * n).isoformat()} for n in range(first, first + BATCH_EVENTS)
        ]})  # fmt: skip


def _visits_of_one() -> Iterator[bytes]:
    """Visits of one asset, ten by each visitor."""
    for first in range(0, MOVED_TOUCHES, BATCH_EVENTS):
        yield orjson.dumps({"events": [
            {"type": "page_visited", "visitor_id": f"v{n // 10}", "asset_id": "held", "url": "https://s.example/",
             "occurred_at": (BEGUN + STEP * n).isoformat()} for n in range(first, first + BATCH_EVENTS)
        ]})  # fmt: skip


async def history(folder: Path) -> None:
    """Merge two contacts of 50,000 touches each, and move an asset in the midst of its 1,000,000."""
    for name, change, touches in (("merge", MERGE, _clicks_of_two()), ("move", MOVE, _visits_of_one())):
        with Server.start(folder / name) as server:
            await _beside_traffic(name, server, change, touches)


async def _beside_traffic(name: str, server: Server, change: Change, touches: Iterator[bytes]) -> None:
    accepted, position = await post(server.url, server.keys["server"], itertools.chain([CATALOG], touches))
    await until_readable(server.url, server.keys["read"], position)
    before = await waits_s(
        server.url, server.url, server.keys["server"], bodies(2 * EVENTS_PER_S * SECONDS), EVENTS_PER_S, SECONDS
    )
    live = bodies(2 * EVENTS_PER_S * SECONDS, SEED + 1)
    async with asyncio.TaskGroup() as group:
        during = group.create_task(waits_s(server.url, server.url, server.keys["server"], live, EVENTS_PER_S, SECONDS))
        took = group.create_task(_made(server, change))
    await _check(server, change)
    print(f"  {name} beside {accepted:,} events: readable after {took.result() * 1000:,.0f} ms")
    print(f"    live traffic, {EVENTS_PER_S:,} events/s, before: readable after {spread(before)}")
    print(f"    live traffic meanwhile: readable after {spread(during.result())}", flush=True)


async def _made(server: Server, change: Change) -> float:
    """Make the change in the midst of live traffic; seconds until it is readable, whole."""
    await asyncio.sleep(SECONDS / 2)
    headers = {"Authorization": f"Bearer {server.keys['server']}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        began = now()
        position = (await client.post("/v1/events", json=change.event)).json()["position"]
        while True:
            answer = (await client.get(change.watched)).json()
            passed = _offset(answer["as_of"]) >= _offset(position)
            if change.seen(answer) != (change.after if passed else change.before):
                raise RuntimeError(f"{change.watched} at {answer['as_of']} (the change is {position}): {answer}")
            if passed:
                return now() - began
            await asyncio.sleep(0.005)


async def _check(server: Server, change: Change) -> None:
    headers = {"Authorization": f"Bearer {server.keys['read']}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
        for campaign, wanted in change.counted.items():
            metrics = (await client.get(f"/v1/campaigns/{campaign}/overview")).json()["metrics"]
            if (found := {name: metrics[name] for name in wanted}) != wanted:
                raise RuntimeError(f"{campaign}: {found}, not {wanted}")


def _offset(position: str) -> int:
    return int(position.split("-")[1])
