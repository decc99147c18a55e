"""`GET /r/{key}/{asset}` leads to the registered target of the asset and nowhere else, and records the click of a CTA."""

import asyncio
import base64
import hashlib
from typing import Any

import httpx
import pytest

from services.ingest.link_targets import target_of
from services.ingest.redirects import leading
from tests.conftest import Workspace

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
LINK = "https://shop.example/lp?utm_source=news&utm_campaign=spring#top"
CATALOG: list[dict[str, Any]] = [
    {"type": "campaign_created", "campaign_id": "spring"},
    {"type": "asset_registered", "asset_id": "link", "asset_type": "tracking_url", "target_url": LINK},
    {
        "type": "asset_registered",
        "asset_id": "a/b ?",
        "asset_type": "tracking_url",
        "target_url": "https://shop.example",
    },
    {"type": "asset_registered", "asset_id": "cta", "asset_type": "cta", "target_url": "https://shop.example/buy"},
    {
        "type": "asset_registered",
        "asset_id": "page",
        "asset_type": "landing_page",
        "target_url": "https://shop.example/",
    },
    {"type": "asset_registered", "asset_id": "script", "asset_type": "cta", "target_url": "javascript:alert(1)"},
    {"type": "asset_registered", "asset_id": "bare", "asset_type": "cta"},
    {"type": "asset_associated", "asset_id": "cta", "campaign_id": "spring"},
]


@pytest.fixture
def filled(workspace: Workspace, runner: asyncio.Runner) -> Workspace:
    async def send_events() -> None:
        assert (await workspace.send(*CATALOG)).json()["rejected"] == []
        await workspace.project()

    runner.run(send_events())
    return workspace


async def followed(workspace: Workspace, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(workspace.running.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://touchline") as client:
        return await client.request(
            method, f"/r/{workspace.keys['collect']}/{path}", headers={"user-agent": AGENT, **headers}
        )


async def clicks(workspace: Workspace) -> int:
    await workspace.project()
    return int((await workspace.get("/v1/campaigns/spring/overview")).json()["metrics"]["cta_clicks"])


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("link", "https://shop.example/lp?utm_source=news&utm_campaign=spring&tl_via=link#top"),
        ("link?utm_campaign=other&utm_content=b+c&GCLID=x&x=1", "https://shop.example/lp?utm_source=news&utm_campaign=spring&utm_content=b%20c&GCLID=x&tl_via=link#top"),
        ("link?utm_content=%00&gclid=" + "x" * 1_025 + "&utm_term=a%0d%0aSet-Cookie:b", "https://shop.example/lp?utm_source=news&utm_campaign=spring&utm_term=a%0D%0ASet-Cookie%3Ab&tl_via=link#top"),
        ("a%2Fb%20%3F", "https://shop.example?tl_via=a%2Fb%20%3F"), ("cta", "https://shop.example/buy?tl_via=cta"),
    ],
)  # fmt: skip
def test_a_link_leads_to_its_target_with_its_utm_values_and_the_asset(
    filled: Workspace, runner: asyncio.Runner, path: str, location: str
) -> None:
    response = runner.run(followed(filled, path))
    assert (response.status_code, response.headers["location"]) == (302, location)
    assert "no-store" in response.headers["cache-control"]


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("https://s.example/a?x=1&flag&sig=a+b/=&e=%C3%A9;f#/route?y=2", "https://s.example/a?x=1&flag&sig=a+b/=&e=%C3%A9;f&tl_via=t#/route?y=2"),
        ("https://blåbær.example/ø?q=å#ü", "https://xn--blbr-roah.example/%C3%B8?q=%C3%A5&tl_via=t#%C3%BC"),
        ("https://s.example/?", "https://s.example/?tl_via=t"), ("https://s.example#", "https://s.example?tl_via=t#"),
        ("https://s.example/?tl_via=other&a=1", "https://s.example/?tl_via=t&tl_via=other&a=1"),
        ("https://s.example/?UTM_Source=&utm_medium=%20", "https://s.example/?UTM_Source=&utm_medium=%20&tl_via=t"),
        ("http://[2001:db8::1]:8080/a", "http://[2001:db8::1]:8080/a?tl_via=t"),
        ("HTTPS://Shop.Example:443/a/../b//c;p=%7e?x=%2f%2F+~|{}^\"'<>`&&y#/r?[z]%", "HTTPS://Shop.Example:443/a/../b//c;p=%7e?x=%2f%2F+~|{}^\"'<>`&&y&tl_via=t#/r?[z]%"),
        (" https://s.example/a b?c d ", "https://s.example/a%20b?c%20d&tl_via=t"), ("https://s.example/\x85\u202e", "https://s.example/%C2%85%E2%80%AE?tl_via=t"),
        ("https://blåbær.example:81/?q=å", "https://xn--blbr-roah.example:81/?q=%C3%A5&tl_via=t"),
    ],
)  # fmt: skip
def test_the_target_stays_as_it_was_written_apart_from_what_no_header_holds(target: str, leads_to: str) -> None:
    found = target_of("tracking_url", target)
    assert found is not None
    assert leading(found.url, "t", []) == leads_to


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "//x.example/", "/lp", "shop.example", "", None, "https://", "https://s.example/\r\nSet-Cookie: a=b", "data:text/html,x",
               r"https://s.example\@evil.example/", r"https:\\evil.example",
               "https://s.example@evil.example/", "https://s.example:99999/"]
)  # fmt: skip
def test_what_is_no_absolute_address_of_the_web_leads_nowhere(target: str | None) -> None:
    assert target_of("tracking_url", target) is None


