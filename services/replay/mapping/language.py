"""What is the language of mappings? A mapping's TOML is compiled to expressions here, all checked before a file is read.

An expression gives the value of a field of an event for one row, None if it is empty. docs/replay.md describes the language.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any, Protocol

import msgspec.inspect

from services.replay.mapping.errors import BadCell, BadMapping
from services.replay.mapping.ids import SEPARATORS, contacts_of, items_of, mended
from services.replay.mapping.instants import Interval
from services.replay.mapping.numbers import currency_in
from shared.events.currencies import CURRENCIES
from shared.events.instants import from_micros, to_rfc3339
from shared.events.nobody import names_nobody
from shared.events.registry import EVENT_TYPES

TEXTS_KEPT = 4_096  # of a column that a `when` tests, cached with the result; stages and statuses are few
TEXT_CHARACTERS_MAX = 256  # of a text that is cached so, and of a stage's name; a longer text is not a status
ITEM = "item"  # the name of a list's current item
OPTION = "$"  # before the name of an option of the command, such as `{$currency}`
OWN = "="  # before the name of a field of the same event, in its id: `{=on}`
ANY = "(*)"  # in a column's name: anything in parentheses, such as the currency in `Amount spent (USD)`
_PLACE = re.compile(r"\{(\??)([^{}]+)\}")
_BLANK = re.compile(r"\s+")


def key_of(name: str) -> str:
    """A column's name in the form that is compared: case-folded, without blanks around it, each run of blanks as one."""
    return _BLANK.sub(" ", name.replace("\ufeff", "")).strip().casefold()


Row = Mapping[str, str]
"""The cells that a mapping uses, by `key_of` of their column; empty where a cell is empty or the column is missing."""


class Reader(Protocol):
    """Reads texts as the row's file writes them, for expressions."""

    def instant(self, template: "Template", text: str) -> Interval:
        """The interval that a text means; raises `BadCell`."""

    def number(self, template: "Template", text: str) -> str:
        """A number as a decimal string; raises `BadCell`."""

    def campaign(self, texts: Sequence[str]) -> str:
        """Our id of the campaign with one of these ids or names on the advertising platform; raises `BadCell`."""

    def named(self, template: "Template", row: Row) -> str:
        """The text in the place of `(*)` in the name of the column that holds a row's text; empty if there is none."""


class Meaning(Enum):
    """What a column is used for."""

    TEXT = "text"
    ID = "id"
    PERSON = "id of a person"
    MAIL = "e-mail"


@dataclass(frozen=True, slots=True)
class Place:
    """A column that a mapping uses: the first of `names` that exists and is not empty. `optional`: the file may lack it."""

    names: tuple[str, ...]
    optional: bool
    keys: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *, optional: bool) -> "Place":
        """The place that `A|B` names. Raises `ValueError` if a name is empty."""
        names = tuple(name.strip() for name in text.split("|"))
        if not all(names):
            raise ValueError(f"{text!r} names a column without a name")
        return cls(names, optional, tuple(map(key_of, names)))

    def text(self, row: Row) -> str:
        """The row's text in this column; empty if there is none."""
        for key in self.keys:
            if value := row.get(key, ""):
                return value
        return ""

    def text_of_id(self, row: Row, *, person: bool, mend: bool) -> str:
        """Like `text`, for an id: with `mend`, corrected if a spreadsheet made it a number; for a person, words that name nobody are empty. Raises `BadCell`."""
        for key in self.keys:
            value = row.get(key, "")
            if value and not (person and names_nobody(value)):
                return mended(value) if mend else value
        return ""


@dataclass(frozen=True)
class Template:
    """A text with columns in it. It is empty if one of its columns is empty."""

    source: str
    parts: tuple[str | Place, ...]
    meaning: Meaning = Meaning.TEXT

    @property
    def places(self) -> Iterator[Place]:
        """The columns that it uses."""
        return (part for part in self.parts if isinstance(part, Place))

    @property
    def columns(self) -> str:
        """The names of its columns, for messages."""
        return ", ".join("|".join(place.names) for place in self.places) or self.source

    def text(self, row: Row) -> str | None:
        """The text for a row; None if it is empty."""
        if self.meaning is Meaning.TEXT:
            texts = [part.text(row) if isinstance(part, Place) else part for part in self.parts]
        else:
            person, mend = self.meaning is not Meaning.ID, self.meaning is not Meaning.MAIL
            texts = [
                part.text_of_id(row, person=person, mend=mend) if isinstance(part, Place) else part
                for part in self.parts
            ]
        return "".join(texts) or None if all(texts) else None


