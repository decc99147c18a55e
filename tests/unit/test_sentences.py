"""Explanations are sentences that name people, assets, campaigns and days."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from shared.events.instants import to_micros
from shared.reading import sentences
from shared.reading.sentences import DescribedDeal, DescribedTouch, LocalTime, NamedAsset, NamedContact
from shared.rules.deal import DealReason, State
from shared.rules.influence import TouchType as T
from shared.rules.pre_association import KeptOut

OSLO = LocalTime(ZoneInfo("Europe/Oslo"))
KARI = NamedContact("8001", "kari@example.no", "Kari", "Nordmann")
OLA = NamedContact("ola@example.no", "ola@example.no", "Ola")
PER = NamedContact("8003")
MAIL, LANDING = NamedAsset("mail", "marketing_email", "Spring mail"), NamedAsset("lp", "landing_page", "Offer")
QR = NamedAsset("qr", "tracking_url", "Flyer")
SPRING = "Spring sale"


def us(text: str) -> int:
    return to_micros(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC))


def deal(
    closed: str | None = "2024-03-01T10:00", state: State = State.WON, decided: str | None = None
) -> DescribedDeal:
    created_us = us("2024-02-10T10:00")
    closed_us = None if closed is None else us(closed)
    return DescribedDeal("d", "Boat", state, created_us, closed_us, us(decided) if decided else closed_us or created_us)


def click(
    at: str, who: NamedContact | None = KARI, type_: T = T.EMAIL_CLICKED, asset: NamedAsset | None = MAIL
) -> DescribedTouch:
    return DescribedTouch(who, type_, us(at), asset, through="asset")


def visit(
    through: str, url: str = "https://shop.example/offer/?x=1#top", asset: NamedAsset | None = None
) -> DescribedTouch:
    via = QR if through == "via" else None
    utm = "spring" if through == "utm" else None
    return DescribedTouch(OLA, T.PAGE_VISITED, us("2024-02-12T12:00"), asset, via, utm, url, None, through)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (KARI, "Kari Nordmann (kari@example.no, 8001)"), (OLA, "Ola (ola@example.no)"), (PER, "contact 8003"),
        (NamedContact("7", "per@example.no"), "per@example.no (7)"), (NamedContact("per@example.no", "per@example.no"), "per@example.no"),
        (NamedContact("8", None, "Siri", "Berg"), "Siri Berg (8)"), (NamedContact("9", None, None, "Lie"), "Lie (9)"),
    ],
)  # fmt: skip
def test_a_person_is_called_by_its_name_and_identifiers(who: NamedContact, expected: str) -> None:
    assert who.full == expected


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        (click("2024-03-03T10:00"), "clicked the email 'Spring mail' of the campaign 'Spring sale'"),
        (click("2024-03-03T10:00", type_=T.EMAIL_OPENED, asset=NamedAsset("m")), "opened the email 'm' of the campaign 'Spring sale'"),
        (DescribedTouch(KARI, T.FORM_SUBMITTED, 0, NamedAsset("f", "form", "Sign up"), through="asset"), "submitted the form 'Sign up' of the campaign 'Spring sale'"),
        (DescribedTouch(KARI, T.CTA_VIEWED, 0, NamedAsset("c", "cta"), through="asset"), "saw the call to action 'c' of the campaign 'Spring sale'"),
        (DescribedTouch(KARI, T.AD_CLICKED, 0, NamedAsset("a", "ad_campaign"), through="asset"), "clicked the ad campaign 'a' of the campaign 'Spring sale'"),
        (DescribedTouch(KARI, T.AD_CLICKED, 0, NamedAsset("a"), through="asset"), "clicked the ad 'a' of the campaign 'Spring sale'"),
        (DescribedTouch(KARI, T.SOCIAL_INTERACTED, 0, NamedAsset("p"), kind="like", through="asset"), "interacted with the social post 'p' of the campaign 'Spring sale' (like)"),
        (DescribedTouch(KARI, T.ASSET_INTERACTED, 0, NamedAsset("m", "meeting", "Demo"), kind="meeting_booked", through="asset"), "interacted with the meeting 'Demo' of the campaign 'Spring sale' (meeting booked)"),
        (DescribedTouch(KARI, T.ASSET_INTERACTED, 0, NamedAsset("x")), "interacted with the asset 'x'"),
        (visit("asset", asset=LANDING), "visited the landing page 'Offer' of the campaign 'Spring sale'"),
        (visit("via"), "visited the page shop.example/offer by the tracking URL 'Flyer' of the campaign 'Spring sale'"),
        (visit("utm"), "visited the page shop.example/offer with the utm_campaign 'spring' of the campaign 'Spring sale'"),
        (visit("utm", url="https://shop.example"), "visited the page shop.example with the utm_campaign 'spring' of the campaign 'Spring sale'"),
    ],
)  # fmt: skip
def test_a_touch_is_described_by_what_was_done_to_what(touch: DescribedTouch, expected: str) -> None:
    assert touch.did(SPRING) == expected


@pytest.mark.parametrize("type_", list(T))
def test_every_type_of_touch_has_a_sentence(type_: T) -> None:
    assert "'Spring mail'" in click("2024-03-03T10:00", type_=type_).did()


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2024-03-03T10:00", "on 3 March 2024, two days after the deal closed on 1 March 2024"),
        ("2024-02-29T10:00", "on 29 February 2024, one day before the deal closed on 1 March 2024"),
        ("2024-01-01T10:00", "on 1 January 2024, 60 days before the deal closed on 1 March 2024"),
        ("2024-03-01T12:30", "on 1 March 2024 at 13:30, two hours after the deal closed at 11:00 (Europe/Oslo)".replace("two", "more than two")),
        ("2024-03-01T11:30", "on 1 March 2024 at 12:30, 90 minutes after the deal closed at 11:00 (Europe/Oslo)"),
        ("2024-03-01T09:59:30", "on 1 March 2024 at 10:59:30, 30 seconds before the deal closed at 11:00 (Europe/Oslo)"),
        ("2024-03-01T10:00:00.000001", "on 1 March 2024 at 11:00:00.000001, less than a second after the deal closed at 11:00 (Europe/Oslo)"),
        ("2024-03-01T23:30", "on 2 March 2024 at 00:30, more than 13 hours after the deal closed on 1 March 2024 at 11:00 (Europe/Oslo)"),
        ("2024-03-01T10:00", "on 1 March 2024 at 11:00 (Europe/Oslo), at the very instant at which the deal closed"),
    ],
)  # fmt: skip
def test_an_instant_is_described_relative_to_another_one(at: str, expected: str) -> None:
    assert OSLO.beside(us(at), us("2024-03-01T10:00"), "the deal closed") == expected


def test_a_day_of_twenty_five_hours_is_one_day_with_times() -> None:
    first, last = us("2024-10-26T22:00"), us("2024-10-27T22:30")  # 00:00 and 23:30 of 27 October in Oslo
    assert OSLO.beside(last, first, "it closed") == (
        "on 27 October 2024 at 23:30, more than 24 hours after it closed at 00:00 (Europe/Oslo)"
    )


DEALS = [
    (sentences.deletion(OSLO, deal()), "The deal 'Boat' was created on 10 February 2024 and was not deleted."),
    (sentences.deletion(OSLO, deal(state=State.DELETED)), "The deal 'Boat' was deleted on 1 March 2024; a deleted deal counts for no campaign."),
    (sentences.outcome(OSLO, deal()), "The deal 'Boat' was won on 1 March 2024."),
    (sentences.outcome(OSLO, deal(state=State.LOST)), "The deal 'Boat' was lost on 1 March 2024; a lost deal counts for no campaign."),
    (sentences.outcome(OSLO, deal(None, State.OPEN)), "The deal 'Boat' is open."),
    (sentences.outcome(OSLO, deal(None, State.OPEN, "2024-02-20T10:00")), "The deal 'Boat' was reopened on 20 February 2024 and is open."),
    (sentences.associated(OSLO, deal(), KARI, us("2024-02-10T10:00"), 0),
     "Kari Nordmann (kari@example.no, 8001) was associated with the deal on 10 February 2024, 20 days before it closed on 1 March 2024."),
    (sentences.associated(OSLO, deal(), PER, us("2024-02-10T10:00"), 2),
     "Contact 8003 was associated with the deal on 10 February 2024, 20 days before it closed on 1 March 2024; so were two other contacts."),
    (sentences.associated(OSLO, deal(None, State.OPEN), OLA, us("2024-02-10T10:00"), 1),
     "Ola (ola@example.no) was associated with the deal on 10 February 2024 and still is, as is one other contact."),
    (sentences.influenced(OSLO, deal(), click("2024-02-20T10:00"), SPRING),
     "Kari Nordmann (kari@example.no, 8001) clicked the email 'Spring mail' of the campaign 'Spring sale' on 20 February 2024, ten days before the deal closed on 1 March 2024."),
    (sentences.influenced(OSLO, deal(None, State.OPEN), visit("via"), SPRING),
     "Ola (ola@example.no) visited the page shop.example/offer by the tracking URL 'Flyer' of the campaign 'Spring sale' on 12 February 2024; the deal is open."),
]  # fmt: skip


def missing(reason: DealReason, who: NamedContact | None, changed: str | None, touch: DescribedTouch | None, closed: str | None = "2024-03-01T10:00") -> str:  # fmt: skip
    state = State.OPEN if closed is None else State.WON
    return sentences.not_associated(
        OSLO, deal(closed, state), reason, who, us(changed) if changed else None, touch, SPRING
    )


def cold(reason: DealReason, touch: DescribedTouch | None, *people: NamedContact, number: int = 0, kept_out: bool = False, closed: str | None = "2024-03-01T10:00") -> str:  # fmt: skip
    result = deal(closed, State.OPEN if closed is None else State.WON)
    return sentences.not_influenced(
        OSLO, result, reason, touch, people, number or len(people), SPRING, kept_out=kept_out
    )


R = DealReason
REASONS = [
    (missing(R.NO_CONTACT, None, None, None), "Nobody was ever associated with the deal 'Boat'."),
    (missing(R.CONTACT_ASSOCIATED_AFTER_CLOSE, OLA, "2024-03-05T10:00", None),
     "Ola (ola@example.no) was associated with the deal on 5 March 2024, four days after it closed on 1 March 2024; nobody was associated with it earlier."),
    (missing(R.CONTACT_ASSOCIATED_AFTER_CLOSE, OLA, "2024-03-05T10:00", click("2024-02-20T10:00", OLA)),
     ("Ola (ola@example.no) was associated with the deal on 5 March 2024, four days after it closed on 1 March 2024. "
     "So it does not count that Ola clicked the email 'Spring mail' of the campaign 'Spring sale' on 20 February 2024.")),
    (missing(R.CONTACT_DISSOCIATED_BEFORE_CLOSE, KARI, "2024-02-28T10:00", click("2024-02-28T09:00")),
     ("Kari Nordmann (kari@example.no, 8001) was removed from the deal on 28 February 2024, two days before it closed on 1 March 2024. "
     "So it does not count that Kari clicked the email 'Spring mail' of the campaign 'Spring sale' on 28 February 2024 at 10:00.")),
    (missing(R.CONTACT_DISSOCIATED_BEFORE_CLOSE, PER, "2024-02-28T10:00", None, closed=None),
     "Contact 8003 was removed from the deal on 28 February 2024; nobody was left in it."),
    (cold(R.INFLUENCED_AFTER_CLOSE, click("2024-03-03T10:00"), KARI),
     ("Kari Nordmann (kari@example.no, 8001) clicked the email 'Spring mail' of the campaign 'Spring sale' on 3 March 2024, two days after the deal closed on 1 March 2024; "
     "Kari has no earlier touch that counts for the campaign.")),
    (cold(R.INFLUENCED_AFTER_CLOSE, click("2024-03-03T10:00"), OLA, KARI, kept_out=True),
     ("Kari Nordmann (kari@example.no, 8001) clicked the email 'Spring mail' of the campaign 'Spring sale' on 3 March 2024, two days after the deal closed on 1 March 2024; "
     "nobody in the deal has an earlier touch that counts for the campaign; what was kept out of the campaign follows below.")),
    (cold(R.STATIC_LIST, click("2024-02-20T10:00", type_=T.LIST_JOINED_STATIC, asset=NamedAsset("vip", "list", "VIPs")), KARI),
     ("Kari Nordmann (kari@example.no, 8001) joined the static list 'VIPs' of the campaign 'Spring sale' on 20 February 2024. "
     "Joining a static list influences no deal, and nothing that Kari did in the campaign does.")),
    (cold(R.WORKFLOW_ONLY, click("2024-02-20T10:00", PER, T.WORKFLOW_ENROLLED, NamedAsset("flow", "workflow", "Welcome")), PER, KARI),
     ("Contact 8003 was enrolled in the workflow 'Welcome' of the campaign 'Spring sale' on 20 February 2024. "
     "Being enrolled in a workflow influences no deal, and nothing that anybody in the deal did in the campaign does.")),
    (cold(R.CONTACT_NOT_INFLUENCED, None, PER), "Before the deal closed on 1 March 2024, contact 8003 had no touch of the campaign 'Spring sale' that influences a deal."),
    (cold(R.CONTACT_NOT_INFLUENCED, None, PER, closed=None), "Contact 8003 has no touch of the campaign 'Spring sale' that influences a deal."),
    (cold(R.CONTACT_NOT_INFLUENCED, None, KARI, closed=None), "Kari Nordmann (kari@example.no, 8001) has no touch of the campaign 'Spring sale' that influences a deal."),
    (cold(R.CONTACT_NOT_INFLUENCED, None, PER, OLA, closed=None, kept_out=True),
     "None of contact 8003 and Ola (ola@example.no) has a touch of the campaign 'Spring sale' that influences a deal; what was kept out of the campaign follows below."),
    (cold(R.CONTACT_NOT_INFLUENCED, None, PER, OLA, KARI, number=5),
     "Before the deal closed on 1 March 2024, none of contact 8003, Ola (ola@example.no), Kari Nordmann (kari@example.no, 8001) and two other contacts had a touch of the campaign 'Spring sale' that influences a deal."),
]  # fmt: skip


def kept(why: KeptOut, touch: DescribedTouch, turned: str | None = None) -> str:
    return sentences.kept_out(OSLO, why, touch, SPRING, None if turned is None else us(turned))


K, EARLY = KeptOut, click("2024-02-20T10:00")
WHO = "Kari Nordmann (kari@example.no, 8001) clicked the email 'Spring mail'"
PAGE = "Ola (ola@example.no) visited the page shop.example/offer"
KEPT_OUT = [
    (kept(K.MACHINE, EARLY), f"{WHO} on 20 February 2024, but a machine did that and no person, so it does not count."),
    (kept(K.INTERNAL, EARLY), f"{WHO} on 20 February 2024, but that is traffic of the workspace's own people, which does not count."),
    (kept(K.MACHINE, click("2024-02-20T10:00", None)), "An anonymous visitor clicked the email 'Spring mail' on 20 February 2024, but a machine did that and no person, so it does not count."),
    (kept(K.BEFORE_ASSOCIATION, EARLY, "2024-02-25T10:00"), f"{WHO} on 20 February 2024, five days before the email came into the campaign 'Spring sale' on 25 February 2024."),
    (kept(K.AFTER_ASSOCIATION_ENDED, EARLY, "2024-02-20T10:00"), f"{WHO} on 20 February 2024 at 11:00 (Europe/Oslo), at the very instant at which the email left the campaign 'Spring sale'."),
    (kept(K.AFTER_ASSOCIATION_ENDED, visit("via"), "2024-02-10T10:00"), f"{PAGE} by the tracking URL 'Flyer' on 12 February 2024, two days after the tracking URL left the campaign 'Spring sale' on 10 February 2024."),
    (kept(K.BEFORE_ASSOCIATION, EARLY), f"{WHO} on 20 February 2024, when the email was not in the campaign 'Spring sale'."),
    (kept(K.UTM_NOT_CLAIMED_THEN, visit("utm"), "2024-02-20T10:00"), f"{PAGE} with the utm_campaign 'spring' on 12 February 2024, but the campaign 'Spring sale' claims that value only since 20 February 2024."),
    (kept(K.UTM_NOT_CLAIMED_THEN, visit("utm"), "2024-02-12T10:00"), f"{PAGE} with the utm_campaign 'spring' on 12 February 2024 at 13:00, but the campaign 'Spring sale' claimed that value only until 11:00 (Europe/Oslo)."),
    (kept(K.UTM_NOT_CLAIMED_THEN, visit("utm")), f"{PAGE} with the utm_campaign 'spring' on 12 February 2024, but the campaign 'Spring sale' did not claim that value then."),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "wanted"), [*DEALS, *REASONS, *KEPT_OUT])
def test_an_explanation_is_one_plain_sentence_of_names_and_days(sentence: str, wanted: str) -> None:
    assert sentence == wanted


@pytest.mark.parametrize("sentence", [sentence for sentence, _ in (*DEALS, *REASONS, *KEPT_OUT)])
def test_no_explanation_speaks_of_somebody_or_something_unnamed(sentence: str) -> None:
    assert "a contact" not in sentence.lower()
    assert "the asset " not in sentence
