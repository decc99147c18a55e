"""Which channel is a visit, or an advertisement, of?"""

import pytest

from shared.recognition.referrers import site
from shared.rules.channel import Ad, Channel, TrafficSource, of_ad, traffic_source
from shared.rules.click_ids import CLICK_IDS, click_of
from shared.rules.page import parse

O_SEARCH, P_SEARCH, O_SOCIAL, P_SOCIAL = (
    Channel.ORGANIC_SEARCH, Channel.PAID_SEARCH, Channel.ORGANIC_SOCIAL, Channel.PAID_SOCIAL,
)  # fmt: skip
EMAIL, OTHER, REFERRAL, DIRECT = Channel.EMAIL, Channel.OTHER, Channel.REFERRAL, Channel.DIRECT


def visit(query: str, referrer: str | None = None) -> TrafficSource:
    return traffic_source(parse(f"https://s.example/?{query}"), referrer, site)


@pytest.mark.parametrize(
    ("query", "referrer", "value"),
    [
        ("utm_source=Facebook&utm_medium=CPC", None, ("facebook", "cpc", P_SOCIAL)),
        ("utm_source=google&utm_medium=organic", None, ("google", "organic", O_SEARCH)),
        ("utm_medium=paid_social", None, (None, "paid_social", P_SOCIAL)),
        ("utm_source=newsletter", None, ("newsletter", None, EMAIL)),
        ("utm_source=partner&utm_medium=referral", None, ("partner", "referral", REFERRAL)),
        ("utm_campaign=x", None, (None, None, OTHER)),
        ("msclkid=1", None, ("bing", "cpc", P_SEARCH)),
        ("li_fat_id=1", None, ("linkedin", "cpc", P_SOCIAL)),
        ("", "https://www.s.example/a", (None, None, DIRECT)),
        ("", "", (None, None, DIRECT)),
        ("", "https://blog.other.example/a", ("blog.other.example", "referral", REFERRAL)),
        ("", "https://www.google.no/", ("google.no", "organic", O_SEARCH)),
        ("", "https://docs.google.com/", ("docs.google.com", "referral", REFERRAL)),
        ("", "https://mail.google.com/", ("mail.google.com", "referral", REFERRAL)),
        ("", "https://e.mail.ru/", ("e.mail.ru", "referral", REFERRAL)),
        ("", "https://lm.facebook.com/", ("lm.facebook.com", "social", O_SOCIAL)),
    ],
)
def test_what_brought_a_visit(query: str, referrer: str | None, value: tuple[str | None, str | None, Channel]) -> None:
    assert tuple(visit(query, referrer)) == value


@pytest.mark.parametrize(
    ("query", "referrer", "channel"),
    [
        # 1: utm_medium social and a known network, before a click id of an advertisement
        ("utm_medium=social&utm_source=ig&gclid=x", None, O_SOCIAL),
        ("utm_medium=social&utm_source=spring", "https://t.co/", O_SOCIAL),
        # 2: the parameter `source`
        ("source=my_adwords&utm_medium=paid&utm_source=facebook", None, P_SEARCH),
        ("source=cpc", "https://news.example/", P_SEARCH),
        # 3: a click id that advertisements alone get, before any other utm
        ("gclid=x&utm_source=x&utm_medium=email", None, P_SEARCH),
        ("gclid=x&utm_source=facebook&utm_medium=paid", None, P_SEARCH),
        ("li_fat_id=x&utm_campaign=spring", None, P_SOCIAL),
        # 4: paid, ppc or cpc with a network or from one; paidsocial
        ("utm_medium=ppc&utm_source=fb", None, P_SOCIAL),
        ("utm_medium=cpc&utm_source=spring", "https://www.linkedin.com/", P_SOCIAL),
        ("utm_source=paidsocial", None, P_SOCIAL),
        ("utm_medium=paid&utm_source=spring&fbclid=x", None, P_SOCIAL),
        # 5: a utm that says nothing, from a search of Google
        ("utm_campaign=webinar&utm_source=other&utm_medium=webinar", "https://www.google.com/", P_SEARCH),
        ("utm_source=google", "https://www.google.de/", P_SEARCH),
        ("utm_source=spring", "https://mail.google.com/", OTHER),
        ("utm_source=spring", "https://www.bing.com/", OTHER),
        ("utm_source=hs&utm_medium=email", "https://www.google.com/", EMAIL),
        ("utm_source=google&utm_medium=organic", "https://www.google.com/", O_SEARCH),
        # 6: adword, ppc or cpc
        ("utm_source=google_adwords&utm_medium=banner", None, P_SEARCH),
        ("utm_campaign=ppc+webinar&utm_source=spring", None, P_SEARCH),
        ("utm_medium=adwords&utm_source=facebook", None, P_SEARCH),
        # 7: email
        ("utm_source=hs_email&utm_medium=spring", None, EMAIL),
        ("utm_campaign=email-march&utm_source=spring", None, EMAIL),
        ("source=email", None, EMAIL),
        # 8: any other utm, whatever the referrer
        ("utm_campaign=spring", "https://m.facebook.com/", OTHER),
        ("utm_source=flyer&utm_medium=print", None, OTHER),
        # 9 to 14: no utm
        ("source=home", "https://m.facebook.com/", O_SOCIAL),
        ("source=home", None, DIRECT),
    ],
)
def test_the_first_of_hubspots_rules_that_fits_decides(query: str, referrer: str | None, channel: Channel) -> None:
    assert visit(query, referrer).channel is channel


