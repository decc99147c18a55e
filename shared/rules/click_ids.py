"""Rule **channel**: what does a parameter that a network added to the link say of the click?

The parameters, and where each network publishes what its own means, stand in `click_ids.toml` beside this file.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple


class Click(NamedTuple):
    """The network that marked a click, the medium that its mark stands for, and whether advertisements alone get it."""

    network: str
    medium: str
    paid: bool


CLICK_IDS: Mapping[str, Click] = {
    name: Click(told["network"], told["medium"], told["paid"])
    for name, told in tomllib.loads(
        files(__package__ or "shared.rules").joinpath("click_ids.toml").read_text("utf-8")
    ).items()
}
"""By the parameter's name in lower case; a parameter that proves a payment comes before one that proves none."""

_NO_VALUE = frozenset({"", "undefined", "null", "none", "nan", "false"})  # what scripts write where there is no id


def click_of(parameters: Mapping[str, str]) -> Click | None:
    """What the click ids among a URL's parameters (by lower-case name) say; None if there is none with a value.

    A value that is a template's placeholder (`{gclid}`) or a word for nothing is none: no network gave it.
    """
    for name, click in CLICK_IDS.items():
        value = parameters.get(name)
        if value is not None and _is_given(value):
            return click
    return None


def _is_given(value: str) -> bool:
    text = value.strip()
    return text.lower() not in _NO_VALUE and not any(mark in text for mark in "{}[]<> ")
