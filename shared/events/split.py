"""Which events does a request body hold? One object, an array, `{"sent_at"?: ..., "events": [...]}`, or NDJSON lines; undecoded.

msgspec splits the body. Where that fails, because an event is nested too deeply or the list has millions of elements, this file
splits the body symbol by symbol, so that the valid events are not lost and little memory is used.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from shared.events.instants import to_micros, to_rfc3339
from shared.events.limits import (
    EVENTS_PER_REQUEST_MAX,
    REQUEST_COMMAS_MAX,
    REQUEST_DEPTH_SYMBOLS_MAX,
    REQUEST_LINES_MAX,
)
from shared.events.refusal import UNDECODABLE, BadRequest
from shared.events.types import Instant

Part = bytes | msgspec.Raw

_decode_any = msgspec.json.Decoder().decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_instant = msgspec.json.Decoder(Instant).decode
_encode = msgspec.json.Encoder().encode
_SYMBOL = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]++|[\]}]|,', re.DOTALL)  # of opening brackets, a run at once
_MEMBER = re.compile(rb'\s*("(?:[^"\\]++|\\.)*+")\s*:\s*', re.DOTALL)
_SPACE = b" \t\r\n"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0", b"[\0", b"\0")


class Sent(NamedTuple):
    """The events of a request, still undecoded, and the request's `sent_at`, the sender's clock at sending, if it has one."""

    parts: list[Part]
    sent_at_us: int | None


def is_wide(body: bytes) -> bool:
    """Whether JSON is UTF-16 or UTF-32, by its first bytes: letters have zero bytes then."""
    return body.startswith(_WIDE) and body.count(0, 0, 200) * 4 >= min(len(body), 200)


def split_request(body: bytes, *, ndjson: bool) -> list[Part]:
    """The events of `read_request`."""
    return read_request(body, ndjson=ndjson).parts


def read_request(body: bytes, *, ndjson: bool) -> Sent:
    """The events of a request body, and what it says of all of them.

    A byte order mark of UTF-8 before it is ignored. Raises `BadRequest` where the body has none of these forms, holds too many events, or
    `sent_at` is not an instant.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    parts, sent_at = (_lines(body), None) if ndjson else _parts(body)
    if not parts:
        raise BadRequest("no_events", "the body holds no event")
    if len(parts) > EVENTS_PER_REQUEST_MAX:
        raise _too_many(f"{len(parts)}")
    return Sent(list(parts), _sent_at_us(sent_at))


def with_sent_at(part: Part, sent_at_us: int | None) -> bytes:
    """A refused event as it is stored: with the `sent_at` of its request, so that it can be sent again."""
    raw = bytes(part)
    if sent_at_us is None or b'"sent_at"' in raw:
        return raw
    try:
        return _encode({**_decode_object(raw), "sent_at": to_rfc3339(sent_at_us)})
    except UNDECODABLE:
        return raw  # not a JSON object: it is stored as sent


def array_elements(body: bytes, elements_max: int) -> list[Part]:
    """The elements of a JSON array, undecoded, also elements that are not valid; a body that is not an array is one element.

    Raises `BadRequest` where there are more than `elements_max`, or where the end of the array cannot be found.
    """
    body = body.strip(_SPACE)
    if body[:1] != b"[":
        return [body]
    if body.count(b",") <= REQUEST_COMMAS_MAX:
        try:
            parts = list(_decode_list(body))
        except UNDECODABLE:
            pass  # one element is not JSON, or nested too deeply; the others may be valid
        else:
            if len(parts) > elements_max:
                raise _too_many(f"{len(parts)}", elements_max)
            return list(parts)
    if not body.endswith(b"]"):
        raise BadRequest("not_json", "the body is not valid JSON: its array does not end")
    return list(_elements(body, elements_max))


def _sent_at_us(sent_at: Part | None) -> int | None:
    if sent_at is None or sent_at == b"null":
        return None
    try:
        return to_micros(_decode_instant(sent_at))
    except UNDECODABLE as error:
        raise BadRequest(
            "bad_value", f"`sent_at` of the request must be an RFC 3339 instant with zone: {error}"
        ) from error


