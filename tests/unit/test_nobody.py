"""Which texts name nobody, and which do though they look odd?"""

import pytest

from shared.events.nobody import WORDS, folded, names_nobody

NIL = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    "text",
    [
        "undefined", "UNDEFINED", " null ", "NULL", "\\N", "nil", "None", "nan", "NaN", "NaT", "<NA>", "n/a", "N/A", "#N/A",
        "anonymous", "Guest", "unknown", "true", "False", "[object Object]", "[object Undefined]", "[Object: null prototype]",
        "[Function]", "[Function: getId]", "function () { return id }", NIL, NIL.replace("-", ""), "{" + NIL + "}", "0", "000", "0.0",
        "-0", "-1", "-", "--", "\u2014", "", " ", "\t\n", "\u00a0", "\u200b", "\ufeff", "\u200b \u2060", '""', "''", '"null"', "'undefined'",
        "`nil`", '" none "', "distinct_id", "userId", "{{contact.id}}", "${userId}", "*|EMAIL|*", "%%emailaddr%%", "<%= id %>", "[[id]]",
        "[]", "{}", "(not set)", "null\u200b", "undefined@undefined", "null@null", "NULL@NULL.com", "none@none.no", "kari@undefined",
        "undefined@shop.example", "[object Object]@shop.example", "{{email}}@shop.example", "@", "-@-", "0@0",
    ],
)  # fmt: skip
def test_a_text_is_a_placeholder(text: str) -> None:
    assert names_nobody(text)


@pytest.mark.parametrize(
    "text",
    [
        "1", "7", "10", "-2", "8001", "kari", "Nullmeier", "nul", "Guestin", "undefined-1", "anonymous-0198", "user_17", "00000001",
        "00000000-0000-0000-0000-000000000001", "true-north", "Noone", "nanna", "Anon Ymous", "x", "a", "[7]", "o'brien",
        "kari@example.no", "null@family.example", "guest@hotel.example", "anonymous@board.example", "0@digits.example",
        "info@null.example", "nan.goldin@example.no", "kari@none.example", "\u00f8", "\u0645\u062d\u0645\u062f",
    ],
)  # fmt: skip
def test_a_text_is_not_a_placeholder(text: str) -> None:
    assert not names_nobody(text)


def test_every_word_of_the_list_is_written_as_it_is_compared() -> None:
    assert {word for word in WORDS if folded(word) != word} == set()


def test_a_workspace_adds_words_of_its_own() -> None:
    assert not names_nobody(" Kiosk-1")
    assert names_nobody(" Kiosk-1", {folded("kiosk-1 ")})
