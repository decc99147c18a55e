"""Which SQL views are there for programs that read the store by themselves, such as a BI tool?

The schema `reporting` has views of the live generation: names in the place of keys, timestamps in the place of microseconds,
decimals in the place of minor units. A login (`add_login`) reads them and nothing else, and only the rows of its workspace.

The rules decide here too: what SQL needs of a rule is made by asking the rule for every case.
"""

import secrets
from hashlib import sha256

import asyncpg

from shared.access.reporting_group import GROUP
from shared.errors import ExpectedError
from shared.events.currencies import DECIMALS
from shared.projection.generations import NoGeneration, WrongShape, live_generation
from shared.projection.sql import sql_numbers
from shared.projection.windows import KEY_COLUMN
from shared.reading.attribution import OWNER_OF, statuses_by_route
from shared.reading.overview import METRIC_OF_TYPE
from shared.reading.reasons import reason_of_touch
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES
from shared.rules.influence import INFLUENCING, REVENUE_TOUCHES, TouchType
from shared.rules.pre_association import Route, WindowStatus, kept_out
from shared.rules.settings import Settings

REPORTING = "reporting"
LOCK_WAIT = "SET LOCAL lock_timeout = '500ms'"
"""A program that reads a view for long must not make others wait for it: the views are pointed at the generation later."""
POINTED_AT = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('touchline.reporting'))"
LOGINS = "SELECT l.login FROM touchline.reporting_login l JOIN pg_roles r ON r.rolname = l.login ORDER BY l.login"
ADD_LOGIN = "INSERT INTO touchline.reporting_login (login, workspace_id) VALUES ($1, $2)"
LIST_LOGINS = "SELECT login, created_at FROM touchline.reporting_login WHERE workspace_id = $1 ORDER BY login"
REMOVE_LOGIN = "DELETE FROM touchline.reporting_login WHERE login = $1 AND workspace_id = $2 RETURNING login"
ADD_GROUP = f"""
DO $$ BEGIN CREATE ROLE {GROUP} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""
HAS_WORKSPACE = "SELECT EXISTS (SELECT FROM touchline.workspace WHERE workspace_id = $1)"
PASSWORD_BYTES = 24
LOGIN_CONNECTIONS_MAX = 5  # so that a BI tool leaves connections to Touchline
LOGIN_SETTINGS = {"default_transaction_read_only": "on", "statement_timeout": "10min", "search_path": REPORTING}

_ROWS = """{g}.workspace_rows r
    JOIN touchline.reporting_login l ON l.workspace_id = r.workspace_id AND l.login = session_user"""


def _instant(column: str) -> str:
    return f"timestamptz 'epoch' + {column} * interval '1 microsecond'"


def _amount(minor: str, currency: str) -> str:
    """An amount, exactly. With a scale that is declared, for some programs make a float of any other; no currency has more decimals."""
    by_decimals: dict[int, list[str]] = {}
    for code, decimals in DECIMALS.items():
        by_decimals.setdefault(decimals, []).append(code)
    cases = " ".join(
        f"WHEN {currency} IN ({', '.join(repr(code) for code in sorted(codes))}) THEN {10**-decimals:.{decimals}f}"
        for decimals, codes in sorted(by_decimals.items())
        if decimals != 2
    )
    return f"({minor}::numeric * CASE {cases} ELSE 0.01 END)::numeric(24, 4)"


def _type(column: str) -> str:
    """The event type of a touch's number."""
    cases = " ".join(f"WHEN {type_:d} THEN '{type_.wire}'" for type_ in TouchType)
    return f"CASE {column} {cases} END"


def _met() -> str:
    """What each campaign that ever held or claimed a key of touch `t` says of it, as a row `m` a campaign."""
    keys = ", ".join(f"t.{column}" for column in KEY_COLUMN.values())
    routes = " OR ".join(f"(w.route = {route:d} AND w.key = t.{column})" for route, column in KEY_COLUMN.items())
    return f"""LATERAL (
        SELECT w.campaign, {statuses_by_route("w.")} FROM {{g}}.attribution_window w
        WHERE w.ws = t.ws AND w.key = ANY (ARRAY[{keys}]) AND ({routes})
            AND t.occurred_at_us >= w.from_us AND t.occurred_at_us < w.to_us
        GROUP BY w.campaign) m"""