@pytest.mark.parametrize("path", ["nowhere", "page", "script", "bare", "https%3A%2F%2Fevil.example%2F"])
def test_what_is_not_registered_to_lead_somewhere_is_404_and_never_leads_elsewhere(
    filled: Workspace, runner: asyncio.Runner, path: str
) -> None:
    response = runner.run(followed(filled, path + "?target_url=https://evil.example/&url=https://evil.example/"))
    assert (response.status_code, response.json()["code"], "location" in response.headers) == (404, "not_found", False)


@pytest.mark.parametrize("path", ["link/", "/link", "link//"])
def test_a_link_that_is_written_in_another_way_leads_nowhere_and_not_to_the_host_that_the_request_names(
    filled: Workspace, runner: asyncio.Runner, path: str
) -> None:
    response = runner.run(followed(filled, path, host="evil.example"))
    assert (response.status_code, "location" in response.headers) == (404, False)


FOR_PEOPLE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # as browsers open an address


def test_a_person_whose_link_is_dead_reads_a_page_and_programs_the_error(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for method in ("GET", "HEAD"):
            for path in ("nowhere", "page", "link/", "%3Cscript%3Ealert(1)%3C%2Fscript%3E?x=<script>"):
                answer = await followed(filled, path, method, accept=FOR_PEOPLE)
                assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
                assert ("This link does not work" in answer.text) == (method == "GET")
                assert "script" not in answer.text
                policy = answer.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; style-src 'sha256-")
                assert "unsafe" not in policy
                assert (answer.headers["cache-control"], "location" in answer.headers) == ("no-store, private", False)
        for accept in (
            "*/*", "application/json", "application/json, text/html", "text/html;q=0, */*", "text/html;q=0.5, application/json", "",
        ):  # fmt: skip
            answer = await followed(filled, "nowhere", accept=accept)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await followed(filled, "nowhere", "POST", accept=FOR_PEOPLE)).json()["code"] == "method_not_allowed"
        assert (await followed(filled, "link", accept=FOR_PEOPLE)).status_code == 302
        filled.keys["collect"] = filled.keys["server"]
        answer = await followed(filled, "link", accept=FOR_PEOPLE)
        assert (answer.status_code, "does not work" in answer.text, filled.keys["server"] in answer.text) == (
            401,
            True,
            False,
        )

    runner.run(check())


def test_the_page_of_a_dead_link_looks_as_it_is_meant_under_its_policy(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    answer = runner.run(followed(filled, "nowhere", accept=FOR_PEOPLE))
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in answer.headers["content-security-policy"]


def test_an_unknown_key_is_404_and_a_secret_key_is_said_to_be_in_the_url(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for key, status in (
            ("tlc_" + "x" * 32, 404),
            ("nothing", 404),
            (filled.keys["server"], 401),
            (filled.keys["read"], 401),
        ):
            filled.keys["collect"] = key
            response = await followed(filled, "link")
            assert (response.status_code, "location" in response.headers) == (status, False)

    runner.run(check())


def test_a_key_of_another_workspace_leads_nowhere(filled: Workspace, running: Any, runner: asyncio.Runner) -> None:
    from tests.conftest import new_workspace

    other = runner.run(new_workspace(running, "other"))
    assert runner.run(followed(other, "link")).status_code == 404


def test_a_click_of_a_cta_is_recorded_with_visitor_and_page_and_a_tracking_url_s_visit_is_not(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await followed(filled, "link?v=visitor-1")
        assert await clicks(filled) == 0
        await filled.send({"type": "contact_identified", "visitor_id": "visitor-1", "contact": {"id": "7"}})
        await followed(filled, "cta?v=visitor-1", referer="https://shop.example/page")
        assert await clicks(filled) == 1
        items = (await filled.get("/v1/contacts/7/journey")).json()["items"]
        assert [(item["type"], item["asset_id"]) for item in items] == [("cta_clicked", "cta")]

    runner.run(check())


@pytest.mark.parametrize(
    ("method", "headers", "counted"),
    [
        ("GET", {}, 1), ("HEAD", {}, 0), ("GET", {"sec-purpose": "prefetch;prerender"}, 0), ("GET", {"purpose": "prefetch"}, 0),
        ("GET", {"x-moz": "prefetch"}, 0), ("GET", {"user-agent": GOOGLEBOT}, 0), ("GET", {"referer": "https://s.example/" + "x" * 9_000}, 1),
    ],
)  # fmt: skip
def test_only_what_a_person_clicks_is_counted_and_everything_is_led_on(
    filled: Workspace, runner: asyncio.Runner, method: str, headers: dict[str, str], counted: int
) -> None:
    async def check() -> None:
        assert (await followed(filled, "cta", method, **headers)).status_code == 302
        assert await clicks(filled) == counted

    runner.run(check())


def test_a_click_that_is_refused_is_a_dead_letter_of_the_key_and_the_link_leads_on(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        assert (await followed(filled, "cta?v=undefined")).status_code == 302
        assert (await followed(filled, "cta?c=tlt_wrong")).status_code == 302
        assert await clicks(filled) == 0
        by = (await filled.get("/v1/status")).json()["dead_letters_by"]
        assert {each["reason"]: each["key"] for each in by} == dict.fromkeys(
            ("names_nobody", "bad_value"), filled.keys["collect"][:8]
        )

    runner.run(check())
