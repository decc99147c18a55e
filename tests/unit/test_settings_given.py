"""Settings on a command line are JSON, texts, or lists of texts."""

from typing import Any

import pytest
import typer

from touchline.commands.settings import LISTS, settings_given


def test_a_text_is_a_list_of_texts_for_every_setting_that_is_a_list() -> None:
    assert sorted(LISTS) == ["ignored_referrers", "internal_domains", "nobody", "own_hosts", "page_parameters"]
    for name in LISTS:
        assert settings_given([f"{name}=a.example,b.example"]) == {name: ["a.example", "b.example"]}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("time_zone=Europe/Oslo", "Europe/Oslo"),
        ("session_gap_minutes=60", 60),
        ("lookback_days=null", None),
        ('nobody=["a,b"]', ["a,b"]),
        ("own_hosts=a.example", ["a.example"]),
    ],
)
def test_a_value_is_json_or_a_text(given: str, value: Any) -> None:
    assert settings_given([given]) == {given.partition("=")[0]: value}


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'currency' is not NAME=VALUE"):
        settings_given(["currency"])
