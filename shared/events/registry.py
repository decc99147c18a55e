"""Which types of events exist, what is each about, who may send it, and which stages of the projection process it?

This is the one list of event types: every other list of them is derived from it, in Python and in SQL. A rule that names types
of its own (rule **session**, rule **influence**, …) names them in its own file, and checks them with `check_known`.

The registry is checked when it is imported: a type that no stage takes, a stage that does not exist, a field that the struct
does not have, and a struct that is missing here or in `Event` of `shared/events/types.py` raise `BadRegistry`, which says what is
wrong and where.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from shared.events import types as e
from shared.events.types import Envelope, Event, Touch

Stage = Literal[
    "admission", "entities", "touches", "mentions", "identity", "traffic", "sessions", "contacts", "catalog", "deals",
    "cells", "credit_days",
]  # fmt: skip
STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages of the projection, in the order in which they run."""

KeyClass = Literal["server", "collect"]
"""The classes of access keys with which events are sent."""

Entity = Literal["touch", "campaign", "asset", "deal", "contact", "workspace", "unmapped"]
"""What an event is about. `touch`: a person and what that person did; `workspace`: settings, and what is about no entity."""

KeyKind = Literal["campaign", "asset", "deal", "contact", "unmapped", "workspace", "utm", "page", "link"]
"""Kinds of keys. `shared/projection/rows.py` computes each from the fields."""

ID_FIELDS: Mapping[Entity, tuple[str, ...]] = {
    "touch": (), "campaign": ("campaign_id",), "asset": ("asset_id",), "deal": ("deal_id",), "contact": ("contact",),
    "workspace": (), "unmapped": ("producer", "name"),
}  # fmt: skip
"""The fields of an event that hold the id of the entity that it is about."""

CONTACT_FIELDS = ("contact", "into", "contacts")
"""The fields of an event that name contacts; an event with `into` says that both of its contacts are one."""


class BadRegistry(Exception):
    """The registry of event types contradicts itself, or another list; the message says where, and what to change."""


@dataclass(frozen=True, slots=True)
class Key:
    """A second key that an event's row holds: its kind, and the field that holds the text or contact of which it is made."""

    kind: KeyKind
    field: str


@dataclass(frozen=True, slots=True)
class EventType:
    """What is known of one type of events.

    `stages` are those that read such an event, or its row in `touch` or `entity_event`. `sent_by` are the classes of access keys
    that may send it. `object_key` and `leads_to_key` say from what the columns `object` and `leads_to` of its row in
    `entity_event` are computed; None leaves a column null. `mappable` says whether a message of an outside producer may become
    such an event. `url` is the meaning of its field `url`: `page`, on which it happened, or `target`, the target of a link or
    the address of an asset; None if it has no such field.
    """

    name: str
    struct: type[Envelope]
    entity: Entity
    stages: tuple[Stage, ...]
    sent_by: frozenset[KeyClass]
    object_key: Key | None
    leads_to_key: Key | None
    mappable: bool
    url: Literal["page", "target"] | None

    @property
    def is_touch(self) -> bool:
        """Whether it is an action of a person, not a change of an entity."""
        return self.entity == "touch"

    @property
    def contact_fields(self) -> tuple[str, ...]:
        """The fields that name contacts."""
        return tuple(field for field in CONTACT_FIELDS if field in self.struct.__struct_fields__)

    @property
    def merges_contacts(self) -> bool:
        """Whether it says that two contacts are one."""
        return "into" in self.struct.__struct_fields__

    @property
    def identifies_visitor(self) -> bool:
        """Whether it says which contact a visitor is, without being a touch."""
        return not self.is_touch and "visitor_id" in self.struct.__struct_fields__

    @property
    def follows_addresses(self) -> bool:
        """Whether a key of its row is computed from an address, so that it depends on settings (rule **page**)."""
        return any(key is not None and key.kind in ("page", "link") for key in (self.object_key, self.leads_to_key))


