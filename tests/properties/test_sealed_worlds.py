"""A sealed store with forgotten contacts answers as the oracle does; to forget them changes no number, and no row."""

import asyncio
import datetime as dt
import os
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, accept, canonical, decode_record, encode_record
from shared.projection.batch import decode
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from tests.conftest import Workspace, new_workspace
from tests.properties.compare import differences
from tests.properties.oracle import Oracle, as_persons
from tests.properties.test_rows_independent_of_order import at_once, rows
from tests.properties.worlds import SOCIAL_POSTS_MAX, random_worlds, received_with_forgetting, world
from tests.read_store import read_api
from tests.sealed import sealed_store
from touchline.compose import Running

EXAMPLES = int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 20
LISTS = ("/v1/campaigns", "/v1/reports/attribution?model=linear", "/v1/reports/attribution?of=contacts")


@pytest.fixture(scope="module")
def sealed_running(database_url_of_module: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(sealed_store(database_url_of_module)).running
    yield running
    runner.run(running.close())


async def project(workspace: Workspace, batch: int) -> None:
    async with workspace.running.pool.acquire() as raw:
        projector = Projector(workspace.running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection := Connection(raw, workspace.running.generation.name))
        while entries := await workspace.running.log.read(workspace.partition, projector.offset, batch):
            await projector.project(connection, decode(entries))


def encoded(event: dict[str, Any]) -> bytes:
    record = accept(orjson.dumps(event), 0, "server", 1_764_000_000_000_000, None, forgets=True)
    assert isinstance(record, Record), record
    return encode_record(record)


def in_conflict(events: list[dict[str, Any]]) -> bool:
    """Whether two events have one id, the same `as_of` or none, and other content (rule **once**)."""
    contents: dict[tuple[str, dt.datetime | None], set[bytes]] = {}
    for event in events:
        as_of = None if "as_of" not in event else dt.datetime.fromisoformat(event["as_of"])
        contents.setdefault((event["id"], as_of), set()).add(canonical(orjson.dumps(event)))
    return any(len(each) > 1 for each in contents.values())


def without_conflicts(received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, without the events that are in conflict with one before them: an event that came again after its contact was forgotten is."""
    kept: list[dict[str, Any]] = []
    for event in received:
        if not in_conflict(as_persons([*kept, event])):
            kept.append(event)
    return kept


async def numbers(workspace: Workspace, campaigns: list[str]) -> list[Any]:
    """The numbers of all campaigns and the credit of all deals."""
    async with workspace.client() as client:
        paths = [*LISTS, *(f"/v1/campaigns/{campaign}/overview" for campaign in campaigns)]
        answers = [(await client.get(path)).json() for path in paths]
    return [
        {key: value for key, value in answer.items() if key not in ("as_of", "settled_through")} for answer in answers
    ]


async def receive(workspace: Workspace, received: list[dict[str, Any]], rng: random.Random) -> list[str]:
    """Send the events in this order, in random batches; each request to forget alone, when all before it is projected.

    Answers which numbers a request changed.
    """
    changed, waiting = [], []
    for event in [*received, None]:
        if waiting and (event is None or event["type"] == "contact_forgotten" or rng.random() < 0.1):
            await workspace.running.log.append(workspace.name, list(map(encoded, waiting)))
            waiting = []
        if event is None or event["type"] != "contact_forgotten":
            waiting.append(event)
            continue
        await project(workspace, rng.choice([1, 5, 20]))
        campaigns = sorted({e["campaign_id"] for e in received if "campaign_id" in e})
        before = await numbers(workspace, campaigns)
        await workspace.running.log.append(workspace.name, [encoded(event)])
        await project(workspace, 20)
        after = await numbers(workspace, campaigns)
        changed += [f"{event} changed {was!r} to {now!r}" for was, now in zip(before, after, strict=True) if was != now]
    await project(workspace, rng.choice([1, 5, 20]))
    return changed


def names_of(event: dict[str, Any]) -> list[tuple[str, str]]:
    """The names in an event, each with its kind, always in the same order."""
    out = [("visitor", event["visitor_id"])] if "visitor_id" in event else []
    contacts = [event[field] for field in ("contact", "into") if field in event] + list(event.get("contacts", []))
    out += [(kind, contact[kind]) for contact in contacts for kind in ("id", "email") if kind in contact]
    return out + [("domain", domain) for domain in event.get("settings", {}).get("internal_domains", ())]


def with_names(event: dict[str, Any], called: dict[tuple[str, str], str]) -> dict[str, Any]:
    """An event with other names."""
    out = orjson.loads(orjson.dumps(event))
    for contact in [out[field] for field in ("contact", "into") if field in out] + list(out.get("contacts", [])):
        contact |= {kind: called[kind, text] for kind, text in contact.items()}
    if "visitor_id" in out:
        out["visitor_id"] = called["visitor", out["visitor_id"]]
    if domains := out.get("settings", {}).get("internal_domains"):
        out["settings"]["internal_domains"] = [called["domain", domain] for domain in domains]
    return out


async def pseudonyms(
    workspace: Workspace, persons: list[dict[str, Any]]
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Which pseudonym the log has for each name of the oracle's; and where the two do not agree on who is who."""
    stored = [orjson.loads(bytes(decode_record(entry.value).raw)) for entry in await workspace.entries()]
    assert [event["id"] for event in stored] == [event["id"] for event in persons]
    called: dict[tuple[str, str], str] = {}
    found = []
    for event, each in zip(stored, persons, strict=True):
        for (_, pseudonym), name in zip(names_of(event), names_of(each), strict=True):
            if called.setdefault(name, pseudonym) != pseudonym:
                found.append(f"{name} of {each} is {called[name]} and {pseudonym}")
    whose: dict[str, set[str]] = {}
    for (kind, text), pseudonym in called.items():
        whose.setdefault(pseudonym, set()).add(text if kind != "domain" else "a domain")
    return called, found + [f"{p} is of {sorted(texts)}" for p, texts in whose.items() if len(texts) > 1]


async def contradictions(running: Running, received: list[dict[str, Any]], seed: int) -> list[str]:
    """What the answers of a new workspace, to which all this was sent, say otherwise than the oracle, and its rows than those made at once.

    Which of two contents of an id counts follows from their bytes, and sealed bytes are others: with a conflict, only rows are compared.
    """
    workspace = await new_workspace(running, "forgetting")
    found = await receive(workspace, received, random.Random(seed))
    persons = as_persons(received)
    if not in_conflict(persons):
        called, differing = await pseudonyms(workspace, persons)
        found += differing
        oracle = Oracle([with_names(event, called) for event in persons], SOCIAL_POSTS_MAX)
        async with read_api(running.pool, running, workspace) as (client, _):  # as it would answer without the vault
            found += await differences(client, oracle, random.Random(seed))
    live, whole = await rows(running, running.generation.name, workspace.name), await at_once(running, workspace)
    return found + [
        f"{name}: live has {live[name] - whole[name]}, at once has {whole[name] - live[name]}"
        for name in live
        if live[name] != whole[name]
    ]


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(5, 60))
@random_worlds(EXAMPLES, shrink=False)
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    received = received_with_forgetting(rng, world(rng, size))
    seed = rng.randrange(2**32)
    alike = without_conflicts(received)
    assert any("~" in text for event in as_persons(alike) for _, text in names_of(event)), "nobody was told again"
    for sent in [alike] if alike == received else [alike, received]:
        found = runner.run(contradictions(running, sent, seed))
        assert not found, "\n".join([*found, *map(repr, sent)])


@pytest.mark.timeout(7200)
def test_in_worlds_with_forgotten_persons_the_answers_are_the_oracles_and_forgetting_changes_no_number(
    sealed_running: Running, runner: asyncio.Runner
) -> None:
    check(sealed_running, runner)
