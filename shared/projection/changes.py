"""What does one stage of the projection pass on to the stages after it? Changes: values that nobody modifies afterwards.

A stage passes on a change once for each batch and workspace. A later stage asks for it by its type; if no stage has passed it on, it is empty.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from shared.projection.rows import Prepared, TouchRow
from shared.projection.visitors import VisitorEvents, VisitorState
from shared.rules.contact import NamedIdentifier
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.order import Order
from shared.rules.settings import Settings

NO_KEYS: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class EventsArrived:
    """What the pipeline starts from, live: events of one workspace as the log has them, not yet settled."""

    arrived: tuple[Prepared, ...] = ()
    readings: Mapping[int, int] = field(default_factory=dict)
    """utm values that read otherwise when they are decoded once more: the key of either."""


@dataclass(frozen=True, slots=True)
class EventsAdmitted:
    """What a batch does to the set of events (rules **once**, **retracted**).

    `entering` were outside and are in now; `leaving` were in and are out; `outside` arrived already retracted. Of these,
    `fresh` have no row yet; `replaced` lose their row, for another event has won their id. `losers` never counted, or count no
    more: another event with their id and the same `as_of` (or none) has precedence; they are kept as dead letters.
    """

    entering: tuple[Prepared, ...] = ()
    leaving: tuple[Prepared, ...] = ()
    outside: tuple[Prepared, ...] = ()
    fresh: tuple[Prepared, ...] = ()
    replaced: tuple[Prepared, ...] = ()
    losers: tuple[Prepared, ...] = ()

    @property
    def restored(self) -> list[Prepared]:
        """Those that enter and have a row already: they were retracted and are so no longer."""
        if len(self.entering) + len(self.outside) == len(self.fresh):
            return []  # every fresh event either enters or stays outside; what else enters was restored
        fresh = {a.event_id for a in self.fresh}
        return [a for a in self.entering if a.event_id not in fresh]

    @property
    def without_row(self) -> list[Prepared]:
        """Those whose row is taken away: replaced ones, and restored ones, whose row is rewritten."""
        return [*self.replaced, *self.restored]

    @property
    def retracted(self) -> list[Prepared]:
        """Those whose row stays and says that it is retracted."""
        replaced = {a.event_id for a in self.replaced}
        return [a for a in self.leaving if a.event_id not in replaced]


@dataclass(frozen=True, slots=True)
class EntitiesChanged:
    """The entities of which an event entered or left the set. Contacts by the first identifier that the event names."""

    campaigns: frozenset[int] = NO_KEYS
    assets: frozenset[int] = NO_KEYS
    deals: frozenset[int] = NO_KEYS
    contacts: frozenset[int] = NO_KEYS


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The workspace's settings before the batch, and now."""

    was: Settings
    now: Settings


