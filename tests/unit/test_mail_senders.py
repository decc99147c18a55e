"""What a message of a mail sender means, and that whatever is sent is mapped, kept unmapped or refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as times
from hypothesis import strategies as st

from shared.events.codec import Record
from shared.events.limits import WEBHOOK_MESSAGES_MAX
from shared.events.refusal import BadRequest
from shared.events.types import MailField, ProducersField, SettingsField
from shared.producers import mail, mailgun, postmark, sendgrid
from shared.producers.message import Message, Unmapped, Unreadable
from shared.rules.acceptance import accept
from shared.rules.order import Order
from shared.rules.settings import Producers, settings
from tests.mail_senders import AT, PHONE
from tests.mail_senders import mailgun as from_mailgun
from tests.mail_senders import postmark as from_postmark
from tests.mail_senders import sendgrid as from_sendgrid
from tests.malformed_json import malformed_texts

DEFAULT = Producers()
NOW_US = 1_800_000_000_000_000


def one(form: Any, value: Any, producers: Producers) -> Message:
    """A message that is JSON already, as the sender's format reads it; what no JSON can tell, such as infinity, is tried too."""
    return mail.one(value, form.FORMAT, producers.mail_asset_from)


def only(message: Message) -> dict[str, Any]:
    assert isinstance(message.means, tuple), message
    (event,) = message.means
    return dict(event)


def kind(message: Message) -> str:
    match message.means:
        case Unmapped():
            return "unmapped"
        case Unreadable() as wrong:
            return f"{wrong.code} {wrong.field}"
        case ():
            return "nothing"
    return str(only(message)["type"])


@pytest.mark.parametrize(
    ("event", "means"),
    [
        ("processed", "email_sent"), ("delivered", "email_delivered"), ("open", "email_opened"), ("click", "email_clicked"),
        ("bounce", "email_bounced"), ("unsubscribe", "email_unsubscribed"), ("group_unsubscribe", "email_unsubscribed"),
        ("deferred", "nothing"), ("dropped", "nothing"), ("spamreport", "unmapped"), ("group_resubscribe", "unmapped"),
        ("account_status_change", "unmapped"), ("something new", "unmapped"),
    ],
)  # fmt: skip
def test_each_event_of_sendgrid_means_what_the_table_says(event: str, means: str) -> None:
    message = one(sendgrid, from_sendgrid(event), DEFAULT)
    assert (kind(message), message.name) == (means, event)


@pytest.mark.parametrize(
    ("event", "more", "means"),
    [
        ("accepted", {}, "email_sent"), ("delivered", {}, "email_delivered"), ("opened", {}, "email_opened"),
        ("clicked", {}, "email_clicked"), ("unsubscribed", {}, "email_unsubscribed"), ("failed", {}, "email_bounced"),
        ("failed", {"severity": "temporary"}, "nothing"), ("failed", {"reason": "suppress-unsubscribe"}, "nothing"),
        ("complained", {}, "unmapped"), ("rejected", {}, "nothing"), ("list_member_uploaded", {}, "unmapped"),
    ],
)  # fmt: skip
def test_each_event_of_mailgun_means_what_the_table_says(event: str, more: dict[str, Any], means: str) -> None:
    assert kind(one(mailgun, from_mailgun(event, **more), DEFAULT)) == means


@pytest.mark.parametrize(
    ("record", "more", "means"),
    [
        ("Delivery", {}, "email_delivered"), ("Open", {}, "email_opened"), ("Click", {}, "email_clicked"),
        ("Bounce", {}, "email_bounced"), ("Bounce", {"Type": "SoftBounce"}, "email_bounced"), ("Bounce", {"Type": "Blocked"}, "email_bounced"),
        ("Bounce", {"Type": "AutoResponder"}, "nothing"), ("Bounce", {"Type": "Unsubscribe"}, "email_unsubscribed"),
        ("Bounce", {"Type": "SpamComplaint"}, "unmapped"), ("SpamComplaint", {}, "unmapped"),
        ("SubscriptionChange", {}, "email_unsubscribed"), ("SubscriptionChange", {"Origin": "Admin"}, "nothing"),
        ("SubscriptionChange", {"SuppressionReason": "HardBounce"}, "nothing"),
        ("SubscriptionChange", {"SuppressSending": False, "SuppressionReason": None}, "unmapped"),
        ("Inbound", {}, "unmapped"), ("SMTPApiError", {}, "unmapped"),
    ],
)  # fmt: skip
def test_each_message_of_postmark_means_what_the_table_says(record: str, more: dict[str, Any], means: str) -> None:
    assert kind(one(postmark, from_postmark(record, **more), DEFAULT)) == means


