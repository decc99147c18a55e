"""Rule **session** for touches that come in order: each extends the visitor's session so far, or begins the next."""

from shared.projection.rows import TouchRow
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.session import SESSION_TYPES, Session, after

SESSION_TYPE_NUMBERS = tuple(int(TouchType[name.upper()]) for name in sorted(SESSION_TYPES))
_IN_SESSION = frozenset(SESSION_TYPE_NUMBERS)


def begin_alone(row: TouchRow) -> None:
    """Give a form submission without a visitor the session that it is."""
    if not row.by_visitor and row.type == TouchType.FORM_SUBMITTED and row.traffic_class == TrafficClass.COUNTED:
        row.session, row.session_at_us, row.session_is_new = session_key(row.event_id), row.occurred_at_us, False


def extend_session(session: Session | None, touches: list[TouchRow], gap_us: int) -> Session | None:
    """Put touches of a visitor, all later than its session so far, in order and give them theirs; answers the last."""
    if len(touches) > 1:
        touches.sort(key=in_order_of)
    for row in touches:
        if row.type in _IN_SESSION and row.traffic_class == TrafficClass.COUNTED:
            session = after(session, row.occurred_at_us, row.event_id, row.source, gap_us)
            row.session, row.session_at_us, row.session_is_new = session.key, session.started_at_us, session.is_new
    return session


def in_order_of(row: TouchRow) -> tuple[int, str]:
    """The key by which touches are in order."""
    return row.occurred_at_us, row.event_id