_OWNER = OWNER_OF.replace("$1", "t.ws").replace("JOIN", "LEFT JOIN", 1)
_COUNTED = f"({reason_of_touch()}) IS NULL"
_VISIT_COUNTS = " OR ".join(
    f"m.by_{route.name.lower()} = {WindowStatus.COUNTS:d}" for route in sorted(FIRST_TOUCH_ROUTES)
)
_KEYS_COUNT = " OR ".join(f"m.by_{route.name.lower()} = {WindowStatus.COUNTS:d}" for route in Route)
_PART = (
    """coalesce(sign(e.minor) * (abs(e.minor) / p.campaigns + (p.nth <= abs(e.minor) % p.campaigns)::int), e.minor)"""
)
"""A campaign's part of a touch's share, as `shared.rules.exact.split` divides it."""
_DAY = "(({instant}) AT TIME ZONE coalesce(s.body ->> 'time_zone', '" + Settings().time_zone + "'))::date"
_TOUCHES_OF_CAMPAIGNS = f"""
    FROM {_ROWS} JOIN {{g}}.touch t ON t.ws = r.ws AND t.traffic_class <> {TrafficClass.RETRACTED:d}
    CROSS JOIN {_met()} LEFT JOIN {{g}}.settings s ON s.ws = r.ws"""

