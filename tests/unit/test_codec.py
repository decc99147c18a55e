"""Is this an event, and if not, what is wrong and where?"""

import datetime as dt
import json
from pathlib import Path

import msgspec
import pytest

from shared.events.codec import (
    BadRequest,
    Record,
    Refusal,
    accept,
    canonical,
    decode_record,
    encode_event,
    encode_record,
    event_type,
    key_hint_of,
    split_request,
    uuid7,
)
from shared.events.instants import DAY_US, HOUR_US, to_micros, to_rfc3339
from shared.events.limits import EVENT_BYTES_MAX, EVENTS_PER_REQUEST_MAX
from shared.events.types import EVENT_TYPES

NOW_US = to_micros(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
GOLDEN = Path(__file__).parent / "golden"
VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/"}


def take(event: object, key: str = "server") -> Record | Refusal:
    return accept(json.dumps(event).encode(), 3, key, NOW_US, "UA/1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        ({"type": "page_visited", "url": "u"}, "missing_field", "visitor_id"),
        ({**VISIT, "visitor_id": 5}, "wrong_type", "visitor_id"),
        ({**VISIT, "nonsense": 1}, "unknown_field", "nonsense"),
        ({**VISIT, "visitor_id": ""}, "bad_value", "visitor_id"),
        ({**VISIT, "visitor_id": "v" * 257}, "bad_value", "visitor_id"),
        ({**VISIT, "contact": {"id": "7", "name": "Kari"}}, "unknown_field", "contact.name"),
        ({**VISIT, "contact": {}}, "bad_value", "contact"),
        ({**VISIT, "contact": {"email": "kari"}}, "bad_value", "contact"),
        ({**VISIT, "occurred_at": "2025-01-01T00:00:00"}, "bad_value", "occurred_at"),
        ({**VISIT, "occurred_at": "2026-01-02T00:00:00.000001Z"}, "in_the_future", "occurred_at"),
        ({**VISIT, "as_of": "2025-01-01T00:00:00"}, "bad_value", "as_of"),
        ({**VISIT, "as_of": "last week"}, "bad_value", "as_of"),
        ({**VISIT, "as_of": 1735689600}, "wrong_type", "as_of"),
        ({**VISIT, "as_of": "1899-12-31T23:59:59.999999Z"}, "bad_value", "as_of"),
        ({**VISIT, "as_of": "2026-01-02T00:00:00.000001Z"}, "in_the_future", "as_of"),
        ({**VISIT, "occurred_at": "2025-01-01T00:00:00Z", "as_of": "2027-01-01T00:00:00Z"}, "in_the_future", "as_of"),
        ({**VISIT, "title": "a\0b"}, "bad_value", None),
        ({"type": "nothing_known"}, "unknown_type", "type"),
        ({"visitor_id": "v"}, "missing_field", "type"),
        ([1], "wrong_type", None),
        ({"type": "deal_created", "deal_id": "d", "amount": 12.5}, "wrong_type", "amount"),
        ({"type": "deal_created", "deal_id": "d", "amount": "1,200"}, "bad_value", "amount"),
        ({"type": "deal_created", "deal_id": "d", "amount": "0.5", "currency": "JPY"}, "bad_value", "amount"),
        ({"type": "asset_registered", "asset_id": "a", "asset_type": "billboard"}, "bad_value", "asset_type"),
        ({**VISIT, "title": "x" * EVENT_BYTES_MAX}, "too_large", None),
        ({"type": "workspace_configured", "settings": {"time_zone": "Mars/Base"}}, "bad_value", "settings"),
    ],
)
def test_a_refusal_names_index_code_and_field(event: object, code: str, field: str | None) -> None:
    refusal = take(event)
    assert isinstance(refusal, Refusal)
    assert (refusal.index, refusal.code, refusal.field) == (3, code, field)


def test_an_instant_before_1900_is_a_mistake() -> None:
    assert isinstance(take({**VISIT, "occurred_at": "1900-01-01T00:00:00Z"}), Record)
    assert isinstance(take({**VISIT, "occurred_at": "1899-12-31T23:59:59.999999Z"}), Refusal)


@pytest.mark.parametrize(
    "raw", [b'{"type": ', b'{"type":"page_visited","visitor_id":"\xff","url":"u"}', b'{"id":"\\ud800"}']
)
def test_a_refusal_of_no_json_says_so(raw: bytes) -> None:
    refusal = accept(raw, 0, "server", NOW_US, None)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "not_json"


@pytest.mark.parametrize("age_us", [-24 * HOUR_US, 0, 400 * DAY_US])
def test_a_server_key_may_send_from_a_day_ahead_to_any_past(age_us: int) -> None:
    assert isinstance(take({**VISIT, "occurred_at": to_rfc3339(NOW_US - age_us)}), Record)


@pytest.mark.parametrize(("age_us", "code"), [(7 * DAY_US, None), (7 * DAY_US + 1, "too_old")])
def test_a_collect_key_may_send_seven_days_back_exactly(age_us: int, code: str | None) -> None:
    outcome = take({**VISIT, "occurred_at": to_rfc3339(NOW_US - age_us)}, "collect")
    assert getattr(outcome, "code", None) == code


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"type": "campaign_created", "campaign_id": "c"}, "type"),
        ({"type": "email_opened", "asset_id": "m", "contact": {"email": "a@b"}}, "type"),
        ({**VISIT, "contact": {"id": "7"}}, "contact.id"),
        ({**VISIT, "contact": {"id": "7", "email": "a@b"}}, "contact.id"),
        ({**VISIT, "as_of": "2025-12-31T00:00:00Z"}, "as_of"),
    ],
)
def test_a_collect_key_may_not(event: object, field: str) -> None:
    refusal = take(event, "collect")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == ("not_allowed_for_key", field)


