"""Which user agents, own people and mails does a batch concern?"""

from shared.projection.sql import sql
from shared.rules.excluded_traffic import FLAGGED_MACHINE, TrafficClass
from shared.rules.influence import TouchType

AGENTS = sql("SELECT agent, user_agent, visits, opens FROM {g}.agent WHERE ws = $1")
INTERNAL_PERSONS = sql("""
SELECT DISTINCT o.person FROM unnest($2::bigint[]) u(person)
JOIN {g}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {g}.internal_contact c ON c.ws = $1 AND c.contact = o.contact
""")  # which of these persons are, or were for a time, the workspace's own people

_LIVE = f"t.traffic_class <> {TrafficClass.RETRACTED:d}"
MEMBERS_BESIDE = sql("""
SELECT identifier, contact FROM {g}.identifier WHERE ws = $1 AND contact = ANY(ARRAY(
    SELECT DISTINCT contact FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])))
""")  # all identifiers of the contacts that some identifiers are of
MEMBERS = sql("SELECT identifier, contact FROM {g}.identifier WHERE ws = $1 AND contact = ANY($2::bigint[])")
WHO_CLICKED = sql(f"""
SELECT DISTINCT t.person FROM {{g}}.touch t
WHERE t.ws = $1 AND t.type = {TouchType.EMAIL_CLICKED:d} AND t.person > $2 ORDER BY t.person LIMIT $3
""")
# `+ 0`: by its person alone a touch is to be found; an asset's index would go through all that were mailed it
CLICKS = sql(f"""
SELECT t.person, t.asset_or_page_key, t.occurred_at_us, t.event_id, t.url, t.flags FROM {{g}}.touch t
WHERE t.ws = $1 AND t.type = {TouchType.EMAIL_CLICKED:d} AND t.person = ANY($2::bigint[])
    AND ($3::bigint[] IS NULL OR t.asset_or_page_key + 0 = ANY($3::bigint[])) AND {_LIVE}
ORDER BY t.occurred_at_us, t.event_id
""")
STORY = sql(f"""
SELECT t.person, t.asset_or_page_key, t.type, t.occurred_at_us FROM {{g}}.touch t
LEFT JOIN {{g}}.agent a ON a.ws = $1 AND a.agent = t.agent
WHERE t.ws = $1 AND t.person = ANY($2::bigint[]) AND t.asset_or_page_key + 0 = ANY($3::bigint[]) AND t.occurred_at_us <= $4 AND {_LIVE}
    AND (t.type IN ({TouchType.EMAIL_SENT:d}, {TouchType.EMAIL_DELIVERED:d}) OR t.type = {TouchType.EMAIL_OPENED:d}
        AND t.flags & {FLAGGED_MACHINE:d} = 0 AND NOT coalesce(a.opens, false))
""")  # when mails were sent, delivered, and opened by persons