class Expression(Protocol):
    """Computes the value of a field of an event."""

    def value(self, row: Row, reader: Reader) -> Any:
        """The value for a row, as JSON; None if it is empty. Raises `BadCell`."""


@dataclass(frozen=True)
class Text:
    """A text with columns in it."""

    template: Template

    def value(self, row: Row, _: Reader) -> str | None:
        """The text."""
        return self.template.text(row)


@dataclass(frozen=True)
class Constant:
    """A number or truth value that the mapping gives."""

    constant: Any

    def value(self, *_: object) -> Any:
        """The constant."""
        return self.constant


@dataclass(frozen=True)
class Edge:
    """The first instant of the interval that a text means, or the last."""

    template: Template
    end: bool

    def at_us(self, row: Row, reader: Reader) -> int | None:
        """Microseconds since 1970; None if the text is empty."""
        text = self.template.text(row)
        if text is None or nothing(text):
            return None
        found = reader.instant(self.template, text)
        return found.end_us if self.end else found.start_us

    def value(self, row: Row, reader: Reader) -> str | None:
        """RFC 3339."""
        at_us = self.at_us(row, reader)
        return None if at_us is None else to_rfc3339(at_us)


@dataclass(frozen=True)
class BeforeEarliest:
    """One microsecond before the earliest of several instants."""

    edges: tuple[Edge, ...]

    def value(self, row: Row, reader: Reader) -> str | None:
        """RFC 3339; None if all are empty."""
        found = [at_us for edge in self.edges if (at_us := edge.at_us(row, reader)) is not None]
        return to_rfc3339(min(found) - 1) if found else None


@dataclass(frozen=True)
class Number:
    """A number in a text; `whole`: as a JSON number without decimals."""

    template: Template
    whole: bool = False

    def value(self, row: Row, reader: Reader) -> str | int | None:
        """A decimal string, or a whole number; None if the text is empty. Raises `BadCell`."""
        text = self.template.text(row)
        if text is None or nothing(text):
            return None
        found = reader.number(self.template, text)
        if not self.whole:
            return found
        whole, _, fraction = found.partition(".")
        if fraction.strip("0"):
            raise BadCell(f"{text!r} is not a whole number")
        return int(whole)


@dataclass(frozen=True)
class Day:
    """The date of an instant in the zone of the mapping. `until`: the last day that the row is about, which must be the same day."""

    template: Template
    zone: dt.tzinfo
    until: "Day | None" = None

    def value(self, row: Row, reader: Reader) -> str | None:
        """`2024-03-15`. Raises `BadCell` for a row that is about several days."""
        text = self.template.text(row)
        if text is None or nothing(text):
            return None
        day = from_micros(reader.instant(self.template, text).start_us).astimezone(self.zone).date().isoformat()
        last = None if self.until is None else self.until.value(row, reader)
        if last is not None and last != day:
            raise BadCell(f"the row is about several days, {day} to {last}: export the report by day")
        return day


@dataclass(frozen=True)
class CampaignOf:
    """Our campaign for an advertising platform's campaign, looked up by several texts: its id first, then its name."""

    texts: tuple[Text, ...]

    def value(self, row: Row, reader: Reader) -> str | None:
        """Our campaign's id; None if all texts are empty. Raises `UnknownCampaign`."""
        texts = [text for one in self.texts if (text := one.value(row, reader)) is not None]
        return reader.campaign(texts) if texts else None


