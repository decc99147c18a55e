"""HubSpot's webhooks over real HTTP: what is taken, what is refused, and that the numbers come out right in any order of arrival."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from shared.access import accounts as access_accounts
from shared.access.accounts import CACHED_ACCOUNTS_MAX, Accounts, connect
from shared.access.scopes import SCOPES
from shared.events.limits import EVENTS_PER_REQUEST_MAX
from shared.producers.hubspot import signature_v3
from tests.conftest import Workspace, new_workspace
from tests.malformed_json import malformed_texts
from tests.served import served
from tests.unit.test_hubspot import EVERY, NOT_OURS
from touchline.compose import Role, Running, compose
from touchline.configuration import Configuration

PATH = "/hubspot/v1/webhooks"
SECRET = "3f1c0a2e-secret-of-the-app"
DAY_MS = 86_400_000
BEGIN_MS = 1_709_251_200_000  # 2024-03-01


@pytest.fixture
def run(runner: asyncio.Runner) -> Any:
    return lambda awaitable: runner.run(_await(awaitable))


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class Portal:
    """A portal of its own that is connected with a workspace, and the app that sends for it."""

    def __init__(self, workspace: Workspace, number: int, secret: str = SECRET) -> None:
        self.workspace, self.number, self.secret, self.events = workspace, number, secret, 0

    def event(self, at_ms: int = BEGIN_MS, **fields: Any) -> dict[str, Any]:
        """One event as HubSpot documents it."""
        self.events += 1
        return {
            "eventId": self.events, "subscriptionId": 2321, "portalId": self.number, "appId": 1160452, "occurredAt": at_ms,
            "attemptNumber": 0, "changeSource": "CRM_UI", **fields,
        }  # fmt: skip

    def changed(self, kind: str, record: int, day: float, name: str, value: str) -> dict[str, Any]:
        return self.event(
            BEGIN_MS + int(day * DAY_MS), subscriptionType=f"{kind}.propertyChange", objectId=record, propertyName=name,
            propertyValue=value,
        )  # fmt: skip

    def associated(self, contact: int, deal: int, day: float, *, removed: bool = False) -> dict[str, Any]:
        return self.event(
            BEGIN_MS + int(day * DAY_MS), subscriptionType="deal.associationChange", associationType="DEAL_TO_CONTACT",
            fromObjectId=deal, toObjectId=contact, associationRemoved=removed, isPrimaryAssociation=False,
        )  # fmt: skip


async def connected(workspace: Workspace, secret: str = SECRET) -> Portal:
    portal = Portal(workspace, random.randrange(10**8, 10**9), secret)
    assert await connect(workspace.running.pool, "hubspot", str(portal.number), workspace.name, secret)
    return portal


@pytest.fixture
def portal(workspace: Workspace, run: Any) -> Portal:
    found: Portal = run(connected(workspace))
    return found


def signed(body: bytes, address: str, secret: str = SECRET, at_ms: int | None = None) -> dict[str, str]:
    stamp = str(time.time_ns() // 1_000_000 if at_ms is None else at_ms)
    return {
        "X-HubSpot-Signature-v3": signature_v3(secret, "POST", address, body, stamp), "X-HubSpot-Request-Timestamp": stamp,
        "Content-Type": "application/json",
    }  # fmt: skip


@asynccontextmanager
async def hubspot(running: Running) -> AsyncIterator["Caller"]:
    """HubSpot, which calls the services over HTTP."""
    async with served(running) as port, httpx.AsyncClient(timeout=30) as client:
        yield Caller(client, f"http://127.0.0.1:{port}")


class Caller:
    """Calls with a signature of the address that it calls."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client, self.url = client, url

    async def raw(self, body: bytes, headers: dict[str, Any] | None = None, path: str = PATH) -> httpx.Response:
        address = self.url + path
        return await self.client.post(
            address, content=body, headers=signed(body, address) if headers is None else headers
        )

    async def call(self, *events: Any, secret: str = SECRET) -> httpx.Response:
        body = json.dumps(events).encode()
        return await self.raw(body, signed(body, self.url + PATH, secret))

    async def taken(self, *events: Any, secret: str = SECRET) -> dict[str, Any]:
        answer = await self.call(*events, secret=secret)
        assert answer.status_code == 200, answer.text
        counts: dict[str, Any] = answer.json()
        return counts