MEDIUMS = [
    # medium, with facebook, with google, with a source that nobody knows
    ("ppc_social", P_SOCIAL, P_SOCIAL, P_SOCIAL), ("cpc-social", P_SOCIAL, P_SOCIAL, P_SOCIAL),
    ("social-paid", P_SOCIAL, P_SOCIAL, P_SOCIAL), ("Social Paid", P_SOCIAL, P_SOCIAL, P_SOCIAL),
    ("paid_ad", P_SOCIAL, P_SEARCH, P_SEARCH), ("paid-community", P_SOCIAL, P_SEARCH, P_SEARCH),
    ("Paid Search", P_SOCIAL, P_SEARCH, P_SEARCH), ("cpc_google", P_SOCIAL, P_SEARCH, P_SEARCH),
    ("premiumcpc", P_SOCIAL, P_SEARCH, P_SEARCH), ("trafego_cpc", P_SOCIAL, P_SEARCH, P_SEARCH),
    ("display_cpc", P_SOCIAL, P_SEARCH, P_SEARCH), ("adwords", P_SEARCH, P_SEARCH, P_SEARCH),
    ("cpm", P_SOCIAL, P_SEARCH, P_SEARCH), ("CPA", P_SOCIAL, P_SEARCH, P_SEARCH), ("retargeting", P_SOCIAL, P_SEARCH, P_SEARCH),
    ("pmax", P_SOCIAL, P_SEARCH, P_SEARCH), ("Performance Max", P_SOCIAL, P_SEARCH, P_SEARCH), ("sem", P_SOCIAL, P_SEARCH, P_SEARCH),
    ("ads", P_SOCIAL, P_SEARCH, OTHER), ("Google Ads", P_SOCIAL, P_SEARCH, P_SEARCH), ("fbads", P_SOCIAL, P_SOCIAL, P_SOCIAL),
    ("search-ads", P_SOCIAL, P_SEARCH, P_SEARCH), ("display", P_SOCIAL, OTHER, OTHER), ("banner", P_SOCIAL, OTHER, OTHER),
    ("paid_display", P_SOCIAL, OTHER, OTHER), ("native", P_SOCIAL, OTHER, OTHER),
    ("email_marketing", EMAIL, EMAIL, EMAIL), ("campaign-email", EMAIL, EMAIL, EMAIL), ("e-mail", EMAIL, EMAIL, EMAIL),
    ("E Mail", EMAIL, EMAIL, EMAIL), ("emailing", EMAIL, EMAIL, EMAIL), ("trigger_emails", EMAIL, EMAIL, EMAIL),
    ("newsletter", EMAIL, EMAIL, EMAIL), ("mailing list", EMAIL, EMAIL, EMAIL), ("Mailing_CPL", EMAIL, EMAIL, EMAIL),
    ("direct mail", O_SOCIAL, OTHER, OTHER), ("mailer", O_SOCIAL, OTHER, OTHER), ("voicemail", O_SOCIAL, OTHER, OTHER),
    ("unpaid", O_SOCIAL, OTHER, OTHER), ("prepaid", O_SOCIAL, OTHER, OTHER), ("non-paid", O_SOCIAL, OTHER, OTHER),
    ("repaid", O_SOCIAL, OTHER, OTHER), ("postpaid_plan", O_SOCIAL, OTHER, OTHER), ("appcast", O_SOCIAL, OTHER, OTHER),
    ("leads", O_SOCIAL, OTHER, OTHER), ("downloads", O_SOCIAL, OTHER, OTHER),
    ("organic", O_SOCIAL, O_SEARCH, O_SEARCH), ("organic_social", O_SOCIAL, O_SOCIAL, O_SOCIAL),
    ("social-media", O_SOCIAL, O_SOCIAL, O_SOCIAL), ("Facebook_Stories", O_SOCIAL, O_SOCIAL, O_SOCIAL),
    ("referral", O_SOCIAL, REFERRAL, REFERRAL), ("affiliate", O_SOCIAL, OTHER, OTHER), ("qr", O_SOCIAL, OTHER, OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("medium", "of_facebook", "of_google", "of_nobody"), MEDIUMS)
def test_a_medium_is_grouped_as_it_means(
    medium: str, of_facebook: Channel, of_google: Channel, of_nobody: Channel
) -> None:
    value = medium.replace(" ", "+")
    assert visit(f"utm_source=facebook&utm_medium={value}").channel is of_facebook
    assert visit(f"utm_source=google&utm_medium={value}").channel is of_google
    assert visit(f"utm_source=spring&utm_medium={value}").channel is of_nobody


@pytest.mark.parametrize(
    "referrer", [None, "https://l.facebook.com/", "https://l.instagram.com/", "https://www.google.com/"]
)
def test_fbclid_alone_is_organic_whatever_the_referrer(referrer: str | None) -> None:
    assert visit("fbclid=IwAR0x", referrer) == ("facebook", "social", O_SOCIAL)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("gclid", ("google", "cpc", P_SEARCH)), ("gbraid", ("google", "cpc", P_SEARCH)), ("wbraid", ("google", "cpc", P_SEARCH)),
        ("dclid", ("google", "cpc", P_SEARCH)), ("msclkid", ("bing", "cpc", P_SEARCH)), ("yclid", ("yandex", "cpc", P_SEARCH)),
        ("li_fat_id", ("linkedin", "cpc", P_SOCIAL)), ("ttclid", ("tiktok", "cpc", P_SOCIAL)),
        ("twclid", ("twitter", "cpc", P_SOCIAL)), ("ScCid", ("snapchat", "cpc", P_SOCIAL)), ("rdt_cid", ("reddit", "cpc", P_SOCIAL)),
        ("epik", ("pinterest", "cpc", P_SOCIAL)), ("fbclid", ("facebook", "social", O_SOCIAL)),
        ("igshid", ("instagram", "social", O_SOCIAL)), ("srsltid", ("google", "organic", O_SEARCH)),
        ("mc_eid", ("mailchimp", "email", EMAIL)), ("_hsenc", ("hubspot", "email", EMAIL)), ("mkt_tok", ("marketo", "email", EMAIL)),
    ],
)  # fmt: skip
def test_a_click_id_alone_names_its_network_and_proves_a_payment_or_not(
    parameter: str, value: tuple[str, str, Channel]
) -> None:
    assert tuple(visit(f"{parameter}=aB1-_x")) == value


