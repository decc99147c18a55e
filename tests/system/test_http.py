"""The wire as a program outside meets it: what is accepted, what is refused, and how answers page and wait."""

import asyncio
import base64
import gzip
import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import zstandard

from shared.events.limits import REQUEST_BYTES_MAX, REQUEST_LINES_MAX
from tests.conftest import Workspace

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/?utm_campaign=c"}
CAMPAIGN = {"type": "campaign_created", "campaign_id": "c", "utm_campaign": "c", "occurred_at": "2024-01-01T00:00:00Z"}


@pytest.fixture
def run(runner: asyncio.Runner) -> Any:
    return lambda awaitable: runner.run(_await(awaitable))


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def post(workspace: Workspace, scope: str = "server", **request: Any) -> httpx.Response:
    async with workspace.client(scope) as client:
        return await client.post("/v1/events", **request)


def test_valid_events_are_kept_where_others_are_not(workspace: Workspace, run: Any) -> None:
    response = run(workspace.send(VISIT, {"type": "nonsense", "id": "bad"}, CAMPAIGN))
    assert response.status_code == 202
    answer = response.json()
    assert answer["accepted"] == 2
    assert [(r["index"], r["id"], r["code"]) for r in answer["rejected"]] == [(1, "bad", "unknown_type")]
    run(workspace.project())
    overview = run(workspace.get(f"/v1/campaigns/c/overview?after={answer['position']}")).json()
    assert overview["metrics"]["page_views"] == 1


def test_refused_events_are_kept_whole(workspace: Workspace, run: Any) -> None:
    run(workspace.send(VISIT, {"type": "nonsense", "id": "bad"}))
    rows = run(
        workspace.running.pool.fetch(
            "SELECT reason, event_id, body FROM touchline.dead_letter WHERE workspace_id = $1", workspace.name
        )
    )
    assert [(r["reason"], r["event_id"], json.loads(r["body"])) for r in rows] == [
        ("unknown_type", "bad", {"type": "nonsense", "id": "bad"})
    ]