def test_a_click_of_sendgrid_shows_who_when_where_and_with_what() -> None:
    assert only(one(sendgrid, from_sendgrid("click"), DEFAULT)) == {
        "type": "email_clicked", "id": "sendgrid:click-0-Zm9v", "occurred_at": AT, "asset_id": "spring-mail",
        "contact": {"email": "kari@example.no"}, "user_agent": PHONE, "url": "https://shop.example/spring",
    }  # fmt: skip


def test_a_click_of_mailgun_shows_who_when_where_and_with_what() -> None:
    assert only(one(mailgun, from_mailgun("clicked"), DEFAULT)) == {
        "type": "email_clicked", "id": "mailgun:Qxclicked0:2024-03-01T10:00:00.250000Z", "occurred_at": "2024-03-01T10:00:00.250000Z",
        "asset_id": "spring-mail", "contact": {"email": "kari@example.no"}, "user_agent": PHONE, "url": "https://shop.example/spring",
    }  # fmt: skip


def test_a_click_of_postmark_shows_who_when_where_and_with_what() -> None:
    event = only(one(postmark, from_postmark("Click"), DEFAULT))
    assert event.pop("id").startswith("postmark:")
    assert event == {
        "type": "email_clicked", "occurred_at": "2024-03-01T10:00:00.123456Z", "asset_id": "spring-mail",
        "contact": {"email": "kari@example.no"}, "user_agent": PHONE, "url": "https://shop.example/spring",
    }  # fmt: skip


@pytest.mark.parametrize("value", [True, "true"])
def test_what_sendgrid_calls_a_machine_open_is_a_machines(value: object) -> None:
    assert only(one(sendgrid, from_sendgrid("open", sg_machine_open=value), DEFAULT))["machine"] is True
    assert "machine" not in only(one(sendgrid, from_sendgrid("open"), DEFAULT))


@pytest.mark.parametrize("bot", ["apple", "gmail", "generic"])
@pytest.mark.parametrize("event", ["opened", "clicked"])
def test_what_mailgun_calls_a_bot_is_a_machine(event: str, bot: str) -> None:
    client = {"user-agent": PHONE, "bot": bot}
    assert only(one(mailgun, from_mailgun(event, **{"client-info": client}), DEFAULT))["machine"] is True
    assert "machine" not in only(one(mailgun, from_mailgun(event), DEFAULT))


PLACES = [
    (("category",), ("spring-mail", "spring-mail", "spring-mail")),
    (("category:spring-",), ("mail", "mail", "mail")),
    (("category:week",), ("ly", "ly", None)),
    (("category:autumn-",), (None, None, None)),
    (("category:spring-mail",), (None, None, None)),
    (("campaign",), ("sg-77", "mc-9", None)),
    (("argument:asset_id",), ("mail-7", "mail-7", "mail-7")),
    (("argument:nothing", "campaign", "category"), ("sg-77", "mc-9", "spring-mail")),
]


@pytest.mark.parametrize(("places", "found"), PLACES)
def test_the_asset_is_what_the_first_place_names(places: tuple[str, ...], found: tuple[str | None, ...]) -> None:
    result = Producers(mail_asset_from=places)
    read = (
        one(sendgrid, from_sendgrid("open", asset_id="mail-7", singlesend_id="sg-77"), result),
        one(mailgun, from_mailgun("opened"), result),
        one(postmark, from_postmark("Open"), result),
    )
    assert tuple(None if isinstance(m.means, Unmapped) else only(m)["asset_id"] for m in read) == found


@pytest.mark.parametrize("beside", ["unique_args", "custom_args"])
def test_arguments_of_sendgrid_are_also_found_in_an_object_of_their_own(beside: str) -> None:
    result = from_sendgrid("open", **{beside: {"asset_id": 7}})
    assert only(one(sendgrid, result, Producers(mail_asset_from=("argument:asset_id",))))["asset_id"] == "7"


