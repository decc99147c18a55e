"""How many messages arrived from each producer, with which outcome? Writes and reads the table `touchline.producer_count`.

A message is counted when ingest handles it: a message that is sent twice counts twice, and retrying or deleting a dead letter
later changes no count. In a file, each row is a message.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import asyncpg

from shared.events.instants import to_rfc3339

NAMES_MAX = 500  # of a producer in a workspace: a public key may send any name; further names are counted as one
NAME_CHARACTERS_MAX = 256  # as long as an id may be; a longer text is cut, for it is hardly a name
OTHER = "(other names)"
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"

# Ordered, so that two processes that write the same rows lock them in one order and cannot deadlock.
WRITE = f"""
WITH arrived AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        u(workspace, producer, name, outcome, reason, messages)
), known AS (
    SELECT DISTINCT workspace_id AS workspace, producer, name FROM touchline.producer_count
    WHERE (workspace_id, producer) IN (SELECT workspace, producer FROM arrived)
), named AS (
    SELECT workspace, producer, name, row_number() OVER (PARTITION BY workspace, producer ORDER BY name) + (
        SELECT count(*) FROM known k WHERE k.workspace = t.workspace AND k.producer = t.producer AND k.name <> '{OTHER}'
    ) <= {NAMES_MAX} AS fits
    FROM (SELECT DISTINCT workspace, producer, name FROM arrived EXCEPT SELECT * FROM known) t WHERE name <> '{OTHER}'
)
INSERT INTO touchline.producer_count AS c (workspace_id, producer, name, outcome, reason, messages, first_seen, last_seen)
SELECT workspace, producer, CASE WHEN coalesce(n.fits, true) THEN t.name ELSE '{OTHER}' END, outcome, reason, sum(messages),
    now(), now()
FROM arrived t LEFT JOIN named n USING (workspace, producer, name) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
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
"""  # events that ingest refused; what only the projector refused was accepted by ingest and counts as mapped


class Outcome(NamedTuple):
    """The outcome of messages of one name, which the producer gives. `reason` is the code of a refusal, else empty."""

    producer: str
    name: str
    outcome: Literal["mapped", "unmapped", "refused"]
    reason: str = ""


def kept_name(name: str) -> str:
    """A name as the table stores it: cut to `NAME_CHARACTERS_MAX`, without characters that PostgreSQL refuses in text."""
    return name[:NAME_CHARACTERS_MAX].replace("\0", UNPRINTABLE).encode(errors="replace").decode()


async def write_counts(pool: "asyncpg.Pool[asyncpg.Record]", counts: Mapping[str, Counter[Outcome]]) -> None:
    """Add counts, given by workspace, to the stored counts, all or nothing. Raises one of `AWAY`."""
    rows = [
        (workspace, o.producer, kept_name(o.name), o.outcome, o.reason, messages)
        for workspace, counted in counts.items()
        for o, messages in counted.items()
    ]
    if rows:
        await pool.execute(WRITE, *map(list, zip(*rows, strict=True)))


async def read_counts(connection: Any, workspace: str) -> list[dict[str, Any]]:
    """The counts of each producer of a workspace, in all and by message name, as the JSON answer shows them.

    `dead_letters` is how many of the refused messages are stored as dead letters now.
    """
    letters = {row["producer"]: row["letters"] for row in await connection.fetch(LETTERS, workspace)}
    producers: dict[str, dict[str, Any]] = {}
    for row in await connection.fetch(READ, workspace):
        producer = producers.setdefault(row["producer"], _nothing(producer=row["producer"], names={}))
        named = producer["names"].setdefault(row["name"], _nothing(name=row["name"]))
        for counted in (producer, named):
            _count(counted, row)
    return [
        {**_document({**counted, "names": None}), "dead_letters": letters.get(name, 0),
         "more_names": OTHER in counted["names"], "names": [_document(one) for one in counted["names"].values()]}
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


def _document(counted: dict[str, Any]) -> dict[str, Any]:
    by = sorted(counted["refused_by"].items(), key=lambda item: (-item[1], item[0]))
    head = {name: counted[name] for name in counted.keys() & {"producer", "name"}}
    return {
        **head, "accepted": counted["mapped"] + counted["unmapped"], "mapped": counted["mapped"],
        "unmapped": counted["unmapped"], "refused": counted["refused"],
        "refused_by": [{"code": code, "messages": messages} for code, messages in by],
        "first_seen": to_rfc3339(counted["first_us"]), "last_seen": to_rfc3339(counted["last_us"]),
    }  # fmt: skip
