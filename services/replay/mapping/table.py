"""Which events do the rows of one file become? A mapping, bound to the columns of a file, makes them."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from services.replay.mapping.campaigns import Campaigns
from services.replay.mapping.errors import BadCell, BadMapping, UnknownCampaign
from services.replay.mapping.ids import items_of
from services.replay.mapping.instants import Instants, Interval, Order
from services.replay.mapping.language import (
    ANY,
    ITEM,
    OPTION,
    OWN,
    BeforeEarliest,
    CampaignOf,
    Case,
    Contacts,
    Day,
    Each,
    Edge,
    Fields,
    MappedRowEvent,
    Number,
    Place,
    Row,
    Several,
    Template,
    Text,
    key_of,
    nothing,
)
from services.replay.mapping.numbers import Decimal, Numbers
from services.replay.mapping.sums import Sums
from shared.events.codec import Refusal
from shared.events.instants import to_rfc3339
from shared.events.limits import CONTACTS_PER_DEAL_EVENT_MAX, EVENT_ID_CHARACTERS_MAX
from shared.events.nobody import names_nobody
from shared.events.refusal import cut
from shared.producers.salesforce import salesforce_id

DIGEST_CHARACTERS = 32  # of an id that is too long; 128 bits

COLUMNS_SHOWN_CHARACTERS_MAX = 2_000  # of the names of all columns, in an error

EMPTY = "(empty)"
"""How an empty cell is shown among the values that no `when` matched."""


@dataclass(frozen=True)
class TableMapping:
    """A mapping that was read and checked."""

    name: str
    about: str
    zone: ZoneInfo
    instants: Sequence[str]
    events: Sequence[MappedRowEvent]
    values: Mapping[str, Sequence[Case]] = field(default_factory=dict)
    order: Order | None = None
    decimal: Decimal | None = None
    null: Collection[str] = ()
    """Texts that are empty in any column, case-folded."""
    as_of_us: int | None = None
    """When the export was made, if the user gives it; it then applies to every row."""
    skip: Sequence[Case] = ()
    """Rows that are not data, such as totals: each kind with the word under which it is counted."""
    footer: bool = False
    """Whether a row with a single cell after an empty line is a footer, not data."""
    salesforce_ids: Sequence[Place] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    """The user's options, by name: `currency`."""
    campaigns: Campaigns = field(default_factory=Campaigns)

    @property
    def asks_campaigns(self) -> bool:
        """Whether it needs the list of our campaigns."""
        return any(isinstance(one, CampaignOf) for event in self.events for one in event.expressions)

    @property
    def sums(self) -> bool:
        """Whether rows are added up, so that all are read before the first event is made."""
        return any(event.sum is not None for event in self.events)

    @property
    def has_as_of(self) -> bool:
        """Whether one of its events has `as_of`."""
        return any(event.has_as_of for event in self.events)

    def bind(self, columns: Sequence[str], *, numeric: Collection[str] = (), delimiter: str = ",") -> "Table":
        """The mapping for a file with these columns; `numeric` are those that hold numbers and no texts. Raises `BadMapping`."""
        return Table(self, columns, numeric, delimiter)


class RowEvents(NamedTuple):
    """The result of a row: its events as JSON, or their refusals; and the values that no `when` matched, by column."""

    events: list[bytes | Refusal]
    unmet: Sequence[tuple[str, str]] = ()
    summed: bool = False
    """Whether the row's number is part of a sum that a later row gives."""
    skipped: str = ""
    """The word under which the row is counted, if it is not data."""
    unknown: Sequence[str] = ()
    """The platform's names or ids of campaigns that were not created here."""