SERVER: frozenset[KeyClass] = frozenset({"server"})
ANY_KEY: frozenset[KeyClass] = frozenset({"server", "collect"})


def event_type_of(
    struct: type[Envelope], entity: Entity, *stages: Stage, sent_by: frozenset[KeyClass] = SERVER, object_key: Key | None = None,
    leads_to_key: Key | None = None, mappable: bool = True, url: Literal["page", "target"] | None = None,
) -> EventType:  # fmt: skip
    """Declare a type of events; its name is the tag of its struct. See `EventType` for the arguments."""
    name = str(struct.__struct_config__.tag)
    return EventType(name, struct, entity, stages, sent_by, object_key, leads_to_key, mappable, url)


_of = event_type_of
_TOUCH: tuple[Stage, ...] = ("touches", "identity", "traffic", "contacts")
_EARNS: tuple[Stage, ...] = (*_TOUCH, "deals")
_VISITS: tuple[Stage, ...] = (*_TOUCH, "sessions")
_CATALOG: tuple[Stage, ...] = ("entities", "catalog")
_NAMING: tuple[Stage, ...] = ("entities", "identity")
_CONTACT: tuple[Stage, ...] = (*_NAMING, "contacts")
_DEAL: tuple[Stage, ...] = ("entities", "deals")
_NAMING_DEAL: tuple[Stage, ...] = (*_NAMING, "deals")

DECLARED: tuple[EventType, ...] = (
    _of(e.PageVisited, "touch", *_VISITS, "catalog", "deals", sent_by=ANY_KEY, url="page"),
    _of(e.FormSubmitted, "touch", *_VISITS, "deals", sent_by=ANY_KEY, url="page"),
    _of(e.CtaViewed, "touch", *_VISITS, sent_by=ANY_KEY, url="page"),
    _of(e.CtaClicked, "touch", *_VISITS, "deals", sent_by=ANY_KEY, url="page"),
    _of(e.EmailSent, "touch", *_TOUCH, url="target"),
    _of(e.EmailDelivered, "touch", *_TOUCH, url="target"),
    _of(e.EmailOpened, "touch", *_TOUCH, url="target"),
    _of(e.EmailClicked, "touch", *_EARNS, url="target"),
    _of(e.EmailBounced, "touch", *_TOUCH, url="target"),
    _of(e.EmailUnsubscribed, "touch", *_TOUCH, url="target"),
    _of(e.SocialClicked, "touch", *_EARNS),
    _of(e.SocialInteracted, "touch", *_TOUCH),
    _of(e.AdViewed, "touch", *_TOUCH),
    _of(e.AdClicked, "touch", *_EARNS, sent_by=ANY_KEY),
    _of(e.AssetInteracted, "touch", *_EARNS),
    _of(e.ListJoined, "touch", *_TOUCH),
    _of(e.WorkflowEnrolled, "touch", *_TOUCH),
    _of(e.ListLeft, "contact", *_NAMING),
    _of(e.CampaignCreated, "campaign", *_CATALOG, object_key=Key("utm", "utm_campaign")),
    _of(e.CampaignUpdated, "campaign", *_CATALOG, object_key=Key("utm", "utm_campaign")),
    _of(e.CampaignDeleted, "campaign", *_CATALOG),
    _of(e.SpendRecorded, "campaign", *_CATALOG),
    _of(e.BudgetRecorded, "campaign", *_CATALOG),
    _of(e.AssetRegistered, "asset", *_CATALOG, object_key=Key("page", "url"), leads_to_key=Key("link", "target_url"), url="target"),
    _of(e.AssetPublished, "asset", *_CATALOG),
    _of(e.AssetUnpublished, "asset", *_CATALOG),
    _of(e.AssetAssociated, "asset", *_CATALOG, object_key=Key("campaign", "campaign_id")),
    _of(e.AssetDissociated, "asset", *_CATALOG, object_key=Key("campaign", "campaign_id")),
    _of(e.ContactCreated, "contact", *_CONTACT),
    _of(e.ContactUpdated, "contact", *_CONTACT),
    _of(e.ContactIdentified, "contact", *_NAMING, "sessions", sent_by=ANY_KEY),
    _of(e.ContactMerged, "contact", *_CONTACT, object_key=Key("contact", "into")),
    _of(e.ContactForgotten, "contact", "entities", mappable=False),
    _of(e.SalesforceCampaignJoined, "contact", *_CONTACT),
    _of(e.SalesforceCampaignLeft, "contact", *_CONTACT),
    _of(e.DealCreated, "deal", *_NAMING_DEAL),
    _of(e.DealUpdated, "deal", *_NAMING_DEAL),
    _of(e.DealContactAssociated, "deal", *_NAMING_DEAL),
    _of(e.DealContactDissociated, "deal", *_NAMING_DEAL),
    _of(e.DealClosed, "deal", *_DEAL),
    _of(e.DealReopened, "deal", *_DEAL),
    _of(e.DealDeleted, "deal", *_DEAL),
    _of(e.EventRetracted, "workspace", "admission", "entities", mappable=False),
    _of(e.UnmappedEvent, "unmapped", "entities", sent_by=ANY_KEY, mappable=False),
    _of(
        e.WorkspaceConfigured, "workspace", "entities", "touches", "identity", "traffic", "sessions", "contacts", "catalog",
        "deals", mappable=False,
    ),
    _of(e.ModelDefined, "workspace", "entities", mappable=False),
)  # fmt: skip