def _wide() -> BadRequest:
    return BadRequest("not_json", "the body is UTF-16 or UTF-32; JSON is UTF-8")


def _too_many(how_many: str, events_max: int = EVENTS_PER_REQUEST_MAX) -> BadRequest:
    return BadRequest("too_many_events", f"{how_many} events; a request takes {events_max} at most")


def _lines(body: bytes) -> Sequence[Part]:
    if body.count(b"\n") + body.count(b"\r") > REQUEST_LINES_MAX:
        raise BadRequest("too_many_events", f"a request has {REQUEST_LINES_MAX} lines at most, empty ones among them")
    lines = [line for line in body.splitlines() if line.strip()]
    if lines and all(map(is_wide, lines)):  # else the lines that are UTF-8 can be read
        raise _wide()
    return lines


def _parts(body: bytes) -> tuple[Sequence[Part], Part | None]:
    """The events, and the undecoded `sent_at` beside them."""
    if is_wide(body):
        raise _wide()
    start = body.lstrip(_SPACE)[:1]
    if start not in (b"[", b"{"):
        raise BadRequest("not_json", "the body must be a JSON object, an array of events, or NDJSON")
    try:
        if len(body) > REQUEST_COMMAS_MAX and body.count(b",") > REQUEST_COMMAS_MAX:
            return _by_hand(body, start)
        if start == b"[":
            return _decode_list(body), None
        outer = _decode_object(body)
        if "events" not in outer or "type" in outer:
            return [body], None
        return _decode_list(outer["events"]), outer.get("sent_at")
    except RecursionError:
        return _by_hand(body, start)
    except UNDECODABLE as error:
        raise BadRequest("not_json", f"the body is not valid JSON: {error}") from error


def _by_hand(body: bytes, start: bytes) -> tuple[Sequence[Part], Part | None]:
    """Like `_parts`, without recursion; the content of the parts is not checked. Raises `BadRequest`."""
    body = body.strip(_SPACE)
    if start == b"[":
        return _elements(body), None
    members: dict[str, bytes] = {}
    try:
        elements = _elements(body)
    except BadRequest as error:
        if error.code == "too_many_events":  # a single event with so many fields; it is refused later
            return [body], None
        raise
    for element in elements:
        name = _MEMBER.match(element)
        try:
            members[_decode_any(name[1] if name else b"")] = element[name.end() if name else 0 :]
        except UNDECODABLE as error:
            raise BadRequest("not_json", f"the body is not valid JSON: {error}") from error
    if "events" not in members or "type" in members:
        return [body], None
    if members["events"][:1] != b"[":
        raise BadRequest("not_json", "`events` must be an array")
    return _elements(members["events"].strip(_SPACE)), members.get("sent_at")


def _elements(body: bytes, elements_max: int = EVENTS_PER_REQUEST_MAX) -> list[bytes]:
    """The parts between the commas at the first level of an array or object. Raises `BadRequest`."""
    out: list[bytes] = []
    begin = 1
    for at, end in _separators(body):
        out.append(body[begin:at].strip(_SPACE))
        begin = at + 1
        if len(out) > elements_max:
            raise _too_many(f"more than {elements_max}", elements_max)
        if end:
            if at != len(body) - 1:
                raise BadRequest("not_json", "the body is not valid JSON: there is more behind its end")
            return [] if out == [b""] else out
    raise BadRequest("not_json", "the body is not valid JSON: it ends too early")


def _separators(body: bytes) -> Iterator[tuple[int, bool]]:
    """The positions of the commas at the first level, and of its end."""
    depth = 0
    for count, symbol in enumerate(_SYMBOL.finditer(body)):
        if count > REQUEST_DEPTH_SYMBOLS_MAX:
            raise BadRequest("not_json", "the body is nested too deeply to be read")
        first = body[symbol.start()]
        if first in b"[{":
            depth += symbol.end() - symbol.start()
        elif first in b"]}":
            depth -= 1
            if depth == 0:
                yield symbol.start(), True
                return
        elif first == ord(",") and depth == 1:
            yield symbol.start(), False
