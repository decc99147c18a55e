"""What a reader may ask: every other question is 422 and names the parameter, never an error of the server."""

import asyncio
import base64
import json
import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from shared.events.codec import Record, encode_record
from tests.conftest import Workspace
from tests.system.every_read import NO_READS

NOW_US = 1_800_000_000_000_000

EVENTS = [
    {
        "type": "campaign_created",
        "id": "c",
        "campaign_id": "c",
        "utm_campaign": "c",
        "occurred_at": "2024-01-01T00:00:00Z",
    },
    {
        "type": "asset_registered",
        "id": "a",
        "asset_id": "a",
        "asset_type": "form",
        "occurred_at": "2024-01-01T00:00:00Z",
    },
    {"type": "contact_created", "id": "k", "contact": {"id": "7"}, "occurred_at": "2024-01-01T00:00:00Z"},
    {
        "type": "deal_created",
        "id": "d",
        "deal_id": "d",
        "contacts": [{"id": "7"}],
        "occurred_at": "2024-01-01T00:00:00Z",
    },
    {
        "type": "deal_closed",
        "id": "w",
        "deal_id": "d",
        "won": True,
        "amount": "5",
        "occurred_at": "2024-01-02T00:00:00Z",
    },
]
ID_OF = {"asset_id": "a", "campaign_id": "c", "name": "7", "deal_id": "d", "event_id": "c"}
MUST = {
    "/v1/deals/d/explain": {"campaign": "c"},
    "/v1/catalog/unresolved/events": {"kind": "pages", "name": "https://s.example/"},
}
"""The parameters that a read must have, by its path."""


def cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