def registry_of(declared: Iterable[EventType], structs: Collection[type[Envelope]]) -> dict[str, EventType]:
    """The declared types by name. Raises `BadRegistry` unless they are those of `structs` and each is declared right."""
    found: dict[str, EventType] = {}
    for one in declared:
        if one.name in found:
            raise BadRegistry(f"event type {one.name!r} is declared twice in shared/events/registry.py")
        if problem := _problem(one):
            raise BadRegistry(
                f"event type {one.name!r} ({one.struct.__name__}): {problem} (shared/events/registry.py: DECLARED)"
            )
        found[one.name] = one
    have = {one.struct for one in found.values()}
    if lacking := sorted(struct.__name__ for struct in structs if struct not in have):
        raise BadRegistry(
            f"{', '.join(lacking)}: in `Event` of shared/events/types.py, but not in DECLARED of shared/events/registry.py"
        )
    if lacking := sorted(struct.__name__ for struct in have if struct not in structs):
        raise BadRegistry(
            f"{', '.join(lacking)}: in DECLARED of shared/events/registry.py, but not in `Event` of shared/events/types.py"
        )
    return found


def _problem(one: EventType) -> str | None:
    """What is wrong with a declaration; None if nothing is."""
    if not one.stages:
        return f"no stage takes it; name at least one of {', '.join(STAGES)}"
    if unknown := sorted(set(one.stages) - set(STAGES)):
        return f"there is no stage {', '.join(map(repr, unknown))}; the stages are {', '.join(STAGES)}"
    if one.is_touch != issubclass(one.struct, Touch):
        return "its entity must be `touch` if its struct extends Touch, and only then"
    if one.entity not in get_args(Entity):
        return f"there is no entity {one.entity!r}; the entities are {', '.join(get_args(Entity))}"
    written_by, other = ("touches", "entities") if one.is_touch else ("entities", "touches")
    if written_by not in one.stages:
        return f"the stage {written_by!r} must take it: that one writes its row"
    fields = one.struct.__struct_fields__
    keys = [key for key in (one.object_key, one.leads_to_key) if key is not None]
    for field in (*ID_FIELDS[one.entity], *(key.field for key in keys)):
        if field not in fields:
            return f"it has no field {field!r}, of which a key of its row is made"
    if one.entity != "asset" and one.follows_addresses:
        return (
            "only an event about an asset may have a key of the kind page or link: the catalog reads them as an asset's"
        )
    if one.is_touch and keys:
        return f"a touch has no second key; only the rows of the stage {other!r} have one"
    if ("url" in fields) != (one.url is not None):
        return "`url` must say what its field `url` is, 'page' or 'target', if it has one, and only then"
    if unknown_keys := sorted(one.sent_by - set(get_args(KeyClass))):
        return (
            f"there is no class of keys {', '.join(map(repr, unknown_keys))}; there are {', '.join(get_args(KeyClass))}"
        )
    return None