@pytest.mark.parametrize("value", ["", "+", "{gclid}", "undefined", "null", "[gclid]"])
def test_a_click_id_without_a_value_is_none(value: str) -> None:
    assert visit(f"gclid={value}").channel is DIRECT


def test_of_several_click_ids_one_that_proves_a_payment_counts() -> None:
    assert visit("fbclid=1&mc_eid=2&gclid=3").source == "google"
    paid = [click.paid for click in CLICK_IDS.values()]
    assert paid == sorted(paid, reverse=True)


def test_names_of_click_ids_ignore_case() -> None:
    assert all(name == name.lower() for name in CLICK_IDS)
    assert click_of({"sccid": "x"}) == ("snapchat", "cpc", True)


@pytest.mark.parametrize(
    ("ad", "channel"),
    [
        (Ad(), P_SOCIAL), (Ad("ad_campaign"), P_SOCIAL), (Ad("paid_search"), P_SEARCH), (Ad("paid_search", "google"), P_SEARCH),
        (Ad("ad_campaign", "google"), P_SEARCH), (Ad("ad_campaign", "google", "search"), P_SEARCH),
        (Ad("ad_campaign", "google", "Responsive Search Ad"), P_SEARCH), (Ad("ad_campaign", "google", "display"), OTHER),
        (Ad("paid_search", "google", "display"), OTHER), (Ad("ad_campaign", "google", "Performance Max"), P_SEARCH),
        (Ad("ad_campaign", "Google Ads", "shopping"), P_SEARCH), (Ad("ad_campaign", "google", "video"), OTHER),
        (Ad("ad_campaign", "facebook", "display"), P_SOCIAL), (Ad("ad_campaign", "Meta", "video"), P_SOCIAL),
        (Ad("ad_campaign", "linkedin"), P_SOCIAL), (Ad("ad_campaign", "ig"), P_SOCIAL), (Ad("ad_campaign", None, "social"), P_SOCIAL),
        (Ad("ad_campaign", None, "search"), P_SEARCH), (Ad("ad_campaign", "taboola"), OTHER),
        (Ad("ad_campaign", "bing", "search"), P_SEARCH), (Ad("ad_campaign", "research.example", "research"), OTHER),
    ],
)  # fmt: skip
def test_an_advertisement_is_of_the_channel_of_its_kind_and_network(ad: Ad, channel: Channel) -> None:
    assert of_ad(ad, site) is channel
