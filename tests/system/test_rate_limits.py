"""Nobody sends more than a public key or an address may, and all others are served meanwhile."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from services.ingest import address_limit, limits
from services.ingest.limits import BURST_S
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running, compose
from touchline.configuration import Configuration

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://a.example/"}
KEY_PER_S, ADDRESS_PER_S = 4, 2
ADDRESS_BURST, KEY_BURST = ADDRESS_PER_S * BURST_S, KEY_PER_S * BURST_S


@pytest.fixture
def strict(own_database: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The services with low limits, behind a proxy at 10.0.0.1. Their clock stands still, so that no bucket fills meanwhile, and no day begins."""
    for module in (limits, address_limit):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1_000.0))
    monkeypatch.setattr(limits, "DAY_US", 2**62)
    configuration = Configuration(
        kafka_bootstrap_servers=None, trusted_proxies="10.0.0.1", key_events_per_s=KEY_PER_S, address_requests_per_s=ADDRESS_PER_S,
        key_visitors_a_day=3, key_pages_a_day=3,
    )  # fmt: skip
    running = runner.run(compose(own_database, configuration))
    yield running
    runner.run(running.close())


def browser(workspace: Workspace, address: str, scope: str = "collect") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(workspace.running.app, client=(address, 40_000))
    headers = {"Authorization": f"Bearer {workspace.keys[scope]}"}
    return httpx.AsyncClient(transport=transport, base_url="http://touchline", headers=headers)


async def send(client: httpx.AsyncClient, events: int = 1, **headers: str) -> httpx.Response:
    return await client.post("/v1/events", json={"events": [VISIT] * events}, headers=headers)


def refusal_code(answer: httpx.Response) -> str:
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= BURST_S
    return str(answer.json()["code"])


def test_an_address_is_answered_429_and_others_are_served(strict: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "addresses")
        async with browser(workspace, "203.0.113.1") as one, browser(workspace, "203.0.113.2") as other:
            answers = [await one.post("/v1/events", content=b"[]") for _ in range(ADDRESS_BURST + 8)]
            assert refusal_code(answers[-1]) == "rate_limited"
            assert answers[ADDRESS_BURST - 1].status_code == 422
            assert (await send(other)).status_code == 202
            pixel = await one.get(f"/v1/p.gif?k={workspace.keys['collect']}&v=v&u=https://a.example/")
            assert (pixel.status_code, pixel.headers["content-type"], len(pixel.content)) == (429, "image/gif", 43)
            assert (await one.post("/segment/v1/page", content=b"{}")).status_code == 429

    runner.run(check())


def test_a_key_is_answered_429_by_its_events_from_whatever_address(strict: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace, other = await new_workspace(strict, "key"), await new_workspace(strict, "other")
        async with browser(workspace, "203.0.113.1") as one, browser(workspace, "203.0.113.2") as two:
            assert (await send(one, KEY_BURST + 4)).status_code == 202
            assert refusal_code(await send(two)) == "rate_limited"
            pixel = await two.get(f"/v1/p.gif?k={workspace.keys['collect']}&v=v&u=https://a.example/")
            assert (pixel.headers["content-type"], pixel.headers["touchline-refused"]) == ("image/gif", "rate_limited")
            segment = {
                "messageId": "m",
                "type": "page",
                "anonymousId": "a",
                "properties": {"url": "https://a.example/"},
            }
            assert (await two.post("/segment/v1/page", json=segment)).status_code == 429
        async with browser(other, "203.0.113.2") as client:
            assert (await send(client)).status_code == 202
        async with browser(workspace, "203.0.113.3", "server") as client:
            assert (await send(client, 200)).status_code == 202

    runner.run(check())


def test_server_keys_are_not_limited_by_address_but_guessed_ones_are(strict: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "server")
        async with browser(workspace, "203.0.113.1", "server") as client:
            assert {(await send(client)).status_code for _ in range(ADDRESS_BURST + 8)} == {202}
            guesses = [
                (await send(client, Authorization=f"Bearer tls_{n:032d}")).status_code for n in range(ADDRESS_BURST + 8)
            ]
            assert (guesses[0], guesses[-1]) == (401, 429)

    runner.run(check())


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(strict: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "proxies")
        async with browser(workspace, "203.0.113.1") as liar:
            answers = [
                await liar.post("/v1/events", content=b"[]", headers={"X-Forwarded-For": f"198.51.100.{n}"})
                for n in range(ADDRESS_BURST + 8)
            ]
            assert refusal_code(answers[-1]) == "rate_limited"
        for forwarded, code in (("192.0.2.7, 198.51.100.{n}", 422), ("192.0.2.{n}, 203.0.113.9", 429)):
            async with browser(await new_workspace(strict, "proxied"), "10.0.0.1") as proxy:
                answers = [
                    await proxy.post("/v1/events", content=b"[]", headers={"X-Forwarded-For": forwarded.format(n=n)})
                    for n in range(ADDRESS_BURST + 8)
                ]
                assert (
                    answers[-1].status_code == code
                )  # what stands before the address that the proxy saw is the sender's word

    runner.run(check())


def test_reads_and_this_machines_programs_are_not_limited_by_address(strict: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "reads")
        async with browser(workspace, "203.0.113.1", "read") as client:
            assert {(await client.get("/v1/status")).status_code for _ in range(ADDRESS_BURST + 8)} == {200}
        async with browser(workspace, "127.0.0.1") as client:
            assert {(await client.post("/v1/events", content=b"[]")).status_code for _ in range(ADDRESS_BURST + 8)} == {
                422
            }

    runner.run(check())


def test_what_a_key_may_not_add_today_is_a_dead_letter_that_the_status_counts(
    strict: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "bounds")
        async with browser(workspace, "127.0.0.1") as client:
            events = [VISIT | {"visitor_id": f"v{n % 5}"} for n in range(10)]
            answer = (await client.post("/v1/events", json={"events": events})).json()
            assert (answer["accepted"], {each["code"] for each in answer["rejected"]}) == (6, {"too_many_visitors"})
            metrics = (await client.get("/metrics")).text
        assert 'touchline_ingest_beyond_bound_total{kind="visitors"}' in metrics
        assert 'touchline_ingest_bound_alarms_total{kind="visitors",level="met"}' in metrics
        letters = (await workspace.get("/v1/status")).json()["dead_letters_by"]
        assert letters == [{"reason": "too_many_visitors", "key": workspace.keys["collect"][:8], "events": 4}]

    runner.run(check())


def test_a_person_behind_a_busy_address_reads_a_page_that_says_to_try_again(
    strict: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "people")
        async with browser(workspace, "203.0.113.1") as client:
            for _ in range(ADDRESS_BURST + 1):
                answer = await client.get(
                    f"/r/{workspace.keys['collect']}/x", headers={"accept": "text/html,*/*;q=0.8"}
                )
            assert (answer.status_code, answer.headers["content-type"]) == (429, "text/html; charset=utf-8")
            assert 0 < int(answer.headers["retry-after"]) <= BURST_S
            assert "Please try again" in answer.text

    runner.run(check())


@pytest.mark.parametrize("path", ["/v1/events", "/v1/p.gif?k={k}&v=v&u=https://a.example/", "/t.js", "/r/{k}/nothing"])
def test_what_only_looks_like_a_server_key_beside_a_collect_key_does_not_lift_the_limit(
    strict: Running, runner: asyncio.Runner, path: str
) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "pretended")
        key = workspace.keys["collect"]
        pretended = {"Authorization": f"Bearer tls_{0:032d}"}
        async with browser(workspace, "203.0.113.1") as client:
            for n in range(ADDRESS_BURST + 1):
                if path == "/v1/events":
                    answer = await client.post(f"{path}?k={key}", json=VISIT, headers=pretended)
                else:
                    answer = await client.get(path.format(k=key), headers=pretended)
                assert (answer.status_code == 429) is (n == ADDRESS_BURST), (n, answer.status_code)

    runner.run(check())


