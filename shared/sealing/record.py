"""How does a record of the log change when its event is sealed? What is not sealed keeps its bytes: a number keeps its digits.

Most events are written without escapes, and without white space but after a colon. In them, each value is replaced where it stands. Any other event
is taken apart into its fields. Which of the two is done follows from the record alone, so equal records are sealed to equal bytes.
"""

from typing import Any

import msgspec

from shared.events.codec import KeyClass
from shared.sealing.fields import SETTINGS, PersonalFields, Sealed


class _Read(msgspec.Struct, gc=False):
    event: PersonalFields


class RecordByField(msgspec.Struct, omit_defaults=True, gc=False):
    """A `shared.events.codec.Record` whose event is a mapping of its fields to their JSON."""

    v: int
    key: KeyClass
    received_at: int
    event: dict[str, msgspec.Raw]
    id: str | None = None
    occurred_at: int | None = None
    user_agent: str | None = None
    sealed: dict[str, str] | None = None
    key_hint: str | None = None


_decode_personal_fields = msgspec.json.Decoder(_Read).decode
_decode_record = msgspec.json.Decoder(RecordByField).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def personal_fields_of(value: bytes) -> PersonalFields:
    """What the event of a record says of persons. Raises one of `UNDECODABLE` where the record does not hold one."""
    return _decode_personal_fields(value).event


def with_changes(value: bytes, sealed: Sealed) -> bytes:
    """The record with its event sealed."""
    spliced = _spliced(value, sealed)
    return _by_field(value, sealed) if spliced is None else spliced


def _spliced(value: bytes, sealed: Sealed) -> bytes | None:
    """The record with each value replaced where it stands; None if a value cannot be found with certainty.

    In a record without a backslash, the text `"url"` is the name of a field or is a string. If the record has it once, and the event has
    the field, then it is that field's name.
    """
    if b"\\" in value:
        return None
    for field, sent, stored in sealed.changes:
        if field == SETTINGS:
            return None
        parts = value.split(field)
        if len(parts) != 2:  # what is before the name, and what is after it
            return None
        before, after = parts
        if not after.startswith(b":" + sent):
            if not after.startswith(b": " + sent):  # as some libraries write it
                return None
            after = after[1:]
        value = before + field + b":" + stored + after[len(sent) + 1 :]
    if sealed.beside is None:
        return value
    return None if b'"sealed"' in value else value[:-1] + b',"sealed":' + _encode(sealed.beside) + b"}"


def _by_field(value: bytes, sealed: Sealed) -> bytes:
    record = _decode_record(value)
    event: dict[str, Any] = record.event
    for name, _, stored in sealed.changes:
        field, new_value = name[1:-1].decode(), msgspec.Raw(stored)
        event[field] = (
            {**_decode_fields(event[field]), "internal_domains": new_value} if name == SETTINGS else new_value
        )
    record.sealed = sealed.beside or record.sealed
    return _encode(record)