@dataclass(frozen=True)
class CurrencyOf:
    """The currency of an amount: from a column, from the name of the amount's column, from beside the amount, or from the option."""

    template: Template
    amount: Text
    required: bool

    def value(self, row: Row, reader: Reader) -> str | None:
        """An ISO 4217 code; None where there is no amount, or no currency is given. Raises `BadCell` where two differ, or one is required."""
        amount = self.amount.template
        if (text := amount.text(row)) is None or nothing(text):
            return None
        column, beside = self.template.text(row), currency_in(text)
        found = column or reader.named(amount, row) or beside or row.get(OPTION + "currency")
        if found and (code := found.strip().upper()) not in CURRENCIES:
            raise BadCell(f"{found!r} is not a currency; a currency is written as a code such as EUR")
        if found and beside and beside != code:
            raise BadCell(
                f"{amount.columns} names the currency {beside}, and {self.template.columns} the currency {code}"
            )
        if not found and self.required:
            raise BadCell(
                f"no currency is given, neither by {self.template.columns} nor beside {amount.columns}: give --currency"
            )
        return code if found else None


@dataclass(frozen=True)
class LookedUp:
    """A text, looked up in any case."""

    template: Template
    to: Mapping[str, Any]

    def value(self, row: Row, _: Reader) -> Any:
        """The value for the text."""
        text = self.template.text(row)
        if text is None:
            return None
        if (key := text.casefold()) not in self.to:
            raise BadCell(f"{text!r} is not one of {', '.join(self.to)}")
        return self.to[key]


@dataclass(frozen=True)
class Each:
    """An item of a list for each text in a cell."""

    template: Template
    separators: tuple[str, ...]
    item: Expression

    def value(self, row: Row, reader: Reader) -> list[Any] | None:
        """The items that are not empty."""
        made = [
            self.item.value({**row, ITEM: text}, reader)
            for text in items_of(self.template.text(row) or "", self.separators)
        ]
        return [value for value in made if value is not None] or None


@dataclass(frozen=True)
class Contacts:
    """The contacts that a cell lists."""

    template: Template

    def value(self, row: Row, _: Reader) -> list[dict[str, Any]] | None:
        """Objects with `id` or `email`."""
        return contacts_of(self.template.text(row) or "") or None


@dataclass(frozen=True)
class Several:
    """A list that the mapping writes item by item."""

    items: tuple[Expression, ...]

    def value(self, row: Row, reader: Reader) -> list[Any] | None:
        """The items that are not empty."""
        made = [item.value(row, reader) for item in self.items]
        return [value for value in made if value is not None] or None


@dataclass(frozen=True)
class OwnFields:
    """An event's id: a text with columns, and with fields of the same event in it, such as `{=on}`."""

    template: Template

    def value(self, row: Row, _: Reader) -> str | None:
        """The text; `row` has the event's fields too, each by its name with `=` before it."""
        return self.template.text(row)

    def beside(self, row: Row, made: Mapping[str, Any]) -> Row:
        """The row, with the event's fields that are computed already."""
        return {**row, **{OWN + name: value for name, value in made.items() if isinstance(value, str)}}


