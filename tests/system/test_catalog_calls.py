"""The catalog by REST: each call is the event that it means, checked against everything that was accepted before it."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import Workspace

AT = "2024-03-01T00:00:00Z"


class Catalog:
    """Calls the catalog of a workspace; before each call everything that was sent is projected, as a projector would."""

    def __init__(self, workspace: Workspace, scope: str = "server") -> None:
        self.workspace, self.scope = workspace, scope

    async def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        await self.workspace.project()
        async with self.workspace.client(self.scope) as client:
            return await client.request(method, f"/v1/{path}", json=body)

    async def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = await self(method, path, body)
        assert response.status_code in (200, 201, 207), response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        response = await self(method, path, body)
        return response.status_code, response.json()

    async def get(self, path: str) -> Any:
        await self.workspace.project()
        response = await self.workspace.get(f"/v1/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    async def retract(self, event_id: str) -> None:
        sent = await self.workspace.send({"type": "event_retracted", "event_id": event_id})
        assert sent.status_code == 202

    async def holder(self, asset_id: str, *campaigns: str) -> list[str]:
        found = []
        for campaign in campaigns:
            held = (await self.get(f"campaigns/{campaign}"))["associations"]
            found += [campaign for each in held if each["asset_id"] == asset_id and each["to"] is None]
        return found

    async def begun(self) -> "Catalog":
        """With two campaigns and a landing page."""
        await self.done("PUT", "campaigns/spring", {"name": "Spring", "utm_campaign": "spring"})
        await self.done("PUT", "campaigns/autumn", {"name": "Autumn"})
        await self.done("PUT", "assets/lp", {"asset_type": "landing_page", "url": "https://s.example/lp"})
        return self


@pytest.fixture
def catalog(workspace: Workspace, runner: asyncio.Runner) -> Catalog:
    return runner.run(Catalog(workspace).begun())


async def events_of(catalog: Catalog) -> int:
    """The end of the workspace's partition of the log."""
    return await catalog.workspace.running.log.end(catalog.workspace.partition)


def test_a_put_creates_a_campaign_and_a_second_one_changes_only_what_it_says(
    catalog: Catalog, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        made = await catalog("PUT", "campaigns/new", {"name": "New", "budget": "10.50", "currency": "EUR"})
        assert (made.status_code, made.json()["changed"]) == (201, True)
        renamed = await catalog("PUT", "campaigns/new", {"name": "Newer"})
        assert (renamed.status_code, renamed.json()["changed"]) == (200, True)
        answer = await catalog.get("campaigns/new")
        assert (answer["name"], answer["budget"]) == ("Newer", {"amount": "10.50", "currency": "EUR"})

    runner.run(check())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "campaigns/spring", {"name": "Spring", "utm_campaign": " SPRING "}),
        ("PUT", "campaigns/spring", {"name": "Other", "budget": "7.50", "currency": "EUR"}), ("DELETE", "campaigns/spring", None),
        ("PUT", "assets/lp", {"asset_type": "landing_page"}), ("PUT", "assets/post", {"asset_type": "social_post"}),
        ("DELETE", "assets/lp", None), ("PUT", "campaigns/spring/assets/landing_page/lp", None),
        ("PUT", "campaigns/spring/spend/1", {"amount": "12.00", "currency": "EUR", "on": "2024-03-01"}),
        ("PUT", "campaigns/spring/budget-items/1", {"amount": "12.00", "currency": "EUR", "name": "Ads"}),
    ],
)  # fmt: skip
def test_the_same_call_twice_appends_nothing_the_second_time_and_answers_the_same_event(
    catalog: Catalog, runner: asyncio.Runner, method: str, path: str, body: Any
) -> None:
    async def check() -> None:
        first = await catalog.done(method, path, body)
        end = await events_of(catalog)
        if method == "DELETE" and path.startswith("assets"):
            assert (await catalog.refused(method, path))[1]["code"] == "unknown_asset"
            return
        again = await catalog.done(method, path, body)
        assert (again["event_id"], again["changed"], await events_of(catalog)) == (first["event_id"], False, end)

    runner.run(check())