async def letters(workspace: Workspace) -> list[Any]:
    return list(
        await workspace.running.pool.fetch(
            "SELECT producer, reason, event_id, body FROM touchline.dead_letter WHERE workspace_id = $1 ORDER BY dead_letter_id",
            workspace.name,
        )
    )


async def overview(workspace: Workspace) -> dict[str, Any]:
    await workspace.project()
    metrics: dict[str, Any] = (await workspace.get("/v1/campaigns/spring/overview")).json()["metrics"]
    return metrics


def clicked(event_id: str, contact: str, day: int = 1) -> dict[str, Any]:
    at = f"2024-03-{day + 1:02}T00:00:00Z"
    return {"type": "email_clicked", "id": event_id, "asset_id": "mail", "contact": {"id": contact}, "occurred_at": at}


CAMPAIGN: list[dict[str, Any]] = [
    {
        "type": "asset_associated",
        "id": "a",
        "asset_id": "mail",
        "campaign_id": "spring",
        "occurred_at": "2024-03-01T00:00:00Z",
    },
    clicked("click", "7"),
]


def test_every_documented_subscription_is_taken_and_none_is_an_error(portal: Portal, run: Any) -> None:
    async def check() -> None:
        async with hubspot(portal.workspace.running) as caller:
            taken = await caller.taken(*(portal.event(**fields) for fields in [*EVERY, *NOT_OURS]))
        assert taken["unmapped"] == len(NOT_OURS) + 1
        assert [(r["code"], r["index"]) for r in taken["refused"]] == [("forgetting_not_supported", 3)]
        assert taken["mapped"] == len(EVERY) - 2
        assert taken["dropped"] == {}

    run(check())
    run(portal.workspace.project())


def test_what_arrived_is_counted_by_name_and_outcome(portal: Portal, run: Any) -> None:
    async def check() -> list[Any]:
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(
                *(portal.changed("deal", n, 1, "amount", "5") for n in range(3)),
                portal.changed("deal", 9, 1, "amount", "much"), portal.changed("deal", 9, 1, "pipeline", "default"),
            )  # fmt: skip
        for _ in range(600):  # they are written once a second; a busy machine takes longer
            await asyncio.sleep(0.1)
            rows = await portal.workspace.running.pool.fetch(
                "SELECT name, outcome, reason, messages FROM touchline.producer_count WHERE workspace_id = $1 AND producer = 'hubspot' "
                "ORDER BY name, outcome", portal.workspace.name,
            )  # fmt: skip
            if rows:
                return [tuple(row) for row in rows]
        return []

    assert run(check()) == [
        ("deal.propertyChange:amount", "mapped", "", 3), ("deal.propertyChange:amount", "refused", "bad_value", 1),
        ("deal.propertyChange:pipeline", "unmapped", "", 1),
    ]  # fmt: skip


def test_a_privacy_deletion_is_refused_and_listed_while_the_others_count(portal: Portal, run: Any) -> None:
    async def check() -> dict[str, Any]:
        async with hubspot(portal.workspace.running) as caller:
            return await caller.taken(
                portal.event(subscriptionType="contact.deletion", objectId=7),
                portal.event(subscriptionType="contact.privacyDeletion", objectId=7),
                portal.event(subscriptionType="contact.creation", objectId=8),
            )  # fmt: skip

    counts = run(check())
    assert (counts["mapped"], [r["code"] for r in counts["refused"]]) == (2, ["forgetting_not_supported"])
    (letter,) = run(letters(portal.workspace))
    assert (letter["producer"], letter["reason"]) == ("hubspot", "forgetting_not_supported")
    run(portal.workspace.project())
    assert run(portal.workspace.get("/v1/contacts/8")).status_code == 200


def test_a_hundred_events_are_answered_long_before_hubspot_gives_up(portal: Portal, run: Any) -> None:
    async def check() -> float:
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(portal.event(subscriptionType="contact.creation", objectId=1))
            began_s = time.monotonic()
            taken = await caller.taken(*(portal.changed("contact", n + 1, 1, "firstname", "Kari") for n in range(100)))
            assert taken["mapped"] == 100
            return time.monotonic() - began_s

    assert run(check()) < 5


