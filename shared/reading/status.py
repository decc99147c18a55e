"""What is known of a workspace's intake: its name, and which of its events were kept aside?

These tables are the same in every generation; the snapshot reads them as they were when it was opened.
"""

from typing import Any

from shared.reading.snapshot import Snapshot

DEAD_LETTERS = """
SELECT d.reason, d.key_hint, count(*) AS events
FROM touchline.dead_letter d WHERE d.workspace_id = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
PUSHED_OUT = """
SELECT nullif(p.key_hint, '') AS key, sum(p.events)::bigint AS events
FROM touchline.dead_letter_pushed_out p WHERE p.workspace_id = $1 GROUP BY 1 ORDER BY 2 DESC, 1
"""
WORKSPACE = "SELECT name, workspace_id FROM touchline.workspace WHERE workspace_id = $1"


async def workspace_row(snapshot: Snapshot) -> Any:
    """The row of the workspace, with its `workspace_id` and `name`; None if there is no such workspace."""
    return await snapshot.connection.raw.fetchrow(WORKSPACE, snapshot.workspace)


async def dead_letters(snapshot: Snapshot) -> list[Any]:
    """How many events were kept aside, by `reason` and by the hint of the key that sent them (`key_hint`), most first."""
    return list(await snapshot.connection.raw.fetch(DEAD_LETTERS, snapshot.workspace))


async def dead_letters_pushed_out(snapshot: Snapshot) -> list[Any]:
    """How many dead letters were deleted to make room for later ones of the same `key`, most first."""
    return list(await snapshot.connection.raw.fetch(PUSHED_OUT, snapshot.workspace))
