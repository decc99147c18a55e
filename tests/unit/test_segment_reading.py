"""What Segment's messages say in our events: each call, who may say it, when it was, and what a table makes of track events."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, Refusal
from shared.events.mapped import folded_name
from shared.events.refusal import BadRequest
from shared.events.types import SettingsField
from shared.producers.message import Message, Unmapped, Unreadable, events_of
from shared.producers.segment import PUBLISHED, read
from shared.producers.segment_body import message_of, read_body
from shared.rules.acceptance import accept
from shared.rules.order import Order
from shared.rules.settings import Producers, settings

RECEIVED_US = 1_764_100_000_000_000  # 2025-11-25T19:46:40Z
VISIT = {"url": "https://shop.example/"}


def message(fields: dict[str, Any], key: Any = "server", producers: Producers | None = None) -> Message:
    sent = json.dumps({"messageId": "m", **fields}).encode()
    return read(sent, producers or Producers(), key, RECEIVED_US)


def events_from(
    fields: dict[str, Any], key: Any = "server", producers: Producers | None = None
) -> list[dict[str, Any]]:
    means = message(fields, key, producers).means
    assert isinstance(means, tuple), means
    return [dict(event) for event in means]


def refused(fields: dict[str, Any], key: Any = "server") -> tuple[str, str | None]:
    means = message(fields, key).means
    assert isinstance(means, Unreadable), means
    return means.code, means.field


def test_a_page_is_a_visit_with_its_campaign_page_and_agent() -> None:
    context = {
        "campaign": {"name": "spring", "source": "news", "medium": "email", "term": "t", "content": "c"},
        "page": {"url": "https://shop.example/a", "referrer": "https://r.example/", "title": "A"},
        "userAgent": "Agent/1",
    }
    (visit,) = events_from({"type": "page", "anonymousId": "v", "userId": "u", "context": context})
    assert visit == {
        "id": "segment:m", "type": "page_visited", "visitor_id": "v", "contact": {"id": "u"}, "url": "https://shop.example/a",
        "referrer": "https://r.example/", "title": "A", "user_agent": "Agent/1", "utm_campaign": "spring", "utm_source": "news",
        "utm_medium": "email", "utm_term": "t", "utm_content": "c",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "page", "url"),
    [
        ({"url": "https://a.example/x"}, {"url": "https://b.example/"}, "https://a.example/x"),
        ({}, {"url": "https://b.example/"}, "https://b.example/"),
        ({"url": "https://a.example/x", "search": "?utm_campaign=s"}, {}, "https://a.example/x?utm_campaign=s"),
        ({"url": "https://a.example/x?y=1", "search": "?y=1"}, {}, "https://a.example/x?y=1"),
        ({"url": "https://a.example/x#h", "search": "?y=1"}, {}, "https://a.example/x?y=1#h"),
        ({"path": "/x"}, {}, "/x"),
    ],
)
def test_where_a_page_is(properties: Any, page: Any, url: str) -> None:
    fields = {"type": "page", "anonymousId": "v", "properties": properties, "context": {"page": page}}
    assert events_from(fields)[0]["url"] == url


def test_a_collect_key_names_contacts_by_email_alone() -> None:
    fields = {"type": "page", "anonymousId": "v", "userId": "u", "properties": VISIT}
    assert "contact" not in events_from(fields, "collect")[0]
    fields["context"] = {"traits": {"email": "kari@example.no"}}
    assert events_from(fields, "collect")[0]["contact"] == {"email": "kari@example.no"}
    identify = {
        "type": "identify",
        "anonymousId": "v",
        "userId": "u",
        "traits": {"email": "kari@example.no", "plan": "pro"},
    }
    assert events_from(identify, "collect") == [
        {"id": "segment:m", "type": "contact_identified", "visitor_id": "v", "contact": {"email": "kari@example.no"}}
    ]


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "identify", "anonymousId": "v", "userId": "u"},
        {"type": "alias", "previousId": "v", "userId": "u"},
        {"type": "group", "groupId": "g", "userId": "u"},
    ],
)
def test_what_a_collect_key_may_not_say_is_refused_by_name(sent: dict[str, Any]) -> None:
    assert refused(sent, "collect") == ("not_allowed_for_key", "userId")


def test_an_order_from_a_browser_is_refused() -> None:
    fields = {"type": "track", "event": "Order Completed", "anonymousId": "v", "properties": {"order_id": "o"}}
    assert refused(fields, "collect") == ("not_allowed_for_key", "event")


def test_identify_shows_who_the_visitor_is_and_the_contacts_traits() -> None:
    traits = {
        "email": "kari@example.no",
        "plan": "pro",
        "seats": 3,
        "vip": True,
        "left": None,
        "address": {"city": "Oslo"},
        "tags": [1],
    }
    identified, updated = events_from({"type": "identify", "anonymousId": "v", "userId": "u", "traits": traits})
    contact = {"id": "u", "email": "kari@example.no"}
    assert (identified["type"], identified["visitor_id"], identified["contact"]) == ("contact_identified", "v", contact)
    assert (updated["type"], updated["id"], updated["contact"]) == ("contact_updated", "segment:m:2", contact)
    assert updated["properties"] == {"plan": "pro", "seats": "3", "vip": "true", "left": None, "address.city": "Oslo"}


def test_a_user_id_that_is_an_address_is_one() -> None:
    assert events_from({"type": "identify", "anonymousId": "v", "userId": "kari@example.no"}, "collect")[0][
        "contact"
    ] == {"email": "kari@example.no"}


def test_an_alias_makes_the_earlier_name_the_contacts_own() -> None:
    identified, merged = events_from({"type": "alias", "previousId": "v", "userId": "u"})
    assert (identified["visitor_id"], identified["contact"]) == ("v", {"id": "u"})
    assert (merged["type"], merged["contact"], merged["into"]) == ("contact_merged", {"id": "v"}, {"id": "u"})


def test_a_group_is_the_contacts_company() -> None:
    (updated,) = events_from({"type": "group", "groupId": "g", "userId": "u", "traits": {"name": "Acme"}})
    assert updated["properties"] == {"group_id": "g", "company": "Acme"}


def test_a_screen_is_a_visit_of_the_app() -> None:
    (visit,) = events_from(
        {"type": "screen", "name": "My Home", "userId": "u", "context": {"app": {"namespace": "com.shop"}}}
    )
    assert (visit["type"], visit["url"], visit["visitor_id"]) == ("page_visited", "app://com.shop/My%20Home", "u")


def test_a_completed_order_is_a_deal_that_is_created_and_then_won() -> None:
    properties = {"order_id": 7, "revenue": 27.500000000000004, "total": 30, "currency": "nok"}
    fields = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u",
        "properties": properties,
        "timestamp": "2025-11-25T10:00:00Z",
    }
    created, closed = events_from(fields)
    assert (created["type"], created["deal_id"], created["amount"], created["currency"]) == (
        "deal_created",
        "7",
        "27.5",
        "NOK",
    )
    assert created["contacts"] == [{"id": "u"}]
    assert (closed["type"], closed["won"], closed["amount"]) == ("deal_closed", True, "27.5")
    assert created["occurred_at"] < closed["occurred_at"] == "2025-11-25T10:00:00Z"


@pytest.mark.parametrize("name", ["Form Submitted", "form submitted", "form_submitted", " FORM-Submitted "])
def test_names_of_events_are_compared_without_case_and_separators(name: str) -> None:
    fields = {
        "type": "track",
        "event": name,
        "anonymousId": "v",
        "properties": {"form_id": "f", "email": "kari@example.no"},
    }
    (sent,) = events_from(fields, "collect")
    assert (sent["type"], sent["asset_id"], sent["contact"]) == ("form_submitted", "f", {"email": "kari@example.no"})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Email Delivered", "email_delivered"), ("Email Opened", "email_opened"), ("Email Link Clicked", "email_clicked"),
        ("Email Bounced", "email_bounced"), ("Unsubscribed", "email_unsubscribed"),
    ],
)  # fmt: skip
def test_events_of_the_published_email_spec(name: str, kind: str) -> None:
    fields = {
        "type": "track",
        "event": name,
        "userId": "u",
        "properties": {"email_id": "mail", "link_url": "https://x.example/"},
    }
    (event,) = events_from(fields)
    assert (event["type"], event["asset_id"], event["contact"]) == (kind, "mail", {"id": "u"})
    assert event.get("url") == ("https://x.example/" if kind == "email_clicked" else None)


def test_a_bot_that_its_sdk_names_is_a_machine() -> None:
    fields = {"type": "page", "anonymousId": "v", "properties": VISIT, "context": {"isBot": True}}
    assert events_from(fields)[0]["machine"] is True


@pytest.mark.parametrize(
    ("times", "occurred", "sent"),
    [
        (
            {"timestamp": "2025-11-25T10:00:00Z", "sentAt": "2025-11-25T10:00:05Z"},
            "2025-11-25T10:00:00Z",
            "2025-11-25T10:00:05Z",
        ),
        ({"timestamp": "2025-11-25T10:00:00+01:00"}, "2025-11-25T09:00:00Z", None),
        ({"timestamp": "2025-11-25T10:00:00.123"}, "2025-11-25T10:00:00.123000Z", None),
        ({"timestamp": 1764064800000}, "2025-11-25T10:00:00Z", None),
        ({"timestamp": "2025-11-25T23:00:00Z"}, "2025-11-25T19:46:40Z", None),
        (
            {"timestamp": "2999-01-01T00:00:00Z", "sentAt": "2999-01-01T00:00:09Z"},
            "2999-01-01T00:00:00Z",
            "2999-01-01T00:00:09Z",
        ),
        (
            {"originalTimestamp": "2025-11-25T10:00:00Z", "timestamp": "2025-11-25T11:00:00Z"},
            "2025-11-25T10:00:00Z",
            None,
        ),
        ({"sentAt": "2025-11-25T10:00:05Z"}, None, None),
        ({"timestamp": "2025-11-25T10:00:00Z", "sentAt": "soon"}, "2025-11-25T10:00:00Z", None),
    ],
)
def test_when_it_was(times: dict[str, Any], occurred: str | None, sent: str | None) -> None:
    (visit,) = events_from({"type": "page", "anonymousId": "v", "properties": VISIT, **times})
    assert (visit.get("occurred_at"), visit.get("sent_at")) == (occurred, sent)


def test_two_events_without_an_instant_say_the_same_whenever_they_are_received() -> None:
    message_bytes = json.dumps({"type": "alias", "previousId": "v", "userId": "u", "messageId": "m"}).encode()
    assert read(message_bytes, Producers(), "server", RECEIVED_US) == read(
        message_bytes, Producers(), "server", RECEIVED_US + 10**9
    )


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ({}, "missing_field", "type"),
        ({"type": "dance"}, "unknown_type", "type"),
        ({"type": "track"}, "missing_field", "event"),
        ({"type": "track", "event": 7}, "wrong_type", "event"),
        ({"type": "page", "anonymousId": "v"}, "missing_field", "properties.url"),
        ({"type": "page", "properties": VISIT}, "missing_field", "anonymousId"),
        ({"type": "page", "properties": VISIT, "anonymousId": "v", "timestamp": "yesterday"}, "bad_value", "timestamp"),
        ({"type": "alias", "userId": "u"}, "missing_field", "previousId"),
        ({"type": "group", "userId": "u"}, "missing_field", "groupId"),
        ({"type": "track", "event": "Form Submitted", "userId": "u"}, "missing_field", "properties.form_id"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(sent: dict[str, Any], code: str, field: str) -> None:
    assert refused(sent) == (code, field)


def test_long_ids_are_replaced_by_their_digest_and_short_ones_stay() -> None:
    short, long = "x" * 100, "x" * 101
    assert (
        events_from({"type": "page", "anonymousId": "v", "properties": VISIT, "messageId": short})[0]["id"]
        == f"segment:{short}"
    )
    ids = {
        events_from({"type": "page", "anonymousId": "v", "properties": VISIT, "messageId": long + each})[0]["id"]
        for each in "ab"
    }
    assert len(ids) == 2
    assert all(len(each) <= 128 for each in ids)


# The table.


def table(**events: Any) -> Producers:
    change = msgspec.convert({"producers": {"segment": {"events": events}}}, SettingsField)
    return settings([(Order(0, "a"), change)]).producers


def track(event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": event, "anonymousId": "v", "userId": "u", "properties": properties}


def test_a_workspace_says_what_an_event_becomes() -> None:
    own = table(
        **{
            "Webinar Watched": [
                {"type": "asset_interacted", "fields": {"asset_id": "web-{properties.id}", "kind": "event_attended"}}
            ]
        }
    )
    (event,) = events_from(track("webinar_watched", id=7), producers=own)
    assert (event["type"], event["asset_id"], event["kind"], event["visitor_id"]) == (
        "asset_interacted",
        "web-7",
        "event_attended",
        "v",
    )


def test_an_event_without_a_mapping_is_kept_as_unmapped_under_an_id_of_its_own() -> None:
    means = message({**track("Odd"), "timestamp": "2025-11-25T10:00:00Z"}).means
    assert means == Unmapped("segment:m:unmapped", "2025-11-25T10:00:00Z", None)


def test_an_empty_list_says_nothing_and_null_goes_back_to_the_published_table() -> None:
    assert events_from(track("Form Submitted", form_id="f"), producers=table(**{"Form Submitted": []})) == []
    first = msgspec.convert({"producers": {"segment": {"events": {"Form Submitted": [], "Odd": []}}}}, SettingsField)
    then = msgspec.convert({"producers": {"segment": {"events": {"form submitted": None}}}}, SettingsField)
    both = settings([(Order(0, "a"), first), (Order(1, "b"), then)]).producers
    assert set(both.segment_events) == {"odd"}
    assert events_from(track("Form Submitted", form_id="f"), producers=both)[0]["type"] == "form_submitted"


def test_a_place_is_needed_unless_it_is_marked() -> None:
    own = table(
        Odd=[{"type": "cta_clicked", "fields": {"asset_id": "{properties.a|properties.b}", "url": "{?properties.at}"}}]
    )
    (event,) = events_from(track("Odd", b="x"), producers=own)
    assert event["asset_id"] == "x"
    means = message(track("Odd"), producers=own).means
    assert isinstance(means, Unreadable)
    assert (means.code, means.field) == ("missing_field", "properties.a")


def configured(events: Any) -> Record | Refusal:
    raw = json.dumps(
        {"type": "workspace_configured", "settings": {"producers": {"segment": {"events": events}}}}
    ).encode()
    return accept(raw, 0, "server", RECEIVED_US, None)


@pytest.mark.parametrize(
    ("mapped", "field", "says"),
    [
        ({"type": "cta_pressed"}, "type", "not a type"),
        ({"type": "workspace_configured"}, "type", "not a type"),
        ({"type": "cta_clicked", "fields": {}}, "fields", "needs asset_id"),
        ({"type": "cta_clicked", "fields": {"asset_id": "x", "color": "red"}}, "fields.color", "has no such field"),
        ({"type": "cta_clicked", "fields": {"asset_id": "x", "id": "y"}}, "fields.id", "has no such field"),
        ({"type": "cta_clicked", "fields": {"asset_id": "{properties.id"}}, "fields.asset_id", "brace"),
        ({"type": "cta_clicked", "fields": {"asset_id": "{}"}}, "fields.asset_id", "names nothing"),
        ({"type": "cta_clicked", "fields": {"asset_id": "{a||b}"}}, "fields.asset_id", "names nothing"),
        ({"type": "deal_closed", "fields": {"deal_id": "{properties.id}", "won": "perhaps"}}, "fields.won", "bool"),
        ({"type": "ad_clicked", "fields": {"asset_id": "x", "contact": "{userId}"}}, "fields.contact", "a contact is"),
        (
            {"type": "deal_created", "fields": {"deal_id": "x", "contacts": {"id": "7"}}},
            "fields.contacts",
            "a list of contacts",
        ),
        ({"type": "deal_created", "fields": {"deal_id": "x", "currency": "EURO"}}, "fields.currency", "matching"),
    ],
)
def test_a_table_that_nobody_could_use_is_refused_with_its_place(mapped: Any, field: str, says: str) -> None:
    outcome = configured({"Odd": [mapped]})
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.field) == ("bad_value", f"settings.producers.segment.events['Odd'][0].{field}")
    assert says in outcome.message


def test_the_published_table_could_be_given_as_a_setting() -> None:
    for name, events in PUBLISHED.items():
        assert isinstance(configured({name: msgspec.to_builtins(events)}), Record)
        assert folded_name(name) == name


# Bodies.


def messages(body: Any, *, batch: bool = True) -> list[dict[str, Any]]:
    found = read_body(json.dumps(body).encode(), batch=batch)
    return [json.loads(message_of(raw, found.batch_fields, None, lambda: "new")) for raw in found.messages]


def test_what_a_batch_says_for_all_is_merged_into_each_and_the_message_wins() -> None:
    (one,) = messages({
        "context": {"campaign": {"name": "b", "source": "b"}, "ip": "1.2.3.4"}, "integrations": {"All": True}, "sentAt": "s", "writeKey": "k",
        "batch": [{"type": "page", "messageId": "m", "writeKey": "k", "context": {"campaign": {"name": "own"}}, "integrations": {"X": False}}],
    })  # fmt: skip
    assert one == {
        "type": "page", "messageId": "m", "sentAt": "s", "integrations": {"All": True, "X": False},
        "context": {"campaign": {"name": "own", "source": "b"}, "ip": "1.2.3.4"},
    }  # fmt: skip


def test_a_message_without_an_id_gets_one() -> None:
    assert [each["messageId"] for each in messages({"batch": [{}, {"messageId": ""}, {"messageId": "m"}]})] == [
        "new",
        "new",
        "m",
    ]


@pytest.mark.parametrize(
    ("body", "batch", "code"),
    [
        (b"{", True, "not_json"), (b"[]", False, "not_json"), (b"7", True, "not_json"), (b"", True, "not_json"),
        (b"{}", True, "missing_field"), (b'{"batch":{}}', True, "not_json"),
        (b'{"batch":[' + b",".join([b"1"] * 2501) + b"]}", True, "too_many_events"),
        (b'{"a":"' + b"x" * 32 * 1024 + b'"}', False, "too_large"),
        (b'{"batch":[],"a":"' + b"x" * 500 * 1024 + b'"}', True, "too_large"),
        (b'{"context":{"a":"' + b"x" * 10_000 + b'"},"batch":[' + b",".join([b"{}"] * 2500) + b"]}", True, "too_large"),
    ],
)  # fmt: skip
def test_bodies_that_are_refused_whole(body: bytes, batch: bool, code: str) -> None:
    with pytest.raises(BadRequest) as raised:
        read_body(body, batch=batch)
    assert raised.value.code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
NAMED = st.sampled_from([
    "type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp", "originalTimestamp", "sentAt", "name",
    "properties", "traits", "context", "integrations", "writeKey",
])  # fmt: skip
LIKELY = st.sampled_from(["track", "page", "identify", "Form Submitted", "Order Completed", "https://x.example/", "2025-11-25T10:00:00Z",
                          "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "kari@example.no", "undefined", "1e999999"])  # fmt: skip
INNER = st.dictionaries(
    st.sampled_from(["url", "search", "email", "form_id", "order_id", "revenue", "currency", "traits", "campaign", "page", "isBot"]),
    JSON | LIKELY | st.dictionaries(st.sampled_from(["url", "name", "email", "source"]), JSON | LIKELY, max_size=3), max_size=5,
)  # fmt: skip
MESSAGES = st.dictionaries(NAMED, JSON | LIKELY | INNER, max_size=12)


@given(MESSAGES, st.sampled_from(["server", "collect"]))
def test_any_message_is_read_without_an_exception_and_what_it_means_can_be_judged(
    fields: dict[str, Any], key: Any
) -> None:
    sent = json.dumps(fields, allow_nan=False, default=str).encode() if _finite(fields) else json.dumps(fields).encode()
    found = read(sent, Producers(), key, RECEIVED_US)
    if not isinstance(found.means, Unreadable):
        for event in events_of("segment", found):
            assert isinstance(accept(msgspec.json.encode(event), 0, key, RECEIVED_US, None), (Record, Refusal))


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda x: json.dumps(x).encode(),
        JSON | MESSAGES | st.fixed_dictionaries({"batch": st.lists(JSON | MESSAGES, max_size=4)}),
    ),
    st.booleans(),
)
def test_any_body_is_split_or_refused(body: bytes, batch: bool) -> None:
    try:
        found = read_body(body, batch=batch)
    except BadRequest:
        return
    for raw in found.messages:
        read(
            message_of(raw, found.batch_fields, None if batch else "track", lambda: "new"),
            Producers(),
            "server",
            RECEIVED_US,
        )


@pytest.mark.parametrize("number", [b"1e400000000", b"-1e-400000000", b"1" * 5_000, b"0." + b"1" * 5_000])
@pytest.mark.parametrize("place", ["userId", "timestamp", "revenue"])
def test_numbers_of_any_size_cost_nothing(number: bytes, place: str) -> None:
    values = {"userId": b'"u"', "timestamp": b'"2025-11-25T10:00:00Z"', "revenue": b"1"} | {place: number}
    sent = (
        b'{"type":"track","event":"Order Completed","userId":%s,"timestamp":%s,"properties":{"order_id":"o","revenue":%s}}'
        % (values["userId"], values["timestamp"], values["revenue"])
    )
    found = read(sent, Producers(), "server", RECEIVED_US)
    if not isinstance(found.means, Unreadable):
        for event in events_of("segment", found):
            assert len(msgspec.json.encode(event)) < 6_000
