"""After every batch, in whatever state digests are, they say in any range what the touches say: cells of every campaign and asset, and sums
of credit of every group of a report. Paths are also read touch by touch.
"""

import asyncio
import datetime as dt
import os
import random
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, accept, encode_record
from shared.events.instants import BEGINNING_US, DAY_US, END_US, HOUR_US, to_micros, to_rfc3339
from shared.projection.batch import decode
from shared.projection.digest_updater import DigestUpdater, Part, Round
from shared.projection.projector import Projector, workspace_number
from shared.projection.sql import Connection
from shared.reading.asset_list import seen_assets
from shared.reading.cells import CampaignCells, campaign_cells, cells_days
from shared.reading.cells_compared import DigestDifference, digest_differences, digest_differences_of_assets
from shared.reading.credit_compared import EarnedOtherwise, earned_otherwise
from shared.reading.credit_sums import earned_by_group, parts_of
from shared.reading.drilldown import contacts_behind
from shared.reading.drilldown_assets import REACHED, contacts_influenced
from shared.reading.drilldown_touches import SESSION_METRICS, sessions_behind
from shared.reading.lost_paths import lost_paths
from shared.reading.snapshot import Snapshot, snapshot_on
from shared.reading.time_range import TimeRange
from shared.rules.data_driven import DATA_DRIVEN, SHAPLEY
from shared.rules.keys import Identifier, asset_key, campaign_key
from shared.rules.models import MODELS
from shared.rules.report_groups import BY_CAMPAIGNS, GroupBy
from tests.conftest import Workspace, new_workspace
from tests.properties.oracle import order
from tests.properties.paths_by_touches import lost_by_touches, won_by_touches
from tests.properties.random_limits import limits_at_random
from tests.properties.worlds import ASSETS as WORLD_ASSETS
from tests.properties.worlds import BASE, CAMPAIGNS, SOCIAL_POSTS_MAX, random_worlds, world
from touchline.compose import Running

MINUTE_US = HOUR_US // 60
STEPS_MAX = 1_000  # of the background, until it has made all that is to be made of a world
EXAMPLES = int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 4
KEYS = {campaign_key(name): name for name in CAMPAIGNS}
ASSETS = {asset_key(name): name for name in WORLD_ASSETS}
LINEAR = {"linear": MODELS["linear"]}


