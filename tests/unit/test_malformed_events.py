"""Whatever an event's bytes are, they are an event or this event's own refusal: nothing is raised, nothing beside it lost."""

import json
from typing import Any, get_args

import pytest

from shared.events.codec import BadRequest, KeyClass, Record, Refusal, decode_record, encode_record, split_request
from shared.events.limits import COUNT_MAX, EVENTS_PER_REQUEST_MAX, TEXT_CHARACTERS_MAX
from shared.events.refusal import Code
from shared.rules.acceptance import accept, accept_restored
from tests.cpu_time import within_cpu_s
from tests.malformed_json import HEADS, VISIT, malformed_texts

NOW_US = 1_800_000_000_000_000
KEYS: tuple[KeyClass, ...] = ("server", "collect")
ODD = list(dict.fromkeys(malformed_texts()))


def take(event: object, key: KeyClass = "server") -> Record | Refusal:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return accept(body, 3, key, NOW_US, "UA/1")


def refused(event: object, key: KeyClass = "server") -> tuple[str, str | None]:
    outcome = take(event, key)
    assert isinstance(outcome, Refusal), outcome
    return outcome.code, outcome.field


@pytest.mark.parametrize("key", KEYS)
def test_an_unusual_text_is_an_event_or_its_own_refusal(key: KeyClass) -> None:
    assert len(ODD) > 500
    for text in ODD:
        outcome = take(text, key)
        if isinstance(outcome, Record):
            arrived = decode_record(encode_record(outcome))
            assert "\0" not in arrived.event_id
        else:
            assert outcome.code in get_args(Code)
            assert len(outcome.message) <= TEXT_CHARACTERS_MAX
            assert len(outcome.id or "") + len(outcome.field or "") <= 128 + 256


@pytest.mark.parametrize(
    ("event", "code"),
    [(e, "not_allowed_for_key") for e in HEADS[:4]]
    + [
        (b'{"type":"deal_deleted"}', "not_allowed_for_key"),
        (b'{"type":"email_opened","contact":7}', "not_allowed_for_key"),
        (b'{"type":"contact_forgotten","contact":{"id":"1","y":{"z":[]}}}', "not_allowed_for_key"),
        (b'{"type":"nothing","into":{"x":1}}', "unknown_type"),
        (b'{"type":"page_visited","x":1}', "missing_field"),
    ],
)  # fmt: skip
def test_a_collect_key_gets_the_error_of_the_scope_before_that_of_the_shape(event: bytes, code: str) -> None:
    assert refused(event, "collect")[0] == code


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "second", [b'"type":1', b'"type":"page_visited"', b'"\\u0074ype":"cta_clicked"', b'"type":null']
)
def test_a_type_that_is_given_twice_beside_an_unknown_field_is_refused(key: KeyClass, second: bytes) -> None:
    assert isinstance(take(b'{"type":"page_visited","visitor_id":"v","url":"u","x":1,' + second + b"}", key), Refusal)


def test_a_refusal_takes_no_time_whatever_the_event() -> None:
    with within_cpu_s(0.02 * len(HEADS)):
        for text in HEADS:
            for key in KEYS:
                take(text, key)


def test_unknown_fields_within_the_contact_of_a_collect_key_are_dropped_however_deep() -> None:
    deep = b'{"a":' * 50 + b"1" + b"}" * 50
    record = take(
        b'{"type":"page_visited","visitor_id":"v","url":"u","contact":{"email":"a@b","x":' + deep + b"}}", "collect"
    )
    assert isinstance(record, Record)
    assert json.loads(bytes(record.event))["contact"] == {"email": "a@b"}


@pytest.mark.parametrize("bad", [b'"\xe5"', b"[" * 2_000 + b"]" * 2_000, b'"\\ud800"', b"9" * 5_000, b"1e400"])
@pytest.mark.parametrize("form", ["array", "events", "lines"])
def test_one_bad_event_leaves_the_good_ones_of_its_request(bad: bytes, form: str) -> None:
    good = json.dumps(VISIT).encode()
    parts = [good, good[:-1] + b',"x":' + bad + b"}", good]
    if form == "lines":
        found = split_request(b"\n".join(parts), ndjson=True)
    else:
        body = b"[" + b", ".join(parts) + b" ]"
        try:
            found = split_request(body if form == "array" else b'{ "n": 1, "events" : ' + body + b"}", ndjson=False)
        except BadRequest as error:
            assert error.code == "not_json"  # noqa: PT017 (a body that is no JSON is refused whole, and kept)
            assert bad == b'"\\ud800"'
            return
    assert len(found) == 3
    outcomes = [accept(part, i, "server", NOW_US, None) for i, part in enumerate(found)]
    assert [isinstance(o, Record) for o in outcomes] == [True, False, True]


