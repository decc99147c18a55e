"""What arrived from each producer, and what became of it? The table `touchline.producer_count`: how it is written and read.

A count is of messages that arrived, at the moment at which they were taken in: one that is sent twice counts twice, and what
becomes of a dead letter later changes none. A file's messages are its rows.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import asyncpg

from shared.events.instants import to_rfc3339

NAMES_MAX = 500  # of a producer in a workspace: a public key may send any name; those beyond are counted as one
NAME_CHARACTERS_MAX = 256  # an id's length; what calls a message by a longer name means no name
OTHER = "(other names)"
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"

# Ordered, so that two processes that write the same rows wait for one another and never both.
WRITE = f"""
WITH told AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        u(workspace, producer, name, outcome, reason, messages)
), known AS (
    SELECT DISTINCT workspace_id AS workspace, producer, name FROM touchline.producer_count
    WHERE (workspace_id, producer) IN (SELECT workspace, producer FROM told)
), named AS (
    SELECT workspace, producer, name, row_number() OVER (PARTITION BY workspace, producer ORDER BY name) + (
        SELECT count(*) FROM known k WHERE k.workspace = t.workspace AND k.producer = t.producer AND k.name <> '{OTHER}'
    ) <= {NAMES_MAX} AS fits
    FROM (SELECT DISTINCT workspace, producer, name FROM told EXCEPT SELECT * FROM known) t WHERE name <> '{OTHER}'
)
INSERT INTO touchline.producer_count AS c (workspace_id, producer, name, outcome, reason, messages, first_seen, last_seen)
SELECT workspace, producer, CASE WHEN coalesce(n.fits, true) THEN t.name ELSE '{OTHER}' END, outcome, reason, sum(messages),
    now(), now()
FROM told t LEFT JOIN named n USING (workspace, producer, name) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (workspace_id, producer, name, outcome, reason) DO UPDATE
SET messages = c.messages + excluded.messages, last_seen = greatest(c.last_seen, excluded.last_seen)
"""
READ = """
SELECT producer, name, outcome, reason, messages, (extract(epoch FROM first_seen) * 1000000)::bigint AS first_us,
    (extract(epoch FROM last_seen) * 1000000)::bigint AS last_us
FROM touchline.producer_count WHERE workspace_id = $1 ORDER BY producer, name, outcome, reason
"""
LETTERS = """
SELECT coalesce(producer, 'events') AS producer, count(*) AS letters FROM touchline.dead_letter
WHERE workspace_id = $1 AND "offset" IS NULL GROUP BY 1
"""  # those that ingest refused; what the projector keeps aside arrived well, and is counted as mapped


class Outcome(NamedTuple):
    """What became of messages that a producer calls by one name. `reason` is the code of a refusal."""

    producer: str
    name: str
    outcome: Literal["mapped", "unmapped", "refused"]
    reason: str = ""


def kept_name(name: str) -> str:
    """A name as the table keeps it: cut to `NAME_CHARACTERS_MAX`, and without what PostgreSQL takes in no text."""
    return name[:NAME_CHARACTERS_MAX].replace("\0", UNPRINTABLE).encode(errors="replace").decode()


async def write_counts(pool: "asyncpg.Pool[asyncpg.Record]", counts: Mapping[str, Counter[Outcome]]) -> None:
    """Add counts, by workspace, to what is counted. All or none of it is written. Raises one of `AWAY`."""
    rows = [
        (workspace, o.producer, kept_name(o.name), o.outcome, o.reason, messages)
        for workspace, counted in counts.items()
        for o, messages in counted.items()
    ]
    if rows:
        await pool.execute(WRITE, *map(list, zip(*rows, strict=True)))


async def read_counts(connection: Any, workspace: str) -> list[dict[str, Any]]:
    """Each producer of a workspace with what became of its messages, by name too, as JSON has it.

    `dead_letters` is how many of the refused are kept aside now.
    """
    letters = {row["producer"]: row["letters"] for row in await connection.fetch(LETTERS, workspace)}
    producers: dict[str, dict[str, Any]] = {}
    for row in await connection.fetch(READ, workspace):
        producer = producers.setdefault(row["producer"], _nothing(producer=row["producer"], names={}))
        named = producer["names"].setdefault(row["name"], _nothing(name=row["name"]))
        for counted in (producer, named):
            _count(counted, row)
    return [
        {**_told({**counted, "names": None}), "dead_letters": letters.get(name, 0),
         "more_names": OTHER in counted["names"], "names": [_told(one) for one in counted["names"].values()]}
        for name, counted in producers.items()
    ]  # fmt: skip


def _nothing(**of: Any) -> dict[str, Any]:
    return {**of, "mapped": 0, "unmapped": 0, "refused": 0, "refused_by": {}, "first_us": None, "last_us": None}


def _count(counted: dict[str, Any], row: Any) -> None:
    counted[row["outcome"]] += row["messages"]
    if row["outcome"] == "refused":
        counted["refused_by"][row["reason"]] = counted["refused_by"].get(row["reason"], 0) + row["messages"]
    counted["first_us"] = min(filter(None, (counted["first_us"], row["first_us"])))
    counted["last_us"] = max(filter(None, (counted["last_us"], row["last_us"])))


def _told(counted: dict[str, Any]) -> dict[str, Any]:
    by = sorted(counted["refused_by"].items(), key=lambda item: (-item[1], item[0]))
    head = {name: counted[name] for name in counted.keys() & {"producer", "name"}}
    return {
        **head, "accepted": counted["mapped"] + counted["unmapped"], "mapped": counted["mapped"],
        "unmapped": counted["unmapped"], "refused": counted["refused"],
        "refused_by": [{"code": code, "messages": messages} for code, messages in by],
        "first_seen": to_rfc3339(counted["first_us"]), "last_seen": to_rfc3339(counted["last_us"]),
    }  # fmt: skip
