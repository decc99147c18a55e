"""What does an answer depend on? Its `ETag` is made of that, so a request can be answered `304` before the answer is computed.

An answer that is made only of the workspace's rows depends on the rows, the request and the release. The rows are the same
while the generation, the number of the rows and the position behind the workspace's last projected event are the same
(decision 31). Two kinds of answer depend on more:

- Those that have `settled_through` also depend on the clock and on where the log ends. Their tag changes with every minute, so
  an instant that a client keeps is a minute too early at most; it is never too late.
- Those that read more than rows, such as dead letters, are computed first, and their tag is a digest of their content and of that position.
"""

import time
from enum import Enum
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from fastapi import Request, Response
from starlette.types import Scope

from shared.access.positions import Positions
from shared.log.port import Position
from shared.reading.snapshot import Snapshot
from shared.web.problems import Problem

SETTLED_S = 60  # so long a client may keep a `settled_through`; the dashboard asks every few seconds
DIGEST_BYTES = 12  # two tags of a workspace are alike once in 2^48 answers
TAGS_MAX = 50  # of an `If-None-Match`; a client keeps one or two
VARY = "Authorization, Cookie, Accept"
SOURCES = ("services/api", "shared/reading", "shared/rules")  # what answers are made by


class DependsOn(Enum):
    """What an answer is made of."""

    ROWS = "rows"
    """Rows of the workspace in the snapshot's generation, and nothing else."""
    ROWS_AND_CLOCK = "rows_and_clock"
    """Rows, and what the clock and the end of the log say of how settled they are."""
    MORE = "more"
    """Anything else too, such as dead letters or counts of messages."""


class NotModified(Problem):
    """The client has the answer already. It ends the request as a problem does, and is answered with 304 and no body."""

    def __init__(self, etag: str) -> None:
        super().__init__(304, "not_modified", "the client has this answer")
        self.etag = etag

    def response(self, scope: Scope) -> Response:  # noqa: ARG002  (it has no body, so no place for the id)
        """304, with the headers that the answer would have."""
        return Response(status_code=304, headers=headers_of(self.etag))


def headers_of(etag: str) -> dict[str, str]:
    """The headers of an answer, or of a 304, that say who may keep it, and for how long: clients must ask again each time."""
    return {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": VARY}


def tag_before(
    request: Request, snapshot: Snapshot, positions: Positions, depends_on: DependsOn, form: str
) -> str | None:
    """The tag that the answer of a snapshot will have, in a form such as `json`; None if it depends on what it will say."""
    if depends_on is DependsOn.MORE:
        return None
    until = positions.write(snapshot.workspace, Position(snapshot.as_of.partition, snapshot.events_until))
    parts: list[Any] = [
        release(), snapshot.generation, snapshot.made_at, snapshot.ws, snapshot.made_anew, until,
        request.url.path, request.url.query, form,
    ]  # fmt: skip
    if depends_on is DependsOn.ROWS_AND_CLOCK:
        parts.append(int(time.time()) // SETTLED_S)
    return _tag(orjson.dumps(parts))


def tag_of(snapshot: Snapshot, content: bytes) -> str:
    """The tag of an answer by what it says, but for its position, and by the workspace's last projected event.

    Without the event, who keeps `/v1/status` would keep its position too, and never learn that rows have changed.
    """
    return _tag(f"{snapshot.generation}/{snapshot.events_until}/".encode() + content)


def is_held(request: Request, etag: str) -> bool:
    """Whether `If-None-Match` names the tag, compared weakly, as RFC 9110 requires. `*` names none: the answer may be a 404."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    tags = [tag.strip() for tag in given.split(",", TAGS_MAX)[:TAGS_MAX]]
    return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]


def _tag(content: bytes) -> str:
    """A weak tag: equal answers may be compressed or not, and may have another position."""
    return f'W/"{blake2b(content, digest_size=DIGEST_BYTES).hexdigest()}"'


@cache
def release() -> str:
    """A digest of the sources that make answers of rows: another release may answer otherwise. A generation is of one shape of rows."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    root = Path(__file__).parents[2]
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