@dataclass(frozen=True, slots=True)
class TouchesAdded:
    """Touches that entered the set, as they were written."""

    touches: tuple[TouchRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TouchesRemoved:
    """Touches that left the set: retracted, or their id was won by another event."""

    touches: tuple[TouchRow, ...] = ()


@dataclass(frozen=True, slots=True)
class UtmValuesAdded:
    """utm values that came for the first time and read otherwise when they are decoded once more."""

    values: frozenset[int] = NO_KEYS


@dataclass(frozen=True, slots=True)
class VisitorsChanged:
    """The visitors that the batch's events concern.

    `states` are their rows with what came in order. `late` are those of whom an event came out of order or left the set:
    their sessions are derived again from the touches.
    """

    events: Mapping[int, VisitorEvents] = field(default_factory=dict)
    states: Mapping[int, VisitorState] = field(default_factory=dict)
    late: frozenset[int] = NO_KEYS


@dataclass(frozen=True, slots=True)
class IdentifiersMentioned:
    """Identifiers whose contact may be another now, for an event that names them entered or left the set.

    `whole_history`: they stand for all that is stored of them, as after a rebuild, and not for what a batch adds.
    """

    identifiers: frozenset[int] = NO_KEYS
    whole_history: bool = False


class ContactMembers(NamedTuple):
    """A contact: its key, the keys of its identifiers, when each was named first, and the first event of all."""

    key: int
    members: tuple[int, ...]
    named: tuple[NamedIdentifier, ...]
    created: Order

    @property
    def emails(self) -> Iterable[str]:
        """Its email addresses."""
        return (named.identifier.text for named in self.named if named.identifier.is_email)


class PassedTouches(NamedTuple):
    """A person's touches from the place `start` among all events to `end`, exclusive: whose they were, and are now. None is nobody."""

    person: int
    start: Order
    end: Order
    was: int | None
    contact: int | None


@dataclass(frozen=True, slots=True)
class IdentityChanged:
    """Which identifiers are one contact now, and whose which visitor's touches are.

    `contacts` were derived again; `gone` are contacts that no longer exist; `unnamed` are identifiers that no event names any
    more. `regrouped` are contacts that gained or lost identifiers that were another's. `reassigned` are contacts that a
    visitor's touches passed from. `owners` has the identifier that a visitor of the batch has now, if that changed.
    `passed` are persons whose touches may have passed to, or from, the workspace's own people. `gained` are touches that were
    nobody's and are a contact's now, `moved` those that were another contact's; both are empty for a whole history.
    """

    contacts: tuple[ContactMembers, ...] = ()
    gone: frozenset[int] = NO_KEYS
    unnamed: frozenset[int] = NO_KEYS
    regrouped: frozenset[int] = NO_KEYS
    reassigned: frozenset[int] = NO_KEYS
    owners: Mapping[int, int | None] = field(default_factory=dict)
    passed: frozenset[int] = NO_KEYS
    gained: tuple[PassedTouches, ...] = ()
    moved: tuple[PassedTouches, ...] = ()

    def renamed(self) -> dict[int, int]:
        """The contacts that are gone and of which all touches are one other's now, by their former key."""
        now: dict[int, set[int | None]] = defaultdict(set)
        for one in self.moved:
            if one.was is not None and one.was in self.gone:
                now[one.was].add(one.contact)
        return {was: key for was, some in now.items() if len(some) == 1 and (key := next(iter(some))) is not None}


class ReclassifiedTouch(NamedTuple):
    """A touch that has another traffic class now."""

    person: int
    occurred_at_us: int
    event_id: str
    type: int
    traffic_class: TrafficClass
    by_visitor: bool

    @property
    def order(self) -> Order:
        """Its place among all events."""
        return Order(self.occurred_at_us, self.event_id)

    @property
    def place(self) -> "TouchPlace":
        """Which touch it is."""
        return self.person, self.occurred_at_us, self.event_id


@dataclass(frozen=True, slots=True)
class TrafficChanged:
    """Stored touches whose traffic class is another now."""

    touches: tuple[ReclassifiedTouch, ...] = ()


class SessionOfTouch(NamedTuple):
    """A session: its key, when it began, and whether it is its visitor's first."""

    session: int
    session_at_us: int
    is_new: bool


class OtherSession(NamedTuple):
    """The session that a touch had, None if it had none, and the one that it has now."""

    was: SessionOfTouch | None
    now: SessionOfTouch


TouchPlace = tuple[int, int, str]
"""Which touch: its person, instant and event."""


@dataclass(frozen=True, slots=True)
class SessionsChanged:
    """Persons whose stored touches may be in other sessions now. `all_persons`: those of the whole workspace.

    `touches` has, for each touch that is in another session than it was written with, the one that it had (None if it had none) and the one that it has
    now; and `since_us`, by person, when the first session began of those that gained or lost one of them. Both are empty for `all_persons`.
    """

    persons: frozenset[int] = NO_KEYS
    all_persons: bool = False
    touches: Mapping[TouchPlace, OtherSession] = field(default_factory=dict)
    since_us: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContactsChanged:
    """The identifiers of all contacts that were derived again, and those that belong to no contact any more.

    `new_by` has keys by which a contact may be new to a campaign now and was not, or was and is not, each with when the contact was created.
    """

    identifiers: frozenset[int] = NO_KEYS
    new_by: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class ContactsNamedAgain:
    """Contacts whom lists may name by a key that is another contact's again, since a merge was taken back."""

    contacts: frozenset[int] = NO_KEYS


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """Keys of assets, pages, links and utm values whose attribution windows were rewritten; `campaigns` are those that have other windows now.

    `windows` say by which route which keys count for other campaigns now, or for campaigns that have another owner now, and between which instants:
    route, key, from, to. `named` are keys of assets and pages that are of another asset now, or of an asset of another type, network or kind of
    advertisement.
    """

    keys: frozenset[int] = NO_KEYS
    campaigns: frozenset[int] = NO_KEYS
    windows: tuple[tuple[int, int, int, int], ...] = ()
    named: frozenset[int] = NO_KEYS


@dataclass(frozen=True, slots=True)
class DealsChanged:
    """Deals that were derived again, or no longer exist. `closes_us` has when those of them were won that are won now, or were before, without deals in
    which nothing changed but the keys of renamed contacts (`IdentityChanged.renamed`).
    """

    deals: frozenset[int] = NO_KEYS
    closes_us: frozenset[int] = NO_KEYS


Change = (
    EventsArrived | EventsAdmitted | EntitiesChanged | SettingsChanged | TouchesAdded | TouchesRemoved | UtmValuesAdded
    | VisitorsChanged | IdentifiersMentioned | IdentityChanged | TrafficChanged | SessionsChanged | ContactsChanged
    | CatalogChanged | DealsChanged | ContactsNamedAgain
)  # fmt: skip
C = TypeVar("C")


class Changes:
    """The changes that stages of a batch have passed on so far, by their type. Immutable; `with_more` returns another with more."""

    __slots__ = ("_by_type",)

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._by_type: Mapping[type, Change] = MappingProxyType({type(change): change for change in changes})

    def with_more(self, more: Iterable[Change]) -> "Changes":
        """These and more."""
        return Changes((*self._by_type.values(), *more))

    def of(self, cls: type[C]) -> C:
        """The change of a type; an empty one if no stage has passed it on."""
        return self._by_type.get(cls) or cls()  # type: ignore[return-value]

    def settings(self) -> SettingsChanged | None:
        """The changed settings, if they have changed."""
        return self._by_type.get(SettingsChanged)  # type: ignore[return-value]
