"""A HubSpot account's history comes in by its API: whole, once, within its limits, however often and however interrupted."""

import asyncio
import copy
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.replay.hubspot import client as client_module
from services.replay.hubspot.client import HubSpot
from services.replay.hubspot.errors import HubSpotRefuses
from services.replay.sources import Unreadable
from shared.events.codec import decode_record
from tests.conftest import Workspace, new_workspace
from tests.hubspot import company as company_events
from tests.hubspot.company import company
from tests.hubspot.server import SCOPES, Account, FakeHubSpot, Moods
from tests.hubspot.test_formats_agree import import_
from touchline.compose import Running

TOKEN = "pat-eu1-right"
BEGIN_S = 120.0  # a busy machine is slow to start a process


async def log_of(workspace: Workspace) -> list[dict[str, Any]]:
    """All events of the workspace in the log, in its order."""
    entries = await workspace.entries()
    return [orjson.loads(bytes(decode_record(each.value, each.offset).raw)) for each in entries]


def counting(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What counts of them by id: the version with the latest `as_of`, without it."""
    last: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda each: each["as_of"]):
        last[event["id"]] = {name: value for name, value in event.items() if name != "as_of"}
    return last


def an_account(**changes: Any) -> Account:
    account = company_events.account(company(people=130, deals=70))
    for name, value in changes.items():
        setattr(account, name, value)
    return account


def compared(history: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for tally in history.tallies.values():
        for fate, count in tally.compared.counts.items():
            total[fate] = total.get(fate, 0) + count
    return total


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are as many as else, and shorter."""
    monkeypatch.setattr(client_module, "AGAIN_S", (0.001,) * len(client_module.AGAIN_S))
    monkeypatch.setattr(client_module, "WAIT_S", dict.fromkeys(client_module.WAIT_S, 0.001))
    monkeypatch.setattr(client_module, "LOCKED_S", 0.001)


@pytest.mark.usefixtures("quick")
def test_failures_and_limits_of_hubspot_change_nothing_of_what_comes_in(
    running: Running, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        calm, moody = await new_workspace(running, "calm"), await new_workspace(running, "moody")
        await import_(calm, an_account(), tmp_path / "calm")
        moods = Moods(fails={429: 0.15, 500: 0.1, 502: 0.05, 423: 0.03, 0: 0.05}, seed=5)
        history = await import_(moody, an_account(), tmp_path / "moody", moods)
        assert history.hubspot.waited_s > 0
        assert not any(tally.refused for tally in history.tallies.values())
        assert counting(await log_of(moody)) == counting(await log_of(calm))

    runner.run(check())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("moods", "expected"),
    [
        (Moods(fails={429: 1.0}, policy="DAILY"), "run the same command again tomorrow"),
        (Moods(fails={429: 1.0}, retry_after_s="3600"), "run the same command again tomorrow"),
        (Moods(fails={429: 1.0}), "run the same command again later"),
        (Moods(fails={503: 1.0}), "answered 503 9 times in a row"),
        (Moods(fails={0: 1.0}), "cannot be reached"),
        (Moods(fails={418: 1.0}), "answered 418 to /account-info/v3/details"),
    ],
)
def test_what_waiting_does_not_mend_is_reported_and_not_waited_for(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, moods: Moods, expected: str
) -> None:
    with pytest.raises(HubSpotRefuses, match=expected):
        runner.run(import_(workspace, an_account(), tmp_path / "s", moods))


def test_no_more_is_asked_in_a_span_of_time_than_hubspot_says_it_allows(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """The first limit of a hundred is corrected by the first answer's headers."""

    async def check() -> None:
        running = workspace.running
        with FakeHubSpot(an_account(), Moods(requests_max=10, interval_s=0.5)) as server:
            async with HubSpot(TOKEN, server.url) as hubspot:
                from services.replay.hubspot.history import History

                began_s = time.monotonic()
                await History(running.pool, running.log, workspace.name, hubspot, tmp_path / "s", lambda *_: None).run()
                assert server.over == 0
                assert len(server.asked) > 15
                assert time.monotonic() - began_s > 0.5

    runner.run(check())


def test_a_second_import_adds_nothing_and_a_changed_record_replaces_its_earlier_version(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        account = an_account()
        first = await import_(workspace, account, tmp_path / "s")
        assert set(compared(first)) == {"new"}
        again = await import_(workspace, account, tmp_path / "s")
        assert compared(again) == {"duplicates": compared(first)["new"]}
        won = next(
            each
            for each in account.deals
            if each["properties"]["dealstage"] == "closedwon" and account.associations[each["id"]]
        )
        won["properties"]["amount"] = "31.50"
        won["history"]["amount"].append(
            {"value": "31.50", "timestamp": "2026-02-01T10:00:00.000Z", "sourceType": "CRM_UI"}
        )
        account.associations[won["id"]] = []
        changed = await import_(workspace, account, tmp_path / "s")
        assert compared(changed)["updated"] == 2, "amount, and contacts"
        deal = (await workspace.get(f"/v1/deals/{won['id']}/attribution")).json()
        assert deal["amount"] == {"amount": "31.50", "currency": "NOK"}
        generation = workspace.running.generation.name
        mine = "(SELECT number FROM touchline.workspace WHERE workspace_id = $2)"
        eligible = f"SELECT count(*) FROM {generation}.deal_contact c JOIN {generation}.deal d USING (ws, deal) WHERE d.deal_id = $1 AND c.ws = {mine}"
        assert await workspace.running.pool.fetchval(eligible, won["id"], workspace.name) == 0

    runner.run(check())


def test_since_reads_only_contacts_and_deals_that_have_changed_and_more_than_a_page_of_them(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        account = an_account()
        day = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
        for record in [*account.contacts[:120], *account.deals[:60]]:
            record["updatedAt"] = "2026-03-02T00:00:00.000Z"
        history = await import_(workspace, account, tmp_path / "s", since_us=int(day.timestamp()) * 1_000_000)
        assert {step: tally.rows.read for step, tally in history.tallies.items()} == {
            "campaigns": 3, "contacts": 120, "deals": 60, "deleted_deals": 0,
        }  # fmt: skip

    runner.run(check())


def test_a_dry_run_reports_the_same_and_neither_sends_nor_writes(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        dry = await import_(workspace, an_account(), tmp_path / "s", dry_run=True)
        assert (await log_of(workspace), list(tmp_path.iterdir())) == ([], [])
        real = await import_(workspace, an_account(), tmp_path / "s")
        assert compared(dry) == compared(real)
        assert [p.name for p in tmp_path.iterdir()] == ["s"]

    runner.run(check())


def test_what_is_taken_out_in_hubspot_is_taken_out_by_the_next_import_and_comes_back_with_it(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """An asset of a campaign, a spend item, a campaign, a deal."""

    async def campaign_of(campaign_id: str) -> Any:
        return (await workspace.get(f"/v1/campaigns/{campaign_id}")).json()

    account = an_account()
    campaign = account.campaigns[0]
    full = copy.deepcopy(account)
    item = {
        "id": 77,
        "name": "Stand",
        "amount": 1200.5,
        "order": 0,
        "createdAt": 1_750_000_000_000,
        "updatedAt": 1_750_000_000_000,
    }
    full.budgets = {campaign["id"]: {"budgetItems": [], "spendItems": [item, {**item, "id": 78, "amount": 99}]}}
    less = copy.deepcopy(full)
    del less.assets[campaign["id"]]["FORM"]
    del less.budgets[campaign["id"]]["spendItems"][1]
    less.campaigns.pop()
    less.deals[0] |= {"archived": True, "archivedAt": "2026-04-01T00:00:00.000Z"}

    async def check() -> None:
        form = full.assets[campaign["id"]]["FORM"][0]["id"]
        gone, deal = full.campaigns[-1]["id"], full.deals[0]["id"]
        for n, (now, has) in enumerate([(full, True), (less, False), (full, True), (less, False), (full, True)]):
            less.deals[0]["archivedAt"] = dt.datetime.now(dt.UTC).isoformat()
            await import_(workspace, now, tmp_path / "s")
            campaign_now = await campaign_of(campaign["id"])
            assert (form in {each["asset_id"] for each in campaign_now["associations"] if each["to"] is None}) == has, n
            assert campaign_now["spent"] == [{"amount": "1299.50" if has else "1200.50", "currency": "NOK"}], n
            assert ((await campaign_of(gone))["deleted_at"] is None) == has, n
            assert ((await workspace.get(f"/v1/deals/{deal}/attribution")).json()["state"] == "deleted") == (not has), n

    runner.run(check())


def test_an_asset_that_came_after_an_import_is_associated_after_it(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        account = an_account()
        campaign = account.campaigns[0]["id"]
        await import_(workspace, account, tmp_path / "s")
        before = dt.datetime.now(dt.UTC)
        account.assets[campaign]["CTA"] = [{"id": "c0ffee", "name": "Call me"}]
        await import_(workspace, account, tmp_path / "s")
        [event] = [
            each
            for each in await log_of(workspace)
            if each["type"] == "asset_associated" and each["asset_id"] == "c0ffee"
        ]
        assert before - dt.timedelta(seconds=30) < dt.datetime.fromisoformat(event["occurred_at"]) < before

    runner.run(check())


def test_assets_of_unknown_types_are_kept_and_reported_and_all_published_types_are_known(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        account = an_account()
        account.assets[account.campaigns[0]["id"]] |= {
            "HOLOGRAM": [{"id": str(n), "name": f"h{n}"} for n in range(25)], "OBJECT_LIST": [{"id": "5", "name": "All"}],
        }  # fmt: skip
        history = await import_(workspace, account, tmp_path / "s")
        assert history.found.unmapped == {"HOLOGRAM": 25}, "three pages of them"
        events = await log_of(workspace)
        assert (
            sum(event["type"] == "unmapped_event" and event["body"]["assetType"] == "HOLOGRAM" for event in events)
            == 25
        )
        assert {"list-5", "workflow-5"} <= {event.get("asset_id") for event in events}, "list 5 is not workflow 5"

    runner.run(check())


def test_a_record_that_cannot_be_read_is_refused_and_the_others_count(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        account = an_account()
        account.deals[3]["properties"]["amount"] = account.deals[3]["history"]["amount"][0]["value"] = "a lot"
        account.contacts[4]["properties"]["createdate"] = "yesterday"
        account.contacts[5]["properties"]["email"] = "no address"
        history = await import_(workspace, account, tmp_path / "s")
        rows = {step: (tally.rows.read, tally.rows.refused) for step, tally in history.tallies.items()}
        assert rows == {"campaigns": (3, 0), "contacts": (130, 2), "deals": (70, 1), "deleted_deals": (0, 0)}
        refused = [orjson.loads(line) for line in (tmp_path / "s.contacts.refused.ndjson").read_bytes().splitlines()]
        assert [(r["line"], r["field"]) for r in refused] == [(5, "createdate"), (6, "contact")]
        assert orjson.loads(refused[0]["row"])["id"] == account.contacts[4]["id"]

    runner.run(check())


def test_what_a_campaign_needs_no_right_for_comes_in_without_it(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        scopes = tuple(scope for scope in SCOPES if scope != "content")
        history = await import_(workspace, an_account(), tmp_path / "s", Moods(scopes=scopes))
        assert "needs the scope content" in history.found.no_scope["addresses of pages"]
        assert history.found.pages_without_address == 3

    runner.run(check())


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"[]", b"{", b'{"of":{}}', b'{"step":"no","of":OF}', b'{"of":OF,"step":"deals","after":5,"records":"x"}'],
)
def test_a_file_of_an_earlier_import_that_is_none_is_said_in_a_clear_word(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, rubbish: bytes
) -> None:
    (tmp_path / "s").write_bytes(rubbish)
    with pytest.raises(Unreadable, match=r"was not written by an import|of another HubSpot account"):
        runner.run(import_(workspace, an_account(), tmp_path / "s"))


def test_the_file_of_another_account_is_not_taken(workspace: Workspace, runner: asyncio.Runner, tmp_path: Path) -> None:
    async def check() -> None:
        with FakeHubSpot(an_account()) as server:
            running = workspace.running
            from services.replay.hubspot.history import History

            async with HubSpot(TOKEN, server.url) as hubspot:
                await History(running.pool, running.log, workspace.name, hubspot, tmp_path / "s", lambda *_: None).run()
                server.account.portal = 12
                with pytest.raises(Unreadable, match="of another HubSpot account"):
                    await History(
                        running.pool, running.log, workspace.name, hubspot, tmp_path / "s", lambda *_: None
                    ).run()

    runner.run(check())


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://api.hubapi.com", "not https"), ("ftp://x", "not an address"), ("api.hubapi.com", "not an address")],
)
def test_the_token_goes_only_where_nobody_can_read_it_on_the_way(url: str, expected: str) -> None:
    with pytest.raises(HubSpotRefuses, match=expected):
        HubSpot(TOKEN, url)


def environment(database_url: str, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHLINE_")}
    return env | {"TOUCHLINE_DATABASE_URL": database_url, "COLUMNS": "200", **more}


def command(workspace: str, server: FakeHubSpot, state: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "touchline",
        "import",
        "hubspot",
        "--base-url",
        server.url,
        "--workspace",
        workspace,
        "--state",
        str(state),
        *more,
    ]


def run(arguments: list[str], env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(arguments, env=dict(env), capture_output=True, text=True, check=False, timeout=120)
    assert TOKEN not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    ("token", "scopes", "expected"),
    [
        ("pat-eu1-wrong", SCOPES, "HubSpot does not know the access token (401)"),
        (TOKEN, SCOPES[1:], "needs the scope marketing.campaigns.read"),
        (TOKEN, SCOPES[:1] + SCOPES[2:], "needs the scope crm.objects.contacts.read"),
        ("", SCOPES, "no access token is given: set TOUCHLINE_HUBSPOT_TOKEN"),
        ("two words", SCOPES, "the access token is empty, or has characters that are not allowed in a token"),
    ],
)  # fmt: skip
def test_a_token_that_does_not_do_is_said_in_one_line_and_exits_1(
    database_url: str, workspace: Workspace, tmp_path: Path, token: str, scopes: tuple[str, ...], expected: str
) -> None:
    with FakeHubSpot(an_account(), Moods(scopes=scopes)) as server:
        done = run(
            command(workspace.name, server, tmp_path / "s"), environment(database_url, TOUCHLINE_HUBSPOT_TOKEN=token)
        )
    assert (done.returncode, expected in " ".join(done.stderr.split()), "Traceback" in done.stderr) == (
        1,
        True,
        False,
    ), done.stderr
    assert not token or token not in done.stderr + done.stdout


def test_the_token_may_be_in_a_file_and_the_summary_shows_what_hubspot_does_not(
    database_url: str, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    account = an_account()
    account.assets[account.campaigns[0]["id"]]["HOLOGRAM"] = [{"id": "1"}]
    account.deals[0]["properties"]["dealstage"] = account.deals[0]["history"]["dealstage"][-1]["value"] = "12345"
    with FakeHubSpot(account) as server:
        done = run(
            command(workspace.name, server, tmp_path / "s", "--token-file", str(tmp_path / "token")),
            environment(database_url),
        )
        assert done.returncode == 0, done.stderr
        for line in (
            "contacts: 130 read", "deals: 70 read", "unmapped: 1 assets of the type HOLOGRAM", "HubSpot does not say since when 12 assets belong",
            "a stage that is in no pipeline: 12345, 1 times",
        ):  # fmt: skip
            assert line in done.stdout, done.stdout
        again = run(
            command(workspace.name, server, tmp_path / "s", "--token", TOKEN, "--json"), environment(database_url)
        )
    summary = orjson.loads(again.stdout)
    assert summary["records"]["deals"]["compared"]["new"] == 0
    assert summary["deals"]["rows"] == 70


def test_an_import_that_is_killed_again_and_again_goes_on_and_counts_once(
    database_url: str, running: Running, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """By `kill -9` in the middle of campaigns, contacts and deals; then to the end."""
    account = company_events.account(company(people=500, deals=250))
    killed, whole = (runner.run(new_workspace(running, name)) for name in ("killed", "whole"))
    env = environment(database_url, TOUCHLINE_HUBSPOT_TOKEN=TOKEN)
    with FakeHubSpot(account, Moods(requests_max=10_000)) as server:
        steps = []
        for until in (
            "/marketing/v3/campaigns/",
            "/crm/v3/objects/contacts?",
            "/crm/v3/objects/deals?",
        ):
            server.asked.clear()
            server.moods.stops_at = until
            process = subprocess.Popen(
                command(killed.name, server, tmp_path / "s"),
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            deadline_s = time.monotonic() + BEGIN_S
            while not server.stopped():
                assert process.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
            process.kill()
            process.wait()
            running_file = tmp_path / "s.running"
            steps.append(orjson.loads(running_file.read_bytes())["step"] if running_file.exists() else None)
        assert steps[1:] == ["contacts", "deals"], steps
        server.asked.clear()
        server.moods.stops_at = ""
        done = run(command(killed.name, server, tmp_path / "s", "--json"), env)
        assert done.returncode == 0, done.stderr + done.stdout
        assert not any("/crm/v3/objects/contacts?" in path for path in server.asked), (
            "it goes on, and does not begin anew"
        )
        assert orjson.loads(done.stdout)["records"]["deals"]["resumed_at"] > 0
    runner.run(import_(whole, account, tmp_path / "w", Moods(requests_max=10_000)))
    assert not (tmp_path / "s.running").exists()

    async def check() -> None:
        await killed.project()
        assert counting(await log_of(killed)) == counting(await log_of(whole))
        for campaign in account.campaigns:
            answers = [
                (await each.get(f"/v1/campaigns/{campaign['id']}/overview")).json()["metrics"]
                for each in (killed, whole)
            ]
            assert answers[0] == answers[1]

    runner.run(check())
