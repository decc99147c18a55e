"""How is a request that reads answered? Its key says of which workspace; one snapshot gives the whole answer.

What the parameters ask for is read here, and what `shared.reading` raises becomes an answer of HTTP here.
"""

import datetime as dt
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import orjson
from fastapi import Request, Response
from starlette.datastructures import QueryParams

from services.api.csv_answers import Form, csv_of, form_of, headers_of, items_of
from services.api.etags import DependsOn, NotModified, is_held, tag_before, tag_of
from services.api.etags import headers_of as validator_headers
from services.api.progress import LogEnd, ProjectionPosition
from services.api.read_limits import Gate
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.events.instants import BEGINNING_US, END_US, to_micros, to_rfc3339
from shared.log.port import Position, partition_of
from shared.reading.cursors import decode_cursor, encode_cursor
from shared.reading.defined_models import names_known
from shared.reading.intervals import INTERVALS, TooManyPoints, bounded, divided, range_before, year_before
from shared.reading.keyset import Ordering
from shared.reading.limits import LIMIT_DEFAULT, LIMIT_MAX
from shared.reading.snapshot import NotFound, Snapshot, snapshot_on
from shared.reading.time_range import TimeRange
from shared.rules.models import MODELS
from shared.rules.order import BEGINNING, Order
from shared.sealing.reveal import pseudonyms_of
from shared.sealing.vault import Vault
from shared.web.access import allow
from shared.web.parameters import check
from shared.web.problems import Problem, unavailable

AFTER_WAIT_S = 5.0  # how long a read waits for a position
FLIPS_MAX = 10  # how often another generation may become the live one while a read waits for a position
DIGITS_MAX = 4  # of a `limit`


@dataclass
class Api:
    """What the routes need of the process. `gate` gives connections that only reads use, so that no writer waits for a slow read."""

    gate: Gate
    progress: ProjectionPosition
    keys: KeyRing
    log_end: LogEnd
    partitions: int
    positions: Positions
    vault: Vault | None = None
    """Who the contacts of a sealed store are; None if the store is not sealed."""


def _range(from_: str | None, to: str | None, zone: ZoneInfo) -> TimeRange:
    """The range that two parameters ask for. Raises a 422 `Problem`."""
    span = TimeRange(
        BEGINNING_US if from_ is None else _instant(from_, "from", zone),
        END_US if to is None else _instant(to, "to", zone),
    )
    if span.from_us >= span.to_us:
        raise Problem(422, "bad_parameter", "`from` must be before `to`", field="from")
    return span


def _instant(text: str, field: str, zone: ZoneInfo) -> int:
    """The microseconds of an RFC 3339 instant, or of the beginning of a day in the zone. Raises a 422 `Problem`."""
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