def some_edges(rng: random.Random, instants_us: list[int]) -> list[int]:
    """Instants in order: of events, beside them, at midnights and full hours, or none at all."""
    edges = {rng.choice([BEGINNING_US, rng.choice(instants_us)]), rng.choice([END_US, rng.choice(instants_us)])}
    for _ in range(rng.choice([0, 0, 1, 3])):
        at_us = rng.choice(instants_us) + rng.choice([0, 0, 1, -1, HOUR_US, 3 * DAY_US])
        edges.add(rng.choice([at_us, at_us // DAY_US * DAY_US, at_us // HOUR_US * HOUR_US]))
    return sorted(edges) if len(edges) > 1 else [BEGINNING_US, END_US]


def at_night(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same events, each within 40 minutes of a midnight of UTC: sessions begin on one day and end on the next."""
    out = []
    for event in events:
        if "occurred_at" not in event:
            out.append(event)
            continue
        at_us = to_micros(dt.datetime.fromisoformat(event["occurred_at"]))
        moved_us = at_us // DAY_US * DAY_US + at_us % (80 * MINUTE_US) - 40 * MINUTE_US
        out.append(event | {"occurred_at": to_rfc3339(moved_us)})
    return out


async def play_and_compare(
    running: Running, events: list[dict[str, Any]], rng: random.Random
) -> list[DigestDifference | EarnedOtherwise]:
    workspace = await new_workspace(running, "cells")
    sent = events + [e for e in events if rng.random() < 0.2]
    rng.shuffle(sent)
    records = [accept(orjson.dumps(event), 0, "server", time.time_ns() // 1000, None) for event in sent]
    good = [record for record in records if isinstance(record, Record)]
    await running.log.append(workspace.name, [encode_record(record) for record in good])
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        projector = Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        instants_us = [to_micros(BASE)]  # the first batches may have no event that counts
        ws, round_ = None, None
        while entries := await running.log.read(workspace.partition, projector.offset, rng.choice([1, 5, 20])):
            batch = decode(entries)
            instants_us += [a.occurred_at_us for arrived in batch.arrived.values() for a in arrived]
            await projector.project(connection, batch)
            ws = await workspace_number(connection, workspace.name)
            if rng.random() < 0.6:  # else batches come while a round of the background is not over
                round_ = rng.choice([None, Round()])
            for _ in range(rng.choice([0, 0, 1, 3, 60])):
                await updater.step(connection, ws, [part for part in Part if rng.random() < 0.7], round_)
            if found := await compare(running, raw, workspace, rng, instants_us):
                return found
        for _ in range(0 if ws is None else STEPS_MAX):
            if not await updater.step(connection, ws):
                break
        return await compare(running, raw, workspace, rng, instants_us, ranges=5)


async def compare(
    running: Running, raw: Any, workspace: Workspace, rng: random.Random, instants_us: list[int], ranges: int = 1
) -> list[DigestDifference | EarnedOtherwise]:
    """What digests and sums say otherwise than touches in some ranges; pages of contacts and sessions are compared, too."""
    async with snapshot_on(raw, workspace.name, running.generation.name) as snapshot:
        for _ in range(ranges):
            edges_us = some_edges(rng, instants_us)
            cells = await digest_differences(snapshot, KEYS, edges_us)
            cells += await digest_differences_of_assets(snapshot, ASSETS, edges_us)
            if found := [*cells, *await earned_otherwise(snapshot, edges_us)]:
                return found
            asked = rng.choice(list(KEYS)), TimeRange(edges_us[0], edges_us[-1]), rng.choice([1, 2, 5])
            await compare_pages(snapshot, *asked)
            await compare_sessions(snapshot, *asked)
            await compare_contacts_of_assets(snapshot, rng.choice(list(ASSETS)), *asked[1:])
            await compare_paths(snapshot, asked[1], rng.choice([*BY_CAMPAIGNS, *GroupBy]))
    return []


async def compare_pages(snapshot: Snapshot, campaign: int, span: TimeRange, limit: int) -> None:
    """The influenced contacts of a campaign page by page are those of one page without a limit, which is read from the touches."""
    asked = snapshot, [campaign], "influenced_contacts", span, "linear"
    found: list[Any] = []
    after = None
    while page := await contacts_behind(*asked, after, limit):
        found += page
        if len(page) < limit:
            break
        after = [found[-1][name] for name in ("at_us", "name", "contact")]
        assert len(found) < 1_000
    assert found == await contacts_behind(*asked)


async def compare_sessions(snapshot: Snapshot, campaign: int, span: TimeRange, limit: int) -> None:
    """The sessions of a campaign page by page are those that one page without an end of its range has."""
    for metric in SESSION_METRICS:
        found: list[Any] = []
        after = None
        while page := await sessions_behind(snapshot, campaign, metric, span, after, limit):
            found += page
            if len(page) < limit:
                break
            after = [found[-1]["session_at_us"], found[-1]["session"]]
            assert len(found) < 1_000
        whole = await sessions_behind(snapshot, campaign, metric, TimeRange(span.from_us), None, 1_000)
        assert found == [row for row in whole if row["session_at_us"] in span]


async def compare_paths(snapshot: Snapshot, span: TimeRange, by: GroupBy) -> None:
    """The steps of paths, and what groups earn under `shapley`, are what is read touch by touch."""
    assert (await lost_paths(snapshot, span, by)).counts() == await lost_by_touches(snapshot, span, by), (span, by)
    found = await earned_by_group(snapshot, await parts_of(snapshot, span), by, LINEAR, None, DATA_DRIVEN)
    steps = {code: walked.counts() for code, walked in found.walked.items() if walked.names}
    earned = {place: one.minor[SHAPLEY] for place, one in found.earned.items() if one.minor[SHAPLEY]}
    assert (steps, earned) == await won_by_touches(snapshot, span, by), (span, by)


async def compare_contacts_of_assets(snapshot: Snapshot, asset: int, span: TimeRange, limit: int) -> None:
    """The contacts whom an asset influenced, page by page, are those that its touches tell."""
    seen = (await seen_assets(snapshot, [asset], span)).get(asset)
    found: list[list[int]] = []
    after = None
    while page := await contacts_influenced(snapshot, asset, span, seen, after, limit):
        found += page
        if len(page) < limit:
            break
        after = found[-1]
        assert len(found) < 1_000
    reached = await snapshot.fetch(REACHED, [asset], BEGINNING_US, END_US)
    assert found == sorted([row["at_us"], row["contact"]] for row in reached if row["at_us"] in span)


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(5, 60))
@random_worlds(EXAMPLES)
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    events = world(rng, size)
    if rng.random() < 0.5:
        events = at_night(events)
    played = random.Random(rng.randrange(2**32))
    with limits_at_random(played):
        found = runner.run(play_and_compare(running, events, played))
    assert not found, "\n".join([*map(repr, found), *map(repr, sorted(events, key=order))])


@pytest.mark.timeout(7200)
def test_digests_match_touches_after_every_batch(running: Running, runner: asyncio.Runner) -> None:
    check(running, runner)


CAMPAIGN, EMAIL = "spring", "mail-1"


def event_on(n: int, type_: str, day: int, minute: int = 0, **fields: Any) -> dict[str, Any]:
    """An event with a number, so many minutes after noon of a day of 2026."""
    at = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=day, minutes=minute)
    return {"id": f"e{n}", "type": type_, "occurred_at": at.isoformat(), **fields}


# a contact has the smallest key of its identifiers': that of B is taken over by C, that of A by both, that of the number by all
C, B, A = (
    {"email": email}
    for email in sorted(("a@x.example", "b@x.example", "c@x.example"), key=lambda text: Identifier((True, text)).key)
)
NUMBER = {
    "id": next(
        text for text in map(str, range(100)) if Identifier((False, text)).key > Identifier((True, A["email"])).key
    )
}
KNOWN_BY_NUMBER = [
    event_on(1, "campaign_created", 0, campaign_id=CAMPAIGN),
    event_on(2, "asset_registered", 0, asset_id=EMAIL, asset_type="marketing_email"),
    event_on(3, "asset_associated", 0, asset_id=EMAIL, campaign_id=CAMPAIGN),
    event_on(4, "contact_created", 1, contact=B),
    event_on(5, "contact_created", 2, contact=A),
    event_on(6, "contact_created", 3, contact={**A, **NUMBER}),
]
BEFORE_MERGE = [
    *KNOWN_BY_NUMBER,
    event_on(7, "email_opened", 4, asset_id=EMAIL, contact=NUMBER),
    event_on(8, "email_opened", 5, asset_id=EMAIL, contact=A),
    event_on(20, "email_clicked", 4, asset_id=EMAIL, contact=NUMBER),
    event_on(21, "email_clicked", 5, asset_id=EMAIL, contact=A),
    *(
        event_on(22 + n, "deal_created", 3, deal_id=f"d{n}", amount="99.99", contacts=[contact])
        for n, contact in enumerate((A, NUMBER))
    ),
    *(event_on(24 + n, "deal_closed", 5 - n, deal_id=f"d{n}", won=True, minute=60) for n in range(2)),
]  # the contact of A is that of the number; its deals are won on two days, before anything that others touched
MERGE = event_on(10, "contact_merged", 7, contact=A, into=B)


def won(deal: str, contact: dict[str, str]) -> list[dict[str, Any]]:
    """A deal of a contact that is won a day after the merge."""
    return [
        event_on(40, "deal_created", 6, deal_id=deal, amount="5.00", contacts=[contact]),
        event_on(41, "deal_closed", 8, deal_id=deal, won=True),
    ]


async def add(workspace: Workspace, projector: Projector, connection: Connection, events: list[dict[str, Any]]) -> None:
    """Append good events to the log, and project them."""
    records = [accept(orjson.dumps(event), 0, "server", time.time_ns() // 1000, None) for event in events]
    assert all(isinstance(record, Record) for record in records), records
    log = workspace.running.log
    await log.append(workspace.name, [encode_record(r) for r in records if isinstance(r, Record)])
    while entries := await log.read(workspace.partition, projector.offset, 100):
        await projector.project(connection, decode(entries))


async def play_in_order(
    running: Running, batches: list[list[dict[str, Any]]], steps: list[int], assets: list[str]
) -> tuple[CampaignCells, int]:
    """Project batches one after another, each with some steps of the background after it; digests, sums of credit and touches are compared
    before and after these. Answers what digests say of the campaign in the end, and of how many days sums are to be made again then.
    """
    workspace = await new_workspace(running, "in-order")
    key = {campaign_key(CAMPAIGN): CAMPAIGN}
    named = {asset_key(asset): asset for asset in assets}
    async with running.pool.acquire() as raw:

        async def compared() -> CampaignCells:
            async with snapshot_on(raw, workspace.name, running.generation.name) as snapshot:
                assert not await digest_differences(snapshot, key, [BEGINNING_US, END_US])
                assert not await digest_differences_of_assets(snapshot, named, [BEGINNING_US, END_US])
                assert not await earned_otherwise(snapshot, [BEGINNING_US, END_US])
                days = await cells_days(snapshot)
                assert days is not None
                return (await campaign_cells(snapshot, days, list(key), [BEGINNING_US, END_US]))[campaign_key(CAMPAIGN)]

        connection = Connection(raw, running.generation.name)
        projector = Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        for events, number in zip(batches, steps, strict=True):
            await add(workspace, projector, connection, events)
            await compared()
            ws = await workspace_number(connection, workspace.name)
            for _ in range(number):
                if not await updater.step(connection, ws):
                    break
            found = await compared()
        stale = await raw.fetchval(f"SELECT count(*) FROM {connection.generation}.stale_credit WHERE ws = $1", ws)
        return found, stale


@pytest.mark.parametrize("steps", [0, STEPS_MAX])
@pytest.mark.parametrize(
    ("batches", "influenced", "stale"),
    [
        pytest.param([BEFORE_MERGE, [MERGE]], 1, 0, id="merged"),
        pytest.param([BEFORE_MERGE, [MERGE], [event_on(11, "event_retracted", 8, event_id="e10")]], 1, 2, id="taken back"),
        # the number stays B's, and A is a contact again
        pytest.param([BEFORE_MERGE, [MERGE], [event_on(11, "contact_merged", 7, contact=NUMBER, into=B)],
            [event_on(12, "event_retracted", 8, event_id="e10"), event_on(13, "event_retracted", 8, event_id="e6")]], 2, 2, id="taken back in part"),
        pytest.param([BEFORE_MERGE, [MERGE, event_on(11, "contact_merged", 7, contact=NUMBER, into=C), event_on(12, "event_retracted", 8, event_id="e6")]], 2, 2,
            id="parted"),
        pytest.param([[*BEFORE_MERGE, event_on(0, "contact_created", 0, contact=C), event_on(9, "email_opened", 6, asset_id=EMAIL, contact=B)],
            [MERGE], [event_on(11, "contact_merged", 8, contact=B, into=C)]], 1, 0, id="merged again"),
        # a later deal of B gains the touches of A
        pytest.param([[*BEFORE_MERGE, event_on(9, "cta_clicked", 6, asset_id="cta-1", contact=B), *won("d2", B)], [MERGE]], 1, 1, id="both with deals"),
    ],
)  # fmt: skip
def test_merged_contacts_are_one_in_lists_that_were_made_before(
    running: Running,
    runner: asyncio.Runner,
    batches: list[list[dict[str, Any]]],
    influenced: int,
    stale: int,
    steps: int,
) -> None:
    all_steps = [STEPS_MAX, *(steps for _ in batches[1:])]
    found, stale_days = runner.run(play_in_order(running, batches, all_steps, [EMAIL]))
    assert (found.influenced_contacts, stale_days) == ([influenced], 0 if steps else stale)


PAGES = ["page-1", "page-2"]


def visit(n: int, minute: int, page: str) -> dict[str, Any]:
    return event_on(n, "page_visited", 4, visitor_id="v1", asset_id=page, url="https://x.example/", minute=minute)


WITH_PAGES = [
    event_on(1, "campaign_created", 0, campaign_id=CAMPAIGN),
    *(event_on(2 + n, "asset_registered", 0, asset_id=page, asset_type="landing_page") for n, page in enumerate(PAGES)),
    *(event_on(4 + n, "asset_associated", 0, asset_id=page, campaign_id=CAMPAIGN) for n, page in enumerate(PAGES)),
]
LEAVES = event_on(6, "asset_dissociated", 4, asset_id=PAGES[1], campaign_id=CAMPAIGN, minute=30)


@pytest.mark.parametrize("steps", [0, 1, STEPS_MAX])
@pytest.mark.parametrize(
    ("batches", "sessions"),
    [
        pytest.param([[visit(10, 0, PAGES[0])], [visit(11, 5, PAGES[1])], [visit(12, 8, PAGES[0])]], 1, id="one session"),
        pytest.param([[visit(10, 0, PAGES[0])], [visit(11, 50, PAGES[1])], [visit(12, 55, PAGES[0])]], 2, id="two sessions"),
        pytest.param([[visit(10, 5, PAGES[0])], [visit(11, 0, PAGES[1])], [visit(12, 8, PAGES[0])]], 1, id="a late visit"),
        # the campaign holds a page for a part of the day: what is added does not say when
        pytest.param([[LEAVES, visit(10, 0, PAGES[0])], [visit(11, 5, PAGES[1])], [visit(12, 65, PAGES[1])]], 1, id="a divided day"),
    ],
)  # fmt: skip
def test_what_batches_add_is_added_to_days_that_are_made(
    running: Running, runner: asyncio.Runner, batches: list[list[dict[str, Any]]], sessions: int, steps: int
) -> None:
    all_steps = [STEPS_MAX, STEPS_MAX, *(steps for _ in batches[1:])]
    found, _ = runner.run(play_in_order(running, [WITH_PAGES, *batches], all_steps, PAGES))
    assert found.sessions == [sessions]
