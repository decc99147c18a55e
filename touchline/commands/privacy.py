"""`touchline privacy`: seal a store, show what is stored of a contact, and forget a contact."""

import json
from dataclasses import replace
from pathlib import Path

import typer

from services.replay.sealing import (
    forget_contact,
    master_key_of,
    seal_store,
    seal_store_on_kafka,
    stored_of,
)
from services.replay.sealing_topic import delete_topic
from shared.database import connect
from shared.log.kafka import KafkaLog
from shared.log.kafka_topic import open_kafka_log
from shared.log.postgres import PARTITIONS
from shared.sealing.log import unsealed
from shared.store.migrate import migrate
from touchline.commands.on_store import StoreAccess, on_store
from touchline.commands.output import console, styled, visible
from touchline.commands.store import check_workspace, on_database
from touchline.configuration import Configuration
from touchline.open_log import reached
from touchline.sealing import check_unused, stop_recycling


def seal(data: Path | None, topic: str | None, *, yes: bool, as_json: bool) -> None:
    """Seal a store and rewrite its log; a log on Kafka that has events is copied into the new topic `topic`, and its old topic deleted.

    Asks before, unless `yes`. Exits 1 if services use the store, if the log is Kafka's and has events but no topic is named, or without a key.
    """
    configuration = Configuration()
    if topic is not None and configuration.kafka is None:
        raise typer.BadParameter("the log of this store is not on Kafka", param_hint="--topic")
    if topic is not None and topic == configuration.kafka_topic:
        raise typer.BadParameter("this is the topic that holds the log now; name a new one", param_hint="--topic")
    if topic is not None and not yes:
        asked = f"Copy the log, sealed, to the topic {topic}, and then delete the topic {configuration.kafka_topic} for good?"
        typer.confirm(asked, abort=True, err=True)
    events = on_database(data, lambda url: _sealed(url, configuration, topic, embedded=data is not None))
    if as_json:
        print(json.dumps({"events": events}))
        return
    console.print(
        styled("[green]sealed[/]: {:,} events of the log. Start the services: they rebuild the projection", events)
    )
    if topic is not None:
        console.print(
            f"Set TOUCHLINE_KAFKA_TOPIC={topic} for all of them; the topic {configuration.kafka_topic} is deleted"
        )


async def _sealed(url: str, configuration: Configuration, topic: str | None, *, embedded: bool) -> int:
    """Seal the store; returns how many events its log has. An embedded PostgreSQL removes old files of its write-ahead log from then on."""
    connection = await connect(url)
    try:
        await check_unused(connection)
    finally:
        await connection.close()
    await migrate(url, PARTITIONS)
    async with reached(url, configuration, 3) as (pool, log):
        if embedded:
            await stop_recycling(pool)
        master = await master_key_of(pool, configuration.master_key)
        plain = unsealed(log)
        if topic is None or configuration.kafka is None or not isinstance(plain, KafkaLog):
            return await seal_store(pool, plain, master, lambda _: None)
        named = replace(configuration.kafka, topic=topic)
        new = await open_kafka_log(named, plain.partitions, configuration.kafka_replication_factor)
        try:
            events = await seal_store_on_kafka(pool, plain, new, master, lambda _: None)
        finally:
            await new.close()
    await delete_topic(configuration.kafka)
    return events


def export(contact: str, data: Path | None, workspace: str) -> None:
    """Print all that is stored of a contact as JSON. Exits 1 if no contact has this identifier."""

    async def stored(access: StoreAccess) -> dict[str, object]:
        resources = access.resources
        await check_workspace(resources.pool, workspace)
        return await stored_of(resources, workspace, contact)

    print(json.dumps(on_store(data, stored, quiet=True), indent=2, ensure_ascii=False))


def forget(contact: str, data: Path | None, workspace: str, *, yes: bool, as_json: bool) -> None:
    """Forget a contact for ever; asks first, unless `yes`."""
    if not yes:
        typer.confirm(visible(f"Forget {contact} of {workspace} for good?"), abort=True, err=True)

    async def forgotten(access: StoreAccess) -> dict[str, object]:
        resources = access.resources
        await check_workspace(resources.pool, workspace)
        return await forget_contact(resources, workspace, contact)

    result = on_store(data, forgotten, quiet=True)
    if as_json:
        print(json.dumps(result))
    else:
        console.print(f"forgotten: {result['names']} names; deleted dead letters: {result['dead_letters']}")
