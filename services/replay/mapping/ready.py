"""How is a mapping found and checked? It is one that comes with Touchline, or the user's TOML file."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.replay.mapping.campaigns import Campaigns
from services.replay.mapping.errors import BadMapping
from services.replay.mapping.instants import Order, checked_forms
from services.replay.mapping.language import OPTION, Case, Compiler, CurrencyOf, Text, key_of
from services.replay.mapping.numbers import SIGNS, Decimal
from services.replay.mapping.table import TableMapping
from services.replay.ready_mappings import READY, ready_mappings

KEYS = {
    "about", "as_of", "decimal", "events", "footer", "instants", "lists", "null", "salesforce_ids", "skip", "values", "zone",
}  # fmt: skip
MAPPING_BYTES_MAX = 1024 * 1024  # a mapping is written by hand


@dataclass(frozen=True)
class MappingOptions:
    """The user's options beside a mapping; they override the mapping."""

    zone: str | None = None
    order: Order | None = None
    decimal: Decimal | None = None
    as_of_us: int | None = None
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Texts that are added to the mapping's `[lists]`, such as `won_stages`."""
    currency: str | None = None
    """The currency of amounts that give none."""
    campaigns: Mapping[str, str] | None = None
    """Our campaign ids, by an advertising platform's id or name of the campaign."""


def mapping(named: str, zone: str | None = None, options: MappingOptions | None = None) -> TableMapping:
    """A mapping by the name of one that comes with Touchline, or by its file; `zone` replaces its zone. Raises `BadMapping`."""
    options = options or MappingOptions()
    try:
        if named in ready_mappings():
            body = (READY / f"{named}.toml").read_bytes()
        elif Path(named).is_file():
            with Path(named).open("rb") as file:
                body = file.read(MAPPING_BYTES_MAX + 1)
        else:
            raise BadMapping(f"there is no mapping {named!r}: neither a file nor one of {', '.join(ready_mappings())}")
        if len(body) > MAPPING_BYTES_MAX:
            raise BadMapping(f"{named}: more than {MAPPING_BYTES_MAX:,} bytes")
        definition = tomllib.loads(body.decode("utf-8-sig").replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMapping(f"{named}: it is not valid TOML: {error}") from error
    except ValueError as error:  # a path with U+0000 in it, or a number of too many digits
        raise BadMapping(f"{named!r}: {error}") from error
    return _checked(named, definition, replace(options, zone=zone or options.zone))


def _checked(named: str, definition: dict[str, Any], options: MappingOptions) -> TableMapping:
    if unknown := definition.keys() - KEYS:
        raise BadMapping(f"{named}: {', '.join(sorted(unknown))}: a mapping has {', '.join(sorted(KEYS))}")
    zone = _zone(named, options.zone or definition.get("zone", "UTC"))
    compiler = Compiler(named, zone, _lists(named, definition.get("lists", {}), options.lists))
    values = _values(compiler, definition.get("values", {}))
    events = definition.get("events")
    if not isinstance(events, list) or not events:
        raise BadMapping(f"{named}: it has no [[events]]")
    as_of = definition.get("as_of")
    mapping = TableMapping(
        named, _text(named, definition, "about"), zone, _instants(named, definition.get("instants", [])),
        [compiler.event(number, event, as_of) for number, event in enumerate(events, 1)], values, options.order,
        options.decimal or _decimal(named, definition.get("decimal")), _null(named, definition.get("null", [])), options.as_of_us,
        _skip(compiler, definition.get("skip", [])), _footer(named, definition.get("footer", False)),
        [compiler.place(text) for text in _texts(named, "salesforce_ids", definition.get("salesforce_ids", []))],
        {} if options.currency is None else {"currency": options.currency}, Campaigns(options.campaigns or {}),
    )  # fmt: skip
    if options.campaigns is not None and not mapping.asks_campaigns:
        raise BadMapping(f"{named}: it uses no campaigns of ours, so --campaigns has no effect; leave it out")
    if options.currency is not None and not _takes_currency(mapping):
        raise BadMapping(f"{named}: it uses no currency, so --currency has no effect; leave it out")
    if options.as_of_us is not None and not mapping.has_as_of:
        raise BadMapping(f"{named}: none of its events has `as_of`, so --as-of has no effect; leave it out")
    return mapping


def _takes_currency(mapping: TableMapping) -> bool:
    """Whether a currency given by the user has an effect with this mapping."""
    expressions = [one for event in mapping.events for one in event.expressions]
    named = {key for one in expressions if isinstance(one, Text) for place in one.template.places for key in place.keys}
    return any(isinstance(one, CurrencyOf) for one in expressions) or OPTION + "currency" in named


def _skip(compiler: Compiler, definition: Any) -> list[Case]:
    """Compile `[[skip]]`: which rows are not data, and the word under which each is counted."""
    if not isinstance(definition, list) or not all(isinstance(case, dict) for case in definition):
        raise compiler.bad("skip: it is written [[skip]]")
    cases = []
    for number, case in enumerate(definition, 1):
        compiler.where = f"skip {number}"
        if unknown := case.keys() - {"as", "when", "unless"}:
            raise compiler.bad(f"{', '.join(sorted(unknown))}: a skip has as, when, unless")
        if not isinstance(case.get("as"), str) or not case["as"].strip() or not case.get("when"):
            raise compiler.bad("`as` is the word under which the rows are counted, and `when` says which rows")
        cases.append(Case(case["as"], compiler.condition(case)))
    compiler.where = ""
    return cases


def _footer(named: str, definition: Any) -> bool:
    if not isinstance(definition, bool):
        raise BadMapping(f"{named}: footer: {definition!r} is neither true nor false")
    return definition


def _text(named: str, definition: Mapping[str, Any], key: str) -> str:
    if not isinstance(text := definition.get(key, ""), str):
        raise BadMapping(f"{named}: {key}: {text!r} is not a text")
    return text


def _zone(named: str, text: Any) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError) as error:
        raise BadMapping(f"{named}: {text!r} is not a time zone") from error


