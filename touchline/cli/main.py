"""The command `touchline`: its groups and commands, in the order in which the help lists them."""

from touchline.cli import (
    backup,
    catalog,
    dead_letters,
    explain,
    history,
    keys,
    privacy,
    producers,
    replay,
    reporting,
    reports,
    serving,
    workspace,
)
from touchline.cli.groups import group

app = group(
    "Which campaign earned what, and why. Attribution that a marketing team runs itself.",
    name="touchline",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 differences found.",
)
serving.add_to(app)
reports.add_to(app)
history.add_to(app)
app.add_typer(history.importing, name="import")
app.add_typer(catalog.campaigns, name="campaign")
app.add_typer(catalog.assets, name="asset")
catalog.add_to(app)
app.add_typer(backup.app, name="backup")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(workspace.app, name="workspace")
app.add_typer(keys.app, name="keys")
app.add_typer(producers.app, name="producers")
app.add_typer(privacy.app, name="privacy")
app.add_typer(replay.app, name="replay")
app.add_typer(reporting.app, name="reporting")
app.add_typer(explain.app, name="explain")
