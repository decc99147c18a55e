"""`touchline privacy`: seal a store, show what is stored of a contact, and forget a contact."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

app = group("Seal a store, show all that is stored of a contact, and forget a contact.")

Contact = Annotated[str, typer.Argument(help="any identifier of the contact: an id or an e-mail address")]


@command(app, "seal")
def seal(
    data: Data = None,
    topic: Annotated[str | None, typer.Option("--topic", metavar="NAME", help="a new Kafka topic for the sealed events, if the log is a topic that has events; the old topic is deleted", show_default=False)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before the old topic is deleted")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Seal a store: from now on its log holds pseudonyms in place of people's identifiers; the events in it are rewritten.

    The services must not run. The master key is that of TOUCHLINE_MASTER_KEY or, with an embedded store, the file `master.key` in
    the data directory, which is made. The projection is rebuilt when the services start again. The command can be repeated.
    """
    from touchline.commands import privacy

    privacy.seal(data, topic, yes=yes, as_json=as_json)


@command(app, "export")
def export(contact: Contact, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE) -> None:
    """Print all that is stored of a contact as JSON: its identifiers and properties, its events as sent, and its dead letters.

    Exits 1 if no contact has this identifier.
    """
    from touchline.commands import privacy

    privacy.export(contact, data, workspace)


@command(app, "forget")
def forget(
    contact: Contact,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask first")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Forget a contact for ever: destroy its identifiers and the keys of its texts, and delete the dead letters that name it.

    No count and no credit changes. Exits 1 if no contact has this identifier, or if the store is not sealed.
    """
    from touchline.commands import privacy

    privacy.forget(contact, data, workspace, yes=yes, as_json=as_json)