def _instants(named: str, definition: Any) -> list[str]:
    texts = _texts(named, "instants", definition)
    try:
        checked_forms(texts)
    except ValueError as error:
        raise BadMapping(f"{named}: instants: {error}") from error
    return texts


def _decimal(named: str, definition: Any) -> Decimal | None:
    if definition is not None and definition not in SIGNS:
        raise BadMapping(f'{named}: decimal: {definition!r} is neither "." nor ","')
    return definition  # type: ignore[no-any-return]


def _null(named: str, definition: Any) -> frozenset[str]:
    return frozenset(text.strip().casefold() for text in _texts(named, "null", definition))


def _texts(named: str, key: str, definition: Any) -> list[str]:
    if not isinstance(definition, list) or not all(isinstance(text, str) for text in definition):
        raise BadMapping(f"{named}: {key}: {definition!r} is not a list of texts")
    return definition


def _lists(named: str, definition: Any, given_lists: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    if not isinstance(definition, dict):
        raise BadMapping(f"{named}: lists: it is a table of lists of texts")
    lists = {name: _texts(named, f"lists.{name}", texts) for name, texts in definition.items()}
    for name, texts in given_lists.items():
        if texts and name not in lists:
            raise BadMapping(f"{named}: it has no list {name!r} in [lists], so no names can be added to it")
        lists[name] = [*lists.get(name, []), *texts]
    return lists


def _values(compiler: Compiler, definition: Any) -> dict[str, list[Case]]:
    if not isinstance(definition, dict):
        raise compiler.bad("values: it is written [[values.NAME]]")
    values: dict[str, list[Case]] = {}
    for name, cases in definition.items():
        compiler.where = f"value {name}"
        if not isinstance(cases, list) or not cases or not all(isinstance(case, dict) for case in cases):
            raise compiler.bad("a value is written as [[values.NAME]], once for each case")
        for case in cases:
            if unknown := case.keys() - {"is", "when", "unless"}:
                raise compiler.bad(f"{', '.join(sorted(unknown))}: a case has is, when, unless")
            if not isinstance(case.get("is"), str):
                raise compiler.bad("`is` is the text that the value has in this case")
        values[name] = [Case(case["is"], compiler.condition(case)) for case in cases]
    keys = list(map(key_of, values))
    if len(set(keys)) < len(keys):
        raise compiler.bad("two values have one name")
    compiler.where = ""
    return values
