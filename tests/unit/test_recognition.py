"""What the lists of packages make of well-known hosts and agents, and what the rules make of that."""

import pytest

from shared.recognition.referrers import site
from shared.recognition.user_agents import known
from shared.rules.channel import Channel, Site, brought
from shared.rules.excluded_traffic import MachineRules, machine_agent
from shared.rules.page import parse

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("google.com", Site.SEARCH), ("www.google.no", Site.SEARCH), ("bing.com", Site.SEARCH), ("duckduckgo.com", Site.SEARCH),
        ("search.brave.com", Site.SEARCH), ("m.facebook.com", Site.SOCIAL), ("facebook", Site.SOCIAL),
        ("linkedin.com", Site.SOCIAL), ("bsky.app", Site.SOCIAL), ("t.co", Site.SOCIAL), ("news.example", Site.OTHER),
        ("mail.google.com", Site.OTHER), ("com", Site.OTHER), ("", Site.OTHER), ("newsletter", Site.OTHER),
    ],
)  # fmt: skip
def test_what_a_host_is(host: str, what: Site) -> None:
    assert site(host) is what


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


@pytest.mark.parametrize(
    ("url", "referrer", "told"),
    [
        ("https://s.example/?utm_source=Facebook&utm_medium=CPC", None, ("facebook", "cpc", Channel.PAID_SOCIAL)),
        (
            "https://s.example/?utm_source=google&utm_medium=organic",
            None,
            ("google", "organic", Channel.ORGANIC_SEARCH),
        ),
        ("https://s.example/?utm_medium=paid_social", None, (None, "paid_social", Channel.PAID_SOCIAL)),
        ("https://s.example/?utm_source=newsletter", None, ("newsletter", None, Channel.EMAIL)),
        ("https://s.example/?utm_source=partner&utm_medium=referral", None, ("partner", "referral", Channel.REFERRAL)),
        ("https://s.example/?utm_campaign=x", None, (None, None, Channel.OTHER)),
        ("https://s.example/?msclkid=1", None, ("bing", "cpc", Channel.PAID_SEARCH)),
        ("https://s.example/?li_fat_id=1", None, ("linkedin", "cpc", Channel.PAID_SOCIAL)),
        ("https://s.example/?gclid=1&utm_source=x", "https://google.com/", ("x", None, Channel.OTHER)),
        ("https://s.example/", "https://www.s.example/a", (None, None, Channel.DIRECT)),
        ("https://s.example/", "", (None, None, Channel.DIRECT)),
        ("https://s.example/", "https://blog.s.example/a", (None, None, Channel.DIRECT)),
        ("https://s.example/", "https://blog.example/a", ("blog.example", "referral", Channel.REFERRAL)),
    ],
)
def test_what_brought_a_visit(url: str, referrer: str | None, told: tuple[str | None, str | None, Channel]) -> None:
    assert tuple(brought(parse(url), referrer, site)) == told