def test_more_events_than_hubspot_sends_are_taken_up_to_a_bound(portal: Portal, run: Any) -> None:
    async def check() -> None:
        async with hubspot(portal.workspace.running) as caller:
            events = [
                portal.event(subscriptionType="contact.creation", objectId=n + 1) for n in range(EVENTS_PER_REQUEST_MAX)
            ]
            assert (await caller.taken(*events))["mapped"] == EVENTS_PER_REQUEST_MAX
            refused = await caller.call(*events, events[0])
            assert (refused.status_code, refused.json()["code"]) == (413, "too_many_events")

    run(check())


def a_story(portal: Portal) -> list[dict[str, Any]]:
    """A deal of 1000.50 NOK that is won, reopened, lost and won again; its contact's e-mail address is sent once, and its amount twice."""
    return [
        portal.event(subscriptionType="contact.creation", objectId=7),
        portal.changed("contact", 7, 0.1, "email", "kari@example.no"),
        portal.event(BEGIN_MS + 2 * DAY_MS, subscriptionType="deal.creation", objectId=70),
        portal.changed("deal", 70, 2, "dealstage", "appointmentscheduled"),
        portal.changed("deal", 70, 2, "dealname", "Boats"),
        portal.changed("deal", 70, 2, "amount", "900"),
        portal.changed("deal", 70, 2, "deal_currency_code", "NOK"),
        portal.associated(7, 70, 2.5),
        portal.changed("deal", 70, 3, "dealstage", "closedwon"),
        portal.changed("deal", 70, 4, "dealstage", "contractsent"),
        portal.changed("deal", 70, 5, "dealstage", "closedlost"),
        portal.changed("deal", 70, 6, "amount", "1000.50"),
        portal.changed("deal", 70, 6, "dealstage", "closedwon"),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_won_deal_counts_in_whatever_order_and_however_often_its_events_arrive(
    portal: Portal, run: Any, seed: int
) -> None:
    rng = random.Random(seed)
    events = a_story(portal)
    sent = events + [{**event, "attemptNumber": 1} for event in rng.sample(events, len(events) // 2)]
    rng.shuffle(sent)

    async def check() -> dict[str, Any]:
        await portal.workspace.send(*CAMPAIGN)
        async with hubspot(portal.workspace.running) as caller:
            while sent:
                size = rng.randint(1, 8)
                await caller.taken(*sent[:size])
                del sent[:size]
                if rng.random() < 0.5:
                    await portal.workspace.project()
        return await overview(portal.workspace)

    found = run(check())
    assert (found["influenced_deals"], found["closed_deals"]) == (1, 1)
    assert found["influenced_revenue"] == [{"amount": "1000.50", "currency": "NOK"}]
    assert run(letters(portal.workspace)) == []


@pytest.mark.parametrize(
    ("steps", "won", "influenced"),
    [(9, 1, 1), (10, 0, 1), (11, 0, 0), (13, 1, 1)],
    ids=["won", "reopened", "lost", "won again"],
)
def test_the_state_of_a_deal_is_the_one_that_was_sent_last(
    portal: Portal, run: Any, steps: int, won: int, influenced: int
) -> None:
    async def check() -> dict[str, Any]:
        await portal.workspace.send(*CAMPAIGN)
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(*reversed(a_story(portal)[:steps]))
        return await overview(portal.workspace)

    found = run(check())
    assert (found["closed_deals"], found["influenced_deals"]) == (won, influenced)


def test_stages_are_those_that_the_workspace_names(portal: Portal, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.projection.acceptance_settings.CACHE_S", 0.0)
    result = {"producers": {"hubspot": {"won_stages": ["4711"], "lost_stages": ["4712"]}}}

    async def check() -> list[int]:
        await portal.workspace.send(*CAMPAIGN, {"type": "workspace_configured", "settings": result})
        await portal.workspace.project()
        found = []
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(portal.associated(7, 70, 2))
            for day, stage in ((3, "closedwon"), (4, "4711"), (5, "4712")):
                await caller.taken(portal.changed("deal", 70, day, "dealstage", stage))
                found.append((await overview(portal.workspace))["closed_deals"])
        return found

    assert run(check()) == [0, 1, 0]


def test_a_merge_joins_two_contacts(portal: Portal, run: Any) -> None:
    async def check() -> tuple[int, int]:
        await portal.workspace.send(*CAMPAIGN)
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(portal.associated(8, 70, 2), portal.changed("deal", 70, 3, "dealstage", "closedwon"))
            before = (await overview(portal.workspace))["closed_deals"]
            merge = {"primaryObjectId": 8, "mergedObjectIds": [7], "newObjectId": 9, "numberOfPropertiesMoved": 2}
            await caller.taken(portal.event(BEGIN_MS + 5 * DAY_MS, subscriptionType="contact.merge", **merge))
        return before, (await overview(portal.workspace))["closed_deals"]

    assert run(check()) == (0, 1)
    assert run(portal.workspace.get("/v1/contacts/7")).json()["contact"] == "9"


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("value", "closed"), [("d", 0), ("dr", 1), ("drd", 0)])
def test_a_deal_that_is_restored_counts_again(
    portal: Portal, run: Any, value: str, closed: int, backwards: bool
) -> None:
    names = {"d": "deal.deletion", "r": "deal.restore"}
    events = [
        portal.associated(7, 70, 2), portal.changed("deal", 70, 3, "dealstage", "closedwon"),
        *(portal.event(BEGIN_MS + (4 + n) * DAY_MS, subscriptionType=names[each], objectId=70) for n, each in enumerate(value)),
    ]  # fmt: skip

    async def check() -> dict[str, Any]:
        await portal.workspace.send(*CAMPAIGN)
        async with hubspot(portal.workspace.running) as caller:
            for event in reversed(events) if backwards else events:
                await caller.taken(event)
        return await overview(portal.workspace)

    assert run(check())["closed_deals"] == closed
    assert run(letters(portal.workspace)) == []


def test_a_contact_that_left_the_deal_before_its_close_earns_it_nothing(portal: Portal, run: Any) -> None:
    async def check() -> dict[str, Any]:
        await portal.workspace.send(*CAMPAIGN)
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(
                portal.changed("deal", 70, 5, "dealstage", "closedwon"), portal.associated(7, 70, 4, removed=True),
                portal.associated(7, 70, 3),
            )  # fmt: skip
        return await overview(portal.workspace)

    assert run(check())["closed_deals"] == 0


@pytest.mark.parametrize(("close_day", "closed"), [(2, 0), (4, 1)])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_close_date_that_is_corrected_moves_the_close(
    portal: Portal, run: Any, close_day: int, closed: int, backwards: bool
) -> None:
    events = [
        portal.associated(7, 70, 1), portal.changed("deal", 70, 1, "closedate", str(BEGIN_MS + 90 * DAY_MS)),
        portal.changed("deal", 70, 5, "closedate", str(BEGIN_MS + 5 * DAY_MS)), portal.changed("deal", 70, 5, "dealstage", "closedwon"),
        portal.changed("deal", 70, 6, "closedate", str(BEGIN_MS + close_day * DAY_MS)),
    ]  # fmt: skip

    async def check() -> dict[str, Any]:
        await portal.workspace.send(CAMPAIGN[0], clicked("click", "7", day=3))
        async with hubspot(portal.workspace.running) as caller:
            for event in reversed(events) if backwards else events:
                await caller.taken(event)
        return await overview(portal.workspace)

    assert run(check())["closed_deals"] == closed


def test_calculated_states_close_a_deal_whose_stage_nobody_named(portal: Portal, run: Any) -> None:
    async def check() -> dict[str, Any]:
        await portal.workspace.send(*CAMPAIGN)
        async with hubspot(portal.workspace.running) as caller:
            await caller.taken(
                portal.changed("deal", 70, 3, "hs_is_closed_won", "true"), portal.changed("deal", 70, 3, "hs_is_closed", "true"),
                portal.changed("deal", 70, 3, "dealstage", "99887766"), portal.associated(7, 70, 2),
            )  # fmt: skip
        return await overview(portal.workspace)

    assert run(check())["closed_deals"] == 1


def test_forged_old_and_unsigned_calls_are_refused_and_leave_nothing(portal: Portal, run: Any) -> None:
    body = json.dumps([portal.event(subscriptionType="contact.creation", objectId=7)]).encode()
    now_ms = time.time_ns() // 1_000_000

    async def check() -> list[tuple[int, str]]:
        async with hubspot(portal.workspace.running) as caller:
            address = caller.url + PATH
            good = signed(body, address)
            calls = [
                caller.raw(body.replace(b'"objectId": 7', b'"objectId": 8'), good), caller.raw(body, signed(body, address, "other secret")),
                caller.raw(body, signed(body, "https://elsewhere.example" + PATH)), caller.raw(body, good, PATH + "?a=1"),
                caller.raw(body, {**good, "X-HubSpot-Request-Timestamp": str(now_ms + 1)}),
                caller.raw(body, {**good, "X-HubSpot-Signature-v3": "w\xf6rong".encode("latin-1")}),
                caller.raw(body, signed(body, address, at_ms=now_ms - 301_000)), caller.raw(body, signed(body, address, at_ms=now_ms + 310_000)),
                caller.raw(body, {**good, "X-HubSpot-Request-Timestamp": "yesterday"}),
                caller.raw(body, {"X-HubSpot-Signature-v3": good["X-HubSpot-Signature-v3"]}),
                caller.raw(body, {"X-HubSpot-Signature": "ab" * 32, "X-HubSpot-Signature-Version": "v1"}),
                caller.raw(body, {"X-HubSpot-Signature": "ab" * 32, "X-HubSpot-Signature-Version": "v2"}),
                caller.raw(body, {}), caller.raw(body, {"Authorization": f"Bearer {portal.workspace.keys['server']}"}),
            ]  # fmt: skip
            answers = [await call for call in calls]
        return [(answer.status_code, answer.json()["code"]) for answer in answers]

    before = run(portal.workspace.running.log.end(portal.workspace.partition))
    assert run(check()) == [
        *[(401, "bad_signature")] * 6, *[(401, "signature_expired")] * 2, *[(401, "bad_timestamp")] * 2,
        *[(401, "signature_version")] * 2, *[(401, "unsigned")] * 2,
    ]  # fmt: skip
    assert run(portal.workspace.running.log.end(portal.workspace.partition)) == before


def test_a_call_is_taken_until_five_minutes_after_it_was_signed_and_counts_once(portal: Portal, run: Any) -> None:
    body = json.dumps([portal.event(subscriptionType="contact.creation", objectId=7)]).encode()

    async def check() -> list[int]:
        async with hubspot(portal.workspace.running) as caller:
            headers = signed(body, caller.url + PATH, at_ms=time.time_ns() // 1_000_000 - 290_000)
            return [(await caller.raw(body, headers)).status_code for _ in range(3)]

    assert run(check()) == [200, 200, 200]
    run(portal.workspace.project())
    assert run(letters(portal.workspace)) == []


def test_the_address_is_signed_with_its_documented_characters_decoded(portal: Portal, run: Any) -> None:
    body = json.dumps([portal.event(subscriptionType="contact.creation", objectId=7)]).encode()

    async def check() -> int:
        async with hubspot(portal.workspace.running) as caller:
            headers = signed(body, caller.url + PATH + "?to=a@b:c%20d")
            return (await caller.raw(body, headers, PATH + "?to=a%40b%3Ac%20d")).status_code

    assert run(check()) == 200


def dropped(reason: str) -> float:
    return (
        REGISTRY.get_sample_value("touchline_producer_messages_total", {"producer": "hubspot", "outcome": reason})
        or 0.0
    )


def test_a_call_of_several_portals_is_taken_where_each_ones_secret_signed_it(
    running: Running, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> tuple[dict[str, Any], list[Portal]]:
        one, two, other = [
            await connected(await new_workspace(running, "portals"), s) for s in (SECRET, SECRET, "another app's")
        ]
        stranger = Portal(one.workspace, 31)
        async with hubspot(running) as caller:
            counts = await caller.taken(
                *(p.event(subscriptionType="contact.creation", objectId=n) for n, p in enumerate((one, stranger, two, other, one), 1)),
                {"subscriptionType": "contact.creation", "objectId": 5},
            )  # fmt: skip
        return counts, [one, two, other]

    before = {reason: dropped(reason) for reason in ("not_connected", "not_verified", "no_account")}
    counts, portals = run(check())
    assert counts == {
        "mapped": 3,
        "unmapped": 0,
        "refused": [],
        "dropped": {"not_connected": 1, "not_verified": 1, "no_account": 1},
    }
    for portal, contacts in zip(portals, ((1, 5), (3,), ()), strict=True):
        run(portal.workspace.project())
        found = run(portal.workspace.get("/v1/contacts")).json()["items"]
        assert [item["contact"] for item in found] == [str(n) for n in contacts]
    assert {reason: dropped(reason) - count for reason, count in before.items()} == dict.fromkeys(before, 1.0)


def test_a_call_of_unconnected_portals_alone_is_401_so_that_hubspot_sends_it_again(
    workspace: Workspace, run: Any
) -> None:
    portal = Portal(workspace, random.randrange(10**8, 10**9))
    event = portal.event(subscriptionType="contact.creation", objectId=7)

    async def check() -> tuple[Any, Any]:
        async with hubspot(workspace.running) as caller:
            before = await caller.call(event)
            await connect(workspace.running.pool, "hubspot", str(portal.number), workspace.name, SECRET)
            access_accounts.CACHE_S, kept = 0.0, access_accounts.CACHE_S
            after = await caller.call(event)
            access_accounts.CACHE_S = kept
            return before, after

    before, after = run(check())
    assert (before.status_code, before.json()["code"]) == (401, "account_not_connected")
    assert (after.status_code, after.json()["mapped"]) == (200, 1)


@asynccontextmanager
async def proxy(port: int, host: bytes) -> AsyncIterator[int]:
    """A proxy that gives each request another `Host`, takes a prefix off its path, and tells the old host as proxies do."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        lines[0] = lines[0].replace(b" /crm/", b" /", 1)
        lines = [b"Host: " + host if line.lower().startswith(b"host:") else line for line in lines]
        lines[1:1] = [b"X-Forwarded-Host: events.shop.example", b"X-Forwarded-Proto: https", b"Connection: close"]
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        length = next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
        outer.write(b"\r\n".join(lines) + await reader.readexactly(length))
        await outer.drain()
        writer.write(await inner.read())
        await writer.drain()
        writer.close()
        outer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("public_url", "status"),
    [("https://events.shop.example/crm", 200), ("https://events.shop.example/crm/", 200), (None, 401)],
)
def test_behind_a_proxy_that_rewrites_the_host_the_public_address_is_what_is_signed(
    database_url: str, portal: Portal, run: Any, public_url: str | None, status: int
) -> None:
    body = json.dumps([portal.event(subscriptionType="contact.creation", objectId=7)]).encode()
    headers = signed(body, "https://events.shop.example/crm" + PATH)

    async def check() -> httpx.Response:
        running = await compose(
            database_url, Configuration(kafka_bootstrap_servers=None, public_url=public_url), [Role.INGEST]
        )
        try:
            async with (
                served(running) as port,
                proxy(port, b"10.0.0.7:8301") as outside,
                httpx.AsyncClient(timeout=60) as client,
            ):
                url = f"http://127.0.0.1:{outside}/crm{PATH}"
                return await client.post(url, content=body, headers={**headers, "Host": "events.shop.example"})
        finally:
            await running.close()

    assert run(check()).status_code == status


def test_a_proxy_that_only_ends_tls_needs_no_setting(portal: Portal, run: Any) -> None:
    body = json.dumps([portal.event(subscriptionType="contact.creation", objectId=7)]).encode()

    async def check() -> int:
        async with hubspot(portal.workspace.running) as caller:
            return (await caller.raw(body, signed(body, caller.url.replace("http:", "https:") + PATH))).status_code

    assert run(check()) == 200


@pytest.mark.parametrize(
    "value", ["events.shop.example", "ftp://events.shop.example", "https://", "https://x/?a=1", "https://x/#a"]
)
def test_a_public_address_that_is_none_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(ValueError, match="an address such as"):
        Configuration(public_url=value)


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    """Services on a database of their own, of which a part can be made to fail."""
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


def test_while_the_log_takes_nothing_a_call_is_503_and_nothing_of_it_is_lost_when_it_comes_again(
    own: Running, run: Any
) -> None:
    async def check() -> tuple[Any, Any, Portal]:
        portal = await connected(await new_workspace(own, "full"))
        await own.pool.execute(
            "CREATE FUNCTION touchline.refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$"
        )
        await own.pool.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON touchline.event_log EXECUTE FUNCTION touchline.refuse()"
        )
        events = [portal.event(subscriptionType="contact.creation", objectId=n) for n in range(1, 101)]
        async with hubspot(own) as caller:
            away = await caller.call(*events)
            await own.pool.execute("DROP TRIGGER refuse ON touchline.event_log")
            return away, await caller.call(*({**event, "attemptNumber": 1} for event in events)), portal

    away, again, portal = run(check())
    assert (away.status_code, "retry-after" in away.headers) == (503, True)
    assert (again.status_code, again.json()["mapped"]) == (200, 100)
    run(portal.workspace.project())
    assert len(run(portal.workspace.get("/v1/contacts?limit=200")).json()["items"]) == 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=5,
)  # fmt: skip
FIELDS = (
    "objectId", "propertyName", "propertyValue", "subscriptionType", "eventType", "portalId", "occurredAt", "eventId", "subscriptionId",
    "primaryObjectId", "mergedObjectIds", "newObjectId", "associationType", "fromObjectId", "toObjectId", "associationRemoved", "objectTypeId",
)  # fmt: skip


@st.composite
def odd_events(draw: st.DrawFn) -> Any:
    """What stands beside a good event: JSON of any kind, or an event with fields that are gone or of another kind."""
    if draw(st.integers(0, 3)) == 0:
        return draw(JSON)
    fields = {"eventId": draw(st.integers(0, 9)), "subscriptionId": 1, "portalId": ..., "occurredAt": BEGIN_MS}
    fields |= draw(st.sampled_from([*EVERY, *NOT_OURS]))
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        fields.pop(field, None)
    return fields | draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2))


def test_whatever_stands_beside_it_a_good_event_is_kept_and_nothing_is_an_error(portal: Portal, run: Any) -> None:
    @settings(max_examples=150, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(odd_events(), max_size=5), st.integers(0, 5))
    def check(odd: list[Any], place: int) -> None:
        nonlocal good
        good += 1
        events = [
            {**e, "portalId": portal.number} if isinstance(e, dict) and e.get("portalId") is ... else e for e in odd
        ]
        events.insert(place, portal.event(subscriptionType="contact.creation", objectId=10_000 + good))
        answer = run(caller.call(*events))
        assert answer.status_code == 200, answer.text
        taken = answer.json()
        assert taken["mapped"] + taken["unmapped"] + len(taken["refused"]) + sum(taken["dropped"].values()) == len(
            events
        )

    good = 0
    opened = hubspot(portal.workspace.running)
    caller = run(opened.__aenter__())
    try:
        check()
    finally:
        run(opened.__aexit__(None, None, None))
    run(portal.workspace.project())
    for n in range(1, good + 1):
        assert run(portal.workspace.get(f"/v1/contacts/{10_000 + n}")).status_code == 200


def test_unusual_json_beside_good_events_loses_none_of_them(portal: Portal, run: Any) -> None:
    first, last = (portal.event(subscriptionType="contact.creation", objectId=n) for n in (1, 2))
    odd = list(dict.fromkeys(malformed_texts()))

    async def check() -> list[int]:
        statuses = []
        async with hubspot(portal.workspace.running) as caller:
            for text in odd:
                body = b"[" + json.dumps(first).encode() + b"," + text + b"," + json.dumps(last).encode() + b"]"
                answer = await caller.raw(body)
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    assert answer.json()["mapped"] >= 2, (text[:200], answer.text)
                else:
                    assert answer.json()["code"] in ("not_json", "too_many_events"), (text[:200], answer.text)
        return statuses

    statuses = run(check())
    assert set(statuses) <= {200, 400, 413}
    assert statuses.count(200) > 100


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "not_json"), (b"[", "not_json"), (b"5", "not_json"), (b"[]", "no_events"), (b"\xff\xfe", "not_json")],
)
def test_a_body_without_events_is_400(running: Running, run: Any, body: bytes, code: str) -> None:
    async def check() -> httpx.Response:
        async with hubspot(running) as caller:
            return await caller.raw(body)

    answer = run(check())
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_accounts_that_nobody_has_push_no_known_one_out(
    portal: Portal, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_accounts, "CACHED_ACCOUNTS_MAX", 10)
    assert CACHED_ACCOUNTS_MAX > 1_000

    async def check() -> Accounts:
        found = Accounts(portal.workspace.running.pool)
        assert await found.find("hubspot", str(portal.number), 0.0) is not None
        for n in range(50):
            assert await found.find_all("hubspot", [str(n), f"x{n}"], 0.0) == {}
        return found

    found = run(check())
    assert ("hubspot", str(portal.number)) in found._known
    assert len(found._known) <= 10


async def asked(workspace: Workspace, method: str, path: str, scope: str = "admin", **request: Any) -> httpx.Response:
    async with workspace.client(scope) as client:
        return await client.request(method, f"/v1/producers/{path}", **request)


def test_an_account_is_connected_listed_without_its_secret_and_disconnected(workspace: Workspace, run: Any) -> None:
    number = str(random.randrange(10**8, 10**9))
    made = run(asked(workspace, "PUT", f"hubspot/accounts/{number}", json={"secret": SECRET}))
    assert (made.status_code, made.json()) == (200, {"producer": "hubspot", "account": number})
    listed = run(asked(workspace, "GET", "accounts"))
    assert [(item["producer"], item["account"]) for item in listed.json()["items"]] == [("hubspot", number)]
    assert SECRET not in listed.text + made.text
    assert run(asked(workspace, "DELETE", f"hubspot/accounts/{number}")).status_code == 204
    assert run(asked(workspace, "DELETE", f"hubspot/accounts/{number}")).status_code == 404
    assert run(asked(workspace, "GET", "accounts")).json()["items"] == []


def test_an_account_of_another_workspace_is_neither_taken_nor_ended(portal: Portal, running: Running, run: Any) -> None:
    other = run(new_workspace(running, "other"))
    path = f"hubspot/accounts/{portal.number}"
    taken = run(asked(other, "PUT", path, json={"secret": "mine now"}))
    assert (taken.status_code, taken.json()["code"]) == (409, "account_taken")
    assert run(asked(other, "DELETE", path)).status_code == 404
    row = run(
        running.pool.fetchrow(
            "SELECT workspace_id, secret FROM touchline.producer_account WHERE account = $1", str(portal.number)
        )
    )
    assert tuple(row) == (portal.workspace.name, SECRET)


@pytest.mark.parametrize(
    ("path", "sent", "field"),
    [
        ("hubspot/accounts/my-portal", {"secret": "s"}, "account"), ("hubspot/accounts/0", {"secret": "s"}, "account"),
        ("nobody/accounts/1", {"secret": "s"}, "producer"), ("hubspot/accounts/1%00", {"secret": "s"}, "account"),
        ("hubspot/accounts/1", {"secret": ""}, "secret"), ("hubspot/accounts/1", {"secret": " "}, "secret"),
        ("hubspot/accounts/1", {"secret": "a\0b"}, "secret"), ("hubspot/accounts/1", {"secret": 5}, "secret"),
        ("hubspot/accounts/1", {"secret": "s", "more": 1}, "more"), ("hubspot/accounts/1", {}, "secret"), ("hubspot/accounts/1", [], None),
    ],
)  # fmt: skip
def test_what_cannot_be_connected_says_why(
    workspace: Workspace, run: Any, path: str, sent: Any, field: str | None
) -> None:
    answer = run(asked(workspace, "PUT", path, json=sent))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "bad_value", field)


@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope != "admin"])
def test_only_an_admin_key_connects(workspace: Workspace, run: Any, scope: str) -> None:
    calls: Sequence[tuple[str, str]] = (
        ("GET", "accounts"),
        ("PUT", "hubspot/accounts/5"),
        ("DELETE", "hubspot/accounts/5"),
    )
    for method, path in calls:
        assert run(asked(workspace, method, path, scope, json={"secret": "s"})).status_code == 403