def test_a_request_without_a_valid_event_is_422(workspace: Workspace, run: Any) -> None:
    response = run(workspace.send({"type": "nonsense"}))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "no_valid_event"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (json.dumps(VISIT).encode(), {}),
        (json.dumps([VISIT]).encode(), {"Content-Type": "application/json"}),
        (json.dumps(VISIT).encode() + b"\n", {"Content-Type": "application/x-ndjson"}),
        (b"\xef\xbb\xbf" + json.dumps(VISIT).encode() + b"\n", {"Content-Type": "application/x-ndjson"}),
        (b"\xef\xbb\xbf" + json.dumps({"events": [VISIT]}).encode(), {}),
        (gzip.compress(json.dumps(VISIT).encode(), mtime=0), {"Content-Encoding": "gzip"}),
        (zstandard.compress(json.dumps(VISIT).encode()), {"Content-Encoding": "zstd"}),
    ],
)
def test_bodies_that_are_understood(workspace: Workspace, run: Any, content: bytes, headers: dict[str, str]) -> None:
    assert run(post(workspace, content=content, headers=headers)).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("scope", "content", "headers", "status", "code"),
    [
        ("server", b"{", {}, 422, "not_json"),
        ("server", b"x", {"Content-Encoding": "gzip"}, 400, "bad_encoding"),
        ("server", b"x", {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
        ("server", json.dumps([VISIT] * 1001).encode(), {}, 413, "too_many_events"),
        ("collect", b" " * (REQUEST_BYTES_MAX + 1), {}, 413, "too_large"),
        (
            "collect",
            gzip.compress(b" " * (REQUEST_BYTES_MAX + 1), mtime=0),
            {"Content-Encoding": "gzip"},
            413,
            "too_large",
        ),
        (
            "server",
            b"\0\n" * (REQUEST_LINES_MAX + 1),
            {"Content-Type": "application/x-ndjson"},
            413,
            "too_many_events",
        ),
        ("read", json.dumps(VISIT).encode(), {}, 403, "forbidden"),
    ],
)
def test_requests_that_are_refused_whole(
    workspace: Workspace, run: Any, scope: str, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = run(post(workspace, scope, content=content, headers=headers))
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_body_in_another_encoding_is_refused_with_the_reason(workspace: Workspace, run: Any, encoding: str) -> None:
    for kind in ("application/json", "application/x-ndjson"):
        response = run(post(workspace, content=json.dumps(VISIT).encode(encoding), headers={"Content-Type": kind}))
        assert (response.status_code, response.json()["code"]) == (422, "not_json")
        assert "JSON is UTF-8" in response.json()["detail"]
    lines = (f"{json.dumps(VISIT)}\r\n" * 3).encode(encoding)
    response = run(post(workspace, content=lines, headers={"Content-Type": "application/x-ndjson"}))
    assert (response.status_code, response.json()["code"]) == (422, "not_json")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_line_in_another_encoding_loses_no_other_line(workspace: Workspace, run: Any, encoding: str) -> None:
    lines = [json.dumps(VISIT).encode(encoding), json.dumps(VISIT).encode()]
    for first, wrong in ((0, 0), (1, 1)):
        body = b"\n".join((lines[first], lines[1 - first]))
        answer = run(post(workspace, content=body, headers={"Content-Type": "application/x-ndjson"})).json()
        assert (answer["accepted"], [(r["index"], r["code"]) for r in answer["rejected"]]) == (1, [(wrong, "not_json")])


def test_bytes_that_are_no_text_are_named_by_their_place_in_the_event(workspace: Workspace, run: Any) -> None:
    body = b'{"type":"page_visited","url":"https://x.example/","title":"bl\xe5"}'
    (rejected,) = run(post(workspace, content=b"[" + body + b"]")).json()["rejected"]
    assert (rejected["code"], rejected["message"]) == (
        "not_json",
        f"JSON is UTF-8: byte {len(body) - 3} is 0xe5: invalid continuation byte",
    )


def test_a_key_may_come_as_the_user_name_of_http_basic(workspace: Workspace, run: Any) -> None:
    result = base64.b64encode(f"{workspace.keys['server']}:".encode()).decode()
    assert run(post(workspace, json=VISIT, headers={"Authorization": f"Basic {result}"})).status_code == 202


@pytest.mark.parametrize("key", ["", "tls_nobody"])
def test_an_unknown_key_is_401(workspace: Workspace, run: Any, key: str) -> None:
    response = run(post(workspace, json=VISIT, headers={"Authorization": f"Bearer {key}"}))
    assert response.status_code == 401
    assert "WWW-Authenticate" in response.headers


def test_workspaces_do_not_see_each_other(workspace: Workspace, running: Any, run: Any) -> None:
    from tests.conftest import new_workspace  # another one beside the fixture's

    other = run(new_workspace(running, "other"))
    run(workspace.send(CAMPAIGN, VISIT))
    run(workspace.project())
    run(other.project())
    assert run(workspace.get("/v1/campaigns/c")).status_code == 200
    assert run(other.get("/v1/campaigns/c")).status_code == 404


def test_only_an_admin_of_the_default_workspace_makes_workspaces(workspace: Workspace, run: Any) -> None:
    async def make() -> httpx.Response:
        async with workspace.client("admin") as client:
            return await client.post("/v1/workspaces", json={"name": "x"})

    assert run(make()).status_code == 403


# A visit without a browser's user agent is a machine's.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"


@pytest.mark.parametrize(
    "query",
    [
        "k={collect}&v=p1&u=https%3A%2F%2Fshop.example%2F%3Futm_campaign%3Dc",
        "k=wrong&v=p1",
        "k={collect}&t=open",
        "k={collect}",
    ],
)
def test_the_pixel_always_answers_its_picture(workspace: Workspace, run: Any, query: str) -> None:
    async def look() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(workspace.running.app), base_url="http://t", headers={"User-Agent": BROWSER}
        ) as client:
            return await client.get("/v1/p.gif?" + query.format(**workspace.keys))

    response = run(look())
    assert (response.status_code, response.headers["content-type"], len(response.content)) == (200, "image/gif", 43)
    assert "no-store" in response.headers["cache-control"]


def test_the_pixel_records_a_visit(workspace: Workspace, run: Any) -> None:
    test_the_pixel_always_answers_its_picture(
        workspace, run, "k={collect}&t=page&v=p1&u=https%3A%2F%2Fshop.example%2F%3Futm_campaign%3Dc"
    )
    run(workspace.send(CAMPAIGN))
    run(workspace.project())
    assert run(workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["sessions"] == 1


def test_lists_page_by_cursor_without_loss_or_repeat(workspace: Workspace, run: Any) -> None:
    events = [
        {
            "type": "email_clicked",
            "asset_id": "m",
            "contact": {"id": f"c{n:02d}"},
            "occurred_at": f"2024-02-01T00:00:{n % 7:02d}Z",
        }
        for n in range(23)
    ]
    held = {"type": "asset_associated", "campaign_id": "c", "asset_id": "m", "occurred_at": "2024-01-01T00:00:00Z"}
    run(workspace.send(CAMPAIGN, held, *events))
    run(workspace.project())
    seen, cursor = [], ""
    while True:
        page = run(workspace.get(f"/v1/campaigns/c/contacts?metric=influenced_contacts&limit=5{cursor}")).json()
        seen += [item["contact"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == [f"c{n:02d}" for n in range(23)]


def test_a_journey_pages_by_cursor_too(workspace: Workspace, run: Any) -> None:
    run(
        workspace.send(
            *({"type": "email_opened", "id": f"o{n}", "asset_id": "m", "contact": {"id": "7"}} for n in range(9))
        )
    )
    run(workspace.project())
    first = run(workspace.get("/v1/contacts/7/journey?limit=4")).json()
    second = run(workspace.get(f"/v1/contacts/7/journey?limit=100&cursor={first['next_cursor']}")).json()
    assert len(first["items"]) == 4
    assert second["next_cursor"] is None
    assert {i["event_id"] for i in first["items"] + second["items"]} == {f"o{n}" for n in range(9)}


@pytest.mark.parametrize(
    "path",
    ["/v1/campaigns/c/overview?model=guess", "/v1/campaigns/c/overview?from=yesterday", "/v1/campaigns?limit=0",
     "/v1/campaigns?cursor=%21", "/v1/campaigns?after=p9", "/v1/campaigns/c/overview?from=2024-02-01&to=2024-01-01"],
)  # fmt: skip
def test_a_bad_parameter_is_named(workspace: Workspace, run: Any, path: str) -> None:
    run(workspace.send(CAMPAIGN))
    run(workspace.project())
    response = run(workspace.get(path))
    assert (response.status_code, response.json()["code"]) == (422, "bad_parameter")


def test_what_is_not_there_is_404(workspace: Workspace, run: Any) -> None:
    for path in (
        "/v1/campaigns/none/overview",
        "/v1/contacts/none",
        "/v1/deals/none/attribution",
        "/v1/events/none/explain",
        "/nowhere",
    ):
        response = run(workspace.get(path))
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path


def test_a_range_of_dates_is_in_the_workspaces_time_zone(workspace: Workspace, run: Any) -> None:
    settings = {"type": "workspace_configured", "settings": {"time_zone": "Europe/Oslo"}}
    visits = [
        {**VISIT, "occurred_at": f"2024-01-{day}T{hour}:00:00Z"} for day, hour in ((9, 22), (9, 23), (10, 22), (10, 23))
    ]
    visits = [{**v, "occurred_at": v["occurred_at"].replace("-9T", "-09T")} for v in visits]
    run(workspace.send(settings, CAMPAIGN, *visits))
    run(workspace.project())
    overview = run(workspace.get("/v1/campaigns/c/overview?from=2024-01-10&to=2024-01-11")).json()
    assert overview["metrics"]["page_views"] == 2  # from 23:00 on the 9th to before 23:00 on the 10th, UTC
    assert (overview["from"], overview["to"]) == ("2024-01-09T23:00:00Z", "2024-01-10T23:00:00Z")


def test_settings_hold_for_all_of_history(workspace: Workspace, run: Any) -> None:
    visits = [{**VISIT, "occurred_at": f"2024-01-10T10:{minute}:00Z"} for minute in ("00", "20", "45")]
    run(workspace.send(CAMPAIGN, *visits))
    run(workspace.project())
    assert run(workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["sessions"] == 1
    run(workspace.send({"type": "workspace_configured", "settings": {"session_gap_minutes": 21}}))
    run(workspace.project())
    assert run(workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["sessions"] == 2


def test_the_openapi_document_holds_every_event(workspace: Workspace, run: Any) -> None:
    document = run(workspace.get("/openapi.json")).json()
    assert "/v1/events" in document["paths"]
    assert {"PageVisited", "DealClosed", "Event"} <= set(document["components"]["schemas"])


def test_an_event_that_cannot_be_read_is_kept_as_a_dead_letter_and_the_stream_moves_on(
    workspace: Workspace, run: Any
) -> None:
    run(
        workspace.running.log.append(
            workspace.name, [b'{"v":1,"key":"server","received_at":1,"event":{"type":"from_the_future"}}']
        )
    )
    run(workspace.send(CAMPAIGN, VISIT))
    run(workspace.project())
    assert run(workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["page_views"] == 1
    assert run(workspace.get("/v1/status")).json()["dead_letters"] == 1


@pytest.mark.parametrize("name", ["a/overview", "50%2Foff", "100%", "å b", "?#"])
def test_an_id_of_any_signs_is_reached_by_its_encoded_path(workspace: Workspace, run: Any, name: str) -> None:
    run(workspace.send({"type": "campaign_created", "id": name, "campaign_id": name}))
    run(workspace.project())
    path = quote(name, safe="")
    for tail in ("", "/overview", "/assets"):
        response = run(workspace.get(f"/v1/campaigns/{path}{tail}"))
        assert response.status_code == 200, response.text
    assert run(workspace.get(f"/v1/events/{path}/explain")).json()["event_id"] == name


def test_many_readers_at_once_do_not_wait_for_each_other(workspace: Workspace, run: Any) -> None:
    """A request that asks the log beside its snapshot holds two connections; all at once must not hold all first ones."""
    position = run(workspace.send(CAMPAIGN)).json()["position"]
    run(workspace.project())

    async def ask() -> list[int]:
        async with workspace.client() as client:
            paths = ["/v1/status", "/v1/campaigns/c/overview"] * 50
            answers = await asyncio.wait_for(
                asyncio.gather(*(client.get(path, params={"after": position}) for path in paths)), 60
            )
            return [answer.status_code for answer in answers]

    assert run(ask()) == [200] * 100


@pytest.mark.parametrize(
    ("value", "amount", "refused"),
    [
        ([{"amount": "1.2345"}], None, {"amount": "1.2345", "currency": "EUR"}),
        ([{"amount": "1.2345"}, {"currency": "KWD"}], None, {"amount": "1.2345", "currency": "KWD"}),
        ([{"amount": "1.234"}, {"currency": "KWD"}], {"amount": "1.234", "currency": "KWD"}, None),
        ([{"amount": "1.50", "currency": "EUR"}, {"currency": "JPY"}], None, {"amount": "1.50", "currency": "JPY"}),
        ([{"amount": "1.2345"}, {"amount": "1.23"}], {"amount": "1.23", "currency": "EUR"}, None),
        ([{}], None, None),
    ],
)
def test_an_amount_that_its_currency_cannot_express_is_never_cut(
    workspace: Workspace, run: Any, value: list[Any], amount: Any, refused: Any
) -> None:
    events = [
        {"type": "deal_updated", "deal_id": "d", "occurred_at": f"2024-01-01T00:00:0{n}Z", **fields}
        for n, fields in enumerate(value)
    ]
    assert run(workspace.send(*events)).json()["rejected"] == []
    run(workspace.project())
    answer = run(workspace.get("/v1/deals/d/attribution")).json()
    assert (answer["amount"], answer["amount_refused"]) == (amount, refused)
