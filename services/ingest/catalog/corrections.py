"""Calls that correct earlier events: an event is taken back, and two contacts become one."""

from collections.abc import Mapping
from typing import Any

from services.ingest.catalog.calls import CallRefused, Outcome, placed, wish
from shared.events.emails import normalised_email
from shared.events.instants import BEGINNING_US
from shared.events.types import Contact, ContactMerged, EventRetracted
from shared.reading.contacts import contact_row, identifiers_of
from shared.reading.explain import event_state
from shared.reading.snapshot import NotFound, Snapshot
from shared.sealing.reveal import pseudonyms_of
from shared.sealing.vault import Vault


async def retract(snapshot: Snapshot, event_id: str, now_us: int) -> Outcome:
    """Take an event of any type back; of a retraction, the event counts again. Raises `CallRefused` if there is no such event."""
    state = await event_state(snapshot, event_id)
    if state is None:
        raise CallRefused("unknown_event", f"there is no event {event_id!r}", field="event_id")
    if state.retracted_by:
        return Outcome(state.retracted_by[0])
    # wished as sent, so that an id that no event may have is refused as it is there
    event = placed(wish(EventRetracted, {}, {"event_id": event_id}), now_us, BEGINNING_US)
    return Outcome(event.id, [event])


async def merge(snapshot: Snapshot, vault: Vault | None, name: str, fields: Mapping[str, Any], now_us: int) -> Outcome:
    """Make the contact of an identifier part of the one that `into` names. Raises `CallRefused`.

    Both must exist. A sealed store (`vault`) knows them by their pseudonyms; the event has the names, and is sealed by the log.
    """
    if unfit := sorted(set(fields) - {"into"}):
        raise CallRefused("unknown_field", f"`{unfit[0]}` is not a field of this body", field=unfit[0])
    into = fields.get("into")
    if not isinstance(into, str) or not into:
        raise CallRefused("missing_field", "`into` must be an id or an e-mail address of a contact", field="into")
    (contact, of), (other, of_other) = [
        await _contact(snapshot, vault, each, field) for each, field in ((name, "name"), (into, "into"))
    ]
    if of == of_other:
        raise CallRefused("same_contact", "both names are of one contact already", field="into")
    event = placed(ContactMerged(contact=contact, into=other), now_us, BEGINNING_US)
    return Outcome(event.id, [event])


async def _contact(snapshot: Snapshot, vault: Vault | None, name: str, field: str) -> tuple[Contact, int]:
    """A contact as an event names it, and its key. Raises `CallRefused` if there is none."""
    known_as = (await pseudonyms_of(vault, snapshot.workspace, name))[0]
    try:
        row = await contact_row(snapshot, known_as)
    except NotFound as error:
        raise CallRefused("unknown_contact", f"there is no contact {name!r}", field=field) from error
    ids, emails = await identifiers_of(snapshot, row["contact"])
    is_email = known_as not in ids and {known_as, normalised_email(known_as)} & set(emails)
    return (Contact(email=name) if is_email else Contact(id=name)), row["contact"]
