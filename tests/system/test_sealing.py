"""A sealed store: what the log holds of a person, who a pseudonym is, and what is left of a person who is forgotten."""

import asyncio
import base64
import os
import secrets
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import orjson
import pytest

from services.ingest import redirects
from shared.events.codec import Record, accept, decode_record, encode_record
from shared.log.port import LogUnavailable
from shared.sealing.keys import BadMasterKey
from shared.sealing.log import seal_all, vault_of
from shared.sealing.vacuum import remove_traces
from shared.sealing.vault import Vault
from tests.conftest import Workspace, new_workspace
from tests.sealed import sealed_store
from tests.system.test_hubspot_webhooks import BEGIN_MS, connected, hubspot
from touchline.compose import Running, compose
from touchline.configuration import Configuration

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CAMPAIGN = {"type": "campaign_created", "id": "c", "campaign_id": "c", "utm_campaign": "spring",
            "occurred_at": "2024-01-01T00:00:00Z"}  # fmt: skip
VISIT = {"type": "page_visited", "id": "visit", "visitor_id": "cookie-of-kari", "occurred_at": "2024-02-01T10:00:00Z",
         "url": "https://shop.example/lp?utm_campaign=spring&who=kari%20nordmann",
         "referrer": "https://www.facebook.com/groups/kari.nordmann?x=1", "title": "Welcome, Kari Nordmann"}  # fmt: skip
FORM = {"type": "form_submitted", "id": "form", "visitor_id": "cookie-of-kari", "asset_id": "f",
        "contact": {"id": "crm-4711", "email": "Kari@Nordmann.example"}, "occurred_at": "2024-02-01T10:05:00Z"}  # fmt: skip
PERSON = {"type": "contact_updated", "id": "person", "contact": {"id": "crm-4711"}, "occurred_at": "2024-02-02T00:00:00Z",
          "properties": {"firstname": "Kari", "city": "Tromsø-Kvaløya"}}  # fmt: skip
DEAL = {"type": "deal_created", "id": "deal", "deal_id": "d", "contacts": [{"email": "kari@nordmann.example"}],
        "amount": "100.00", "currency": "EUR", "occurred_at": "2024-02-03T00:00:00Z"}  # fmt: skip
WON = {"type": "deal_closed", "id": "won", "deal_id": "d", "won": True, "occurred_at": "2024-02-04T00:00:00Z"}
FORGET = {"type": "contact_forgotten", "id": "forget", "contact": {"email": "KARI@nordmann.example"},
          "occurred_at": "2024-03-01T00:00:00Z"}  # fmt: skip
ALL = (CAMPAIGN, VISIT, FORM, PERSON, DEAL, WON)
TRACES = ("kari", "nordmann", "crm-4711", "tromsø", "kvaløya", "cookie-of-kari")

FILE = "SELECT pg_read_binary_file(pg_relation_filepath('touchline.' || $1::text))"


@pytest.fixture
def run(runner: asyncio.Runner) -> Run:
    return runner.run


@pytest.fixture(scope="module")
def sealed_running(database_url_of_module: str, runner: asyncio.Runner) -> Iterator[Running]:
    """The services on a sealed store."""
    running = runner.run(sealed_store(database_url_of_module)).running
    yield running
    runner.run(running.close())


@pytest.fixture
def sealed(sealed_running: Running, run: Run) -> Workspace:
    """A workspace of a sealed store, without events."""
    return run(new_workspace(sealed_running, "sealed"))


async def dump(workspace: Workspace) -> str:
    """Everything that tables hold of a workspace, in lower case; the log's values and sealed bytes decoded as text."""
    pool = workspace.running.pool
    texts = [entry.value.decode() for entry in await workspace.entries()]
    tables = await pool.fetch(
        "SELECT format('%I.%I', schemaname, tablename) t FROM pg_tables WHERE schemaname = 'touchline' OR schemaname LIKE 'g%'"
    )
    for table in tables:
        if table["t"] != "touchline.event_log":
            texts += [r[0] for r in await pool.fetch(f"SELECT to_jsonb(t)::text FROM {table['t']} t")]
    letters = await pool.fetch("SELECT body FROM touchline.dead_letter WHERE workspace_id = $1", workspace.name)
    texts += [row["body"].decode(errors="replace") for row in letters]
    return "\n".join(texts).casefold()


async def overview(workspace: Workspace) -> Any:
    answer = (await workspace.get("/v1/campaigns/c/overview")).json()
    return {key: value for key, value in answer.items() if key not in ("as_of", "settled_through")}


