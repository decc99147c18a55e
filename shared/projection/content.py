"""What, beside the tables, decides which rows the same events make? This file writes it as text, which is part of the shape.

It covers what changes rows without changing a table: which events and fields are known, how names
become keys, the data files and limits of the rules, the settings of a new workspace. Changes of algorithms are counted by
`CONTENT` (`shared/projection/tables.py`); `tests/properties/test_golden_world.py` fails
if rows change and `CONTENT` does not. Comments, docstrings, and names in the code are not part of it: they change no row.

The lists of packages (crawlers, public suffixes) are not part of it either: `lists()` gives their versions, a generation
stores those that it was begun with, and `touchline status` says if the present ones are others.
"""

import json
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import inspect

from shared.events.types import Event
from shared.rules import keys
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.excluded_traffic import SCAN_BURST_US, SCAN_REACHED_US, SCAN_URLS_MIN
from shared.rules.models import MODELS
from shared.rules.settings import Settings

LIMITS = (SOCIAL_POSTS_MAX, SCAN_URLS_MIN, SCAN_BURST_US, SCAN_REACHED_US)
PACKAGES = ("crawler-user-agents", "publicsuffixlist", "idna")  # whose lists decide what rows hold


def content_parts() -> Iterator[str]:
    """All of it, one text a kind, in an order that stays."""
    yield "models " + " ".join(sorted(MODELS))
    yield "events " + "\n".join(sorted(vocabulary()))
    yield "keys " + repr(keys.answers())
    yield from (f"facts {name} {_canonical(facts)}" for name, facts in data_files())
    yield "limits " + repr(LIMITS)
    yield "settings " + _canonical(msgspec.to_builtins(Settings()))


def vocabulary() -> set[str]:
    """Every event type with every field that it may have, as `type.field.field`, whatever the field's bounds.

    A release that lacks one keeps the events that have it aside, so it must not project into the same tables.
    """
    found: set[str] = set()
    _add_fields(inspect.type_info(Event), "", found)
    return found


def _add_fields(info: Any, path: str, found: set[str]) -> None:
    match info:
        case inspect.StructType(tag=tag, fields=fields):
            for field in fields:
                here = f"{path or tag}.{field.encode_name}"
                found.add(here)
                _add_fields(field.type, here, found)
        case inspect.UnionType(types=types):
            for each in types:
                _add_fields(each, path, found)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            _add_fields(item, path, found)
        case inspect.DictType(value_type=value):
            _add_fields(value, path, found)
        case inspect.Metadata(type=inner):
            _add_fields(inner, path, found)


def data_files() -> list[tuple[str, Any]]:
    """What the data files say that decide what rows hold, by name. Comments and sources are left out."""
    rules = sorted(
        (f for f in files("shared.rules").iterdir() if f.name.endswith(".toml")), key=lambda found: found.name
    )
    scanners = json.loads((files("shared.recognition") / "mail_scanners.json").read_text("utf-8"))
    contents = {f.name: tomllib.loads(f.read_text("utf-8")) for f in rules}
    for click in contents["click_ids.toml"].values():
        del click["source"]  # where it is published
    return [*contents.items(), ("mail_scanners.json", scanners["parts"])]


def _canonical(value: Any) -> str:
    return json.dumps(value)  # in the order of the file, because of some facts the first one counts


def lists() -> dict[str, str]:
    """The versions of the packages whose lists decide what rows hold, by the package's name."""
    return {package: version_of(package) for package in PACKAGES}


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:  # a vendored or frozen install has no metadata
        return "unknown"
