"""What is stored of contacts: their identifiers, events, first visit and conversion?"""

from shared.events import types as e
from shared.events.registry import REGISTRY, name_of, names_about, sql_names
from shared.projection.sql import sql, sql_numbers
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import LAST_TOUCH_TYPES
from shared.rules.influence import TouchType

ALL_CONTACTS = sql("SELECT contact FROM {g}.contact WHERE ws = $1 AND contact > $2 ORDER BY contact LIMIT $3")
CONTACTS_OF_PERSONS = sql(
    "SELECT DISTINCT contact FROM {g}.identity_interval WHERE ws = $1 AND person = ANY($2::bigint[])"
)
CONTACTS_OF_IDENTIFIERS = sql("""
SELECT DISTINCT contact FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[]) AND contact IS NOT NULL
""")
MEMBERS = sql("SELECT * FROM {g}.identifier WHERE ws = $1 AND contact = ANY($2::bigint[]) ORDER BY identifier")
ABOUT_CONTACTS = tuple(
    name for name in names_about("contact", stage="contacts") if not REGISTRY[name].merges_contacts
)  # events about a contact itself; merges change its name
MERGES = sql(f"""
SELECT subject, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND type = '{name_of(e.ContactMerged)}' AND live
""")
CONTACT_EVENTS = sql(f"""
SELECT subject, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live AND type IN {sql_names(ABOUT_CONTACTS)}
""")
CONVERSIONS = sql("""
SELECT u.contact, t.by_visitor, t.url, t.utm, t.type, t.session, t.session_at_us, coalesce(n.visitor, t.person) AS visitor
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bytea[]) u(contact, at_us, event_id, event_key)
JOIN {g}.event_index s ON s.ws = $1 AND s.event_key = u.event_key
LEFT JOIN {g}.touch t ON s.is_touch AND t.ws = $1 AND t.person = s.place AND t.occurred_at_us = u.at_us
    AND t.event_id = u.event_id
LEFT JOIN {g}.identifier_mention n ON NOT s.is_touch AND n.ws = $1 AND n.identifier = s.place AND n.occurred_at_us = u.at_us
    AND n.event_id = u.event_id
""")  # the event that made each contact: its touch, or the visitor that it identified

LAST_SESSION_EVENT = sql("""
SELECT u.contact, t.session, t.session_at_us, t.occurred_at_us FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
    u(contact, visitor, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT session, session_at_us, occurred_at_us FROM {g}.touch WHERE ws = $1 AND person = u.visitor AND by_visitor
        AND session IS NOT NULL AND occurred_at_us <= u.at_us
        AND (occurred_at_us, event_id) <= (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1) t
""")  # what the visitor last did in a session, up to the conversion

LAST_PAGE = sql(f"""
SELECT u.contact, t.utm FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
    u(contact, visitor, at_us, event_id, session)
CROSS JOIN LATERAL (
    SELECT utm FROM {{g}}.touch WHERE ws = $1 AND person = u.visitor AND by_visitor AND session = u.session
        AND type = {TouchType.PAGE_VISITED:d} AND occurred_at_us <= u.at_us
        AND (occurred_at_us, event_id) <= (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1) t
""")  # the session's last page visit up to the conversion

CONVERSION_TOUCHES = sql(f"""
SELECT u.contact, t.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    u(contact, person, session, session_at_us, at_us)
CROSS JOIN LATERAL (
    SELECT occurred_at_us, event_id, type, traffic_class, asset_or_page_key FROM {{g}}.touch
    WHERE ws = $1 AND person = u.person AND session = u.session AND asset_or_page_key IS NOT NULL
        AND occurred_at_us >= u.session_at_us AND occurred_at_us <= u.at_us
        AND type IN ({sql_numbers(LAST_TOUCH_TYPES)}) OFFSET 0) t
""")  # what was touched in the session of each conversion, up to its instant

FIRST_VISITS = sql(f"""
SELECT o.contact, o.person, t.occurred_at_us, t.event_id, t.asset_or_page_key, t.utm
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(contact, at_us, event_id)
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = u.contact
CROSS JOIN LATERAL (
    SELECT occurred_at_us, event_id, asset_or_page_key, utm FROM {{g}}.touch WHERE ws = $1 AND person = o.person
        AND type = {TouchType.PAGE_VISITED:d} AND traffic_class = {TrafficClass.COUNTED:d}
        AND occurred_at_us >= o.from_us AND occurred_at_us <= least(o.to_us, u.at_us)
        AND (occurred_at_us, event_id) >= (o.from_us, o.from_event)
        AND (occurred_at_us, event_id) < (o.to_us, o.to_event)
        AND (occurred_at_us, event_id) <= (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us, event_id LIMIT 1) t
""")  # the first page visit of each person that a contact owns, up to its conversion
NEW_BY = sql("""
SELECT contact, first_visit_asset_or_page AS key, created_us, first_visit_us AS at_us FROM {g}.contact
WHERE ws = $1 AND contact = ANY($2::bigint[]) AND first_visit_asset_or_page IS NOT NULL
UNION ALL SELECT contact, first_visit_utm, created_us, first_visit_us FROM {g}.contact
WHERE ws = $1 AND contact = ANY($2::bigint[]) AND first_visit_utm IS NOT NULL
UNION ALL SELECT contact, conversion_utm, created_us, created_us FROM {g}.contact
WHERE ws = $1 AND contact = ANY($2::bigint[]) AND conversion_utm IS NOT NULL
UNION ALL SELECT contact, asset_or_page_key, created_us, occurred_at_us FROM {g}.conversion_touch
WHERE ws = $1 AND contact = ANY($2::bigint[])
""")  # by which keys these contacts may be new to campaigns: when they were created, and at which instant the key must count
