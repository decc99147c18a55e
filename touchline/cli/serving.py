"""`touchline up`, `demo`, `ingest`, `projector` and `api`: the commands that serve until a signal ends them."""

from pathlib import Path

import typer

from touchline.cli.groups import command
from touchline.cli.options import Host, NewData, Port, ReadyJson, ReportingPort, Sealed


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    command(app, "up")(up)
    command(app, "demo")(demo)
    command(app, "ingest")(ingest)
    command(app, "projector")(projector)
    command(app, "api")(api)


def up(
    data: NewData = Path("touchline-data"), port: Port = 8300, host: Host = "127.0.0.1", as_json: ReadyJson = False,
    reporting_port: ReportingPort = None, sealed: Sealed = False,
) -> None:  # fmt: skip
    """Run ingest, projector, read API and dashboard: everything, by one command.

    Without TOUCHLINE_DATABASE_URL it also runs a PostgreSQL server, whose files are in the data directory. With --sealed, a new
    store holds pseudonyms in place of people's names from its first event on, and can forget people.
    """
    from touchline.commands.up import run

    run(data, port, host, as_json=as_json, reporting_port=reporting_port, sealed=sealed)


def demo(
    data: NewData = Path("touchline-demo"), port: Port = 8300, host: Host = "127.0.0.1", as_json: ReadyJson = False
) -> None:
    """Run everything with invented sample data: one year of a small company, then live traffic."""
    from touchline.commands.demo import demo as run

    run(data, port, host, as_json=as_json)


def ingest(port: Port = 8301, host: Host = "127.0.0.1", as_json: ReadyJson = False) -> None:
    """Run the ingest service: it takes events from producers and appends them to the log.

    TOUCHLINE_DATABASE_URL names the database. Any number of these processes may run.
    """
    from touchline.commands.services import ingest as run

    run(port, host, as_json=as_json)


def projector(port: Port = 8302, host: Host = "127.0.0.1", as_json: ReadyJson = False) -> None:
    """Run a projector: it reads the events of the log and writes the tables that the read API uses.

    Projectors share the partitions of the log among them. The HTTP server answers only /readyz and /metrics.
    TOUCHLINE_DATABASE_URL names the database.
    """
    from touchline.commands.services import projector as run

    run(port, host, as_json=as_json)


def api(port: Port = 8303, host: Host = "127.0.0.1", as_json: ReadyJson = False) -> None:
    """Run the read API and the dashboard.

    TOUCHLINE_DATABASE_URL names the database. Any number of these processes may run.
    """
    from touchline.commands.services import api as run

    run(port, host, as_json=as_json)