@pytest.mark.parametrize(
    "body",
    [b"[" + b"1," * 3_000_000 + b"1]", b'{"events":[' + b"{}," * 1_500_000 + b"{}]}", b"[" * 100_000 + b"]" * 100_000,
     b'{"x":' * 100_000 + b"1" + b"}" * 100_000, b"[" + b"[]," * 300_000 + b"[" * 2_000 + b"]" * 2_000 + b"]", b"[{" * 200_000],
)  # fmt: skip
def test_a_body_made_to_be_costly_is_answered_within_a_second(body: bytes) -> None:
    with within_cpu_s(1):
        try:
            parts = split_request(body, ndjson=False)
        except BadRequest as error:
            assert error.code in ("not_json", "too_many_events")  # noqa: PT017
        else:
            assert len(parts) <= EVENTS_PER_REQUEST_MAX
            assert all(isinstance(accept(part, 0, "collect", NOW_US, None), Refusal) for part in parts)


def test_lines_without_end_are_too_many() -> None:
    with pytest.raises(BadRequest, match="lines"):
        split_request(b"\n" * 1_000_000, ndjson=True)


def bad(type_: str, **fields: Any) -> dict[str, Any]:
    return {"type": type_, **fields}


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (bad("ad_viewed", asset_id="a", count=COUNT_MAX + 1), "count"),
        (bad("social_clicked", asset_id="a", count=10**9), "count"),
        (bad("deal_created", deal_id="d", amount="1", currency="EUR\n"), "currency"),
        (bad("deal_created", deal_id="d", amount="1", currency="ZZZ"), "currency"),
        (bad("deal_created", deal_id="d", amount="1", currency="XXX"), "currency"),
        (bad("deal_created", deal_id="d", amount="1", currency="XTS"), "currency"),
        (bad("spend_recorded", campaign_id="c", amount="1", currency="XAU", on="2026-01-01"), "currency"),
        (bad("campaign_created", campaign_id="c", budget="1", currency="eur"), "currency"),
        (bad("deal_created", deal_id="d", amount="7\n"), "amount"),
        (bad("deal_created", deal_id="d", amount="\u0667"), "amount"),
        (bad("deal_created", deal_id="d", amount="1.2345", currency="EUR"), "amount"),
        (bad("campaign_created", campaign_id="c", budget="1.001", currency="NOK"), "budget"),
        (bad("workspace_configured", settings={"currency": "ZZZ"}), "settings.currency"),
        (bad("workspace_configured", settings={"time_zone": "localtime"}), "settings.time_zone"),
        (bad("workspace_configured", settings={"time_zone": "posixrules"}), "settings.time_zone"),
        (bad("workspace_configured", settings={"time_zone": "Factory"}), "settings.time_zone"),
        (bad("workspace_configured", settings={"internal_domains": ["ours.example\n\n"]}), None),
        (bad("model_defined", model="m\n", weights={"first": 1}), "model"),
        (bad("page_visited", visitor_id="v", url="u", id="collect:x"), "id"),
        (bad("page_visited", visitor_id="v", url="https://x.example/?tl_via=%00"), "url"),
        (bad("page_visited", visitor_id="v", url="https://x.example/?TL_VIA=a%00b&q=1"), "url"),
        (bad("page_visited", visitor_id="v", url="https://x.example/?utm_campaign=%00"), "url"),
        (bad("page_visited", visitor_id="v", url="https://x.example/?utm_source=x%00"), "url"),
        (bad("page_visited", visitor_id="v", url="https://x.example/?tl%5Fvia=" + "a" * 257), "url"),
        (bad("page_visited", visitor_id="v", url="https://x.example/?utm_campaign=" + "a" * 1_025), "url"),
        (bad("form_submitted", asset_id="f", url="https://x.example/?tl_via=%00"), "url"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused_with_its_field(event: dict[str, Any], field: str | None) -> None:
    if field is None:
        assert isinstance(take(event), Record)  # blanks around a domain are taken off
    else:
        assert refused(event) == ("bad_value", field)


@pytest.mark.parametrize(
    "event",
    [
        bad("ad_viewed", asset_id="a", count=COUNT_MAX),
        bad("deal_created", deal_id="d", amount="1.234", currency="KWD"),
        bad("deal_created", deal_id="d", amount="1", currency="HRK"),
        bad("deal_created", deal_id="d", amount="1.95", currency="BGN"),
        bad("deal_created", deal_id="d", amount="1", currency="XAF"),
        bad("workspace_configured", settings={"time_zone": "Etc/GMT-12"}),
        bad("workspace_configured", settings={"time_zone": "America/Argentina/Buenos_Aires"}),
        bad("event_retracted", event_id="collect:x"),
        bad("page_visited", visitor_id="v", url="https://x.example/?q=%00"),
        bad("page_visited", visitor_id="v", url="https://x.example/%00?tl_via=" + "a" * 256),
    ],
)  # fmt: skip
def test_a_value_within_bounds_is_taken(event: dict[str, Any]) -> None:
    assert isinstance(take(event), Record)


def test_an_export_brings_back_the_ids_of_collect_keys() -> None:
    event = json.dumps({**VISIT, "id": "collect:x"}).encode()
    assert isinstance(accept_restored(event, 0, "server", NOW_US, None), Record)


def test_a_user_agent_is_kept_as_long_as_its_field_is() -> None:
    record = accept(json.dumps(VISIT).encode(), 0, "collect", NOW_US, "U" * 500_000)
    assert isinstance(record, Record)
    assert record.user_agent == "U" * TEXT_CHARACTERS_MAX
