"""Is this an event, and if not, what is wrong and where?"""

import datetime as dt
import json
import random
from pathlib import Path

import msgspec
import pytest

from shared.events.codec import (
    BadRequest,
    Code,
    Record,
    Refusal,
    accept,
    canonical,
    corrected,
    decode_record,
    encode_event,
    encode_record,
    event_type,
    read_request,
    sender_of,
    split_request,
    uuid7,
    with_sent_at,
)
from shared.events.instants import DAY_US, HOUR_US, to_micros, to_rfc3339
from shared.events.limits import EVENT_BYTES_MAX, EVENTS_PER_REQUEST_MAX
from shared.events.registry import EVENT_TYPES

NOW_US = to_micros(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
GOLDEN = Path(__file__).parent / "golden"
VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/"}


def take(event: object, key: str = "server") -> Record | Refusal:
    return accept(json.dumps(event).encode(), 3, key, NOW_US, "UA/1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        ({"type": "page_visited", "visitor_id": "v"}, "missing_field", "url"),
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
        (
            {"type": "workspace_configured", "settings": {"own_hosts": ["https://shop.example"]}},
            "bad_value",
            "settings.own_hosts[0]",
        ),
        (
            {"type": "workspace_configured", "settings": {"ignored_referrers": ["localhost"]}},
            "bad_value",
            "settings.ignored_referrers[0]",
        ),
        (
            {"type": "workspace_configured", "settings": {"page_parameters": ["p=1"]}},
            "bad_value",
            "settings.page_parameters[0]",
        ),
        (
            {"type": "workspace_configured", "settings": {"page_fragments": "yes"}},
            "wrong_type",
            "settings.page_fragments",
        ),
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


def test_an_event_without_occurred_at_occurred_as_of_its_version() -> None:
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


def test_a_record_shows_which_key_sent_it_and_one_of_an_older_release_does_not() -> None:
    record = accept(json.dumps(VISIT).encode(), 0, "server", NOW_US, None, "tls_AbCd")
    assert isinstance(record, Record)
    value = encode_record(record)
    assert decode_record(value).key_hint == sender_of(value).key_hint == "tls_AbCd"
    assert sender_of(value.replace(b"page_visited", b"from_the_future")).key_hint == "tls_AbCd"
    older = take(VISIT)
    assert isinstance(older, Record)
    assert decode_record(encode_record(older)).key_hint is None
    assert sender_of(b"no record").key_hint is None


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


@pytest.mark.parametrize(
    "asset_type",
    ["sequence", "playbook", "knowledge_article", "file", "sales_email", "external_page", "external", "landing_page"],
)
def test_an_asset_may_be_of_each_type_that_a_campaign_holds(asset_type: str) -> None:
    assert isinstance(take({"type": "asset_registered", "asset_id": "a", "asset_type": asset_type}), Record)


@pytest.mark.parametrize("name", list(EVENT_TYPES))
def test_golden_file(name: str) -> None:
    """What a type looked like when it was written down, it must still be read as, with nothing lost."""
    sent = json.loads((GOLDEN / f"{name}.json").read_text())
    record = take(sent)
    if name == "contact_forgotten":  # of an older log: it is taken in no more, and still read
        record = Record(1, "server", NOW_US, msgspec.Raw(json.dumps(sent).encode()))
    assert isinstance(record, Record), record
    event = decode_record(encode_record(record)).event
    assert event_type(event) == name == sent["type"]
    assert json.loads(encode_event(event)) == sent
    assert set(sent) == {"type", *EVENT_TYPES[name].__struct_fields__}, "a golden file carries every field"


STRANGER = {"type": "contact_created", "contact": {"email": "kari@example.no"}}
DEAL = {"type": "deal_created", "deal_id": "d"}


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({**VISIT, "visitor_id": "undefined"}, "visitor_id"),
        ({**VISIT, "visitor_id": " "}, "visitor_id"),
        ({**VISIT, "contact": {"id": "NULL"}}, "contact.id"),
        ({**VISIT, "contact": {"id": "7", "email": "null@null"}}, "contact.email"),
        ({**STRANGER, "contact": {"email": "undefined"}}, "contact.email"),
        ({**STRANGER, "contact": {"id": "[object Object]", "email": "kari@example.no"}}, "contact.id"),
        ({**STRANGER, "type": "contact_merged", "into": {"id": "0"}}, "into.id"),
        ({**DEAL, "contacts": [{"id": "7"}, {"id": "nan"}]}, "contacts[1].id"),
        ({**DEAL, "contacts": [{"email": "mailto:none@none.com"}]}, "contacts[0].email"),
        ({"type": "email_opened", "asset_id": "m", "contact": {"id": "-1"}}, "contact.id"),
        ({"type": "contact_identified", "visitor_id": "guest", "contact": {"id": "7"}}, "visitor_id"),
    ],
)
def test_what_names_nobody_is_refused_by_its_field(event: object, field: str) -> None:
    refusal = take(event)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == ("names_nobody", field)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "asset_associated", "campaign_id": "null", "asset_id": "0"},
        {"type": "deal_created", "deal_id": "-1", "name": "none"},
        {**VISIT, "title": "undefined"},
    ],
)
def test_words_that_name_nobody_may_name_a_thing(event: object) -> None:
    assert isinstance(take(event), Record)


