"""When are two e-mail addresses one, and which texts can be none?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events.emails import is_plausible, normalised_email

KARI = "kari@example.no"


@pytest.mark.parametrize(
    "text",
    [
        KARI, " Kari@Example.NO ", "kari@example.no\u200b", "\ufeffkari@example.no", "ka\u200bri@exam\u00adple.no", "kari@\u2060example.no",
        "mailto:kari@example.no", "MAILTO:Kari@example.no", "mailto:kari@example.no?subject=Hi%20there", "mailto:kari%40example.no",
        "<kari@example.no>", " < kari@example.no > ", "<mailto:kari@example.no>", "mailto:<kari@example.no>", "kari@example.no.",
        "\u00a0kari@example.no", "kari@example.no\r\n",
    ],
)  # fmt: skip
def test_one_address_in_many_forms(text: str) -> None:
    assert normalised_email(text) == KARI


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("j\u00f8rgen@example.no", "J\u00d8RGEN@example.no"), ("andr\u00e9@example.no", "andre\u0301@example.no"),
        ("kari@xn--bcher-kva.example", "kari@b\u00fccher.example"), ("kari@B\u00dcCHER.example", "kari@bu\u0308cher.example"),
    ],
)  # fmt: skip
def test_letters_are_compared_and_not_their_codes(one: str, other: str) -> None:
    assert normalised_email(one) == normalised_email(other)


@pytest.mark.parametrize("other", ["kari+1@example.no", "k.ari@example.no", "kari@example.com", "kari@mail.example.no"])
def test_addresses_of_others_stay_apart(other: str) -> None:
    assert normalised_email(other) != KARI


@settings(max_examples=2_000, deadline=None)
@given(st.text(st.sampled_from("aA\u00c5\u0130\u0301\u200b<>@.x-n:?% mailto\u00df"), max_size=12))
def test_a_normalised_address_stays_as_it_is(text: str) -> None:
    once = normalised_email(text)
    assert normalised_email(once) == once


@pytest.mark.parametrize(
    "text",
    [
        KARI, "o'brien+news@mail.example.no", "kari@intranet", "kari@localhost", "a@b", "k@10.0.0.1", "j\u00f8rgen@\u00f8l.example",
        "kari..hansen@docomo.example", "#!$%&*/=?^_`{|}~@example.no",
    ],
)  # fmt: skip
def test_an_address_that_can_be_one(text: str) -> None:
    assert is_plausible(normalised_email(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "kari", "@example.no", "kari@", "kari@@example.no", "kari@a@b", "kari hansen@example.no", "kari@exa mple.no",
        "kari@example.no,ola@example.no", "kari@example.no;ola@example.no", "Kari <kari@example.no>", "kari@.example.no",
        "kari@example..no", "kari\x07@example.no", "kari@example.no ola@example.no", "[kari@example.no]", "kari@-",
    ],
)  # fmt: skip
def test_a_text_that_can_be_no_address(text: str) -> None:
    assert not is_plausible(normalised_email(text))
