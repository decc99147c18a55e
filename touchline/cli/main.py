"""The command `touchline`."""

import typer

from touchline import logs
from touchline.cli import (
    backfill,
    backup,
    dead_letters,
    demo,
    explain,
    export,
    identifiers,
    importing,
    keys,
    producers,
    replay,
    services,
    status,
    up,
    what_if,
)
from touchline.configuration import Configuration

app = typer.Typer(
    name="touchline", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Which campaign earned what, and why. Attribution that a marketing team runs itself.",
)  # fmt: skip
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("ingest")(services.ingest)
app.command("projector")(services.projector)
app.command("api")(services.api)
app.command("status")(status.status)
app.command("backfill")(backfill.backfill)
app.command("export")(export.export)
app.command("identifiers")(identifiers.identifiers)
app.add_typer(importing.app, name="import")
app.add_typer(backup.app, name="backup")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(keys.app, name="keys")
app.add_typer(producers.app, name="producers")
replay.app.command("what-if")(what_if.what_if_)
replay.app.command("diff")(what_if.diff)
app.add_typer(replay.app, name="replay")
app.add_typer(explain.app, name="explain")


@app.callback()
def main() -> None:
    """Exit codes: 0 done, 1 failed, 2 usage, 3 differences found."""
    configuration = Configuration()
    logs.configure(configuration.log_format, configuration.log_level or "WARNING")
