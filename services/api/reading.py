"""How is a question read? One key, one workspace, one generation, one snapshot; and the position that it shows."""

import base64
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import orjson
from fastapi import Request, Response
from starlette.datastructures import QueryParams

from services.api.bounds import LIMIT_DEFAULT, LIMIT_MAX
from services.api.gate import Gate
from services.api.progress import PROGRESS, LogEnd, ProjectionPosition
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.events.instants import BEGINNING_US, END_US, to_micros, to_rfc3339
from shared.log.port import Position, partition_of
from shared.projection.sql import Connection, sql
from shared.rules.order import BEGINNING, Order
from shared.rules.settings import Settings
from shared.store.generations import Generation, NoGeneration, live_generation, named_generation
from shared.web.access import allow
from shared.web.parameters import check
from shared.web.problems import Problem, unavailable

AFTER_WAIT_S = 5.0  # how long a read waits for a position
FLIPS_MAX = 10  # how often another generation may become the live one while a read waits for a position
DIGITS_MAX = 4  # of a `limit`
INT64 = range(-(2**63), 2**63)

WORKSPACE = "SELECT number FROM touchline.workspace WHERE workspace_id = $1"
SETTINGS = sql("SELECT body FROM {g}.settings WHERE ws = $1")


@dataclass
class Api:
    """What the routes work with. `gate` has connections of the readers' own: what writes never waits for a slow read."""

    gate: Gate
    progress: ProjectionPosition
    keys: KeyRing
    log_end: LogEnd
    partitions: int
    positions: Positions


class Range:
    """`[from, to)` in microseconds; open ends are the beginning and the end of time."""

    def __init__(self, from_: str | None, to: str | None, zone: ZoneInfo) -> None:
        self.from_us = BEGINNING_US if from_ is None else instant(from_, "from", zone)
        self.to_us = END_US if to is None else instant(to, "to", zone)
        if self.from_us >= self.to_us:
            raise Problem(422, "bad_parameter", "`from` must be before `to`", field="from")

    @property
    def said(self) -> dict[str, str | None]:
        """The range as an answer tells it."""
        return {
            "from": None if self.from_us == BEGINNING_US else to_rfc3339(self.from_us),
            "to": None if self.to_us == END_US else to_rfc3339(self.to_us),
        }


def instant(text: str, field: str, zone: ZoneInfo) -> int:
    """An RFC 3339 instant, or the beginning of a day in the workspace's time zone."""
    try:
        if len(text) == len("2024-01-31"):
            at_us = to_micros(dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), zone))
        else:
            at_us = to_micros(msgspec.convert(text.replace(" ", "+"), dt.datetime, strict=False))
        to_rfc3339(at_us)  # with its zone it may lie before the first year or after the last
    except (ValueError, TypeError, OverflowError, msgspec.ValidationError) as error:
        raise Problem(
            422, "bad_parameter", f"`{field}` must be an instant or a date, not {text!r}", field=field
        ) from error
    return at_us


class Reading:
    """One request's view of its workspace: a snapshot of one generation at one position."""

    def __init__(
        self, connection: Connection, ws: int, as_of: Position, settings: Settings, query: QueryParams
    ) -> None:
        self.connection, self.ws, self.as_of, self.settings, self.query = connection, ws, as_of, settings, query
        self.generation = connection.generation
        self.position = str(as_of)  # as this reader may know it
        self.of_operator = True
        self.zone = ZoneInfo(settings.time_zone)
        self.log_end_offset: int | None = None
        """The offset that the next event will get, as it was just before the snapshot; None if nobody asked or knows."""

    async def fetch(self, statement: Any, *arguments: Any) -> list[Any]:
        """All rows; the workspace's number is the first argument of every statement."""
        return await self.connection.fetch(statement, self.ws, *arguments)

    async def fetchrow(self, statement: Any, *arguments: Any) -> Any:
        """The first row, None if there is none."""
        return await self.connection.fetchrow(statement, self.ws, *arguments)

    @property
    def range(self) -> Range:
        """The request's `from` and `to`."""
        return Range(self.query.get("from"), self.query.get("to"), self.zone)

    def choice(self, name: str, among: Sequence[str], default: str = "") -> str:
        """A query parameter that must be one of a few words."""
        value = self.query.get(name, default)
        if value not in among:
            raise Problem(
                422, "bad_parameter", f"`{name}` must be one of {', '.join(among)}, not {value[:100]!r}", field=name
            )
        return value

    def flag(self, name: str) -> bool:
        """Whether a query parameter is there, and says neither 0 nor false."""
        return self.query.get(name, "false").lower() not in ("false", "0")

    @property
    def limit(self) -> int:
        """The page's size."""
        text = self.query.get("limit", str(LIMIT_DEFAULT))
        if not text.isdecimal() or len(text) > DIGITS_MAX or not 1 <= int(text) <= LIMIT_MAX:
            raise Problem(
                422, "bad_parameter", f"`limit` must be from 1 to {LIMIT_MAX}, not {text[:20]!r}", field="limit"
            )
        return int(text)

    @property
    def cursor(self) -> list[Any] | None:
        """Where the page before ended, None for the first page."""
        text = self.query.get("cursor")
        if text is None:
            return None
        try:
            value = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError as error:
            raise Problem(422, "bad_parameter", "`cursor` is not one of ours", field="cursor") from error
        if not isinstance(value, list) or not all(_may_be_in_cursor(each) for each in value):
            raise Problem(422, "bad_parameter", "`cursor` is not one of ours", field="cursor")
        return value

    def check(self) -> None:
        """Refuse what the request tells of a page or a range though nobody may ask for it. Raises a 422 `Problem`."""
        _ = self.range, self.limit, self.cursor

    def page(self, items: Sequence[Any], keys: Sequence[list[Any]]) -> dict[str, Any]:
        """One page of a list that is in the order of `keys`; the cursor is the key of its last item."""
        after, limit = self.cursor, self.limit
        begin = 0
        if after is not None:
            try:
                begin = next((i for i, key in enumerate(keys) if key > after), len(keys))
            except TypeError as error:
                raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor") from error
        chosen = items[begin : begin + limit]
        more = begin + limit < len(items)
        return {"items": list(chosen), "next_cursor": encode_cursor(keys[begin + limit - 1]) if more else None}