@dataclass(frozen=True)
class Fields:
    """An object of several fields."""

    fields: Mapping[str, Expression]

    def value(self, row: Row, reader: Reader, before: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """The fields that are not empty. `before` are fields of the same event that are computed already."""
        made: dict[str, Any] = {}
        for name, expression in self.fields.items():
            try:
                asked = expression.beside(row, {**(before or {}), **made}) if isinstance(expression, OwnFields) else row
                value = expression.value(asked, reader)
            except BadCell as error:
                error.field = f"{name}.{error.field}" if error.field else name
                raise
            if value is not None:
                made[name] = value
        return made or None


def nothing(text: str) -> bool:
    """Whether a text means that there is no instant or number: `NULL`, `nan`, `-`."""
    return not any(character.isdigit() for character in text) and names_nobody(text)


Test = Callable[[str], bool]


@dataclass(frozen=True)
class Term:
    """A test of one column."""

    place: Place
    test: Test
    asks_empty: bool = False
    """Whether it only tests for an empty cell: then other values of the column are not reported as unmet."""

    def holds(self, row: Row) -> bool:
        """Whether the row's text passes the test."""
        return self.test(self.place.text(row))


@dataclass(frozen=True)
class Condition:
    """Holds if all tests of `when` hold, and none of `unless`."""

    when: tuple[Term, ...] = ()
    unless: tuple[Term, ...] = ()

    def holds(self, row: Row) -> bool:
        """Whether it holds for a row."""
        return all(term.holds(row) for term in self.when) and not any(term.holds(row) for term in self.unless)

    @property
    def terms(self) -> tuple[Term, ...]:
        """All tests."""
        return (*self.when, *self.unless)


@dataclass(frozen=True)
class Case:
    """The text of a value in rows for which the condition holds."""

    text: str
    condition: Condition


@dataclass(frozen=True)
class MappedRowEvent:
    """An event that is made of each row for which the condition holds; with `for_each`, one event for each item of a cell."""

    number: int
    type: str
    condition: Condition
    for_each: Template | None
    only_with: Place | None
    as_of: Edge | None
    """The column of `as_of`; None where there is none."""
    has_as_of: bool
    occurred_at: Expression | None
    fields: Fields
    sum: str | None = None
    """The field whose numbers are added up over all rows of a file whose event has the same id."""

    @cached_property
    def expressions(self) -> tuple[Any, ...]:
        """All expressions of the event."""
        asked = [one for one in (self.fields, self.occurred_at, self.as_of) if one is not None]
        return tuple(inner for one in asked for inner in walk(one))


def walk(expression: Any) -> Iterator[Any]:
    """An expression and all its parts."""
    yield expression
    match expression:
        case Fields(fields):
            inner: Sequence[Any] = list(fields.values())
        case Several(items):
            inner = items
        case Each(_, _, item):
            inner = [item]
        case BeforeEarliest(edges):
            inner = edges
        case CampaignOf(texts):
            inner = texts
        case CurrencyOf(_, amount):
            inner = [amount]
        case Day(_, _, until) if until is not None:
            inner = [until]
        case _:
            inner = []
    for one in inner:
        yield from walk(one)


@dataclass
class Compiler:
    """Compiles one mapping's TOML to expressions. Every method raises `BadMapping`, whose message begins with `where`."""

    name: str
    zone: dt.tzinfo
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: str = ""

    def bad(self, message: str) -> BadMapping:
        """The error to raise."""
        return BadMapping(f"{self.name}{self.where and ', '}{self.where}: {message}")

    def place(self, text: Any) -> Place:
        """The column that a key of `when`, or `only_with`, names: `A|B`, with a ? before it where the file may lack it."""
        if not isinstance(text, str):
            raise self.bad(f"{text!r} is not the name of a column")
        try:
            return Place.of(text.removeprefix("?"), optional=text.startswith("?"))
        except ValueError as error:
            raise self.bad(str(error)) from error

    def template(self, text: Any, meaning: Meaning = Meaning.TEXT) -> Template:
        """A text with `{Column}` in it."""
        if not isinstance(text, str):
            raise self.bad(f'{text!r} is not a text such as "{{Column}}"')
        parts: list[str | Place] = []
        at = 0
        for found in _PLACE.finditer(text):
            parts += [text[at : found.start()], self.place(found[1] + found[2])]
            at = found.end()
        parts.append(text[at:])
        if any("{" in part or "}" in part for part in parts if isinstance(part, str)):
            raise self.bad(f"{text!r}: a brace is not closed, or not opened; a column is written {{Column}}")
        return Template(text, tuple(part for part in parts if part), meaning)

    def edge(self, definition: Any, *, end: bool = False) -> Edge:
        """Compile an instant: a text, `{ start_of = … }` or `{ end_of = … }`."""
        match definition:
            case str():
                return Edge(self.template(definition), end)
            case {"start_of": str(text), **rest} if not rest:
                return Edge(self.template(text), end=False)
            case {"end_of": str(text), **rest} if not rest:
                return Edge(self.template(text), end=True)
        raise self.bad(f"{definition!r} is not an instant: a text, {{ start_of = … }} or {{ end_of = … }}")

    def instant(self, definition: Any) -> Expression:
        """Compile the instant of an event."""
        match definition:
            case {"before_earliest_of": list(several), **rest} if several and not rest:
                return BeforeEarliest(tuple(self.edge(one) for one in several))
        return self.edge(definition)

    def condition(self, definition: Mapping[str, Any]) -> Condition:
        """`when` and `unless` of an event or a case."""
        return Condition(self._terms(definition, "when"), self._terms(definition, "unless"))

    def _terms(self, definition: Mapping[str, Any], name: str) -> tuple[Term, ...]:
        terms = definition.get(name, {})
        if not isinstance(terms, dict):
            raise self.bad(f"`{name}` is {{ Column = [texts] }}")
        return tuple(
            Term(self.place(column), self.test(column, asked), asked in ("", [""])) for column, asked in terms.items()
        )

    def test(self, column: str, asked: Any) -> Test:
        """Compile the test of a column's text: equal to one of some texts, or containing one."""
        if isinstance(asked, str | list):
            asked = {"is": asked}
        if not isinstance(asked, dict) or not asked or (unknown := asked.keys() - TESTS.keys()):
            wrong = ", ".join(sorted(unknown)) if isinstance(asked, dict) and asked else repr(asked)
            raise self.bad(f"{column}: {wrong}: a test is a list of texts, or one of {', '.join(TESTS)}")
        tests = [(TESTS[name], self.texts(column, texts)) for name, texts in asked.items()]
        if any(test is not TESTS["is"] and not all(one.strip() for one in texts) for test, texts in tests):
            raise self.bad(f"{column}: only `is` can test for an empty text")

        @lru_cache(TEXTS_KEPT)
        def holds(text: str) -> bool:
            return any(test(text, one) for test, texts in tests for one in texts)

        return lambda text: holds(text) if len(text) <= TEXT_CHARACTERS_MAX else holds.__wrapped__(text)

    def texts(self, column: str, definition: Any) -> tuple[str, ...]:
        """The texts of a test; `$name` stands for the texts of a list."""
        out: list[str] = []
        for text in (
            [definition] if isinstance(definition, str) else definition if isinstance(definition, list) else [None]
        ):
            if not isinstance(text, str):
                raise self.bad(f"{column}: {definition!r} is not a list of texts")
            if not text.startswith("$"):
                out.append(text)
            elif text[1:] in self.lists:
                out += self.lists[text[1:]]
            else:
                raise self.bad(
                    f"{column}: there is no list {text[1:]!r}; [lists] has {', '.join(self.lists) or 'none'}"
                )
        return tuple(out)

    def event(self, number: int, definition: Any, as_of: Any) -> MappedRowEvent:
        """Compile one of `[[events]]`; `as_of` is the mapping's."""
        self.where = f"event {number}"
        kind = definition.get("type") if isinstance(definition, dict) else None
        cls = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
        if cls is None or not isinstance(kind, str):
            raise self.bad(f"{kind!r} is not a type of event")
        own = {"type", "when", "unless", "for_each", "only_with", "as_of", "sum"}
        known = {one.name: one for one in msgspec.inspect.type_info(cls).fields}  # type: ignore[attr-defined]
        if unknown := definition.keys() - known.keys() - own:
            raise self.bad(f"{kind} has no {', '.join(sorted(unknown))}")
        if missing := [name for name, one in known.items() if one.required and name not in definition]:
            raise self.bad(f"{kind} needs {', '.join(missing)}")
        as_of = definition.get("as_of", as_of)
        if as_of and "id" not in definition:
            raise self.bad(
                "an event with `as_of` needs an `id`: a later event replaces the earlier one with the same id"
            )
        fields = {
            name: self._at(name, self.field, definition[name], one.type, _meaning(name))
            for name, one in known.items()
            if name in definition and name not in {"occurred_at", "as_of"}
        }
        if isinstance(fields.get("id"), Text):
            fields = self._own_id_last(fields)
        return MappedRowEvent(
            number, kind, self.condition(definition),
            self._for_each(definition), self.place(definition["only_with"]) if "only_with" in definition else None,
            None if as_of is None or isinstance(as_of, bool) else self._at("as_of", self.edge, as_of, end=True),
            bool(as_of), self._at("occurred_at", self.instant, definition["occurred_at"]) if "occurred_at" in definition else None,
            Fields({"type": Constant(kind), **fields}), self._sum(definition, fields),
        )  # fmt: skip

    def _own_id_last(self, fields: dict[str, Expression]) -> dict[str, Expression]:
        """The fields, with an id that uses other fields after those."""
        id_field = fields["id"]
        assert isinstance(id_field, Text)
        own = [name for place in id_field.template.places for name in place.names if name.startswith(OWN)]
        if unknown := [name for name in own if name[1:] not in fields]:
            raise self.bad(f"id: {', '.join(unknown)}: the event has no such field")
        others = {name: expression for name, expression in fields.items() if name != "id"}
        return {**others, "id": OwnFields(id_field.template)} if own else fields

    def _sum(self, definition: Mapping[str, Any], fields: Mapping[str, Expression]) -> str | None:
        """The field that is added up. Rows with the same `id` are summed into one event; `for_each` is not allowed."""
        name = definition.get("sum")
        if name is None:
            return None
        if not isinstance(name, str) or not isinstance(fields.get(name), Number):
            raise self.bad(f"sum: {name!r} is not one of the event's fields that are {{ number = … }}")
        if "id" not in fields or "for_each" in definition:
            raise self.bad(
                "sum: rows with the same `id` are added up, so it needs an `id`, and cannot be used with `for_each`"
            )
        return name

    def _at(self, name: str, make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        before = self.where
        self.where = f"{before}, {name}"
        made = make(*arguments, **named)
        self.where = before
        return made

    def _for_each(self, definition: Mapping[str, Any]) -> Template | None:
        return self._at("for_each", self.template, definition["for_each"]) if "for_each" in definition else None

    def field(self, definition: Any, type_: msgspec.inspect.Type, meaning: Meaning) -> Expression:
        """Compile one field, by its type in the event's class."""
        kinds = _kinds(type_)
        match definition:
            case str():
                if not kinds.keys() & {str, Any, dt.datetime, dt.date, bool, int}:
                    raise self.bad(f"{definition!r}: this field is not a text; write a table or list")
                return Text(self.template(definition, meaning))
            case bool() | int() | float():
                return Constant(definition)
            case dt.date():
                return Constant(definition.isoformat())
            case list():
                return self._list(definition, kinds, meaning)
            case dict():
                return self._made(definition, kinds, meaning) or self._object(definition, kinds)
        raise self.bad(f"{definition!r} cannot be read")

    def _list(self, definition: list[Any], kinds: Mapping[Any, Any], meaning: Meaning) -> Expression:
        if list not in kinds:
            raise self.bad(f"{definition!r}: this field takes no list")
        return Several(tuple(self.field(item, kinds[list], meaning) for item in definition))

    def _made(self, definition: dict[str, Any], kinds: Mapping[Any, Any], meaning: Meaning) -> Expression | None:
        """Compile a table with a word of the language, such as `map`; None if it is an object with fields."""
        match definition:
            case {"map": text, "to": dict(to), **rest} if not rest:
                return LookedUp(
                    self.template(text, meaning), {str(name).casefold(): value for name, value in to.items()}
                )
            case {"number": text, **rest} if not rest:
                return Number(self.template(text))
            case {"integer": text, **rest} if not rest:
                return Number(self.template(text), whole=True)
            case {"date": text, **rest} if not rest.keys() - {"until"}:
                until = Day(self.template(rest["until"]), self.zone) if rest else None
                return Day(self.template(text), self.zone, until)
            case {"campaign": list(texts), **rest} if texts and not rest:
                return CampaignOf(tuple(Text(self.template(text, Meaning.ID)) for text in texts))
            case {"currency": text, "of": amount, **rest} if not rest or rest in (
                {"required": True},
                {"required": False},
            ):
                return CurrencyOf(self.template(text), Text(self.template(amount)), rest.get("required", False))
            case {"each": text, "as": item, **rest} if not rest.keys() - {"separator"} and list in kinds:
                separators = rest.get("separator", list(SEPARATORS))
                separators = [separators] if isinstance(separators, str) else separators
                if (
                    not isinstance(separators, list)
                    or not all(isinstance(s, str) and s for s in separators)
                    or not separators
                ):
                    raise self.bad("`separator` is a text that is not empty, or a list of such texts")
                return Each(self.template(text), tuple(separators), self.field(item, kinds[list], meaning))
            case {"contacts": text, **rest} if not rest and list in kinds:
                return Contacts(self.template(text))
        return None

    def _object(self, definition: dict[str, Any], kinds: Mapping[Any, Any]) -> Expression:
        if dict in kinds:
            return Fields(
                {
                    name: self._at(name, self.field, value, kinds[dict], Meaning.TEXT)
                    for name, value in definition.items()
                }
            )
        if msgspec.Struct not in kinds:
            raise self.bad(
                f"{definition!r} cannot be read: a table is {{ map, to }}, {{ number }}, {{ integer }} or {{ date }} here"
            )
        known = {one.name: one for one in kinds[msgspec.Struct].fields}
        if unknown := definition.keys() - known.keys():
            raise self.bad(f"it has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
        person = "email" in known
        return Fields({
            name: self._at(name, self.field, value, known[name].type, _meaning(name, person=person)) for name, value in definition.items()
        })  # fmt: skip


def _meaning(name: str, *, person: bool = False) -> Meaning:
    """What the columns of a field are used for, by the field's name; `person`: the field belongs to a contact."""
    if person or name == "visitor_id":
        return Meaning.MAIL if name == "email" else Meaning.PERSON
    return Meaning.ID if name == "id" or name.endswith("_id") else Meaning.TEXT


def _kinds(type_: msgspec.inspect.Type) -> dict[Any, Any]:
    """The kinds of value that a field may hold, each with its inner type."""
    inspect = msgspec.inspect
    match type_:
        case inspect.UnionType(types=types):
            return {kind: inner for one in types for kind, inner in _kinds(one).items()}
        case inspect.Metadata(type=inner):
            return _kinds(inner)
        case inspect.StructType():
            return {msgspec.Struct: type_}
        case inspect.DictType(value_type=inner):
            return {dict: inner}
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
            return {list: inner}
        case inspect.StrType() | inspect.LiteralType():
            return {str: None}
        case inspect.DateTimeType():
            return {dt.datetime: None}
        case inspect.DateType():
            return {dt.date: None}
        case inspect.BoolType():
            return {bool: None}
        case inspect.IntType():
            return {int: None}
        case inspect.AnyType():
            return {Any: None}
    return {}


_NO_SIGN = re.compile(r"[\W_]+")
_PIPELINE_BEHIND = re.compile(r"(.*\S)\s*[(\[][^()\[\]]*[)\]]")
_NUMBER_BEFORE = re.compile(r"\(?\d+\s*[.):-]\s*(.*)|\d+\s+(.*)")
_PARTS = re.compile(r"\s+[-–—|/:>]\s+|:\s+")


def _bare(text: str) -> str:
    """A stage's letters and digits only, case-folded."""
    return _NO_SIGN.sub("", text.casefold())


@lru_cache(TEXTS_KEPT)
def stage_names(text: str) -> frozenset[str]:
    """The names of a stage: with and without its pipeline after it, with and without its number before it."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return frozenset()
    texts = {text}
    if behind := _PIPELINE_BEHIND.fullmatch(text):
        texts.add(behind[1])
    for one in tuple(texts):
        first, *rest = _PARTS.split(one)
        if rest:
            texts.add(rest[-1] if "pipeline" in first.casefold() else first)
    for one in tuple(texts):
        if before := _NUMBER_BEFORE.fullmatch(one.strip()):
            texts.add(before[1] or before[2] or "")
    return frozenset({_bare(one) for one in texts} - {""})


TESTS: dict[str, Callable[[str, str], bool]] = {
    "is": lambda text, asked: text.casefold() == asked.strip().casefold(),
    "contains": lambda text, asked: asked.casefold() in text.casefold(),
    "starts_with": lambda text, asked: text.casefold().startswith(asked.casefold()),
    "ends_with": lambda text, asked: text.casefold().endswith(asked.casefold()),
    "stage": lambda text, asked: _bare(asked) in stage_names(text),
}
"""The tests of a text, which ignore case; `stage` is for stages of pipelines."""
