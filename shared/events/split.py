"""Which events does a request body hold? One object, an array, `{"events": [...]}`, or NDJSON lines; still undecoded.

A body is split by msgspec, at once. Where that fails because one event in it is nested beyond the stack, or would make a list
of millions, the body is split symbol by symbol, so that the good events beside it are not lost and memory is not spent.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from shared.events.limits import (
    EVENTS_PER_REQUEST_MAX,
    REQUEST_COMMAS_MAX,
    REQUEST_DEPTH_SYMBOLS_MAX,
    REQUEST_LINES_MAX,
)
from shared.events.refusal import UNDECODABLE, BadRequest

Part = bytes | msgspec.Raw

_decode_any = msgspec.json.Decoder().decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SYMBOL = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]++|[\]}]|,', re.DOTALL)  # of opening brackets, a run at once
_MEMBER = re.compile(rb'\s*("(?:[^"\\]++|\\.)*+")\s*:\s*', re.DOTALL)
_SPACE = b" \t\r\n"


def split_request(body: bytes, *, ndjson: bool) -> list[Part]:
    """The events of a request body, still undecoded.

    Raises `BadRequest` where the body is none of what it may be or holds too many events.
    """
    parts = _lines(body) if ndjson else _parts(body)
    if not parts:
        raise BadRequest("no_events", "the body holds no event")
    if len(parts) > EVENTS_PER_REQUEST_MAX:
        raise _too_many(f"{len(parts)}")
    return list(parts)


def _too_many(how_many: str) -> BadRequest:
    return BadRequest("too_many_events", f"{how_many} events; a request takes {EVENTS_PER_REQUEST_MAX} at most")


def _lines(body: bytes) -> Sequence[Part]:
    if body.count(b"\n") + body.count(b"\r") > REQUEST_LINES_MAX:
        raise BadRequest("too_many_events", f"a request has {REQUEST_LINES_MAX} lines at most, empty ones among them")
    return [line for line in body.splitlines() if line.strip()]


def _parts(body: bytes) -> Sequence[Part]:
    start = body.lstrip(_SPACE)[:1]
    if start not in (b"[", b"{"):
        raise BadRequest("not_json", "the body must be a JSON object, an array of events, or NDJSON")
    try:
        if len(body) > REQUEST_COMMAS_MAX and body.count(b",") > REQUEST_COMMAS_MAX:
            return _by_hand(body, start)
        if start == b"[":
            return _decode_list(body)
        outer = _decode_object(body)
        return _decode_list(outer["events"]) if "events" in outer and "type" not in outer else [body]
    except RecursionError:
        return _by_hand(body, start)
    except UNDECODABLE as error:
        raise BadRequest("not_json", f"the body is not valid JSON: {error}") from error


def _by_hand(body: bytes, start: bytes) -> Sequence[Part]:
    """As `_parts`, without recursion. What each part holds is not looked at. Raises `BadRequest`."""
    body = body.strip(_SPACE)
    if start == b"[":
        return _elements(body)
    members: dict[str, bytes] = {}
    try:
        elements = _elements(body)
    except BadRequest as error:
        if error.code == "too_many_events":  # one event with as many fields; it is refused by itself
            return [body]
        raise
    for element in elements:
        name = _MEMBER.match(element)
        try:
            members[_decode_any(name[1] if name else b"")] = element[name.end() if name else 0 :]
        except UNDECODABLE as error:
            raise BadRequest("not_json", f"the body is not valid JSON: {error}") from error
    if "events" not in members or "type" in members:
        return [body]
    if members["events"][:1] != b"[":
        raise BadRequest("not_json", "`events` must be an array")
    return _elements(members["events"].strip(_SPACE))


def _elements(body: bytes) -> list[bytes]:
    """What the commas of an array or object separate, at its first level. Raises `BadRequest`."""
    out: list[bytes] = []
    begin = 1
    for at, end in _separators(body):
        out.append(body[begin:at].strip(_SPACE))
        begin = at + 1
        if len(out) > EVENTS_PER_REQUEST_MAX:
            raise _too_many(f"more than {EVENTS_PER_REQUEST_MAX}")
        if end:
            if at != len(body) - 1:
                raise BadRequest("not_json", "the body is not valid JSON: there is more behind its end")
            return [] if out == [b""] else out
    raise BadRequest("not_json", "the body is not valid JSON: it ends too early")


def _separators(body: bytes) -> Iterator[tuple[int, bool]]:
    """Where the first level has a comma, and where it ends."""
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