class Table:
    """A mapping for one file. Call `observe` with every row first, then `settle` once; then `events_of` gives a row's events."""

    def __init__(self, mapping: TableMapping, columns: Sequence[str], numeric: Collection[str], delimiter: str) -> None:
        self.mapping = mapping
        self.columns = [" ".join(name.split()) for name in columns]
        self.read_at_us = time.time_ns() // 1000
        self._positions: dict[str, list[int]] = defaultdict(list)
        for n, name in enumerate(columns):
            self._positions[key_of(name)].append(n)
        self.missing: list[str] = []
        """The optional columns that the file lacks, each with its alternative names."""
        self._part_of_name: dict[str, str] = {}
        """The text in the place of `(*)` in the name of a column, by the key that uses the column."""
        self._salesforce: list[str] = []
        self._asked = self._check()
        self._sums = Sums()
        self._values = {key_of(name): cases for name, cases in mapping.values.items()}
        self._terms = [
            term
            for event in mapping.events
            for term in event.condition.terms
            if not term.asks_empty and self._values.keys().isdisjoint(term.place.keys)
        ]
        """The tests of columns in the events' conditions, without those of the mapping's own values."""
        self._row_events = [event for event in mapping.events if event.only_with is None or self.has(event.only_with)]
        self._sendable = {event.number for event in self._row_events}
        self._instants = Instants(mapping.zone, mapping.instants, mapping.order)
        comma = delimiter in {",", "\t"}
        self._numbers: dict[str, Numbers] = {}
        self._instants_of = {event.number: list(_templates_in(event, Edge, Day)) for event in mapping.events}
        self._numbers_of = {event.number: list(_templates_in(event, Number)) for event in mapping.events}
        for template in (one for several in self._numbers_of.values() for one in several):
            typed = all(
                key_of(name) in map(key_of, numeric)
                for place in template.places
                for name in place.names
                if key_of(name) in self._positions
            )
            decimal_sign: Decimal | None = "." if typed and numeric else mapping.decimal
            self._numbers[template.source] = Numbers(decimal_sign, comma_between_columns=comma)

    def _places(self) -> Iterator[tuple[str, Place]]:
        """Every column that the mapping uses, with the place in the mapping."""
        for name, cases in self.mapping.values.items():
            for case in cases:
                yield from ((f"value {name}", term.place) for term in case.condition.terms)
        for case in self.mapping.skip:
            yield from ((f"skip {case.text}", term.place) for term in case.condition.terms)
        for event in self.mapping.events:
            where = f"event {event.number}"
            yield from ((where, term.place) for term in event.condition.terms)
            for expression in event.expressions:
                if isinstance(template := getattr(expression, "template", None), Template):
                    yield from ((where, place) for place in template.places)
            if event.for_each is not None:
                yield from ((where, place) for place in event.for_each.places)
            if event.only_with is not None:
                self._resolve(where, event.only_with)

    def _check(self) -> dict[str, int]:
        """The positions of the columns that the mapping uses. Raises `BadMapping` if one is missing, or occurs twice."""
        asked: dict[str, int] = {}
        known = {ITEM, *map(key_of, self.mapping.values)}
        for where, place in self._places():
            self._resolve(where, place)
            found = [key for key in place.keys if key in self._positions]
            for key in found:
                if len(at := self._positions[key]) > 1:
                    several = " and ".join(str(n + 1) for n in at)
                    raise BadMapping(
                        f"the mapping {self.mapping.name}, {where}, needs the column {place.names[place.keys.index(key)]!r}; the file has "
                        f"it {len(at)} times, as columns {several}: rename or remove all but one"
                    )
                asked[key] = at[0]
            if found or any(key in known or key.startswith((OPTION, OWN)) for key in place.keys):
                continue
            names = "|".join(place.names)
            if place.optional:
                if names not in self.missing:
                    self.missing.append(names)
                continue
            has = cut(", ".join(sorted(filter(None, self.columns))) or "none", COLUMNS_SHOWN_CHARACTERS_MAX)
            raise BadMapping(
                f"the mapping {self.mapping.name}, {where}, needs the column {names!r}; the file has {has}"
            )
        for place in self.mapping.salesforce_ids:
            self._salesforce += [key for key in place.keys if key in asked and key not in self._salesforce]
        return asked

    def _resolve(self, where: str, place: Place) -> None:
        """Find the column whose name matches a name with `(*)`. Raises `BadMapping` if there are several."""
        for key, name in zip(place.keys, place.names, strict=True):
            if ANY not in key or key in self._positions:
                continue
            before, _, behind = key.partition(ANY)
            found = [
                column for column in self._positions
                if column.startswith(before + "(") and column.endswith(")" + behind) and len(column) >= len(key)
            ]  # fmt: skip
            if len(found) > 1:
                raise BadMapping(
                    f"the mapping {self.mapping.name}, {where}, needs the column {name!r}; the file has several: {', '.join(found)}"
                )
            for column in found:
                self._positions[key] = self._positions[column]
                self._part_of_name[key] = column[len(before) + 1 : len(column) - len(behind) - 1]

    def has(self, place: Place) -> bool:
        """Whether the file has a column."""
        return any(key in self._positions for key in place.keys)

    @property
    def names_contacts(self) -> bool:
        """Whether rows of the file can name the contacts of deals."""
        return any(
            expression is not None and self._filled(expression)
            for event in self.mapping.events
            if event.type.startswith("deal_") and (event.only_with is None or self.has(event.only_with))
            for expression in (event.fields.fields.get("contacts"), event.fields.fields.get("contact"))
        )

    def _filled(self, expression: Any) -> bool:
        if isinstance(expression, Contacts | Each | Text):
            places = list(expression.template.places)
            return not places or any(self.has(place) for place in places)
        inner = expression.items if isinstance(expression, Several) else getattr(expression, "fields", {}).values()
        return any(self._filled(one) for one in inner)

    def row(self, cells: Sequence[str]) -> dict[str, str]:
        """The cells that the mapping uses, without blanks around them, and the mapping's own values."""
        null = self.mapping.null
        row = {key: cells[at].strip() for key, at in self._asked.items()}
        if null:
            row = {key: "" if text.casefold() in null else text for key, text in row.items()}
        for key in self._salesforce:
            row[key] = salesforce_id(row[key]) or row[key]
        row.update({OPTION + name: text for name, text in self.mapping.options.items()})
        for key, cases in self._values.items():
            row[key] = next((case.text for case in cases if case.condition.holds(row)), "")
        return row

    def observe(self, cells: Sequence[str], line: int) -> None:
        """Learn from a row how the file writes instants and numbers."""
        row = self.row(cells)
        if self._skipped(row):
            return
        for event in self.mapping.events:
            needed = (
                bool(self._instants_of[event.number]) and event.number in self._sendable and event.condition.holds(row)
            )
            for template in self._instants_of[event.number]:
                if (text := template.text(row)) is not None and not nothing(text):
                    self._instants.observe(template.columns, text, line, needed=needed)
            for template in self._numbers_of[event.number]:
                if (text := template.text(row)) is not None:
                    self._numbers[template.source].observe(text)

    def settle(self) -> None:
        """Decide from the observed rows. Raises `BadMapping` where instants can be read in two ways and nothing decides which."""
        self._instants.settle()

    def instant(self, template: Template, text: str) -> Interval:
        """The interval that a text means; raises `BadCell`."""
        try:
            return self._instants.read(template.columns, text)
        except BadCell as error:
            raise BadCell(f"{template.columns}: {error}") from error

    def number(self, template: Template, text: str) -> str:
        """A number as a decimal string; raises `BadCell`."""
        try:
            return self._numbers[template.source].read(text)
        except BadCell as error:
            raise BadCell(f"{template.columns}: {error}") from error

    def campaign(self, texts: Sequence[str]) -> str:
        """The id of our campaign; raises `UnknownCampaign`."""
        return self.mapping.campaigns.of(texts)

    def named(self, template: Template, row: Row) -> str:
        """The text in the place of `(*)` in the name of the column that holds a row's text."""
        found = (key for place in template.places for key in place.keys if row.get(key))
        return self._part_of_name.get(next(found, ""), "")

    def skips(self, cells: Sequence[str]) -> str:
        """The word under which a row that is not data is counted; empty if it is data. The row may have too few cells."""
        if not self.mapping.skip:
            return ""
        return self._skipped(self.row([*cells, *[""] * (len(self.columns) - len(cells))]))

    def _skipped(self, row: Row) -> str:
        return next((case.text for case in self.mapping.skip if case.condition.holds(row)), "")

    def _not_salesforce(self, row: Row) -> Iterator[Refusal]:
        """The refusals of cells that should hold a Salesforce id and do not."""
        for key in self._salesforce:
            if (text := row[key]) and not names_nobody(text) and salesforce_id(text) is None:
                message = f"{key}: {text!r} is not a Salesforce id, which has 15 or 18 letters and digits"
                yield Refusal(0, None, "bad_value", None, message)

    def add_up(self, cells: Sequence[str], line: int) -> None:
        """Add a row to the mapping's sums. Call it for every row before the first call of `events_of`."""
        row = self.row(cells)
        if self._skipped(row):
            return
        for event in self._row_events:
            if event.sum is not None and event.condition.holds(row):
                try:
                    self._sums.add(event, self._event(event, row), line, None)
                except BadCell as error:
                    self._sums.add(event, self._readable(event, row), line, error)

    def events_of(self, cells: Sequence[str], line: int = 0) -> RowEvents:
        """The events of a row."""
        row = self.row(cells)
        if word := self._skipped(row):
            return RowEvents([], skipped=word)
        out: list[bytes | Refusal] = list(self._not_salesforce(row))
        unknown: list[str] = []
        summed = False
        for event in self._row_events if not out else ():
            if not event.condition.holds(row):
                continue
            items: list[str | None] = [None]
            if event.for_each is not None:
                items = [
                    item for item in dict.fromkeys(items_of(event.for_each.text(row) or "")) if not names_nobody(item)
                ]
            for item in items:
                try:
                    made: dict[str, Any] | None = self._event(event, row if item is None else {**row, ITEM: item})
                    if made is not None and event.sum is not None:
                        made, later = self._sums.event_of(event, made, line)
                        summed |= later
                    if made is not None:
                        out += [orjson.dumps(part) for part in _parts(made)]
                except BadCell as error:
                    unknown += [error.campaign] if isinstance(error, UnknownCampaign) else []
                    out.append(_refused(event, error))
        return RowEvents(out, list(self._unmet(row)), summed, unknown=unknown)

    def _readable(self, row_event: MappedRowEvent, row: Row) -> dict[str, Any]:
        """The fields of an event that can be read, where another field cannot."""
        made: dict[str, Any] = {}
        for name, expression in row_event.fields.fields.items():
            try:
                made |= Fields({name: expression}).value(row, self, made) or {}
            except BadCell:
                continue
        if "id" in made:
            made["id"] = _bounded(made["id"])
        return made

    def _event(self, row_event: MappedRowEvent, row: Row) -> dict[str, Any]:
        fields = row_event.fields.value(row, self) or {}
        if isinstance(event_id := fields.get("id"), str):
            fields["id"] = _bounded(event_id)
        if row_event.has_as_of:
            fields["as_of"] = to_rfc3339(self._as_of_us(row_event, row))
        if row_event.occurred_at is not None:
            try:
                fields["occurred_at"] = row_event.occurred_at.value(row, self)
            except BadCell as error:
                raise BadCell(str(error), "occurred_at") from error
            if fields["occurred_at"] is None:
                asked = ", ".join(dict.fromkeys(t.columns for t in _templates_of(row_event.occurred_at)))
                raise Empty(f"{asked}: empty, and the event needs it as the time when it occurred", "occurred_at")
        return fields

    def _as_of_us(self, row_event: MappedRowEvent, row: Row) -> int:
        """The `as_of` of a row, in µs: the user's, else its column's, else the time of reading. Never in the future."""
        if self.mapping.as_of_us is not None:
            return self.mapping.as_of_us
        try:
            shown_us = None if row_event.as_of is None else row_event.as_of.at_us(row, self)
        except BadCell as error:
            raise BadCell(str(error), "as_of") from error
        return self.read_at_us if shown_us is None else min(shown_us, self.read_at_us)

    def _unmet(self, row: Row) -> Iterator[tuple[str, str]]:
        """The row's values that no `when` matched, by column: those of columns with tests, of which none held."""
        for cases in self._values.values():
            met = next((case for case in cases if case.condition.holds(row)), None)
            if met is None or not met.condition.terms:
                yield from self._open(row, [term for case in cases for term in case.condition.terms])
        yield from self._open(row, self._terms)

    def _open(self, row: Row, terms: Sequence[Any]) -> Iterator[tuple[str, str]]:
        met: dict[tuple[str, ...], bool] = {}
        for term in terms:
            met[term.place.keys] = met.get(term.place.keys, False) or term.holds(row)
        for place in {term.place.keys: term.place for term in terms}.values():
            if not met[place.keys] and self.has(place):
                key = next((key for key in place.keys if row.get(key)), None)
                name = next(
                    name
                    for name, k in zip(place.names, place.keys, strict=True)
                    if (k == key if key else k in self._positions)
                )
                yield name, _short(row[key]) if key else EMPTY