def _may_be_in_cursor(value: Any) -> bool:
    """Whether a key of a list's order may hold it: what a column can be compared with."""
    return "\0" not in value if isinstance(value, str) else type(value) is int and value in INT64


def encode_cursor(key: Sequence[Any]) -> str:
    """An opaque cursor that continues after `key`."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def order_of(cursor: list[Any] | None) -> Order:
    """Where a page of events begins. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return BEGINNING
        case [int(at_us), str(event_id)]:
            return Order(at_us, event_id)
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")


@asynccontextmanager
async def reading(api: Api, request: Request, *, heavy: bool = False, log_end: bool = False) -> AsyncIterator[Reading]:
    """Check the key, wait for `after`, and open a snapshot.

    `heavy` reads gather the touches of whole campaigns; see `Gate`. With `log_end`, the log is asked where it ends, before
    the snapshot: nothing is waited for within one.
    """
    access = await allow(request, api.keys, "read", "server", "admin")
    check(request)
    after = _after(request.query_params.get("after"), access.workspace, api)
    if after and "generation" in request.query_params:
        raise Problem(
            422, "bad_parameter", "`after` waits for the live generation, and goes with no other", field="after"
        )
    partition = partition_of(access.workspace, api.partitions)
    for _ in range(FLIPS_MAX):
        if after and not await api.progress.passes(after.partition, after.offset, AFTER_WAIT_S):
            raise unavailable(f"the projection has not passed `after` within {AFTER_WAIT_S:g} s")
        end_offset = await api.log_end.of(partition) if log_end else None
        async with (
            api.gate.connection(heavy=heavy) as raw,
            snapshot_on(raw, access.workspace, request.query_params) as read,
        ):
            # another generation may just have become the live one
            if after is None or read.as_of.offset >= after.offset:
                read.log_end_offset = end_offset
                read.position = api.positions.tell(access.workspace, read.as_of)
                read.of_operator = access.workspace == OPERATOR_WORKSPACE
                yield read
                return
    raise unavailable("the projection has passed `after`, and then another that has not took its place")


@asynccontextmanager
async def snapshot(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, query: QueryParams) -> AsyncIterator[Reading]:
    """As `snapshot_on`, on a connection of a pool, without bounds: for commands."""
    async with pool.acquire() as raw, snapshot_on(raw, workspace, query) as read:
        yield read


@asynccontextmanager
async def snapshot_on(
    raw: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", workspace: str, query: QueryParams
) -> AsyncIterator[Reading]:
    """Open a snapshot of a workspace on a connection, in the live generation or the one that the query names.

    Raises `NoGeneration` or `WrongShape`, or a 404 `Problem` if there is none of that name.
    """
    async with raw.transaction(isolation="repeatable_read", readonly=True):
        generation = await _generation(raw, workspace, query.get("generation"))
        connection = Connection(raw, generation.name)
        partition = partition_of(workspace, generation.partitions)
        offset = await connection.fetchval(PROGRESS, partition) or 0
        ws = await raw.fetchval(WORKSPACE, workspace) or 0
        body = await connection.fetchval(SETTINGS, ws)
        settings = msgspec.convert(body, Settings) if body else Settings()
        read = Reading(connection, ws, Position(partition, offset), settings, query)
        read.check()
        yield read


async def _generation(connection: Any, workspace: str, name: str | None) -> Generation:
    if name is None:
        return await live_generation(connection)
    try:
        return await named_generation(connection, name, workspace)
    except NoGeneration as error:
        raise not_found("generation", name) from error


def _after(after: str | None, workspace: str, api: Api) -> Position | None:
    """The position that an answer must show. Raises a 422 `Problem`."""
    if after is None:
        return None
    try:
        position = api.positions.read(workspace, after)
    except ValueError as error:
        raise Problem(422, "bad_parameter", str(error), field="after") from error
    if position.partition != partition_of(workspace, api.partitions):
        raise Problem(422, "bad_parameter", "`after` is a position of another workspace", field="after")
    return position


def answer(read: Reading, body: dict[str, Any]) -> Response:
    """JSON with the position that it shows, as `as_of` and as `ETag`."""
    etag = f'"{read.generation}/{read.position}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    return Response(orjson.dumps({**body, "as_of": read.position}), media_type="application/json", headers=headers)


def not_found(what: str, name: str) -> Problem:
    """404 that says what there is none of."""
    return Problem(404, "not_found", f"there is no {what} {name!r}")