BAD: dict[str, list[str]] = {
    "min_joined": ["1", "0", "-1", "", "x", "5.0", "2147483648", "9" * 5000],
    "limit": ["0", "-1", "1001", "9" * 5_000, "1.5", "", "ten", "1e2", "٣" * 5, "0x10", " 1", "\0"],
    "cursor": ["!", "é", "\0", "W", cursor(2**63, "x"), cursor(-(2**63) - 1, "x"), cursor(1, "a\0"), cursor("a\0", 1), cursor(1.5, "x"), cursor({}),
               cursor([[]]), cursor(None), base64.urlsafe_b64encode(b"[" * 5_000).decode(), base64.urlsafe_b64encode(b"\xff\xfe").decode(),
               base64.urlsafe_b64encode(b"7").decode(), base64.urlsafe_b64encode(b"[" + b"9" * 400 + b"]").decode()],
    "generation": ["\0", "a\0b"],
    "after": ["\0", "p", "p0", "p0-", "p0--1", "p0-x", "p9-1", "p" + "9" * 5_000 + "-1", "p0-" + "9" * 5_000, "p٣-1", "0-1", ""],
    "from": ["\0", "yesterday", "2024-13-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2024-01-01T00:00:00", "1e300", "9" * 400, "-" * 10,
             "2024-01-01T25:00:00Z", "2024-02-30", "nan", "inf", ""],
    "to": ["\0", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999999-00:01", "10000-01-01", "0000-01-01"],
    "model": ["", "guess", "\0", "LINEAR", "l" * 8_000], "metric": ["", "guess", "\0"], "group_by": ["guess", "", "\0"], "of": ["guess", "", "\0"],
    "currency": ["ZZZ", "EUR\n", "\0", "eur", "E" * 5_000], "type": ["nothing", "", "\0"], "q": ["\0", "q" * 9_000],
    "salesforce_campaign_id": ["\0"], "kind": ["", "guess", "\0"], "campaign": ["\0"], "all": ["\0"], "unheld": ["\0", "yes"],
    "state": ["", "gone", "\0"], "reason": ["", "guess", "\0"], "sort": ["", "guess", "\0", "--name", "name,"],
    "format": ["xml", "", "\0", "CSV "], "bom": ["\0", "yes"], "numbers": ["\0", "none"], "series": ["", "guess", "\0"],
    "interval": ["", "year", "\0"], "compare": ["", "before", "\0", "..", "2024-01-01..", "2024-02-01..2024-01-01"],
    "group": ["\0"], "name": ["\0", "", "n" * 9_000],
    "path": ["", "guess", "\0", "page_visited,", "page_visited,page_visited", "list_joined", "p" * 9_000],
    "after_received": ["\0", "p", "p0", "p0-", "p0--1", "0-1", "", "q" + "g" * 16],
}  # fmt: skip
UNKNOWN = ["frm", "From", "limit ", "x", "", "\0", "é", "generation[]", "_", "k2", "model[]"]


@pytest.fixture
def filled(workspace: Workspace, runner: asyncio.Runner) -> Workspace:
    async def send_events() -> None:
        await workspace.send(*EVENTS)
        await workspace.project()

    runner.run(send_events())
    return workspace


def reads(workspace: Workspace, name: str | None = None) -> list[tuple[str, list[dict[str, Any]]]]:
    """Every read with the parameters that the document tells, its ids filled in."""
    out = []
    for path, methods in workspace.running.app.openapi()["paths"].items():
        if path.startswith("/v1/") and "get" in methods and path not in NO_READS:
            ids = ID_OF | ({"name": "g1"} if path.startswith("/v1/generations/") else {})
            filled = re.sub(r"\{([^}]*)\}", lambda m, ids=ids: name or ids[m[1]], path)
            out.append((filled, methods["get"]["parameters"]))
    assert len(out) >= 14
    return out


async def asked(client: Any, path: str, *pairs: tuple[str, str]) -> Any:
    need = [(name, value) for name, value in MUST.get(path, {}).items() if name not in dict(pairs)]
    return await client.get(path, params=[*need, *pairs])


def test_every_bad_value_of_every_parameter_of_every_read_is_422_with_its_name(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        tried = set()
        async with filled.client() as client:
            for path, parameters in reads(filled):
                for parameter in (p for p in parameters if p["in"] == "query"):
                    name = parameter["name"]
                    for value in BAD[name]:
                        response = await asked(client, path, (name, value))
                        if response.status_code == 200:
                            assert name == "cursor", (path, name, value)  # that of a list in another order
                            continue
                        assert response.status_code == 422, (path, name, value[:50], response.text[:300])
                        assert response.headers["content-type"] == "application/problem+json"
                        assert (response.json()["code"], response.json()["field"]) == ("bad_parameter", name)
                        assert len(response.text) < 10_000
                    tried.add(name)
        assert tried == set(BAD)

    runner.run(check())


def test_an_unknown_parameter_is_422_and_the_known_ones_are_named(filled: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with filled.client() as client:
            for path, parameters in reads(filled):
                assert (await asked(client, path)).status_code == 200, path
                for name in UNKNOWN:
                    response = await asked(client, path, (name, "1"))
                    answer = response.json()
                    assert (response.status_code, answer["code"]) == (422, "unknown_parameter"), (path, name)
                    assert all(p["name"] in answer["detail"] for p in parameters if p["in"] == "query")

    runner.run(check())


def test_a_parameter_that_is_given_twice_is_422_but_for_models(filled: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with filled.client() as client:
            response = await client.get("/v1/campaigns?limit=1&limit=2")
            assert (response.status_code, response.json()["field"]) == (422, "limit")
            assert (await client.get("/v1/reports/attribution?model=linear&model=u_shaped")).status_code == 200

    runner.run(check())


@pytest.mark.parametrize("name", ["\0", "a\0b", "\0" * 50])
def test_an_id_with_a_nul_is_422(filled: Workspace, runner: asyncio.Runner, name: str) -> None:
    async def check() -> None:
        async with filled.client() as client:
            for path, parameters in reads(filled, quote(name, safe="")):
                if any(p["in"] == "path" for p in parameters):
                    response = await asked(client, path)
                    assert (response.status_code, response.json()["code"]) == (422, "bad_parameter"), path

    runner.run(check())


@pytest.mark.parametrize(
    "path",
    ["/v1/events/%2500/explain", "/v1/contacts/" + "x" * 5_000, "/v1/contacts/%FF%FE", "/v1/contacts/%ED%A0%80", "/v1/%00", "/%00", "/dashboard/%00",
     "/dashboard/static/%00", "/dashboard/static/" + "x" * 300, "/dashboard/static/..%2F..%2F__init__.py", "/dashboard/" + "x" * 5_000, "/v1/contacts/..%2F"],
)  # fmt: skip
def test_an_unusual_path_is_404(filled: Workspace, runner: asyncio.Runner, path: str) -> None:
    response = runner.run(filled.get(path))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_ends_of_time_may_be_asked_for(filled: Workspace, runner: asyncio.Runner) -> None:
    for path in ("0001-01-01&to=9999-12-31", "0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.999999Z"):
        assert runner.run(filled.get(f"/v1/campaigns?from={path}")).status_code == 200


def test_the_ends_of_time_may_be_asked_for_in_a_zone_west_of_greenwich(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
            await filled.send({"type": "workspace_configured", "settings": {"time_zone": zone}})
            await filled.project()
            for day in ("0001-01-01", "9999-12-31"):
                response = await filled.get(f"/v1/campaigns?from={day}")
                assert response.status_code in (200, 422), response.text

    runner.run(check())


def of_an_older_release(event: dict[str, Any], n: int) -> bytes:
    """A record as a release wrote it that did not ask whether a currency is one."""
    return encode_record(
        Record(1, "server", NOW_US + n, msgspec.Raw(json.dumps(event).encode()), occurred_at=NOW_US + n)
    )


def test_revenue_can_be_read_in_every_currency_that_the_workspace_has_and_in_no_other(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    events: list[dict[str, Any]] = [
        {"type": "workspace_configured", "id": "s", "settings": {"currency": "QQQ"}},
        {"type": "deal_created", "id": "d", "deal_id": "d", "amount": "12.50", "currency": "XXX"},
        {"type": "deal_closed", "id": "w", "deal_id": "d", "won": True},
        {"type": "deal_created", "id": "e", "deal_id": "e", "amount": "7.00"},
        {"type": "deal_closed", "id": "x", "deal_id": "e", "won": True},
    ]

    async def check() -> None:
        log = workspace.running.log
        await log.append(workspace.name, [of_an_older_release(event, n) for n, event in enumerate(events)])
        await workspace.project()
        for currency, total in (("XXX", "12.50"), ("QQQ", "7.00"), ("EUR", "0.00"), ("HRK", "0.00")):
            answer = await workspace.get(f"/v1/reports/attribution?currency={currency}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["total"] == {"linear": total}, currency
        assert (await workspace.get("/v1/reports/attribution")).json()["currency"] == "QQQ"
        refused = await workspace.get("/v1/reports/attribution?currency=ZZZ")
        assert (refused.status_code, refused.json()["field"]) == (422, "currency")
        assert "'ZZZ'" in refused.json()["detail"]

    runner.run(check())
