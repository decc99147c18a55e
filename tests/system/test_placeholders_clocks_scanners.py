"""Who is meant: words that name nobody, addresses that are one, clocks that are wrong, and clicks that no person made."""

import asyncio
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import orjson
import pytest

from services.ingest.dead_letters import list_letters, retry_letter
from services.replay.backfill import Backfill
from services.replay.build import Resources
from services.replay.export import Chosen, Export
from shared.database import open_pool
from shared.events.codec import Record, accept, encode_record
from shared.log.port import Position
from shared.projection import acceptance_settings
from shared.projection.acceptance_settings import AcceptanceSettingsCache
from tests.conftest import Workspace, new_workspace
from tests.processes import start, until_projected
from touchline.compose import Running

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/?utm_campaign=c"}
CAMPAIGN = {"type": "campaign_created", "id": "c", "campaign_id": "c", "utm_campaign": "c",
            "occurred_at": "2024-01-01T00:00:00Z"}  # fmt: skip
MAIL = {"type": "asset_associated", "asset_id": "m", "campaign_id": "c", "occurred_at": "2024-01-01T00:00:00Z"}
PIXEL = "/v1/p.gif"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"}

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(runner: asyncio.Runner) -> Run:
    return runner.run


def created(number: int, **contact: str) -> dict[str, object]:
    return {"type": "contact_created", "id": f"n{number}", "contact": contact, "occurred_at": "2024-02-01T00:00:00Z"}


async def reasons(workspace: Workspace) -> list[str]:
    return [letter.reason for letter in await list_letters(workspace.running.pool, workspace.name, None, 0, 100)]


async def metric(workspace: Workspace, name: str, query: str = "") -> int:
    return int((await workspace.get(f"/v1/campaigns/c/overview{query}")).json()["metrics"][name])


def test_what_names_nobody_is_refused_and_kept_and_the_rest_of_its_request_counts(
    workspace: Workspace, run: Run
) -> None:
    async def check() -> None:
        events = [
            created(n, id=word, email=f"{n}@example.no") for n, word in enumerate(["undefined", "7", "\\N", "0", "8"])
        ]
        answer = (await workspace.send(*events)).json()
        assert answer["accepted"] == 2
        assert [(r["index"], r["id"], r["code"], r["field"]) for r in answer["rejected"]] == [
            (n, f"n{n}", "names_nobody", "contact.id") for n in (0, 2, 3)
        ]
        assert await reasons(workspace) == ["names_nobody"] * 3
        await workspace.project()
        assert (await workspace.get("/v1/contacts/7")).json()["emails"] == ["1@example.no"]
        assert (await workspace.get("/v1/contacts/undefined")).status_code == 404
        assert (await workspace.get("/v1/events/n0/explain")).json()["reason"] == "names_nobody"

    run(check())