VIEWS: dict[str, str] = {
    "campaigns": f"""
SELECT r.workspace_id AS workspace, c.campaign_id, c.name, c.owner, c.starts_on, c.ends_on,
    {_amount("c.budget_minor", "c.currency")} AS budget, c.currency, c.notes,
    {_instant("c.created_us")} AS created_at, {_instant("c.deleted_us")} AS deleted_at
FROM {_ROWS} JOIN {{g}}.campaign c ON c.ws = r.ws""",
    "campaign_days": f"""
SELECT workspace, campaign_id, day, {
        ", ".join(
            f"coalesce(sum(touches) FILTER (WHERE type = {type_:d}), 0)::bigint AS {metric}"
            for type_, metric in METRIC_OF_TYPE.items()
        )
    }, coalesce(sum(sessions), 0)::bigint AS sessions, coalesce(sum(new_sessions), 0)::bigint AS new_sessions
FROM (
    SELECT r.workspace_id AS workspace, m.campaign, r.ws, {
        _DAY.format(instant=_instant("t.occurred_at_us"))
    } AS day, t.type,
        sum(t.count) AS touches, NULL::bigint AS sessions, NULL::bigint AS new_sessions {_TOUCHES_OF_CAMPAIGNS}
    WHERE t.type IN ({", ".join(f"{type_:d}" for type_ in METRIC_OF_TYPE)}) AND {_COUNTED} GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT r.workspace_id, m.campaign, r.ws, {
        _DAY.format(instant=_instant("t.session_at_us"))
    }, NULL, NULL, count(DISTINCT t.session),
        count(DISTINCT t.session) FILTER (WHERE t.session_is_new) {_TOUCHES_OF_CAMPAIGNS}
    WHERE t.type = {TouchType.PAGE_VISITED:d} AND t.traffic_class = {TrafficClass.COUNTED:d} AND ({_VISIT_COUNTS})
        AND t.session IS NOT NULL GROUP BY 1, 2, 3, 4
) d JOIN {{g}}.campaign c ON c.ws = d.ws AND c.campaign = d.campaign
GROUP BY workspace, campaign_id, day""",
    "campaign_contacts": f"""
SELECT DISTINCT r.workspace_id AS workspace, cam.campaign_id, c.name AS contact, {
        _DAY.format(instant=_instant("t.occurred_at_us"))
    } AS day {_TOUCHES_OF_CAMPAIGNS}
JOIN {{g}}.campaign cam ON cam.ws = t.ws AND cam.campaign = m.campaign {OWNER_OF.replace("$1", "t.ws")}
JOIN {{g}}.contact c ON c.ws = t.ws AND c.contact = o.contact
WHERE t.type IN ({sql_numbers(INFLUENCING)}) AND {_COUNTED}""",
    "campaign_deals": f"""
SELECT r.workspace_id AS workspace, cam.campaign_id, d.deal_id, d.state, {_amount("d.amount_minor", "d.currency")} AS amount, d.currency,
    {_instant("b.dated_us")} AS dated_at,
    ARRAY(SELECT c.name FROM {{g}}.contact c WHERE c.ws = b.ws AND c.contact = ANY(b.contacts) ORDER BY c.name) AS revenue_contacts
FROM {_ROWS} JOIN (
    SELECT t.ws, t.deal, m.campaign, max(t.dated_us) AS dated_us,
        array_agg(DISTINCT t.contact) FILTER (WHERE t.won AND t.type IN ({sql_numbers(REVENUE_TOUCHES)})) AS contacts
    FROM {{g}}.deal_touch t CROSS JOIN {_met()} WHERE {_KEYS_COUNT} GROUP BY t.ws, t.deal, m.campaign) b ON b.ws = r.ws
JOIN {{g}}.deal d ON d.ws = r.ws AND d.deal = b.deal JOIN {{g}}.campaign cam ON cam.ws = r.ws AND cam.campaign = b.campaign""",
    "touches": f"""
SELECT r.workspace_id AS workspace, t.event_id, {_type("t.type")} AS type, {
        _instant("t.occurred_at_us")
    } AS occurred_at,
    t.count AS touches, c.name AS contact, t.session, {_instant("t.session_at_us")} AS session_at, t.session_is_new,
    t.asset_id, t.via_asset_id, t.url, t.referrer, t.kind, cam.campaign_id,
    cam.campaign_id IS NOT NULL AND {_COUNTED} AS counted,
    CASE WHEN cam.campaign_id IS NOT NULL THEN {reason_of_touch()}
        ELSE CASE t.traffic_class {
        " ".join(
            f"WHEN {each:d} THEN '{kept_out(each, {Route.ASSET: WindowStatus.COUNTS})}'"
            for each in TrafficClass
            if each not in (TrafficClass.COUNTED, TrafficClass.RETRACTED)
        )
    } END END AS reason
FROM {_ROWS} JOIN {{g}}.touch t ON t.ws = r.ws AND t.traffic_class <> {TrafficClass.RETRACTED:d}
LEFT JOIN {_met()} ON true LEFT JOIN {{g}}.campaign cam ON cam.ws = t.ws AND cam.campaign = m.campaign {_OWNER}
LEFT JOIN {{g}}.contact c ON c.ws = t.ws AND c.contact = o.contact""",
    "contacts": f"""
SELECT r.workspace_id AS workspace, c.name AS contact,
    ARRAY(SELECT i.text FROM {{g}}.identifier i WHERE i.ws = c.ws AND i.contact = c.contact ORDER BY i.text) AS identifiers,
    {_instant("c.created_us")} AS created_at, {_instant("c.first_visit_us")} AS first_visit_at, c.internal, c.properties
FROM {_ROWS} JOIN {{g}}.contact c ON c.ws = r.ws""",
    "deals": f"""
SELECT r.workspace_id AS workspace, d.deal_id, d.name, d.state, {_amount("d.amount_minor", "d.currency")} AS amount, d.currency,
    {_instant("d.created_us")} AS created_at, {_instant("d.closed_us")} AS closed_at,
    ARRAY(SELECT c.name FROM {{g}}.deal_contact dc JOIN {{g}}.contact c ON c.ws = dc.ws AND c.contact = dc.contact
        WHERE dc.ws = d.ws AND dc.deal = d.deal ORDER BY c.name) AS contacts
FROM {_ROWS} JOIN {{g}}.deal d ON d.ws = r.ws""",
    "shares": f"""
SELECT r.workspace_id AS workspace, d.deal_id, e.model, t.event_id, {_type("t.type")} AS type,
    {_instant("t.occurred_at_us")} AS occurred_at, c.name AS contact, t.asset_id, t.roles, p.campaign_id,
    {_amount(_PART, "d.currency")} AS share, d.currency, {_instant("d.closed_us")} AS closed_at
FROM {_ROWS} JOIN {{g}}.deal d ON d.ws = r.ws AND d.state = 'won'
JOIN {{g}}.credit t ON t.ws = d.ws AND t.deal = d.deal
CROSS JOIN LATERAL (SELECT key AS model, value::bigint AS minor FROM jsonb_each_text(t.shares_minor)) e
LEFT JOIN LATERAL (
    SELECT cam.campaign_id, row_number() OVER (ORDER BY cam.campaign_id) AS nth, count(*) OVER () AS campaigns
    FROM {_met()} JOIN {{g}}.campaign cam ON cam.ws = t.ws AND cam.campaign = m.campaign
    WHERE {_KEYS_COUNT}) p ON true
LEFT JOIN {{g}}.contact c ON c.ws = t.ws AND c.contact = t.contact""",
}
"""By name, what each view selects. docs/reporting.md says what their columns mean."""


