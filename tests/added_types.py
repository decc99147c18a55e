"""Are events of two types that were added to the list accepted, projected, and projected at once? Prints the rows as JSON.

`tests/system/test_new_event_type.py` runs it in a copy of the sources to which the types were added:
`python -m tests.added_types DATABASE_URL`. Both types must be there before anything is imported, as in a real process.
"""

import asyncio
import json
import sys
from typing import Any

from tests.conftest import Workspace, new_workspace
from tests.properties.test_rows_independent_of_order import at_once, rows
from touchline.compose import Running, compose
from touchline.configuration import Configuration

EVENTS: list[dict[str, object]] = [
    {"type": "campaign_paused", "id": "p", "occurred_at": "2025-03-01T10:00:00Z", "campaign_id": "spring", "reason": "sold out"},
    {"type": "demo_requested", "id": "d", "occurred_at": "2025-03-01T11:00:00Z", "asset_id": "demo", "visitor_id": "v1",
     "contact": {"email": "kari@example.no"}, "seats": 12},
]  # fmt: skip


async def _explained(workspace: Workspace) -> Any:
    response = await workspace.get("/v1/events/d/explain")
    return response.json() if response.status_code == 200 else response.text


async def _table(running: Running, schema: str, workspace: Workspace, table: str, columns: str) -> list[list[Any]]:
    statement = f"SELECT {columns} FROM {schema}.{table} t JOIN touchline.workspace w ON w.number = t.ws WHERE w.workspace_id = $1"
    return [list(row) for row in await running.pool.fetch(statement, workspace.name)]


async def main(database_url: str) -> dict[str, Any]:
    """Send the events, project them live and at once, and answer what became of them."""
    running = await compose(database_url, Configuration(kafka_bootstrap_servers=None))
    workspace = await new_workspace(running, "added")
    answer = (await workspace.send(*EVENTS)).json()
    await workspace.project()
    live, schema = await rows(running, running.generation.name, workspace.name), running.generation.name
    whole = await at_once(running, workspace)
    out = {
        "answer": answer,
        "different": [name for name in live if live[name] != whole[name]],
        "at_once": {name: len(whole[name]) for name in whole},
        "entity_event": await _table(running, schema, workspace, "entity_event", "t.type, t.event_id"),
        "campaign": await _table(running, schema, workspace, "campaign", "t.campaign_id"),
        "touch": await _table(running, schema, workspace, "touch", "t.type, t.event_id, t.asset_id"),
        "contact": await _table(running, schema, workspace, "contact", "t.name"),
        "explained": await _explained(workspace),
        "schema": sorted((await workspace.get("/openapi.json")).json()["components"]["schemas"]),
    }
    await running.close()
    return out


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
