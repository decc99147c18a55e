"""What a batch costs does not grow with the history: no statement of the projector reads a big table from its beginning to its end."""

import asyncio
import json
import re
from typing import Any

from shared.projection.batch import decode
from shared.projection.digest_updater import DigestUpdater
from shared.projection.projector import Projector, workspace_number
from shared.projection.sql import Connection
from tests.conftest import new_workspace
from tests.system.every_read import world
from tests.system.test_every_read import big_tables, scans
from touchline.compose import compose
from touchline.configuration import Configuration

PEOPLE = 12_000  # each with a visitor, an id and an e-mail address, so that identities are big tables
STEPS_MAX = 50  # of the background
MADE_BY_BATCHES = {"added_cell"}
"""Tables that hold what the latest batches have added, and which the background empties."""


def person(n: int, at: str) -> list[dict[str, Any]]:
    contact = {"id": f"p{n}", "email": f"p{n}@shop.example"}
    return [
        {"type": "page_visited", "visitor_id": f"w{n}", "url": f"https://shop.example/{n % 50}", "occurred_at": f"{at}:00Z"},
        {"type": "contact_identified", "visitor_id": f"w{n}", "contact": contact, "occurred_at": f"{at}:30Z"},
    ]  # fmt: skip


def batch() -> list[dict[str, Any]]:
    """Events of every kind, of people who are new and of some whom the history knows; some come late, and two people become one."""
    known = [event for n in range(8) for event in person(n, "2024-01-01T00:10")]
    merges = [
        {"type": "contact_merged", "contact": {"id": f"p{n}"}, "into": {"id": f"p{n + 1}"}, "occurred_at": "2024-06-01T00:00:00Z"}
        for n in range(100, 104, 2)
    ]  # fmt: skip
    return [*world(4), *known, *merges]


def test_no_statement_of_a_batch_goes_through_a_big_table(database_url_of_module: str, runner: asyncio.Runner) -> None:
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def note(logged: Any) -> None:
        asked.append((logged.query, tuple(logged.args or ())))

    async def check() -> None:
        running = await compose(database_url_of_module, Configuration(kafka_bootstrap_servers=None))
        try:
            workspace = await new_workspace(running, "big")
            for begin in range(0, PEOPLE, 500):
                history = [
                    e for n in range(begin, begin + 500) for e in person(n, f"2024-02-{1 + n % 28:02d}T10:{n % 60:02d}")
                ]
                assert (await workspace.send(*history)).json()["rejected"] == []
            await workspace.project()
            async with running.pool.acquire() as raw:
                await raw.execute("ANALYZE")
                big = await big_tables(running.pool) - MADE_BY_BATCHES
                assert {"identifier", "identity_edge", "identity_interval", "contact", "event_index"} <= big
                raw._con.add_query_logger(note)
                assert (await workspace.send(*batch())).json()["rejected"] == []
                connection = Connection(raw, running.generation.name)
                projector = Projector(running.log, workspace.partition)
                await projector.take(connection)
                entries = await running.log.read(workspace.partition, projector.offset, 10_000)
                await projector.project(connection, decode(entries))
                of_the_batch = len(asked)
                updater = DigestUpdater(workspace.partition, running.log.partitions)
                ws = await workspace_number(connection, workspace.name)
                for _ in range(STEPS_MAX):
                    if not await updater.step(connection, ws):
                        break
                raw._con.remove_query_logger(note)
                assert of_the_batch > 100
                assert len(asked) > of_the_batch
                found: set[str] = set()
                for query, arguments in asked:
                    if not re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", query):
                        continue
                    plan = await raw.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
                    (result,) = json.loads(plan) if isinstance(plan, str) else plan
                    for table in set(scans(result["Plan"])) & big:
                        found.add(f"{table}: {' '.join(query.split())[:400]}")
                assert not found, "\n".join(sorted(found))
        finally:
            await running.close()

    runner.run(check())
