"""`touchline producers`: what outside producers send to a workspace, and which accounts of theirs may send."""

from pathlib import Path
from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

app = group("List what each producer has sent to a workspace, and connect the accounts of outside producers.")

Producer = Annotated[str, typer.Argument(help="the producer that the account is at: hubspot, mailgun or sendgrid")]
Account = Annotated[
    str,
    typer.Option(help="for hubspot the portal ID (Hub ID); for mailgun and sendgrid the account name in the webhook's URL"),
]  # fmt: skip


@command(app, "connect")
def connect(
    producer: Producer, account: Account,
    secret_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="a file that holds the secret which the messages are signed with; without it, you are asked for the secret"),
    ] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Accept an account's signed messages for the workspace. If the account is connected already, replace its secret.

    Exits 1 if the account is connected with another workspace.
    """
    from touchline.commands import producer_accounts

    producer_accounts.connect(producer, account, secret_file, data, workspace, as_json=as_json)


@command(app, "disconnect")
def disconnect(
    producer: Producer, account: Account, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Refuse an account's messages from now on. Events from its earlier messages stay."""
    from touchline.commands import producer_accounts

    producer_accounts.disconnect(producer, account, data, workspace, as_json=as_json)


@command(app, "accounts")
def accounts(data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """List the connected accounts of the workspace, without their secrets."""
    from touchline.commands import producer_accounts

    producer_accounts.accounts(data, workspace, as_json=as_json)


@command(app, "unmapped")
def unmapped(
    producer: Annotated[str | None, typer.Option(help="only messages of this producer, such as segment")] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the messages that no mapping took when they came, by name: how many, first and last seen.

    The most frequent first.
    """
    from touchline.commands import producer_unmapped

    producer_unmapped.unmapped(producer, data, workspace, as_json=as_json)


@command(app, "map")
def map_(
    producer: Annotated[str, typer.Argument(help="the producer whose unmapped messages are read, such as segment")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count; append nothing to the log")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Read the unmapped messages in the log again, and append the events that the present mapping makes of them.

    Such an event is the same as if the message had been mapped when it came. It counts once, however often you run this. Exits 1
    if a message is refused; it stays in the log.
    """
    from touchline.commands import producer_unmapped

    producer_unmapped.map_(producer, data, workspace, dry_run=dry_run, as_json=as_json)


@command(app, "list")
def list_(data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """List each producer's messages: accepted, mapped, unmapped, refused by code, and the time since the last one.

    Messages are counted when they come, and rows of a file when they are sent: what is sent twice counts twice. Retrying or
    dropping a dead letter changes no count. A process that is killed loses the counts of its last second.
    """
    from touchline.commands import producers

    producers.list_(data, workspace, as_json=as_json)