@dataclass
class ReadRequest:
    """A request that reads: what it asks for, and a snapshot of its workspace to answer from."""

    snapshot: Snapshot
    query: QueryParams
    position: str
    """The position of the snapshot, as the workspace may know it."""
    of_operator: bool
    """Whether the workspace is the operator's, which may know what others send."""
    vault: Vault | None
    workspace: str
    log_end_offset: int | None
    """The offset that the next event will get, as it was just before the snapshot; None if nobody asked or knows."""
    client_request: "ClientRequest | None" = None
    """How the answer is to be written, and its tag; None where nothing is answered over HTTP."""
    models_known: Sequence[str] = tuple(MODELS)
    """The published models, and those of the workspace if the request names one that is not published."""

    @property
    def range(self) -> TimeRange:
        """The parameters `from` and `to`. Raises a 422 `Problem`."""
        return _range(self.query.get("from"), self.query.get("to"), self.snapshot.zone)

    @property
    def compared(self) -> TimeRange | None:
        """The range that the parameter `compare` asks for beside `range`; None without it. Raises a 422 `Problem`."""
        text = self.query.get("compare")
        if text is None:
            return None
        if text in ("previous", "year"):
            span = self.range
            if span.from_us == BEGINNING_US or span.to_us == END_US:
                raise Problem(422, "bad_parameter", f"`compare={text}` needs `from` and `to`", field="compare")
            try:
                span_before = range_before(span) if text == "previous" else year_before(span, self.snapshot.zone)
                to_rfc3339(span_before.from_us)
            except (ValueError, OverflowError) as error:
                raise Problem(
                    422, "bad_parameter", "the range to compare with begins before the first year", field="compare"
                ) from error
            return span_before
        from_, dots, to = text.partition("..")
        if not dots:
            raise Problem(
                422,
                "bad_parameter",
                f"`compare` must be previous, year or FROM..TO, not {text[:100]!r}",
                field="compare",
            )
        zone = self.snapshot.zone
        span_before = TimeRange(_instant(from_, "compare", zone), _instant(to, "compare", zone))
        if span_before.from_us >= span_before.to_us:
            raise Problem(422, "bad_parameter", "in `compare`, FROM must be before TO", field="compare")
        return span_before

    def intervals(self) -> list[TimeRange]:
        """The intervals of the parameter `interval` that the range has. Raises a 422 `Problem`."""
        interval, zone = self.choice("interval", INTERVALS, "day"), self.snapshot.zone
        try:
            return divided(bounded(self.range, interval, time.time_ns() // 1000, zone), interval, zone)
        except TooManyPoints as error:
            raise Problem(422, "bad_parameter", str(error), field="interval") from error

    @property
    def model(self) -> str:
        """The parameter `model`. Raises a 422 `Problem`."""
        return self.choice("model", self.models_known, "linear")

    @property
    def models(self) -> list[str]:
        """The parameter `model`, where several may be given, each once. Raises a 422 `Problem`."""
        return self.models_or(())

    def models_or(self, more: Sequence[str]) -> list[str]:
        """As `models`, where `more` models may be given, too."""
        names = list(dict.fromkeys(self.query.getlist("model"))) or ["linear"]
        for name in names:
            self.check_among("model", name, [*self.models_known, *more])
        return names

    def choice(self, name: str, among: Sequence[str], default: str = "") -> str:
        """A parameter that must be one of a few words. Raises a 422 `Problem`."""
        value = self.query.get(name, default)
        self.check_among(name, value, among)
        return value

    def chosen(self, name: str, among: Sequence[str]) -> str | None:
        """As `choice`; None where the request does not name the parameter."""
        return self.choice(name, among) if name in self.query else None

    @staticmethod
    def check_among(name: str, value: str, among: Sequence[str]) -> None:
        """Refuse a parameter's value that is none of a few words. Raises a 422 `Problem`."""
        if value not in among:
            raise Problem(
                422, "bad_parameter", f"`{name}` must be one of {', '.join(among)}, not {value[:100]!r}", field=name
            )

    async def contact(self, name: str) -> str:
        """The name by which rows know a contact that the request names: in a sealed store, its pseudonym."""
        return (await pseudonyms_of(self.vault, self.workspace, name))[0]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Whether a parameter says neither 0 nor false; `default` if it is not there."""
        return self.query.get(name, str(default)).lower() not in ("false", "0")

    @property
    def limit(self) -> int:
        """The parameter `limit`: how many items a page has at most. Raises a 422 `Problem`."""
        text = self.query.get("limit", str(LIMIT_DEFAULT))
        if not text.isdecimal() or len(text) > DIGITS_MAX or not 1 <= int(text) <= LIMIT_MAX:
            raise Problem(
                422, "bad_parameter", f"`limit` must be from 1 to {LIMIT_MAX}, not {text[:20]!r}", field="limit"
            )
        return int(text)

    @property
    def cursor(self) -> list[Any] | None:
        """The parameter `cursor`: the key of the last item of the page before, None for the first page. Raises a 422 `Problem`."""
        text = self.query.get("cursor")
        if text is None:
            return None
        try:
            return decode_cursor(text)
        except ValueError as error:
            raise Problem(
                422, "bad_parameter", "`cursor` is not one that an answer of this service had", field="cursor"
            ) from error

    def after_key(self, order: Ordering) -> list[Any] | None:
        """The key of the last item of the page before, for a list in an order. Raises a 422 `Problem`."""
        key = self.cursor
        if key is not None and not order.fits(key):
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")
        return key

    def page_of(self, items: Sequence[Any], keys: Sequence[list[Any]]) -> dict[str, Any]:
        """One page of a list of which one item more than `limit` was read, so that it is known whether another page follows."""
        more = len(items) > self.limit
        return {
            "items": list(items[: self.limit]),
            "next_cursor": encode_cursor(keys[self.limit - 1]) if more else None,
        }

    def check(self) -> None:
        """Refuse a page or a range that is badly asked for, whether or not the answer has them. Raises a 422 `Problem`."""
        _ = self.range, self.limit, self.cursor

    def page(self, items: Sequence[Any], keys: Sequence[list[Any]]) -> dict[str, Any]:
        """One page of a list. Item i has the key i of `keys`, which are in order.

        Raises a 422 `Problem`.
        """
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


@dataclass(frozen=True)
class ClientRequest:
    """The request itself, how its answer is to be written, and the answer's tag; None: it is a digest of the answer."""

    request: Request
    form: Form
    etag: str | None

    def end_if_held(self) -> None:
        """Raise `NotModified` if the client has the answer with this tag."""
        if self.etag is not None and is_held(self.request, self.etag):
            raise NotModified(self.etag)


def order_of(cursor: list[Any] | None) -> Order:
    """The event after which a page of events begins, by the cursor. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return BEGINNING
        case [int(at_us), str(event_id)]:
            return Order(at_us, event_id)
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")


@asynccontextmanager
async def read_request(
    api: Api,
    request: Request,
    *,
    heavy: bool = False,
    log_end: bool = False,
    depends_on: DependsOn | None = None,
    waits: bool = True,
) -> AsyncIterator[ReadRequest]:
    """Check the key and the parameters, wait for `after`, and open a snapshot.

    `heavy` reads gather the touches of whole campaigns; see `Gate`. With `log_end`, the log is asked where it ends, before
    the snapshot: nothing is waited for within one. `depends_on` says what the answer is made of; None: of rows, and with `log_end`
    of the clock too. Without `waits`, `after` is no position but the route's own. If the client has an answer that is still right, this ends here with `NotModified`, and nothing is worked out.
    Raises a `Problem`: 401 and 403 of the key, 404 where `shared.reading` finds nothing, 406 for CSV of what is no list, 422 of the
    parameters, 503 of what cannot be read in time.
    """
    access = await allow(request, api.keys, "read", "server", "admin")
    check(request)
    form = form_of(request)
    depends_on = depends_on or (DependsOn.ROWS_AND_CLOCK if log_end else DependsOn.ROWS)
    after = _after(request.query_params.get("after"), access.workspace, api) if waits else None
    if after and "generation" in request.query_params:
        raise Problem(
            422,
            "bad_parameter",
            "`after` waits for the live generation; it cannot be used with another one",
            field="after",
        )
    partition = partition_of(access.workspace, api.partitions)
    for _ in range(FLIPS_MAX):
        if after and not await api.progress.passes(access.workspace, after, AFTER_WAIT_S):
            raise unavailable(f"the projection has not passed `after` within {AFTER_WAIT_S:g} s")
        end_offset = await api.log_end.of(partition) if log_end else None
        try:
            if heavy and "if-none-match" in request.headers and depends_on is not DependsOn.MORE:
                await _end_if_held(
                    api, request, access.workspace, after, depends_on, form
                )  # without a heavy read's turn
            async with (
                api.gate.connection(heavy=heavy) as raw,
                snapshot_on(raw, access.workspace, request.query_params.get("generation")) as snapshot,
            ):
                # another generation may just have become the live one
                if _shows(snapshot, after):
                    position = api.positions.write(access.workspace, snapshot.as_of)
                    of_operator = access.workspace == OPERATOR_WORKSPACE
                    models = await _models(snapshot, request.query_params.getlist("model"))
                    read = ReadRequest(
                        snapshot,
                        request.query_params,
                        position,
                        of_operator,
                        api.vault,
                        access.workspace,
                        end_offset,
                        models_known=models,
                    )
                    read.client_request = ClientRequest(
                        request, form, tag_before(request, snapshot, api.positions, depends_on, form)
                    )
                    read.check()
                    read.client_request.end_if_held()
                    yield read
                    return
        except NotFound as error:
            raise Problem(404, "not_found", str(error)) from error
    raise unavailable("the live generation was replaced by one that is not projected up to `after` yet")


async def _end_if_held(
    api: Api, request: Request, workspace: str, after: Position | None, depends_on: DependsOn, form: Form
) -> None:
    """Look by a light read whether the client has the answer of a heavy one. Raises `NotModified` if so."""
    generation = request.query_params.get("generation")
    async with api.gate.connection(heavy=False) as raw, snapshot_on(raw, workspace, generation) as snapshot:
        if _shows(snapshot, after):
            ClientRequest(request, form, tag_before(request, snapshot, api.positions, depends_on, form)).end_if_held()


def _shows(snapshot: Snapshot, after: Position | None) -> bool:
    """Whether a snapshot has all events before a position, and the settings that were set before it."""
    return after is None or (snapshot.as_of.offset >= after.offset and not snapshot.lacks_settings(after.offset))


async def _models(snapshot: Snapshot, named: Sequence[str]) -> Sequence[str]:
    """The models that a request may name; those that the workspace has defined are read only if it names one."""
    if all(name in MODELS for name in named):
        return tuple(MODELS)
    return await names_known(snapshot)


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


def answer(read: ReadRequest, body: dict[str, Any]) -> Response:
    """An answer in JSON or, for a list, in CSV. It has the position that it shows, as `as_of`, and the `ETag` of what it depends on.

    Raises `NotModified` if the client turns out to have it.
    """
    client_request, etag = _tagged(read, body)
    headers = validator_headers(etag)
    if client_request.form == "json":
        content = orjson.dumps({**body, "as_of": read.position})
        return Response(content, media_type="application/json", headers=headers)
    content = csv_of(
        client_request.request.scope["route"].path,
        items_of(body, first_page="cursor" not in read.query),
        client_request.form,
    )
    headers |= headers_of(client_request.request, body, read.position)
    return Response(content, media_type="text/csv; charset=utf-8; header=present", headers=headers)


def answer_of(read: ReadRequest, body: dict[str, Any]) -> Response:
    """As `answer` in JSON, without `as_of`: for shapes that are not ours."""
    _, etag = _tagged(read, body)
    return Response(orjson.dumps(body), media_type="application/json", headers=validator_headers(etag))


def _tagged(read: ReadRequest, body: dict[str, Any]) -> "tuple[ClientRequest, str]":
    """How the answer is to be written, and its tag. Raises `NotModified` if the client turns out to have it."""
    client_request = read.client_request
    assert client_request is not None
    etag = client_request.etag or tag_of(read.snapshot, orjson.dumps([body, client_request.form]))
    ClientRequest(client_request.request, client_request.form, etag).end_if_held()
    return client_request, etag
