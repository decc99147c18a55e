"""After the passes: contacts, catalog, deals and credit, by the very functions that derive them live, part by part."""

from collections.abc import Sequence

from shared.events.registry import names_about, names_with, sql_names
from shared.projection.changes import EntitiesChanged, IdentifiersMentioned
from shared.projection.pipeline import Context
from shared.projection.sql import Connection, sql
from shared.projection.stage_order import PIPELINE
from shared.projection.stages.cells.digests import digest_all
from shared.projection.stages.entities.apply import save_settings
from shared.rules.settings import Settings

IDENTIFIERS_AT_A_TIME = 5_000

PUT_TOGETHER = [
    sql("""
INSERT INTO {g}.identifier (ws, identifier, is_email, text, first_us, first_event)
SELECT DISTINCT ON (ws, identifier) ws, identifier, is_email, text, first_us, first_event FROM {g}.part_identifier
ORDER BY ws, identifier, first_us, first_event
"""),
    sql("INSERT INTO {g}.identity_edge SELECT ws, a, b, sum(uses) FROM {g}.part_identity_edge GROUP BY ws, a, b"),
    sql("INSERT INTO {g}.lateness SELECT ws, bucket, sum(events) FROM {g}.part_lateness GROUP BY ws, bucket"),
]
WITHOUT_CONTACT = sql("""
SELECT identifier FROM {g}.identifier WHERE ws = $1 AND contact IS NULL AND identifier > $2 ORDER BY identifier LIMIT $3
""")
ASSETS = sql(f"""
SELECT DISTINCT subject FROM {{g}}.entity_event WHERE ws = $1 AND type IN {sql_names(names_about("asset", stage="catalog"))}
""")
CAMPAIGNS = sql(f"""
SELECT subject AS campaign FROM {{g}}.entity_event
WHERE ws = $1 AND type IN {sql_names(names_about("campaign", stage="catalog"))}
UNION SELECT object FROM {{g}}.entity_event WHERE ws = $1 AND type IN {sql_names(names_with("campaign"))}
""")
DEALS = sql(f"""
SELECT DISTINCT subject FROM {{g}}.entity_event
WHERE ws = $1 AND live AND type IN {sql_names(names_about("deal", stage="deals"))}
ORDER BY subject
""")


async def put_together(connection: Connection) -> None:
    """Combine the parts of a row that several buckets wrote into one row. In the caller's transaction."""
    for statement in PUT_TOGETHER:
        await connection.execute(statement)


async def all_contacts(connection: Connection, ws: int, settings: Settings) -> None:
    """Derive every contact of a workspace, and exclude what its own people did. Each part is a transaction of its own."""
    after = -(2**63)
    while rows := await connection.fetch(WITHOUT_CONTACT, ws, after, IDENTIFIERS_AT_A_TIME):
        after = rows[-1]["identifier"]
        async with connection.raw.transaction():
            part = frozenset(row["identifier"] for row in rows)
            mentioned = IdentifiersMentioned(part, whole_history=True)
            await PIPELINE.run(Context(connection, ws, settings), [mentioned], "identity", "contacts")


async def whole_catalog(connection: Connection, ws: int, settings: Settings, social_posts_max: int) -> None:
    """Derive campaigns, assets and attribution windows of a workspace, and keep its settings. In the caller's transaction."""
    await save_settings(connection, ws, settings)
    assets = frozenset(row["subject"] for row in await connection.fetch(ASSETS, ws))
    campaigns = frozenset(row["campaign"] for row in await connection.fetch(CAMPAIGNS, ws))
    context = Context(connection, ws, settings, social_posts_max)
    await PIPELINE.run(context, [EntitiesChanged(campaigns, assets)], "catalog", "catalog")


async def some_deals(connection: Connection, ws: int, settings: Settings, deals: Sequence[int]) -> None:
    """Derive some deals and their credit. In the caller's transaction."""
    await PIPELINE.run(Context(connection, ws, settings), [EntitiesChanged(deals=frozenset(deals))], "deals", "deals")


async def all_cells(connection: Connection, ws: int, settings: Settings) -> None:
    """Digest all touches of a workspace. In the caller's transaction."""
    await digest_all(Context(connection, ws, settings))
