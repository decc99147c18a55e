"""What the lists of packages make of well-known hosts and agents, and what the rules make of that."""

import pytest

from shared.recognition.referrers import site
from shared.recognition.user_agents import known
from shared.rules.channel import Site
from shared.rules.excluded_traffic import MachineRules, machine_agent

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("google.com", Site.SEARCH), ("www.google.no", Site.SEARCH), ("bing.com", Site.SEARCH), ("duckduckgo.com", Site.SEARCH),
        ("search.brave.com", Site.SEARCH), ("m.facebook.com", Site.SOCIAL), ("facebook", Site.SOCIAL),
        ("linkedin.com", Site.SOCIAL), ("bsky.app", Site.SOCIAL), ("t.co", Site.SOCIAL), ("news.example", Site.OTHER),
        ("mail.google.com", Site.MAIL), ("com", Site.OTHER), ("", Site.OTHER), ("newsletter", Site.OTHER),
    ],
)  # fmt: skip
def test_what_a_host_is(host: str, what: Site) -> None:
    assert site(host) is what


@pytest.mark.parametrize(
    "host",
    [
        "google.com", "www.google.no", "google.co.ao", "google.com.tr", "images.google.de", "news.google.com",
        "encrypted.google.com", "cn.bing.com", "m.bing.com", "uk.search.yahoo.com", "r.search.yahoo.com", "search.yahoo.co.jp",
        "yandex.com.tr", "ya.ru", "images.yandex.ru", "m.baidu.com", "m.search.naver.com", "html.duckduckgo.com",
        "lite.qwant.com", "go.mail.ru", "search.seznam.cz", "com.google.android.googlequicksearchbox",
    ],
)  # fmt: skip
def test_a_host_that_searches_the_web_is_a_search_engine(host: str) -> None:
    assert site(host) is Site.SEARCH


@pytest.mark.parametrize(
    "host",
    [
        "accounts.google.com", "docs.google.com", "drive.google.com", "calendar.google.com", "meet.google.com",
        "classroom.google.com", "tagassistant.google.com", "keep.google.com", "photos.google.com", "myaccount.google.com",
        "translate.google.com", "groups.google.com", "ads.google.com", "gemini.google.com", "chromewebstore.google.com",
        "googleads.g.doubleclick.net", "ad.doubleclick.net", "tpc.googlesyndication.com", "www.googleadservices.com",
        "login.yahoo.com", "finance.yahoo.com", "passport.yandex.ru", "id.yandex.ru", "disk.yandex.com", "maps.yandex.ru",
        "login.live.com", "account.live.com", "rewards.bing.com", "pan.baidu.com", "blog.naver.com", "nid.naver.com",
        "cloud.mail.ru", "business.facebook.com", "ads.tiktok.com", "developers.facebook.com", "google.com.evil.example",
        "notgoogle.com", "google.evil.example", "www.cnn.com", "amazon.com",
    ],
)  # fmt: skip
def test_other_hosts_of_the_same_company_neither_search_nor_are_a_network(host: str) -> None:
    assert site(host) is Site.OTHER


@pytest.mark.parametrize(
    "host",
    [
        "mail.google.com",
        "mail.yahoo.com",
        "outlook.live.com",
        "e.mail.ru",
        "mail.proton.me",
        "mail.qq.com",
        "com.google.android.gm",
    ],
)
def test_a_mail_service_is_no_network_and_no_search_engine(host: str) -> None:
    assert site(host) is Site.MAIL


@pytest.mark.parametrize(
    "name",
    [
        "fb", "ig", "insta", "meta", "li", "yt", "x", "tw", "wa", "tg", "pin", "snap", "tt", "vk", "Facebook", "LinkedIn",
        "facebook.com", "l.facebook.com", "https://www.instagram.com/", "Facebook_Ads", "fb-ads", "FBAds", "Meta Ads", "FB_IG",
        "instagram_stories", "linkedin-paid", "no.linkedin.com", "id.pinterest.com", "com.linkedin.android",
    ],
)  # fmt: skip
def test_networks_are_known_by_their_names_and_short_names(name: str) -> None:
    assert site(name) is Site.SOCIAL


@pytest.mark.parametrize(
    "name", ["google", "Google Ads", "google-ads", "googleads", "google_shopping", "bing", "yahoo", "ddg"]
)
def test_search_engines_are_known_by_their_names(name: str) -> None:
    assert site(name) is Site.SEARCH


@pytest.mark.parametrize(
    "name",
    [
        "info",
        "free",
        "orange",
        "www",
        "web",
        "x-mailer",
        "leads",
        "downloads",
        "metadata",
        "email",
        "paid",
        "ads",
        "line manager",
    ],
)
def test_an_ordinary_word_is_no_site(name: str) -> None:
    assert site(name) is Site.OTHER


@pytest.mark.parametrize(
    ("agent", "visits", "opens"),
    [
        (FIREFOX, False, False), (SAFARI, False, False), ("Googlebot/2.1", True, True), ("curl/8.5.0", True, True),
        (GMAIL, True, False), ("YahooMailProxy; https://help.yahoo.com", True, False), ("Mozilla/5.0", False, True),
        ("", False, False),
    ],
)  # fmt: skip
def test_what_an_agent_is(agent: str, visits: bool, opens: bool) -> None:
    assert machine_agent(agent, known(agent), MachineRules()) == (visits, opens)


def test_rules_switch_off_and_name() -> None:
    assert machine_agent("curl/8", known("curl/8"), MachineRules(crawlers=False)) == (False, False)
    assert machine_agent(GMAIL, known(GMAIL), MachineRules(mail_prefetchers=False)) == (False, False)
    assert machine_agent(FIREFOX, known(FIREFOX), MachineRules(always=("rv:132",))) == (True, True)
    assert machine_agent(FIREFOX, known(FIREFOX), MachineRules(always=("rv:132",), never=("FIREFOX",))) == (
        False,
        False,
    )
