"""Mail senders call their webhooks over HTTP: who may, what counts, and that nothing they send is lost or counted twice."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.dead_letters import list_letters
from services.ingest.producers import mailgun as mailgun_route
from services.ingest.producers import sendgrid as sendgrid_route
from shared.access.accounts import connect
from shared.projection import acceptance_settings
from shared.web.problems import Problem
from tests.conftest import Workspace, new_workspace
from tests.mail_senders import SendGridKey, mailgun, mailgun_body, postmark, sendgrid, sendgrid_body
from tests.malformed_json import malformed_texts
from tests.served import served
from touchline.compose import Running, compose
from touchline.configuration import Configuration

EXAMPLES = int(os.environ.get("TOUCHLINE_MAIL_EXAMPLES", "60"))
SIGNING_KEY = "key-0f1e2d3c4b5a"
FULL = """
CREATE FUNCTION touchline.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'disk_full'; END $$;
"""
CATALOG: list[dict[str, object]] = [
    {"type": "campaign_created", "id": "c", "campaign_id": "c", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_registered", "id": "r", "asset_id": "spring-mail", "asset_type": "marketing_email",
     "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_associated", "id": "a", "asset_id": "spring-mail", "campaign_id": "c", "occurred_at": "2024-01-01T00:00:00Z"},
]  # fmt: skip

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(runner: asyncio.Runner) -> Run:
    return runner.run


class Shop:
    """A workspace with an account at each sender, reached over HTTP."""

    def __init__(self, workspace: Workspace, client: httpx.AsyncClient) -> None:
        self.workspace, self.client = workspace, client
        self.key, self.account = SendGridKey(), f"shop-{os.urandom(6).hex()}"

    async def open(self) -> "Shop":
        pool, name = self.workspace.running.pool, self.workspace.name
        assert await connect(pool, "sendgrid", self.account, name, self.key.public)
        assert await connect(pool, "mailgun", self.account, name, SIGNING_KEY)
        await self.workspace.send(*CATALOG)
        return self

    async def sendgrid(self, *events: dict[str, Any], age_s: int = 0, **headers: str) -> httpx.Response:
        return await self.sendgrid_bytes(sendgrid_body(events), age_s, **headers)

    async def sendgrid_bytes(self, body: bytes, age_s: int = 0, **headers: str) -> httpx.Response:
        signed = self.key.headers(body, age_s) | headers
        return await self.client.post(f"/sendgrid/v1/webhooks/{self.account}", content=body, headers=signed)

    async def mailgun(self, event: object, token: str | None = None, age_s: int = 0) -> httpx.Response:
        body = mailgun_body(SIGNING_KEY, event, token or os.urandom(25).hex(), age_s)
        return await self.client.post(f"/mailgun/v1/webhooks/{self.account}", content=body)

    async def postmark(self, message: object, key: str | None = None) -> httpx.Response:
        auth = (key or self.workspace.keys["server"], "any password")
        return await self.client.post("/postmark/v1/webhooks", json=message, auth=auth)

    async def overview(self, query: str = "") -> Any:
        await self.workspace.project()
        return (await self.workspace.get(f"/v1/campaigns/c/overview{query}")).json()

    async def letters(self) -> list[tuple[str, str]]:
        found = await list_letters(self.workspace.running.pool, self.workspace.name, None, 0, 100_000)
        return [(letter.reason, letter.detail) for letter in found]


@asynccontextmanager
async def shop_of(workspace: Workspace) -> AsyncIterator[Shop]:
    async with (
        served(workspace.running) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        yield await Shop(workspace, client).open()


def counts_in(answer: httpx.Response) -> tuple[int, int, int, int]:
    counts = answer.json()
    return answer.status_code, counts["mapped"], counts["unmapped"], len(counts["refused"])


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def unmapped(workspace: Workspace) -> list[dict[str, Any]]:
    """The bodies of the unmapped messages that the log holds, each once."""
    events = [json.loads(entry.value)["event"] for entry in await workspace.entries()]
    return list({event["id"]: event["body"] for event in events if event["type"] == "unmapped_event"}.values())


def test_a_day_of_sendgrid_counts_on_the_campaign_without_its_machines(workspace: Workspace, run: Run) -> None:
    events = [
        sendgrid("processed"), sendgrid("delivered", 2), sendgrid("open", 60), sendgrid("click", 70), sendgrid("open", 90),
        sendgrid("open", 5, sg_machine_open=True, useragent="Mozilla/5.0"), sendgrid("deferred", 1), sendgrid("group_unsubscribe", 99),
        sendgrid("processed", 3, email="ola@example.no"), sendgrid("bounce", 4, email="ola@example.no"),
        sendgrid("dropped", 3, email="per@example.no"), sendgrid("click", 75, category="another mail"),
    ]  # fmt: skip
    random.Random(7).shuffle(events)

    async def check() -> None:
        async with shop_of(workspace) as shop:
            assert counts_in(await shop.sendgrid(*events)) == (200, 12, 0, 0)
            overview = await shop.overview()
        assert overview["metrics"]["email_opens"] == 2
        assert overview["metrics"]["email_clicks"] == 1
        assert overview["excluded"]["machine"] == 1
        (asset,) = (await workspace.get("/v1/campaigns/c/assets")).json()["items"]
        assert asset["statistics"] == {"email_sent": 2, "email_delivered": 1, "email_opened": 2, "email_clicked": 1, "email_bounced": 1,
                                       "email_unsubscribed": 1}  # fmt: skip
        assert (await workspace.get("/v1/contacts/kari%40example.no")).json()["emails"] == ["kari@example.no"]
        explained = (await workspace.get("/v1/events/sendgrid%3Aopen-5-Zm9v/explain")).json()
        assert (explained["counted"], explained["reason"], explained["machine_by"]) == (False, "machine", "event")

    run(check())


def test_a_day_of_mailgun_counts_on_the_campaign_without_its_machines(workspace: Workspace, run: Run) -> None:
    client = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/121.0", "bot": "generic"}
    events = [
        mailgun("accepted"), mailgun("delivered", 2), mailgun("opened", 60), mailgun("clicked", 70), mailgun("unsubscribed", 99),
        mailgun("opened", 5, **{"client-info": client}), mailgun("clicked", 6, **{"client-info": client}),
        mailgun("failed", 3, severity="temporary"), mailgun("failed", 4), mailgun("complained", 100),
    ]  # fmt: skip
    random.Random(7).shuffle(events)

    async def check() -> None:
        async with shop_of(workspace) as shop:
            answers = [counts_in(await shop.mailgun(event)) for event in events]
            assert Counter(answers) == {(200, 1, 0, 0): 9, (200, 0, 1, 0): 1}
            overview = await shop.overview()
        assert (overview["metrics"]["email_opens"], overview["metrics"]["email_clicks"]) == (1, 1)
        assert overview["excluded"]["machine"] == 2
        (asset,) = (await workspace.get("/v1/campaigns/c/assets")).json()["items"]
        assert asset["statistics"] == {"email_sent": 1, "email_delivered": 1, "email_opened": 1, "email_clicked": 1, "email_bounced": 1,
                                       "email_unsubscribed": 1}  # fmt: skip
        assert [each["event"] for each in await unmapped(workspace)] == ["complained"]

    run(check())


def test_a_day_of_postmark_counts_on_the_campaign_without_its_machines(workspace: Workspace, run: Run) -> None:
    messages = [
        postmark("Delivery"), postmark("Open", 60), postmark("Click", 70), postmark("Bounce", 3), postmark("SubscriptionChange", 99),
        postmark("Open", 5, UserAgent="Mozilla/5.0"), postmark("SpamComplaint", 100),
    ]  # fmt: skip
    random.Random(7).shuffle(messages)

    async def check() -> None:
        async with shop_of(workspace) as shop:
            answers = [counts_in(await shop.postmark(message)) for message in messages]
            assert Counter(answers) == {(200, 1, 0, 0): 6, (200, 0, 1, 0): 1}
            overview = await shop.overview()
        assert (overview["metrics"]["email_opens"], overview["metrics"]["email_clicks"]) == (1, 1)
        assert overview["excluded"]["machine"] == 1
        (asset,) = (await workspace.get("/v1/campaigns/c/assets")).json()["items"]
        assert asset["statistics"] == {"email_delivered": 1, "email_opened": 1, "email_clicked": 1, "email_bounced": 1,
                                       "email_unsubscribed": 1}  # fmt: skip

    run(check())


def test_a_click_brings_a_new_contact_and_influences(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            await shop.sendgrid(sendgrid("click"))
            metrics = (await shop.overview())["metrics"]
        assert (metrics["new_contacts_first_touch"], metrics["influenced_contacts"]) == (0, 1)

    run(check())


def test_what_senders_repeat_in_any_order_counts_once(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            for seed in range(3):
                events = [sendgrid("open", n) for n in range(5)] + [sendgrid("click", n) for n in range(3)]
                random.Random(seed).shuffle(events)
                assert counts_in(await shop.sendgrid(*events, *events[:2])) == (200, 10, 0, 0)
                assert counts_in(await shop.mailgun(mailgun("opened", 20))) == (200, 1, 0, 0)
                assert counts_in(await shop.postmark(postmark("Open", 30))) == (200, 1, 0, 0)
                assert counts_in(await shop.postmark(postmark("SpamComplaint", 31))) == (200, 0, 1, 0)
                assert counts_in(await shop.mailgun(mailgun("complained", 32))) == (200, 0, 1, 0)
            overview = await shop.overview()
            assert (overview["metrics"]["email_opens"], overview["metrics"]["email_clicks"]) == (7, 3)
            assert await shop.letters() == [], "no message conflicts with itself"
        assert len(await unmapped(workspace)) == 2

    run(check())


@pytest.mark.parametrize("form", ["public", "public_pem"])
def test_the_public_key_may_be_given_in_both_forms(workspace: Workspace, run: Run, form: str) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            assert await connect(
                workspace.running.pool, "sendgrid", shop.account, workspace.name, getattr(shop.key, form)
            )
            assert counts_in(await shop.sendgrid(sendgrid("open"))) == (200, 1, 0, 0)

    run(check())


def test_what_sendgrid_did_not_sign_is_refused_and_nothing_of_it_is_kept(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            path, body = f"/sendgrid/v1/webhooks/{shop.account}", sendgrid_body([sendgrid("open")])
            good = shop.key.headers(body)
            signature, timestamp = list(good)[:2]
            later = {**good, timestamp: str(int(good[timestamp]) + 1)}
            for headers, why in (
                ({}, "unsigned"), ({**good, signature: ""}, "unsigned"), ({**good, timestamp: ""}, "unsigned"),
                ({**good, timestamp: "now"}, "bad_timestamp"), ({**good, timestamp: "-1"}, "bad_timestamp"),
            ):  # fmt: skip
                assert code(await shop.client.post(path, content=body, headers=headers)) == (401, why)
            refused: list[tuple[bytes, dict[str, str]]] = [
                (body, {**good, signature: "AAAA"}), (body, {**good, signature: "no base64!"}), (body, later), (body + b" ", good),
                (body.replace(b"kari", b"ola_"), good), (body, SendGridKey().headers(body)),
            ]  # fmt: skip
            for content, headers in refused:
                assert code(await shop.client.post(path, content=content, headers=headers)) == (401, "bad_signature")
            elsewhere = await shop.client.post("/sendgrid/v1/webhooks/nobodys", content=body, headers=good)
            assert code(elsewhere) == (401, "account_not_connected")
            assert (await shop.overview())["metrics"]["email_opens"] == 0
            assert await shop.letters() == []
            assert counts_in(await shop.client.post(path, content=body, headers=good)) == (200, 1, 0, 0)

    run(check())


def test_a_signature_is_good_as_long_as_sendgrid_repeats_a_call(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            assert counts_in(await shop.sendgrid(sendgrid("open"), age_s=24 * 3600)) == (200, 1, 0, 0)
            assert counts_in(await shop.sendgrid(sendgrid("open"), age_s=-200)) == (200, 1, 0, 0)
            for age_s in (sendgrid_route.OLD_S + 10, -310, -(10**9)):
                assert code(await shop.sendgrid(sendgrid("open", 1), age_s=age_s)) == (401, "signature_expired")
            assert (await shop.overview())["metrics"]["email_opens"] == 1

    run(check())


def test_an_account_takes_the_calls_of_its_own_workspace_alone(
    workspace: Workspace, running: Running, run: Run
) -> None:
    async def check() -> None:
        other = await new_workspace(running, "other")
        async with shop_of(workspace) as shop, shop_of(other) as theirs:
            body = sendgrid_body([sendgrid("open")])
            crossed = await shop.client.post(
                f"/sendgrid/v1/webhooks/{theirs.account}", content=body, headers=shop.key.headers(body)
            )
            assert code(crossed) == (401, "bad_signature")
            assert await connect(running.pool, "sendgrid", shop.account, other.name, theirs.key.public) is False
            assert counts_in(await theirs.sendgrid(sendgrid("open"))) == (200, 1, 0, 0)
            assert (await shop.overview())["metrics"]["email_opens"] == 0
            assert (await theirs.overview())["metrics"]["email_opens"] == 1

    run(check())


def test_an_account_whose_secret_is_no_public_key_says_so(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            assert await connect(workspace.running.pool, "sendgrid", shop.account, workspace.name, "SG.an-api-key")
            refused = await shop.sendgrid(sendgrid("open"))
            assert code(refused) == (401, "bad_secret")
            assert "SG.an-api-key" not in refused.text

    run(check())


def test_what_mailgun_did_not_sign_is_refused_and_nothing_of_it_is_kept(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            path = f"/mailgun/v1/webhooks/{shop.account}"
            good = mailgun_body(SIGNING_KEY, mailgun("opened"), "t")
            refused = [
                mailgun_body("another key", mailgun("opened"), "t"), good.replace(b'"t"', b'"u"'),
                good.replace(b'"timestamp": "1', b'"timestamp": "2', 1), good.replace(b'"signature": "', b'"signature": "0'),
            ]  # fmt: skip
            for body in refused:
                assert code(await shop.client.post(path, content=body)) == (401, "bad_signature"), body
            odd = good.replace(b'"timestamp": "1', b'"timestamp": "x', 1)
            assert code(await shop.client.post(path, content=odd)) == (401, "bad_timestamp")
            for body in (b"", b"event=opened&token=t", b"{}", b'{"event-data":{}}', b'{"signature":{"token":1}}'):
                assert code(await shop.client.post(path, content=body)) == (400, "not_json")
            for age_s in (mailgun_route.OLD_S + 10, -310):
                assert code(await shop.mailgun(mailgun("opened"), age_s=age_s)) == (401, "signature_expired")
            assert code(await shop.client.post("/mailgun/v1/webhooks/nobodys", content=good)) == (
                401,
                "account_not_connected",
            )
            assert (await shop.overview())["metrics"]["email_opens"] == 0
            assert counts_in(await shop.mailgun(mailgun("opened"), age_s=8 * 3600)) == (200, 1, 0, 0)

    run(check())


def test_an_overheard_signature_of_mailgun_takes_no_other_message(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            assert counts_in(await shop.mailgun(mailgun("opened"), "token")) == (200, 1, 0, 0)
            assert counts_in(await shop.mailgun(mailgun("opened"), "token")) == (200, 1, 0, 0), "Mailgun repeats a call"
            assert code(await shop.mailgun(mailgun("opened", 1), "token")) == (401, "bad_signature")
            assert (await shop.overview())["metrics"]["email_opens"] == 1

    run(check())


def test_the_oldest_tokens_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailgun_route, "TOKENS_MAX", 2)
    tokens = mailgun_route.Tokens()

    def call(token: str, event: bytes) -> mailgun_route.Call:
        return mailgun_route.Call(mailgun_route.Signature("1", token, ""), msgspec.Raw(event))

    for token in "abb":
        tokens.claim("shop", call(token, b"{}"))
    for account, token in (("shop", "a"), ("shop", "b")):
        with pytest.raises(Problem, match="came with another message"):
            tokens.claim(account, call(token, b"[]"))
    tokens.claim("other", call("a", b"[]"))
    tokens.claim("shop", call("a", b"[]"))


def test_postmark_needs_a_server_key_and_may_send_it_in_a_header(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            keys = workspace.keys
            assert code(await shop.postmark(postmark("Open"), keys["collect"])) == (403, "forbidden")
            assert code(await shop.postmark(postmark("Open"), "tls_" + "x" * 32)) == (401, "unauthorized")
            assert code(await shop.client.post("/postmark/v1/webhooks", json=postmark("Open"))) == (401, "unauthorized")
            header = {"Authorization": f"Bearer {keys['server']}"}
            answer = await shop.client.post("/postmark/v1/webhooks", json=postmark("Open"), headers=header)
            assert counts_in(answer) == (200, 1, 0, 0)

    run(check())


def test_a_bad_event_is_kept_as_a_dead_letter_and_the_others_count(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            bad = [
                sendgrid("open", 1, email="undefined"), sendgrid("open", 2, email=None), sendgrid("click", 3, url="x" * 9_000),
                sendgrid("open", 4, timestamp="soon"), sendgrid("spamreport", 5, filler="x" * 40_000), sendgrid("open", 6, email="a\0@b.example"),
            ]  # fmt: skip
            answer = await shop.sendgrid(sendgrid("open"), *bad, sendgrid("click"))
            assert counts_in(answer) == (200, 2, 0, 6)
            refusals = [(r["index"], r["code"], r["field"]) for r in answer.json()["refused"]]
            assert refusals == [
                (1, "names_nobody", "contact.email"), (2, "missing_field", "email"), (3, "bad_value", "url"),
                (4, "wrong_type", "timestamp"), (5, "too_large", None), (6, "bad_value", None),
            ]  # fmt: skip
            overview = await shop.overview()
            assert (overview["metrics"]["email_opens"], overview["metrics"]["email_clicks"]) == (1, 1)
            rows = await workspace.running.pool.fetch(
                "SELECT producer, key_hint, reason FROM touchline.dead_letter WHERE workspace_id = $1", workspace.name
            )
            assert {(r["producer"], r["key_hint"]) for r in rows} == {("sendgrid", "sendgrid")}
            assert len(rows) == 6

    run(check())


def test_a_setting_says_where_the_asset_stands_and_what_has_none_is_kept(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance_settings, "CACHE_S", 0)

    async def check() -> None:
        async with shop_of(workspace) as shop:
            nameless = sendgrid("open", 1, category=[], asset_id="spring-mail")
            assert counts_in(await shop.sendgrid(sendgrid("open"), nameless)) == (200, 1, 1, 0)
            assert (await unmapped(workspace)) == [nameless]
            places = {"mail": {"asset_from": ["argument:asset_id", "category"]}}
            await workspace.send({"type": "workspace_configured", "settings": {"producers": places}})
            await workspace.project()
            assert counts_in(await shop.sendgrid(nameless)) == (200, 1, 0, 0), "SendGrid repeats it"
            assert (await shop.overview())["metrics"]["email_opens"] == 2
            assert await shop.letters() == []

    run(check())


def test_what_arrived_is_counted_by_name_and_outcome(workspace: Workspace, run: Run) -> None:
    async def counts() -> list[Any]:
        return await workspace.running.pool.fetch(
            "SELECT name, outcome, reason, messages FROM touchline.producer_count WHERE workspace_id = $1 AND producer = 'sendgrid'",
            workspace.name,
        )

    async def check() -> None:
        async with shop_of(workspace) as shop:
            await shop.sendgrid(
                sendgrid("open"),
                sendgrid("open", 1),
                sendgrid("open", 2, email=None),
                sendgrid("spamreport"),
                {"event": "a\0"},
            )
            async with asyncio.timeout(60):
                rows = await counts()
                while sum(row["messages"] for row in rows) < 5:  # they are written once a second
                    await asyncio.sleep(0.1)
                    rows = await counts()
        assert {tuple(row) for row in rows} == {
            ("open", "mapped", "", 2), ("open", "refused", "missing_field", 1), ("spamreport", "unmapped", "", 1),
            ("(unreadable)", "refused", "bad_value", 1),
        }  # fmt: skip

    run(check())


def test_a_call_of_thousands_is_taken_whole_and_one_of_too_many_is_refused_whole(
    workspace: Workspace, run: Run
) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            assert counts_in(await shop.sendgrid(*(sendgrid("open", n) for n in range(2_500)))) == (200, 2_500, 0, 0)
            assert code(await shop.sendgrid_bytes(b"[" + b"{}," * 10_000 + b"{}]")) == (413, "too_many_events")
            assert code(await shop.sendgrid_bytes(b" " * (2 * 1024 * 1024 + 1))) == (413, "too_large")
            assert (await shop.overview())["metrics"]["email_opens"] == 2_500

    run(check())


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    runner.run(running.pool.execute(FULL))
    yield running
    runner.run(running.close())


def test_while_the_log_takes_nothing_senders_are_reported_to_repeat(own: Running, run: Run) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "shop")
        async with shop_of(workspace) as shop:
            await own.pool.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON touchline.event_log EXECUTE FUNCTION touchline.refuse()"
            )
            for answer in (
                await shop.sendgrid(sendgrid("open")), await shop.mailgun(mailgun("opened", 1), "t"), await shop.postmark(postmark("Open", 2)),
            ):  # fmt: skip
                assert code(answer) == (503, "disk_full")
                assert "Retry-After" in answer.headers
            await own.pool.execute("DROP TRIGGER refuse ON touchline.event_log")
            for answer in (
                await shop.sendgrid(sendgrid("open")), await shop.mailgun(mailgun("opened", 1), "t"), await shop.postmark(postmark("Open", 2)),
            ):  # fmt: skip
                assert counts_in(answer) == (200, 1, 0, 0)
            assert (await shop.overview())["metrics"]["email_opens"] == 3

    run(check())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20) | st.sampled_from(["", "\0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12,
)  # fmt: skip
SENT = {  # other ids than those of good neighbours
    "sendgrid": [
        sendgrid(event, n)
        for n, event in enumerate(("processed", "open", "click", "bounce", "spamreport", "new one"), 10_000)
    ],
    "mailgun": [mailgun(event, n) for n, event in enumerate(("accepted", "opened", "clicked", "failed", "complained"))],
    "postmark": [
        postmark(record, n) for n, record in enumerate(("Delivery", "Open", "Click", "Bounce", "SpamComplaint"))
    ],
}


@st.composite
def mutated(draw: st.DrawFn, producer: str) -> Any:
    """A message of a sender in which some fields are anything, or anything at all."""
    if draw(st.integers(0, 5)) == 0:
        return draw(JSON)
    message = dict(draw(st.sampled_from(SENT[producer])))
    for name in draw(st.lists(st.sampled_from(sorted(message)) | st.text(max_size=8), max_size=4)):
        message[name] = draw(JSON)
    return message


FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)


def test_whatever_sendgrid_signs_is_accounted_for_and_costs_no_good_neighbour(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    sent = Counter[str]()

    async def post(others: list[Any], place: int) -> None:
        good = sendgrid("open", sent["good"])
        sent["good"] += 1
        events = [*others[:place], good, *others[place:]]
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            shop.client = client
            answer = await shop.sendgrid(*events)
        status, mapped, kept, refused = counts_in(answer)
        assert (status, mapped + kept + refused) == (200, len(events)), (events, answer.text)
        sent.update(mapped=mapped, unmapped=kept, refused=refused)

    @FUZZ
    @given(st.lists(mutated("sendgrid"), max_size=6), st.integers(0, 6))
    def fuzz(others: list[Any], place: int) -> None:
        runner.run(post(others, place))

    serving = served(workspace.running)
    url = f"http://127.0.0.1:{runner.run(serving.__aenter__())}"
    shop = runner.run(Shop(workspace, httpx.AsyncClient()).open())
    try:
        fuzz()
    finally:
        runner.run(serving.__aexit__(None, None, None))

    async def good_ones() -> int:
        await workspace.project()
        found = 0
        for n in range(sent["good"]):
            explained = await workspace.get(f"/v1/events/sendgrid%3Aopen-{n}-Zm9v/explain")
            found += explained.json().get("type") == "email_opened"
        return found

    assert runner.run(good_ones()) == sent["good"]
    at_the_door = [reason for reason, _ in runner.run(shop.letters()) if reason != "conflicting_duplicate"]
    assert len(at_the_door) == sent["refused"], "each refused message is a dead letter"


@pytest.mark.parametrize("producer", ["mailgun", "postmark"])
def test_whatever_a_sender_says_of_itself_is_mapped_kept_or_refused(
    workspace: Workspace, runner: asyncio.Runner, producer: str
) -> None:
    async def post(message: Any) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            shop.client = client
            answer = await getattr(shop, producer)(message)
        status, mapped, kept, refused = counts_in(answer)
        most = len(message) if producer == "postmark" and isinstance(message, list) else 1
        assert (status, mapped + kept + refused) == (200, most), (message, answer.text)

    @FUZZ
    @given(mutated(producer))
    def fuzz(message: Any) -> None:
        runner.run(post(message))

    serving = served(workspace.running)
    url = f"http://127.0.0.1:{runner.run(serving.__aenter__())}"
    shop = runner.run(Shop(workspace, httpx.AsyncClient()).open())
    try:
        fuzz()
    finally:
        runner.run(serving.__aexit__(None, None, None))


def test_no_signed_text_is_an_error_of_the_server(workspace: Workspace, run: Run) -> None:
    async def check() -> None:
        async with shop_of(workspace) as shop:
            for text in list(dict.fromkeys(malformed_texts()))[::4]:
                for body in (text, b"[" + text + b"," + json.dumps(sendgrid("open")).encode() + b"]"):
                    answer = await shop.sendgrid_bytes(body)
                    assert answer.status_code == 200, (body, answer.text)
                    assert sum(counts_in(answer)[1:]) >= (0 if body == b"[]" else 1)

    run(check())