@pytest.mark.parametrize("category", [None, [], "", " ", {}, [None, True]])
def test_an_email_that_nothing_names_is_unmapped_with_its_own_time_and_id(category: object) -> None:
    message = one(sendgrid, from_sendgrid("open", category=category), DEFAULT)
    assert message.means == Unmapped("sendgrid:open-0-Zm9v:unmapped", AT)
    assert json.loads(message.sent)["sg_event_id"] == "open-0-Zm9v"


@pytest.mark.parametrize("form", [sendgrid, mailgun, postmark])
def test_what_was_kept_unmapped_is_mapped_once_a_place_names_its_asset(form: Any) -> None:
    unnamed = {
        "sendgrid": from_sendgrid("open", category=[], asset_id="mail-7"), "mailgun": from_mailgun("opened", tags=[]),
        "postmark": from_postmark("Open", Tag=""),
    }[form.PRODUCER]  # fmt: skip
    kept = one(form, unnamed, DEFAULT)
    now = Producers(mail_asset_from=("category", "argument:asset_id"))
    assert kind(kept) == "unmapped"
    assert only(form.read(kept.sent, now)) == only(one(form, unnamed, now))
    assert (form.is_mapped(kept.name, DEFAULT), form.is_mapped(kept.name, now), form.is_mapped("complained", now)) == (
        False,
        True,
        False,
    )


def test_an_empty_list_stands_for_no_user_variables() -> None:
    assert (
        kind(one(mailgun, from_mailgun("opened", **{"user-variables": [], "campaigns": {}}), DEFAULT)) == "email_opened"
    )


def test_a_message_of_mailgun_is_the_same_however_often_it_is_signed() -> None:
    calls = [
        json.dumps({"signature": {"token": token}, "event-data": from_mailgun("complained")}).encode() for token in "ab"
    ]
    assert mailgun.messages(calls[0], DEFAULT) == mailgun.messages(calls[1], DEFAULT)


def test_ids_of_mailgun_are_distinguished_by_their_instants() -> None:
    read = [only(one(mailgun, {**from_mailgun("opened", n), "id": "same"}, DEFAULT))["id"] for n in (0, 86_400)]
    assert len(set(read)) == 2


@pytest.mark.parametrize("record", list(postmark.MEANS))
def test_a_message_of_postmark_has_the_same_id_each_time_and_another_has_another(record: str) -> None:
    def id_of(**more: Any) -> str:
        means = one(postmark, from_postmark(record, **more), DEFAULT).means
        assert not isinstance(means, Unreadable)
        return str(means.id if isinstance(means, Unmapped) else means[0]["id"])

    changes = [
        {},
        {"MessageID": "other"},
        {"Recipient": "ola@example.no"},
        {postmark.INSTANTS[record]: "2024-03-01T10:00:00Z"},
    ]
    assert id_of() == id_of()
    assert len({id_of(**change) for change in changes}) == 4


