"""Addresses, parameters and referrers, case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rules.address import host_of, same_path, split
from shared.rules.page import BY_PATH, AddressRules, address_of, parse
from shared.rules.referrer import PASSED, SIGN_IN, ReferrerRules, host_of_setting, source_host
from shared.rules.settings import Settings
from shared.rules.tracking_url import link_of
from shared.rules.utm import decoded, parameters, read_as_either
from tests.cpu_time import within_cpu_s


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("/bl%C3%A5b%c3%a6r", "/blåbær"),
        ("/bla\u030ab%C3%A6r", "/blåbær"),
        ("/%7Ekari/%2D%2e%5F", "/~kari/-._"),
        ("/a/./b/../c/", "/a/c"),
        ("/a/%2e%2e/c", "/c"),
        ("/../../c", "/c"),
        ("//a///b", "/a/b"),
        ("/a%2fb", "/a%2Fb"),
        ("/%ff%C3%A5%c3", "/%FFå%C3"),
        ("/100%", "/100%25"),
        ('/a b"c', "/a%20b%22c"),
        ("/", ""),
    ],
)
def test_a_path_as_all_equal_ones_are_written(path: str, same: str) -> None:
    assert same_path(path) == same


@given(st.text(st.sampled_from("/.%aA2fF7eE~å\u030a\udcc3 ?#&;=+") | st.characters(codec="utf-8"), max_size=40))
def test_a_written_path_stays_as_it_is(path: str) -> None:
    text = "/" + path.encode("utf-8", "ignore").decode()
    assert same_path(same_path(text)) == same_path(text)


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("Bücher.example", "xn--bcher-kva.example", ""),
        ("www.XN--BCHER-KVA.example.", "xn--bcher-kva.example", ""),
        ("b%C3%BCcher.example:80", "xn--bcher-kva.example", ""),
        ("shop。example:443", "shop.example", ""),
        ("kari:secret@shop.example:08080", "shop.example", ":8080"),
        ("shop.example:", "shop.example", ""),
        ("shop.example:port", "shop.example", ":port"),
        ("my_shop.bücher.example", "my_shop.xn--bcher-kva.example", ""),
        ("💩.la", "xn--ls8h.la", ""),
        ("[2001:DB8::1]:8443", "[2001:db8::1]", ":8443"),
        ("[", "[", ""),
        ("", "", ""),
    ],
)
def test_a_host_in_ascii(authority: str, host: str, port: str) -> None:
    assert host_of(authority) == (host, port)


@given(st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    for rules in (BY_PATH, AddressRules(("p",), fragments=True)):
        assert isinstance(address_of(text, rules), str)
    assert split(text).path == "" or split(text).path.startswith("/")
    assert source_host("shop.example", text) is None or "." in (source_host("shop.example", text) or "")


@pytest.mark.parametrize(
    "text",
    ["https://" + "ü" * 8000 + ".example/", "https://a." + "a" * 8000 + "!/", "https://s.example/" + "%C3" * 2700, "https://s.example/" + "/." * 4000,
     "https://s.example/?" + ";a" * 4000, "https://s.example/?" + "amp;" * 2000 + "=1", "https://s.example/?x=" + "?utm_" * 1600,
     "https://" + "a." * 4000 + "b/", "android-app:" + "a." * 4000 + "!"],
)  # fmt: skip
def test_the_longest_url_is_read_in_a_moment(text: str) -> None:
    with within_cpu_s(0.2):  # some milliseconds, on a machine at leisure
        address_of(text, AddressRules(("p",), fragments=True))
        source_host("shop.example", text)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("a=1&a=2", {"a": "1"}),
        ("a=&a=+&a=%20&a=2", {"a": "2"}),
        ("A=1&amp;B=2&amp;amp;c=3", {"a": "1", "b": "2", "c": "3"}),
        ("a[]=1&b%5B12%5D=2&c[x]=3", {"a": "1", "b": "2", "c[x]": "3"}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        ("a=1;2", {"a": "1;2"}),
        ("a=1?utm_source=x", {"a": "1", "utm_source": "x"}),
        ("a=1?b=2", {"a": "1?b=2"}),
        ("utm_source=x%26utm_medium=y", {"utm_source": "x", "utm_medium": "y"}),
        ("next=%2Fa%3Fb%3D1%26utm_source%3Dx", {"next": "/a?b=1&utm_source=x"}),
        ("utm_source", {}),
        ("=x", {"": "x"}),
    ],
)
def test_parameters_as_links_carry_them(query: str, value: dict[str, str]) -> None:
    assert parameters(query) == value


def test_the_query_is_read_before_the_fragment() -> None:
    assert parse("https://shop.example/?utm_campaign=a#utm_campaign=b&utm_source=c").utm == ("a", "c", "")


@pytest.mark.parametrize(
    ("value", "again"),
    [("spring%20sale", "spring sale"), ("spring+sale", "spring sale"), ("c++", "c"), ("100%", None), ("spring", None),
     ("%c3%85", "å"), ("+", None), ("a%2520b", "a%20b")],
)  # fmt: skip
def test_a_value_decoded_once_more(value: str, again: str | None) -> None:
    assert decoded(value) == again


def test_who_claims_a_value_as_it_stands_has_it_and_else_who_claims_it_decoded() -> None:
    assert sorted(read_as_either([(1, 10, 20), (2, 20, 30)], [(3, 0, 15), (4, 25, 50)])) == [
        (1, 10, 20), (2, 20, 30), (3, 0, 10), (4, 30, 50),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://s.example/?b=2&P=1&a=x", "s.example?b=2&p=1"),
        ("https://s.example/x/?p=a%26b%3D1", "s.example/x?p=a%26b%3D1"),
        ("https://s.example/#/a/./b/?q=1", "s.example#/a/b"),
        ("https://s.example/#!/%61", "s.example#/a"),
        ("https://s.example/#/?p=1", "s.example?p=1"),
        ("https://s.example/#top", "s.example"),
        ("https://s.example/#/r&utm_source=x", "s.example#/r"),
    ],
)
def test_an_address_with_parameters_and_routes(url: str, address: str) -> None:
    assert address_of(url, AddressRules(("b", "p"), fragments=True)) == address


@pytest.mark.parametrize("host", sorted(PASSED | SIGN_IN))
def test_a_published_host_is_written_as_it_is_compared(host: str) -> None:
    assert host_of_setting(host) == host
    assert source_host("shop.example", f"https://{host}/x") is None
    assert source_host("shop.example", f"https://not{host}/x") == f"not{host}"


@pytest.mark.parametrize("value", ["Shop.no", " www.shop.no ", "*.shop.no", "shop.no."])
def test_a_host_in_a_setting_covers_itself_and_what_is_below(value: str) -> None:
    rules = ReferrerRules(own_hosts=frozenset([host_of_setting(value)]))
    assert source_host("shop.example", "https://www.shop.no/", rules) is None
    assert source_host("shop.example", "https://a.b.shop.no/", rules) is None
    assert source_host("shop.example", "https://bishop.no/", rules) == "bishop.no"


def test_a_sign_in_page_is_the_source_of_who_did_not_come_back() -> None:
    assert source_host("shop.example", "https://acme.okta.com/", came_back=False) == "acme.okta.com"
    assert source_host("shop.example", "https://www.paypal.com/", came_back=False) is None
    assert source_host("shop.example", "https://sso.shop.example/", came_back=False) is None


def link(url: str, utm_told: str = "") -> int | None:
    return link_of(parse(url, utm_told), parse(url).address)


def test_a_link_is_an_address_and_five_values() -> None:
    spring = link("https://shop.example/lp?utm_campaign=Spring%20Sale&utm_term=x")
    assert spring == link("http://www.shop.example/lp/?utm_term=X&id=7&utm_campaign=spring%2520sale")
    assert spring == link("https://shop.example/lp", "utm_campaign=spring+sale&utm_term=x")
    assert spring != link("https://shop.example/lp?utm_campaign=Spring%20Sale&utm_content=x")
    assert link("https://shop.example/lp?gad_campaignid=1") is None


def test_a_workspace_that_has_set_nothing_compares_by_host_and_path() -> None:
    assert Settings().urls == (BY_PATH, ReferrerRules())
