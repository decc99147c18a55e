"""Which messages does a request of Segment's API hold? Each as bytes that `shared.producers.segment` reads by itself.

What a batch says for all of its messages (`context`, `integrations`, `sentAt`) is put into each; what a message says itself
wins. Write keys are taken out: they are secrets, and a message is kept.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import msgspec

from shared.events.limits import (
    SEGMENT_BATCH_BYTES_MAX,
    SEGMENT_BATCH_EVENTS_MAX,
    SEGMENT_CALL_BYTES_MAX,
    SEGMENT_SHARED_BYTES_MAX,
)
from shared.events.refusal import UNDECODABLE, BadRequest

SHARED = ("context", "integrations")
FORM_FIELDS_MAX = 100  # of a form-encoded body: the message, the key and what an SDK adds
KEY = "writeKey"

Fields = dict[str, msgspec.Raw]

_fields: Callable[[bytes | msgspec.Raw], Fields] = msgspec.json.Decoder(Fields).decode
_items: Callable[[bytes | msgspec.Raw], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text: Callable[[bytes | msgspec.Raw], str] = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_NOTHING = (b"null", b'""')


@dataclass(frozen=True, slots=True)
class Body:
    """A request's messages as they came, the fields that a batch gives for all of them, and the write key that stands in it, if any does."""

    messages: list[msgspec.Raw]
    batch_fields: Fields
    key: str | None


def read_body(body: bytes, *, batch: bool) -> Body:
    """Split a body into its messages. Raises `BadRequest`: it is no JSON, or longer or of more messages than is allowed."""
    form_key, body = _unwrapped(body.removeprefix(b"\xef\xbb\xbf").strip())
    bytes_max = SEGMENT_BATCH_BYTES_MAX if batch else SEGMENT_CALL_BYTES_MAX
    if len(body) > bytes_max:
        raise BadRequest(
            "too_large", f"{len(body):,} bytes; a {'batch' if batch else 'call'} has {bytes_max:,} at most"
        )
    try:
        if batch and body[:1] == b"[":  # a form's field has only the list
            body_fields, messages = Fields(), _items(body)
        else:
            body_fields = _fields(body)
            messages = _items(body_fields["batch"]) if batch else [msgspec.Raw(body)]
    except KeyError as error:
        raise BadRequest("missing_field", "a batch is an object with `batch`, a list of messages") from error
    except UNDECODABLE as error:
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest("not_json", f"the body is not a JSON object of messages: {text}"[:1_000]) from error
    if len(messages) > SEGMENT_BATCH_EVENTS_MAX:
        raise BadRequest(
            "too_many_events", f"{len(messages):,} messages; a batch has {SEGMENT_BATCH_EVENTS_MAX:,} at most"
        )
    shared_bytes = sum(len(bytes(body_fields[name])) for name in SHARED if name in body_fields)
    if batch and shared_bytes * len(messages) > SEGMENT_SHARED_BYTES_MAX:
        most = f"{SEGMENT_SHARED_BYTES_MAX:,}"
        raise BadRequest(
            "too_large",
            f"a `context` of {shared_bytes:,} bytes for {len(messages):,} messages: {most} bytes at most in all",
        )
    return Body(
        messages, body_fields if batch else Fields(), _key_in(body_fields) or form_key or _key_of_items(messages)
    )


def message_of(raw: msgspec.Raw, body_fields: Fields, call: str | None, new_id: Callable[[], str]) -> bytes:
    """One message, whole by itself: with what the request says of all, the `type` of its path, and an id if it has none.

    What is no JSON object is answered as it came, for the reading to refuse.
    """
    try:
        own = _fields(raw)
    except UNDECODABLE:
        return bytes(raw)
    own.pop(KEY, None)
    if call is not None:
        own["type"] = msgspec.Raw(_encode(call))
    if _is_nothing(own.get("messageId")):
        own["messageId"] = msgspec.Raw(_encode(new_id()))
    if "sentAt" in body_fields and _is_nothing(own.get("sentAt")):
        own["sentAt"] = body_fields["sentAt"]
    for name in SHARED:
        if name in body_fields:
            own[name] = _merged(body_fields[name], own.get(name), 2)
    return _encode(own)


def _merged(of_all: msgspec.Raw, own: msgspec.Raw | None, depth: int) -> msgspec.Raw:
    """Two objects as one, down to `depth` objects within one another; what the second one says wins."""
    if own is None or bytes(own).strip() in _NOTHING:
        return of_all
    try:
        first, second = _fields(of_all), _fields(own)
    except UNDECODABLE:  # one of the two is no object: there is nothing to join
        return own
    for name, value in second.items():
        first[name] = _merged(first[name], value, depth - 1) if depth > 1 and name in first else value
    return msgspec.Raw(_encode(first))


def _is_nothing(raw: msgspec.Raw | None) -> bool:
    return raw is None or bytes(raw).strip() in _NOTHING


def _key_in(body_fields: Fields) -> str | None:
    try:
        return _text(body_fields[KEY]).strip() or None if KEY in body_fields else None
    except UNDECODABLE:
        return None


def _key_of_items(messages: list[msgspec.Raw]) -> str | None:
    """The key in the first message that has one."""
    for raw in messages:
        try:
            if (key := _key_in(_fields(raw))) is not None:
                return key
        except UNDECODABLE:
            continue
    return None


def _unwrapped(body: bytes) -> tuple[str | None, bytes]:
    """The JSON of a form-encoded body (`data=`, as JSON or in base64), with the key that stands beside it."""
    if body[:1] in (b"{", b"[", b'"') or b"=" not in body[:100]:
        return None, body
    try:
        form = dict(parse_qsl(body.decode(), max_num_fields=FORM_FIELDS_MAX))
    except ValueError:
        return None, body
    data = form.get("data") or form.get("batch")
    if data is None:
        return None, body
    return form.get(KEY) or form.get("write_key"), _from_base64(data.strip())


def _from_base64(data: str) -> bytes:
    if data[:1] in ("{", "["):
        return data.encode()
    letters = data.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except binascii.Error:
        return data.encode()