def test_equal_calls_at_once_append_one_event(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await catalog.workspace.project()

        async def projecting() -> None:
            while True:
                await catalog.workspace.project()
                await asyncio.sleep(0.01)

        projector = asyncio.create_task(projecting())
        async with catalog.workspace.client("server") as client:
            calls = [client.put("/v1/campaigns/spring/assets/landing_page/lp") for _ in range(8)]
            answer = [response.json() for response in await asyncio.gather(*calls)]
        projector.cancel()
        await asyncio.wait([projector])
        assert len({each["event_id"] for each in answer}) == 1
        assert sum(each["changed"] for each in answer) == 1

    runner.run(check())


def test_an_asset_of_another_campaign_is_moved_only_if_that_is_wanted(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await catalog.done("PUT", "campaigns/spring/assets/landing_page/lp")
        status, answer = await catalog.refused("PUT", "campaigns/autumn/assets/landing_page/lp")
        assert (status, answer["code"], answer["held_by"]) == (409, "held_by_another", "spring")
        assert await catalog.holder("lp", "spring", "autumn") == ["spring"]
        moved = await catalog.done("PUT", "campaigns/autumn/assets/landing_page/lp?move=true")
        assert moved["moved_from"] == "spring"
        assert await catalog.holder("lp", "spring", "autumn") == ["autumn"]

    runner.run(check())


def test_a_call_is_taken_back_by_retracting_its_event(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await catalog.done("PUT", "campaigns/spring/assets/landing_page/lp")
        moved = await catalog.done("PUT", "campaigns/autumn/assets/landing_page/lp?move=true")
        await catalog.retract(moved["event_id"])
        assert await catalog.holder("lp", "spring", "autumn") == ["spring"]
        deleted = await catalog.done("DELETE", "campaigns/spring")
        status, answer = await catalog.refused("PUT", "campaigns/spring", {"name": "Again"})
        assert (status, answer["code"], answer["deleted_by"]) == (409, "campaign_deleted", deleted["event_id"])
        await catalog.retract(deleted["event_id"])
        assert (await catalog.get("campaigns/spring"))["deleted_at"] is None

    runner.run(check())


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", "campaigns/nowhere/assets/landing_page/lp", None, 404, "unknown_campaign"),
        ("DELETE", "campaigns/nowhere", None, 404, "unknown_campaign"),
        ("PUT", "campaigns/ghost/assets/landing_page/lp", None, 404, "unknown_campaign"),
        ("PUT", "campaigns/spring/assets/landing_page/nowhere", None, 404, "unknown_asset"),
        ("PUT", "campaigns/spring/assets/form/nowhere", None, 404, "unknown_asset"),
        ("DELETE", "assets/nowhere", None, 404, "unknown_asset"),
        ("PUT", "campaigns/spring/assets/form/lp", None, 409, "type_conflict"),
        ("PUT", "assets/lp", {"asset_type": "form"}, 409, "type_conflict"),
        ("PUT", "assets/new", {"asset_type": "site_page", "url": "http://S.example/lp/?x=1"}, 409, "address_taken"),
        ("PUT", "campaigns/autumn", {"utm_campaign": "Spring"}, 409, "value_claimed"),
        ("DELETE", "campaigns/spring/assets/landing_page/lp", None, 404, "not_associated"),
        ("DELETE", "campaigns/spring/spend/none", None, 404, "unknown_item"),
        ("PUT", "campaigns/spring/spend/1", {"amount": "1"}, 422, "missing_field"),
        ("PUT", "campaigns/spring/spend/1", {"amount": "1.234", "currency": "EUR", "on": "2024-03-01"}, 422, "bad_value"),
        ("PUT", "campaigns/spring/spend/1", {"amount": "1", "currency": "EUR", "on": "2024-03-01", "asset_id": "x"}, 404, "unknown_asset"),
        ("PUT", "campaigns/spring", {"nam": "x"}, 422, "unknown_field"),
        ("PUT", "campaigns/spring", {"occurred_at": AT}, 422, "unknown_field"),
        ("PUT", "campaigns/spring", {"campaign_id": "x"}, 422, "unknown_field"),
        ("PUT", "campaigns/spring", {"name": None}, 422, "bad_value"), ("PUT", "campaigns/spring", ["x"], 422, "wrong_type"),
        ("PUT", "campaigns/spring/assets/banner/lp", None, 422, "bad_value"),
        ("PUT", "assets/new", {"name": "x"}, 422, "missing_field"), ("PUT", "assets/new", {"asset_type": "x"}, 422, "bad_value"),
        ("PUT", "assets/new", {"asset_type": "cta", "target_url": "shop.example/buy"}, 422, "bad_value"),
        ("PUT", "assets/new", {"asset_type": "tracking_url", "target_url": r"https://shop.example\@evil.example/"}, 422, "bad_value"),
        ("PUT", "campaigns/spring?move=yes", {}, 422, "bad_parameter"), ("PUT", "campaigns/spring?mov=true", {}, 422, "unknown_parameter"),
        ("PUT", "campaigns/" + "x" * 257, {}, 422, "bad_value"), ("POST", "campaigns/spring/assets", {"assets": 1}, 422, "bad_value"),
        ("POST", "campaigns/nowhere/assets", {"assets": []}, 404, "unknown_campaign"),
        ("PUT", "campaigns/%20", {"name": "x"}, 422, "bad_value"), ("PUT", "assets/%E2%80%8B", {"asset_type": "form"}, 422, "bad_value"),
        ("PUT", "campaigns/spring/spend/%09", {"amount": "1", "currency": "EUR", "on": "2024-03-01"}, 422, "bad_value"),
        ("POST", "campaigns/spring/assets", {"assets": [{"asset_id": "x"}] * 1001}, 413, "too_many_assets"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_code_and_appends_nothing(
    catalog: Catalog, runner: asyncio.Runner, method: str, path: str, body: Any, status: int, code: str
) -> None:
    async def check() -> None:
        await catalog.workspace.send({"type": "asset_associated", "campaign_id": "ghost", "asset_id": "x"})
        end = await events_of(catalog)
        got, answer = await catalog.refused(method, path, body)
        assert (got, answer["code"], await events_of(catalog)) == (status, code, end), answer

    runner.run(check())


def test_of_many_assets_each_has_its_own_result_and_none_is_lost(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await catalog.done("PUT", "assets/form", {"asset_type": "form"})
        await catalog.done("PUT", "assets/mail", {"asset_type": "marketing_email"})
        await catalog.done("PUT", "campaigns/autumn/assets/marketing_email/mail")
        asked = [{"asset_id": "lp"}, {"asset_id": "nowhere"}, {"asset_id": "form", "asset_type": "form"}, {"asset_id": "lp"},
                 {"asset_id": "form", "asset_type": "cta"}, {"asset": "x"}, 5, {"asset_id": "mail"}]  # fmt: skip
        response = await catalog("POST", "campaigns/spring/assets", {"assets": asked})
        answer = response.json()
        assert (response.status_code, answer["associated"], answer["refused"]) == (207, 2, 4)
        codes = [item.get("code", item.get("changed")) for item in answer["items"]]
        assert codes == [True, "unknown_asset", True, False, False, "bad_value", "bad_value", "held_by_another"]
        assert await catalog.holder("lp", "spring") == await catalog.holder("form", "spring") == ["spring"]
        moved = await catalog.done("POST", "campaigns/spring/assets?move=true", {"assets": asked[-1:]})
        assert (moved["associated"], moved["items"][0]["moved_from"]) == (1, "autumn")

    runner.run(check())


def test_a_spend_item_is_replaced_deleted_and_put_again_under_one_event(
    catalog: Catalog, runner: asyncio.Runner
) -> None:
    async def spent() -> list[Any]:
        answer: list[Any] = (await catalog.get("campaigns/spring"))["spent"]
        return [each["amount"] for each in answer]

    async def check() -> None:
        path, item = "campaigns/spring/spend/march", {"amount": "12.00", "currency": "EUR", "on": "2024-03-01"}
        first = await catalog.done("PUT", path, item)
        assert await spent() == ["12.00"]
        second = await catalog.done("PUT", path, item | {"amount": "15.00"})
        assert (second["event_id"], await spent()) == (first["event_id"], ["15.00"])
        deleted = await catalog.done("DELETE", path)
        assert (await catalog.done("DELETE", path))["event_id"] == deleted["event_id"]
        assert await spent() == []
        assert (await catalog("PUT", path, item | {"amount": "15.00"})).status_code == 201
        assert await spent() == ["15.00"]
        await catalog.done("PUT", "campaigns/autumn/spend/march", item)
        assert await spent() == ["15.00"]

    runner.run(check())


def test_the_budget_of_a_campaign_is_the_sum_of_its_items(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await catalog.done("PUT", "campaigns/spring", {"budget": "5.00", "currency": "EUR"})
        for item, amount in (("a", "10.00"), ("b", "2.50")):
            await catalog.done("PUT", f"campaigns/spring/budget-items/{item}", {"amount": amount, "currency": "NOK"})
        assert (await catalog.get("campaigns/spring"))["budget"] == {"amount": "12.50", "currency": "NOK"}
        await catalog.done("DELETE", "campaigns/spring/budget-items/a")
        assert (await catalog.get("campaigns/spring"))["budget"] == {"amount": "2.50", "currency": "NOK"}
        await catalog.done("DELETE", "campaigns/spring/budget-items/b")
        assert (await catalog.get("campaigns/spring"))["budget"] == {"amount": "5.00", "currency": "EUR"}

    runner.run(check())


def test_a_campaign_that_events_named_before_anybody_created_it_keeps_what_it_holds(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        catalog = Catalog(workspace)
        await workspace.send(
            {"type": "asset_associated", "campaign_id": "early", "asset_id": "form", "occurred_at": AT},
            {"type": "form_submitted", "asset_id": "form", "visitor_id": "v", "occurred_at": "2024-03-02T00:00:00Z"},
        )
        assert (await catalog("PUT", "campaigns/early", {"name": "Early"})).status_code == 201
        assert (await catalog.get("campaigns/early"))["created_at"] == AT
        assert (await catalog.get("campaigns/early/overview"))["metrics"]["form_submissions"] == 1

    runner.run(check())


def test_a_change_counts_after_one_of_a_clock_that_is_ahead(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        soon = (await catalog.workspace.running.pool.fetchval("SELECT now() + interval '1 hour'")).isoformat()
        await catalog.workspace.send(
            {"type": "campaign_updated", "campaign_id": "spring", "name": "Ahead", "occurred_at": soon},
            {"type": "asset_associated", "campaign_id": "autumn", "asset_id": "lp", "occurred_at": soon},
        )
        await catalog.done("PUT", "campaigns/spring", {"name": "Later"})
        assert (await catalog.get("campaigns/spring"))["name"] == "Later"
        await catalog.done("PUT", "campaigns/spring/assets/landing_page/lp?move=true")
        assert await catalog.holder("lp", "spring", "autumn") == ["spring"]

    runner.run(check())


def test_a_call_waits_until_what_was_accepted_before_is_projected(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send({"type": "asset_registered", "asset_id": "lp", "asset_type": "landing_page"})
        async with workspace.client("server") as client:
            call = asyncio.create_task(client.put("/v1/assets/lp", json={"asset_type": "form"}))
            await asyncio.sleep(0.2)
            assert not call.done()
            await workspace.project()
            assert (await call).json()["code"] == "type_conflict"

    runner.run(check())


@pytest.mark.parametrize(("scope", "status"), [("server", 200), ("admin", 200), ("read", 403), ("collect", 403)])
def test_only_server_and_admin_keys_change_the_catalog(
    catalog: Catalog, runner: asyncio.Runner, scope: str, status: int
) -> None:
    async def check() -> None:
        calls = Catalog(catalog.workspace, scope)
        assert (await calls("PUT", "campaigns/spring", {"name": "By key"})).status_code == status

    runner.run(check())


def test_a_key_in_the_url_of_a_call_is_refused(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        answer = await catalog.refused("PUT", f"campaigns/spring?k={catalog.workspace.keys['server']}", {})
        assert (answer[0], answer[1]["code"]) == (401, "key_in_url")

    runner.run(check())


def test_ids_with_slashes_and_signs_are_those_of_the_path(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await catalog.done("PUT", "campaigns/a%2Fb%20%25", {"name": "Odd"})
        assert (await catalog.get("campaigns/a%2Fb%20%25"))["campaign_id"] == "a/b %"
        item = {"amount": "1.00", "currency": "EUR", "on": "2024-03-01"}
        found = [
            (await catalog.done("PUT", f"campaigns/a%2Fb%20%25/spend/{'x' * n}", item))["event_id"] for n in (3, 200)
        ]
        assert len(set(found)) == 2
        assert (await catalog.get("campaigns/a%2Fb%20%25"))["spent"] == [{"amount": "2.00", "currency": "EUR"}]

    runner.run(check())


def test_calls_are_counted_as_messages_of_the_catalog(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def of_catalog() -> Any:
        items = (await catalog.get("producers"))["items"]
        return next((item for item in items if item["producer"] == "catalog"), None)

    async def check() -> None:
        await catalog.refused("DELETE", "campaigns/nowhere")
        async with asyncio.timeout(60):
            while (result := await of_catalog()) is None or result["accepted"] + result[
                "refused"
            ] < 4:  # written once a second
                await asyncio.sleep(0.1)
        assert (result["accepted"], result["refused_by"]) == (3, [{"code": "unknown_campaign", "messages": 1}])

    runner.run(check())


def test_an_event_of_any_type_is_taken_back_and_its_retraction_too(catalog: Catalog, runner: asyncio.Runner) -> None:
    async def check() -> None:
        visit = {"type": "page_visited", "id": "visit", "visitor_id": "v", "url": "https://s.example/?utm_campaign=spring"}  # fmt: skip
        assert (await catalog.workspace.send(visit)).status_code == 202

        async def page_views() -> int:
            answer: int = (await catalog.get("campaigns/spring/overview"))["metrics"]["page_views"]
            return answer

        assert await page_views() == 1
        gone = await catalog.done("DELETE", "events/visit")
        assert await page_views() == 0
        assert (await catalog.done("DELETE", "events/visit"))["event_id"] == gone["event_id"]
        await catalog.done("DELETE", f"events/{gone['event_id']}")
        assert await page_views() == 1
        assert (await catalog.refused("DELETE", "events/nothing"))[1]["code"] == "unknown_event"

    runner.run(check())


def test_two_contacts_are_merged_by_any_identifier_and_that_is_taken_back(
    catalog: Catalog, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for contact in ({"email": "kari@example.no"}, {"id": "7"}):
            await catalog.workspace.send({"type": "contact_created", "contact": contact})
        answer = await catalog.done("POST", "contacts/KARI@example.no/merge", {"into": "7"})
        merged = await catalog.get("contacts/7")
        assert (merged["ids"], merged["emails"]) == (["7"], ["kari@example.no"])
        again = await catalog.refused("POST", "contacts/7/merge", {"into": "kari@example.no"})
        assert (again[0], again[1]["code"], again[1]["field"]) == (422, "same_contact", "into")
        await catalog.done("DELETE", f"events/{answer['event_id']}")
        assert (await catalog.get("contacts/7"))["emails"] == []

    runner.run(check())


@pytest.mark.parametrize(
    ("name", "body", "status", "code", "field"),
    [
        ("nobody", {"into": "7"}, 404, "unknown_contact", "name"), ("7", {"into": "nobody"}, 404, "unknown_contact", "into"),
        ("7", {}, 422, "missing_field", "into"), ("7", {"into": 8}, 422, "missing_field", "into"),
        ("7", {"into": "8", "also": 1}, 422, "unknown_field", "also"),
    ],
)  # fmt: skip
def test_a_merge_that_cannot_be_is_refused_at_its_field(
    catalog: Catalog, runner: asyncio.Runner, name: str, body: Any, status: int, code: str, field: str
) -> None:
    async def check() -> None:
        await catalog.workspace.send({"type": "contact_created", "contact": {"id": "7"}})
        refused = await catalog.refused("POST", f"contacts/{name}/merge", body)
        assert (refused[0], refused[1]["code"], refused[1]["field"]) == (status, code, field)

    runner.run(check())


@pytest.mark.parametrize("scope", ["collect", "read"])
def test_who_may_only_send_or_read_corrects_nothing(catalog: Catalog, runner: asyncio.Runner, scope: str) -> None:
    async def check() -> None:
        catalog.scope = scope
        assert (await catalog.refused("DELETE", "events/x"))[0] == 403
        assert (await catalog.refused("POST", "contacts/7/merge", {"into": "8"}))[0] == 403

    runner.run(check())


def test_a_campaign_does_not_end_before_it_starts(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        catalog = Catalog(workspace)
        status, answer = await catalog.refused(
            "PUT", "campaigns/c", {"starts_on": "2026-05-01", "ends_on": "2026-04-30"}
        )
        assert (status, answer["code"], answer["field"]) == (422, "bad_value", "ends_on")
        await catalog.done("PUT", "campaigns/c", {"starts_on": "2026-05-01", "ends_on": "2026-05-01"})
        status, answer = await catalog.refused("PUT", "campaigns/c", {"starts_on": "2026-05-02"})
        assert (status, answer["code"], answer["field"]) == (422, "bad_value", "starts_on")
        await catalog.done("PUT", "campaigns/c", {"name": "C"})

    runner.run(check())


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "says"),
    [
        ("PUT", "campaigns/c", {"starts_on": "yesterday"}, "starts_on", 'Expected a date, such as "2026-03-01"'),
        ("PUT", "campaigns/c", {"budget": "12oo", "currency": "EUR"}, "budget", 'decimal string in major units, such as "1200.50"'),
        ("PUT", "campaigns/c", {"budget": "1", "currency": "euro"}, "currency", "ISO 4217 code, such as EUR"),
        ("PUT", "assets/a", {"asset_type": "thing"}, "asset_type", "'thing'; there are site_page, landing_page"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_said_in_words(
    workspace: Workspace, runner: asyncio.Runner, method: str, path: str, body: dict[str, str], field: str, says: str
) -> None:
    status, answer = runner.run(Catalog(workspace).refused(method, path, body))
    assert (status, answer["code"], answer["field"]) == (422, "bad_value", field)
    assert says in answer["detail"]
    assert "regex" not in answer["detail"]


@pytest.mark.parametrize("value", ["", " ", "\u00a0\t\n", "\u200b\u2060", "\x1b"])
@pytest.mark.parametrize(
    ("path", "field", "beside"),
    [
        ("campaigns/c", "name", {}), ("campaigns/c", "utm_campaign", {}), ("campaigns/c", "owner", {}), ("campaigns/c", "currency", {}),
        ("assets/a", "name", {"asset_type": "form"}), ("assets/a", "network", {"asset_type": "form"}), ("assets/a", "ad_type", {"asset_type": "form"}),
        ("assets/a", "url", {"asset_type": "landing_page"}), ("assets/a", "target_url", {"asset_type": "landing_page"}), ("assets/a", "asset_type", {}),
        ("campaigns/there/budget-items/i", "name", {"amount": "1", "currency": "EUR"}),
    ],
)  # fmt: skip
def test_a_call_gives_nothing_a_name_that_nobody_can_see(
    workspace: Workspace, runner: asyncio.Runner, path: str, field: str, beside: dict[str, str], value: str
) -> None:
    async def check() -> None:
        catalog = Catalog(workspace)
        await catalog.done("PUT", "campaigns/there", {})
        status, answer = await catalog.refused("PUT", path, {**beside, field: value})
        assert (status, answer["code"], answer["field"]) == (422, "bad_value", field)
        assert "can be seen" in answer["detail"]

    runner.run(check())


def test_an_empty_text_ends_notes_and_what_events_named_by_a_blank_is_changed_and_deleted(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        catalog = Catalog(workspace)
        await catalog.done("PUT", "campaigns/c", {"notes": "n"})
        assert (await catalog.done("PUT", "campaigns/c", {"notes": ""}))["changed"]
        assert (await catalog.get("campaigns/c"))["notes"] == ""
        accepted = await workspace.send(
            {"type": "campaign_created", "campaign_id": " ", "name": ""},
            {"type": "asset_registered", "asset_id": "\u200b", "asset_type": "form"},
        )
        assert accepted.json()["rejected"] == []
        await catalog.done("PUT", "campaigns/%20", {"name": "Ghost"})
        await catalog.done("DELETE", "campaigns/%20")
        await catalog.done("DELETE", "assets/%E2%80%8B")

    runner.run(check())


@pytest.mark.parametrize("field", ["name", "owner", "notes"])
def test_texts_that_are_equal_as_numbers_are_different(
    workspace: Workspace, runner: asyncio.Runner, field: str
) -> None:
    async def check() -> None:
        catalog = Catalog(workspace)
        await catalog.done("PUT", "campaigns/c", {field: "1.0", "budget": "5.00", "currency": "EUR"})
        assert (await catalog.done("PUT", "campaigns/c", {field: "1", "budget": "5.0"}))["changed"]
        assert (await catalog.get("campaigns/c"))[field] == "1"
        assert not (await catalog.done("PUT", "campaigns/c", {field: "1", "budget": "5"}))["changed"]

    runner.run(check())
