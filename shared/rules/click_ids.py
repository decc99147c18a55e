"""Rule **channel**: what does a click id, a parameter that an advertising network added to the link, say about the click?

`click_ids.toml` beside this file lists the parameters, and where each network documents them.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple


class Click(NamedTuple):
    """The network that added a click id, the medium that the id means, and whether only advertisements get it."""

    network: str
    medium: str
    paid: bool


CLICK_IDS: Mapping[str, Click] = {
    name: Click(entry["network"], entry["medium"], entry["paid"])
    for name, entry in tomllib.loads(
        files(__package__ or "shared.rules").joinpath("click_ids.toml").read_text("utf-8")
    ).items()
}
"""By the parameter's name in lower case; parameters that only advertisements get come first."""

_NO_VALUE = frozenset({"", "undefined", "null", "none", "nan", "false"})  # what scripts write where there is no id


def click_of(parameters: Mapping[str, str]) -> Click | None:
    """The click id among a URL's parameters (by lower-case name); None if there is none with a value.

    A template's placeholder (`{gclid}`) or a word such as `null` is not a value: no network wrote it.
    """
    for name, click in CLICK_IDS.items():
        value = parameters.get(name)
        if value is not None and _is_given(value):
            return click
    return None


def _is_given(value: str) -> bool:
    text = value.strip()
    return text.lower() not in _NO_VALUE and not any(mark in text for mark in "{}[]<> ")