def test_the_tables_have_no_name_of_a_person_and_answers_have_them(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        assert (await sealed.send(*ALL)).status_code == 202
        await sealed.project()
        held = await dump(sealed)
        assert [trace for trace in TRACES if trace in held] == []
        answer = (await sealed.get("/v1/contacts/kari@nordmann.example")).json()
        assert (answer["contact"], answer["ids"], answer["emails"]) == (
            "crm-4711",
            ["crm-4711"],
            ["kari@nordmann.example"],
        )
        assert answer["properties"] == {"firstname": "Kari", "city": "Tromsø-Kvaløya"}
        listed = (await sealed.get("/v1/contacts")).json()["items"]
        assert [item["contact"] for item in listed] == ["crm-4711"]
        journey = (await sealed.get("/v1/contacts/crm-4711/journey")).json()
        assert [item["event_id"] for item in journey["items"]] == ["visit", "form"]
        explained = (await sealed.get("/v1/deals/d/explain?campaign=c")).text
        assert "kari@nordmann.example" in explained

    run(check())


def test_a_forgotten_contact_leaves_no_trace_and_changes_no_count(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        await sealed.send(*ALL, {"type": "form_submitted", "contact": {"email": "kari@nordmann.example"}})  # refused
        await sealed.project()
        before = await overview(sealed)
        assert before["metrics"]["influenced_contacts"] == 1
        assert "kari@nordmann.example" in await dump(sealed)  # in the dead letter
        assert (await sealed.send(FORGET)).status_code == 202
        await sealed.project()
        held = await dump(sealed)
        assert [trace for trace in TRACES if trace in held] == []
        assert await overview(sealed) == before
        assert (await sealed.get("/v1/contacts/kari@nordmann.example")).status_code == 404
        (item,) = (await sealed.get("/v1/contacts")).json()["items"]
        gone = (await sealed.get(f"/v1/contacts/{item['contact']}")).json()
        assert gone["properties"] == {"firstname": "(forgotten)", "city": "(forgotten)"}

    run(check())


def test_the_same_address_is_a_new_contact_after_it_was_forgotten(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        await sealed.send(*ALL)
        await sealed.project()
        await sealed.send(FORGET)
        again = {**FORM, "id": "again", "occurred_at": "2024-04-01T00:00:00Z"}
        await sealed.send(again)  # before the projector has met the first
        await sealed.project()
        listed = (await sealed.get("/v1/contacts")).json()["items"]
        assert len(listed) == 2
        answer = (await sealed.get("/v1/contacts/kari@nordmann.example")).json()
        assert (answer["contact"], answer["conversion"]) == ("crm-4711", "again")

    run(check())


def test_to_forget_an_unknown_contact_makes_no_contact_and_an_early_request_creates_none(
    sealed: Workspace, run: Run
) -> None:
    async def check() -> None:
        unknown = {**FORGET, "id": "unknown", "contact": {"id": "9", "email": "nobody-knows@nordmann.example"}}
        await sealed.send(*ALL, unknown)
        await sealed.project()
        before = await overview(sealed), (await sealed.get("/v1/contacts")).json()["items"]
        assert len(before[1]) == 1
        await sealed.send({**FORGET, "occurred_at": "2024-01-01T00:00:00Z"})  # before all else that names the contact
        await sealed.project()
        (item,) = (await sealed.get("/v1/contacts")).json()["items"]
        gone = (await sealed.get(f"/v1/contacts/{item['contact']}")).json()
        assert (gone["conversion"], await overview(sealed)) == ("form", before[0])

    run(check())


def test_an_error_names_a_contact_as_the_request_did(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        await sealed.send(FORM)  # accepted, and not projected yet
        answer = await sealed.get("/v1/contacts/kari@nordmann.example")
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no contact 'kari@nordmann.example'")

    run(check())


def test_hubspots_privacy_deletion_leaves_no_trace_and_changes_no_count(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        portal = await connected(sealed)
        found = [
            portal.event(BEGIN_MS, subscriptionType="contact.creation", objectId=4711),
            portal.changed("contact", 4711, 1, "email", "kari@nordmann.example"),
            portal.changed("contact", 4711, 1, "hs_additional_emails", "kari@kvaløya.example"),
            portal.changed("contact", 4711, 1, "city", "Tromsø-Kvaløya"),
            portal.event(BEGIN_MS, subscriptionType="contact.merge", primaryObjectId=4711, mergedObjectIds=[4712]),
            portal.event(BEGIN_MS, subscriptionType="deal.creation", objectId=9),
            portal.changed("deal", 9, 2, "amount", "1200.50"),
            portal.associated(4711, 9, 2),
            portal.changed("deal", 9, 3, "dealstage", "closedwon"),
        ]
        identified = {**FORM, "contact": {"email": "kari@nordmann.example"}}
        refused = portal.changed("contact", 4711, 4, "email", "kari nordmann@example")
        async with hubspot(sealed.running) as caller:
            assert (await sealed.send(CAMPAIGN, VISIT, identified)).status_code == 202
            assert (await caller.taken(*found))["mapped"] == len(found)
            assert len((await caller.taken(refused))["refused"]) == 1
            await sealed.project()
            before = await overview(sealed)
            assert before["metrics"]["influenced_deals"] == 1
            assert (await sealed.get("/v1/contacts/4711")).json()["emails"][0].startswith("kari@")
            deleted = portal.event(BEGIN_MS, subscriptionType="contact.privacyDeletion", objectId=4711)
            assert await caller.taken(deleted) == {"mapped": 1, "unmapped": 0, "refused": [], "dropped": {}}
        await sealed.project()
        held = await dump(sealed)
        assert [trace for trace in TRACES if trace in held] == []
        assert await overview(sealed) == before
        for name in ("4711", "4712", "kari@nordmann.example", "kari@kvaløya.example"):
            assert (await sealed.get(f"/v1/contacts/{name}")).status_code == 404

    run(check())


def test_a_forgotten_contact_is_removed_from_the_files_of_tables(sealed: Workspace, run: Run) -> None:
    async def files() -> str:
        pool = sealed.running.pool
        await pool.execute("CHECKPOINT")
        return "".join([(await pool.fetchval(FILE, table)).decode("latin-1") for table in ("person", "dead_letter")])

    async def check() -> None:
        name = f"kari-{secrets.token_hex(8)}@nordmann.example"
        contact = {"contact": {"email": name}}
        await sealed.send({**PERSON, **contact}, {"type": "form_submitted", "id": "refused", **contact})
        await sealed.project()
        assert name in await files()
        vault = vault_of(sealed.running.log)
        assert vault is not None
        vault.traces.clear()  # of other tests
        await sealed.send({**FORGET, **contact})
        await sealed.project()
        assert vault.traces == {"person", "dead_letter"}
        assert name in await files()
        await remove_traces(sealed.running.pool, vault)
        assert name not in await files()
        assert vault.traces == set()

    run(check())


def test_an_event_that_is_sent_twice_is_sealed_to_the_same_bytes(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        await sealed.send(*ALL)
        await sealed.send(*ALL)
        await sealed.project()
        assert await sealed.running.pool.fetchval(
            "SELECT count(*) FROM touchline.dead_letter WHERE workspace_id = $1", sealed.name
        ) == 0  # fmt: skip
        answer = (await sealed.get("/v1/events/visit/explain")).json()
        assert (answer["counted"], answer["conflicting_duplicates"]) == (True, 0)

    run(check())


def test_who_is_met_by_two_processes_at_once_has_one_pseudonym(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        vault = vault_of(sealed.running.log)
        assert vault is not None
        another = Vault(sealed.running.pool, vault.master, None, durable=True)
        records = [
            accept(orjson.dumps({**FORM, "id": f"of-{n}"}), n, "server", 1_764_000_000_000_000, None) for n in range(3)
        ]
        values = [encode_record(record) for record in records if isinstance(record, Record)]
        here, there = await asyncio.gather(seal_all(vault, sealed.name, values), seal_all(another, sealed.name, values))
        again = await seal_all(Vault(sealed.running.pool, vault.master, None, durable=True), sealed.name, values)
        assert here == there == again
        assert len(here[0]) == len(values)
        assert await sealed.running.pool.fetchval(
            "SELECT count(*) FROM touchline.person WHERE workspace_id = $1", sealed.name
        ) == 3  # fmt: skip

    run(check())


def test_new_persons_of_requests_at_once_are_all_kept(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        visits = [{**VISIT, "id": f"n{n}", "visitor_id": f"visitor-{n // 2}"} for n in range(60)]
        answers = await asyncio.gather(*(sealed.send(*visits[at : at + 5]) for at in range(0, 60, 5)))
        assert [answer.status_code for answer in answers] == [202] * 12
        stored = {orjson.loads(bytes(decode_record(entry.value).raw))["visitor_id"] for entry in await sealed.entries()}
        rows = await sealed.running.pool.fetch(
            "SELECT pseudonym FROM touchline.person WHERE workspace_id = $1", sealed.name
        )
        assert {row["pseudonym"] for row in rows if row["pseudonym"].startswith("~v")} == stored
        assert len(stored) == 30

    run(check())


def test_own_people_are_excluded_by_a_domain_that_is_set_later(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        await sealed.send(*ALL)
        await sealed.project()
        domains = {"internal_domains": ["Nordmann.example"]}
        await sealed.send({"type": "workspace_configured", "settings": domains, "occurred_at": "2024-05-01T00:00:00Z"})
        await sealed.project()
        answer = (await sealed.get("/v1/events/visit/explain")).json()
        assert (answer["counted"], answer["reason"]) == (False, "internal")

    run(check())


def test_a_page_is_found_by_a_parameter_whose_value_is_a_digest(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        page = {"type": "asset_registered", "id": "r", "asset_id": "post-12", "asset_type": "blog_post",
                "url": "https://shop.example/blog?p=12", "occurred_at": "2024-01-01T00:00:00Z"}  # fmt: skip
        visit = {**VISIT, "id": "on-12", "url": "https://shop.example/blog?p=12"}
        held = {
            "type": "asset_associated",
            "id": "h",
            "asset_id": "post-12",
            "campaign_id": "blog",
            "occurred_at": "2024-01-02T00:00:00Z",
        }
        await sealed.send(page, held, visit)
        settings = {"page_parameters": ["p"]}
        await sealed.send({"type": "workspace_configured", "settings": settings, "occurred_at": "2024-05-01T00:00:00Z"})
        await sealed.project()
        (campaign,) = (c for c in (await sealed.get("/v1/events/on-12/explain")).json()["campaigns"] if c["counts"])
        assert (campaign["campaign_id"], campaign["through"]) == ("blog", ["asset"])

    run(check())


def test_a_sealed_store_does_not_open_with_another_master_key(own_database: str, run: Run) -> None:
    async def check() -> None:
        store = await sealed_store(own_database)
        await store.running.close()
        other = base64.b64encode(os.urandom(32)).decode()
        for key, problem in ((other, "not the one"), ("c2hvcnQ=", "32 are expected"), ("%", "not valid base64")):
            with pytest.raises(BadMasterKey, match=problem):
                await compose(own_database, Configuration(kafka_bootstrap_servers=None, master_key=key))

    run(check())


def test_what_to_forget_a_contact_would_change_can_be_previewed(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        await sealed.send(*ALL)
        await sealed.project()
        async with sealed.client("server") as client:
            answer = await client.post("/v1/preview", json={"events": [FORGET]})
        assert (answer.status_code, answer.json()) == (200, {"campaigns": [], "assets": [], "no_effect": []})
        assert (await sealed.get("/v1/contacts/kari@nordmann.example")).status_code == 200

    run(check())


def test_a_dead_letter_whose_contact_token_names_the_forgotten_contact_is_deleted(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        contacts = [{"email": "kari@nordmann.example"}, {"id": "crm-4711"}, {"email": "ola@nordmann.example"}]
        async with sealed.client("server") as client:
            minted = (await client.post("/v1/contact-tokens", json={"contacts": contacts})).json()["items"]
            for item in minted:
                await client.get(f"/v1/p.gif?k={sealed.keys['collect']}&t=open&c={item['token']}")  # which e-mail?
        await sealed.send(*ALL, {**FORM, "id": "ola", "contact": contacts[2], "visitor_id": "cookie-of-ola"})
        await sealed.project()
        await sealed.send(FORGET)
        await sealed.project()
        left = await sealed.running.pool.fetch(
            "SELECT body FROM touchline.dead_letter WHERE workspace_id = $1", sealed.name
        )
        assert [row["body"].decode().partition("&c=")[2] for row in left] == [minted[2]["token"]]

    run(check())


TARGET = "https://shop.example/lp?offer=Kari%20%26%20co&n=1&utm_source=news#For%20Nordmann"


def test_a_link_of_a_sealed_store_leads_to_its_target_as_it_was_registered(sealed: Workspace, run: Run) -> None:
    async def check() -> None:
        link = {"type": "asset_registered", "asset_id": "link", "asset_type": "tracking_url", "target_url": TARGET}
        await sealed.send(link)
        await sealed.project()
        held = await dump(sealed)
        assert [trace for trace in TRACES if trace in held] == []
        async with sealed.client("collect") as client:
            followed = await client.get(f"/r/{sealed.keys['collect']}/link")
        assert followed.headers["location"] == TARGET.replace("#", "&tl_via=link#")
        assert (await sealed.get("/v1/assets/link")).json()["target_url"] == TARGET
        async with sealed.client("server") as client:
            answer = (await client.post("/v1/preview", json={"events": [{**link, "name": "Link"}]})).json()
        assert answer["assets"][0]["after"]["target_url"] == TARGET

    run(check())


@pytest.mark.parametrize(
    "sent",
    [
        *(b'{"type":"page_visited","visitor_id":"v-9","url":"%s"}' % url for url in (
            b"https://shop.example/p?kari@nordmann.example", b"https://kari:nordmann@shop.example/p", b"mailto:kari@shop.example", b"https://shop.example/p?x=1;kari",
            b"https://shop.example/p#token&kari", b"https://shop.example/p#/r?kari", b"https://shop.example/p?who\\t=kari",
        )),
        b'{"type":"page_visited","visitor_id":"v-9","\\u0075rl":"https://shop.example/p?who=%6bari"}',
        b'{"type":"form_submitted","asset_id":"f","contact":{"email":"kari@nordmann.example"},"contact":{"email":"ola@hansen.example"}}',
        b'{"type":"form_submitted","asset_id":"f","cont\\u0061ct":{"email":"kari@nordmann.example"}}',
    ],
)  # fmt: skip
def test_a_name_is_sealed_wherever_a_hostile_page_writes_it(sealed: Workspace, run: Run, sent: bytes) -> None:
    async def check() -> None:
        async with sealed.client("collect") as client:
            assert (await client.post("/v1/events", content=sent)).status_code == 202
        await sealed.project()
        held = await dump(sealed)
        assert "shop.example" in held or "form_submitted" in held
        assert [trace for trace in TRACES if trace in held] == []

    run(check())


WRITTEN = (
    "https://shop.example/lp?offer=Kari+%26%20co&n=1&z=%7e~/:@!$'()*,;b=%c3%a6æ&utm_source=a+b#For%20Nordmann+(1)",
    "https://shop.example/lp?offer=Kari%20%26+co&n=%31&z=~%7E/:@!$'()*,;b=%C3%A6æ&utm_source=a+b#For Nordmann+%281%29",
)  # two ways to write values that are equal


def test_a_link_of_a_sealed_store_leads_to_its_target_byte_for_byte_as_it_was_registered_last(
    sealed: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redirects, "CACHE_S", 0.0)

    async def leads_to() -> str:
        await sealed.project()
        async with sealed.client("collect") as client:
            return str((await client.get(f"/r/{sealed.keys['collect']}/link")).headers["location"])

    def expected(written: str) -> str:
        return written.replace("æ", "%C3%A6").replace(" ", "%20").replace("#", "&tl_via=link#")

    async def check() -> None:
        link = {"type": "asset_registered", "asset_id": "link", "asset_type": "tracking_url"}
        for n, written in enumerate((*WRITTEN, WRITTEN[0])):
            sent = await sealed.send({**link, "id": f"link-{n}", "target_url": written}, {**link, "name": f"Link {n}"})
            assert sent.json()["rejected"] == []
            assert await leads_to() == expected(written)
        await sealed.send({"type": "event_retracted", "event_id": "link-2"})
        assert await leads_to() == expected(WRITTEN[1])
        held = await dump(sealed)
        assert [trace for trace in TRACES if trace in held] == []
        async with sealed.client("server") as client:
            for written, changed in ((WRITTEN[1], False), (WRITTEN[0], True), (WRITTEN[0], False)):
                put = await client.put("/v1/assets/link", json={"target_url": written})
                assert (put.status_code, put.json()["changed"]) == (200, changed)
                assert await leads_to() == expected(written)

    run(check())


def test_a_link_of_a_sealed_store_leads_on_while_the_log_does_not_answer(
    sealed: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        link = {"type": "asset_registered", "asset_id": "link", "asset_type": "tracking_url", "target_url": TARGET}
        await sealed.send(link)
        await sealed.project()

        async def away(*_: Any) -> Any:
            raise LogUnavailable("the log is away")

        monkeypatch.setattr(sealed.running.log, "entries", away)
        async with sealed.client("collect") as client:
            followed = await client.get(f"/r/{sealed.keys['collect']}/link")
        assert followed.headers["location"] == TARGET.replace("#", "&tl_via=link#")

    run(check())


def test_calls_compare_addresses_in_a_sealed_store_as_in_a_plain_one(sealed: Workspace, run: Run) -> None:
    async def put(asset_id: str) -> tuple[int, object]:
        await sealed.project()
        async with sealed.client("server") as client:
            body = {"asset_type": "tracking_url", "target_url": TARGET}
            answer = await client.put(f"/v1/assets/{asset_id}", json=body)
        return answer.status_code, answer.json().get("changed", answer.json().get("taken_by"))

    async def check() -> None:
        assert [await put("link"), await put("link"), await put("other")] == [(201, True), (200, False), (409, "link")]

    run(check())