def _parts(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Split an event of a deal with more contacts than one event takes into several events with different ids."""
    contacts = event.get("contacts")
    size = CONTACTS_PER_DEAL_EVENT_MAX
    if not isinstance(contacts, list) or len(contacts) <= size:
        yield event
        return
    yield {**event, "contacts": contacts[:size]}
    more = {name: event[name] for name in ("occurred_at", "as_of", "deal_id") if name in event} | {
        "type": "deal_updated"
    }
    for n, at in enumerate(range(size, len(contacts), size), 2):
        named = {"id": _bounded(f"{event['id']}-{n}")} if isinstance(event.get("id"), str) else {}
        yield {**more, **named, "contacts": contacts[at : at + size]}


def _templates_in(event: MappedRowEvent, *kinds: type) -> Iterator[Template]:
    """The texts that an event reads as instants, or as numbers."""
    for expression in event.expressions:
        if isinstance(expression, kinds):
            yield expression.template  # type: ignore[attr-defined]


def _short(text: str) -> str:
    """A value for messages; long values are cut."""
    return text if len(text) <= UnmatchedValues.CHARACTERS_MAX else text[: UnmatchedValues.CHARACTERS_MAX] + "…"


class Empty(BadCell):
    """A value that an event must have is empty."""


def _refused(event: MappedRowEvent, error: BadCell) -> Refusal:
    code = "missing_field" if isinstance(error, Empty) else "bad_value"
    return Refusal(0, None, code, error.field, f"{error} (event {event.number}, {event.type})")  # type: ignore[arg-type]


def _templates_of(expression: Any) -> list[Template]:
    return (
        [edge.template for edge in expression.edges]
        if isinstance(expression, BeforeEarliest)
        else [expression.template]
    )


def _bounded(event_id: str) -> str:
    """An id; if it is too long, it is cut and ends with a digest of the whole, so that it stays unique."""
    if len(event_id) <= EVENT_ID_CHARACTERS_MAX:
        return event_id
    digest = sha256(event_id.encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{event_id[: EVENT_ID_CHARACTERS_MAX - DIGEST_CHARACTERS - 1]}-{digest}"


class UnmatchedValues:
    """Counts the values, by column, that no `when` matched. It stores at most `VALUES_MAX` different values a column."""

    VALUES_MAX = 1_000  # of a column; further values are counted together
    CHARACTERS_MAX = 100  # of a value; a status or stage is shorter
    REPORTED_MAX = 10  # values that are reported, the most frequent first

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._further: Counter[str] = Counter()

    def count(self, column: str, value: str) -> None:
        """Count one row with this value."""
        counts = self._counts[column]
        if value in counts or len(counts) < self.VALUES_MAX:
            counts[value] += 1
        else:
            self._further[column] += 1

    def add(self, other: "UnmatchedValues") -> None:
        """Add the counts of another."""
        for column, counts in other._counts.items():
            self._counts[column].update(counts)
        self._further.update(other._further)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """By column: the number of `rows`, and for the most frequent `values` how many rows have each."""
        return {
            column: {
                "rows": counts.total() + self._further[column],
                "values": dict(counts.most_common(self.REPORTED_MAX)),
            }
            for column, counts in self._counts.items()
        }
