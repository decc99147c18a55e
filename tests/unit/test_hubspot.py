"""What HubSpot's webhooks mean in our events, and whether they are HubSpot's."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, Refusal
from shared.events.registry import EVENT_TYPES
from shared.producers import hubspot
from shared.producers.hubspot import BadValue, Stages, read
from shared.producers.message import Message, Unmapped, Unreadable
from shared.rules.acceptance import accept

AT_MS = 1_700_000_000_000
AT = "2023-11-14T22:13:20Z"
NOW_US = 1_700_000_100_000_000
BASE = {
    "eventId": 3181526809, "subscriptionId": 2321, "portalId": 62515, "appId": 1160452, "occurredAt": AT_MS,
    "attemptNumber": 0, "changeSource": "CRM_UI", "sourceId": "userId:9",
}  # fmt: skip
STAGES = Stages(("closedwon", "4711"), ("closedlost",))


def body_with(**fields: Any) -> bytes:
    return json.dumps({**BASE, **fields}).encode()


def message(**fields: Any) -> Message:
    return read(body_with(**fields), STAGES)


def means(**fields: Any) -> list[dict[str, Any]]:
    """The events that are meant, without their ids; every one of them is accepted as it is."""
    found = message(**fields).means
    assert isinstance(found, tuple), found
    for event in found:
        assert isinstance(accept(msgspec.json.encode(event), 0, "server", NOW_US, None), Record), event
    return [{name: value for name, value in event.items() if name != "id"} for event in found]


def refusal(**fields: Any) -> tuple[str, str | None]:
    found = message(**fields).means
    assert isinstance(found, Unreadable), found
    return found.code, found.field


SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URI = "https://www.example.com/webhook_uri"
BODY = b"{'example_field':'example_value'}"
STAMP = "1693657560000"
SIGNATURE = "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="


def test_the_vector_of_hubspots_python_client_is_signed() -> None:
    assert hubspot.signature_v3(SECRET, "POST", URI, BODY, STAMP) == SIGNATURE
    assert hubspot.is_signed(SIGNATURE, SECRET, "POST", URI, BODY, STAMP)


@pytest.mark.parametrize(
    "changed",
    [
        (SIGNATURE[:-1], SECRET, "POST", URI, BODY, STAMP), ("", SECRET, "POST", URI, BODY, STAMP),
        ("\udcff" + SIGNATURE, SECRET, "POST", URI, BODY, STAMP), (SIGNATURE, "other", "POST", URI, BODY, STAMP),
        (SIGNATURE, SECRET, "GET", URI, BODY, STAMP), (SIGNATURE, SECRET, "POST", URI + "/", BODY, STAMP),
        (SIGNATURE, SECRET, "POST", URI, BODY + b" ", STAMP), (SIGNATURE, SECRET, "POST", URI, BODY, "1693657560001"),
    ],
)  # fmt: skip
def test_a_signature_holds_for_nothing_else(changed: Any) -> None:
    assert not hubspot.is_signed(*changed)


@pytest.mark.parametrize(
    ("uri", "decoded"),
    [
        ("https://h/p?a=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B", "https://h/p?a=:/?@!$'()*,;"),
        ("https://h/p?a=%3a%2f", "https://h/p?a=:/"),
        ("https://h/p?a=%20%26%3D%25%2B%23%C3%A9", "https://h/p?a=%20%26%3D%25%2B%23%C3%A9"),
        ("https://h/p?a=%253A", "https://h/p?a=%253A"),
    ],
)
def test_the_documented_characters_of_an_address_are_decoded_once_and_no_others(uri: str, decoded: str) -> None:
    signed = hubspot.signature_v3(SECRET, "POST", uri, BODY, STAMP)
    assert signed == hubspot.signature_v3(SECRET, "POST", decoded, BODY, STAMP)
    assert signed != hubspot.signature_v3(SECRET, "POST", decoded + "x", BODY, STAMP)


@pytest.mark.parametrize(
    ("timestamp", "timely"),
    [
        (str(AT_MS), True), (str(AT_MS - 300_000), True), (str(AT_MS + 300_000), True), (str(AT_MS - 300_001), False),
        (str(AT_MS + 300_001), False), ("0", False), ("", None), ("now", None), ("-5", None), ("1" * 40, None), ("１", None),
        (f"{AT_MS}\n", None),
    ],
)  # fmt: skip
def test_a_signature_holds_for_five_minutes_both_ways(timestamp: str, timely: bool | None) -> None:
    assert hubspot.is_timely(timestamp, AT_MS) is timely


@pytest.mark.parametrize("field", ["subscriptionType", "eventType"])
def test_the_type_is_read_under_both_of_its_names(field: str) -> None:
    assert means(**{field: "contact.creation"}, objectId=1246965) == [
        {"type": "contact_created", "occurred_at": AT, "contact": {"id": "1246965"}}
    ]


@pytest.mark.parametrize(
    ("name", "value", "events"),
    [
        ("email", "Kari@Example.no", [{"type": "contact_updated", "contact": {"id": "7", "email": "Kari@Example.no"}}]),
        ("email", "", []),
        ("email", None, []),
        ("hs_additional_emails", "a@example.no; b@example.no;", [
            {"type": "contact_updated", "contact": {"id": "7", "email": "a@example.no"}},
            {"type": "contact_updated", "contact": {"id": "7", "email": "b@example.no"}}]),
        ("hs_merged_object_ids", "8;9", [
            {"type": "contact_merged", "contact": {"id": "8"}, "into": {"id": "7"}},
            {"type": "contact_merged", "contact": {"id": "9"}, "into": {"id": "7"}}]),
        ("hs_calculated_merged_vids", "8:1699999999000;7:1699999999000", [
            {"type": "contact_merged", "contact": {"id": "8"}, "into": {"id": "7"}}]),
        ("firstname", "Kari", [{"type": "contact_updated", "contact": {"id": "7"}, "properties": {"first_name": "Kari"}}]),
        ("favourite_colour", "", [{"type": "contact_updated", "contact": {"id": "7"}, "properties": {"favourite_colour": None}}]),
        ("score", 12.50, [{"type": "contact_updated", "contact": {"id": "7"}, "properties": {"score": "12.5"}}]),
        ("hs_analytics_first_touch_converting_campaign", "c-1", [
            {"type": "contact_updated", "contact": {"id": "7"}, "properties": {"hs_analytics_first_touch_converting_campaign": "c-1"}}]),
        ("salesforcecampaignids", "701A;701B", [
            {"type": "salesforce_campaign_joined", "contact": {"id": "7"}, "salesforce_campaign_id": "701A", "source": "sync"},
            {"type": "salesforce_campaign_joined", "contact": {"id": "7"}, "salesforce_campaign_id": "701B", "source": "sync"}]),
        ("lastmodifieddate", "1700000000000", []),
    ],
)  # fmt: skip
def test_what_a_contacts_property_means(name: str, value: Any, events: list[dict[str, Any]]) -> None:
    found = means(subscriptionType="contact.propertyChange", objectId=7, propertyName=name, propertyValue=value)
    assert found == [{**event, "occurred_at": AT} for event in events]


@pytest.mark.parametrize("value", ["1600000000000", "2020-09-13T12:26:40Z", "2020-09-13T14:26:40+02:00"])
def test_a_contact_was_created_when_its_create_date_says(value: str) -> None:
    (event,) = means(
        subscriptionType="contact.propertyChange", objectId=7, propertyName="createdate", propertyValue=value
    )
    assert (event["type"], event["occurred_at"][:19]) == ("contact_created", "2020-09-13T12:26:40")


@pytest.mark.parametrize(("new", "merged"), [(20, ["10", "11", "12"]), (10, ["11", "12"]), (None, ["11", "12"])])
def test_a_merge_joins_every_contact_that_it_names(new: int | None, merged: list[str]) -> None:
    found = means(
        subscriptionType="contact.merge", objectId=10, primaryObjectId=10, mergedObjectIds=[11, 12, 11], newObjectId=new,
        numberOfPropertiesMoved=3,
    )  # fmt: skip
    assert [(event["contact"]["id"], event["into"]["id"]) for event in found] == [(m, str(new or 10)) for m in merged]
    assert {event["type"] for event in found} == {"contact_merged"}


@pytest.mark.parametrize("happened", ["deletion", "restore"])
def test_what_a_contact_did_stays_when_it_is_deleted(happened: str) -> None:
    assert means(subscriptionType=f"contact.{happened}", objectId=7) == []


def test_a_privacy_deletion_is_refused_and_listed_until_forgetting_is_carried_out() -> None:
    found = message(subscriptionType="contact.privacyDeletion", objectId=7).means
    assert isinstance(found, tuple)
    refused = accept(msgspec.json.encode(found[0]), 0, "server", NOW_US, None)
    assert isinstance(refused, Refusal)
    assert refused.code == "forgetting_not_supported"


@pytest.mark.parametrize(
    ("name", "value", "events"),
    [
        ("dealname", "Boats", [{"type": "deal_updated", "name": "Boats"}]),
        ("amount", "1200.50", [{"type": "deal_updated", "amount": "1200.5"}]),
        ("amount", 1200.5, [{"type": "deal_updated", "amount": "1200.5"}]),
        ("amount", "1.2E3", [{"type": "deal_updated", "amount": "1200"}]),
        ("amount", "99.500000", [{"type": "deal_updated", "amount": "99.5"}]),
        ("amount", "12345678901234.99", [{"type": "deal_updated", "amount": "12345678901234.99"}]),
        ("amount", "-5", [{"type": "deal_updated", "amount": "-5"}]),
        ("amount", "", [{"type": "deal_updated", "amount": "0"}]),
        ("amount", None, [{"type": "deal_updated", "amount": "0"}]),
        ("deal_currency_code", "nok", [{"type": "deal_updated", "currency": "NOK"}]),
        ("deal_currency_code", "", []),
        ("dealstage", "closedwon", [{"type": "deal_closed", "won": True}]),
        ("dealstage", "4711", [{"type": "deal_closed", "won": True}]),
        ("dealstage", "closedlost", [{"type": "deal_closed", "won": False}]),
        ("dealstage", "contractsent", [{"type": "deal_reopened"}]),
        ("hs_is_closed_won", "true", [{"type": "deal_closed", "won": True}]),
        ("hs_is_closed_won", "false", []),
        ("hs_is_closed_won", True, [{"type": "deal_closed", "won": True}]),
        ("hs_is_closed_lost", "true", [{"type": "deal_closed", "won": False}]),
        ("hs_is_closed_lost", "false", []),
        ("hs_is_closed", "false", [{"type": "deal_reopened"}]),
        ("hs_is_closed", "true", []),
        ("closedate", "1700000000000", [{"type": "deal_updated", "closed_at": AT}]),
        ("closedate", "2023-11-14T22:13:20Z", [{"type": "deal_updated", "closed_at": "2023-11-14T22:13:20+00:00"}]),
        ("closedate", "", []),
    ],
)  # fmt: skip
def test_what_a_deals_property_means(name: str, value: Any, events: list[dict[str, Any]]) -> None:
    found = means(subscriptionType="deal.propertyChange", objectId=7, propertyName=name, propertyValue=value)
    assert found == [{**event, "occurred_at": AT, "deal_id": "7"} for event in events]


def test_the_calculated_state_comes_after_the_stage_of_the_same_instant() -> None:
    names = ["dealstage", "hs_is_closed", "hs_is_closed_lost", "hs_is_closed_won"]
    found = [message(subscriptionType="deal.propertyChange", objectId=7, propertyName=n, propertyValue="true",
                     subscriptionId=99 - i, eventId=99 - i).means for i, n in enumerate(names)]  # fmt: skip
    ids = [means[0]["id"] for means in found if isinstance(means, tuple) and means]
    assert len(ids) == 3
    assert ids == sorted(ids)


@pytest.mark.parametrize("value", ["much", "1,200", "NaN", "Infinity", "1E+99999999", "9" * 65, "1 2", "{}"])
def test_what_is_no_amount_is_refused_and_its_field_named(value: str) -> None:
    code = refusal(subscriptionType="deal.propertyChange", objectId=7, propertyName="amount", propertyValue=value)
    assert code == ("bad_value", "propertyValue")


@pytest.mark.parametrize("value", ["zz", "XXX", "kroner", "N0K"])
def test_what_is_no_currency_is_refused_and_its_field_named(value: str) -> None:
    code = refusal(
        subscriptionType="deal.propertyChange", objectId=7, propertyName="deal_currency_code", propertyValue=value
    )
    assert code == ("bad_value", "propertyValue")


def test_deletion_and_restoration_of_a_deal_are_versions_of_one_event() -> None:
    gone = message(subscriptionType="deal.deletion", objectId=7).means
    back = message(subscriptionType="deal.restore", objectId=7, occurredAt=AT_MS + 1, eventId=1).means
    assert isinstance(gone, tuple)
    assert isinstance(back, tuple)
    assert gone[0]["id"] == back[0]["id"]
    assert (gone[0]["type"], back[0]["type"]) == ("deal_deleted", "deal_updated")
    assert (gone[0]["as_of"], back[0]["as_of"]) == (AT, "2023-11-14T22:13:20.001000Z")


def test_of_merged_deals_the_one_that_they_became_stays() -> None:
    found = means(subscriptionType="deal.merge", primaryObjectId=1, mergedObjectIds=[2, 3], newObjectId=1)
    assert [(event["type"], event["deal_id"]) for event in found] == [
        ("deal_updated", "1"), ("deal_deleted", "2"), ("deal_deleted", "3")
    ]  # fmt: skip


@pytest.mark.parametrize(("association", "ids"), [("CONTACT_TO_DEAL", (7, 70)), ("DEAL_TO_CONTACT", (70, 7))])
@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("subscription", ["contact.associationChange", "deal.associationChange"])
def test_an_association_is_read_from_either_side(
    association: str, ids: tuple[int, int], removed: bool, subscription: str
) -> None:
    found = means(
        subscriptionType=subscription, associationType=association, fromObjectId=ids[0], toObjectId=ids[1],
        associationRemoved=removed, isPrimaryAssociation=False,
    )  # fmt: skip
    kind = "deal_contact_dissociated" if removed else "deal_contact_associated"
    assert found == [{"type": kind, "occurred_at": AT, "deal_id": "70", "contact": {"id": "7"}}]


@pytest.mark.parametrize(
    ("generic", "older"),
    [
        ({"subscriptionType": "object.creation", "objectTypeId": "0-1", "objectId": 7}, {"subscriptionType": "contact.creation", "objectId": 7}),
        ({"subscriptionType": "object.propertyChange", "objectTypeId": "0-1", "objectId": 7, "propertyName": "email", "propertyValue": "a@b.no"},
         {"subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "email", "propertyValue": "a@b.no"}),
        ({"subscriptionType": "object.merge", "objectTypeId": "0-1", "primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 3},
         {"subscriptionType": "contact.merge", "primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 3}),
        ({"subscriptionType": "object.deletion", "objectTypeId": "0-3", "objectId": 7}, {"subscriptionType": "deal.deletion", "objectId": 7}),
        ({"subscriptionType": "object.restore", "objectTypeId": "0-3", "objectId": 7}, {"subscriptionType": "deal.restore", "objectId": 7}),
        ({"subscriptionType": "object.propertyChange", "objectTypeId": "0-3", "objectId": 7, "propertyName": "dealstage", "propertyValue": "closedwon"},
         {"subscriptionType": "deal.propertyChange", "objectId": 7, "propertyName": "dealstage", "propertyValue": "closedwon"}),
        ({"subscriptionType": "object.associationChange", "fromObjectTypeId": "0-1", "toObjectTypeId": "0-3", "fromObjectId": 7, "toObjectId": 70,
          "associationTypeId": 4, "associationCategory": "HUBSPOT_DEFINED", "associationRemoved": False},
         {"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_DEAL", "fromObjectId": 7, "toObjectId": 70, "associationRemoved": False}),
    ],
)  # fmt: skip
def test_the_generic_form_means_what_the_older_one_means(generic: dict[str, Any], older: dict[str, Any]) -> None:
    assert means(**generic) == means(**older)
    assert means(**generic)


def test_a_label_that_is_taken_off_ends_no_association() -> None:
    fields = {
        "fromObjectTypeId": "0-3",
        "toObjectTypeId": "0-1",
        "fromObjectId": 70,
        "toObjectId": 7,
        "associationRemoved": True,
    }
    label = {"associationCategory": "USER_DEFINED", "associationTypeId": 36}
    assert means(subscriptionType="object.associationChange", **fields, **label) == []
    assert len(means(subscriptionType="object.associationChange", **fields)) == 1


NOT_OURS = [
    {"subscriptionType": "company.creation", "objectId": 5}, {"subscriptionType": "company.propertyChange", "objectId": 5, "propertyName": "name", "propertyValue": "x"},
    {"subscriptionType": "company.merge", "primaryObjectId": 5, "mergedObjectIds": [6], "newObjectId": 5},
    {"subscriptionType": "ticket.creation", "objectId": 5}, {"subscriptionType": "product.deletion", "objectId": 5},
    {"subscriptionType": "line_item.restore", "objectId": 5}, {"subscriptionType": "conversation.creation", "objectId": 5},
    {"subscriptionType": "conversation.newMessage", "objectId": 5, "messageId": "m", "messageType": "MESSAGE"},
    {"subscriptionType": "conversation.privacyDeletion", "objectId": 5},
    {"subscriptionType": "object.creation", "objectTypeId": "0-8", "objectId": 5}, {"subscriptionType": "object.creation", "objectTypeId": "2-1234", "objectId": 5},
    {"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_COMPANY", "fromObjectId": 1, "toObjectId": 2, "associationRemoved": False},
    {"subscriptionType": "deal.propertyChange", "objectId": 5, "propertyName": "hs_campaign", "propertyValue": "x"},
    {"subscriptionType": "deal.privacyDeletion", "objectId": 5}, {"subscriptionType": "something.new", "objectId": 5},
]  # fmt: skip


@pytest.mark.parametrize("fields", NOT_OURS)
def test_what_has_no_counterpart_is_unmapped_and_kept_as_sent(fields: dict[str, Any]) -> None:
    found = message(**fields)
    assert isinstance(found.means, Unmapped)
    assert json.loads(found.sent) == {k: v for k, v in {**BASE, **fields}.items() if k != "attemptNumber"}


def test_a_message_is_called_by_its_type_object_and_property() -> None:
    assert message(subscriptionType="contact.creation", objectId=1).name == "contact.creation"
    generic = message(subscriptionType="object.propertyChange", objectTypeId="0-3", objectId=1, propertyName="amount")
    assert generic.name == "object.propertyChange:0-3:amount"


EVERY = [
    {"subscriptionType": "contact.creation", "objectId": 7},
    {"subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "email", "propertyValue": "a@b.no"},
    {"subscriptionType": "contact.merge", "primaryObjectId": 7, "mergedObjectIds": [8], "newObjectId": 7},
    {"subscriptionType": "contact.privacyDeletion", "objectId": 7}, {"subscriptionType": "deal.creation", "objectId": 7},
    {"subscriptionType": "deal.propertyChange", "objectId": 7, "propertyName": "amount", "propertyValue": "5"},
    {"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_CONTACT", "fromObjectId": 7, "toObjectId": 8, "associationRemoved": False},
    {"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_CONTACT", "fromObjectId": 7, "toObjectId": 8, "associationRemoved": True},
    {"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_CONTACT", "fromObjectId": 7, "toObjectId": 9, "associationRemoved": False},
    {"subscriptionType": "company.creation", "objectId": 7},
]  # fmt: skip


def id_of(**fields: Any) -> str:
    found = message(**fields).means
    if isinstance(found, Unmapped):
        assert found.id is not None
        return found.id
    assert isinstance(found, tuple)
    return str(found[0]["id"])


@pytest.mark.parametrize("fields", EVERY)
def test_every_attempt_makes_the_same_event(fields: dict[str, Any]) -> None:
    first, again = message(**fields), message(**fields, attemptNumber=9)
    assert first.means == again.means
    assert isinstance(first.means, tuple) or first.sent == again.sent


def test_events_that_differ_have_ids_of_their_own() -> None:
    ids = {id_of(**fields) for fields in EVERY}
    changed = [
        {"portalId": 1},
        {"subscriptionId": 1},
        {"eventId": 1},
        {"objectId": 1},
        {"occurredAt": AT_MS + 1},
        {"propertyName": "lastname"},
    ]
    one = {
        "subscriptionType": "contact.propertyChange",
        "objectId": 7,
        "propertyName": "firstname",
        "propertyValue": "x",
    }
    assert len({id_of(**one), *(id_of(**{**one, **change}) for change in changed)}) == 1 + len(changed)
    assert len(ids) == len(EVERY)


def test_an_id_never_becomes_too_long() -> None:
    long = {"subscriptionType": "contact.propertyChange", "objectId": 7, "propertyValue": "x"}
    first, second = (id_of(**long, propertyName="p" * 300 + end) for end in "ab")
    assert first != second
    assert len(first) <= 128


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"objectId": 7}, ("missing_field", "subscriptionType")),
        ({"subscriptionType": 5, "objectId": 7}, ("wrong_type", "subscriptionType")),
        ({"subscriptionType": "contact.creation"}, ("missing_field", "objectId")),
        ({"subscriptionType": "contact.creation", "objectId": True}, ("wrong_type", "objectId")),
        ({"subscriptionType": "contact.creation", "objectId": "seven"}, ("bad_value", "objectId")),
        ({"subscriptionType": "contact.creation", "objectId": -7}, ("bad_value", "objectId")),
        ({"subscriptionType": "contact.creation", "objectId": 7, "occurredAt": None}, ("missing_field", "occurredAt")),
        ({"subscriptionType": "contact.creation", "objectId": 7, "occurredAt": 10**18}, ("bad_value", "occurredAt")),
        ({"subscriptionType": "contact.propertyChange", "objectId": 7}, ("missing_field", "propertyName")),
        ({"subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "x", "propertyValue": {}}, ("wrong_type", "propertyValue")),
        ({"subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "createdate", "propertyValue": "soon"}, ("bad_value", "propertyValue")),
        ({"subscriptionType": "contact.merge", "newObjectId": 7}, ("missing_field", "mergedObjectIds")),
        ({"subscriptionType": "contact.merge", "newObjectId": 7, "mergedObjectIds": ["x"]}, ("bad_value", "mergedObjectIds")),
        ({"subscriptionType": "contact.merge", "newObjectId": 7, "mergedObjectIds": list(range(251))}, ("too_large", "mergedObjectIds")),
        ({"subscriptionType": "contact.merge", "mergedObjectIds": [8]}, ("missing_field", "newObjectId")),
        ({"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_CONTACT", "fromObjectId": 1, "toObjectId": 2}, ("missing_field", "associationRemoved")),
        ({"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_CONTACT", "fromObjectId": 1, "associationRemoved": True}, ("missing_field", "toObjectId")),
        ({"subscriptionType": "deal.propertyChange", "objectId": 7, "propertyName": "hs_is_closed_won", "propertyValue": "perhaps"}, ("bad_value", "propertyValue")),
    ],
)  # fmt: skip
def test_what_cannot_be_says_what_and_where(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal(**fields) == expected


@pytest.mark.parametrize(
    ("raw", "portal"),
    [
        (b'{"portalId": 62515}', "62515"), (b'{"portalId": "62515"}', "62515"), (b'{"portalId": 6.5}', None), (b"{}", None), (b"[]", None),
        (b'{"portalId": -1}', None), (b'{"portalId": null}', None), (b'{"portalId": 99999999999999999999999}', None), (b'"\xff"', None), (b"", None),
    ],
)  # fmt: skip
def test_the_portal_is_found_where_one_is_named(raw: bytes, portal: str | None) -> None:
    assert hubspot.portal_of(raw) == portal


@pytest.mark.parametrize(
    ("name", "value", "fields"),
    [
        ("hs_name", "Spring", {"name": "Spring"}), ("hs_utm", "spring-24", {"utm_campaign": "spring-24"}),
        ("hs_start_date", "2024-03-01", {"starts_on": "2024-03-01"}), ("hs_end_date", "1709251200000", {"ends_on": "2024-03-01"}),
        ("hs_budget_items_sum_amount", "1000.50", {"budget": "1000.5"}), ("hs_currency_code", "eur", {"currency": "EUR"}),
        ("hs_name", "", None), ("hs_color_hex", "#fff", ...),
    ],
)  # fmt: skip
def test_what_a_campaigns_property_means(name: str, value: str, fields: Any) -> None:
    found = hubspot.campaign_property("guid", name, value, AT)
    if fields is ...:
        assert found is None
    elif fields is None:
        assert found == ()
    else:
        assert found == ({"type": "campaign_updated", "occurred_at": AT, "campaign_id": "guid", **fields},)
        assert isinstance(accept(msgspec.json.encode(found[0]), 0, "server", NOW_US, None), Record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3), max_leaves=6,
)  # fmt: skip
FIELDS = sorted({
    "objectId", "propertyName", "propertyValue", "subscriptionType", "eventType", "portalId", "occurredAt", "eventId", "subscriptionId",
    "primaryObjectId", "mergedObjectIds", "newObjectId", "associationType", "fromObjectId", "toObjectId", "associationRemoved",
    "objectTypeId", "fromObjectTypeId", "toObjectTypeId", "associationTypeId", "attemptNumber",
})  # fmt: skip


@st.composite
def odd_events(draw: st.DrawFn) -> bytes:
    """An event of the documented shape with some fields gone, and others of any kind."""
    fields: dict[str, Any] = {**BASE, **draw(st.sampled_from([*EVERY, *NOT_OURS]))}
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        fields.pop(field, None)
    fields |= draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
    return json.dumps(fields).encode()


@given(raw=odd_events() | st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_becomes_a_message(raw: bytes) -> None:
    found = read(raw, STAGES)
    hubspot.portal_of(raw)
    assert "\0" not in found.name
    if isinstance(found.means, tuple):
        for event in found.means:
            assert event["type"] in EVENT_TYPES
            outcome = accept(msgspec.json.encode(event), 0, "server", NOW_US, None)
            assert isinstance(outcome, Record) or outcome.code in (
                "bad_value", "in_the_future", "names_nobody", "too_large", "forgetting_not_supported"
            ), outcome  # fmt: skip


@given(text=st.text(max_size=70))
def test_any_text_is_an_amount_that_is_accepted_or_refused(text: str) -> None:
    try:
        found = hubspot.amount(text)
    except BadValue:
        return
    assert len(found) < 200