def test_the_pixel_takes_no_visitor_that_is_nobody(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with workspace.client("collect") as client:
            for visitor in ("undefined", "v"):
                response = await client.get(PIXEL, params={"v": visitor, "u": VISIT["url"]}, headers=BROWSER)
                assert response.status_code == 200
        assert await reasons(workspace) == ["names_nobody"]
        await workspace.send(CAMPAIGN)
        await workspace.project()
        assert await metric(workspace, "page_views") == 1

    run(check())


def test_a_workspaces_own_words_are_refused_from_then_on_by_every_way_in(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(acceptance_settings, "CACHE_S", 0)
    kiosk = {**VISIT, "visitor_id": "Kiosk ", "occurred_at": "2024-02-01T00:00:00Z"}
    file = tmp_path / "e.ndjson"
    file.write_bytes(orjson.dumps({**kiosk, "id": "from a file"}) + b"\n")

    async def check() -> None:
        settings = {"nobody": ["kiosk", "till@shop.example"]}
        assert (await workspace.send({**kiosk, "id": "before"})).json()["rejected"] == []
        await workspace.send({"type": "workspace_configured", "settings": settings}, CAMPAIGN)
        await workspace.project()
        for scope in ("server", "collect"):
            refused = (await workspace.send({**VISIT, "visitor_id": "KIOSK"}, scope=scope)).json()["rejected"]
            assert [(r["code"], r["field"]) for r in refused] == [("names_nobody", "visitor_id")]
        refused = (await workspace.send(created(1, email="Till@Shop.example"))).json()["rejected"]
        assert [r["field"] for r in refused] == ["contact.email"]
        async with workspace.client("collect") as client:
            await client.get(PIXEL, params={"v": "kiosk", "u": VISIT["url"]})
        assert await reasons(workspace) == ["names_nobody"] * 4
        running = workspace.running
        tally = await Backfill(running.pool, running.log, workspace.name, 1e9, lambda _: None).run(file)
        assert dict(tally.refused) == {"names_nobody": 1}
        (letter, *_) = await list_letters(running.pool, workspace.name, None, 0, 1)
        assert "names nobody" in str(await retry_letter(running.pool, running.log, letter))
        await workspace.project()
        assert await metric(workspace, "page_views") == 1, "what was taken in before stays"
        await workspace.send({"type": "workspace_configured", "settings": {"nobody": []}})
        await workspace.project()
        assert (await workspace.send({**VISIT, "visitor_id": "kiosk"})).json()["rejected"] == []

    run(check())


def test_known_words_go_on_being_refused_while_the_database_is_away(
    workspace: Workspace, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance_settings, "CACHE_S", 0)

    async def check() -> None:
        await workspace.send({"type": "workspace_configured", "settings": {"nobody": ["Kiosk"]}})
        await workspace.project()
        pool = await open_pool(database_url, 1)
        known = AcceptanceSettingsCache(pool)
        assert (await known.of(workspace.name, 0.0)).nobody == {"kiosk"}
        await pool.close()
        assert (await known.of(workspace.name, 10.0)).nobody == {"kiosk"}
        assert await known.of("another", 10.0) == acceptance_settings.AcceptanceSettings()

    run(check())


def test_one_address_in_many_forms_is_one_contact_wherever_it_is_asked_for(
    workspace: Workspace, run: Run, tmp_path: Path
) -> None:
    forms = ["andr\u00e9@example.no", "ANDRE\u0301@Example.no", "mailto:andr\u00e9@example.no?subject=hi", "<andr\u00e9@example.no>",
             "andr\u00e9\u200b@example.no"]  # fmt: skip

    async def check() -> None:
        await workspace.send(*(created(n, email=form) for n, form in enumerate(forms)))
        await workspace.send({"type": "workspace_configured", "settings": {"internal_domains": ["@EXAMPLE.no."]}})
        await workspace.project()
        contacts = (await workspace.get("/v1/contacts")).json()["items"]
        assert [(c["contact"], c["internal"]) for c in contacts] == [("andr\u00e9@example.no", True)]
        for form in forms:
            assert (await workspace.get(f"/v1/contacts/{quote(form, safe='')}")).status_code == 200, form
            target = tmp_path / "e.ndjson"
            assert await exported(workspace, target, contact=form) == len(forms)

    run(check())


async def exported(workspace: Workspace, target: Path, **chosen: Any) -> int:
    resources = Resources(workspace.running.pool, workspace.running.log)
    return await Export(resources, workspace.name, Chosen(**chosen), lambda _: None, lambda _: None).run(target)


def test_an_identifier_that_joins_many_others_is_listed_until_they_are_taken_back(
    workspace: Workspace, run: Run
) -> None:
    async def listed(query: str = "") -> list[tuple[str, str, int]]:
        items = (await workspace.get(f"/v1/identifiers{query}")).json()["items"]
        return [(i["identifier"], i["kind"], i["joined"]) for i in items]

    async def check() -> None:
        await workspace.send(*(created(n, id="till", email=f"{n}@example.no") for n in range(6)))
        await workspace.send(*(created(10 + n, id=f"{n}", email="family@example.no") for n in range(1, 4)))
        await workspace.send(created(20, id="9", email="kari@example.no"), created(21, id="9", email="kari@example.no"))
        await workspace.project()
        assert await listed() == [("till", "id", 6)]
        assert await listed("?min_joined=2") == [("till", "id", 6), ("family@example.no", "email", 3)]
        first = (await workspace.get("/v1/identifiers?min_joined=2&limit=1")).json()
        assert [i["identifier"] for i in first["items"]] == ["till"]
        second = (await workspace.get(f"/v1/identifiers?min_joined=2&limit=1&cursor={first['next_cursor']}")).json()
        assert ([i["identifier"] for i in second["items"]], second["next_cursor"]) == (["family@example.no"], None)
        assert first["items"][0]["contact"] == "till"
        for bad in ("min_joined=1", "min_joined=x", "min_joined=99999999999"):
            assert (await workspace.get(f"/v1/identifiers?{bad}")).json()["field"] == "min_joined"
        await workspace.send(*({"type": "event_retracted", "event_id": f"n{n}"} for n in range(2)))
        await workspace.project()
        assert await listed("?min_joined=4") == [("till", "id", 4)]

    run(check())


def test_a_link_between_two_that_were_one_contact_already_counts(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        await workspace.send(created(1, id="a", email="x@example.no"), created(2, id="b", email="x@example.no"))
        await workspace.send(created(3, id="b", email="y@example.no"))
        await workspace.project()
        await workspace.send(created(4, id="a", email="y@example.no"))
        await workspace.project()
        items = (await workspace.get("/v1/identifiers?min_joined=2")).json()["items"]
        assert sorted((i["identifier"], i["joined"]) for i in items) == [
            ("a", 2), ("b", 2), ("x@example.no", 2), ("y@example.no", 2),
        ]  # fmt: skip

    run(check())


def test_the_command_lists_identifiers_of_a_stopped_store(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        events = [created(n, id="till", email=f"{n}@example.no") for n in range(6)]
        position = client.post("/v1/events", json=events).json()["position"]
    with up.client("admin") as client:
        until_projected(client, position)
        over_http = client.get("/v1/identifiers").json()
    assert up.stop() == 0
    command = [sys.executable, "-m", "touchline", "identifiers", "--data", str(data)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == over_http
    assert over_http["items"][0]["joined"] == 6
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "till" in output
    none = subprocess.run([*command, "--min-joined", "7"], capture_output=True, text=True, check=True).stdout
    assert "no identifier is joined with 7 others" in none


def test_a_contact_cannot_be_forgotten_and_an_old_log_that_says_so_is_read(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        forget = {"type": "contact_forgotten", "id": "f", "contact": {"id": "7"}, "occurred_at": "2024-03-01T00:00:00Z"}
        refused = (await workspace.send(forget, created(1, id="7"))).json()["rejected"]
        assert [r["code"] for r in refused] == ["forgetting_not_supported"]
        assert await reasons(workspace) == ["forgetting_not_supported"]
        record = Record(1, "server", 1_700_000_000_000_000, msgspec.Raw(orjson.dumps(forget)))
        await workspace.running.log.append(workspace.name, [encode_record(record)])
        await workspace.project()
        assert await reasons(workspace) == ["forgetting_not_supported"]
        assert (await workspace.get("/v1/contacts/7")).status_code == 200

    run(check())


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("ahead_hours", [20, 26, -9 * 24, 24 * 365, 0])
def test_a_browsers_clock_is_corrected_and_its_visit_earns_the_deal(
    workspace: Workspace, run: Run, ahead_hours: int
) -> None:
    async def check() -> None:
        clock = now() + dt.timedelta(hours=ahead_hours)
        body = {
            "sent_at": clock.isoformat(),
            "events": [
                {**VISIT, "occurred_at": (clock - dt.timedelta(minutes=2)).isoformat()},
                {"type": "contact_identified", "visitor_id": "v", "contact": {"email": "kari@example.no"},
                 "occurred_at": (clock - dt.timedelta(minutes=1)).isoformat()},
            ],
        }  # fmt: skip
        async with workspace.client("collect") as client:
            assert (await client.post("/v1/events", json=body, headers=BROWSER)).json()["rejected"] == []
        closed = (now() + dt.timedelta(minutes=5)).isoformat()
        await workspace.send(
            CAMPAIGN,
            {"type": "deal_created", "deal_id": "d", "contacts": [{"email": "kari@example.no"}], "amount": "100.00",
             "occurred_at": now().isoformat()},
            {"type": "deal_closed", "deal_id": "d", "won": True, "occurred_at": closed},
        )  # fmt: skip
        await workspace.project()
        (visit,) = (await workspace.get("/v1/contacts/kari%40example.no/journey")).json()["items"]
        age = now() - dt.datetime.fromisoformat(visit["occurred_at"])
        assert dt.timedelta(minutes=2) <= age < dt.timedelta(minutes=3)
        revenue = (await workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["attributed_revenue"]
        assert revenue == [{"amount": "100.00", "currency": "EUR"}]

    run(check())


@pytest.mark.parametrize("ahead_s", [0, -1, 1.5])
def test_what_follows_a_visit_at_once_is_of_its_session_though_the_visits_request_took_longer(
    workspace: Workspace, run: Run, ahead_s: float
) -> None:
    """As the tracker sends them: the visit's request opens the connection, and what comes 50 ms later waits for its answer."""

    async def check() -> None:
        await workspace.send(CAMPAIGN)
        opened = now() + dt.timedelta(seconds=ahead_s)
        took = dt.timedelta(milliseconds=700), dt.timedelta(milliseconds=30)
        seen_at = opened + dt.timedelta(milliseconds=50)
        visit = {**VISIT, "id": "visit", "occurred_at": opened.isoformat()}
        seen = {
            "type": "cta_viewed",
            "id": "seen",
            "visitor_id": "v",
            "asset_id": "a",
            "occurred_at": seen_at.isoformat(),
        }
        async with workspace.client("server") as client:
            for event, sent_at, way in ((visit, opened, took[0]), (seen, opened + took[0], took[1])):
                await asyncio.sleep(way.total_seconds())
                body = {"sent_at": sent_at.isoformat(), "events": [event]}
                assert (await client.post("/v1/events", json=body)).status_code == 202
        await workspace.project()
        explained = {name: (await workspace.get(f"/v1/events/{name}/explain")).json() for name in ("visit", "seen")}
        assert explained["visit"]["occurred_at"] < explained["seen"]["occurred_at"]
        assert explained["visit"]["session"] == explained["seen"]["session"]
        assert await metric(workspace, "sessions") == 1

    run(check())


def test_a_request_with_a_bad_sent_at_is_refused_by_name(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with workspace.client("server") as client:
            response = await client.post("/v1/events", json={"sent_at": "yesterday", "events": [VISIT]})
        assert (response.status_code, response.json()["code"]) == (422, "bad_value")
        assert "sent_at" in response.json()["detail"]

    run(check())


def test_an_event_that_was_sent_again_counts_once_and_nothing_is_kept_as_a_dead_letter(
    workspace: Workspace, run: Run
) -> None:
    visit = {**VISIT, "id": "once", "occurred_at": "2024-03-01T10:00:00Z"}
    received = dt.datetime(2024, 3, 1, 9, 0, tzinfo=dt.UTC)

    def attempt(sent_s: float, received_s: float) -> bytes:
        sent_at = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC) + dt.timedelta(seconds=sent_s)
        at_us = round((received + dt.timedelta(seconds=received_s)).timestamp() * 1e6)
        record = accept(orjson.dumps({**visit, "sent_at": sent_at.isoformat()}), 0, "server", at_us, None)
        assert isinstance(record, Record)
        return encode_record(record)

    async def check() -> None:
        attempts = [attempt(5, 7), attempt(10, 10.5), attempt(40, 43)]  # the second came with the least delay
        await workspace.send(CAMPAIGN)
        for each in attempts:
            await workspace.running.log.append(workspace.name, [each])
            await workspace.project()
        assert await metric(workspace, "page_views") == 1
        assert await reasons(workspace) == []
        explained = (await workspace.get("/v1/events/once/explain")).json()
        assert explained["occurred_at"] == "2024-03-01T09:00:00.500000Z"

    run(check())


def test_an_export_shows_the_corrected_instant_and_no_clock(
    workspace: Workspace, running: Running, run: Run, tmp_path: Path
) -> None:
    async def check() -> None:
        clock = now() + dt.timedelta(hours=30)
        visit = {**VISIT, "id": "x", "occurred_at": clock.isoformat(), "sent_at": clock.isoformat()}
        await workspace.send(CAMPAIGN, visit)
        await workspace.project()
        target = tmp_path / "e.ndjson"
        assert await exported(workspace, target) == 2
        by_id = {event["id"]: event for event in map(orjson.loads, target.read_bytes().splitlines())}
        assert "sent_at" not in by_id["x"]
        at = (await workspace.get("/v1/events/x/explain")).json()["occurred_at"]
        assert by_id["x"]["occurred_at"] == at
        copy = await new_workspace(running, "copy")
        await Backfill(running.pool, running.log, copy.name, 1e9, lambda _: None).run(target)
        await copy.project()
        assert (await copy.get("/v1/events/x/explain")).json()["occurred_at"] == at

    run(check())


def test_a_backfill_keeps_the_instants_of_its_file(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        file = tmp_path / "e.ndjson"
        event = {**VISIT, "id": "x", "occurred_at": "2024-03-01T00:00:00Z", "sent_at": "2024-03-01T00:00:09Z"}
        file.write_bytes(orjson.dumps(event) + b"\n")
        running = workspace.running
        await Backfill(running.pool, running.log, workspace.name, 1e9, lambda _: None).run(file)
        await workspace.project()
        assert (await workspace.get("/v1/events/x/explain")).json()["occurred_at"] == "2024-03-01T00:00:00Z"

    run(check())


def test_a_refused_event_is_tried_again_with_the_clock_of_its_request(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        clock = now() + dt.timedelta(days=40)
        broken = {**VISIT, "occurred_at": (clock - dt.timedelta(hours=1)).isoformat(), "odd": 1}
        async with workspace.client("server") as client:
            await client.post("/v1/events", json={"sent_at": clock.isoformat(), "events": [broken]})
        pool, log = workspace.running.pool, workspace.running.log
        (letter,) = await list_letters(pool, workspace.name, None, 0, 10)
        mended = {name: value for name, value in orjson.loads(letter.body).items() if name != "odd"}
        await pool.execute(
            "UPDATE touchline.dead_letter SET body = $2 WHERE dead_letter_id = $1", letter.number, orjson.dumps(mended)
        )
        (letter,) = await list_letters(pool, workspace.name, None, 0, 10)
        assert isinstance(await retry_letter(pool, log, letter), Position)
        await workspace.send(CAMPAIGN)
        await workspace.project()
        hour_ago = now() - dt.timedelta(hours=1)
        span = [quote((hour_ago + dt.timedelta(minutes=m)).isoformat()) for m in (-1, 1)]
        assert await metric(workspace, "page_views", f"?from={span[0]}&to={span[1]}") == 1

    run(check())


def mail(second: float, type_: str = "email_clicked", **fields: object) -> dict[str, object]:
    at = dt.datetime(2024, 3, 1, 8, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    who = {"contact": {"id": "7"}, "occurred_at": at.isoformat()}
    return {"type": type_, "asset_id": "m", "id": f"{type_}-{second}", **who, **fields}


def links(*seconds: float) -> list[dict[str, object]]:
    return [mail(second, url=f"https://shop.example/{second}") for second in seconds]


def test_a_scanners_clicks_are_explained_and_a_persons_later_click_counts(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        await workspace.send(CAMPAIGN, MAIL, mail(0, "email_delivered"), *links(1, 1.1, 1.2), *links(3600))
        await workspace.project()
        assert await metric(workspace, "email_clicks") == 1
        explained = (await workspace.get("/v1/events/email_clicked-1.1/explain")).json()
        assert (explained["counted"], explained["reason"], explained["machine_by"]) == (
            False,
            "machine",
            "mail_scanner",
        )
        explained = (await workspace.get("/v1/events/email_clicked-3600/explain")).json()
        assert (explained["counted"], explained["machine_by"]) == (True, None)

    run(check())


@pytest.mark.parametrize(
    ("later", "before", "after"),
    [
        ([mail(0, "email_delivered")], 3, 0),
        ([mail(0, "email_sent")], 3, 0),
        ([mail(0, "email_delivered"), mail(0.5, "email_opened")], 3, 3),
        ([mail(0, "email_delivered"), mail(0.5, "email_opened", user_agent="Mozilla/5.0")], 3, 0),
        ([mail(0, "email_delivered"), {"type": "event_retracted", "event_id": "email_clicked-2"}], 3, 2),
        ([mail(0, "email_delivered", contact={"email": "k@x.no"})], 3, 3),
        ([mail(0, "email_delivered", contact={"email": "k@x.no"}), created(1, id="7", email="k@x.no")], 3, 0),
        ([mail(0, "email_delivered"), {"type": "workspace_configured",
          "settings": {"machine_rules": {"mail_scanners": False}}}], 3, 3),
        ([mail(0, "email_delivered", asset_id="another")], 3, 3),
    ],
)  # fmt: skip
def test_what_is_set_later_decides_anew(
    workspace: Workspace, run: Run, later: list[dict[str, object]], before: int, after: int
) -> None:
    async def check() -> None:
        await workspace.send(CAMPAIGN, MAIL, *links(1, 2, 3))
        await workspace.project()
        assert await metric(workspace, "email_clicks") == before
        for event in later:
            await workspace.send(event)
            await workspace.project()
        assert await metric(workspace, "email_clicks") == after

    run(check())


def test_switching_scanners_off_and_on_counts_history_again_and_its_deal(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        def scanner_setting(on: bool, at: str) -> dict[str, object]:
            rules = {"machine_rules": {"mail_scanners": on}}
            return {"type": "workspace_configured", "settings": rules, "occurred_at": at}

        deal = {"deal_id": "d", "occurred_at": "2024-03-02T00:00:00Z"}
        await workspace.send(
            CAMPAIGN, MAIL, mail(0, "email_delivered"), *links(1, 2, 3),
            {"type": "deal_created", "amount": "90.00", "contacts": [{"id": "7"}], **deal},
            {"type": "deal_closed", "won": True, **deal, "occurred_at": "2024-03-03T00:00:00Z"},
        )  # fmt: skip
        for settings, clicks, deals in (
            (None, 0, 0),
            (scanner_setting(False, "2024-03-04T00:00:00Z"), 3, 1),
            (scanner_setting(True, "2024-03-05T00:00:00Z"), 0, 0),
        ):
            if settings is not None:
                await workspace.send(settings)
            await workspace.project()
            assert (await metric(workspace, "email_clicks"), await metric(workspace, "closed_deals")) == (clicks, deals)

    run(check())