def test_a_workspaces_own_words_are_refused_too() -> None:
    event = json.dumps({**VISIT, "visitor_id": "Kiosk"}).encode()
    assert isinstance(accept(event, 0, "collect", NOW_US, None), Record)
    refusal = accept(event, 0, "collect", NOW_US, None, nobody=frozenset({"kiosk"}))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "names_nobody"


@pytest.mark.parametrize("email", ["kari hansen@example.no", "kari@a@b", "kari@example.no,ola@example.no", "kari@"])
def test_what_can_be_no_email_is_refused(email: str) -> None:
    refusal = take({**STRANGER, "contact": {"email": email}})
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == ("bad_value", "contact.email")


def test_a_contact_cannot_be_forgotten_yet() -> None:
    refusal = take({"type": "contact_forgotten", "id": "f", "contact": {"id": "7"}})
    assert isinstance(refusal, Refusal)
    assert (refusal.id, refusal.code, refusal.field) == ("f", "forgetting_not_supported", "type")


def instant(hours: float) -> str:
    return to_rfc3339(NOW_US + round(hours * HOUR_US))


def happened_us(event: dict[str, object], key: str = "collect", **more: object) -> int | Code:
    outcome = accept(json.dumps(event).encode(), 0, key, NOW_US, None, **more)  # type: ignore[arg-type]
    return outcome.code if isinstance(outcome, Refusal) else decode_record(encode_record(outcome)).occurred_at_us


@pytest.mark.parametrize(
    ("occurred", "sent", "age_hours"),
    [
        (20, 20, 0), (26, 26, 0), (26, 27, 1), (-9 * 24, -9 * 24, 0), (-9 * 24, -9 * 24 + 0.5, 0.5), (-2, 0, 2), (-2, -1, 1),
        (-150, 0, 150), (24 * 365 * 30, 24 * 365 * 30 + 3, 3), (-24 * 365 * 40, -24 * 365 * 40 + 0.25, 0.25),
        (0.02, 0, 0), (5, -5, 0),
    ],
)  # fmt: skip
def test_a_senders_clock_is_corrected_by_when_it_sent(occurred: float, sent: float, age_hours: float) -> None:
    event = {**VISIT, "occurred_at": instant(occurred), "sent_at": instant(sent)}
    assert happened_us(event) == NOW_US - round(age_hours * HOUR_US)


@pytest.mark.parametrize(
    ("difference_s", "age_s", "after_s"),
    [
        (0, 0, 0), (0.7, 0, -0.7), (8, 0, -8), (8.000001, 0, 0), (9, 1, -1),  # the clock is behind, or the request took so long
        (-0.5, 0, 0), (-2, 0, 0), (-2.000001, 0, 0), (-1, 3, -2), (-3, 3, -3),  # the clock is ahead
        (1, 100, -101), (8.000001, 100, -100), (3, -5, 0), (20, -5, 0),
    ],
)  # fmt: skip
def test_a_clock_that_may_be_right_is_believed_and_no_event_is_dated_after_its_receipt(
    difference_s: float, age_s: float, after_s: float
) -> None:
    """`difference_s`: how much later the receipt is than the sending by the sender's clock; `age_s`: of the event at its sending."""
    sent_us = NOW_US - round(difference_s * 1e6)
    event = {**VISIT, "occurred_at": to_rfc3339(sent_us - round(age_s * 1e6)), "sent_at": to_rfc3339(sent_us)}
    assert happened_us(event, "server") == NOW_US + round(after_s * 1e6)