def test_clicks_of_links_have_the_limits_of_their_key_and_the_links_lead_on(
    strict: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(strict, "clicks")
        cta = {"type": "asset_registered", "asset_id": "cta", "asset_type": "cta", "target_url": "https://a.example/"}
        await workspace.send(cta)
        await workspace.project()

        async def click(visitor: str) -> None:
            answer = await client.get(f"/r/{workspace.keys['collect']}/cta?v={visitor}")
            assert (answer.status_code, answer.headers["location"]) == (302, "https://a.example/?tl_via=cta")

        async with browser(workspace, "127.0.0.1") as client:
            for n in range(KEY_BURST + 5):
                await click(f"v{n % 5}")
        letters = (await workspace.get("/v1/status")).json()["dead_letters_by"]
        (refused,) = [each for each in letters if each["reason"] == "too_many_visitors"]
        assert refused["events"] == KEY_BURST // 5 * 2  # two of five visitors are beyond three
        assert len(await workspace.entries()) == 1 + KEY_BURST // 5 * 3  # and nothing of the clicks beyond the rate

    runner.run(check())


def test_a_public_key_cannot_fill_the_store_with_pages(
    strict: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.projection.acceptance_settings.CACHE_S", 0.0)  # settings take effect at once

    async def check() -> None:
        workspace = await new_workspace(strict, "pages")
        settings = {"type": "workspace_configured", "settings": {"page_parameters": ["p"]}}
        await workspace.send(settings)
        await workspace.project()
        urls = [f"https://a.example/?p={n}&q={n}" for n in range(5)]
        visits = [{"type": "page_visited", "url": url} for url in (*urls, *urls)]
        async with browser(workspace, "127.0.0.1") as client:
            answer = (await client.post("/v1/events", json={"events": visits}, headers={"User-Agent": AGENT})).json()
            assert (answer["accepted"], {each["code"] for each in answer["rejected"]}) == (6, {"too_many_pages"})
            key = workspace.keys["collect"]
            pixel = await client.get("/v1/p.gif", params={"k": key, "u": "https://a.example/?p=9"})
            assert pixel.headers["touchline-refused"] == "too_many_pages"
            segment = {"messageId": "m", "anonymousId": "a", "properties": {"url": "https://a.example/?p=8"}}
            await client.post("/segment/v1/page", json=segment)
            metrics_text = (await client.get("/metrics")).text
        assert 'touchline_ingest_bound_alarms_total{kind="pages",level="met"}' in metrics_text
        letters = (await workspace.get("/v1/status")).json()["dead_letters_by"]
        (refused,) = [each for each in letters if each["reason"] == "too_many_pages"]
        assert refused["events"] == 6
        await workspace.project()
        unresolved = (await workspace.get("/v1/catalog/unresolved?kind=pages")).json()
        assert len(unresolved["items"]) == 3, unresolved

    runner.run(check())