def test_unknown_fields_of_a_collect_key_are_dropped() -> None:
    record = take({**VISIT, "session_replay": True, "contact": {"email": "a@b", "name": "A"}}, "collect")
    assert isinstance(record, Record)
    assert json.loads(bytes(record.event)) == {**VISIT, "contact": {"email": "a@b"}}


def test_a_collect_keys_event_ids_are_kept_apart() -> None:
    record = take({**VISIT, "id": "x"}, "collect")
    assert isinstance(record, Record)
    assert decode_record(encode_record(record)).event_id == "collect:x"


def test_what_the_server_fills_in_stands_beside_what_was_sent() -> None:
    record = take(VISIT, "collect")
    assert isinstance(record, Record)
    assert json.loads(bytes(record.event)) == VISIT
    arrived = decode_record(encode_record(record), 9)
    assert (arrived.occurred_at_us, arrived.user_agent, arrived.offset) == (NOW_US, "UA/1", 9)


def test_canonical_json_is_the_same_whatever_the_order_and_spaces() -> None:
    assert canonical(b'{"b": 1, "a": {"d": 2, "c": "\\u00e5"}}') == '{"a":{"c":"å","d":2},"b":1}'.encode()


def test_canonical_json_leaves_as_of_out_and_nothing_below_it() -> None:
    assert canonical(b'{"b": {"as_of": 1}, "as_of": "2025-01-01T00:00:00Z"}') == b'{"b":{"as_of":1}}'


def test_an_event_without_occurred_at_occurred_as_of_its_telling() -> None:
    record = take({**VISIT, "as_of": "2025-12-31T10:00:00+02:00"})
    assert isinstance(record, Record)
    assert record.occurred_at is None
    arrived = decode_record(encode_record(record))
    assert to_rfc3339(arrived.occurred_at_us) == "2025-12-31T08:00:00Z"
    assert arrived.as_of_us == arrived.occurred_at_us


def test_an_event_with_both_instants_occurred_at_occurred_at() -> None:
    record = take({**VISIT, "occurred_at": "2025-01-01T00:00:00Z", "as_of": "2025-12-31T00:00:00Z"})
    assert isinstance(record, Record)
    arrived = decode_record(encode_record(record))
    assert to_rfc3339(arrived.occurred_at_us) == "2025-01-01T00:00:00Z"


def test_a_record_tells_which_key_sent_it_and_one_of_an_older_release_does_not() -> None:
    record = accept(json.dumps(VISIT).encode(), 0, "server", NOW_US, None, "tls_AbCd")
    assert isinstance(record, Record)
    value = encode_record(record)
    assert decode_record(value).key_hint == key_hint_of(value) == "tls_AbCd"
    assert key_hint_of(value.replace(b"page_visited", b"from_the_future")) == "tls_AbCd"
    older = take(VISIT)
    assert isinstance(older, Record)
    assert decode_record(encode_record(older)).key_hint is None
    assert key_hint_of(b"no record") is None


def test_an_unknown_schema_version_is_not_guessed_at() -> None:
    record = take(VISIT)
    assert isinstance(record, Record)
    with pytest.raises(msgspec.ValidationError, match="schema version 2"):
        decode_record(encode_record(msgspec.structs.replace(record, v=2)))


@pytest.mark.parametrize(
    ("body", "ndjson", "count"),
    [
        (b'{"type":"x"}', False, 1),
        (b'[{"type":"x"},{"type":"y"}]', False, 2),
        (b'{"events":[{},{},{}]}', False, 3),
        (b'{"type":"x"}\n\n{"type":"y"}\r\n', True, 2),
    ],
)
def test_a_request_is_one_event_an_array_an_object_or_lines(body: bytes, ndjson: bool, count: int) -> None:
    assert len(split_request(body, ndjson=ndjson)) == count


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "not_json"), (b"[]", "no_events"), (b"[1", "not_json"), (b"7", "not_json"), (b'{"events":3}', "not_json"),
     (b"[" + b"1," * EVENTS_PER_REQUEST_MAX + b"1]", "too_many_events")],
)  # fmt: skip
def test_a_request_that_is_none_of_these_is_refused_whole(body: bytes, code: str) -> None:
    with pytest.raises(BadRequest) as raised:
        split_request(body, ndjson=False)
    assert raised.value.code == code


def test_server_ids_are_uuids_of_version_7_ordered_by_time() -> None:
    ids = [uuid7(NOW_US + n * 1000) for n in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    assert {i[14] for i in ids} == {"7"}


@pytest.mark.parametrize("name", list(EVENT_TYPES))
def test_golden_file(name: str) -> None:
    """What a type looked like when it was written down, it must still be read as, with nothing lost."""
    sent = json.loads((GOLDEN / f"{name}.json").read_text())
    record = take(sent)
    assert isinstance(record, Record), record
    event = decode_record(encode_record(record)).event
    assert event_type(event) == name == sent["type"]
    assert json.loads(encode_event(event)) == sent
    assert set(sent) == {"type", *EVENT_TYPES[name].__struct_fields__}, "a golden file carries every field"