class UnknownWorkspace(ExpectedError):
    """There is no workspace of this name."""


def statements(generation: str) -> list[str]:
    """The DDL that makes the views, and makes them show a generation."""
    out = [f"DROP SCHEMA IF EXISTS {REPORTING} CASCADE", f"CREATE SCHEMA {REPORTING}"]
    out += [
        f"CREATE VIEW {REPORTING}.{name} WITH (security_barrier) AS {select.replace('{g}', generation).strip()}"
        for name, select in VIEWS.items()
    ]
    return [*out, f"COMMENT ON SCHEMA {REPORTING} IS '{_mark(generation)}'"]


def _mark(generation: str) -> str:
    """What the schema's comment says when its views are this release's, of this generation."""
    content = sha256("".join(VIEWS.values()).encode()).hexdigest()[:16]
    return f"views {content} of generation {generation}"


async def follow(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
    """Let the views show the live generation; True if they were changed.

    Without a live generation, and while somebody reads a view, nothing is changed: it is called again.
    """
    try:
        generation = (await live_generation(pool)).name
    except (NoGeneration, WrongShape):
        return False
    if await pool.fetchval(POINTED_AT, REPORTING) == _mark(generation):
        return False
    async with pool.acquire() as connection:
        try:
            async with connection.transaction():
                await connection.execute(LOCK_WAIT)
                await connection.execute(ONE_AT_A_TIME)
                for statement in statements(generation):
                    await connection.execute(statement)
                for row in await connection.fetch(LOGINS):
                    await _grant(connection, row["login"])
        except asyncpg.LockNotAvailableError:
            return False
    return True


async def _grant(connection: "asyncpg.Connection[asyncpg.Record]", login: str) -> None:
    await connection.execute(f"GRANT USAGE ON SCHEMA {REPORTING} TO {_quoted(login)}")
    await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {REPORTING} TO {_quoted(login)}")


async def add_login(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, login: str) -> str:
    """Make a login that reads the views of one workspace and nothing else; answers its password, which is not kept.

    Raises `UnknownWorkspace`, and `asyncpg.DuplicateObjectError` if PostgreSQL has a role of this name.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval(HAS_WORKSPACE, workspace):
            raise UnknownWorkspace(workspace)
        await connection.execute(ADD_GROUP)
        await connection.execute(
            f"CREATE ROLE {_quoted(login)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT "
            f"CONNECTION LIMIT {LOGIN_CONNECTIONS_MAX} PASSWORD '{password}' IN ROLE {GROUP}"
        )
        for setting, value in LOGIN_SETTINGS.items():
            await connection.execute(f"ALTER ROLE {_quoted(login)} SET {setting} = '{value}'")
        await connection.execute(ADD_LOGIN, login, workspace)
        if await connection.fetchval(POINTED_AT, REPORTING) is not None:
            await _grant(connection, login)
    await follow(pool)
    return password


async def list_logins(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> list[asyncpg.Record]:
    """The logins of a workspace, each with the time when it was made."""
    rows: list[asyncpg.Record] = await pool.fetch(LIST_LOGINS, workspace)
    return rows


async def remove_login(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, login: str) -> bool:
    """Remove a login of a workspace; False if there is none of this name. Its open connections read nothing any more."""
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(REMOVE_LOGIN, login, workspace) is None:
            return False
        await connection.execute(f"DROP OWNED BY {_quoted(login)}")
        await connection.execute(f"DROP ROLE {_quoted(login)}")
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