def test_the_text_of_an_email_is_not_kept() -> None:
    (message,) = postmark.messages(json.dumps(from_postmark("SpamComplaint")).encode(), DEFAULT)
    assert "Content" not in json.loads(message.sent)
    assert json.loads(message.sent)["Subject"] == "Spring"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (one(sendgrid, from_sendgrid("open", email=None), DEFAULT), "missing_field email"),
        (one(sendgrid, from_sendgrid("open", email=["a@b.example"]), DEFAULT), "wrong_type email"),
        (one(sendgrid, from_sendgrid("open", timestamp=None), DEFAULT), "missing_field timestamp"),
        (one(sendgrid, from_sendgrid("open", timestamp=True), DEFAULT), "wrong_type timestamp"),
        (one(sendgrid, from_sendgrid("open", timestamp="soon"), DEFAULT), "wrong_type timestamp"),
        (one(sendgrid, from_sendgrid("open", timestamp=-1), DEFAULT), "bad_value timestamp"),
        (one(sendgrid, from_sendgrid("open", timestamp=float("inf")), DEFAULT), "bad_value timestamp"),
        (one(sendgrid, from_sendgrid("open", timestamp=10**400), DEFAULT), "bad_value timestamp"),
        (one(mailgun, from_mailgun("opened", **{"client-info": "phone"}), DEFAULT), "wrong_type client-info"),
        (one(postmark, from_postmark("Open", ReceivedAt="2024-03-01T10:00:00"), DEFAULT), "bad_value ReceivedAt"),
        (one(postmark, from_postmark("Open", Recipient=None), DEFAULT), "missing_field Email"),
        (mailgun.messages(b'{"signature":{}}', DEFAULT)[0], "missing_field event-data"),
        (mailgun.messages(b'{"event-data":[]}', DEFAULT)[0], "wrong_type None"),
        (sendgrid.messages(b"[", DEFAULT)[0], "not_json None"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_message_is_reported_with_its_place(message: Message, code: str) -> None:
    assert kind(message) == code


@pytest.mark.parametrize("timestamp", [1_709_287_200, "1709287200", 1_709_287_200.0, "1709287200.0"])
def test_seconds_may_be_a_number_or_a_text(timestamp: object) -> None:
    assert only(one(sendgrid, from_sendgrid("open", timestamp=timestamp), DEFAULT))["occurred_at"] == AT


def test_a_long_or_unusual_id_of_a_sender_becomes_a_digest() -> None:
    ids = {
        only(one(sendgrid, from_sendgrid("open", sg_event_id=own), DEFAULT))["id"]
        for own in ("x" * 500, "å", "a b", 7, [1])
    }
    assert len(ids) == 5
    assert all(len(each) <= 60 for each in ids)


def test_good_events_beside_broken_ones_are_read() -> None:
    good = json.dumps(from_sendgrid("open")).encode()
    odd = [b"7", b'"\xff"', b'"\\ud800"', b'{"a":}', b"[" * 3_000 + b"]" * 3_000, b"{}", b"null", b'{"event":"open"}']
    read = sendgrid.messages(b"[" + b",".join([*odd, good]) + b"]", DEFAULT)
    assert len(read) == len(odd) + 1
    assert kind(read[-1]) == "email_opened"


def test_more_messages_than_a_call_takes_are_refused_together() -> None:
    with pytest.raises(BadRequest, match="10000 at most"):
        sendgrid.messages(b"[" + b"1," * WEBHOOK_MESSAGES_MAX + b"1]", DEFAULT)
    assert len(sendgrid.messages(b"[" + b"1," * (WEBHOOK_MESSAGES_MAX - 1) + b"1]", DEFAULT)) == WEBHOOK_MESSAGES_MAX


def test_the_latest_places_count_and_absent_ones_stay() -> None:
    found = [
        SettingsField(producers=ProducersField(mail=MailField(asset_from=("campaign",)))),
        SettingsField(currency="NOK"),
    ]
    now = settings([(Order(n, "e"), each) for n, each in enumerate(found)])
    assert now.producers.mail_asset_from == ("campaign",)
    assert settings([]).producers.mail_asset_from == ("category",)


@pytest.mark.parametrize("place", ["categories", "category:", "argument:", "argument", "campaign:x", "", "category\n"])
def test_a_place_that_there_is_not_is_refused(place: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"asset_from": [place]}, MailField)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.sampled_from(["", "\0", "a@b.example"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12,
)  # fmt: skip
GOOD = [
    *(from_sendgrid(each) for each in sendgrid.MEANS), *(from_mailgun(each) for each in mailgun.MEANS),
    *(from_postmark(each) for each in postmark.MEANS),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good message of any sender, in which some fields are anything."""
    message = dict(draw(st.sampled_from(GOOD)))
    for name in draw(st.lists(st.sampled_from(sorted(message)) | st.text(max_size=8), max_size=4)):
        message[name] = draw(JSON)
    return message


@times(max_examples=400)
@given(mutated())
def test_whatever_a_message_says_it_is_mapped_unmapped_or_refused(message: dict[str, Any]) -> None:
    for form in (sendgrid, mailgun, postmark):
        read = one(form, message, DEFAULT)
        assert one(form, message, DEFAULT) == read
        if isinstance(read.means, tuple):
            for event in read.means:
                outcome = accept(json.dumps(event).encode(), 0, "server", NOW_US, None)
                assert isinstance(outcome, Record) or outcome.code in (
                    "bad_value",
                    "names_nobody",
                    "in_the_future",
                    "too_large",
                ), outcome


@pytest.mark.parametrize("form", [sendgrid, mailgun, postmark])
def test_an_unusual_text_is_read_or_refused_by_itself(form: Any) -> None:
    for text in malformed_texts():
        for body in (text, b'{"event-data":' + text + b"}", b"[" + text + b"]"):
            assert all(isinstance(message, Message) for message in form.messages(body, DEFAULT))