REGISTRY: Mapping[str, EventType] = registry_of(DECLARED, get_args(Event))
"""All types of events by name."""

BY_STRUCT: Mapping[type[Envelope], EventType] = {one.struct: one for one in REGISTRY.values()}
"""All types of events by struct."""

EVENT_TYPES: dict[str, type[Envelope]] = {name: one.struct for name, one in REGISTRY.items()}
"""The struct of each type of events, by name."""

TOUCHES = frozenset(one.struct for one in REGISTRY.values() if one.is_touch)
"""The structs of touches: `type(event) in TOUCHES` is faster than `isinstance`."""

TOUCH_TYPES = frozenset(name for name, one in REGISTRY.items() if one.is_touch)
COLLECT_TYPES = frozenset(name for name, one in REGISTRY.items() if "collect" in one.sent_by)
UNMAPPABLE = frozenset(name for name, one in REGISTRY.items() if not one.mappable)


def name_of(struct: type[Envelope]) -> str:
    """The name of a struct's type of events. Raises `BadRegistry` if it is none."""
    if struct not in BY_STRUCT:
        raise BadRegistry(f"{struct.__name__} is the struct of no event type in shared/events/registry.py")
    return BY_STRUCT[struct].name


def names_like(*structs: type[Envelope]) -> tuple[str, ...]:
    """The names of all types for whose events `isinstance(event, structs)` is true. Raises `BadRegistry` if there is none."""
    return _some((one.name for one in REGISTRY.values() if issubclass(one.struct, structs)), f"extends {structs}")


def names_about(entity: Entity, *, stage: Stage) -> tuple[str, ...]:
    """The names of all types that are about an entity and that a stage takes. Raises `BadRegistry` if there is none."""
    found = (one.name for one in REGISTRY.values() if one.entity == entity and stage in one.stages)
    return _some(found, f"is about a {entity} and is taken by the stage {stage!r}")


def names_with(*kinds: KeyKind) -> tuple[str, ...]:
    """The names of all types whose rows hold a second or third key of one of these kinds. Raises `BadRegistry` if there is none."""
    found = (
        one.name
        for one in REGISTRY.values()
        if any(key is not None and key.kind in kinds for key in (one.object_key, one.leads_to_key))
    )
    return _some(found, f"has a second key of the kind {' or '.join(kinds)}")


def _some(names: Iterable[str], what: str) -> tuple[str, ...]:
    found = tuple(names)
    if not found:
        raise BadRegistry(f"no event type {what}, yet a statement reads such events")
    return found


def sql_names(names: Iterable[str]) -> str:
    """Names of types as an SQL list: `('deal_created', 'deal_closed')`. Raises `BadRegistry` for a name that is no type's."""
    return f"({', '.join(repr(name) for name in check_known(tuple(names), 'an SQL statement'))})"


def check_known(names: tuple[str, ...], where: str, *, stage: Stage | None = None) -> tuple[str, ...]:
    """The names, if each is that of a type of events, and `stage`, if given, takes it; else `BadRegistry`, which names `where`."""
    for name in names:
        if name not in REGISTRY:
            raise BadRegistry(f"{where} names the event type {name!r}, which shared/events/registry.py does not have")
        if stage is not None and stage not in REGISTRY[name].stages:
            raise BadRegistry(
                f"{where} names the event type {name!r}, which the stage {stage!r} must then take (shared/events/registry.py)"
            )
    return names