@pytest.mark.parametrize("ahead_s", [-1.5, -0.1, 0.0, 0.3, 1.5])
def test_events_of_a_clock_that_is_about_right_keep_their_order_however_long_their_requests_take(
    ahead_s: float,
) -> None:
    rng = random.Random(1)
    now_us, dated = NOW_US, []
    for _ in range(200):
        occurred_us = now_us + rng.randrange(100_000)
        sent_us = occurred_us + rng.randrange(50_000)
        now_us = sent_us + rng.randrange(5_000_000)  # the next request waits for the answer
        skew_us = round(ahead_s * 1e6)
        dated.append(corrected(occurred_us + skew_us, sent_us + skew_us, now_us))
    assert dated == sorted(dated)


def test_a_request_says_once_for_all_when_it_was_sent_and_an_event_knows_better() -> None:
    result = read_request(json.dumps({"sent_at": instant(20), "events": [VISIT]}).encode(), ndjson=False)
    assert result.sent_at_us == NOW_US + 20 * HOUR_US
    visit = {**VISIT, "occurred_at": instant(19)}
    assert happened_us(visit, sent_at_us=result.sent_at_us) == NOW_US - HOUR_US
    assert happened_us({**visit, "sent_at": instant(22)}, sent_at_us=result.sent_at_us) == NOW_US - 3 * HOUR_US


@pytest.mark.parametrize("age_hours", [7 * 24 + 0.01, 24 * 365])
def test_what_was_held_back_too_long_is_too_old_by_its_true_age(age_hours: float) -> None:
    event = {**VISIT, "occurred_at": instant(1000), "sent_at": instant(1000 + age_hours)}
    assert happened_us(event) == "too_old"
    assert happened_us(event, "server") == NOW_US - round(age_hours * HOUR_US)


def test_without_an_instant_of_its_own_an_event_happens_at_its_receipt() -> None:
    assert happened_us({**VISIT, "sent_at": instant(50)}) == NOW_US


def test_what_was_not_received_when_it_was_sent_keeps_its_instant() -> None:
    event = {**VISIT, "occurred_at": instant(-2000), "sent_at": instant(-1999)}
    assert happened_us(event, "server", live=False) == NOW_US - 2000 * HOUR_US


@pytest.mark.parametrize("sent_at", ["yesterday", 5, "2026-01-01T00:00:00", ""])
def test_a_bad_sent_at_is_refused(sent_at: object) -> None:
    refusal = take({**VISIT, "sent_at": sent_at})
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) in {("bad_value", "sent_at"), ("wrong_type", "sent_at")}
    with pytest.raises(BadRequest, match="sent_at"):
        read_request(json.dumps({"sent_at": sent_at, "events": [VISIT]}).encode(), ndjson=False)


def test_an_event_sent_again_is_the_same_event() -> None:
    once, again = ({**VISIT, "id": "x", "occurred_at": instant(1), "sent_at": instant(sent)} for sent in (2, 3))
    assert canonical(json.dumps(once).encode()) == canonical(json.dumps(again).encode())
    assert canonical(json.dumps(once).encode()) != canonical(json.dumps({**once, "occurred_at": instant(2)}).encode())


def test_a_refused_event_is_kept_with_the_senders_clock() -> None:
    kept = with_sent_at(json.dumps(VISIT).encode(), NOW_US)
    assert json.loads(kept) == {**VISIT, "sent_at": to_rfc3339(NOW_US)}
    own = json.dumps({**VISIT, "sent_at": instant(1)}).encode()
    assert with_sent_at(own, NOW_US) == own
    assert with_sent_at(b"no json", NOW_US) == b"no json"
